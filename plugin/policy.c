/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "policy.h"

/* Creating a space and filling it costs about this many round trips. */
#define SPACE_ROUND_TRIPS 60

#define HOT_MAX 32

/* The root of page tables says in which of so many places an account can be. */
#define WAYS 4

/* One instruction on, wherever that may be. */
#define ANYWHERE UINT64_MAX

/* A process can lose this many round trips of what it has earned before it is in the red. */
#define CREDIT_MAX 6

/* The first time in the red emulation goes on for twice the loss, at last for 2^MAX. */
#define STRIKES_MAX 7

/* In round trips, what of a loss counts so.  More than that has gone into pages, which are mapped now ... */
#define LOSS_MAX 4

/* ... but not so many times in turn: then it goes on, and doubles what all of the loss counts. */
#define LARGE_LOSSES 2

/*
 * Natively a burst seems to be longer than it is if the caches are cold or the host is slow.  So one
 * of so many that began at the same place and went native is counted in Bochs.
 */
#define COUNT_EVERY 64

/* Bounds of the learned factor for space_worth, in quarters. */
#define SCALE_UNIT 4
#define SCALE_MAX (32 * SCALE_UNIT)

static void set_break_even(struct plex86_policy *p)
{
	p->break_even = (uint64_t)(p->round_trip_ns / p->insn_ns);
	if (p->break_even < 100)
		p->break_even = 100;
	p->space_worth = SPACE_ROUND_TRIPS * p->break_even * p->space_scale / SCALE_UNIT;
}

void plex86_policy_init(struct plex86_policy *p, double round_trip_ns, double insn_ns)
{
	memset(p, 0, sizeof(*p));
	p->round_trip_ns = (uint64_t)round_trip_ns;
	p->insn_ns = insn_ns;
	p->space_scale = SCALE_UNIT;
	p->now = &p->accounts[0];
	set_break_even(p);
}

void plex86_policy_speed(struct plex86_policy *p, double sample)
{
	/* Rather too fast than too slow: cold code, a boot's say, must not set the pace. */
	p->insn_ns += (sample - p->insn_ns) / (sample < p->insn_ns ? 8 : 64);
	set_break_even(p);
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
		b->native = 0;
	}
	return b;
}

/* That of @root, or of those that share its places the one that was not wanted for longest. */
static struct plex86_account *place_of(struct plex86_policy *p, uint64_t root)
{
	struct plex86_account *a = &p->accounts[mix(root) % (PLEX86_POLICY_PROCESSES / WAYS) * WAYS];
	struct plex86_account *oldest = a, *end = a + WAYS;

	for (; a < end; a++) {
		if (a->root == root)
			return a;
		if (a->wanted < oldest->wanted)
			oldest = a;
	}
	return oldest;
}

static void new_account(struct plex86_policy *p, struct plex86_account *a, uint64_t root)
{
	memset(a, 0, sizeof(*a));
	a->root = root;
	a->wanted = ++p->looked_up;
}

static struct plex86_account *account(struct plex86_policy *p, uint64_t root)
{
	struct plex86_account *a = place_of(p, root);

	if (a->root != root)
		new_account(p, a, root);
	a->wanted = ++p->looked_up;
	return a;
}

/* The process at hand has been emulated up to @icount. */
static void advance(struct plex86_policy *p, uint64_t icount)
{
	struct plex86_account *a = p->now;
	uint64_t n = icount > p->start ? icount - p->start : 0;	/* a reset begins at 0 again */

	p->start = icount;
	p->age += n;
	a->emulated += n;
	a->length += n;
	a->wait = a->wait > n ? a->wait - n : 0;
}

uint64_t plex86_policy_user(struct plex86_policy *p, uint64_t root, uint64_t icount)
{
	struct plex86_account *a = p->now;

	if (a->root != root)
		a = p->now = account(p, root);
	p->start = icount;
	p->age = 0;
	p->continuing = false;
	if (a->resume)
		return 0;	/* the same burst goes on, if RIP is the same too */
	a->begun = a->counted = false;
	a->length = 0;
	if (a->wait > p->break_even)
		return a->wait;
	if (a->hot) {
		a->hot--;
		return 0;
	}
	return p->break_even;
}

/* A space that did not earn what it cost makes the next ones dearer. */
static void settle(struct plex86_policy *p, struct plex86_account *a)
{
	if (!a->has_space)
		return;
	if (a->profit < 0)
		p->space_scale = 2 * p->space_scale < SCALE_MAX ? 2 * p->space_scale : SCALE_MAX;
	else if (p->space_scale > SCALE_UNIT)
		p->space_scale--;
	set_break_even(p);
}

void plex86_policy_reborn(struct plex86_policy *p, uint64_t root)
{
	struct plex86_account *a = account(p, root);

	settle(p, a);
	new_account(p, a, root);
}

void plex86_policy_gave_up(struct plex86_policy *p, uint64_t root)
{
	struct plex86_account *a = place_of(p, root);

	if (a->root != root || !a->has_space)
		return;
	settle(p, a);
	a->has_space = false;
	a->emulated = 0;
}

