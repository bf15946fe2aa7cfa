/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's descriptor tables, for an engine that runs user code under them:
 * it has them as they are whenever native code runs (I3), native code can't
 * write them (I4), and what it can't show is not looked at natively (I7).
 * check.c compares before each run; here are the occasions.
 */
#include "plugin/descriptors.h"
#include "vm.h"

#define KERNEL	UINT64_C(0x20000000)	/* where the kernel sees its tables */
#define CODE	UINT64_C(0x00400000)
#define ALIAS	UINT64_C(0x00500000)	/* the same pages, for user code */
#define HARMLESS_CODE UINT64_C(0x00410000)
#define OTHER	UINT64_C(0x00600000)

#define P_KERNEL	(P_P | P_W | P_A | P_D)

#define USER_CODE	UINT64_C(0x00affb000000ffff)
#define USER_DATA	UINT64_C(0x00cff3000000ffff)
#define TLS(base)	(UINT64_C(0x0040f30000000fff) | (uint64_t)(base) << 16)
#define KERNEL_CODE	UINT64_C(0x00af9b000000ffff)
#define ABSENT		UINT64_C(0x00cf73000000ffff)	/* DPL 3, not present */
#define FRESH		UINT64_C(0x00cff2000000ffff)	/* DPL 3, not accessed yet */
#define CALL_GATE	UINT64_C(0x0000ec0000100000)	/* DPL 3 */
#define CONFORMING	UINT64_C(0x00af9f000000ffff)	/* DPL 0 */

static struct tables a, b;
static uint64_t frame[3], code, harmless, data;

static void begin(int mode)
{
	unsigned int i;

	vm_init(11);
	tables_init(&a, mode);
	tables_init(&b, mode);
	code = frame_alloc();
	data = frame_alloc();
	harmless = frame_alloc();
	for (i = 0; i < PAGE; i += 8) {
		bochs_write(code + i, UINT64_C(0x9090909090909090), 8);
		bochs_write(harmless + i, UINT64_C(0x9090909090909090), 8);
	}
	for (i = 0; i < 3; i++) {
		frame[i] = frame_alloc();
		tables_map(&a, KERNEL + i * PAGE, frame[i], P_KERNEL);
		tables_map(&b, KERNEL + i * PAGE, frame[i], P_KERNEL);
		tables_map(&a, ALIAS + i * PAGE, frame[i], P_USER);
	}
	tables_map(&a, CODE, code, P_USER);
	tables_map(&b, CODE, code, P_USER);
	tables_map(&a, HARMLESS_CODE, harmless, P_USER);
	tables_map(&a, OTHER, data, P_USER);
	tables_map(&b, OTHER, data, P_USER);
	tables_load_cr3(&a);
	tables_load_cr3(&b);
	vm.tables = &a;
	vm.bare = true;
	vm.ticks_left = 1000;
	/* The GDT within the first page, as Linux has it. */
	vm.slice.tables.gdt = (struct plex86_table){ KERNEL + 0x100, 128, 0 };
	bochs_write(frame[0] + 0x100 + 8 * 1, KERNEL_CODE, 8);
	bochs_write(frame[0] + 0x100 + 8 * 5, USER_DATA, 8);
	bochs_write(frame[0] + 0x100 + 8 * 6, USER_CODE, 8);
}

static bool ran(void)
{
	return vm_native(ACT_READ, OTHER) || vm_native(ACT_READ, OTHER);
}

static uint64_t gdt(unsigned int i)
{
	return vm.last ? vm.last->gdt[i] : ~UINT64_C(0);
}

static void end(const char *name)
{
	vm_close();
	tap_ok(vm_is_clean(), "%s", name);
}

static void given_once(void)
{
	uint64_t read;

	begin(PAGING_LONG);
	vm_core(4, false);
	ok(ran());
	is(vm.last->ngdt, 16, "entries");
	ok(gdt(1) == KERNEL_CODE && gdt(5) == USER_DATA && gdt(6) == USER_CODE);
	is(vm.last->nldt, 0, "and no LDT");
	ok(ran() && ran());
	is(engine.describes, 1, "given");
	vm.tables = &b;
	ok(ran());
	is(engine.describes, 2, "given to the second space");
	vm.tables = &a;
	ok(ran());
	is(engine.describes, 2, "given, after the first came back");
	/* The same value again: it is read, and nobody needs to know. */
	read = gdt(5);
	bochs_write(frame[0] + 0x100 + 8 * 5, read, 8);
	ok(ran());
	is(engine.describes, 2, "given, after a write that changed nothing");
	end("tables are given to each space, and only when they changed");
}

