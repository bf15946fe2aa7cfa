/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin/policy.c: traces of bursts are replayed through it, and what it decides
 * is priced and compared with whoever knows each burst's length beforehand.
 */
#include <string.h>

#include "plugin/policy.h"
#include "tests/tap.h"

#define TRIP 9000.0	/* ns for a round trip */
#define INSN 3.0	/* ns for an instruction in Bochs: break-even at 3,000 */
#define NATIVE 0.3	/* ns for one natively */

static struct plex86_policy p;
static uint64_t icount;
static double cost;	/* ns of the policy's decisions */
static unsigned int trips;

static uint64_t seed;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static void begin(void)
{
	plex86_policy_init(&p, TRIP, INSN);
	icount = 1;
	cost = 0;
	trips = 0;
	seed = 88172645463325252;
}

static uint64_t emulate(uint64_t n, uint64_t left)
{
	n = n < left ? n : left;
	icount += n;
	cost += n * INSN;
	return n;
}

/* Where code calls into a page for Bochs: in loops of so many short rounds, between long stretches. */
#define STRETCH 30000
#define ROUND 30
#define LOOP (50 * ROUND)
#define LOOPS UINT64_MAX

static uint64_t to_next_trap(uint64_t done, uint64_t trap)
{
	uint64_t at = done % (STRETCH + LOOP);

	if (trap != LOOPS)
		return trap;
	return at < STRETCH ? STRETCH - at : ROUND;
}

/*
 * One burst of @length instructions.  Natively every @trap-th one traps and is
 * emulated; 0: only the last one.
 */
static void burst(uint64_t root, uint64_t rip, uint64_t length, uint64_t trap,
		  enum plex86_slice_end end)
{
	uint64_t done, n, ask = 0;
	double ran;

	done = emulate(plex86_policy_user(&p, root, icount), length);
	while (done < length) {
		if (plex86_policy_plan(&p, root, rip + done, icount, true, &ask) == PLEX86_PLAN_EMULATE) {
			done += emulate(ask ? ask : 1, length - done);
			continue;
		}
		n = length - done - 1;
		if (trap && n > to_next_trap(done, trap))
			n = to_next_trap(done, trap);
		ran = n * NATIVE;
		cost += TRIP + ran;
		trips++;
		done += n;
		icount += n;
		plex86_policy_ran(&p, end, ran, TRIP, root, rip + done, icount - n, icount);
		done += emulate(1, length - done);
	}
	plex86_policy_kernel(&p, icount);
}

static double best(uint64_t length)
{
	double native = TRIP + length * NATIVE, bochs = length * INSN;

	return native < bochs ? native : bochs;
}

static uint64_t log_uniform(unsigned int least, unsigned int most)
{
	unsigned int bits = least + next() % (most - least);

	return (UINT64_C(1) << bits) + next() % (UINT64_C(1) << bits);
}

/* Nothing is known of a burst: the ski rental's bound. */
static void unknown_bursts(void)
{
	double opt = 0, plain = 0;
	unsigned int i, worse = 0;
	uint64_t length;

	begin();
	for (i = 0; i < 20000; i++) {
		double before = cost;

		length = log_uniform(4, 20);
		burst(0x1000, UINT64_C(0x400000) + i * 64, length, 0, PLEX86_SLICE_STEP);
		opt += best(length);
		plain += length * INSN;
		worse += cost - before > 2 * best(length) + 2 * INSN;
	}
	tap_diag("unknown: %.2f of the optimum, %.2f of Bochs alone", cost / opt, cost / plain);
	/* After a long burst the next one of the process is looked at once more: no cost here. */
	is(worse, 0, "no single burst costs more than twice the best");
	ok(cost < 1.6 * opt);
	ok(cost < 0.3 * plain);
}

/* The same places, always as long: nearly the best. */
static void regular_bursts(void)
{
	double opt = 0, plain = 0, learning;
	unsigned int i, k;
	uint64_t length[64];

	begin();
	for (k = 0; k < 64; k++)
		length[k] = log_uniform(6, 18);
	for (i = 0; i < 3; i++)
		for (k = 0; k < 64; k++)
			burst(0x2000, 0x400000 + 100 * k, length[k], 0, PLEX86_SLICE_STEP);
	learning = cost;
	for (i = 0; i < 100; i++)
		for (k = 0; k < 64; k++) {
			burst(0x2000, 0x400000 + 100 * k, length[k], 0, PLEX86_SLICE_STEP);
			opt += best(length[k]);
			plain += length[k] * INSN;
		}
	tap_diag("regular: %.2f of the optimum, %.2f of Bochs alone", (cost - learning) / opt,
		 (cost - learning) / plain);
	ok(cost - learning < 1.15 * opt);
}

