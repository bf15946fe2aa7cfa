/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shadow spaces beyond what is forbidden (the i*.c tests): that they keep what
 * they have, come along with what will be needed, and forget what they must.
 */
#include <string.h>

#include "plugin/core_internal.h"
#include "vm.h"

#define LA	UINT64_C(0x40000000)
#define CODE	UINT64_C(0x00400000)

static struct tables t[6];

static struct plex86_shadow_stats *stats(void)
{
	return &vm.core->world.stats;
}

static void begin_populated(int mode, unsigned int spaces, uint32_t pages)
{
	unsigned int k, i;

	vm_init(23);
	for (k = 0; k < 6; k++) {
		tables_init(&t[k], mode);
		for (i = 0; i < 64; i++)
			tables_map(&t[k], LA + i * PAGE, 0x200000 + (k * 64 + i) * PAGE, P_USER);
		tables_load_cr3(&t[k]);
	}
	vm.bare = true;
	vm.ticks_left = 10000;
	vm.tables = &t[0];
	vm.populate = pages;
	vm_core(spaces, false);
}

static void begin(int mode, unsigned int spaces)
{
	begin_populated(mode, spaces, 0);
}

static void end(const char *name)
{
	vm_close();
	tap_ok(vm_is_clean(), "%s", name);
}

static unsigned int mapped(uint64_t la, unsigned int pages)
{
	unsigned int i, n = 0;

	for (i = 0; i < pages; i++)
		n += engine_prot(la + i * PAGE) != 0;
	return n;
}

static void neighbours(void)
{
	uint64_t at, runs;

	begin(PAGING_LONG, 2);
	ok(vm_native(ACT_READ, LA + 20 * PAGE));
	is(mapped(LA, 64), 16, "a fault maps sixteen pages");
	is(mapped(LA + 16 * PAGE, 16), 16, "those around it");
	is(engine.applies, 1, "in one call");
	ok(engine.ops <= 3);	/* the one, what lies before it, what lies behind */
	is(engine_prot(LA + 20 * PAGE), PLEX86_PROT_READ | PLEX86_PROT_WRITE, "for reading and writing");
	runs = engine.runs;
	ok(vm_native(ACT_WRITE, LA + 31 * PAGE));
	is(engine.runs, runs + 1, "a neighbour does not fault");
	/* What the guest has not used does not come along. */
	at = tables_entry(&t[0], LA + 33 * PAGE, 1, false);
	tables_entry_write(&t[0], at, tables_entry_read(&t[0], at) & ~P_A);
	tables_entry_write(&t[0], at + 8, tables_entry_read(&t[0], at + 8) & ~P_D);
	ok(vm_native(ACT_READ, LA + 32 * PAGE));
	is(engine_prot(LA + 33 * PAGE), 0, "not without A");
	is(engine_prot(LA + 34 * PAGE), PLEX86_PROT_READ, "without D for reading");
	/* Code comes with code, if nobody writes it. */
	for (at = 0; at < 16; at++)
		tables_map(&t[0], CODE + at * PAGE, 0x280000 + at * PAGE, P_USER & ~P_W);
	ok(vm_native(ACT_EXEC, CODE + 2 * PAGE));
	is(engine_prot(CODE + 12 * PAGE), PLEX86_PROT_READ | PLEX86_PROT_EXEC, "code beside code");
	/* The guest's kernel maps more of it, which is for reading until one of them is executed. */
	for (at = 16; at < 32; at++)
		tables_map(&t[0], CODE + at * PAGE, 0x280000 + at * PAGE, P_USER & ~P_W);
	ok(vm_native(ACT_READ, LA + 32 * PAGE));
	is(engine_prot(CODE + 28 * PAGE), PLEX86_PROT_READ, "new code, as data");
	ok(vm_native(ACT_EXEC, CODE + 18 * PAGE));
	is(engine_prot(CODE + 28 * PAGE), PLEX86_PROT_READ | PLEX86_PROT_EXEC, "and as code with its neighbour");
	end("neighbours");
}

