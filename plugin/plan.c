/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Before a slice: is it worth one?  Bochs says when user mode begins and ends, and
 * asks in between, as often as it was told to; no state is exported for that.
 *
 *   plex86_core_user_mode()   CPL became 3: when shall we look?
 *   plex86_core_plan()        now: is it worth it?
 *   plex86_core_kernel_mode() CPL is no longer 3
 */
#include "core_internal.h"

/* Speeds of emulation outside of this are errors of measurement. */
#define INSN_NS_MIN 0.2
#define INSN_NS_MAX 20.0

/*
 * In break-evens: how long a page that stopped a slice is believed to do so again.  It may have
 * been written since, or have earned its traps; a look costs a small part of one.
 */
#define STUCK_TRIPS 16

void plex86_core_account(struct plex86_core *core, uint64_t icount)
{
	if (core->user && icount > core->accounted)
		core->stats.emulated[core->emulating] += icount - core->accounted;
	core->accounted = icount;
}

/* Whether speed does not matter, since tests are to see all that can run natively. */
static bool always(const struct plex86_core *core)
{
	return (core->config.eager && core->ops) || core->verify;
}

uint64_t plex86_core_user_mode(struct plex86_core *core, uint64_t cr3, uint64_t icount)
{
	uint64_t after;

	core->stats.user_entries++;
	core->user = true;
	core->was_asked = core->ran = core->pause = false;
	core->soon = 0;
	core->sample_ns = 0;
	core->accounted = icount;
	core->emulating = PLEX86_BY_POLICY;
	after = plex86_policy_user(&core->policy, cr3, icount);
	return always(core) ? 0 : after;
}

void plex86_core_kernel_mode(struct plex86_core *core, uint64_t icount)
{
	if (core->verify)
		plex86_verify_left(core->verify, icount);
	plex86_core_account(core, icount);
	plex86_policy_kernel(&core->policy, icount);
	core->user = false;
	core->sample_ns = 0;
	if (core->last)
		plex86_laps_end(&core->last->laps, &core->lap, icount);
	core->lap.most = 0;
}

/*
 * Measures emulation speed over stretches that plan() asked for: both ends are
 * in user mode with nothing else in between.
 */
static void sample_speed(struct plex86_core *core, uint64_t icount)
{
	uint64_t insns = icount - core->sample_icount, now;
	double ns;

	if (core->samples++ % 16 > 1)
		return;
	now = plex86_thread_ns();
	if (core->sample_ns && insns > 1000) {
		ns = (double)(now - core->sample_ns) / insns;
		if (ns > INSN_NS_MIN && ns < INSN_NS_MAX)
			plex86_policy_speed(&core->policy, ns);
	}
	core->sample_ns = now;
	core->sample_icount = icount;
}

/* The root alone is enough for a guess; the slice looks at the whole key. */
static bool is_root(const struct plex86_shadow *s, uint64_t cr3)
{
	/* PAE's is of 32 bytes, so that many processes can have theirs in one page. */
	const uint64_t mask = s->paging.mode == PLEX86_PAGING_PAE ? PLEX86_PAE_ROOT : PLEX86_PTE_ADDR;

	return ((s->paging.root ^ cr3) & mask) == 0;
}

static bool any_space(struct plex86_core *core, uint64_t cr3)
{
	uint32_t i;

	if (core->last && core->last->lived && is_root(core->last, cr3))
		return true;
	for (i = 0; i < core->world.nspaces; i++)
		if (core->world.spaces[i]->lived && is_root(core->world.spaces[i], cr3))
			return true;
	return false;
}

void plex86_core_leave_page(struct plex86_core *core, struct plex86_wait *wait)
{
	core->emulating = PLEX86_BY_FILTER;
	wait->ticks = core->policy.break_even;
	wait->leave_page = true;
}

/* To be emulated, as it is being measured? */
static bool measure_lap(struct plex86_core *core, const struct plex86_place *at,
			struct plex86_wait *wait)
{
	struct plex86_shadow *s = core->last;

	if (!s || !is_root(s, at->cr3) || always(core) ||
	    !plex86_laps_go_on(&s->laps, &core->lap, (plex86_gva_t){ at->fetched }, at->icount)) {
		core->lap.most = 0;
		return false;
	}
	plex86_core_leave_page(core, wait);
	wait->ticks = core->lap.most;
	wait->surely = true;
	return true;
}

/* A slice may have been charged for more than Bochs's clock has gone on since. */
static uint64_t since(uint64_t icount, const struct plex86_place *at)
{
	return at->icount > icount ? at->icount - icount : 0;
}

bool plex86_core_plan(struct plex86_core *core, const struct plex86_place *at,
		      struct plex86_wait *wait)
{
	struct plex86_shadow *s = core->last;
	enum plex86_plan plan;

	plex86_core_account(core, at->icount);
	core->stats.asked++;
	if (!core->was_asked)
		core->stats.entries_asked++;
	core->was_asked = true;
	wait->leave_page = wait->surely = false;
	/* All that could run natively until the event is cheaper, emulated, than one trip. */
	if (plex86_clock_ns(&core->clock, at->ticks_left) * PLEX86_NATIVE_INSNS_PER_NS <
		    core->policy.break_even && !always(core)) {
		core->emulating = PLEX86_BY_POLICY;
		wait->ticks = at->ticks_left + 1;
		return false;
	}
	if (core->lap.most && measure_lap(core, at, wait))
		return false;
	plan = plex86_policy_plan(&core->policy, at->cr3, at->rip, at->icount,
				  core->ops && any_space(core, at->cr3), &wait->ticks);
	if (plan == PLEX86_PLAN_EMULATE && !always(core)) {
		core->emulating = PLEX86_BY_POLICY;
		sample_speed(core, at->icount);
		return false;
	}
	if (core->pause && !always(core)) {
		core->pause = false;
		plex86_core_leave_page(core, wait);
		return false;
	}
	/* Still in the page that stopped the last slice?  Saves the export, for a while. */
	if (core->stuck && s && is_root(s, at->cr3) &&
	    ((at->rip ^ core->stuck_rip) & PLEX86_PAGE_MASK) == 0 &&
	    since(core->stuck_icount, at) < STUCK_TRIPS * core->policy.break_even) {
		plex86_traps_blame(&s->traps, (plex86_gva_t){ at->fetched },
				   since(core->blamed_icount, at));
		core->blamed_icount = at->icount;
		plex86_core_leave_page(core, wait);
		return false;
	}
	return true;
}
