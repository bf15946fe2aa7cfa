/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exact state: what the kernel puts into registers is what user code finds
 * there, and what user code leaves is what the kernel sees, whatever ends the
 * run and however many timer ticks came between.
 */
#include "tk.h"

#define ROUNDS	12
#define HIGH	((ulong)0x555555554000)	/* where position-independent programs lie */

#define PROGRAM(name) extern const u8 state_##name[], state_##name##_end[]
PROGRAM(int80);
PROGRAM(quiet);
#ifdef __x86_64__
PROGRAM(syscall);
#endif
PROGRAM(ud2);
PROGRAM(pf);
PROGRAM(de);
PROGRAM(push_pop);
PROGRAM(vector_mix);
PROGRAM(vector_mix_avx);
PROGRAM(x87_mix);
PROGRAM(yielder);
PROGRAM(steps);
#define LOAD(name) load_blob(state_##name, state_##name##_end)

static u8 before[FPU_AREA] __attribute__((aligned(64)));
static u8 after[FPU_AREA] __attribute__((aligned(64)));

static ulong rnd_word(void)
{
	ulong w = rnd();

#ifdef __x86_64__
	w = w << 32 | rnd();
#endif
	return w;
}

static void random_registers(void)
{
	u.ax = rnd_word();
	u.bx = rnd_word();
	u.dx = rnd_word();
	u.si = rnd_word();
	u.di = rnd_word();
	u.bp = rnd_word();
#ifdef __x86_64__
	u.r8 = rnd_word();
	u.r9 = rnd_word();
	u.r10 = rnd_word();
	u.r11 = rnd_word();
	u.r12 = rnd_word();
	u.r13 = rnd_word();
	u.r14 = rnd_word();
	u.r15 = rnd_word();
	u.fs_base = rnd_word() & 0x7fffffffffff;
	u.gs_base = rnd_word() & 0x7fffffffffff;
#endif
	u.cx = spin;
	u.sp = (rnd() & 0x0ffffff8) | 0x40000000;	/* never used: no memory there */
}

/* Which words of a context are not as they should be. */
static void say_differences(const struct uctx *want)
{
	const u8 *w = (const u8 *)want, *g = (const u8 *)&u;

	for (u32 at = 0; at < sizeof(u); at += sizeof(ulong)) {
		ulong a, b;

		memcpy(&a, w + at, sizeof(a));
		memcpy(&b, g + at, sizeof(b));
		if (a != b)
			say("  word %u of the context is %X, should be %X\n",
			    at / (u32)sizeof(ulong), (u64)b, (u64)a);
	}
}

static void expect_kept(const struct uctx *want)
{
	say_differences(want);
	expect(!memcmp(want, &u, sizeof(u)));
	expect(!memcmp(before, after, sizeof(before)));
}

/* Loads random state, lets user code spin and trap, and compares all of it. */
static void unchanged_by(const u8 *from, const u8 *to, u32 vec, u32 at)
{
	struct uctx want;

	load_blob(from, to);
	for (u32 i = 1; i <= ROUNDS; i++) {
		fpu_pattern(i);
		fpu_save(before);
		random_registers();
		u.ip = U_CODE;
		/* With NT, or AC without AM, an accelerator may leave all of it to Bochs. */
		u.flags = 2 | FL_IF | (rnd() & (0xcd5 | FL_ID));
		if (i % 6 == 0)
			u.flags |= i % 4 ? FL_NT : FL_AC;
		want = u;
		expect(run() == vec);
		fpu_save(after);
		want.cx = 0;
		want.ip = U_BLOB + at;
		want.vec = u.vec;
		want.err = u.err;
		want.flags |= u.flags & FL_RF;		/* faults set it */
#ifndef __x86_64__
		want.unused_sp = u.unused_sp;
#endif
		expect_kept(&want);
	}
	say("  %u rounds, last: regs=%h fpu=%h\n", ROUNDS, ctx_hash(), fpu_hash());
}

static void kept_by_int80(void)
{
	unchanged_by(state_int80, state_int80_end, VEC_INT80, 2);
}

static void kept_by_finish(void)
{
	unchanged_by(state_quiet, state_quiet_end, VEC_INT80, FINISH);
}

static void kept_by_ud2(void)
{
	unchanged_by(state_ud2, state_ud2_end, 6, 0);
}

static void kept_by_page_fault(void)
{
	unchanged_by(state_pf, state_pf_end, 14, 0);
}

static void kept_by_divide_error(void)
{
	unchanged_by(state_de, state_de_end, 0, 0);
}

