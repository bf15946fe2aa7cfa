/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of I7 share: four pages of code, filled with NOPs, and what becomes of them. */
#ifndef PLEX86_TEST_I7_H
#define PLEX86_TEST_I7_H

#include <string.h>

#include "plugin/copies.h"
#include "plugin/core_internal.h"
#include "vm.h"

#define CODE UINT64_C(0x400000)
#define CR4_FSGSBASE (1u << 16)

static struct tables t;
static uint64_t frame[4];

static void begin(int mode)
{
	unsigned int i, j;

	vm_init(7);
	tables_init(&t, mode);
	vm.tables = &t;
	vm.bare = true;
	vm.ticks_left = 1000;
	for (i = 0; i < 4; i++) {
		frame[i] = frame_alloc();
		for (j = 0; j < PAGE; j += 8)
			bochs_write(frame[i] + j, UINT64_C(0x9090909090909090), 8);
		tables_map(&t, CODE + i * PAGE, frame[i], P_USER);
	}
}

static void put(uint64_t pa, const char *bytes, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		bochs_write(pa + i, (uint8_t)bytes[i], 1);
}

static void exec(uint64_t la)
{
	vm_do(ACT_EXEC, la);
}

static uint32_t prot_after(uint64_t la, unsigned int times)
{
	while (times--)
		exec(la);
	return engine_prot(la);
}

static void end(const char *name)
{
	vm_close();
	tap_ok(vm_is_clean(), "%s", name);
}

#endif /* PLEX86_TEST_I7_H */
