/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I7 where it matters what is an instruction and what is not: copies of code, RDTSC's bytes, and
 * instructions that decoding has missed.
 */
#include "i7.h"

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

/* A copy can't be read: where all data can be executed, none is made before code goes there. */
static void copies_beside_code(void)
{
	static const int modes[] = { PAGING_LONG, PAGING_32 };
	unsigned int i, k;

	for (i = 0; i < 2; i++) {
		begin(modes[i]);
		engine.caps.flags |= PLEX86_CAP_EXEC_ONLY;
		engine.caps.flags &= ~PLEX86_CAP_TRAP_CPUID;
		for (k = 0; k < 4; k++)
			tables_map(&t, CODE + k * PAGE, frame[k], P_USER & ~P_W);
		put(frame[3] + 0x100, "\x0f\xa2", 2);
		vm_core(2, false);
		ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
		is(engine_prot(CODE + 2 * PAGE), PLEX86_PROT_READ | PLEX86_PROT_EXEC, "without findings");
		is(engine_prot(CODE + 3 * PAGE), i ? PLEX86_PROT_READ : PLEX86_PROT_EXEC,
		   i ? "data, as it seems" : "with NX: a copy at once");
		is(prot_after(CODE + 3 * PAGE, 1), PLEX86_PROT_EXEC, "a copy");
		end("copies beside code");
	}
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

/* Of the next trap. */
static uint32_t vector = PLEX86_VECTOR_UNKNOWN;

/* Native code comes to where the copy traps. */
static int runs_into_copy(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
			  struct plex86_exit *x)
{
	(void)s;
	(void)budget_ns;
	cpu->rip = CODE + 0x100;
	x->reason = PLEX86_EXIT_TRAP;
	x->vector = vector;
	x->ran_ns = engine.caps.trip_ran_ns;
	return 0;
}

/* An engine may leave RIP on the opcode of INT n, but that of #GP is where the instruction begins. */
static void behind_prefixes(void)
{
	unsigned int exact;

	for (exact = 0; exact < 2; exact++) {
		begin(PAGING_LONG);
		engine.caps.flags &= ~PLEX86_CAP_PREFIXES;
		put(frame[0] + 0xff, "\x66\xcd\x21", 3);
		vm_core(2, false);
		ok(prot_after(CODE, 3) & PLEX86_PROT_EXEC);
		engine.script = runs_into_copy;
		vector = exact ? PLEX86_VECTOR_GP : PLEX86_VECTOR_UNKNOWN;
		vm.cpu.rip = CODE + 3 * PAGE;
		vm_slice_only();
		engine.script = NULL;
		vector = PLEX86_VECTOR_UNKNOWN;
		is(vm.cpu.rip, CODE + 0xff + exact, exact ? "code has jumped there" : "its prefix");
		end("INT n behind a prefix");
	}
}

/* Copies that are there for RDTSC's bytes only stop code all the time: RDTSC traps by the switch then. */
static void tsc_instead_of_copies(void)
{
	const uint32_t page = PLEX86_PROT_READ | PLEX86_PROT_EXEC, copy = PLEX86_PROT_EXEC;
	unsigned int i, dear;

	for (dear = 0; dear < 2; dear++) {
		begin(PAGING_LONG);
		engine.caps.flags &= ~PLEX86_CAP_TRAP_TSC;
		engine.caps.flags |= PLEX86_CAP_EXEC_ONLY;
		engine.caps.tsc_extra_ns = dear ? 10 * engine.caps.round_trip_ns : 0;
		put(frame[0] + 0x100, "\x0f\x31", 2);
		put(frame[1] + 0x100, "\x0f\x31\x0f\xa2", 4);
		put(frame[2] + 0x100, "\x0f\x31", 2);
		vm_core(2, false);
		is(prot_after(CODE, 3), copy, "a copy");
		is(prot_after(CODE + PAGE, 3), copy, "another");
		is(prot_after(CODE + 2 * PAGE, 3), copy, "and another");
		engine.script = runs_into_copy;
		for (i = 0; i < 100; i++) {
			vm.cpu.rip = CODE + 3 * PAGE;
			vm_slice_only();
		}
		engine.script = NULL;
		is(engine.tsc_sets, !dear, dear ? "not where it makes trips dear" : "the switch");
		is(prot_after(CODE, 3), dear ? copy : page, "the page itself is code now, or not");
		is(prot_after(CODE + 2 * PAGE, 3), dear ? copy : page, "all such pages");
		is(prot_after(CODE + PAGE, 3), copy, "but for those with something else");
		exec(CODE + 0x100);
		end(dear ? "copies for RDTSC, as it must not trap" : "RDTSC that traps instead of copies");
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
	copy_of_decoded();
	copies_beside_code();
	tsc();
	tsc_instead_of_copies();
	tsc_untrapped();
	behind_prefixes();
	return tap_done();
}
