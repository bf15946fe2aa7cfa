/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest time and host time (I8).  Bochs's clock is a count of ticks, ips of
 * them to a guest second; while code runs natively nobody counts instructions,
 * so a native nanosecond is charged as a guest nanosecond.  The remainder of
 * each division is carried, so that nothing is lost over a million slices.
 */
#ifndef PLEX86_CLOCK_H
#define PLEX86_CLOCK_H

#include <stdint.h>

struct plex86_clock {
	uint64_t ips;		/* ticks per guest second */
	uint64_t carry;		/* ns * ips not yet charged, below 10^9 */
	uint64_t debt;		/* ticks that were charged, but that Bochs could not take yet */
};

/* Host nanoseconds that @ticks may last, rounded up, so that the event is due afterwards. */
static inline uint64_t plex86_clock_ns(const struct plex86_clock *c, uint64_t ticks)
{
	unsigned __int128 ns = ((unsigned __int128)ticks * 1000000000u + c->ips - 1) / c->ips;

	return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

/* Ticks to charge for @ns of native execution: at least one, at most UINT32_MAX. */
static inline uint32_t plex86_clock_charge(struct plex86_clock *c, uint64_t ns)
{
	unsigned __int128 t = (unsigned __int128)ns * c->ips + c->carry;
	unsigned __int128 ticks = t / 1000000000u;

	c->carry = (uint64_t)(t % 1000000000u);
	if (ticks > UINT32_MAX)
		return UINT32_MAX;
	return ticks ? (uint32_t)ticks : 1;
}

#endif /* PLEX86_CLOCK_H */
