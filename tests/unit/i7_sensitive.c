/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I7: sensitive instructions never give the host's answer.  Pages with their
 * bytes run natively only with a trap at each place where one can begin.
 */
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

static void clean_and_refused(void)
{
	begin(PAGING_LONG);
	engine.caps.max_traps = 0;
	put(frame[1] + 100, "\x0f\xa2", 2);
	put(frame[2] + 5, "\x0f\x01\xd0", 3);
	vm_core(2, false);
	ok(prot_after(CODE, 3) == (PLEX86_PROT_READ | PLEX86_PROT_EXEC));
	ok(!(prot_after(CODE + PAGE, 100) & PLEX86_PROT_EXEC));
	ok(!(prot_after(CODE + 2 * PAGE, 100) & PLEX86_PROT_EXEC));
	/* To read such a page is harmless. */
	prot_after(CODE, 2);
	vm_do(ACT_READ, CODE + PAGE);
	vm_do(ACT_READ, CODE + PAGE);
	ok(engine_prot(CODE + PAGE) & PLEX86_PROT_READ);
	ok(!engine.trap_sets);
	end("without traps such pages are left to Bochs");
}

static void written_later(void)
{
	begin(PAGING_LONG);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	put(frame[0] + 50, "\x0f\xa2", 2);
	vm_do(ACT_READ, CODE + 2 * PAGE);
	ok(!(engine_prot(CODE) & PLEX86_PROT_EXEC));
	vm_do(ACT_READ, CODE);
	exec(CODE + 50);
	end("a page into which Bochs writes such an instruction is looked at again");

	begin(PAGING_LONG);
	vm_core(2, false);
	prot_after(CODE, 3);
	{
		/* The guest writes it natively, through another address, and jumps there. */
		struct act act[] = {
			{ ACT_READ, CODE + PAGE, 0 }, { ACT_WRITE, CODE + PAGE + 64, 0x9090a20f },
			{ ACT_WRITE, CODE + PAGE + 72, 0x90 }, { ACT_EXEC, CODE + 64, 0 },
			{ ACT_EXEC, CODE, 0 }, { ACT_EXEC, CODE + 64, 0 },
		};

		tables_map(&t, CODE + PAGE, frame[0], P_USER | P_NX);
		vm_run(act, 6);
	}
	end("a page into which native code writes such an instruction is looked at again");
}

/* Bochs forgets all stamps: what was known of a page is worth nothing afterwards. */
static void stamps_lost(void)
{
	begin(PAGING_LONG);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	bochs_flush_icache();
	put(frame[0] + 50, "\x0f\xa2", 2);
	prot_after(CODE, 2);
	exec(CODE + 50);
	end("a page that was written while nobody watched is looked at again");
}

static void seams(void)
{
	unsigned int cut;

	for (cut = 1; cut < 3; cut++) {
		begin(PAGING_LONG);
		put(frame[1] + PAGE - cut, "\x0f\x01\xd0", 3 < cut ? 3 : cut);
		put(frame[2], "\x0f\x01\xd0" + cut, 3 - cut);
		vm_core(2, false);
		prot_after(CODE + PAGE + 8, 3);
		prot_after(CODE + 2 * PAGE + 8, 3);
		tap_ok(!(engine_prot(CODE + PAGE) & engine_prot(CODE + 2 * PAGE) & PLEX86_PROT_EXEC),
		       "XGETBV cut after byte %u: not both pages are executable", cut);
		exec(CODE + 2 * PAGE - cut);
		end("and it never ran");

		begin(PAGING_LONG);
		put(frame[1] + PAGE - cut, "\x0f\x01\xd0", cut);
		put(frame[2], "\x0f\x01\xd0" + cut, 3 - cut);
		vm_core(2, false);
		prot_after(CODE + 2 * PAGE + 8, 3);
		prot_after(CODE + PAGE + 8, 3);
		exec(CODE + 2 * PAGE - cut);
		end("nor when the second page came first");
	}
}

