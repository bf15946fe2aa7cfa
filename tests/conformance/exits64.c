// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Every way in which 64-bit user code can trap: the reason, the vector where it is
 * told, and all state as it was before the instruction.
 */
#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_syscall); PROG(g64_int80); PROG(g64_int3); PROG(g64_cd03); PROG(g64_cd04);
PROG(g64_icebp); PROG(g64_icebp_twice); PROG(g64_hlt); PROG(g64_cli); PROG(g64_sti);
PROG(g64_in); PROG(g64_out); PROG(g64_insb); PROG(g64_rdmsr); PROG(g64_wrmsr);
PROG(g64_mov_cr); PROG(g64_mov_dr); PROG(g64_lgdt); PROG(g64_ltr); PROG(g64_invlpg);
PROG(g64_wbinvd); PROG(g64_clts); PROG(g64_xsetbv); PROG(g64_swapgs); PROG(g64_sysret);
PROG(g64_ud2); PROG(g64_push_es); PROG(g64_far_jmp_bad); PROG(g64_div0);
PROG(g64_load_noncanonical); PROG(g64_push_noncanonical); PROG(g64_jmp_rax);
PROG(g64_call_rax); PROG(g64_load_rax); PROG(g64_store_rax); PROG(g64_load_unaligned);
PROG(g64_movaps_unaligned); PROG(g64_rep_movsb); PROG(g64_iret_kernel);
PROG(g64_iret_kernel_trap); PROG(g64_popf_tf); PROG(g64_popf_tf_trap); PROG(g64_mf);
PROG(g64_mf_trap); PROG(g64_xm); PROG(g64_xm_trap);

#define NONCANONICAL	UINT64_C(0x8000000000001000)
#define UPPER_HALF	UINT64_C(0xffff888000001000)
#define UNMAPPED	UINT64_C(0x50000000)
#define VSYSCALL	UINT64_C(0xffffffffff600000)

/* Instructions that trap at once; RAX and flags may be preset. */
static const struct {
	const char *name;
	const uint8_t *at;
	uint32_t vector;
	uint64_t rax;		/* 0: as init_cpu64() has it */
	uint64_t flags;		/* beside IF */
} traps[] = {
	{ "INT3", g64_int3, 3, 0, FLAG_DF | FLAG_CF },
	{ "INT3 as CD 03", g64_cd03, 3, 0, 0 },
	{ "INT 4", g64_cd04, 4, 0, 0 },
	{ "ICEBP", g64_icebp, ANY_VECTOR, 0, 0 },
	{ "ICEBP before another", g64_icebp_twice, ANY_VECTOR, 0, 0 },
	{ "HLT", g64_hlt, 13, 0, FLAG_OF | FLAG_CF },
	{ "CLI", g64_cli, 13, 0, 0 },
	{ "STI", g64_sti, 13, 0, 0 },
	{ "IN", g64_in, 13, 0, 0 },
	{ "OUT", g64_out, 13, 0, 0 },
	{ "INSB", g64_insb, 13, 0, 0 },
	{ "RDMSR", g64_rdmsr, 13, 0, 0 },
	{ "WRMSR", g64_wrmsr, 13, 0, 0 },
	{ "MOV from CR0", g64_mov_cr, 13, 0, 0 },
	{ "MOV from DR7", g64_mov_dr, 13, 0, 0 },
	{ "LGDT", g64_lgdt, 13, 0, 0 },
	{ "LTR", g64_ltr, 13, 0, 0 },
	{ "INVLPG", g64_invlpg, 13, 0, 0 },
	{ "WBINVD", g64_wbinvd, 13, 0, 0 },
	{ "CLTS", g64_clts, 13, 0, 0 },
	{ "XSETBV", g64_xsetbv, 13, 0, 0 },
	{ "SWAPGS", g64_swapgs, 13, 0, 0 },
	{ "SYSRET", g64_sysret, 13, 0, 0 },
	{ "UD2", g64_ud2, 6, 0, FLAG_NT },
	{ "PUSH ES, undefined in 64-bit mode", g64_push_es, 6, 0, 0 },
	{ "far JMP to a null selector", g64_far_jmp_bad, 13, 0, 0 },
	{ "DIV by zero", g64_div0, 0, 0, FLAG_ZF },
	{ "load from a non-canonical address", g64_load_noncanonical, 13, NONCANONICAL, 0 },
	{ "misaligned MOVAPS", g64_movaps_unaligned, 13, 0, 0 },
	{ "misaligned load with AC", g64_load_unaligned, 17, 0, FLAG_AC },
};

static void init_trial(struct trial *t, uint64_t rip)
{
	init_cpu64(&t->cpu, rip);
	init_vec(&t->vec, 3, caps->xcr0);
}