void plex86_policy_kernel(struct plex86_policy *p, uint64_t icount)
{
	struct plex86_account *a = p->now;
	struct plex86_burst *b;
	uint64_t length;

	advance(p, icount);
	if (!a->begun || a->resume)
		return;
	length = a->length < UINT32_MAX / 4 ? a->length : UINT32_MAX / 4;
	b = burst(p, a->root, a->rip);
	b->length = b->length && !a->counted ? (3 * (uint64_t)b->length + length) / 4 + 1 : length + 1;
	a->begun = a->counted = false;
}

/* After how many instructions to go native, in a burst that began as this one did. */
static uint64_t patience(const struct plex86_policy *p, struct plex86_account *a, struct plex86_burst *b)
{
	const uint64_t pays = p->break_even + p->break_even / 2;

	if (!b->length)
		return p->break_even;
	if (b->length > pays) {
		a->counted = a->counted || ++b->native % COUNT_EVERY == 0;
		return a->counted ? 2 * pays : 0;
	}
	return 2 * (uint64_t)b->length > p->break_even ? 2 * (uint64_t)b->length : p->break_even;
}

enum plex86_plan plex86_policy_plan(struct plex86_policy *p, uint64_t root, uint64_t rip,
				    uint64_t icount, bool has_space, uint64_t *emulate)
{
	struct plex86_account *a = p->now;
	uint64_t need = 0;

	if (a->root != root)
		a = p->now = account(p, root);
	advance(p, icount);
	if (a->resume) {
		a->resume = false;
		if (has_space && !a->wait && (a->resume_rip == ANYWHERE || rip == a->resume_rip))
			return PLEX86_PLAN_NATIVE;
		a->begun = a->counted = false;
		a->length = 0;
	}
	if (!p->continuing) {
		if (!a->begun && p->age < p->break_even / 2) {
			a->begun = true;
			a->rip = rip;
		}
		need = a->begun ? patience(p, a, burst(p, root, a->rip)) : p->break_even;
	}
	need = need > p->age ? need - p->age : 0;
	if (need < a->wait)
		need = a->wait;
	if (!has_space && a->emulated < p->space_worth && need < p->space_worth - a->emulated)
		need = p->space_worth - a->emulated;
	if (need) {
		*emulate = need;
		return PLEX86_PLAN_EMULATE;
	}
	if (!has_space) {
		a->has_space = true;
		a->profit = -(int64_t)(SPACE_ROUND_TRIPS * p->break_even);
	}
	a->counted = false;	/* it is long */
	a->hot = HOT_MAX;
	return PLEX86_PLAN_NATIVE;
}

static void book(struct plex86_policy *p, struct plex86_account *a, int64_t earned, int64_t cost)
{
	int64_t most = CREDIT_MAX * (int64_t)p->break_even;
	uint64_t loss, counts = LOSS_MAX * p->break_even;
	unsigned int times = 0;

	a->profit += earned - cost;
	a->credit += earned - cost;
	if (a->credit > most)
		a->credit = most;
	if (earned > 2 * cost) {
		a->large = 0;
		if (a->strikes)
			a->strikes -= a->strikes > 1 ? 2 : 1;
	}
	if (a->credit >= 0)
		return;
	if (a->strikes < STRIKES_MAX)
		a->strikes++;
	loss = -a->credit;
	if (counts >= loss) {
		counts = loss;
	} else {
		if (a->large < LARGE_LOSSES + STRIKES_MAX)
			a->large++;
		if (a->large > LARGE_LOSSES)
			times = a->large - LARGE_LOSSES;
	}
	a->wait = ((loss - counts) << times) + (counts << a->strikes);
	a->credit = 0;
}

void plex86_policy_ran(struct plex86_policy *p, enum plex86_slice_end end, uint64_t own_ns,
		       uint64_t cost_ns, uint64_t root, uint64_t rip, uint64_t before,
		       uint64_t after)
{
	struct plex86_account *a = p->now;
	uint64_t earned = own_ns * PLEX86_NATIVE_INSNS_PER_NS, cost;

	if (a->root != root)
		a = p->now = account(p, root);
	advance(p, before);
	p->start = after;
	p->age = 0;
	a->length += earned;
	a->hot = HOT_MAX;
	p->continuing = end != PLEX86_SLICE_ASYNC;
	a->resume = end == PLEX86_SLICE_ASYNC || end == PLEX86_SLICE_FAULT;
	a->resume_rip = end == PLEX86_SLICE_FAULT ? ANYWHERE : rip;
	cost = (uint64_t)((double)cost_ns / p->insn_ns);
	book(p, a, (int64_t)earned, (int64_t)cost);
	/* Who came upon a page for Bochs at a loss may do so again soon: a loop calls into it. */
	if (end == PLEX86_SLICE_STUCK && earned < cost && a->wait < cost - earned)
		a->wait = cost - earned;
}