static void traps(void)
{
	begin(PAGING_LONG);
	put(frame[0] + 0x100, "\x0f\xa2", 2);
	put(frame[0] + 0x200, "\x66\x48\x0f\xa2", 4);
	vm_core(2, false);
	ok(prot_after(CODE, 2000) & PLEX86_PROT_EXEC);
	ok(vm.last->ntraps == 4);
	ok(engine_prot(CODE) & PLEX86_PROT_EXEC);
	exec(CODE + 0x100);
	exec(CODE + 0x200);
	exec(CODE + 0x201);
	exec(CODE + 0x202);
	/* A write to the page: the bytes are elsewhere. */
	put(frame[0] + 0x300, "\x0f\xa2", 2);
	prot_after(CODE, 2000);
	ok(!(engine_prot(CODE) & PLEX86_PROT_EXEC));	/* five places are too many */
	end("a page runs with a trap at each place, prefixes included");

	begin(PAGING_LONG);
	put(frame[0] + 0x100, "\x0f\xa2", 2);
	put(frame[1] + 0x100, "\x48\x0f\xa2\x90\x0f\xa2", 6);
	put(frame[2] + 0x100, "\x48\x0f\xa2", 3);
	vm_core(2, false);
	prot_after(CODE, 2000);
	prot_after(CODE + PAGE, 2000);
	ok(engine_prot(CODE) & engine_prot(CODE + PAGE) & PLEX86_PROT_EXEC);
	prot_after(CODE + 2 * PAGE, 2000);
	ok(engine_prot(CODE + 2 * PAGE) & PLEX86_PROT_EXEC);
	ok(vm.last->ntraps <= PLEX86_MAX_TRAPS);
	exec(CODE + 0x100);
	exec(CODE + PAGE + 0x100);
	exec(CODE + PAGE + 0x104);
	exec(CODE + 2 * PAGE + 0x100);
	end("traps go from page to page, and the page that gave them up is unmapped");

	/* Somebody else takes the CPU's breakpoints meanwhile. */
	begin(PAGING_LONG);
	put(frame[0] + 0x100, "\x0f\xa2", 2);
	put(frame[1] + 0x100, "\x0f\xa2", 2);
	vm_core(2, false);
	ok(prot_after(CODE, 2000) & PLEX86_PROT_EXEC);
	engine.breakpoints_left = 1;
	prot_after(CODE + PAGE, 2000);
	ok(!((engine_prot(CODE) | engine_prot(CODE + PAGE)) & PLEX86_PROT_EXEC));
	ok(!vm.last->ntraps && !vm.core->world.stats.spaces_lost);
	exec(CODE + 0x100);
	exec(CODE + PAGE + 0x100);
	ok(prot_after(CODE + 2 * PAGE, 3) & PLEX86_PROT_EXEC);
	end("breakpoints that the host has no longer cost pages, and no spaces");
}

static unsigned int price(uint64_t la)
{
	return plex86_code_price(vm.core->last, (plex86_gva_t){ la });
}

/* What takes more traps must be hotter; what had some, in another space too, less so. */
static void price_of_traps(void)
{
	unsigned int one;

	begin(PAGING_LONG);
	put(frame[0] + 0x100, "\x0f\xa2", 2);
	put(frame[1] + 0x100, "\x0f\xa2\x0f\xa2\x0f\xa2\x0f\xa2", 8);
	put(frame[2] + 0x100, "\x66\x48\x0f\xa2", 4);
	vm_core(2, false);
	prot_after(CODE + 3 * PAGE, 3);
	one = price(CODE);
	is(price(CODE + PAGE), 4 * one, "four traps are four times as dear");
	is(price(CODE + 3 * PAGE), one, "no page takes none");
	ok(prot_after(CODE, 2000) & PLEX86_PROT_EXEC);
	/* Another program, and another with traps of its own. */
	tables_init(&t, PAGING_LONG);
	tables_map(&t, CODE, frame[0], P_USER);
	tables_map(&t, CODE + 2 * PAGE, frame[2], P_USER);
	tables_map(&t, CODE + 3 * PAGE, frame[3], P_USER);
	prot_after(CODE + 3 * PAGE, 2000);
	ok(price(CODE) < one / 4);
	put(frame[0] + 0x200, "\x90", 1);
	prot_after(CODE, 1);
	is(price(CODE), one, "new bytes, new price");
	end("traps have their price");
}

