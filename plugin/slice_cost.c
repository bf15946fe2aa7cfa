/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a slice took: the guest is charged for the time that was its own, and the
 * policy is told of the rest.
 */
#include "slice.h"

/* What caches that the switch has emptied take of a run: nothing that emulation would. */
#define COLD_NS 2000

/*
 * The same of each operation that has gone before it: a mapping that is touched for the first time is a
 * fault in the host's kernel (a run of pages, some walks of its tables), and what was mapped otherwise has
 * left the TLB.  With nothing for it a loop of fork() and exec() seems to earn, and is 2 to 8 % slower.
 */
#define COLD_MAP_NS 500

/*
 * Short runs after which the least of them counts: so many that a loop that does the same all the
 * time, and ends in system calls, has been cut off early by a few timer ticks meanwhile.
 */
#define TRIP_WINDOW 1024

/* The same of those that end by #UD, which no loop of a program does. */
#define UNDEFINED_WINDOW 64

/*
 * #UD takes up to so many times what other traps take, and varies by more than the code
 * between two of them does: in a virtual machine an outer hypervisor looks at each first
 * (16 to 70 us were seen).  So what may be that earns nothing.
 */
#define UNDEFINED_DOUBT 4

/* A trip is believed to have cost more than usual if it took so many times that ... */
#define TRIP_DOUBT 2

/* ... but not more than so many times. */
#define TRIP_MAX 4

static uint64_t beyond(uint64_t ns, uint64_t least)
{
	return ns > least ? ns - least : 0;
}

/* How much dearer a trip to this space is than to one without traps. */
static uint64_t extra_ns(const struct plex86_caps *caps, const struct plex86_shadow *s)
{
	return (s->traps.npages ? caps->traps_extra_ns : 0) +
	       (s->tsc_traps ? caps->tsc_extra_ns : 0);
}

void plex86_cost_of_maps(struct plex86_run *run)
{
	const struct plex86_caps *caps = run->core->caps;

	run->maps_ns = 0;
	run->maps = run->space->nops;
	if (run->maps)
		run->maps_ns = caps->round_trip_ns + run->maps * caps->map_page_ns;
	run->cost_ns += run->maps_ns;
}

/*
 * What of a run's time is the engine's own, in this space: the least of the last
 * @window short runs, so that neither a cold cache nor code that really ran counts.
 */
static void learn_trip(struct plex86_trip *t, unsigned int window, uint64_t usual_ns, uint64_t ran_ns)
{
	if (ran_ns > 4 * usual_ns)
		return;
	if (!t->runs || ran_ns < t->least)
		t->least = ran_ns;
	if (ran_ns < t->ns || ++t->runs == window) {
		t->ns = t->least;
		t->runs = 0;
	}
}

/*
 * What a trip of @took ns has cost beside @other, the guest's own and mapping: what the
 * engine measured when it opened, or much more, if a process woke on another core or a
 * timer fired in vain; but not what the host did with the core meanwhile.
 */
static uint64_t overhead(const struct plex86_caps *caps, uint64_t usual, uint64_t took,
			 uint64_t other)
{
	uint64_t more = beyond(took, other);

	if (more > TRIP_MAX * caps->round_trip_ns)
		more = TRIP_MAX * caps->round_trip_ns;
	return more > TRIP_DOUBT * usual ? more : usual;
}

void plex86_cost_of_run(struct plex86_run *run, const struct plex86_exit *exit, uint64_t budget_ns,
			uint64_t took)
{
	struct plex86_core *core = run->core;
	struct plex86_shadow *s = run->space;
	uint64_t usual = core->caps->trip_ran_ns + extra_ns(core->caps, s), total, own, doubtful;

	if (exit->reason == PLEX86_EXIT_TRAP && exit->vector == PLEX86_VECTOR_UD) {
		learn_trip(&s->undefined, UNDEFINED_WINDOW, UNDEFINED_DOUBT * usual, exit->ran_ns);
		own = beyond(exit->ran_ns, s->undefined.ns);
		doubtful = (UNDEFINED_DOUBT - 1) * s->undefined.ns;
	} else {
		learn_trip(&s->trip, TRIP_WINDOW, usual, exit->ran_ns);
		/* For those to come; few processes live long enough to learn it themselves. */
		if (!extra_ns(core->caps, s))
			learn_trip(&s->world->trip, TRIP_WINDOW, usual, exit->ran_ns);
		own = beyond(exit->ran_ns, s->trip.ns);
		doubtful = COLD_NS + run->maps * COLD_MAP_NS;
	}
	run->own_ns += beyond(own, doubtful);
	run->cost_ns += overhead(core->caps, core->caps->round_trip_ns + extra_ns(core->caps, s),
				 took, own + run->maps_ns) +
			PLEX86_SLICE_NS;
	/* A deadline that has passed has passed, or it would never be reached. */
	if (exit->reason == PLEX86_EXIT_DEADLINE && own < budget_ns)
		own = budget_ns;
	total = run->slice->ticks + core->clock.debt + plex86_clock_charge(&core->clock, own);
	core->clock.debt = 0;
	run->slice->ticks = total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
	core->stats.native_ns += exit->ran_ns;
}
