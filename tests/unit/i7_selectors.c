/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I7 for an engine that has the host's selectors only: pages that use segment registers or ask
 * descriptor tables are for Bochs, unless the guest has the same ones.
 */
#include "i7.h"

#define GDT UINT64_C(0x20000000)

static uint64_t gdt;

/* A guest with 64-bit Linux's GDT and selectors, under an engine that has no others. */
static void begin_linux(void)
{
	unsigned int i;

	begin(PAGING_LONG);
	engine.caps.flags &= ~(PLEX86_CAP_SELECTORS | PLEX86_CAP_DESCRIPTORS);
	gdt = frame_alloc();
	tables_map(&t, GDT, gdt, P_P | P_W | P_A | P_D);
	bochs_write(gdt + 0x20, UINT64_C(0x00cffb000000ffff), 8);
	bochs_write(gdt + 0x28, UINT64_C(0x00cff3000000ffff), 8);
	bochs_write(gdt + 0x30, UINT64_C(0x00affb000000ffff), 8);
	bochs_write(gdt + 0x60, UINT64_C(0x00cff3001000ffff), 8);
	bochs_write(gdt + 0x78, UINT64_C(0x0040f50000000000), 8);
	vm.slice.tables.gdt = (struct plex86_table){ GDT, 128, 0 };
	for (i = 0; i < PLEX86_NSEG; i++)
		vm.cpu.seg[i] = (struct plex86_seg){ .sel = 0x2b, .attr = 0xc0f3, .limit = UINT32_MAX };
	vm.cpu.seg[PLEX86_CS].sel = 0x23;
	vm.cpu.seg[PLEX86_CS].attr = 0xc0fb;
	vm.cpu.seg[PLEX86_FS].sel = 0x63;
	vm.cpu.seg[PLEX86_FS].base = 0x1000;
	vm.cpu.mode = PLEX86_MODE_COMPAT;
}

/* The same, but FS has a selector from an LDT, as Wine's has. */
static void begin_other(unsigned int max_traps)
{
	begin_linux();
	engine.caps.max_traps = max_traps;
	vm.cpu.seg[PLEX86_FS].sel = 0x0f;
}

/* Not executable natively once the guest is another than begin_linux()'s. */
static bool given_up(void)
{
	prot_after(CODE, 3);
	prot_after(CODE + PAGE, 2);
	return !(engine_prot(CODE) & PLEX86_PROT_EXEC) && (engine_prot(CODE + PAGE) & PLEX86_PROT_EXEC);
}

