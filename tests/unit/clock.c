/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugin/clock.h: ticks for nanoseconds and back, without loss (I8). */
#include "plugin/clock.h"
#include "tests/tap.h"

typedef unsigned __int128 u128;

#define G UINT64_C(1000000000)

static uint64_t seed = 88172645463325252;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static void rounding(void)
{
	struct plex86_clock c = { .ips = 3, .carry = 0 };

	is(plex86_clock_ns(&c, 0), 0, "no ticks, no time");
	is(plex86_clock_ns(&c, 1), 333333334, "rounded up");
	is(plex86_clock_ns(&c, 3), G, "exact where it is");
	is(plex86_clock_charge(&c, 333333333), 1, "at least one tick, even too early");
	is(c.carry, 999999999, "what is not charged is kept");
	is(plex86_clock_charge(&c, 1), 1, "and charged as soon as it makes one");
	is(c.carry, 2, "with the rest");
}

/* For any speed: an event is due once the time until it has passed. */
static void due(void)
{
	uint64_t i, late = 0, early = 0;

	for (i = 0; i < 200000; i++) {
		struct plex86_clock c = { .ips = 1 + next() % (4 * G) };
		uint64_t ticks = 1 + next() % (1u << (1 + next() % 30));
		uint64_t ns = plex86_clock_ns(&c, ticks);

		c.carry = next() % G;
		late += plex86_clock_charge(&c, ns) < ticks;
		c.carry = 0;
		/* One nanosecond less is not enough: not a moment longer than needed. */
		early += ns > 1 && ticks > 1 && plex86_clock_charge(&c, ns - 1) >= ticks;
	}
	is(late, 0, "charging clock_ns(n) gives at least n ticks");
	is(early, 0, "and clock_ns(n) is the least that does");
}

static void long_run(uint64_t ips, uint64_t least_ns)
{
	struct plex86_clock c = { .ips = ips };
	u128 ns = 0, ticks = 0;
	uint64_t i, wrong = 0;

	for (i = 0; i < 1000000; i++) {
		uint64_t t = least_ns + next() % 100000;
		uint32_t n = plex86_clock_charge(&c, t);

		ns += t;
		ticks += n;
		wrong += !n || ticks != ns * ips / G || c.carry >= G;
	}
	tap_ok(!wrong, "a million slices at %llu ips: always the exact total", (unsigned long long)ips);
}

/* Below a tick each, every slice is charged one: time goes on whatever happens. */
static void tiny(void)
{
	struct plex86_clock c = { .ips = 1000 };
	uint64_t i, ticks = 0;

	for (i = 0; i < 1000; i++)
		ticks += plex86_clock_charge(&c, 0);
	is(ticks, 1000, "a slice of no time costs a tick");
	is(c.carry, 0, "and nothing is made up");
}

static void extremes(void)
{
	struct plex86_clock c = { .ips = 1 };

	is(plex86_clock_ns(&c, UINT64_MAX), UINT64_MAX, "ns saturates");
	is(plex86_clock_ns(&c, UINT64_MAX / G), UINT64_MAX / G * G, "and not before it must");
	c.ips = UINT64_MAX;
	is(plex86_clock_ns(&c, UINT64_MAX), G, "the fastest machine");
	is(plex86_clock_ns(&c, 1), 1, "never less than a nanosecond for a tick");
	is(plex86_clock_charge(&c, UINT64_MAX), UINT32_MAX, "ticks saturate");
	ok(c.carry < G);
	c = (struct plex86_clock){ .ips = G };
	is(plex86_clock_charge(&c, UINT32_MAX), UINT32_MAX, "the most that fits");
	is(plex86_clock_charge(&c, UINT64_C(1) << 32), UINT32_MAX, "and one more");
}

int main(void)
{
	rounding();
	due();
	long_run(15000000, 100);
	long_run(1000000000, 1);
	long_run(333333333, 4);
	long_run(4000000000u, 1);
	tiny();
	extremes();
	return tap_done();
}