/* The address is given to another page with other bytes. */
static void remapped(void)
{
	begin(PAGING_LONG);
	put(frame[0] + 0x100, "\x0f\xa2", 2);
	put(frame[1] + 0x200, "\x0f\xa2", 2);
	vm_core(2, false);
	ok(prot_after(CODE, 2000) & PLEX86_PROT_EXEC);
	/* Known bytes, before it takes the place. */
	prot_after(CODE + PAGE, 2);
	tables_map(&t, CODE, frame[1], P_USER);
	vm_do(ACT_READ, CODE + 2 * PAGE);
	exec(CODE);
	exec(CODE + 0x200);
	end("another page at an address with traps does not inherit them");
}

/* A space that has run 32-bit code runs 64-bit code: 48 is a prefix now. */
static void both_modes(void)
{
	begin(PAGING_LONG);
	put(frame[0] + 0x100, "\x48\x0f\xa2", 3);
	vm.cpu.mode = PLEX86_MODE_COMPAT;
	vm_core(2, false);
	ok(prot_after(CODE, 2000) & PLEX86_PROT_EXEC);
	vm.cpu.mode = PLEX86_MODE_64;
	exec(CODE);
	exec(CODE + 0x100);
	end("traps made for 32-bit code do not do for 64-bit code");

	/* RDFSBASE is undefined once CR4 says so. */
	begin(PAGING_LONG);
	engine.caps.max_traps = 0;
	put(frame[0] + 0x100, "\xf3\x0f\xae\xc0", 4);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	vm.less_cr4 = CR4_FSGSBASE;
	prot_after(CODE, 3);
	prot_after(CODE + PAGE, 2);
	ok(!(engine_prot(CODE) & PLEX86_PROT_EXEC));
	end("the filter becomes stricter when the guest's registers do");

	/* 32-bit code, where AMD's CPUs have SYSCALL, may have its bytes in other instructions. */
	begin(PAGING_LONG);
	engine.caps.flags &= ~PLEX86_CAP_TRAP_SYSENTER;
	engine.caps.flags |= PLEX86_CAP_SYSENTER_UD;
	engine.caps.max_traps = 0;
	put(frame[0] + 0x100, "\xe8\x00\x0f\x05\x00\x0f\x34", 7);
	put(frame[1] + 0x100, "\x0f\x05", 2);
	vm_core(2, false);
	vm.cpu.mode = PLEX86_MODE_COMPAT;
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	ok(!(prot_after(CODE + PAGE, 3) & PLEX86_PROT_EXEC));
	end("SYSCALL in 32-bit code");

	/* At the beginning of a page they count: who knows what comes before. */
	begin(PAGING_LONG);
	engine.caps.flags &= ~PLEX86_CAP_TRAP_SYSENTER;
	engine.caps.flags |= PLEX86_CAP_SYSENTER_UD;
	engine.caps.max_traps = 0;
	put(frame[0] + PAGE - 1, "\xb8", 1);
	put(frame[1], "\x90\x0f\x05\x00", 4);
	vm_core(2, false);
	vm.cpu.mode = PLEX86_MODE_COMPAT;
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	ok(!(prot_after(CODE + PAGE, 3) & PLEX86_PROT_EXEC));
	end("SYSCALL in 32-bit code, first in a page");

	/* LSL's bytes are a part of MOV, until another page comes before. */
	begin(PAGING_LONG);
	engine.caps.flags &= ~PLEX86_CAP_DESCRIPTORS;
	engine.caps.max_traps = 0;
	put(frame[0] + PAGE - 1, "\xb8", 1);
	put(frame[1], "\x90\x0f\x03\x00", 4);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & prot_after(CODE + PAGE + 0x800, 3) & PLEX86_PROT_EXEC);
	tables_map(&t, CODE, frame[2], P_USER);
	exec(CODE);
	ok(!(engine_prot(CODE + PAGE) & PLEX86_PROT_EXEC));
	end("LSL, by what comes before");
}