/* Lengths without any rule at a few places. */
static void random_bursts(void)
{
	static const struct { unsigned int least, most; } range[] = {
		{ 3, 8 }, { 3, 12 }, { 3, 20 }, { 10, 13 }, { 11, 12 }, { 14, 22 },
	};
	unsigned int k, i;

	for (k = 0; k < sizeof(range) / sizeof(range[0]); k++) {
		double opt = 0, plain = 0;

		begin();
		for (i = 0; i < 20000; i++) {
			uint64_t length = log_uniform(range[k].least, range[k].most);

			burst(0x3000, 0x400000 + next() % 8, length, 0, PLEX86_SLICE_STEP);
			opt += best(length);
			plain += length * INSN;
		}
		tap_diag("2^%u..2^%u: %.2f of the optimum, %.2f of Bochs alone", range[k].least,
			 range[k].most, cost / opt, cost / plain);
		tap_ok(cost < 2.1 * opt + 100 * TRIP, "at most about twice the optimum");
		tap_ok(cost < 1.25 * plain + 100 * TRIP, "and not much worse than Bochs alone");
	}
}

/* Short bursts only: native code must not be tried again and again. */
static void short_bursts(void)
{
	unsigned int i;

	begin();
	for (i = 0; i < 100000; i++)
		burst(0x4000, 0x400000 + i % 50, 20 + next() % 500, 0, PLEX86_SLICE_STEP);
	is(trips, 0, "bursts of a few hundred instructions never go native");

	/* Now and then a long one among them, at the same place. */
	begin();
	for (i = 0; i < 100000; i++)
		burst(0x4000, 0x400000, i % 1000 ? 100 : 100000, 0, PLEX86_SLICE_STEP);
	tap_diag("%u round trips for 100 long bursts among 99,900 short ones", trips);
	ok(trips < 3000);
}

/* Code that traps all the time: the policy must give up, and not at once try again. */
static void trapping_code(void)
{
	const uint64_t length = 10000000;
	uint64_t trap;

	for (trap = 10; trap <= 1000; trap *= 10) {
		begin();
		burst(0x5000, 0x400000, length, trap, PLEX86_SLICE_STEP);
		tap_diag("a trap every %llu instructions: %.2f of Bochs alone, %u round trips",
			 (unsigned long long)trap, cost / (length * INSN), trips);
		tap_ok(cost < 1.1 * length * INSN, "a burst that traps every %llu instructions",
		       (unsigned long long)trap);
	}
	begin();
	burst(0x5000, 0x400000, length, 5, PLEX86_SLICE_STUCK);
	ok(cost < 1.1 * length * INSN);
	/* But long stretches between the traps are worth it each time. */
	begin();
	burst(0x5000, 0x400000, length, 200000, PLEX86_SLICE_STEP);
	ok(cost < 0.2 * length * INSN);
	/* Nor are loops that call into such a page the end of what lies between them. */
	begin();
	burst(0x5000, 0x400000, length, LOOPS, PLEX86_SLICE_STUCK);
	tap_diag("loops of calls to a page for Bochs: %.2f of Bochs alone, %u round trips",
		 cost / (length * INSN), trips);
	ok(cost < 0.6 * length * INSN);
}

