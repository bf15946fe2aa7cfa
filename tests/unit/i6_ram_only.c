/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* I6: only RAM is mapped, and only where the engine can. */
#include "vm.h"

#define LA	UINT64_C(0x40000000)

static struct tables t;

static void begin(uint32_t without)
{
	vm_init(13);
	tables_init(&t, PAGING_LONG);
	vm.bare = true;
	vm.ticks_left = 1000;
	vm.tables = &t;
	engine.caps.flags &= ~without;
}

static void end(const char *name)
{
	vm_close();
	tap_ok(vm_is_clean(), "%s", name);
}

/* Everything that native code could do with the page at @la; the bits it managed. */
static unsigned int tries(uint64_t la)
{
	unsigned int got = 0;

	got |= vm_native(ACT_READ, la) ? 1 : 0;
	got |= vm_native(ACT_WRITE, la) ? 2 : 0;
	got |= vm_native(ACT_EXEC, la) ? 4 : 0;
	return got;
}

static void guest_physical(void)
{
	uint64_t pa, wrong = 0;

	begin(0);
	vm_core(2, false);
	for (pa = 0x90000; pa < 0x110000; pa += PAGE) {
		bool hole = pa >= 0xa0000 && pa < 0x100000;

		/* One at a time, so that what is tried is not a neighbour's mapping. */
		tables_map(&t, LA, pa, P_USER);
		vm.icount += 25000000;
		wrong += tries(LA) != (hole ? 0 : 7);
	}
	is(wrong, 0, "nothing of A0000-FFFFF, all beside it");
	for (pa = VM_RAM - PAGE; pa < UINT64_C(1) << 39; pa = pa * 2 & ~(PAGE - 1)) {
		tables_map(&t, LA, pa, P_USER);
		vm.icount += 25000000;
		wrong += tries(LA) != (pa < VM_RAM ? 7 : 0);
		if (pa == VM_RAM - PAGE)
			pa = VM_RAM / 2;
	}
	is(wrong, 0, "nothing behind the end of RAM");
	end("guest-physical addresses");
}

static void neighbours(void)
{
	unsigned int i;

	/* Mapped unasked, and by large pages: the same rules (check.c looks). */
	begin(0);
	vm_core(2, false);
	for (i = 0; i < 32; i++)
		tables_map(&t, LA + i * PAGE, 0x98000 + i * PAGE, P_USER);
	for (i = 0; i < 32; i++)
		tables_map(&t, LA + (32 + i) * PAGE, VM_RAM - 16 * PAGE + i * PAGE, P_USER);
	tables_map_large(&t, LA + (2 << 20), 0, P_USER, 2);
	tables_map_large(&t, LA + (4 << 20), VM_RAM, P_USER, 2);
	vm_native(ACT_READ, LA);
	ok(engine_prot(LA + 7 * PAGE));
	ok(!engine_prot(LA + 8 * PAGE));
	vm_native(ACT_READ, LA + 32 * PAGE);
	ok(engine_prot(LA + 47 * PAGE));
	ok(!engine_prot(LA + 48 * PAGE));
	vm_native(ACT_READ, LA + (2 << 20) + 0x20000);
	ok(engine_prot(LA + (2 << 20) + 0x9f000));
	ok(!engine_prot(LA + (2 << 20) + 0xa0000) && !engine_prot(LA + (2 << 20) + 0xff000));
	ok(engine_prot(LA + (2 << 20) + 0x100000));
	is(tries(LA + (4 << 20)), 0, "a large page of device memory");
	end("pages that come along");
}

static void not_plain(void)
{
	uint64_t frame, table;
	unsigned int level;

	begin(0);
	frame = frame_alloc();
	vm_core(2, false);
	tables_map(&t, LA, frame, P_USER);
	tables_map(&t, LA + PAGE, frame_alloc(), P_USER);
	vm.device[frame / PAGE] = true;
	is(tries(LA), 0, "a page that Bochs does not treat as plain RAM");
	is(tries(LA + PAGE), 7, "its neighbour is none of that");
	ok(!engine_prot(LA));
	vm_do(ACT_READ, LA);	/* and Bochs reads the device */
	vm_do(ACT_WRITE, LA);
	vm.device[frame / PAGE] = false;
	is(tries(LA), 7, "until it does");
	vm.device[frame / PAGE] = true;
	plex86_core_drop_all(vm.core);
	is(tries(LA), 0, "and no more when that has changed, and the core was told");
	vm.device[frame / PAGE] = false;
	end("plain RAM");

	/* What the device says is in the table, Bochs alone knows. */
	for (level = 1; level <= 4; level++) {
		begin(0);
		tables_map(&t, LA, frame_alloc(), P_USER);
		table = tables_entry(&t, LA, level, false) / PAGE;
		vm.device[table] = true;
		vm_core(2, false);
		is(tries(LA), 0, "a table under a device");
		vm.device[table] = false;
		plex86_core_drop_all(vm.core);
		is(tries(LA), 7, "and under none");
		end("tables are read from plain RAM");
	}
}

static void linear(void)
{
	uint64_t frame, limit;

	begin(0);
	engine.caps.va_first = 0x20000;
	frame = frame_alloc();
	vm_core(2, false);
	tables_map(&t, 0, frame, P_USER);
	tables_map(&t, 0x1f000, frame, P_USER);
	tables_map(&t, 0x20000, frame, P_USER);
	is(tries(0), 0, "no page zero below va_first");
	is(tries(0x1f000), 0, "nor the last page below it");
	is(tries(0x20000), 7, "but from there on");
	ok(!engine_prot(0) && !engine_prot(0x1f000));
	end("va_first");

	begin(0);
	frame = frame_alloc();
	vm_core(2, false);
	tables_map(&t, 0, frame, P_USER);
	is(tries(0), 7, "page zero where the engine can map it");
	end("page zero");

	/* A limit in the middle of a table: neighbours and unmapped ranges end there. */
	begin(0);
	limit = UINT64_C(0x40005000);
	engine.caps.va_limit = limit;
	frame = frame_alloc();
	vm_core(2, false);
	for (frame = 0x100000; frame < 0x110000; frame += PAGE)
		tables_map(&t, LA + frame - 0x100000, frame, P_USER);
	is(tries(limit - PAGE), 7, "the last page below va_limit");
	is(tries(limit), 0, "not the first behind it");
	ok(!engine_prot(limit));
	tables_entry_write(&t, tables_entry(&t, LA, 2, false), 0);
	is(tries(LA), 0, "a table of which a part is behind va_limit is dropped");
	end("va_limit");

	begin(0);
	vm_core(2, false);
	is(tries(UINT64_C(0xffffffff81000000)), 0, "the upper half");
	is(tries(UINT64_C(1) << 47), 0, "what is not canonical");
	end("addresses that no user has");
}

static void odd_address_spaces(void)
{
	/* Roots that are not RAM. */
	begin(0);
	vm_core(2, false);
	t.cr3 = 0xb8000;
	is(tries(LA), 0, "a root in video memory");
	t.cr3 = UINT64_C(0x7f00000000);
	is(tries(LA), 0, "a root behind RAM");
	end("roots outside RAM");
}

int main(void)
{
	guest_physical();
	neighbours();
	not_plain();
	linear();
	odd_address_spaces();
	return tap_done();
}