static void written(void)
{
	unsigned int i;

	begin(PAGING_LONG);
	vm_core(4, false);
	ok(ran());
	for (i = 0; i < 20; i++) {
		bochs_write(frame[0] + 0x100 + 8 * 12, TLS(i << 12), 8);
		ok(ran() && gdt(12) == TLS(i << 12));
	}
	/* The first bytes, the last bytes, one byte. */
	bochs_write(frame[0] + 0x100 + 8 * 15, TLS(7), 8);
	ok(ran() && gdt(15) == TLS(7));
	bochs_write(frame[0] + 0x100 + 8 * 15 + 7, 0x12, 1);
	ok(ran() && gdt(15) >> 56 == 0x12);
	/* By a device: the whole page is new. */
	{
		static uint64_t page[PAGE / 8];

		page[32 + 5] = USER_DATA;
		page[32 + 7] = USER_CODE;
		bochs_dma_page(frame[0], page);
	}
	ok(ran() && gdt(7) == USER_CODE && gdt(6) == 0);
	/* While another space runs. */
	vm.tables = &b;
	ok(ran());
	bochs_write(frame[0] + 0x100 + 8 * 13, TLS(99), 8);
	ok(ran() && gdt(13) == TLS(99));
	vm.tables = &a;
	ok(ran() && gdt(13) == TLS(99));
	/* When nobody watched. */
	bochs_flush_icache();
	bochs_write(frame[0] + 0x100 + 8 * 13, TLS(98), 8);
	ok(ran() && gdt(13) == TLS(98));
	bochs_write(frame[0] + 0x100 + 8 * 13, TLS(97), 8);
	ok(ran() && gdt(13) == TLS(97));
	plex86_core_drop_all(vm.core);
	bochs_write(frame[0] + 0x100 + 8 * 13, TLS(96), 8);
	ok(ran() && gdt(13) == TLS(96));
	end("each write to the tables is seen before native code runs");
}

static void moved(int mode)
{
	begin(mode);
	vm_core(4, false);
	ok(ran());
	vm.slice.tables.gdt.base += 8;
	ok(ran() && gdt(5) == USER_CODE);
	vm.slice.tables.gdt.base -= 8;
	vm.slice.tables.gdt.bytes = 8 * 6;
	ok(ran() && vm.last->ngdt == 6);
	vm.slice.tables.gdt.bytes = 8 * 6 + 7;		/* the seventh is not whole */
	ok(ran() && vm.last->ngdt == 6);
	vm.slice.tables.gdt.bytes = 128;
	ok(ran() && vm.last->ngdt == 16 && gdt(6) == USER_CODE);
	/* The same address, another page. */
	bochs_write(frame[1] + 0x100 + 8 * 9, USER_DATA, 8);
	tables_map(&a, KERNEL, frame[1], P_KERNEL);
	ok(ran() && gdt(9) == USER_DATA && gdt(6) == 0);
	bochs_write(frame[1] + 0x100 + 8 * 8, USER_DATA, 8);
	ok(ran() && gdt(8) == USER_DATA);
	/* Its old page is like any other. */
	ok(vm_native(ACT_WRITE, ALIAS + 8) || vm_native(ACT_WRITE, ALIAS + 8));
	/* Over a page's end, and longer than what the engine takes. */
	tables_map(&a, KERNEL, frame[0], P_KERNEL);
	vm.slice.tables.gdt = (struct plex86_table){ KERNEL + PAGE - 20, 8 * 60, 0 };
	bochs_write(frame[0] + PAGE - 4, USER_DATA & UINT32_MAX, 4);
	bochs_write(frame[1], USER_DATA >> 32, 4);
	ok(ran() && gdt(2) == USER_DATA && vm.last->ngdt == ENGINE_GDT);
	bochs_write(frame[1] + 1, 0xf1, 1);
	ok(ran() && gdt(2) == (USER_DATA ^ UINT64_C(2) << 40));
	/* Not mapped, and no memory: then nothing can be loaded. */
	tables_map(&a, KERNEL, 0, 0);
	ok(ran() && gdt(2) == 0 && gdt(1) == 0);
	tables_map(&a, KERNEL, UINT64_C(0xb8000), P_KERNEL);
	ok(ran() && gdt(2) == 0);
	tables_map(&a, KERNEL, frame[0], P_KERNEL);
	ok(ran() && gdt(2) != 0);
	end(mode >= PAGING_LONG ? "LGDT and other page tables: 4-level" : "LGDT and other page tables: PAE");
}

/* In 32-bit mode a table that begins at the end of the address space goes on at 0. */
static void wrapping(void)
{
	begin(PAGING_PAE);
	tables_map(&a, UINT64_C(0xfffff000), frame[1], P_KERNEL);
	tables_map(&a, 0, frame[2], P_KERNEL);
	tables_load_cr3(&a);
	vm.slice.tables.gdt = (struct plex86_table){ UINT64_C(0xfffffff0), 8 * 8, 0 };
	bochs_write(frame[1] + 0xff8, USER_DATA, 8);
	bochs_write(frame[2] + 8, TLS(3), 8);
	vm_core(2, false);
	ok(ran() && gdt(1) == USER_DATA && gdt(3) == TLS(3));
	end("a table that wraps around");
}

