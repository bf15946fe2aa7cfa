/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "policy.h"

/* A slice pays if it ran this many round trips long. */
#define WORTH 1

/* Creating a space and filling it costs about this many round trips. */
#define SPACE_ROUND_TRIPS 20

#define SCORE_MAX 3
#define HOT_MAX 32
#define STRIKES_MAX 6

static void set_break_even(struct plex86_policy *p, double insn_ns)
{
	p->break_even = (uint64_t)(p->round_trip_ns / insn_ns);
	if (p->break_even < 100)
		p->break_even = 100;
	p->space_worth = SPACE_ROUND_TRIPS * p->break_even;
}

void plex86_policy_init(struct plex86_policy *p, double round_trip_ns, double insn_ns)
{
	memset(p, 0, sizeof(*p));
	p->round_trip_ns = (uint64_t)round_trip_ns;
	set_break_even(p, insn_ns);
}

void plex86_policy_speed(struct plex86_policy *p, double *insn_ns, double sample)
{
	*insn_ns += (sample - *insn_ns) / 16;
	set_break_even(p, *insn_ns);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 29;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	return x ^ (x >> 32);
}

static struct plex86_burst *burst(struct plex86_policy *p, uint64_t root, uint64_t rip)
{
	uint64_t h = mix(root + mix(rip));
	struct plex86_burst *b = &p->bursts[h % PLEX86_POLICY_BURSTS];
	uint32_t tag = h >> 32;

	if (b->tag != tag) {
		b->tag = tag;
		b->score = 0;
	}
	return b;
}

static struct plex86_worth *worth(struct plex86_policy *p, uint64_t root)
{
	struct plex86_worth *s = &p->spaces[mix(root) % PLEX86_POLICY_SPACES];

	if (s->root != root) {
		memset(s, 0, sizeof(*s));
		s->root = root;
	}
	return s;
}

uint64_t plex86_policy_user(struct plex86_policy *p, uint64_t root, uint64_t icount)
{
	struct plex86_worth *s = worth(p, root);

	p->start = icount;
	p->begun = p->predicted = p->continuing = false;
	p->strikes = 0;
	if (p->resume && root == p->resume_root)
		return 0;
	p->resume = false;
	if (s->hot) {
		s->hot--;
		return 0;
	}
	return p->break_even;
}

enum plex86_plan plex86_policy_plan(struct plex86_policy *p, uint64_t root, uint64_t rip,
				    uint64_t icount, bool has_space, uint64_t *emulate)
{
	uint64_t need = p->break_even << p->strikes, age = icount - p->start;
	struct plex86_worth *s;

	if (p->resume) {
		p->resume = false;
		if (has_space && root == p->resume_root && rip == p->resume_rip)
			return PLEX86_PLAN_NATIVE;
	}
	if (p->continuing && has_space && !p->strikes)
		return PLEX86_PLAN_NATIVE;
	if (!p->begun && age < p->break_even) {
		p->begun = true;
		p->root = root;
		p->rip = rip;
		if (has_space && burst(p, root, rip)->score > 0) {
			p->predicted = true;
			return PLEX86_PLAN_NATIVE;
		}
	}
	if (age < need) {
		*emulate = need - age;
		return PLEX86_PLAN_EMULATE;
	}
	/* It has outlived a round trip: remember where such bursts begin. */
	s = worth(p, root);
	s->hot = HOT_MAX;
	if (p->begun && burst(p, p->root, p->rip)->score < SCORE_MAX)
		burst(p, p->root, p->rip)->score++;
	if (has_space)
		return PLEX86_PLAN_NATIVE;
	s->emulated += age;
	if (s->emulated >= p->space_worth)
		return PLEX86_PLAN_NATIVE;
	p->start = icount;
	*emulate = p->space_worth - s->emulated;
	return PLEX86_PLAN_EMULATE;
}

void plex86_policy_ran(struct plex86_policy *p, enum plex86_slice_end end, uint64_t ran_ns,
		       uint64_t root, uint64_t rip, uint64_t icount)
{
	struct plex86_worth *s = worth(p, root);
	bool paid = ran_ns >= WORTH * p->round_trip_ns;

	p->start = icount;
	p->continuing = end != PLEX86_SLICE_ASYNC;
	p->resume = end == PLEX86_SLICE_ASYNC;
	if (p->resume) {
		p->resume_root = root;
		p->resume_rip = rip;
		return;
	}
	if (paid && end != PLEX86_SLICE_STUCK) {
		p->strikes = 0;
		s->hot = HOT_MAX;
		if (p->predicted && burst(p, p->root, p->rip)->score < SCORE_MAX)
			burst(p, p->root, p->rip)->score++;
	} else {
		if (p->strikes < STRIKES_MAX)
			p->strikes++;
		if (p->predicted && burst(p, p->root, p->rip)->score > -SCORE_MAX)
			burst(p, p->root, p->rip)->score--;
	}
	p->predicted = false;
}