/* What a process has used is there when its space first runs. */
static void populated(void)
{
	uint64_t at, runs;

	begin_populated(PAGING_LONG, 2, 4096);
	at = tables_entry(&t[0], LA + 40 * PAGE, 1, false);
	tables_entry_write(&t[0], at, tables_entry_read(&t[0], at) & ~P_A);
	for (at = 0; at < 4; at++)
		tables_map(&t[0], CODE + at * PAGE, 0x280000 + at * PAGE, P_USER & ~P_W);
	ok(vm_native(ACT_READ, LA));
	is(mapped(LA, 64), 63, "all that it has used");
	is(engine_prot(LA + 40 * PAGE), 0, "and nothing else");
	is(engine_prot(LA + 63 * PAGE), PLEX86_PROT_READ | PLEX86_PROT_WRITE, "data as data");
	is(engine_prot(CODE + 3 * PAGE), PLEX86_PROT_READ | PLEX86_PROT_EXEC, "code as code");
	is(engine.applies, 1, "in one call");
	runs = engine.runs;
	ok(vm_native(ACT_WRITE, LA + 50 * PAGE));
	is(engine.runs, runs + 1, "without a fault");
	end("a populated space");
}

static void large_pages(void)
{
	uint64_t ops;

	begin(PAGING_LONG, 2);
	tables_map_large(&t[0], LA + (2 << 20), 2 << 20, P_USER | P_NX | P_PAT, 2);
	ok(vm_native(ACT_READ, LA + (2 << 20)));
	is(mapped(LA + (2 << 20), 512), 512, "a 2 MiB page comes as a whole");
	ops = engine.ops;
	/* Into blocks of RAM that lie about; within each, one run. */
	ok(ops <= (2 << 20) / VM_BLOCK + 1);
	/* The kernel splits it: the pieces go with one operation. */
	tables_entry_write(&t[0], tables_entry(&t[0], LA + (2 << 20), 2, false), 0);
	ok(vm_native(ACT_READ, LA));
	is(mapped(LA + (2 << 20), 512), 0, "and goes as a whole");
	ok(engine.ops <= ops + 2);
	tables_map_large(&t[0], UINT64_C(0x80000000), 0, P_USER | P_NX, 3);
	ok(vm_native(ACT_READ, UINT64_C(0x80000000) + (3 << 20)));
	ok(vm_native(ACT_READ, UINT64_C(0x80000000) + (1 << 20)));
	end("large pages");
}

/* Spaces live on while others run, and cost nothing when they come back. */
static void many_spaces(void)
{
	unsigned int round, k;
	uint64_t ops;

	begin(PAGING_LONG, 6);
	for (k = 0; k < 6; k++) {
		vm.tables = &t[k];
		ok(vm_native(ACT_WRITE, LA));
	}
	ops = engine.ops;
	for (round = 0; round < 10; round++)
		for (k = 0; k < 6; k++) {
			vm.tables = &t[k];
			vm_native(ACT_WRITE, LA + round * PAGE);
		}
	is(engine.ops, ops, "CR3 switches map nothing again");
	is(engine.creates, 6, "one space each");
	is(stats()->lines_reread, 0, "no table is read again");
	end("spaces survive CR3 switches");
}

/* Least recently used goes first. */
static void eviction(void)
{
	unsigned int i;
	static const unsigned int order[] = { 0, 1, 2, 0, 3, 0, 2, 4 };
	/* With three: 3 evicts 1, 4 evicts 3. */

	begin(PAGING_LONG, 3);
	for (i = 0; i < 8; i++) {
		vm.tables = &t[order[i]];
		vm_native(ACT_READ, LA);
		ok(engine.nspaces <= 3);
	}
	is(engine.creates, 5, "five were made");
	is(stats()->spaces_evicted, 2, "two gave way");
	for (i = 0; i < 5; i += 2) {
		vm.tables = &t[i];
		vm_native(ACT_READ, LA);
	}
	is(engine.creates, 5, "the three used last are there");
	vm.tables = &t[1];
	vm_native(ACT_READ, LA);
	is(engine.creates, 6, "the one used least is not");
	end("eviction");
}

