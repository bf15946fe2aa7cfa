/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of what exits cost: what is measured (exit-cases.c), and how
 * (exit-costs.c).  It stands on the bench of the conformance tests, so that what is
 * timed here is what is known there to work, and runs on every engine.
 */
#ifndef PLEX86_BENCH_EXITS_H
#define PLEX86_BENCH_EXITS_H

#include "../tests/conformance/harness.h"

/* Sums over one batch; exit-costs.c divides them by .count. */
struct cost {
	uint64_t count;
	uint64_t wall_ns;
	uint64_t inside_ns;	/* as the engine says: from entry to trap; 0: not known */
	uint64_t own_ns;	/* of it, this thread on a CPU */
	uint64_t switches;	/* of this thread, given up or taken */
};

struct exit_case {
	const char *name;
	/* One batch of about @rounds.  False: this engine can't. */
	bool (*measure)(unsigned int rounds, struct cost *cost);
};

extern const struct exit_case exit_cases[];	/* ends with a NULL name */

/* Spaces and programs for the cases, once for each engine. */
void cases_begin(void);
void cases_end(void);

/* Around what is timed; may be paused. */
void clock_start(struct cost *cost);
void clock_stop(struct cost *cost);

#endif /* PLEX86_BENCH_EXITS_H */
