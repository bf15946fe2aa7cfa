/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I3: what Bochs's TLB may no longer use, native code may not use either: each
 * kind of change, to the space that runs and to one that sleeps.  The core is
 * told of writes only, and of nothing like INVLPG.
 */
#include <string.h>

#include "vm.h"

#define LA	UINT64_C(0x40007000)

static const char *const names[] = { "32-bit", "PAE", "4-level", "5-level" };
static struct tables t, other;
static uint64_t old, new;

static void write_leaf(uint64_t e)
{
	tables_entry_write(&t, tables_entry(&t, LA, 1, false), e);
}

static void gone(void)
{
	write_leaf(0);
}

static void other_frame(void)
{
	write_leaf(new | P_USER);
}

static void read_only(void)
{
	write_leaf(old | (P_USER & ~P_W));
}

static void supervisor(void)
{
	write_leaf(old | (P_USER & ~P_U));
}

static void aged(void)
{
	write_leaf(old | (P_USER & ~P_A));
}

static void cleaned(void)
{
	write_leaf(old | (P_USER & ~P_D));
}

static void half_written(void)
{
	/* The frame number alone, by a write of two bytes. */
	bochs_write(tables_entry(&t, LA, 1, false) + 1, (new >> 8) | (P_USER >> 8), 2);
}

static void table_gone(void)
{
	tables_entry_write(&t, tables_entry(&t, LA, 2, false), 0);
}

static void other_table(void)
{
	uint64_t table = frame_alloc();
	uint64_t at = tables_entry(&t, LA, 2, false), leaf = tables_entry(&t, LA, 1, false);

	tables_entry_write(&t, table + leaf % PAGE, new | P_USER);
	tables_entry_write(&t, at, table | P_USER);
}

static void table_read_only(void)
{
	uint64_t at = tables_entry(&t, LA, 2, false);

	tables_entry_write(&t, at, tables_entry_read(&t, at) & ~P_W);
}

static void large_page(void)
{
	tables_entry_write(&t, tables_entry(&t, LA, 2, false), P_USER | P_PS);
}

static void table_by_dma(void)
{
	static uint8_t bytes[PAGE];
	uint64_t at = tables_entry(&t, LA, 1, false), e = new | P_USER;

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes + at % PAGE, &e, t.mode == PAGING_32 ? 4 : 8);
	bochs_dma_page(at & ~(PAGE - 1), bytes);
}

static void top_gone(void)
{
	unsigned int top = t.mode == PAGING_PAE ? 3 : top_table(t.mode);

	tables_entry_write(&t, tables_entry(&t, LA, top, false), 0);
	tables_load_cr3(&t);
}

static void table_exchanged(void)
{
	/* The whole tree is freed and made anew, in the same frames. */
	tables_free(&t);
	tables_init(&t, t.mode);
	tables_map(&t, LA, new, P_USER);
	tables_load_cr3(&t);
}

static void stamps_forgotten(void)
{
	bochs_flush_icache();
	other_frame();
}

static void icache_flushed_later(void)
{
	other_frame();
	bochs_flush_icache();
}

static void written_twice(void)
{
	/* The second time nobody is told any more: the line was reported. */
	write_leaf(old | (P_USER & ~P_W));
	write_leaf(new | P_USER);
}

static void dropped(void)
{
	plex86_core_drop_all(vm.core);
	other_frame();
}

static const struct change {
	void (*change)(void);
	const char *name;
} changes[] = {
	{ gone, "entry cleared" }, { other_frame, "another frame" }, { read_only, "W cleared" },
	{ supervisor, "U cleared" }, { aged, "A cleared" }, { cleaned, "D cleared" },
	{ half_written, "a part of an entry written" }, { table_gone, "table unlinked" },
	{ other_table, "another table" }, { table_read_only, "W cleared above" },
	{ large_page, "a large page instead" }, { table_by_dma, "table overwritten by a device" },
	{ top_gone, "top entry cleared" }, { table_exchanged, "tables freed and made anew" },
	{ stamps_forgotten, "stamps reset before" }, { icache_flushed_later, "stamps reset after" },
	{ written_twice, "written twice" }, { dropped, "all dropped before" },
};

static void begin(int mode)
{
	vm_init(5);
	tables_init(&t, mode);
	tables_init(&other, mode);
	vm.bare = true;
	vm.ticks_left = 1000;
	old = frame_alloc();
	new = frame_alloc();
	bochs_write(old, 0x1111, 8);
	bochs_write(new, 0x2222, 8);
	tables_map(&t, LA, old, P_USER);
	tables_map(&other, LA, frame_alloc(), P_USER);
	tables_load_cr3(&t);
	tables_load_cr3(&other);
	vm.tables = &t;
}