static void rereading(int mode)
{
	uint64_t at, e, lines, size = mode == PAGING_32 ? 4 : 8;
	unsigned int i;

	begin(mode, 2);
	for (i = 0; i < 64; i += 16)
		vm_native(ACT_READ, LA + i * PAGE);
	is(mapped(LA, 64), 64, "all is mapped");
	lines = stats()->lines_reread;
	at = tables_entry(&t[0], LA + 40 * PAGE, 1, false);
	e = tables_entry_read(&t[0], at);
	tables_entry_write(&t[0], at, e & ~P_A);
	tables_entry_write(&t[0], at + size, 0);
	ok(vm_native(ACT_READ, LA));
	is(stats()->lines_reread, lines + 1, "one line is read again");
	is(mapped(LA, 64), 62, "two pages are gone");
	/* Present and accessed again, by Bochs: mapped before anybody asks. */
	tables_entry_write(&t[0], at, e);
	i = engine.runs;
	ok(vm_native(ACT_READ, LA + 40 * PAGE));
	is(engine.runs, i + 1, "what came back does not fault");
	/* The line is watched again. */
	tables_entry_write(&t[0], at, 0);
	ok(!vm_native(ACT_READ, LA + 40 * PAGE));
	/* Many writes, one reading. */
	lines = stats()->lines_reread;
	for (i = 0; i < 1000; i++)
		tables_entry_write(&t[0], at, i & 1 ? 0 : e);
	vm_native(ACT_READ, LA);
	is(stats()->lines_reread, lines + 1, "a thousand writes, one reading");
	end("tables are read again by lines");
}

/* A space that is torn down and made again, all the time: nothing may add up. */
static void nothing_adds_up(void)
{
	unsigned int i;
	uint64_t at;

	begin(PAGING_LONG, 2);
	at = tables_entry(&t[0], LA, 2, false);
	for (i = 0; i < 5000; i++) {
		uint64_t e = tables_entry_read(&t[0], at);

		vm_native(ACT_READ, LA);
		tables_entry_write(&t[0], at, 0);
		vm_native(ACT_READ, LA);
		tables_entry_write(&t[0], at, e);
	}
	is(stats()->subtrees_dropped, 5000, "subtrees dropped");
	tap_diag("%u node numbers", vm.core->world.nnodes);
	ok(vm.core->world.nnodes <= 8);
	for (i = 0; i < 300; i++) {
		vm.tables = &t[i % 6];
		vm_native(ACT_WRITE, LA);
	}
	ok(vm.core->world.nnodes <= 16);
	ok(vm.core->world.stats.pages_mapped - vm.core->world.stats.pages_unmapped <= 32);
	plex86_core_drop_all(vm.core);
	is(stats()->pages_mapped, stats()->pages_unmapped, "each page mapped was unmapped");
	for (i = 0, at = 0; i < VM_FRAMES; i++) {
		const struct plex86_frame *f = &vm.core->world.frames[i];

		at += f->nwrite || f->nexec || f->rmap != PLEX86_NONE || f->watchers != PLEX86_NONE ||
		      (f->flags & PLEX86_FRAME_TABLE);
	}
	is(at, 0, "and no frame remembers anything");
	end("nothing adds up");
}

/* The frame of another process's table, or of what was one, as a page of ours. */
static void tables_reused(int mode)
{
	const uint64_t page = LA + 100 * PAGE, root = LA + 101 * PAGE;
	uint64_t up, entry;

	begin(mode, 6);
	up = tables_entry(&t[1], LA, 2, false);
	entry = tables_entry_read(&t[1], up);
	tables_map(&t[0], page, tables_entry(&t[1], LA, 1, false) & ~(PAGE - 1), P_USER);
	tables_map(&t[0], root, mode == PAGING_PAE ? up & ~(PAGE - 1) : t[1].cr3, P_USER);
	vm.tables = &t[1];
	ok(vm_native(ACT_READ, LA));
	vm.tables = &t[0];
	ok(vm_native(ACT_READ, page));
	ok(!vm_native(ACT_WRITE, page));
	is(engine_prot(page), PLEX86_PROT_READ, "a table in use can't be written");
	/* The other process gives it back. */
	tables_entry_write(&t[1], up, 0);
	ok(vm_native(ACT_WRITE, page));
	is(engine_prot(page), PLEX86_PROT_READ | PLEX86_PROT_WRITE, "but what was one can");
	/* It takes it again. */
	tables_entry_write(&t[1], up, entry);
	tables_map(&t[1], LA, 0x280000, P_USER);
	vm.tables = &t[1];
	ok(vm_native(ACT_READ, LA));
	vm.tables = &t[0];
	ok(!vm_native(ACT_WRITE, page));
	/* It ends, and its first table is the last that goes. */
	tables_entry_write(&t[1], up, 0);
	ok(vm_native(ACT_WRITE, root));
	is(engine_prot(root), PLEX86_PROT_READ | PLEX86_PROT_WRITE, "nor is the root of one that ended");
	ok(vm_native(ACT_WRITE, page));
	end("tables that were another's");
}

