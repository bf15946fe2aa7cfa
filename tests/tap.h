/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TAP for C tests, small enough to read: plan at the end, one line per check,
 * skips with a reason.  cmocka's TAP prints a skip as "not ok", which automake
 * counts as a failure, and this project skips often (no AVX-512, no driver).
 */
#ifndef PLEX86_TAP_H
#define PLEX86_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 2, 3), unused))
static int tap_ok(int pass, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", pass ? "" : "not ", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	tap_failed += !pass;
	return pass;
}

__attribute__((format(printf, 1, 2), unused))
static void tap_diag(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* One check that can't be made here; @why is a phrase, shown after SKIP. */
__attribute__((unused))
static void tap_skip(const char *name, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_count, name, why);
	fflush(stdout);
}

/* Nothing in this file can be tested here. */
__attribute__((unused, noreturn))
static void tap_skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

/* Prints the plan; returns the exit status for main(). */
__attribute__((unused))
static int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#define ok(cond) tap_ok(!!(cond), "%s", #cond)

/* Compares integers and shows both on failure. */
#define is(got, want, name)								\
	do {										\
		unsigned long long tap_g = (unsigned long long)(got);			\
		unsigned long long tap_w = (unsigned long long)(want);			\
		if (!tap_ok(tap_g == tap_w, "%s", name))				\
			tap_diag("got %#llx, want %#llx (%s:%d)", tap_g, tap_w,		\
				 __FILE__, __LINE__);					\
	} while (0)

#endif /* PLEX86_TAP_H */
