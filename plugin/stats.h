/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happened, in numbers: where user time went, why slices ended, what it
 * cost.  The file's keys are stable: scripts read them.
 */
#ifndef PLEX86_STATS_H
#define PLEX86_STATS_H

#include <stdint.h>

#include "entry.h"
#include "shadow.h"
#include "verify.h"

/* Why Bochs executed user code itself: a refusal, or one of these. */
enum plex86_emulated {
	PLEX86_BY_POLICY = PLEX86_REFUSALS,	/* not worth a round trip, as far as known */
	PLEX86_BY_FILTER,			/* in a page that must not run natively */
	PLEX86_BY_TRAP,				/* behind an instruction that trapped */
	PLEX86_EMULATED
};

struct plex86_stats {
	uint64_t user_entries;		/* transitions to CPL 3 */
	uint64_t entries_asked;		/* those that lasted until plan() was asked */
	uint64_t entries_native;	/* those after which something ran natively */
	uint64_t asked;			/* plan() calls */
	uint64_t slices;
	uint64_t native_ns;		/* in the engine, from entry to trap */
	uint64_t native_ticks;		/* charged for it */
	uint64_t exits[PLEX86_EXIT_REASONS]; /* by enum plex86_exit_reason */
	uint64_t faults_mapped, faults_guest, faults_stuck;
	uint64_t refused[PLEX86_REFUSALS];
	uint64_t emulated[PLEX86_EMULATED];	/* user instructions that Bochs executed */
	uint64_t steps;
	uint64_t opened_ns;		/* CLOCK_MONOTONIC */
};

struct plex86_stats_context {
	const char *engine;
	const struct plex86_caps *caps;	/* NULL without engine */
	const struct plex86_shadow_stats *shadow;
	uint64_t insn_ps;		/* picoseconds per emulated instruction, measured */
	uint64_t break_even;
	uint32_t spaces;
	const struct plex86_verify_stats *verify;	/* NULL but in verify mode */
};

/* Writes @path atomically (temporary file, rename).  0 or a negative errno. */
int plex86_stats_write(const struct plex86_stats *s, const struct plex86_stats_context *c,
		       const char *path);

/* A few lines for the log. */
void plex86_stats_log(const struct plex86_stats *s, const struct plex86_stats_context *c,
		      void (*log)(enum plex86_log_level level, const char *message));

#endif /* PLEX86_STATS_H */