/*
 * Four tables that name each other are 134 million for one that follows them all.  A guest may
 * have that, and use it; it costs no more than so many tables would.
 */
static void aliases(void)
{
	const uint64_t far = UINT64_C(1) << 39;
	uint64_t table[3];
	unsigned int i, k;

	begin_populated(PAGING_LONG, 2, 16384);
	for (k = 0; k < 3; k++)
		table[k] = frame_alloc();
	for (k = 0; k < 2; k++)
		for (i = 0; i < 512; i++)
			bochs_write(table[k] + 8 * i, table[k + 1] | P_USER, 8);
	for (k = 1; k < 256; k++)
		tables_entry_write(&t[0], tables_entry(&t[0], k * far, 4, false), table[0] | P_USER);
	ok(vm_native(ACT_READ, LA));
	tap_diag("%u nodes", vm.core->world.alive);
	ok(vm.core->world.alive < 3000);
	bochs_write(table[2] + 8 * 511, 0x300000 | P_USER, 8);
	for (i = 0; i < 1000; i++)
		vm_do(ACT_READ, far + ((i + 1) << 21) - PAGE);
	is(vm.core->world.stats.spaces_lost, 0, "spaces lost");
	/* The table that they all have is written: each of them is looked at. */
	bochs_write(table[2] + 8 * 511, 0x301000 | P_USER, 8);
	ok(vm_native(ACT_READ, far + (UINT64_C(2) << 21) - PAGE));

	vm.core->world.most = vm.core->world.alive + 2;
	for (i = 0; i < 20; i++)
		vm_do(ACT_WRITE, 3 * far + ((i + 1) << 21) - PAGE);
	is(vm.core->world.stats.spaces_lost, 1, "too many: the space is given up");
	ok(vm.core->world.alive <= vm.core->world.most);
	ok(vm_native(ACT_READ, LA));
	/* Another space has no room beside it. */
	vm.core->world.most = vm.core->world.alive + 2;
	vm.tables = &t[1];
	ok(vm_native(ACT_READ, LA));
	is(vm.core->world.stats.spaces_evicted, 1, "spaces evicted");
	plex86_core_drop_all(vm.core);
	is(vm.core->world.alive, 0, "all are forgotten");
	end("page tables that name each other");
}

/* A process that has lost every page is taken for a new one, once. */
static void reborn(void)
{
	struct plex86_wait wait;
	uint64_t at, e;

	begin(PAGING_LONG, 2);
	ok(vm_native(ACT_READ, LA));
	at = tables_entry(&t[0], LA, 2, false);
	e = tables_entry_read(&t[0], at);
	tables_entry_write(&t[0], at, 0);
	is(vm_slice_only(), PLEX86_EMULATE, "all pages are gone: Bochs first");
	tables_entry_write(&t[0], at, e);
	plex86_core_user_mode(vm.core, t[0].cr3, vm.icount);
	ok(!plex86_core_plan(vm.core, vm_place(t[0].cr3, 0, vm.icount + 1, 1000000), &wait) && wait.ticks);
	is(engine.creates, 1, "its space is kept");
	ok(vm_native(ACT_READ, LA));
	plex86_core_user_mode(vm.core, t[0].cr3, vm.icount);
	vm.icount += 100000;
	ok(plex86_core_plan(vm.core, vm_place(t[0].cr3, 0, vm.icount, 1000000), &wait));
	end("all pages lost");
}

