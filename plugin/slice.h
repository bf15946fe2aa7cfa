/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One slice while it lasts, for the files that share the work: slice.c (its way),
 * slice_filter.c (what must not run), slice_cost.c (what it took), refuse.c (why it did
 * not go on), replay.c (verify mode).
 */
#ifndef PLEX86_SLICE_H
#define PLEX86_SLICE_H

#include "core_internal.h"

struct plex86_run {
	struct plex86_core *core;
	struct plex86_slice *slice;
	struct plex86_cpu *cpu;
	struct plex86_vec *vec;
	struct plex86_shadow *space;
	unsigned int mapped;	/* page faults that were only about mapping, so far */
	uint64_t own_ns;	/* the guest's own time, warm */
	uint64_t cost_ns;	/* what all runs together took of the host besides ... */
	uint64_t maps_ns;	/* ... of which the present one's mapping */
	unsigned int maps;	/* operations of that */
};

/* ---- slice_filter.c ---- */

/*
 * Would user code load from a Linux host's GDT what it would load from the guest's?  FS and GS of
 * 32-bit code may hold what their descriptors were before the guest's kernel changed them.
 */
bool plex86_linux_tables(const struct plex86_run *run);

/* From now on the space of @run has nothing to execute that this state must not. */
void plex86_slice_filter(struct plex86_run *run, bool long_mode);

/* ---- slice_cost.c ---- */

/* What a slice costs besides the engine's trips, ns: state out and in, bookkeeping. */
#define PLEX86_SLICE_NS 1500

/* What is queued for the space is about to be mapped. */
void plex86_cost_of_maps(struct plex86_run *run);

/* The engine was asked to run for @budget_ns: charges the guest for what ran. */
void plex86_cost_of_run(struct plex86_run *run, const struct plex86_exit *exit, uint64_t budget_ns,
			uint64_t took);

/* ---- replay.c: in verify mode ---- */

/* A slice begins, on copies. */
void plex86_hold(struct plex86_run *run);

/* It has ended with @verdict, and Bochs goes the same way from its beginning. */
enum plex86_verdict plex86_held(struct plex86_run *run, enum plex86_verdict verdict);

/* ---- refuse.c ---- */

/* Nothing ran, for the reason @r; @detail, a static string or NULL, is the engine's own. */
enum plex86_verdict plex86_refuse(struct plex86_run *run, enum plex86_refusal r,
				  const char *detail);

/* The space is no good any more, and is destroyed; the guest's state is exact. */
void plex86_lose(struct plex86_run *run, const char *why);

/* Before that, if it is not: it is the guest's, and goes on, but not as it should. */
void plex86_broken(struct plex86_run *run, const char *why);

/* Spaces were lost, or could not be made, in a row: the ticks until the next may be made, or 0. */
uint64_t plex86_spared_ticks(const struct plex86_run *run);

/* What a negative errno of the engine means for who reads the log. */
const char *plex86_failure(int err);

/* No space can be made: refuses the slice for @err, and others for a while. */
enum plex86_verdict plex86_no_space(struct plex86_run *run, int err);

#endif /* PLEX86_SLICE_H */