static void test_simple_traps(struct plex86_space *s)
{
	struct trial t;
	unsigned int i;
	uint64_t rip;

	for (i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
		rip = AT64(traps[i].at);
		init_trial(&t, rip);
		if (traps[i].rax)
			t.cpu.gpr[PLEX86_RAX] = traps[i].rax;
		t.cpu.rflags |= traps[i].flags & ~flags_lost();
		run_to_trap(s, &t);
		report(is_trap(&t, traps[i].vector) & same_state(&t, rip, 0),
		       "64-bit: %s: TRAP, state exact", traps[i].name);
	}
}

/* The two gates that an operating system opens for user code. */
static void test_syscalls(struct plex86_space *s)
{
	static const uint64_t number[] = { 0, 1, 39, 60, 231, 0x40000027, 0xffffffff,
					   UINT64_C(0x123456789abcdef0), ~UINT64_C(0) };
	uint32_t lost = caps->flags & PLEX86_CAP_SYSCALL_EXACT ? 0 : MAY_RCX | MAY_R11;
	uint64_t rip = AT64(g64_syscall);
	bool good = true;
	struct trial t;
	unsigned int i;

	for (i = 0; i < sizeof(number) / sizeof(number[0]); i++) {
		init_trial(&t, rip);
		t.cpu.gpr[PLEX86_RAX] = number[i];
		t.cpu.rflags |= FLAG_DF | FLAG_CF;
		run_to_trap(s, &t);
		good &= is_trap(&t, ANY_VECTOR) & same_state(&t, rip, lost);
		/* What is lost must be what the instruction will write anyway. */
		if (lost)
			good &= t.cpu.gpr[PLEX86_RCX] == rip + 2 &&
				t.cpu.gpr[PLEX86_R11] == t.before.rflags;
	}
	report(good, "64-bit: SYSCALL: TRAP at it, RAX kept, whatever the number");

	good = true;
	rip = AT64(g64_int80);
	for (i = 0; i < sizeof(number) / sizeof(number[0]); i++) {
		init_trial(&t, rip);
		t.cpu.gpr[PLEX86_RAX] = (uint32_t)number[i];
		run_to_trap(s, &t);
		good &= is_trap(&t, ANY_VECTOR) & same_state(&t, rip, 0);
	}
	report(good, "64-bit: INT 80H: TRAP at it, EAX kept, whatever the number");
}

/* INT n for every n.  Code is written at run time, so this also tests that. */
static void test_int_n(struct plex86_space *s)
{
	bool good = true;
	struct trial t;
	unsigned int n;

	if (caps->flags & PLEX86_CAP_INTN_TAKEN) {
		skip("64-bit: INT n for all 256 n", "some are the hypervisor's here (INTN_TAKEN)");
		return;
	}
	for (n = 0; n < 256; n++) {
		ram[RAM_PATCH] = 0xcd;
		ram[RAM_PATCH + 1] = (uint8_t)n;
		init_trial(&t, VA_PATCH);
		t.cpu.gpr[PLEX86_RAX] = 20;
		run_to_trap(s, &t);
		if (!(is_trap(&t, ANY_VECTOR) & same_state(&t, VA_PATCH, 0))) {
			note("INT %#x", n);
			good = false;
		}
	}
	report(good, "64-bit: INT n for all 256 n: TRAP at it, state exact");
}

static void test_page_faults(struct plex86_space *s)
{
	const struct {
		const char *name;
		const uint8_t *at;
		uint64_t rax;
	} faults[] = {
		{ "load from an unmapped page", g64_load_rax, UNMAPPED + 8 },
		{ "store to an unmapped page", g64_store_rax, UNMAPPED + 0xff8 },
		{ "store to a page mapped read-only", g64_store_rax, VA_CODE64 + 0x10 },
		{ "load from address 0", g64_load_rax, 0 },
		{ "load from the upper half", g64_load_rax, UPPER_HALF },
		{ "store to the upper half", g64_store_rax, UPPER_HALF },
		{ "load from the vsyscall page", g64_load_rax, VSYSCALL },
		{ "store to the vsyscall page", g64_store_rax, VSYSCALL },
		{ "load from the last page of the user half", g64_load_rax, caps->va_limit - 8 },
	}, jumps[] = {
		{ "jump to an unmapped page", g64_jmp_rax, UNMAPPED + 5 },
		{ "jump to a page without EXEC", g64_jmp_rax, VA_DATA + 0x123 },
		{ "jump to 0", g64_jmp_rax, 0 },
		{ "jump to the upper half", g64_jmp_rax, UPPER_HALF },
	};
	struct trial t;
	unsigned int i;

	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		init_trial(&t, AT64(faults[i].at));
		t.cpu.gpr[PLEX86_RAX] = faults[i].rax;
		run_to_trap(s, &t);
		report(is_page(&t, faults[i].rax) & same_state(&t, AT64(faults[i].at), 0),
		       "64-bit: %s: PAGE, state exact", faults[i].name);
	}
	for (i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		init_trial(&t, AT64(jumps[i].at));
		t.cpu.gpr[PLEX86_RAX] = jumps[i].rax;
		run_to_trap(s, &t);
		report(is_page(&t, jumps[i].rax) & same_state(&t, jumps[i].rax, 0),
		       "64-bit: %s: PAGE, RIP at the target", jumps[i].name);
	}
}

