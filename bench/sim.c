/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "bench/sim.h"
#include "plugin/clock.h"
#include "plugin/policy.h"

/* As plugin/core.c and plugin/slice_cost.c have it. */
#define INSN_NS_GUESS 3.0
#define COLD_NS 2000.0
#define SAMPLE_INSNS 1000

enum space { NONE, LIVING, DEAD };	/* DEAD: of the process that was there before */

struct replay {
	const struct sim_params *params;
	struct sim_result *result;
	struct plex86_policy policy;
	struct plex86_clock clock;
	uint64_t icount, sampled;
	uint8_t spaces[SIM_ROOTS];
};

static double trip_cost(const struct sim_params *p)
{
	return p->trip + p->slice + p->cold;
}

/* Page tables of the guest are pages. */
static uint64_t cr3(const struct sim_burst *b)
{
	return ((uint64_t)b->root + 1) << 12;
}

/* Of @n instructions to the end of a burst, how many run natively up to the next exit. */
static uint64_t stretch(const struct sim_params *p, const struct sim_burst *b, uint64_t n)
{
	if (p->trap && (double)n > p->trap)
		return (uint64_t)p->trap;
	return n && b->end == 's' ? n - 1 : n;
}

static uint64_t emulate(struct replay *r, uint64_t n)
{
	r->icount += n;
	r->result->policy += (double)n * r->params->insn;
	return n;
}

/* Bochs emulates and looks at its watch now and then. */
static void measure(struct replay *r)
{
	const struct sim_params *p = r->params;

	if (r->icount - r->sampled > SAMPLE_INSNS)
		plex86_policy_speed(&r->policy, p->belief ? p->belief : p->insn);
	r->sampled = r->icount;
}

/* Goes native with @left instructions to come, and emulates the one that ended it. */
static uint64_t slice(struct replay *r, const struct sim_burst *b, uint64_t left)
{
	const struct sim_params *p = r->params;
	uint64_t n = stretch(p, b, left), before = r->icount;
	double own = (double)n * p->native + p->cold;
	bool async = n == left && b->end == 'i';

	r->result->trips++;
	r->result->policy += p->trip + p->slice + own;
	r->icount += plex86_clock_charge(&r->clock, (uint64_t)own);
	plex86_policy_ran(&r->policy, async ? PLEX86_SLICE_ASYNC : PLEX86_SLICE_STEP,
			  own > COLD_NS ? (uint64_t)(own - COLD_NS) : 0,
			  (uint64_t)(p->trip + p->slice), cr3(b),
			  async ? b->resume : b->rip + b->length - left + n, before, r->icount);
	r->sampled = r->icount;
	return n < left ? n + emulate(r, 1) : n;
}

static void replay_burst(struct replay *r, const struct sim_burst *b)
{
	uint64_t left = b->length, wait;
	uint8_t *space = &r->spaces[b->root];

	if (b->fresh && *space == LIVING)
		*space = DEAD;
	wait = plex86_policy_user(&r->policy, cr3(b), r->icount);
	while (!wait || wait < left) {
		left -= emulate(r, wait);
		r->result->asked++;
		r->result->policy += r->params->ask;
		if (plex86_policy_plan(&r->policy, cr3(b), b->rip + b->length - left, r->icount,
				       *space != NONE, &wait) == PLEX86_PLAN_EMULATE) {
			measure(r);
			continue;
		}
		if (*space == DEAD) {
			plex86_policy_reborn(&r->policy, cr3(b));
			*space = NONE;
			wait = r->policy.break_even;
			continue;
		}
		if (*space == NONE) {
			*space = LIVING;
			r->result->spaces++;
			r->result->policy += r->params->space;
		}
		left -= slice(r, b, left);
		if (!left)
			break;
		wait = 0;
	}
	emulate(r, left);
	plex86_policy_kernel(&r->policy, r->icount);
}

static void replay(const struct sim_params *p, const struct sim_trace *t, struct sim_result *result)
{
	struct replay *r = calloc(1, sizeof(*r));
	uint32_t i;

	if (!r)
		abort();
	r->params = p;
	r->result = result;
	r->clock.ips = (uint64_t)p->ips;
	r->icount = 1;
	plex86_policy_init(&r->policy, p->trip, INSN_NS_GUESS);
	for (i = 0; i < t->nbursts; i++) {
		r->icount += t->bursts[i].gap;
		replay_burst(r, &t->bursts[i]);
	}
	free(r);
}

/* All of a burst, natively. */
static double native_cost(const struct sim_params *p, const struct sim_burst *b)
{
	uint64_t left = b->length, n;
	double cost = 0;

	do {
		n = stretch(p, b, left);
		cost += trip_cost(p) + (double)n * p->native;
		left -= n;
		if (left) {
			left--;
			cost += p->insn;
		}
	} while (left);
	return cost;
}

/*
 * Who knows everything takes the cheaper way for each burst, and for each process
 * the cheaper of that with a space and everything in Bochs.
 */
static void compare(const struct sim_params *p, const struct sim_trace *t, struct sim_result *r)
{
	struct { double emulate, best; } *of = calloc(t->processes, sizeof(*of));
	uint32_t i;

	if (!of)
		abort();
	for (i = 0; i < t->nbursts; i++) {
		const struct sim_burst *b = &t->bursts[i];
		double bochs = (double)b->length * p->insn, native = native_cost(p, b);

		r->insns += b->length;
		r->emulate += bochs;
		r->native += native;
		of[b->process].emulate += bochs;
		of[b->process].best += native < bochs ? native : bochs;
	}
	for (i = 0; i < t->processes; i++) {
		r->native += p->space;
		of[i].best += p->space;
		r->optimum += of[i].best < of[i].emulate ? of[i].best : of[i].emulate;
	}
	free(of);
}

void sim_run(const struct sim_params *p, const struct sim_trace *t, struct sim_result *r)
{
	memset(r, 0, sizeof(*r));
	compare(p, t, r);
	replay(p, t, r);
}