/* A slice that a timer ended goes on where it was, whatever came in between. */
static void resumed(void)
{
	uint64_t ask;

	begin();
	plex86_policy_user(&p, 0x6000, icount);
	icount += 100000;
	is(plex86_policy_plan(&p, 0x6000, 0x400000, icount, true, &ask), PLEX86_PLAN_NATIVE,
	   "a long burst goes native");
	plex86_policy_ran(&p, PLEX86_SLICE_ASYNC, 41000, TRIP, 0x6000, 0x400100, icount, icount + 1000);
	icount += 1000;
	is(plex86_policy_plan(&p, 0x6000, 0x400100, icount, true, &ask), PLEX86_PLAN_NATIVE,
	   "after a deadline it goes on at once");
	plex86_policy_ran(&p, PLEX86_SLICE_ASYNC, 41000, TRIP, 0x6000, 0x400200, icount, icount + 1000);
	plex86_policy_kernel(&p, icount);
	icount += 5000;
	is(plex86_policy_user(&p, 0x6000, icount), 0, "after an interrupt it is looked at at once");
	is(plex86_policy_plan(&p, 0x6000, 0x400200, icount, true, &ask), PLEX86_PLAN_NATIVE,
	   "and goes on if it is where it was");
	plex86_policy_ran(&p, PLEX86_SLICE_ASYNC, 41000, TRIP, 0x6000, 0x400300, icount, icount + 1000);
	plex86_policy_kernel(&p, icount);
	icount += 5000;
	plex86_policy_user(&p, 0x6000, icount);
	is(plex86_policy_plan(&p, 0x6000, 0x500000, icount, true, &ask), PLEX86_PLAN_EMULATE,
	   "a signal handler is another burst");
	plex86_policy_ran(&p, PLEX86_SLICE_ASYNC, 41000, TRIP, 0x6000, 0x400300, icount, icount + 1000);
	plex86_policy_kernel(&p, icount);
	plex86_policy_user(&p, 0x7000, icount);
	is(plex86_policy_plan(&p, 0x7000, 0x400300, icount, true, &ask), PLEX86_PLAN_EMULATE,
	   "and so is another process");
	plex86_policy_ran(&p, PLEX86_SLICE_ASYNC, 41000, TRIP, 0x6000, 0x400300, icount, icount + 1000);
	icount += 1000;
	is(plex86_policy_plan(&p, 0x6000, 0x400300, icount, false, &ask), PLEX86_PLAN_EMULATE,
	   "without its space it does not go on");
	begin();
	plex86_policy_user(&p, 0x6000, icount);
	icount += 10000000;
	is(plex86_policy_plan(&p, 0x6000, 0x400000, icount, true, &ask), PLEX86_PLAN_NATIVE,
	   "another long burst");
	plex86_policy_ran(&p, PLEX86_SLICE_FAULT, 0, 100 * TRIP, 0x6000, 0x400100, icount, icount);
	is(plex86_policy_plan(&p, 0x6000, 0x400100, icount + 1, true, &ask), PLEX86_PLAN_EMULATE,
	   "a slice that has cost more than the process had is not gone on with");
}

static void new_spaces(void)
{
	uint64_t ask, done = 0, root;
	unsigned int i, early = 0, late = 0;

	/* One long burst of a new process. */
	begin();
	done = plex86_policy_user(&p, 0x8000, icount);
	for (;;) {
		icount = 1 + done;
		if (plex86_policy_plan(&p, 0x8000, 0x400000, icount, false, &ask) == PLEX86_PLAN_NATIVE)
			break;
		done += ask;
	}
	tap_diag("a space after %llu instructions; worth %llu", (unsigned long long)done,
		 (unsigned long long)p.space_worth);
	ok(done >= p.space_worth && done < 2 * p.space_worth);

	/* Hundreds of processes that do not live long enough. */
	begin();
	for (root = 1; root <= 500; root++) {
		plex86_policy_user(&p, root << 12, icount);
		for (i = 0; i < 3; i++) {
			icount += p.break_even;
			early += plex86_policy_plan(&p, root << 12, 0x400000 + root * 8, icount, false,
						    &ask) == PLEX86_PLAN_NATIVE;
		}
		plex86_policy_kernel(&p, icount);
	}
	is(early, 0, "processes that run for three round trips get none");

	/* One that has many bursts of a few round trips gets its space in the end. */
	begin();
	for (i = 0; i < 200; i++) {
		uint64_t left = 4 * p.break_even, n = plex86_policy_user(&p, 0x9000, icount);

		for (n = n < left ? n : left; left; left -= n) {
			icount += n;
			if (plex86_policy_plan(&p, 0x9000, 0x400000, icount, false, &ask) ==
			    PLEX86_PLAN_NATIVE)
				goto got_it;
			n = ask && ask < left ? ask : left;
			n = n > left ? left : n;
		}
		plex86_policy_kernel(&p, icount);
	}
	late = 1;
got_it:
	ok(!late);
	ok(icount >= p.space_worth);
}