/* CPUs differ in which instruction takes the blame for a non-canonical target. */
static void test_noncanonical_jump(struct plex86_space *s)
{
	uint64_t rip = AT64(g64_jmp_rax);
	struct trial t;

	init_trial(&t, rip);
	t.cpu.gpr[PLEX86_RAX] = NONCANONICAL;
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, t.cpu.rip == NONCANONICAL ? NONCANONICAL : rip, 0),
	       "64-bit: jump to a non-canonical address: TRAP");

	/* The operand's fault is a stack fault. */
	rip = AT64(g64_push_noncanonical);
	init_trial(&t, rip);
	t.cpu.gpr[PLEX86_RSP] = NONCANONICAL;
	run_to_trap(s, &t);
	report(is_trap(&t, 12) & same_state(&t, rip, 0),
	       "64-bit: PUSH to a non-canonical stack: TRAP, state exact");
}

static void test_vsyscall(struct plex86_space *s)
{
	static const uint64_t entry[] = { 0, 0x400, 0x800 };
	uint64_t rip = AT64(g64_call_rax), target, pushed;
	bool good = true;
	struct trial t;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		target = VSYSCALL + entry[i];
		init_trial(&t, rip);
		t.cpu.gpr[PLEX86_RAX] = target;
		/* Where gettimeofday() and its like would write. */
		t.cpu.gpr[PLEX86_RDI] = VA_DATA;
		t.cpu.gpr[PLEX86_RSI] = 0;
		memset(ram + RAM_DATA, 0xee, 64);
		run_to_trap(s, &t);
		memcpy(&pushed, ram + RAM_STACK + (STACK_TOP - VA_STACK) - 8, 8);
		good &= is_page(&t, target) & same_state(&t, target, MAY_RSP | MAY_RAX);
		good &= t.cpu.gpr[PLEX86_RSP] == STACK_TOP - 8 && pushed == rip + 2;
		good &= ram[RAM_DATA] == 0xee && ram[RAM_DATA + 63] == 0xee;
	}
	report(good, "64-bit: calls of the vsyscall page: PAGE at the target, nothing executed");
}

/* The last instruction of a page, and one that needs a page that isn't there. */
static void test_page_end(struct plex86_space *s)
{
	const uint64_t end = VA_PATCH + PLEX86_PAGE_SIZE;
	uint8_t *at = ram + RAM_PATCH + PLEX86_PAGE_SIZE;
	uint32_t lost = caps->flags & PLEX86_CAP_SYSCALL_EXACT ? 0 : MAY_RCX | MAY_R11;
	struct trial t;

	unmap_pages(s, end, 1);
	at[-1] = 0x90;
	init_trial(&t, end - 1);
	run_to_trap(s, &t);
	report(is_page(&t, end) & same_state(&t, end, 0),
	       "64-bit: NOP as a page's last byte, the next unmapped: PAGE behind it");

	memcpy(at - 3, (const uint8_t[]){ 0x48, 0xb8, 0x11 }, 3);	/* MOV RAX, imm64 */
	init_trial(&t, end - 3);
	run_to_trap(s, &t);
	report(is_page(&t, end) & same_state(&t, end - 3, 0),
	       "64-bit: instruction that straddles into an unmapped page: PAGE, RIP at its start");

	memcpy(at - 2, (const uint8_t[]){ 0x0f, 0x05 }, 2);
	init_trial(&t, end - 2);
	run_to_trap(s, &t);
	report(is_trap(&t, ANY_VECTOR) & same_state(&t, end - 2, lost),
	       "64-bit: SYSCALL as a page's last bytes: TRAP at it");

	at[-1] = 0xcc;
	init_trial(&t, end - 1);
	run_to_trap(s, &t);
	report(is_trap(&t, 3) & same_state(&t, end - 1, 0),
	       "64-bit: INT3 as a page's last byte: TRAP at it");

	map_pages(s, end, RAM_PATCH + PLEX86_PAGE_SIZE, 1, RX);
	unmap_pages(s, VA_PATCH, 1);
	at[0] = 0xcc;
	init_trial(&t, end);
	run_to_trap(s, &t);
	report(is_trap(&t, 3) & same_state(&t, end, 0),
	       "64-bit: INT3 as a page's first byte, nothing before it: TRAP at it");
	map_pages(s, VA_PATCH, RAM_PATCH, PATCH_PAGES, RX);
}