#ifdef __x86_64__
/*
 * Above 4 GiB no far jump makes SYSCALL 32-bit code's, so that an accelerator can run it
 * natively on any host; what it changes is rcx and r11, and nothing else.
 */
static void kept_by_syscall(void)
{
	struct uctx want;

	map_new(cur, HIGH, 1, P_URO);
	user_write(HIGH, state_syscall, state_syscall_end - state_syscall);
	for (u32 i = 1; i <= ROUNDS; i++) {
		fpu_pattern(i);
		fpu_save(before);
		random_registers();
		u.ip = HIGH;
		u.flags = 2 | FL_IF | (rnd() & (0xcd5 | FL_ID));
		want = u;
		expect(run() == VEC_SYSCALL);
		fpu_save(after);
		want.vec = VEC_SYSCALL;
		want.ip = want.cx = HIGH + (state_syscall_end - state_syscall);
		want.r11 = want.flags;
		expect_kept(&want);
	}
	say("  %u rounds, last: regs=%h fpu=%h\n", ROUNDS, ctx_hash(), fpu_hash());
}
#endif

static void kept_over_ticks(void)
{
	u32 start = ticks;

	pit_hz(8000);
	if (spinning)
		spin *= 4;
	unchanged_by(state_quiet, state_quiet_end, VEC_INT80, FINISH);
	pit_hz(1000);
	if (spinning)
		expect(ticks != start);
}

/* The flags that POPF may change, all values of the arithmetic ones. */
static void flags_through_stack(void)
{
	LOAD(push_pop);
	for (u32 i = 0; i < 64; i++) {
		u32 f = (i & 1) | (i & 2) << 1 | (i & 4) << 2 | (i & 8) << 3 | (i & 16) << 3 |
			(i & 32) << 6;

		u.ip = U_CODE;
		u.cx = i % 8 ? 1 : spin;
		u.ax = f;
		u.flags = 2 | FL_IF;
		expect(run() == VEC_INT80);
		expect((u.flags & 0x8d5) == f && (u.dx & 0x8d5) == f);
		expect(u.flags & FL_IF);
	}
}

static void vectors(const u8 *from, const u8 *to)
{
	load_blob(from, to);
	for (u32 i = 1; i < 4; i++) {
		fpu_pattern(i);
		u.ip = U_CODE;
		u.cx = spin;
		u.dx = 500;
		expect(run() == VEC_INT80);
		say("  fpu=%h\n", fpu_hash());
	}
}

static void vector_mix(void)
{
	vectors(state_vector_mix, state_vector_mix_end);
}

static void vector_mix_avx(void)
{
	if (fpu_xcr0 & 4)
		vectors(state_vector_mix_avx, state_vector_mix_avx_end);
}

static void x87_mix(void)
{
	LOAD(x87_mix);
	fpu_pattern(0);
	u.dx = 500;
	expect(run() == VEC_INT80);
	say("  fpu=%h\n", fpu_hash());
}

/*
 * Two programs share the FPU.  Each adds 1.0 to its own accumulators and
 * yields; the state is switched at the yield, or at the first use after it.
 */
struct task {
	struct uctx c;
	u8 fpu[FPU_AREA] __attribute__((aligned(64)));
};
static struct task tasks[2];

static void tasks_init(void)
{
	LOAD(yielder);
	for (u32 i = 0; i < 2; i++) {
		tasks[i].c = u;
		tasks[i].c.sp -= 1024 * i;
		tasks[i].c.si = i + 1;
		fpu_pattern(0);
		fpu_save(tasks[i].fpu);
		if (fpu_xcr0)
			tasks[i].fpu[512] = fpu_xcr0 & 7;
	}
}

static void fpu_keep(struct task *t)
{
	fpu_save(t->fpu);
	if (fpu_xcr0)
		t->fpu[512] = fpu_xcr0 & 7;
}

static void switch_eagerly(void)
{
	tasks_init();
	for (u32 n = 0; n < 20; n++) {
		struct task *t = &tasks[n & 1];

		u = t->c;
		u.cx = spin;
		fpu_load(t->fpu);
		expect(run() == VEC_INT80);
		fpu_keep(t);
		t->c = u;
	}
	for (u32 i = 0; i < 2; i++)
		say("  task %u: ax=%x fpu=%h\n", i, (u32)tasks[i].c.ax,
		    fnv(FNV_START, tasks[i].fpu, FPU_AREA));
	expect(tasks[0].c.ax == 10 && tasks[1].c.ax == 20);
}

