/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I4: a page that holds tables of a live space is never natively writable, in
 * no space, however it came to be one; what Bochs does to it is seen before
 * native code runs.
 */
#include "vm.h"

#define DATA	UINT64_C(0x40000000)
#define SELF	UINT64_C(0x50000000)	/* shows the table that maps DATA */

static const char *const names[] = { "32-bit", "PAE", "4-level", "5-level" };
static struct tables a, b;

static void begin(int mode, unsigned int spaces)
{
	unsigned int i;

	vm_init(9);
	tables_init(&a, mode);
	tables_init(&b, mode);
	for (i = 0; i < 8; i++) {
		tables_map(&a, DATA + i * PAGE, frame_alloc(), P_USER);
		tables_map(&b, DATA + i * PAGE, frame_alloc(), P_USER);
	}
	vm.bare = true;
	vm.ticks_left = 1000;
	vm.tables = &a;
	vm_core(spaces, false);
}

static uint64_t table_of(struct tables *t, uint64_t la)
{
	return tables_entry(t, la, 1, false) & ~(PAGE - 1);
}

static void load(void)
{
	tables_load_cr3(&a);
	tables_load_cr3(&b);
}

/* The first try may end with Bochs: it asked for more rights than there are. */
static bool readable(uint64_t la)
{
	return vm_native(ACT_READ, la) || vm_native(ACT_READ, la);
}

static void end(int mode, const char *name)
{
	vm_close();
	tap_ok(vm_is_clean(), "%s: %s", names[mode], name);
}

static void own_table(int mode)
{
	uint64_t at, entry;
	unsigned int level;

	begin(mode, 2);
	at = tables_entry(&a, DATA + 5 * PAGE, 1, false);
	for (level = 1; level <= top_table(mode); level++)
		tables_map(&a, SELF + level * PAGE, tables_entry(&a, DATA, level, false) & ~(PAGE - 1), P_USER);
	load();
	ok(vm_native(ACT_WRITE, DATA));
	for (level = 1; level <= top_table(mode); level++) {
		ok(readable(SELF + level * PAGE));
		ok(!vm_native(ACT_WRITE, SELF + level * PAGE + 0x800));
	}
	/* Bochs makes the write, and it takes effect at once. */
	ok(vm_native(ACT_READ, DATA + 5 * PAGE));
	entry = tables_entry_read(&a, at);
	{
		struct act act[] = {
			{ ACT_WRITE, SELF + PAGE + at % PAGE, entry & ~P_U },
			{ ACT_WRITE, SELF + PAGE + 0x808, 1 },
		};

		vm_run(act, 2);
	}
	ok(!vm_native(ACT_READ, DATA + 5 * PAGE));
	end(mode, "a program's own tables, mapped for it to write");
}

/* Data that is mapped writable becomes a table, in the same space or in another. */
static void becomes_table(int mode)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct tables *t = i ? &b : &a;
		uint64_t frame, e;

		begin(mode, 3);
		frame = tables_entry_read(&a, tables_entry(&a, DATA, 1, false)) & UINT64_C(0xfffff000);
		tables_map(t, SELF, frame_alloc(), P_USER);
		load();
		ok(vm_native(ACT_WRITE, DATA));
		/* Native code has prepared the entries; the kernel only links them. */
		e = frame_alloc() | P_USER;
		{
			struct act act = { ACT_WRITE, DATA + (mode == PAGING_32 ? 4 : 8) * 3, e };

			vm_run(&act, 1);
		}
		tables_entry_write(t, tables_entry(t, SELF, 2, false), frame | P_USER);
		vm.tables = t;
		ok(vm_native(ACT_READ, SELF + 3 * PAGE));
		vm.tables = &a;
		ok(readable(DATA));
		ok(!vm_native(ACT_WRITE, DATA + 0x100));
		ok(!(engine_prot(DATA) & PLEX86_PROT_WRITE));
		end(mode, i ? "data becomes a table of a space that sleeps" : "data becomes a table");
	}
}

/* The table of one space is data in another, which writes it while the first sleeps. */
static void foreign_table(int mode)
{
	uint64_t at, was;

	begin(mode, 2);
	tables_map(&b, SELF, table_of(&a, DATA), P_USER);
	load();
	/* No space has read it: it is data like any other. */
	vm.tables = &b;
	ok(vm_native(ACT_WRITE, SELF + 0x800));
	vm.tables = &a;
	ok(vm_native(ACT_READ, DATA + PAGE));
	vm.tables = &b;
	ok(!vm_native(ACT_WRITE, SELF + 0x800));
	/* Bochs does it for b; a sees it when it wakes. */
	at = tables_entry(&a, DATA + PAGE, 1, false);
	was = tables_entry_read(&a, at);
	{
		struct act act = { ACT_WRITE, SELF + at % PAGE, was & ~P_P };

		vm_run(&act, 1);
	}
	vm.tables = &a;
	ok(!vm_native(ACT_READ, DATA + PAGE));
	end(mode, "a sleeping space's table, written by another");
}

/* Once the space is gone, or the table is unlinked, the page is free to be data. */
static void free_again(int mode)
{
	uint64_t table;

	begin(mode, 2);
	table = table_of(&a, DATA);
	tables_map(&b, SELF, table, P_USER);
	load();
	ok(vm_native(ACT_READ, DATA));
	vm.tables = &b;
	ok(!vm_native(ACT_WRITE, SELF));
	vm.tables = &a;
	tables_entry_write(&a, tables_entry(&a, DATA, 2, false), 0);
	ok(!vm_native(ACT_READ, DATA));
	vm.tables = &b;
	ok(vm_native(ACT_WRITE, SELF));
	end(mode, "an unlinked table is data");

	begin(mode, 1);
	tables_map(&b, SELF, table_of(&a, DATA), P_USER);
	load();
	ok(vm_native(ACT_READ, DATA));
	vm.tables = &b;
	ok(vm_native(ACT_WRITE, SELF));		/* a was evicted for b */
	end(mode, "so is one of an evicted space");
}

/* A large page over all of RAM: all but the tables in it may be written. */
static void in_large_page(int mode)
{
	uint64_t la = UINT64_C(0x60000000), pa, base, size = mode == PAGING_32 ? 4u << 20 : 2u << 20;
	unsigned int refused = 0, i = 0;

	begin(mode, 2);
	for (base = 0; base < VM_RAM; base += size)
		tables_map_large(&a, la + base, base, P_USER | (mode == PAGING_32 ? 0 : P_NX), 2);
	load();
	vm_native(ACT_READ, DATA);
	for (pa = 0x10000; pa < VM_RAM; pa += PAGE) {
		bool is_table = false;
		unsigned int level;

		if (pa >= 0xa0000 && pa < 0x100000)
			continue;

		for (level = 1; level <= top_table(mode); level++) {
			is_table |= (tables_entry(&a, DATA, level, false) ^ pa) < PAGE;
			/* The tables that map the large pages themselves are tables too. */
			is_table |= level > 1 && (tables_entry(&a, la + pa, level, false) ^ pa) < PAGE;
		}
		i += vm_native(ACT_WRITE, la + pa + 0xff8) == is_table;
		refused += is_table;
	}
	is(i, 0, "in a large page exactly the tables can't be written");
	ok(refused >= top_table(mode));
	end(mode, "tables in a large page");
}

int main(void)
{
	int mode;

	for (mode = PAGING_32; mode <= PAGING_LONG5; mode++) {
		own_table(mode);
		becomes_table(mode);
		foreign_table(mode);
		free_again(mode);
		in_large_page(mode);
	}
	return tap_done();
}
