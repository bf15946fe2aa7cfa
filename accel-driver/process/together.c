// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tracer and child on one core.  They never run at the same time, and waking an idle
 * core costs more than the rest of a round trip: 45 us in place of 19, measured in a
 * virtual machine with two cores.
 *
 * The child is told to follow the tracer.  But when the child stops, the scheduler may
 * wake the tracer on another, idle core, and all begins anew.  Where it has been seen
 * to do so, the tracer holds on to its core while it waits, for the next few runs.
 *
 * Code that runs until its deadline makes few trips, and finds the tracer on the other core
 * each time, where its timer woke it.  There it stays where its caches are: to follow took
 * a tenth of its speed from a program that lives in the second level of them.  But not on
 * a core that somebody else wants, too.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "process.h"

/* Runs for which the tracer holds on, once it was moved. */
#define HOLD_RUNS 64

static bool only(cpu_set_t *set, int cpu)
{
	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return false;
	CPU_ZERO(set);
	CPU_SET((size_t)cpu, set);
	return true;
}

void together_begin(struct plex86_engine *e)
{
	cpu_set_t one;

	e->core = sched_getcpu();
	e->held = false;
	if (!e->hold_runs || !only(&one, e->core))
		return;
	e->hold_runs--;
	/* The user's own choice comes back in together_end(). */
	if (!sched_getaffinity(0, sizeof(e->cores), &e->cores))
		e->held = !sched_setaffinity(0, sizeof(one), &one);
}

void together_follow(struct plex86_space *s)
{
	cpu_set_t one;

	if (s->stays && s->cpu >= 0)
		return;
	if (s->engine->core != s->cpu && only(&one, s->engine->core) &&
	    !sched_setaffinity(s->pid, sizeof(one), &one))
		s->cpu = s->engine->core;
}

void together_end(struct plex86_space *s, bool trapped)
{
	struct plex86_engine *e = s->engine;

	s->stays = !trapped && !s->crowded;
	if (e->held)
		sched_setaffinity(0, sizeof(e->cores), &e->cores);
	else if (trapped && sched_getcpu() != e->core)
		e->hold_runs = HOLD_RUNS;
	if (!trapped)
		e->hold_runs = 0;
}