/* 64-bit code may jump to 32-bit code, where some hosts take SYSCALL for their own. */
static void syscalls(bool amd, bool strict)
{
	const uint64_t high = UINT64_C(0x7f0000400000);

	begin(PAGING_LONG);
	engine.caps.max_traps = 0;
	engine.caps.flags &= ~PLEX86_CAP_TRAP_SYSENTER;
	if (amd)
		engine.caps.flags |= PLEX86_CAP_SYSENTER_UD;
	put(frame[0] + 0x100, "\x0f\x05", 2);
	put(frame[1] + 0x100, "\x0f\x34", 2);
	put(frame[2] + 0x100, "\xe8\x00\x0f\x05\x00", 5);	/* a part of CALL */
	put(frame[2] + PAGE - 1, "\x0f", 1);
	put(frame[3], "\x05", 1);
	tables_map(&t, high, frame[0], P_USER);
	vm_core(2, strict);
	is(!(prot_after(CODE, 20) & PLEX86_PROT_EXEC), amd, "SYSCALL below 4 GiB");
	is(!(prot_after(CODE + PAGE, 20) & PLEX86_PROT_EXEC), !amd, "SYSENTER");
	ok(prot_after(high, 3) & PLEX86_PROT_EXEC);
	is(!(prot_after(CODE + 2 * PAGE, 20) & PLEX86_PROT_EXEC), amd && strict, "its bytes in a CALL");
	put(frame[2] + 0x100, "\x90\x90\x90\x90\x90", 5);
	prot_after(CODE + 2 * PAGE, 20);
	prot_after(CODE + 3 * PAGE, 20);
	is(!(engine_prot(CODE + 2 * PAGE) & engine_prot(CODE + 3 * PAGE) & PLEX86_PROT_EXEC),
	   amd, "in two pages");
	end(amd ? "as AMD's CPUs have them" : "as Intel's CPUs have them");
}

/* A far jump within one run: what the next page may hold is what its width of code may. */
static int jumps(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
		 struct plex86_exit *x)
{
	(void)s;
	(void)budget_ns;
	cpu->seg[PLEX86_CS].sel = 0x23;
	cpu->seg[PLEX86_CS].attr ^= PLEX86_SEG_L | PLEX86_SEG_DB;
	cpu->rip = CODE + PAGE;
	x->reason = PLEX86_EXIT_PAGE;
	x->addr = CODE + PAGE;
	x->access = PLEX86_ACCESS_KNOWN | PLEX86_ACCESS_EXEC;
	return 0;
}

static void width_changes(void)
{
	begin(PAGING_LONG);
	engine.caps.max_traps = 0;
	engine.caps.flags &= ~PLEX86_CAP_TRAP_SYSENTER;
	engine.caps.flags |= PLEX86_CAP_SYSENTER_UD;
	put(frame[1] + 0x100, "\x0f\x34", 2);
	vm_core(2, false);
	prot_after(CODE, 3);
	engine.script = jumps;
	vm.cpu.rip = CODE;
	vm.cpu.mode = PLEX86_MODE_64;
	is(vm_slice_only(), PLEX86_STEP, "a run that comes back with another width of code");
	ok(!(engine_prot(CODE + PAGE) & PLEX86_PROT_EXEC));
	engine.script = NULL;
	end("its page is not mapped by the rules of the first");
}

/* Breakpoints do for the four that are in a hot page. */
static void syscalls_trapped(void)
{
	begin(PAGING_LONG);
	engine.caps.flags &= ~PLEX86_CAP_TRAP_SYSENTER;
	engine.caps.flags |= PLEX86_CAP_SYSENTER_UD;
	put(frame[0] + 0x100, "\x0f\x05", 2);
	put(frame[0] + 0x200, "\xe8\x00\x0f\x05\x00", 5);
	vm_core(2, false);
	ok(prot_after(CODE, 2000) & PLEX86_PROT_EXEC);
	is(vm.last->ntraps, 2, "places");
	exec(CODE + 0x100);
	end("SYSCALL with breakpoints");
}

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

