/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugin/traps.c alone: what a page must earn, who has traps, who gives them up. */
#include <string.h>

#include "plugin/shadow.h"
#include "plugin/traps.h"
#include "tests/tap.h"

static struct plex86_world world = { .max_traps = 4 };
static struct plex86_shadow shadow;
static uint8_t page[4096];

static plex86_gva_t at(uint64_t la)
{
	return (plex86_gva_t){ la };
}

static void earned(void)
{
	struct plex86_traps t;
	unsigned int i, k, early = 0;

	memset(&t, 0, sizeof(t));
	ok(!plex86_traps_earned(&t, at(0x1000), 300, 1000));
	ok(!plex86_traps_earned(&t, at(0x1fff), 300, 1000));
	ok(!plex86_traps_earned(&t, at(0x1008), 300, 1000));
	ok(!plex86_traps_earned(&t, at(0x2000), 300, 1000));	/* its neighbour's merit does not count */
	ok(plex86_traps_earned(&t, at(0x1004), 300, 1000));
	/* It lost them again, and needs twice as much the second time, and so on. */
	for (k = 2; k <= 64; k *= 2) {
		for (i = 1; !plex86_traps_earned(&t, at(0x1000), 300, 1000); i++)
			;
		ok(i * 300 >= k * 1000 - 300 && i * 300 < k * 1000 + 300);
	}

	/* A hot page among many cold ones is not forgotten. */
	memset(&t, 0, sizeof(t));
	for (i = 0; i < 30; i++) {
		early += plex86_traps_earned(&t, at(0x5000), 200, 7000);
		plex86_traps_earned(&t, at(UINT64_C(0x100000) + i * 4096), 10, 7000);
	}
	is(early, 0, "not before it is worth it");
	for (i = 0; i < 4; i++)
		plex86_traps_earned(&t, at(0x5000), 200, 7000);
	ok(plex86_traps_earned(&t, at(0x5000), 200, 7000));
}

static void fill(unsigned int n, unsigned int first)
{
	unsigned int i;

	memset(page, 0x90, sizeof(page));
	for (i = 0; i < n; i++)
		memcpy(page + first + 16 * i, "\x0f\xa2", 2);
}

static void granted(void)
{
	plex86_gva_t list[PLEX86_MAX_TRAPS];

	memset(&shadow, 0, sizeof(shadow));
	shadow.world = &world;
	shadow.root = PLEX86_NONE;
	shadow.paging.mode = PLEX86_PAGING_LONG;
	shadow.filter = 0x0001;		/* CPUID */
	fill(3, 0x100);
	ok(!plex86_traps_cover(&shadow.traps, 0x4000));
	ok(plex86_traps_grant(&shadow, 0x4000, page, 0x0001));
	ok(plex86_traps_cover(&shadow.traps, 0x4000) && shadow.traps.changed);
	is(plex86_traps_list(&shadow.traps, list), 3, "three places");
	ok(list[0].la == 0x4100 && list[1].la == 0x4110 && list[2].la == 0x4120);
	fill(1, 0x200);
	ok(plex86_traps_grant(&shadow, 0x7000, page, 0x0001));
	is(plex86_traps_list(&shadow.traps, list), 4, "and one in another page");
	is(list[3].la, 0x7200, "where it is");
	shadow.traps.changed = false;
	plex86_traps_drop(&shadow.traps, 0x5000);
	ok(!shadow.traps.changed);
	plex86_traps_drop(&shadow.traps, 0x4000);
	ok(shadow.traps.changed && !plex86_traps_cover(&shadow.traps, 0x4000));
	is(plex86_traps_list(&shadow.traps, list), 1, "the other page keeps its own");
	is(list[0].la, 0x7200, "at the front");
	plex86_traps_drop(&shadow.traps, 0x7000);

	fill(5, 0x100);
	ok(!plex86_traps_grant(&shadow, 0x4000, page, 0x0001));
	ok(!plex86_traps_cover(&shadow.traps, 0x4000));
	fill(0, 0);
	ok(!plex86_traps_grant(&shadow, 0x4000, page, 0x0001));	/* nothing to trap: refused for another reason */
	fill(1, 0);
	ok(!plex86_traps_grant(&shadow, 0x4000, page, 0x0001));	/* may begin in the page before */
	fill(1, 0x100);
	world.max_traps = 0;
	ok(!plex86_traps_grant(&shadow, 0x4000, page, 0x0001));
	world.max_traps = 1;
	ok(plex86_traps_grant(&shadow, 0x4000, page, 0x0001));
	is(plex86_traps_list(&shadow.traps, list), 1, "as many as the engine has");
}

int main(void)
{
	earned();
	granted();
	return tap_done();
}
