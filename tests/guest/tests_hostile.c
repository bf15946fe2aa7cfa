/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Isolation: user code tries selectors, system calls, addresses and random
 * bytes.  Whatever it does ends as on the plain CPU, and the kernel's memory
 * is as it was.
 */
#include "tk.h"

#define PROGRAM(name) extern const u8 hostile_##name[], hostile_##name##_end[]
PROGRAM(far_jump);
PROGRAM(far_call);
PROGRAM(landing);
PROGRAM(read);
PROGRAM(write);
PROGRAM(jump);
PROGRAM(int80);
PROGRAM(syscall);
PROGRAM(sysenter);
#define LOAD(name) load_blob(hostile_##name, hostile_##name##_end)

extern const struct one {
	const char *name;
	const u8 *start, *end;
} hostile_ones[];

#define VA		((ulong)U_TEST)
#define SHORT_SPIN	(spinning ? spin / 16 + 1 : 1)
#define KERNEL_SUM_FROM	(PHYSMAP + KERNEL_PA)

#define RANDOM_MAX	128		/* bytes of a random program */
#define TICKS_MAX	100		/* then it is taken for endless */

extern u8 code_on_disk[];		/* read-only data begins somewhere before, text before that */

u32 kernel_sum(void)
{
	return fnv(FNV_START, (void *)KERNEL_SUM_FROM, (ulong)code_on_disk - KERNEL_SUM_FROM);
}

static void sane_registers(void)
{
	u.cs = SEL_UCODE;
	u.ss = SEL_UDATA;
	u.sp = U_STACK_TOP - 64;
	u.flags = FL_IF | 2;
#ifndef __x86_64__
	u.ds = u.es = SEL_UDATA;
#endif
	u.fs = u.gs = 0;
}

static void every_selector(const u8 *start, const u8 *end)
{
	u32 keep = spin;

	spin = SHORT_SPIN;
	map_new(cur, VA, 1, P_URO);
	user_write(VA, hostile_landing, hostile_landing_end - hostile_landing);
	for (u32 sel = 0; sel < GDT_SLOTS * 8 + 16; sel++) {
		if ((sel & 3) != 0 && (sel & 3) != 3)
			continue;
		if (sel == SEL_FREE)		/* nothing but empty slots from here on: a few will do */
			sel = GDT_SLOTS * 8 - 16;
		load_blob(start, end);
		sane_registers();
		user_put32(U_DATA, VA);
		user_put32(U_DATA + 4, sel);
		run();
		say("%s%x:%x/%x", sel % 32 ? " " : "\n  ", sel, (u32)u.vec, (u32)u.err);
		if (u.vec == VEC_INT80)
			say("@%x", (u32)u.cs);
		expect(u.vec == VEC_INT80 || u.vec == 13 || u.vec == 11 || u.vec == VEC_GATE);
	}
	say("\n");
	spin = keep;
}

static void far_jump_to_every_selector(void)
{
	every_selector(hostile_far_jump, hostile_far_jump_end);
}

static void far_call_to_every_selector(void)
{
	every_selector(hostile_far_call, hostile_far_call_end);
}

/* Arguments that would do something if a host took them for its own. */
static void call_arguments(u32 nr)
{
	u.ax = nr;
#ifdef __x86_64__
	if (nr & 1)
		u.ax |= (ulong)0x5a5a5a5a << 32;	/* 64-bit Linux clears it at INT 0x80 */
#endif
	u.bx = u.di = 1;
	u.si = u.dx = U_DATA;
	u.bp = U_DATA + 64;
#ifdef __x86_64__
	u.r8 = u.r9 = u.r10 = U_DATA;
#endif
}

static void every_call(const u8 *start, const u8 *end, u32 vec)
{
	u32 keep = spin, before = 0;

	spin = SHORT_SPIN / 4 + 1;
	for (u32 i = 0; i < 520; i++) {
		u32 nr = i < 512 ? i : i < 516 ? 0x40000000 + i - 512 : -(i - 516);
		struct uctx was;

		load_blob(start, end);
		sane_registers();
		call_arguments(nr);
		was = u;
		if (!i)
			before = fnv(FNV_START, phys(user_pa(U_DATA)), PAGE);
		expect(run() == vec);
		expect(u.ax == was.ax && u.bx == was.bx && u.dx == was.dx && u.si == was.si);
		expect(u.di == was.di && u.bp == was.bp);
	}
	expect(fnv(FNV_START, phys(user_pa(U_DATA)), PAGE) == before);
	spin = keep;
	say("  all 520 came to this kernel, vec=%x\n", vec);
}