/* A space that is given up was worth what it earned, and the next one has to be earned again. */
static void given_up(void)
{
	const uint64_t root = 0x8000, other = 0x9000;
	uint64_t ask, worth;
	unsigned int earns;

	for (earns = 0; earns < 2; earns++) {
		begin();
		worth = p.space_worth;
		plex86_policy_user(&p, root, icount);
		icount += 2 * worth;
		is(plex86_policy_plan(&p, root, 0x400000, icount, false, &ask), PLEX86_PLAN_NATIVE,
		   "a space is made");
		plex86_policy_ran(&p, PLEX86_SLICE_ASYNC, earns ? 100 * TRIP : 0, TRIP, root, 0x400000,
				  icount, icount);
		plex86_policy_kernel(&p, icount);
		plex86_policy_gave_up(&p, other);
		is(p.space_worth, worth, "another one's says nothing");
		plex86_policy_gave_up(&p, root);
		is(p.space_worth, earns ? worth : 2 * worth, "what it was worth");
		icount += 1000 * p.break_even;	/* in the red for a while, of course */
		plex86_policy_user(&p, root, icount);
		is(plex86_policy_plan(&p, root, 0x400000, icount, false, &ask), PLEX86_PLAN_EMULATE,
		   "not another one at once");
		ok(ask >= p.space_worth && ask < 2 * p.space_worth);
		plex86_policy_gave_up(&p, root);
		is(p.space_worth, earns ? worth : 2 * worth, "it counts once");
	}
}

/* A loss of @lost round trips at a place that is new; for how long it is emulated then. */
static uint64_t large_loss(uint64_t root, unsigned int i, unsigned int lost)
{
	uint64_t ask;

	plex86_policy_user(&p, root, icount);
	icount += 2000 * p.break_even;
	is(plex86_policy_plan(&p, root, 0x400000 + 64 * i, icount, true, &ask), PLEX86_PLAN_NATIVE, "native again");
	plex86_policy_ran(&p, PLEX86_SLICE_STEP, 0, lost * TRIP, root, 0x400000, icount, icount);
	is(plex86_policy_plan(&p, root, 0x400000, icount, true, &ask), PLEX86_PLAN_EMULATE, "it was a loss");
	plex86_policy_kernel(&p, icount);
	return ask;
}

/*
 * What has gone into mapping is lost once, and not for 128 times as long; but not again and again,
 * as where pages are code and data in turns.
 */
static void large_losses(void)
{
	const uint64_t root = 0x8000;
	uint64_t ask, begun, lost = 0;
	unsigned int i;

	begin();
	for (i = 0; i < 12; i++) {
		ask = large_loss(root, i, 1000);
		ok(ask >= 990 * p.break_even && ask <= 1000 * p.break_even + (4 * p.break_even << 7));
		if (i % 2) {
			plex86_policy_user(&p, root, icount);
			icount += 2000 * p.break_even;
			plex86_policy_plan(&p, root, 0x400000, icount, true, &ask);
			plex86_policy_ran(&p, PLEX86_SLICE_STEP, 5 * TRIP, TRIP, root, 0x400000, icount, icount);
			plex86_policy_kernel(&p, icount);
		}
	}

	begin();
	begun = icount;
	for (i = 0; i < 200; i++) {
		plex86_policy_user(&p, root, icount);
		while (plex86_policy_plan(&p, root, 0x400000, icount, true, &ask) == PLEX86_PLAN_EMULATE)
			icount += ask;
		plex86_policy_ran(&p, PLEX86_SLICE_STEP, 0, 21 * TRIP, root, 0x400000, icount, icount);
		lost += 21 * p.break_even;
		plex86_policy_kernel(&p, icount);
	}
	tap_diag("%.2f %% of the time is lost", 100.0 * lost / (icount - begun));
	ok(lost < (icount - begun) / 50);
}

/*
 * Bursts that are too short to pay, two long ones between them, and a host on which short ones take
 * as long as if they were long: they come back to Bochs.
 */