/* What is no instruction need not trap in a copy. */
static void copy_of_decoded(void)
{
	const struct plex86_copies *copies;
	const struct plex86_copy *copy;

	begin(PAGING_LONG);
	engine.caps.flags |= PLEX86_CAP_EXEC_ONLY;
	engine.caps.flags &= ~PLEX86_CAP_DESCRIPTORS;
	put(frame[0] + 0x100, "\x0f\xa2", 2);
	put(frame[0] + 0x300, "\xb8\x0f\x02\x00\x00", 5);	/* mov $0x20f,%eax */
	put(frame[1] + 0x300, "\x0f\x02\xc1", 3);		/* lar */
	put(frame[1] + 0x401, "\xb8\x0f\x02\x00\x00", 5);
	vm_core(2, false);
	ok(prot_after(CODE, 3) == PLEX86_PROT_EXEC);
	ok(prot_after(CODE + PAGE, 3) == PLEX86_PROT_EXEC);
	copies = &vm.core->world.copies;
	copy = plex86_copy_find(&vm.core->world.copies, frame[0] >> PLEX86_PAGE_SHIFT);
	ok(plex86_copy_traps(copies, copy, vm_host(frame[0]), 0x100));
	ok(!plex86_copy_traps(copies, copy, vm_host(frame[0]), 0x301));
	copy = plex86_copy_find(&vm.core->world.copies, frame[1] >> PLEX86_PAGE_SHIFT);
	ok(plex86_copy_traps(copies, copy, vm_host(frame[1]), 0x300));
	ok(plex86_copy_traps(copies, copy, vm_host(frame[1]), 0x402));	/* the bytes, if need be */
	exec(CODE + 0x300);
	exec(CODE + PAGE + 0x300);
	end("what is no instruction stays in a copy");

	/* A copy of the second page would be what that is. */
	begin(PAGING_LONG);
	engine.caps.flags |= PLEX86_CAP_EXEC_ONLY;
	engine.caps.flags &= ~PLEX86_CAP_DESCRIPTORS;
	engine.caps.max_traps = 0;
	put(frame[0] + PAGE - 1, "\x0f", 1);
	put(frame[1], "\x02\xc1", 2);
	put(frame[2] + 0x100, "\x0f\x02\xc1", 3);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	ok(!(prot_after(CODE + PAGE, 3) & PLEX86_PROT_EXEC));
	ok(prot_after(CODE + 2 * PAGE, 3) == PLEX86_PROT_EXEC);
	end("no copy where an instruction goes on from the page before");
}

/* IRET with RF set would pass over them. */
static void strictly(void)
{
	begin(PAGING_LONG);
	put(frame[0] + 0x100, "\x0f\xa2", 2);
	vm_core(2, true);
	ok(!(prot_after(CODE, 2000) & PLEX86_PROT_EXEC));
	is(vm.last ? vm.last->ntraps : 0, 0, "places");
	end("strict=1: no breakpoints");
}

/* RDTSC traps in a space that needs it, by a switch and not by one of four places. */
static void tsc(void)
{
	unsigned int i, switched;

	for (switched = 0; switched < 2; switched++) {
		begin(PAGING_LONG);
		engine.caps.flags &= ~PLEX86_CAP_TRAP_TSC;
		engine.fail_tsc = !switched;
		for (i = 0; i < 10; i++)
			put(frame[0] + 0x100 + 16 * i, "\x0f\x31", 2);
		put(frame[1] + 0x100, "\x66\x0f\x01\xf9\x0f\xa2", 6);
		put(frame[2] + 0x100, "\xf3\x0f\xc7\xf8", 4);
		vm_core(2, false);
		prot_after(CODE, 2000);
		ok(!(engine_prot(CODE) & PLEX86_PROT_EXEC) == !switched);
		prot_after(CODE + PAGE, 2000);
		ok(engine_prot(CODE + PAGE) & PLEX86_PROT_EXEC);
		is(vm.last->ntraps, switched ? 1 : 3, "places");
		prot_after(CODE + 2 * PAGE, 2000);
		for (i = 0; i < 3; i++) {
			exec(CODE + i * PAGE + 0x100);
			exec(CODE + i * PAGE + 0x101);
			exec(CODE + i * PAGE + 0x104);
			exec(CODE + 3 * PAGE);
		}
		/* The switch belongs to the space: a new one starts without. */
		plex86_core_drop_all(vm.core);
		for (i = 0; i < 50; i++) {
			exec(CODE + 0x100);
			exec(CODE + 3 * PAGE);
		}
		end(switched ? "RDTSC with a switch" : "RDTSC without one");
	}
}