/* PAE's page directory pointers take 32 bytes: several processes' are in one page. */
static void small_roots(void)
{
	struct plex86_wait wait;
	unsigned int other;

	begin(PAGING_PAE, 2);
	ok(vm_native(ACT_READ, LA));
	for (other = 0; other < 2; other++) {
		plex86_core_user_mode(vm.core, t[0].cr3 + 0x20 * other, vm.icount);
		vm.icount += 50 * vm.core->policy.break_even;
		is(plex86_core_plan(vm.core, vm_place(t[0].cr3 + 0x20 * other, LA, vm.icount, 1000000), &wait),
		   !other, other ? "the process beside it has to earn one" : "a process that has a space");
	}
	end("roots of 32 bytes");
}

/* The guest clears an A bit and does not say so to its TLB: Bochs must not use that. */
static void unaccessed(int mode)
{
	static const uint64_t bit[] = { P_A, P_P, P_U };
	unsigned int i, level;
	uint64_t at, e;

	begin(mode, 2);
	ok(vm_native(ACT_READ, LA));
	for (level = 1; level <= 2; level++) {
		at = tables_entry(&t[0], LA, level, false);
		e = tables_entry_read(&t[0], at);
		for (i = 0; i < 3; i++) {
			vm.walks_again = 0;
			tables_entry_write(&t[0], at, e & ~bit[i]);
			ok(!vm_native(ACT_READ, LA + 8));
			is(vm.walks_again, bit[i] == P_A, "Bochs walks for A alone");
			tables_entry_write(&t[0], at, e);
			ok(vm_native(ACT_READ, LA + 8));
		}
	}
	/* The same with D, which is of no interest where nobody may write. */
	at = tables_entry(&t[0], LA, 1, false);
	e = tables_entry_read(&t[0], at);
	for (i = 0; i < 2; i++) {
		vm.walks_again = 0;
		tables_entry_write(&t[0], at, e & ~(P_D | (i ? P_W : 0)));
		ok(vm_native(ACT_READ, LA + 8));
		ok(!vm_native(ACT_WRITE, LA + 8));
		is(vm.walks_again, !i, "Bochs walks for D");
	}
	end("A and D bits that were cleared");
}

static bool told_of(uint64_t la)
{
	return vm.last->slots[la / PLEX86_SLOT_SIZE / 64] >> la / PLEX86_SLOT_SIZE % 64 & 1;
}

/* Before it runs an engine knows where the guest has something that it has never touched natively. */
static void slots(int mode)
{
	const uint64_t far = 77 * PLEX86_SLOT_SIZE + 123 * PAGE, later = 200 * PLEX86_SLOT_SIZE;

	begin(mode, 2);
	tables_map(&t[0], far, 0x300000, P_USER);
	ok(vm_native(ACT_READ, LA));
	ok(told_of(LA) && told_of(far) && !told_of(later));
	tables_map(&t[0], later, 0x301000, P_USER);
	ok(!told_of(later));
	ok(vm_native(ACT_READ, LA));
	ok(told_of(LA) && told_of(far) && told_of(later));
	is(__builtin_popcountll(vm.last->slots[0]) + __builtin_popcountll(vm.last->slots[1]) +
	   __builtin_popcountll(vm.last->slots[2]) + __builtin_popcountll(vm.last->slots[3]), 3, "no others");
	end("what the guest has in the PML4 of its user space");
}

/* The kernel's half, and other modes, are out of the question. */
static void no_slots(void)
{
	begin(PAGING_PAE, 2);
	ok(vm_native(ACT_READ, LA));
	is(vm.last->slots[0] | vm.last->slots[1] | vm.last->slots[2] | vm.last->slots[3], 0, "slots");
	end("roots that are not long mode's");
}