static void seem_longer(void)
{
	const uint64_t root = 0x9000;
	unsigned int i, native = 0;
	uint64_t ask, left, n;

	begin();
	for (i = 0; i < 10100; i++) {
		left = i / 2 == 50 ? 20 * p.break_even : p.break_even * 4 / 5;
		n = plex86_policy_user(&p, root, icount);
		for (left -= emulate(n, left); left; left -= emulate(ask, left)) {
			if (plex86_policy_plan(&p, root, 0x400000, icount, true, &ask) == PLEX86_PLAN_EMULATE)
				continue;
			plex86_policy_ran(&p, PLEX86_SLICE_STEP, left * 7 / 10, TRIP, root, 0x400000, icount, icount);
			native++;
			break;
		}
		plex86_policy_kernel(&p, icount);
	}
	tap_diag("%u of 10,100 bursts natively", native);
	ok(native > 0 && native < 200);
}

#define WORKERS 100
#define SPACES 64

/* More processes in turns, with bursts that pay in themselves, than there are spaces. */
static void too_many_for_all(void)
{
	uint64_t used[WORKERS] = { 0 }, turn, ask;
	const uint64_t turns = 1000 * WORKERS;
	uint64_t i, oldest;
	unsigned int spaces = 0, made = 0;
	double alone;

	begin();
	for (turn = 1; turn <= turns; turn++) {
		const uint64_t root = (1 + turn % WORKERS) << 12;
		uint64_t *mine = &used[turn % WORKERS];
		uint64_t left = 5 * p.break_even, n = plex86_policy_user(&p, root, icount);

		for (left -= emulate(n, left); left; left -= emulate(ask, left)) {
			if (plex86_policy_plan(&p, root, 0x400000, icount, *mine, &ask) ==
			    PLEX86_PLAN_EMULATE)
				continue;
			if (!*mine && spaces++ == SPACES) {
				for (i = 0, oldest = WORKERS; i < WORKERS; i++)
					if (used[i] && (oldest == WORKERS || used[i] < used[oldest]))
						oldest = i;
				used[oldest] = 0;
				spaces--;
				plex86_policy_gave_up(&p, (oldest + 1) << 12);
			}
			if (!*mine) {
				made++;
				cost += 60 * TRIP;
			}
			*mine = turn;
			cost += TRIP;
			plex86_policy_ran(&p, PLEX86_SLICE_STEP, left * NATIVE, TRIP, root, 0x400000,
					  icount, icount);
			break;
		}
		plex86_policy_kernel(&p, icount);
	}
	alone = turns * 5 * 3000 * INSN;
	tap_diag("%u workers, %u spaces: %u made in %llu turns, %.2f of Bochs alone", WORKERS, SPACES,
		 made, (unsigned long long)turns, cost / alone);
	ok(cost < 1.1 * alone);
	ok(made > SPACES);
}

/* Many processes in turns: none takes another one's account as long as there are places. */
static void many_processes(void)
{
	unsigned int turn, i, kept = 0;
	uint64_t root[200];

	begin();
	for (i = 0; i < 200; i++)
		root[i] = (next() & 0xfffff) << 12;
	for (turn = 0; turn < 2; turn++) {
		for (i = 0; i < 200; i++) {
			plex86_policy_user(&p, root[i], icount);
			kept += p.now->strikes == 3;
			p.now->strikes = 3;
			plex86_policy_kernel(&p, icount += 10);
		}
	}
	is(kept, 200, "two hundred processes have accounts of their own");
	for (i = 1; i < 100000; i++)
		plex86_policy_user(&p, (uint64_t)i << 32, icount);
	plex86_policy_user(&p, root[0], icount);
	is(p.now->strikes, 0, "which new ones take over in the end");
}

static void measured_speed(void)
{
	unsigned int i;

	begin();
	is(p.break_even, 3000, "break-even is the round trip over the time of an instruction");
	is(p.space_worth, 60 * p.break_even, "a space costs sixty");
	for (i = 0; i < 200; i++)
		plex86_policy_speed(&p, 1.5);
	ok(p.insn_ns > 1.49 && p.insn_ns < 1.51);
	ok(p.break_even > 5900 && p.break_even <= 6000);
	plex86_policy_speed(&p, 3.0);
	ok(p.insn_ns < 1.7);	/* one sample does not turn it over */
	plex86_policy_init(&p, 10, 3);
	is(p.break_even, 100, "never below a hundred: looking costs too");
}

int main(void)
{
	unknown_bursts();
	regular_bursts();
	random_bursts();
	short_bursts();
	trapping_code();
	resumed();
	new_spaces();
	given_up();
	large_losses();
	seem_longer();
	too_many_for_all();
	many_processes();
	measured_speed();
	return tap_done();
}