/* A string instruction that faults half way is half done, in both directions. */
static void test_rep_movs(struct plex86_space *s)
{
	const uint64_t count = 3 * PLEX86_PAGE_SIZE, from = VA_DATA, to = UNMAPPED;
	uint64_t rip = AT64(g64_rep_movsb);
	bool good = true;
	struct trial t;
	unsigned int i;

	for (i = 0; i < PAGE(4); i++)
		ram[RAM_DATA + i] = (uint8_t)(i * 31 >> 3);
	init_trial(&t, rip);
	t.cpu.gpr[PLEX86_RSI] = from + 16;
	t.cpu.gpr[PLEX86_RDI] = to;
	t.cpu.gpr[PLEX86_RCX] = count;
	for (i = 0; i < 3; i++) {
		run_to_trap(s, &t);
		good &= is_page(&t, to + PAGE(i)) && t.cpu.rip == rip &&
			t.cpu.gpr[PLEX86_RCX] == count - PAGE(i) &&
			t.cpu.gpr[PLEX86_RDI] == to + PAGE(i) &&
			t.cpu.gpr[PLEX86_RSI] == from + 16 + PAGE(i);
		good &= !map_pages(s, to + PAGE(i), RAM_DATA + PAGE(8 + i), 1, RW);
	}
	run_to_trap(s, &t);
	good &= is_trap(&t, 13) && t.cpu.rip == rip + 2 && !t.cpu.gpr[PLEX86_RCX];
	good &= !memcmp(ram + RAM_DATA + PAGE(8), ram + RAM_DATA + 16, count);
	report(good, "64-bit: REP MOVSB over three page faults: RCX, RSI, RDI exact, copy right");
	unmap_pages(s, to, 3);

	init_trial(&t, rip);
	t.cpu.rflags |= FLAG_DF;
	t.cpu.gpr[PLEX86_RSI] = from + 2000;
	t.cpu.gpr[PLEX86_RDI] = VA_DATA + PAGE(8) + 100;
	t.cpu.gpr[PLEX86_RCX] = 200;
	unmap_pages(s, VA_DATA + PAGE(7), 1);
	run_to_trap(s, &t);
	report(t.exit.reason == PLEX86_EXIT_PAGE && t.exit.addr == VA_DATA + PAGE(8) - 1 &&
	       t.cpu.gpr[PLEX86_RCX] == 99 && t.cpu.gpr[PLEX86_RDI] == VA_DATA + PAGE(8) - 1,
	       "64-bit: REP MOVSB downwards into an unmapped page: exact");
	map_pages(s, VA_DATA, RAM_DATA, DATA_PAGES, RW);
}

static void test_late_traps(struct plex86_space *s)
{
	struct trial t;

	init_trial(&t, AT64(g64_iret_kernel));
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT64(g64_iret_kernel_trap), MAY_RSP),
	       "64-bit: IRET to a ring 0 segment: TRAP at it");

	init_trial(&t, AT64(g64_popf_tf));
	run_to_trap(s, &t);
	report(is_trap(&t, 1) && t.exit.vector == 1 && t.cpu.rip == AT64(g64_popf_tf_trap) &&
	       t.cpu.rflags & FLAG_TF && t.cpu.gpr[PLEX86_RBX] == t.before.gpr[PLEX86_RBX] + 1,
	       "64-bit: TF set by POPF: #DB pending after the next instruction");

	init_trial(&t, AT64(g64_mf));
	t.vec.legacy[4] = 0;		/* an empty x87 stack */
	t.vec.legacy[2] = t.vec.legacy[3] = 0;
	memset(ram + RAM_STACK, 0, PAGE(STACK_PAGES));
	run_to_trap(s, &t);
	report(is_trap(&t, 16) & same_state(&t, AT64(g64_mf_trap), MAY_VEC) &&
	       t.vec.legacy[2] & 0x80, "64-bit: #MF: TRAP at the waiting instruction");

	init_trial(&t, AT64(g64_xm));
	run_to_trap(s, &t);
	report(is_trap(&t, 19) & same_state(&t, AT64(g64_xm_trap), MAY_VEC) &&
	       t.vec.legacy[24] & 1, "64-bit: #XM: TRAP at the instruction");
}

void test_exits64(void)
{
	struct plex86_space *s = fresh_space();

	test_simple_traps(s);
	test_syscalls(s);
	test_int_n(s);
	test_page_faults(s);
	test_noncanonical_jump(s);
	test_vsyscall(s);
	test_page_end(s);
	test_rep_movs(s);
	test_late_traps(s);
	ops->space_destroy(s);
}
