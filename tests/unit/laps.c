/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugin/laps.c: Bochs counts what lies between two visits to a page. */
#include <string.h>

#include "../tap.h"
#include "plugin/laps.h"

#define P	UINT64_C(0x7f0000402000)
#define Q	UINT64_C(0x7f0000500000)
#define MOST	40000
#define AGAIN	64
#define SEEMS	500000	/* as noise does */

static struct plex86_laps laps;
static struct plex86_lap lap;
static uint64_t icount;

static plex86_gva_t gva(uint64_t la)
{
	return (plex86_gva_t){ la };
}

/* Bochs executes @n instructions and is in @page then: does the lap go on? */
static bool at(uint64_t n, uint64_t page)
{
	icount += n;
	return plex86_laps_go_on(&laps, &lap, gva(page), icount);
}

static uint64_t stop(uint64_t page, uint64_t wait)
{
	uint64_t work = plex86_laps_work(&laps, gva(page), SEEMS, MOST);

	plex86_laps_begin(&laps, &lap, gva(page), icount, wait, MOST);
	return work;
}

/* A lap of @n instructions, if it is to be measured. */
static bool go_around(uint64_t n)
{
	if (!lap.most)
		return false;
	ok(at(3, P + 0x10));
	ok(at(7, Q));
	ok(at(n / 2, Q + 0x3000));
	ok(!at(n - n / 2, P + 0x800));
	is(lap.most, 0, "the lap is over");
	return true;
}

static void measure(void)
{
	unsigned int i, times = 0;

	memset(&laps, 0, sizeof(laps));
	ok(stop(P + 0x100, 0) == SEEMS);
	ok(go_around(5000));
	is(stop(P, 0), 5001, "what the lap took");
	is(lap.most, 0, "that is enough for a while");
	for (i = 0; i < 2 * AGAIN; i++) {
		stop(P, 0);
		if (go_around(9000))
			times++;
	}
	is(times, 2, "then it is measured again");
	ok(stop(P, 0) > 7000 && stop(P, 0) < 9000);
	/* What takes far longer than noise was no lap like the others. */
	ok(plex86_laps_work(&laps, gva(P), 100 * MOST, MOST) > 80 * MOST);
	/* In a process that waits anyway. */
	for (i = times = 0; i < AGAIN; i++) {
		stop(P, MOST);
		if (go_around(9000))
			times++;
	}
	is(times, AGAIN / 8, "sooner");
	ok(stop(P, 0) > 8900 && stop(P, 0) < 9010);
}

/* A lap that ends in the kernel is as good as one that ends at the page. */
static void cut(void)
{
	memset(&laps, 0, sizeof(laps));
	stop(P, 0);
	plex86_laps_end(&laps, &lap, icount + 500);
	is(lap.most, 0, "the kernel ends it");
	stop(P, 0);
	ok(lap.most);		/* nothing was learned */
	ok(at(5, Q));
	plex86_laps_end(&laps, &lap, icount + 500);
	is(stop(P, 0), 501, "what Bochs has counted until then");
	is(lap.most, 0, "is enough");
}

static void longer(void)
{
	memset(&laps, 0, sizeof(laps));
	stop(P, 0);
	ok(at(10, Q));
	ok(at(MOST / 2, Q + 0x1000));
	is(at(MOST / 2, Q), false, "a long lap is not waited for");
	is(lap.most, 0, "the lap is over");
	ok(stop(P, 0) == SEEMS);

	/* Nor code that stays where it is. */
	memset(&laps, 0, sizeof(laps));
	stop(P, 0);
	ok(at(MOST - 1, P));
	is(at(1, P), false, "in the page itself");
	ok(stop(P, 0) == SEEMS);
	ok(lap.most);
	/* The end of a lap that was not noticed at once. */
	ok(at(10, Q));
	is(at(100 * MOST, P), false, "late");
	ok(stop(P, 0) == SEEMS);
	is(plex86_laps_work(&laps, gva(P), 1, MOST), MOST + 1, "however short it seems");
}

/* More pages than there is room for: those that stop native code most often are known. */
static void room(void)
{
	unsigned int i, j, known = 0;

	memset(&laps, 0, sizeof(laps));
	for (i = 0; i < 2000; i++) {
		stop(P, 0);
		go_around(1000);
		for (j = 0; i % 4 == 0 && j < 2 * PLEX86_LAPS_PAGES; j++)
			stop(Q + (j + i % 3) * 0x1000, 0);
		known += plex86_laps_work(&laps, gva(P), SEEMS, MOST) < 2000;
	}
	ok(known > 1990);
}

/* Twice as many pages as there is room for, in turns: to measure each time would be to emulate all. */
static void turns(void)
{
	unsigned int i, measured = 0;

	memset(&laps, 0, sizeof(laps));
	for (i = 0; i < 100 * 2 * PLEX86_LAPS_PAGES; i++) {
		const uint64_t page = Q + i % (2 * PLEX86_LAPS_PAGES) * 0x1000;

		stop(page, 0);
		if (!lap.most)
			continue;
		measured++;
		ok(at(3, P));
		ok(!at(1000, page));
	}
	ok(measured < 200);
	/* One that stays is known soon. */
	for (i = 0; i < 4; i++)
		stop(P, 0);
	ok(lap.most);
}

int main(void)
{
	measure();
	cut();
	longer();
	room();
	turns();
	return tap_done();
}
