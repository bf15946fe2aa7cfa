/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I7: sensitive instructions never give the host's answer.  Pages with their
 * bytes run natively only with a trap at each place where one can begin.
 */
#include "i7.h"

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

/* The module shows 0, which is what the guest has, until it has something else. */
static void rdpid(void)
{
	begin(PAGING_LONG);
	engine.caps.max_traps = 0;
	put(frame[0] + 0x100, "\xf3\x0f\xc7\xf8", 4);
	vm_core(2, false);
	ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
	vm.env.tsc_aux = 1;
	prot_after(CODE + PAGE, 2);
	ok(!(engine_prot(CODE) & PLEX86_PROT_EXEC));
	exec(CODE + 0x100);
	ok(!(prot_after(CODE, 100) & PLEX86_PROT_EXEC));
	end("RDPID where it is not 0");
}

/* What an engine that can do most has inexactly, and one that can do little leaves to the host. */
static void inexact(bool strict)
{
	begin(PAGING_LONG);
	engine.caps.max_traps = 0;
	engine.caps.flags |= PLEX86_CAP_XCR0;
	put(frame[0] + 0x100, "\x0f\xc7\xf8", 3);
	put(frame[1] + 0x100, "\x0f\xae\x20", 3);
	put(frame[2] + 0x100, "\x0f\x33", 2);
	vm_core(2, strict);
	is(!(prot_after(CODE, 3) & PLEX86_PROT_EXEC), strict, "RDPID");
	is(!(prot_after(CODE + PAGE, 3) & PLEX86_PROT_EXEC), strict, "XSAVE");
	ok(prot_after(CODE + 2 * PAGE, 3) & PLEX86_PROT_EXEC);
	end(strict ? "what is inexact, strict=1" : "what is inexact, and may be");

	begin(PAGING_LONG);
	engine.caps.max_traps = 0;
	engine.caps.flags &= ~(PLEX86_CAP_TRAP_TSC | PLEX86_CAP_TSC_SWITCH);
	put(frame[0] + 0x100, "\x0f\x33", 2);
	vm_core(2, strict);
	is(!(prot_after(CODE, 3) & PLEX86_PROT_EXEC), strict, "RDPMC, where it need not trap");
	end(strict ? "RDPMC, strict=1" : "RDPMC");
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

int main(void)
{
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
	rdpid();
	inexact(false);
	inexact(true);
	strictly();
	return tap_done();
}
