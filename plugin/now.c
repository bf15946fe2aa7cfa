/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's clocks, in a file of their own: unit tests have others (tests/unit/vm.c). */
#include <time.h>

#include "now.h"

static uint64_t ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

uint64_t plex86_now_ns(void)
{
	return ns(CLOCK_MONOTONIC);
}

uint64_t plex86_thread_ns(void)
{
	return ns(CLOCK_THREAD_CPUTIME_ID);
}