static void selectors(void)
{
	static const struct { const char *code; unsigned int len; const char *what; } uses[] = {
		{ "\x8c\xe0", 2, "mov %fs,%eax" }, { "\x1e", 1, "push %ds" },
		{ "\x8e\xe0", 2, "mov %eax,%fs" }, { "\xff\x28", 2, "ljmp *(%eax)" },
	};
	/* Base, limit, not present, read-only, a gate, nothing. */
	static const uint64_t changed[] = {
		0x00cff3002000ffff, 0x01cff3001000ffff, 0x00cff3001000fffe, 0x00cff1001000ffff,
		0x00cf73001000ffff, 0x00cfe3001000ffff, 0x008ff3001000ffff, 0,
	};
	const struct plex86_copies *copies;
	const struct plex86_copy *copy;
	unsigned int i;

	/* Wine's are in an LDT. */
	for (i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		begin_linux();
		engine.caps.max_traps = 0;
		put(frame[0] + 0x100, uses[i].code, uses[i].len);
		vm_core(2, false);
		ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
		vm.cpu.seg[PLEX86_FS].sel = 0x0f;
		tap_ok(given_up(), "%s, with a selector that the host does not have", uses[i].what);
		end("code that would see or load other segments than its own");
	}

	/* What would be loaded is another segment. */
	begin_linux();
	engine.caps.max_traps = 0;
	put(frame[0] + 0x100, "\x8e\xe0", 2);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	bochs_write(gdt + 0x20, UINT64_C(0x00affb000000ffff), 8);
	ok(given_up());
	end("the same where the GDT is another");

	/* FS is as it was loaded, and would be another if it were loaded again. */
	for (i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
		begin_linux();
		engine.caps.max_traps = 0;
		put(frame[0] + 0x100, "\x8e\xe0", 2);
		vm_core(2, false);
		ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
		bochs_write(gdt + 0x60, changed[i], 8);
		tap_ok(given_up(), "%016llx", (unsigned long long)changed[i]);
		end("a thread's descriptor that changes behind its selector");
	}

	/* Accessed or not: that can't be told from the register. */
	begin_linux();
	engine.caps.max_traps = 0;
	put(frame[0] + 0x100, "\x8e\xe0", 2);
	vm_core(2, false);
	bochs_write(gdt + 0x60, UINT64_C(0x00dff2001000ffff), 8);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	end("a thread's descriptor with another accessed and AVL bit");

	/* In 64-bit code PUSH DS is no instruction. */
	begin_linux();
	engine.caps.max_traps = 0;
	vm.cpu.mode = PLEX86_MODE_64;
	vm.cpu.seg[PLEX86_CS].sel = 0x2b;
	put(frame[0] + 0x100, "\x1e", 1);
	put(frame[1] + 0x100, "\x8c\xd0", 2);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	ok(!(prot_after(CODE + PAGE, 3) & PLEX86_PROT_EXEC));
	end("the same in 64-bit code");

	/* SYSRET has left what an interrupt had loaded into SS: 32-bit code would not have it. */
	begin_linux();
	engine.caps.max_traps = 0;
	vm.cpu.mode = PLEX86_MODE_64;
	vm.cpu.seg[PLEX86_FS].sel = 0;
	put(frame[0] + 0x100, "\xff\x28", 2);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	vm.cpu.seg[PLEX86_SS].limit = 0;
	ok(given_up());
	end("a far jump of 64-bit code whose SS is not flat");

	/* Where the host kernel keeps no bases of its own, FS is not as it says, to 64-bit code. */
	for (i = 0; i < 2; i++) {
		begin_linux();
		engine.caps.max_traps = 0;
		engine.caps.flags |= PLEX86_CAP_BASES_LOST;
		vm.cpu.mode = i ? PLEX86_MODE_64 : PLEX86_MODE_COMPAT;
		vm.cpu.seg[PLEX86_FS].sel = i ? 0 : 0x63;
		put(frame[0] + 0x100, "\x8e\xe0", 2);
		vm_core(2, false);
		is(!(prot_after(CODE, 3) & PLEX86_PROT_EXEC), i, i ? "64-bit code" : "32-bit code");
		end("a load of FS on a host without FSGSBASE");
	}

	/* Breakpoints, where they are enough. */
	begin_other(PLEX86_MAX_TRAPS);
	put(frame[0] + 0x100, "\x66\x8c\xe0", 3);
	put(frame[0] + 0x201, "\x8e\xe0", 2);
	vm_core(2, false);
	ok(prot_after(CODE, 2000) & PLEX86_PROT_EXEC);
	is(vm.last->ntraps, 3, "places");
	exec(CODE + 0x100);
	exec(CODE + 0x201);
	end("breakpoints at uses of segments");

	/* Copies, where the engine can hide them: what seems to be one traps, and nothing else. */
	begin_other(0);
	engine.caps.flags |= PLEX86_CAP_EXEC_ONLY;
	put(frame[0] + 0x100, "\x66\x8c\xe0", 3);
	put(frame[0] + 0x200, "\xb8\x8c\xe0\x00\x00", 5);	/* mov $0xe08c,%eax */
	put(frame[1] + 10, "\x8c\xe0", 2);
	vm_core(2, false);
	is(prot_after(CODE, 3), PLEX86_PROT_EXEC, "a copy");
	copies = &vm.core->world.copies;
	copy = plex86_copy_find(&vm.core->world.copies, frame[0] >> PLEX86_PAGE_SHIFT);
	ok(plex86_copy_traps(copies, copy, vm_host(frame[0]), 0x100));
	ok(plex86_copy_traps(copies, copy, vm_host(frame[0]), 0x101));
	ok(!plex86_copy_traps(copies, copy, vm_host(frame[0]), 0x201));
	exec(CODE + 0x100);
	exec(CODE + 0x101);
	exec(CODE + 0x200);
	ok(!(prot_after(CODE + PAGE, 3) & PLEX86_PROT_EXEC));	/* as for breakpoints, below */
	end("a copy in which uses of segments trap");

	/* The page before, which comes later, says that the bytes are an instruction. */
	begin_other(0);
	put(frame[0] + 4095, "\xc5", 1);	/* LDS */
	put(frame[1], "\x45\x08", 2);
	vm_core(2, false);
	ok(!(prot_after(CODE + PAGE, 3) & PLEX86_PROT_EXEC));
	tables_map(&t, CODE, 0, 0);
	put(frame[1] + 100, "\x90", 1);
	ok(prot_after(CODE + PAGE, 3) & PLEX86_PROT_EXEC);
	tables_map(&t, CODE, frame[0], P_USER);
	exec(CODE);
	ok(!(engine_prot(CODE + PAGE) & PLEX86_PROT_EXEC));
	end("an instruction over two pages of which the second was known first");

	/* The same when the first one changes. */
	begin_other(0);
	put(frame[1], "\x45\x08", 2);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	ok(prot_after(CODE + PAGE, 3) & PLEX86_PROT_EXEC);
	put(frame[0] + 4095, "\xc5", 1);
	exec(CODE + 2 * PAGE);
	prot_after(CODE, 2);
	ok(!(engine_prot(CODE + PAGE) & PLEX86_PROT_EXEC));
	end("and of which the first was changed");

	/* What was decoded says nothing of new bytes. */
	begin_other(0);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	put(frame[0] + 0x100, "\x8c\xe0", 2);
	ok(!(prot_after(CODE, 3) & PLEX86_PROT_EXEC));
	end("a page into which Bochs writes a use of a segment is decoded again");

	/* The first bytes may belong to the page before: no place for a breakpoint. */
	begin_other(PLEX86_MAX_TRAPS);
	put(frame[0] + 10, "\x8c\xe0", 2);
	put(frame[0] + 0x100, "\x0f\xa2", 2);
	vm_core(2, false);
	ok(!(prot_after(CODE, 2000) & PLEX86_PROT_EXEC));
	end("breakpoints do not do for what a page begins with");
}

int main(void)
{
	selectors();
	return tap_done();
}