/*
 * An engine that can't make RDTSC trap at all: a page runs if its bytes are parts of other
 * instructions there, and with strict=1 it does not.
 */
static void tsc_untrapped(void)
{
	unsigned int strict;

	for (strict = 0; strict < 2; strict++) {
		begin(PAGING_LONG);
		engine.caps.flags &= ~(PLEX86_CAP_TRAP_TSC | PLEX86_CAP_TSC_SWITCH);
		engine.caps.max_traps = 0;
		put(frame[0] + 0x100, "\x8b\x0f\x31\xc0", 4);
		put(frame[1] + 0x100, "\x8b\x0f\x90\x0f\x31", 5);
		put(frame[2] + 0xfff, "\x0f", 1);
		put(frame[3], "\x31\xc0", 2);
		vm_core(2, strict);
		vm.within = strict ? 0 : CODE + 0x101;
		prot_after(CODE, 2000);
		is(engine_prot(CODE) & PLEX86_PROT_EXEC ? 0 : 1, strict, "the page with MOV");
		prot_after(CODE + PAGE, 2000);
		ok(!(engine_prot(CODE + PAGE) & PLEX86_PROT_EXEC));
		exec(CODE + PAGE + 0x103);
		prot_after(CODE + 2 * PAGE, 2000);
		prot_after(CODE + 3 * PAGE, 2000);
		/* Never both of two pages that have it in common. */
		ok(!(engine_prot(CODE + 2 * PAGE) & engine_prot(CODE + 3 * PAGE) & PLEX86_PROT_EXEC));
		end(strict ? "RDTSC that can't trap, strict=1" : "RDTSC that can't trap");
	}
}

/*
 * Where data precede it, LAR does not look like an instruction, until code goes on right there: at
 * the beginning of a slice, or when a page is entered.
 */
static void surprises(void)
{
	static const char lar[] = "\x90\x0f\x02\xc1";
	unsigned int i, where;

	for (where = 0; where < 3; where++) {
		begin(PAGING_LONG);
		engine.caps.flags &= ~PLEX86_CAP_DESCRIPTORS;
		engine.caps.flags |= where ? PLEX86_CAP_EXEC_ONLY : 0;
		for (i = 0x200; i < 0x300; i += 2)
			put(frame[0] + i, "\xd6\x27", 2);
		put(frame[0] + 0x300, lar, 4);
		for (i = 0x304; i < 0x400; i += 2)
			put(frame[0] + i, "\xd6\x27", 2);
		tables_map(&t, CODE, frame[0], P_USER & ~P_W);	/* or a neighbour's fault makes it data */
		vm_core(2, false);
		if (where < 2) {
			ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
			is(vm.core->world.stats.surprises, 0, "nothing is known of it");
		}
		exec(CODE + 0x300);
		prot_after(CODE + PAGE, 2);
		ok(!(engine_prot(CODE) & PLEX86_PROT_EXEC));
		ok(!(prot_after(CODE, 2000) & PLEX86_PROT_EXEC));
		is(vm.core->world.stats.surprises, 1, "found once");
		/* Another program there. */
		put(frame[0] + 0x301, "\x90\x90", 2);
		ok(prot_after(CODE + 0x300, 2000) & PLEX86_PROT_EXEC);
		end("an instruction that decoding had not found");
	}
}

/* The page has such an instruction that was found, and traps or is altered, and another. */
static void second_surprise(void)
{
	unsigned int copies, i;

	for (copies = 0; copies < 2; copies++) {
		begin(PAGING_LONG);
		engine.caps.flags &= ~PLEX86_CAP_DESCRIPTORS;
		engine.caps.flags |= copies ? PLEX86_CAP_EXEC_ONLY : 0;
		put(frame[0] + 0x100, "\x0f\x02\xc1", 3);
		for (i = 0x200; i < 0x300; i += 2)
			put(frame[0] + i, "\xd6\x27", 2);
		put(frame[0] + 0x300, "\x90\x0f\x02\xc1", 4);
		for (i = 0x304; i < 0x400; i += 2)
			put(frame[0] + i, "\xd6\x27", 2);
		tables_map(&t, CODE, frame[0], P_USER & ~P_W);
		vm_core(2, false);
		ok(prot_after(CODE + 0x800, 2000) & PLEX86_PROT_EXEC);
		exec(CODE + 0x100);
		exec(CODE + 0x300);
		prot_after(CODE + PAGE, 20);
		is(vm.core->world.stats.surprises, !copies, "a surprise, but where all of its bytes trap");
		ok(!(engine_prot(CODE) & PLEX86_PROT_EXEC) == !copies);
		exec(CODE + 0x300);
		end("an instruction in a page with traps that decoding had not found");
	}
}

