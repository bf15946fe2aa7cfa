/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verify mode: what a slice did is held back, and Bochs goes the same way first, instruction by
 * instruction.  Only then has anything happened.
 */
#include "slice.h"

void plex86_hold(struct plex86_run *run)
{
	struct plex86_core *core = run->core;

	run->slice->vec_same = false;
	core->held_ns = core->stats.native_ns;
	plex86_verify_begin(core->verify, run->cpu, run->vec);
}

enum plex86_verdict plex86_held(struct plex86_run *run, enum plex86_verdict verdict)
{
	struct plex86_core *core = run->core;
	struct plex86_slice *slice = run->slice;
	struct plex86_verify *v = core->verify;
	bool same;

	core->held = verdict;
	if (!slice->changed) {
		plex86_verify_cancel(v);
		return verdict;
	}
	same = plex86_verify_end(v, run->cpu, run->vec, core->stats.native_ns - core->held_ns,
				 slice->single_step);
	*run->cpu = v->start;
	*run->vec = v->start_vec;
	/* Nothing has happened yet: Bochs goes there, and then time has passed. */
	slice->changed = slice->single_step = false;
	slice->ticks = 0;
	if (same)
		return plex86_core_replay(core, run->cpu, slice);
	slice->wait.ticks = core->policy.break_even;
	return PLEX86_EMULATE;
}

bool plex86_core_replaying(const struct plex86_core *core)
{
	return core->verify && core->verify->replaying;
}

enum plex86_verdict plex86_core_replay(struct plex86_core *core, const struct plex86_cpu *cpu,
				       struct plex86_slice *slice)
{
	slice->changed = false;
	slice->ticks = 0;
	switch (plex86_verify_step(core->verify, cpu, slice->icount)) {
	case PLEX86_REPLAY_ON:
		return PLEX86_REPLAY;
	case PLEX86_REPLAY_BEYOND:
		core->held = PLEX86_RAN;	/* Bochs is somewhere, and that is right */
		break;
	case PLEX86_REPLAY_SAME:
		break;
	}
	slice->ticks = plex86_verify_ticks(core->verify);
	core->accounted = slice->icount + slice->ticks;
	return core->held;
}