static void switch_lazily(void)
{
	struct task *owner = NULL;
	u32 traps = 0;

	tasks_init();
	for (u32 n = 0; n < 20; n++) {
		struct task *t = &tasks[n / 2 & 1];		/* two turns each: TS stays off in the second */

		u = t->c;
		u.cx = spin;
		set_cr0(owner == t ? get_cr0() & ~(ulong)CR0_TS : get_cr0() | CR0_TS);
		if (run() == 7) {
			traps++;
			set_cr0(get_cr0() & ~(ulong)CR0_TS);
			if (owner)
				fpu_keep(owner);
			owner = t;
			fpu_load(t->fpu);
			run();
		}
		expect(u.vec == VEC_INT80);
		t->c = u;
	}
	set_cr0(get_cr0() & ~(ulong)CR0_TS);
	fpu_keep(owner);
	say("  %u switches\n", traps);
	for (u32 i = 0; i < 2; i++)
		say("  task %u: ax=%x fpu=%h\n", i, (u32)tasks[i].c.ax,
		    fnv(FNV_START, tasks[i].fpu, FPU_AREA));
	expect(traps == 10);
	expect(tasks[0].c.ax == 10 && tasks[1].c.ax == 20);
}

/* Every instruction of a program by TF; where and with what, in one number. */
static void single_steps(void)
{
	u32 h = FNV_START, n = 0;

	LOAD(steps);
	expect(run() == VEC_INT80);
	u.flags |= FL_TF;
	for (; n < 200; n++) {
		if (run() != 1)
			break;
		expect(trap_dr6 & 0x4000);
		h = fnv(h, &u.ip, sizeof(u.ip));
		u.flags &= ~(ulong)FL_RF;
	}
	say("  %u steps, hash %h, then vec=%x\n", n, h, (u32)u.vec);
	expect(u.vec == VEC_INT80);
}

static void return_by_sysexit(void)
{
	LOAD(int80);
	for (u32 i = 0; i < 3; i++) {
		u.dx = U_BLOB;
		u.cx = U_STACK_TOP - 64 - 16 * i;
		run_how = RUN_SYSEXIT;
		expect(run() == VEC_INT80);
		expect(u.sp == U_STACK_TOP - 64 - 16 * i && u.ip == U_BLOB + 2);
		expect(u.cs == SEL_UCODE);
		say("  cs=%x ss=%x flags=%x\n", (u32)u.cs, (u32)u.ss, (u32)u.flags);
	}
}

#ifdef __x86_64__
static void return_by_sysret(void)
{
	LOAD(int80);
	for (u32 i = 0; i < 3; i++) {
		u.cx = U_BLOB;
		u.r11 = FL_IF | 2 | (i & 1 ? 0x8d5 : 0) | (i & 2 ? FL_AC | FL_ID : 0);
		run_how = RUN_SYSRET;
		expect(run() == VEC_INT80);
		expect(u.ip == U_BLOB + 2 && u.cs == SEL_UCODE);
		expect((u.flags & ~(ulong)FL_RF) == u.r11);
		say("  cs=%x ss=%x flags=%x\n", (u32)u.cs, (u32)u.ss, (u32)u.flags);
	}
}
#endif

void tests_state(void)
{
	static const struct test t[] = {
		{ "kept_by_int80", ENV_ALL, kept_by_int80 },
		{ "kept_by_finish", ENV_ALL, kept_by_finish },
		{ "kept_by_ud2", ENV_ALL, kept_by_ud2 },
		{ "kept_by_page_fault", ENV_ALL, kept_by_page_fault },
		{ "kept_by_divide_error", ENV_ALL, kept_by_divide_error },
#ifdef __x86_64__
		{ "kept_by_syscall", ENV_LONG, kept_by_syscall },
#endif
		{ "kept_over_ticks", ENV_ALL, kept_over_ticks },
		{ "flags_through_stack", ENV_ALL, flags_through_stack },
		{ "vector_mix", ENV_ALL, vector_mix },
		{ "vector_mix_avx", ENV_ALL, vector_mix_avx },
		{ "x87_mix", ENV_ALL, x87_mix },
		{ "switch_eagerly", ENV_ALL, switch_eagerly },
		{ "switch_lazily", ENV_ALL, switch_lazily },
		{ "single_steps", ENV_ALL, single_steps },
		{ "return_by_sysexit", ENV_ALL, return_by_sysexit },
#ifdef __x86_64__
		{ "return_by_sysret", ENV_LONG, return_by_sysret },
#endif
	};

	run_tests("state", t, ARRAY_SIZE(t));
}
