/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a slice took: the guest is charged for the time that was its own, and the
 * policy is told of the rest.
 */
#include "slice.h"

/* What caches that the switch has emptied take of a run: nothing that emulation would. */
#define COLD_NS 1000

/* Short runs after which the least of them counts. */
#define TRIP_WINDOW 64

/* How much dearer a trip to this space is than to one without traps. */
static uint64_t extra_ns(const struct plex86_caps *caps, const struct plex86_shadow *s)
{
	return (s->traps.npages ? caps->traps_extra_ns : 0) +
	       (s->tsc_traps ? caps->tsc_extra_ns : 0);
}

void plex86_cost_of_maps(struct plex86_run *run)
{
	const struct plex86_caps *caps = run->core->caps;

	if (run->space->nops)
		run->cost_ns += caps->round_trip_ns + run->space->nops * caps->map_page_ns;
}

/*
 * What of a run's time is the engine's own, in this space: the least of the last
 * short runs, so that neither a cold cache nor code that really ran counts.
 */
static void learn_trip(const struct plex86_caps *caps, struct plex86_shadow *s, uint64_t ran_ns)
{
	if (ran_ns > 4 * (caps->trip_ran_ns + extra_ns(caps, s)))
		return;
	if (!s->trip_runs || ran_ns < s->trip_least)
		s->trip_least = ran_ns;
	if (ran_ns < s->trip_ns || ++s->trip_runs == TRIP_WINDOW) {
		s->trip_ns = s->trip_least;
		s->trip_runs = 0;
	}
}

void plex86_cost_of_run(struct plex86_run *run, const struct plex86_exit *exit, uint64_t budget_ns)
{
	struct plex86_core *core = run->core;
	struct plex86_shadow *s = run->space;
	uint64_t total, own;

	learn_trip(core->caps, s, exit->ran_ns);
	own = exit->ran_ns > s->trip_ns ? exit->ran_ns - s->trip_ns : 0;
	run->own_ns += own > COLD_NS ? own - COLD_NS : 0;
	run->cost_ns += core->caps->round_trip_ns + extra_ns(core->caps, s) + PLEX86_SLICE_NS;
	/* A deadline that has passed has passed, or it would never be reached. */
	if (exit->reason == PLEX86_EXIT_DEADLINE && own < budget_ns)
		own = budget_ns;
	total = (uint64_t)run->slice->ticks + plex86_clock_charge(&core->clock, own);
	run->slice->ticks = total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
	core->stats.native_ns += exit->ran_ns;
}