/* What Bochs, which walks each time, would read at LA; faults count as such. */
static uint64_t expected(void)
{
	struct translation o;

	tables_translate(&t, LA, &o);
	if (!o.present || o.reserved || !o.user)
		return mix64(0, LA);
	return mix64(0, bochs_read(o.pa, 8));
}

static void one(int mode, const struct change *c, bool asleep)
{
	uint64_t pa;
	bool same;
	enum act_kind kind;

	begin(mode);
	vm_core(3, false);
	for (kind = ACT_READ; kind <= ACT_WRITE; kind++)
		if (!vm_native(kind, LA + 8))
			complain("%#llx was not mapped", (unsigned long long)LA);
	if (asleep) {
		vm.tables = &other;
		if (!vm_native(ACT_READ, LA))
			complain("the other space was not mapped");
	}
	c->change();
	if (asleep && !vm_native(ACT_READ, LA + 8))
		complain("the other space lost its mapping");
	vm.tables = &t;
	same = vm_native(ACT_WRITE, LA + 16) == !!(tables_allow(&t, LA, &pa) & PLEX86_PROT_WRITE);
	vm.cpu.gpr[REG_HASH] = 0;
	same &= vm_native(ACT_READ, LA) == !!tables_allow(&t, LA, &pa);
	vm.cpu.gpr[REG_HASH] = 0;
	pa = expected();
	vm_do(ACT_READ, LA);
	same &= vm.cpu.gpr[REG_HASH] == pa;
	vm_close();
	tap_ok(vm_is_clean() && same, "%s, %s: %s", names[mode], asleep ? "asleep" : "awake", c->name);
}

/* CR3 again with other PDPTEs, or the same CR3 and other PDPTEs only in memory. */
static void pdptes(void)
{
	uint64_t pd, at;

	begin(PAGING_PAE);
	vm_core(3, false);
	vm_native(ACT_READ, LA);
	at = tables_entry(&t, LA, 3, false);
	pd = frame_alloc();
	tables_entry_write(&t, at, pd | P_P);
	ok(vm_native(ACT_READ, LA));	/* the CPU has the old ones until MOV CR3 */
	tables_load_cr3(&t);
	ok(!vm_native(ACT_READ, LA));
	vm_close();
	ok(vm_is_clean());
}

/* Control bits that change what tables mean. */
static void control_bits(void)
{
	begin(PAGING_PAE);
	vm_core(3, false);
	ok(vm_native(ACT_EXEC, LA));
	t.nxe = false;
	ok(vm_native(ACT_EXEC, LA));
	write_leaf(old | P_USER | P_NX);	/* now a reserved bit */
	ok(!vm_native(ACT_READ, LA));
	t.nxe = true;
	ok(vm_native(ACT_READ, LA));
	ok(!vm_native(ACT_EXEC, LA));
	vm_close();
	ok(vm_is_clean());

	begin(PAGING_32);
	vm_core(3, false);
	tables_map_large(&t, 0x80000000, 0, P_USER, 2);	/* without PSE: the table at 0 */
	t.pse = true;
	ok(vm_native(ACT_READ, 0x80180000));
	t.pse = false;
	ok(!vm_native(ACT_READ, 0x80180000));
	t.pse = true;
	ok(vm_native(ACT_READ, 0x80180000));
	vm_close();
	ok(vm_is_clean());
}

/* CR4.PAE: one root, whose entries are of 4 bytes or of 8, and lead to one page or another. */
static void size_of_entries(void)
{
	int round;

	begin(PAGING_32);
	t.pse = false;		/* or that makes the difference */
	other = t;
	other.mode = PAGING_PAE;
	tables_map(&other, LA, new, P_USER);
	tables_load_cr3(&other);
	vm_core(3, false);
	for (round = 0; round < 4; round++) {
		vm.tables = round % 2 ? &other : &t;
		ok(vm_native(ACT_READ, LA));
		vm.cpu.gpr[REG_HASH] = 0;
		vm_do(ACT_READ, LA);
		ok(vm.cpu.gpr[REG_HASH] == mix64(0, round % 2 ? 0x2222 : 0x1111));
	}
	vm_close();
	ok(vm_is_clean());
}

int main(void)
{
	unsigned int i, asleep;
	int mode;

	for (mode = PAGING_32; mode <= PAGING_LONG5; mode++)
		for (asleep = 0; asleep < 2; asleep++)
			for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
				if (mode != PAGING_32 || changes[i].change != top_gone)
					one(mode, &changes[i], asleep);
	pdptes();
	control_bits();
	size_of_entries();
	return tap_done();
}