static void ldt(void)
{
	begin(PAGING_LONG);
	vm_core(4, false);
	ok(ran());
	vm.slice.tables.ldt = (struct plex86_table){ KERNEL + PAGE + 0xf80, 65536, 0 };
	bochs_write(frame[1] + 0xf80, USER_DATA, 8);	/* the first is no null descriptor here */
	bochs_write(frame[2] + 8, USER_CODE, 8);
	ok(ran() && vm.last->nldt == ENGINE_LDT && vm.last->ldt[0] == USER_DATA);
	ok(vm.last->ldt[17] == USER_CODE && gdt(6) == USER_CODE);
	bochs_write(frame[2] + 8, TLS(1), 8);
	ok(ran() && vm.last->ldt[17] == TLS(1));
	/* In one page with the GDT, which stays watched when the LDT goes. */
	vm.slice.tables.ldt = (struct plex86_table){ KERNEL + 0x800, 64, 0 };
	ok(ran() && vm.last->nldt == 8);
	vm.slice.tables.ldt = (struct plex86_table){ 0, 0, 0 };
	ok(ran() && vm.last->nldt == 0);
	ok(!vm_native(ACT_WRITE, ALIAS + 0x800));
	bochs_write(frame[0] + 0x100 + 8 * 14, TLS(14), 8);
	ok(ran() && gdt(14) == TLS(14));
	end("an LDT comes, is written, and goes");
}

/* User code has the tables mapped for itself, writable. */
static void not_native(void)
{
	struct act act[] = {
		{ ACT_READ, ALIAS + 0x100, 0 },
		{ ACT_WRITE, ALIAS + 0x100 + 8 * 11, TLS(0) },
		{ ACT_READ, OTHER, 0 },
		{ ACT_WRITE, ALIAS + 0x100 + 8 * 12, TLS(0) },
		{ ACT_READ, OTHER, 0 },
	};

	begin(PAGING_LONG);
	vm_core(4, false);
	ok(ran());
	ok(vm_native(ACT_READ, ALIAS + 0x100) || vm_native(ACT_READ, ALIAS + 0x100));
	ok(!vm_native(ACT_WRITE, ALIAS + 0x100));
	vm_run(act, 5);
	/* A page that native code writes to becomes a table. */
	ok(vm_native(ACT_WRITE, ALIAS + PAGE) || vm_native(ACT_WRITE, ALIAS + PAGE));
	vm.slice.tables.gdt.base = KERNEL + PAGE;
	ok(ran());
	ok(!vm_native(ACT_WRITE, ALIAS + PAGE));
	ok(vm_native(ACT_WRITE, ALIAS) || vm_native(ACT_WRITE, ALIAS));
	end("native code can't write the tables");
}

static bool lar_is_native(void)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		vm_do(ACT_EXEC, CODE);
	/* What is no longer mapped is given up when native code runs next. */
	for (i = 0; i < 4; i++)
		vm_do(ACT_EXEC, HARMLESS_CODE);
	return engine_prot(CODE) & PLEX86_PROT_EXEC;
}

static void set(unsigned int i, uint64_t d)
{
	bochs_write(frame[0] + 0x100 + 8 * i, d, 8);
}

/* Another space: a filter only ever grows. */
static bool lar_is_native_now(void)
{
	plex86_core_drop_all(vm.core);
	return lar_is_native();
}

static void hidden(void)
{
	static const uint64_t odd[] = { ABSENT, FRESH, CALL_GATE, CONFORMING };
	unsigned int i;

	begin(PAGING_LONG);
	engine.caps.max_traps = 0;
	bochs_write(code + 0x80, UINT64_C(0x90020f), 3);	/* LAR */
	vm_core(2, false);
	ok(lar_is_native());
	for (i = 0; i < 4; i++) {
		set(9, odd[i]);
		tap_ok(!lar_is_native(), "descriptor %llx is not shown", (unsigned long long)odd[i]);
		set(9, 0);
		ok(lar_is_native_now());
	}
	/* Slots that are the engine's own, or beyond its table. */
	set(2, USER_DATA);
	ok(!lar_is_native());
	set(2, KERNEL_CODE);
	ok(lar_is_native_now());
	vm.slice.tables.gdt.bytes = 8 * 64;
	ok(lar_is_native());
	set(ENGINE_GDT, USER_DATA);
	ok(!lar_is_native());
	set(ENGINE_GDT, 0);
	vm.slice.tables.ldt = (struct plex86_table){ KERNEL + PAGE, 16, 0 };
	ok(lar_is_native_now());
	bochs_write(frame[1] + 8, FRESH, 8);
	ok(!lar_is_native());
	/* The second half of a 16-byte descriptor is none. */
	bochs_write(frame[1] + 8, UINT64_C(0xffff8880), 8);
	ok(lar_is_native_now());
	/* A table that is not there: LAR faults. */
	vm.slice.tables.ldt.base = KERNEL + 16 * PAGE;
	ok(!lar_is_native());
	end("code with LAR is Bochs's where the engine can't show all");

	begin(PAGING_LONG);
	engine.caps.flags &= ~PLEX86_CAP_DESCRIPTORS;
	set(9, ABSENT);
	bochs_write(code + 0x80, UINT64_C(0x90020f), 3);
	vm_core(2, false);
	ok(!lar_is_native());
	is(engine.describes, 0, "tables given");
	end("an engine without CAP_DESCRIPTORS gets none, and no LAR");
}

