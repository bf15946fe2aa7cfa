/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "policy.h"

/* Creating a space and filling it costs about this many round trips. */
#define SPACE_ROUND_TRIPS 20

/*
 * Instructions that a native nanosecond is worth, as emulated ones: only the
 * order of magnitude matters, to tell long bursts from short.
 */
#define NATIVE_INSNS_PER_NS 3

#define HOT_MAX 32
#define STRIKES_MAX 6
#define PENALTY_MAX 10

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
		b->length = 0;
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
	p->continuing = false;
	p->strikes = 0;
	if (p->resume && root == p->resume_root)
		return 0;	/* the same burst goes on, if RIP is the same too */
	p->resume = false;
	p->begun = false;
	p->native_ns = p->emulated = 0;
	if (s->hot) {
		s->hot--;
		return 0;
	}
	return p->break_even;
}

void plex86_policy_reborn(struct plex86_policy *p, uint64_t root)
{
	struct plex86_worth *s = worth(p, root);

	s->emulated = 0;
	s->hot = s->penalty = 0;
}

void plex86_policy_kernel(struct plex86_policy *p, uint64_t icount)
{
	struct plex86_burst *b;
	uint64_t length;

	if (!p->begun || p->resume)
		return;
	length = p->emulated + (icount - p->start) + p->native_ns * NATIVE_INSNS_PER_NS;
	if (length > UINT32_MAX / 4)
		length = UINT32_MAX / 4;
	b = burst(p, p->root, p->rip);
	b->length = b->length ? (3 * (uint64_t)b->length + length) / 4 + 1 : length + 1;
	p->begun = false;
}

/* After how many instructions to go native, in a burst that began as this one did. */
static uint64_t patience(const struct plex86_policy *p, const struct plex86_burst *b)
{
	if (!b->length)
		return p->break_even;
	if (b->length > p->break_even + p->break_even / 2)
		return 0;
	return 2 * (uint64_t)b->length > p->break_even ? 2 * (uint64_t)b->length : p->break_even;
}

enum plex86_plan plex86_policy_plan(struct plex86_policy *p, uint64_t root, uint64_t rip,
				    uint64_t icount, bool has_space, uint64_t *emulate)
{
	uint64_t need = p->break_even << p->strikes, age = icount - p->start;
	struct plex86_worth *s = worth(p, root);

	if (p->resume) {
		p->resume = false;
		if (has_space && root == p->resume_root && rip == p->resume_rip)
			return PLEX86_PLAN_NATIVE;
		p->begun = false;
		p->native_ns = p->emulated = 0;
	}
	if (p->continuing) {
		/*
		 * Still in user mode: not a system call ended the slice, but an
		 * instruction or a page for Bochs.  A program that keeps running
		 * into those is left to it more and more.
		 */
		if (p->bounced && s->penalty < PENALTY_MAX)
			s->penalty++;
		p->bounced = false;
		if (has_space && !p->strikes && !s->penalty)
			return PLEX86_PLAN_NATIVE;
	} else {
		if (!p->begun && age < p->break_even / 2) {
			p->begun = true;
			p->root = root;
			p->rip = rip;
		}
		if (p->begun)
			need = patience(p, burst(p, p->root, p->rip));
		if (!need && !has_space)
			need = p->break_even;
	}
	if (s->penalty && need < p->break_even << s->penalty)
		need = p->break_even << s->penalty;
	if (age < need) {
		*emulate = need - age;
		return PLEX86_PLAN_EMULATE;
	}
	s->hot = HOT_MAX;
	if (has_space)
		return PLEX86_PLAN_NATIVE;
	s->emulated += age;
	if (s->emulated >= p->space_worth)
		return PLEX86_PLAN_NATIVE;
	p->emulated += age;
	p->start = icount;
	*emulate = p->space_worth - s->emulated;
	return PLEX86_PLAN_EMULATE;
}

void plex86_policy_ran(struct plex86_policy *p, enum plex86_slice_end end, uint64_t ran_ns,
		       uint64_t root, uint64_t rip, uint64_t before, uint64_t after)
{
	struct plex86_worth *s;

	p->emulated += before - p->start;
	p->start = after;
	p->native_ns += ran_ns > p->round_trip_ns ? ran_ns - p->round_trip_ns : 0;
	p->continuing = end != PLEX86_SLICE_ASYNC;
	p->resume = end == PLEX86_SLICE_ASYNC;
	if (p->resume) {
		p->resume_root = root;
		p->resume_rip = rip;
		return;
	}
	s = worth(p, root);
	s->hot = HOT_MAX;
	p->bounced = ran_ns < (end == PLEX86_SLICE_STUCK ? 8 : 2) * p->round_trip_ns;
	if (s->penalty && ran_ns >= 8 * p->round_trip_ns)
		s->penalty--;
	if (end == PLEX86_SLICE_STEP && ran_ns >= 2 * p->round_trip_ns)
		p->strikes = 0;
	else if (p->strikes < STRIKES_MAX)
		p->strikes++;
}
