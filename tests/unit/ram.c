/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugin/ram.c: where guest-physical addresses are, and where nothing is. */
#include <errno.h>

#include "plugin/ram.h"
#include "tests/tap.h"

#define MIB (UINT64_C(1) << 20)

static uint8_t object[4 * MIB] __attribute__((aligned(4096)));

static void *host(struct plex86_ram *ram, uint64_t pa, uint64_t len)
{
	return plex86_ram_host(ram, (plex86_gpa_t){ pa }, len);
}

static void arguments(void)
{
	struct plex86_ram ram;

	is(plex86_ram_init(&ram, object, sizeof(object), 2 * MIB, 2048), -EINVAL,
	   "blocks smaller than a page are refused");
	is(plex86_ram_init(&ram, object, sizeof(object), 2 * MIB, 0x18000), -EINVAL,
	   "blocks that are no power of two are refused");
	is(plex86_ram_init(&ram, object, sizeof(object), 2 * MIB + 4096, 0x10000), -EINVAL,
	   "half a block at the end is refused");
	is(plex86_ram_init(&ram, object, sizeof(object), 2 * MIB, 0x10000), 0, "init");
	is(plex86_ram_set_block(&ram, 32, object), -EINVAL, "a block behind the end is refused");
	is(plex86_ram_set_block(&ram, 0, object + 1), -EINVAL, "a block off page bounds is refused");
	is(plex86_ram_set_block(&ram, 0, object + sizeof(object) - 0x8000), -EINVAL,
	   "a block that sticks out of the object is refused");
	is(plex86_ram_set_block(&ram, 0, object + sizeof(object)), -EINVAL,
	   "a block behind the object is refused");
	is(plex86_ram_set_block(&ram, 0, (uint8_t *)((uintptr_t)object - 0x10000)), -EINVAL,
	   "a block before the object is refused");
	is(plex86_ram_set_block(&ram, 0, object + sizeof(object) - 0x10000), 0,
	   "the object's last block will do");
	plex86_ram_fini(&ram);
}

static void lookup(void)
{
	const uint64_t size = 2 * MIB, block = 0x10000;
	struct plex86_ram ram;
	plex86_ramoff_t off;
	uint64_t n, pa, wrong = 0, wrong_off = 0;

	plex86_ram_init(&ram, object, sizeof(object), size, block);
	ok(!host(&ram, 0, 1));	/* nowhere yet */
	for (n = 0; n < size / block; n++)
		if (n != 20)
			plex86_ram_set_block(&ram, n, object + (63 - n) * block);
	for (pa = 0; pa < size + 16 * block; pa += 4096) {
		bool there = pa < size && !(pa >= 0xa0000 && pa < 0x100000) && pa / block != 20;
		uint64_t want = (63 - pa / block) * block + pa % block;

		wrong += host(&ram, pa + 8, 8) != (there ? object + want + 8 : NULL);
		off.off = 1;
		wrong_off += plex86_ram_offset(&ram, (plex86_gpa_t){ pa + 123 }, &off) != there ||
			     (there && off.off != want);
	}
	is(wrong, 0, "each page's host address; none in A0000-FFFFF, at a missing block, behind RAM");
	is(wrong_off, 0, "each page's offset");
	ok(host(&ram, 0x1000, 4096));
	ok(!host(&ram, 0x1000, 4097));
	ok(host(&ram, 0x1ffc, 4));
	ok(!host(&ram, 0x1ffd, 4));	/* no access across pages */
	ok(!host(&ram, 0x1fff, UINT64_MAX));
	ok(!host(&ram, UINT64_MAX, 1));
	ok(!host(&ram, UINT64_MAX - 4095, 8));
	ok(!host(&ram, UINT64_C(1) << 52, 8));
	ok(host(&ram, 0x9ffff, 1) && !host(&ram, 0xa0000, 1));
	ok(!host(&ram, 0xfffff, 1) && host(&ram, 0x100000, 1));
	plex86_ram_fini(&ram);
	ok(!host(&ram, 0x1000, 1));	/* after the end: nothing, and no crash */
}

int main(void)
{
	arguments();
	lookup();
	return tap_done();
}