/* An engine that can hide what is executed: the page runs but for the places that trap. */
static void copies(void)
{
	struct plex86_copies *all;
	unsigned int i;

	begin(PAGING_LONG);
	engine.caps.flags |= PLEX86_CAP_EXEC_ONLY;
	for (i = 0; i < 12; i++)
		put(frame[0] + 0x100 + 16 * i, "\x66\x48\x0f\xa2", 4);
	put(frame[1] + 0x800, "\x0f\x01\xd0", 3);
	put(frame[2] + 5, "\x0f\xa2", 2);
	vm_core(2, false);
	ok(prot_after(CODE, 3) == PLEX86_PROT_EXEC);
	exec(CODE + 0x100);
	exec(CODE + 0x101);
	exec(CODE + 0x102);
	exec(CODE + 0x400);
	ok(prot_after(CODE + PAGE, 3) == PLEX86_PROT_EXEC);
	exec(CODE + PAGE + 0x800);
	/* What begins before the page could run into this one's CPUID. */
	ok(!(prot_after(CODE + 2 * PAGE, 1) & PLEX86_PROT_EXEC));
	ok(!engine.trap_sets);
	/* Where reading begins, it is Bochs who reads, and who writes; and then it is another copy. */
	vm_do(ACT_READ, CODE + 0x100);
	ok(prot_after(CODE, 2) == PLEX86_PROT_EXEC);
	put(frame[0] + 0xc00, "\x0f\xa2", 2);
	ok(prot_after(CODE, 3) == PLEX86_PROT_EXEC);
	exec(CODE + 0xc00);
	vm_do(ACT_WRITE, CODE + 0x600);
	exec(CODE + 0x600);
	exec(CODE + 0xc00);
	end("pages run as copies with traps");

	begin(PAGING_LONG);
	engine.caps.flags |= PLEX86_CAP_EXEC_ONLY;
	engine.caps.max_traps = 0;
	put(frame[0] + 0x100, "\x0f\xa2", 2);
	vm_core(2, false);
	ok(prot_after(CODE, 3) == PLEX86_PROT_EXEC);
	for (i = 0; i < 40; i++) {
		vm_do(ACT_READ, CODE + 0x100 + i);
		exec(CODE);
	}
	prot_after(CODE + PAGE, 2);
	ok(!(engine_prot(CODE) & PLEX86_PROT_EXEC));
	end("a copy that is read all the time is left to Bochs");

	/* Copies of others take all the room there is, for a while. */
	begin(PAGING_LONG);
	engine.caps.flags |= PLEX86_CAP_EXEC_ONLY;
	engine.caps.max_traps = 0;
	put(frame[0] + 0x100, "\x0f\xa2", 2);
	vm_core(2, false);
	all = &vm.core->world.copies;
	for (all->top = 0; all->top < PLEX86_COPIES; all->top++)
		all->copy[all->top] = (struct plex86_copy){ .frame = UINT32_MAX, .uses = 1 };
	ok(!(prot_after(CODE, 20) & PLEX86_PROT_EXEC));
	all->copy[7].uses = 0;
	ok(prot_after(CODE, 2000) == PLEX86_PROT_EXEC);
	end("no room for copies is no reason for ever");
}

int main(void)
{
	surprises();
	second_surprise();
	copies();
	clean_and_refused();
	written_later();
	stamps_lost();
	seams();
	traps();
	price_of_traps();
	remapped();
	both_modes();
	syscalls(false, false);
	syscalls(false, true);
	syscalls(true, false);
	syscalls(true, true);
	syscalls_trapped();
	width_changes();
	selectors();
	copy_of_decoded();
	strictly();
	tsc();
	tsc_untrapped();
	return tap_done();
}