static void every_int80(void)
{
	every_call(hostile_int80, hostile_int80_end, VEC_INT80);
}

#ifdef __x86_64__
static void every_syscall(void)
{
	every_call(hostile_syscall, hostile_syscall_end, VEC_SYSCALL);
}

/* Fixed addresses where a Linux host has something for its own processes. */
static void host_addresses(void)
{
	static const u64 at[] = {
		0xffffffffff600000, 0xffffffffff600400, 0xffffffffff600800, 0xffffffffff5ff000,
		0x400000, 0x555555554000, 0x7ffff7fc1000, 0x7ffff7fff000, 0x7fffffffe000,
		0x7ffffffff000, 0xffff888000000000, 0xffffffff81000000, 0xfffffe0000000000,
	};

	for (u32 i = 0; i < ARRAY_SIZE(at); i++) {
		for (u32 k = 0; k < 3; k++) {
			if (k == 0)
				LOAD(read);
			else if (k == 1)
				LOAD(write);
			else
				LOAD(jump);
			sane_registers();
			u.bx = at[i];
			run();
			say("  %X: vec=%x err=%x", at[i], (u32)u.vec, (u32)u.err);
			if (u.vec == 14)
				say(" cr2=%X", (u64)trap_cr2);
			say("\n");
			expect(u.vec == 14 || u.vec == 13);
		}
	}
}
#else
static void every_sysenter(void)
{
	every_call(hostile_sysenter, hostile_sysenter_end, VEC_SYSENTER);
}

static void host_addresses(void)
{
	static const u32 at[] = {
		0xffffe000, 0xf7fff000, 0xf7fc1000, 0xbffff000, 0x8048000, 0x56555000, 0xfffff000,
		0xfffffffc, 0xc0000000, 0xc1000000,
	};

	for (u32 i = 0; i < ARRAY_SIZE(at); i++) {
		for (u32 k = 0; k < 3; k++) {
			if (k == 0)
				LOAD(read);
			else if (k == 1)
				LOAD(write);
			else
				LOAD(jump);
			sane_registers();
			u.bx = at[i];
			run();
			say("  %x: vec=%x err=%x cr2=%x\n", at[i], (u32)u.vec, (u32)u.err,
			    (u32)trap_cr2);
			expect(u.vec == 14);
		}
	}
}
#endif

/* A page of the user's own: a scan that writes must not hit the program itself. */
static bool mapped_for_user(u64 va)
{
	for (int l = mode->levels; l; l--) {
		u64 e = entry_get(cur, va, l);

		if (!(e & P_P) || (!(e & P_U) && !(mode->levels == 3 && l == 3)))
			return false;
		if (l == 1 || (l == 2 && e & P_PS))
			return true;
	}
	return false;
}

static void scan(const u8 *start, const u8 *end)
{
	u32 keep = spin, h = FNV_START, n = 0, before = kernel_sum();

	spin = spinning ? spin / 64 + 1 : 1;
	for (u32 i = 0; i < 2048; i++) {
		u64 va;

		if (BITS64 && i % 2) {
			va = ((u64)rnd() << 32 | rnd()) & 0x0000ffffffffffff;
			if (va >> 47)		/* the upper half, canonical */
				va |= 0xffff000000000000;
		} else {
			va = (u64)(i * 0x200000u) + (rnd() & 0x1fffff);
			if (BITS64 && i % 4 == 0)
				va += 0xffffffff00000000;
		}
		va &= ~7ull;
		if (mapped_for_user(va))
			continue;
		load_blob(start, end);
		sane_registers();
		u.bx = va;
		expect(run() == 14 && trap_cr2 == (ulong)va);
		h = fnv(h, &va, 8);
		h = fnv(h, &u.err, 4);
		n++;
	}
	spin = keep;
	say("  %u addresses, hash %h\n", n, h);
	expect(kernel_sum() == before);
}

static void scan_read(void)
{
	scan(hostile_read, hostile_read_end);
}

static void scan_write(void)
{
	scan(hostile_write, hostile_write_end);
}

static void scan_jump(void)
{
	scan(hostile_jump, hostile_jump_end);
}

static void single_instructions(void)
{
	for (const struct one *o = hostile_ones; o->name; o++) {
		load_blob(o->start, o->end);
		sane_registers();
		u.ax = u.bx = U_DATA;
		u.dx = 0;
		run();
		say("  %s: vec=%x err=%x ip=%X\n", o->name, (u32)u.vec, (u32)u.err, (u64)u.ip);
	}
}