/* SDM vol. 3, 3.4.5: every access byte and flag nibble. */
static void each_kind(void)
{
	unsigned int access, flags, wrong = 0;

	for (access = 0; access < 256; access++) {
		for (flags = 0; flags < 16; flags++) {
			uint64_t d = (uint64_t)access << 40 | (uint64_t)flags << 52 | 0xffff;
			bool user = (access & 0x60) == 0x60, segment = access & 0x10;
			bool is_code = segment && (access & 8);
			bool all = (access & 0xf1) == 0xf1;
			unsigned int type = access & 15;
			bool gate = type != 0 && type != 8 && type != 10 && type != 13;
			bool sees = segment ? user || (access & 0x1c) == 0x1c : user && gate;

			wrong += plex86_descriptor_visible(d) != sees;
			wrong += plex86_descriptor_loadable(d, true) != all;
			wrong += plex86_descriptor_loadable(d, false) != (all && !(is_code && (flags & 2)));
			wrong += plex86_descriptor_loadable(d, true) && !plex86_descriptor_visible(d);
		}
	}
	is(wrong, 0, "kinds of descriptor that are taken for another");
}

/* The engine does not take them: the space goes, the guest goes on. */
static void failure(void)
{
	uint64_t i;

	for (i = 1; i < 12; i++) {
		begin(PAGING_LONG);
		vm_core(4, false);
		engine.fail_at = i;
		vm_do(ACT_READ, OTHER);
		set(9, USER_DATA);
		vm_do(ACT_READ, OTHER);
		set(9, USER_CODE);
		vm_do(ACT_READ, OTHER);
		ok(vm.cpu.gpr[REG_NEXT] == 1);
		ok(ran() && gdt(9) == USER_CODE);
		end("a failure at a call to the engine loses nothing");
	}
}

/* Under an engine that has the host's descriptors alone, strict=1 asks for the same in the guest. */
static void strict(void)
{
	static const struct { uint16_t sel; uint64_t right, wrong; const char *what; } slots[] = {
		{ 0x23, UINT64_C(0x00cffb000000ffff), USER_CODE, "32-bit code" },
		{ 0x2b, USER_DATA, FRESH, "data, where loading would set a bit" },
		{ 0x33, USER_CODE, ABSENT, "64-bit code" },
		{ 0x7b, UINT64_C(0x0040f50000000003), 0, "the slot with the CPU's number" },
	};
	uint64_t at;
	unsigned int i;

	begin(PAGING_LONG);
	at = frame[0] + 0x100;
	engine.caps.flags &= ~(PLEX86_CAP_SELECTORS | PLEX86_CAP_DESCRIPTORS);
	for (i = 0; i < 4; i++)
		bochs_write(at + (slots[i].sel & ~7u), slots[i].right, 8);
	vm_core(2, true);
	ok(ran());
	for (i = 0; i < 4; i++) {
		bochs_write(at + (slots[i].sel & ~7u), slots[i].wrong, 8);
		tap_ok(!ran(), "strict=1 refuses the GDT: %s", slots[i].what);
		bochs_write(at + (slots[i].sel & ~7u), slots[i].right, 8);
	}
	ok(ran());
	vm.slice.tables.gdt.bytes = 0x78;
	ok(!ran());
	vm.slice.tables.gdt = (struct plex86_table){ KERNEL + 0x104, 128, 0 };
	ok(!ran());
	vm.slice.tables.gdt = (struct plex86_table){ 0x12345000, 128, 0 };
	ok(!ran());
	end("strict=1 runs guests with 64-bit Linux's GDT");
}

int main(void)
{
	given_once();
	written();
	moved(PAGING_LONG);
	moved(PAGING_PAE);
	wrapping();
	ldt();
	not_native();
	hidden();
	each_kind();
	failure();
	strict();
	return tap_done();
}