/* Five levels: what four do not reach is Bochs's, whether a PML4 or a PML5 has it. */
static void beyond_four_levels(void)
{
	static const uint64_t beyond[] = { UINT64_C(1) << 47, UINT64_C(1) << 48, (UINT64_C(1) << 56) - PAGE };
	unsigned int i;

	begin(PAGING_LONG5, 2);
	for (i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		tables_map(&t[0], beyond[i], 0x300000, P_USER);
		ok(!vm_native(ACT_READ, beyond[i]));
		ok(!vm_native(ACT_EXEC, beyond[i]));
		ok(vm_native(ACT_READ, LA));
	}
	is(__builtin_popcountll(vm.last->slots[0]) + __builtin_popcountll(vm.last->slots[1]) +
	   __builtin_popcountll(vm.last->slots[2]) + __builtin_popcountll(vm.last->slots[3]), 1, "no slots");
	end("what only five levels reach");
}

/* What was found in pages is not believed any more when all is dropped: DMA may have come by. */
static void written_unseen(void)
{
	begin(PAGING_LONG, 2);
	tables_map(&t[0], CODE, 0x280000, P_USER & ~P_W);
	ok(vm_native(ACT_EXEC, CODE));
	memcpy(vm_host(0x280000) + 100, "\x0f\xa2", 2);	/* CPUID */
	plex86_core_drop_all(vm.core);
	vm_native(ACT_EXEC, CODE);
	is(engine_prot(CODE) & PLEX86_PROT_EXEC, 0, "the page is looked at again");
	end("pages that were written behind our back");
}

/* A page that has stopped a slice is believed to do so again, but not for ever. */
static void stuck_for_a_while(void)
{
	struct plex86_wait wait;
	unsigned int left = 0;

	begin(PAGING_LONG, 2);
	ok(vm_native(ACT_READ, LA));
	plex86_core_user_mode(vm.core, t[0].cr3, vm.icount);
	vm.icount += 10000000;
	vm.core->stuck = true;
	vm.core->stuck_rip = CODE;
	vm.core->stuck_icount = vm.icount;
	while (!plex86_core_plan(vm.core, vm_place(t[0].cr3, CODE, vm.icount, 1000000), &wait) && left < 100) {
		ok(wait.leave_page);
		vm.icount += wait.ticks;
		left++;
	}
	is(left, 16, "left to Bochs");
	ok(plex86_core_plan(vm.core, vm_place(t[0].cr3, LA, vm.icount, 1000000), &wait));
	end("stuck, and looked at again");
}

/* Faults of which only the address is known. */
static void unknown_access(void)
{
	begin(PAGING_LONG, 2);
	engine.known = false;
	tables_map(&t[0], LA + 70 * PAGE, 0x300000, P_USER & ~P_W);
	ok(vm_native(ACT_EXEC, LA + 70 * PAGE));
	ok(vm_native(ACT_READ, LA + 70 * PAGE));
	ok(!vm_native(ACT_WRITE, LA + 70 * PAGE));
	ok(vm_native(ACT_WRITE, LA));
	ok(vm_native(ACT_READ, LA + PAGE));
	tables_map(&t[0], LA + 71 * PAGE, 0x301000, P_USER & ~P_W);
	bochs_write(0x300000 + PAGE - 1, 0x66, 1);
	/* An instruction that goes on in the next page. */
	ok(vm_native(ACT_EXEC, LA + 71 * PAGE - 1));
	end("faults without an error code");
}

int main(void)
{
	neighbours();
	populated();
	large_pages();
	many_spaces();
	eviction();
	rereading(PAGING_32);
	rereading(PAGING_PAE);
	rereading(PAGING_LONG);
	rereading(PAGING_LONG5);
	nothing_adds_up();
	tables_reused(PAGING_32);
	tables_reused(PAGING_PAE);
	tables_reused(PAGING_LONG);
	tables_reused(PAGING_LONG5);
	aliases();
	reborn();
	slots(PAGING_LONG);
	slots(PAGING_LONG5);
	no_slots();
	beyond_four_levels();
	written_unseen();
	stuck_for_a_while();
	small_roots();
	unaccessed(PAGING_32);
	unaccessed(PAGING_PAE);
	unaccessed(PAGING_LONG);
	unaccessed(PAGING_LONG5);
	unknown_access();
	return tap_done();
}
