/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a slice can't be, or can't go on: what the log is told, once for each reason,
 * and how long Bochs is left alone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "slice.h"

/* How long a burst stays with Bochs after a state that can't be entered. */
#define REFUSED_TICKS 20000u

/* The same if a few instructions will change it. */
#define SOON_TICKS 100u
#define SOON_TIMES 8

/*
 * Lost spaces that are made again at once; each one after them doubles the time
 * without, up to some seconds, and so does one that can't be made.  Forgotten when
 * there was none for a while.
 */
#define LOSSES_FREE 3
#define LOSSES_DOUBLED 14
#define SPARED_TICKS_MAX ((uint64_t)REFUSED_TICKS << LOSSES_DOUBLED)
#define LOSSES_FORGOTTEN_TICKS 200000000u

/* Each reason goes to the log once; an engine's own reasons are static strings. */
static bool first_time(struct plex86_core *core, enum plex86_refusal r, const char *detail)
{
	unsigned int i;

	if (!detail) {
		if (core->told & (1u << r))
			return false;
		core->told |= 1u << r;
		return true;
	}
	for (i = 0; i < TOLD_DETAILS; i++) {
		if (core->told_detail[i] == detail)
			return false;
		if (!core->told_detail[i]) {
			core->told_detail[i] = detail;
			return true;
		}
	}
	return false;
}

enum plex86_verdict plex86_refuse(struct plex86_run *run, enum plex86_refusal r, const char *detail)
{
	struct plex86_core *core = run->core;
	char line[200];

	core->stats.refused[r]++;
	core->emulating = r;
	if (first_time(core, r, detail)) {
		snprintf(line, sizeof(line), "user code is left to Bochs: %s%s%s",
			 plex86_refusal_name(r), detail ? ": " : "", detail ? detail : "");
		core->host->log(PLEX86_LOG_INFO, line);
	}
	if (r == PLEX86_REFUSE_UPPER_HALF && core->soon < SOON_TIMES) {
		run->slice->wait.ticks = SOON_TICKS << core->soon++;
		return PLEX86_EMULATE;
	}
	/* The state was exported for nothing; where burst after burst is refused, the account will know. */
	plex86_policy_ran(&core->policy, PLEX86_SLICE_STUCK, 0, PLEX86_SLICE_NS, run->slice->cr3,
			  run->cpu->rip, run->slice->icount, run->slice->icount);
	run->slice->wait.ticks = REFUSED_TICKS;
	return PLEX86_EMULATE;
}

/*
 * Each loss in a row, but for the first few, doubles the time without spaces.  One that could not be
 * made counts as one until the next can.
 */
static void spare(struct plex86_core *core, uint64_t icount)
{
	unsigned int doubled;

	if (icount > core->spare_until + LOSSES_FORGOTTEN_TICKS)
		core->losses = 0;
	core->spare_until = icount;
	if (++core->losses <= LOSSES_FREE)
		return;
	doubled = core->losses - LOSSES_FREE;
	core->spare_until += (uint64_t)REFUSED_TICKS
			     << (doubled < LOSSES_DOUBLED ? doubled : LOSSES_DOUBLED);
	if (doubled == LOSSES_DOUBLED)
		core->host->log(PLEX86_LOG_ERROR, "spaces are lost again and again, or can't be made: "
				"user code is left to Bochs most of the time");
}

void plex86_lose(struct plex86_run *run, const char *why)
{
	struct plex86_core *core = run->core;
	char line[200];

	if (!core->world.stats.spaces_lost++) {
		snprintf(line, sizeof(line),
			 "a space was lost (%s); the guest goes on, the space is made again", why);
		core->host->log(PLEX86_LOG_ERROR, line);
	}
	spare(core, run->slice->icount);
	core->last = NULL;
	plex86_space_kill(run->space);
	run->space = NULL;
}

void plex86_broken(struct plex86_run *run, const char *why)
{
	struct plex86_core *core = run->core;
	char line[200];

	/* Verify mode puts the state back. */
	if (core->stats.exits[PLEX86_EXIT_BROKEN] > 1 || core->verify)
		return;
	snprintf(line, sizeof(line), "a program of the guest's goes on with wrong registers: %s",
		 why);
	core->host->log(PLEX86_LOG_ERROR, line);
}

uint64_t plex86_spared_ticks(const struct plex86_run *run)
{
	uint64_t until = run->core->spare_until, now = run->slice->icount;

	/* A reset of the guest's CPU begins at 0 again. */
	return now < until && until - now <= SPARED_TICKS_MAX ? until - now : 0;
}

const char *plex86_failure(int err)
{
	if (err == -ENOMEM)
		return "out of memory, of memory that may be locked (ulimit -l), or of mappings "
		       "(sysctl vm.max_map_count)";
	return strerror(-err);
}

/* Static strings, as plex86_refuse() wants them. */
static const char *why_no_space(int err)
{
	switch (err) {
	case -ENOMEM:
		return "no space can be made: out of memory";
	case -EAGAIN:
		return "no space can be made: too many processes (ulimit -u, pids.max)";
	case -EMFILE:
	case -ENFILE:
		return "no space can be made: too many open files (ulimit -n)";
	default:
		return "no space can be made";
	}
}

enum plex86_verdict plex86_no_space(struct plex86_run *run, int err)
{
	spare(run->core, run->slice->icount);
	run->core->no_room = true;
	return plex86_refuse(run, PLEX86_REFUSE_ENGINE, why_no_space(err));
}