/*
 * Bytes that may not be in a random program whose outcome is told, since their result
 * is nobody's to foretell: RDRAND, RDSEED and RDPID (0f c7), RDTSC (0f 31) and RDTSCP
 * (0f 01 f9).  CR4.TSD would stop RDTSC, but an engine may refuse to run any code then.
 */
static void tame(u8 *p, u32 n)
{
	for (u32 i = 0; i + 1 < n; i++)
		if (p[i] == 0x0f && (p[i + 1] == 0xc7 || p[i + 1] == 0x01 || p[i + 1] == 0x31))
			p[i + 1] = 0x0b;
}

static ulong interesting_word(void)
{
	static const ulong at[] = { U_DATA, U_DATA + 0x800, U_STACK + 0x1000, U_TEST, U_RO, U_EDGE + 0xff0,
				    U_KERN, U_RW_RO + 0xff8, 0, -1ul, 1, 0x7fffffff };
	u32 i = rnd() % (2 * ARRAY_SIZE(at));

	return i < ARRAY_SIZE(at) ? at[i] : rnd();
}

static void random_registers(void)
{
	sane_registers();
	u.ax = interesting_word();
	u.bx = interesting_word();
	u.dx = interesting_word();
	u.si = interesting_word();
	u.di = interesting_word();
	u.bp = interesting_word();
#ifdef __x86_64__
	u.r8 = interesting_word();
	u.r9 = interesting_word();
	u.r10 = u.r11 = u.r12 = u.r13 = u.r14 = u.r15 = U_DATA;
	u.ds = u.es = 0;
#endif
}

/*
 * Behind the program is INT3, as far as a short jump goes: zeros are thousands of writes to
 * where RAX points, which is forever (TICKS_MAX) if each of them traps, or no time at all.
 */
static void one_random_program(u32 nr, bool tamed, bool tell)
{
	u8 code[RANDOM_MAX + 0x80];
	u32 seed = rnd_state, n = 0;

	test_begin();
	rnd_state = seed;			/* test_begin() starts it again */
	memset(code, 0xcc, sizeof(code));
	for (u32 i = 0; i < RANDOM_MAX; i++)
		code[i] = rnd() >> 8;
	if (tamed)
		tame(code, RANDOM_MAX);
	load_blob(code, code + sizeof(code));
	random_registers();
	u.cx = spinning ? spin / 25 + 1 : 1;
	while (n < TICKS_MAX) {
		run_to_tick();
		if (u.vec == VEC_IRQ)
			n++;
		else if (u.vec != VEC_IRQ + 7 && u.vec != VEC_SPURIOUS)
			break;
	}
	if (!tell)
		return;
	if (n == TICKS_MAX)
		say("  %u: endless\n", nr);
	else if (u.vec == 14)
		say("  %u: vec=%x err=%x ip=%X cr2=%X\n", nr, (u32)u.vec, (u32)u.err, (u64)u.ip,
		    (u64)trap_cr2);
	else
		say("  %u: vec=%x err=%x ip=%X\n", nr, (u32)u.vec, (u32)u.err, (u64)u.ip);
}

static void many_random_programs(bool tamed)
{
	u32 before = kernel_sum(), seed = rnd_state;

	pit_hz(8000);
	for (u32 i = 0; i < param.programs; i++)
		one_random_program(i, tamed, tamed && i < 500);
	pit_hz(1000);
	rnd_state = seed;
	test_begin();
	expect(kernel_sum() == before);
	say("  %u random programs, the kernel is intact\n", param.programs);
}

static void random_programs(void)
{
	many_random_programs(true);
}

static void random_programs_untold(void)
{
	many_random_programs(false);
}

void tests_hostile(void)
{
	static const struct test t[] = {
		{ "far_jump_to_every_selector", ENV_ALL, far_jump_to_every_selector },
		{ "far_call_to_every_selector", ENV_ALL, far_call_to_every_selector },
		{ "every_int80", ENV_ALL, every_int80 },
#ifdef __x86_64__
		{ "every_syscall", ENV_ALL, every_syscall },
#else
		{ "every_sysenter", ENV_ALL, every_sysenter },
#endif
		{ "host_addresses", ENV_ALL, host_addresses },
		{ "scan_read", ENV_ALL, scan_read },
		{ "scan_write", ENV_ALL, scan_write },
		{ "scan_jump", ENV_ALL, scan_jump },
		{ "single_instructions", ENV_ALL, single_instructions },
		{ "random_programs", ENV_ALL, random_programs },
		{ "random_programs_untold", ENV_ALL, random_programs_untold },
	};

	run_tests("hostile", t, ARRAY_SIZE(t));
}
