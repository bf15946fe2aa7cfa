/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SYSCALL and SYSENTER from compatibility mode and the ways back to it.  AMD's CPUs have
 * only the first, Intel's only the second (APM 3, SYSENTER; SDM 2B, SYSCALL).
 */
#include "tk.h"

#ifndef __x86_64__
void tests_fastcalls(void) { }
void tests_fastcalls_bochs_differs(void) { }
#else
#define PROGRAM(name) extern const u8 seg_##name[], seg_##name##_end[]
PROGRAM(syscall32);
PROGRAM(sysenter32);
PROGRAM(sysenter64);
PROGRAM(spin_by_bp);
#define LOAD(name) user_write(U_CODE, seg_##name, seg_##name##_end - seg_##name)

#define AFTER_LOOP	(U_CODE + 2)		/* the instruction in question, two bytes long */
#define AFTER_CALL	(AFTER_LOOP + 2)
#define END		(AFTER_CALL + 2)
#define VENDOR_AMD	0x68747541		/* "Auth" */
#define VENDOR_INTEL	0x756e6547		/* "Genu" */
#define FLAGS		(FL_IF | 2 | 0x8d5)	/* all arithmetic ones */
#define SP		(U_STACK_TOP - 256)

static bool vendor_is(u32 first)
{
	u32 r[4];

	cpuid(0, 0, r);
	return r[1] == first;
}

/* 32-bit code, with something in the halves of the registers that it can't see. */
static void begin32(void)
{
	u.cs = SEL_UCODE32;
	u.ds = u.es = u.ss = SEL_UDATA;
	u.sp = SP;
	u.ip = U_CODE;
	u.cx = u.bp = spin;
	u.ax = 0x1111222233334444;
	u.bx = 0x2222333344445555;
	u.dx = 0x3333444455556666;
	u.si = 0x4444555566667777;
	u.di = 0x5555666677778888;
	u.flags = FLAGS;
}

static void say_state(const char *what)
{
	u.bp = 0;				/* was how long to spin */
	say("  %s: vec=%x err=%x ip=%X cs=%x ss=%x sp=%X flags=%x%s cx=%X dx=%X r11=%X regs=%h\n",
	    what, (u32)u.vec, (u32)u.err, (u64)u.ip, (u32)u.cs, (u32)u.ss, (u64)u.sp,
	    (u32)u.flags & FL_SHOWN & ~FL_RF, u.flags & FL_RF ? " rf" : "", (u64)u.cx, (u64)u.dx,
	    (u64)u.r11, ctx_hash());
}

/* What is nobody's in any of these. */
static void expect_kept(const struct uctx *want)
{
	expect((u32)u.ax == (u32)want->ax && (u32)u.bx == (u32)want->bx);
	expect((u32)u.si == (u32)want->si && (u32)u.di == (u32)want->di);
	expect(u.r8 == want->r8 && u.r9 == want->r9 && u.r10 == want->r10);
	expect(u.r12 == want->r12 && u.r13 == want->r13);
	expect(u.r14 == want->r14 && u.r15 == want->r15);
	expect(u.ds == SEL_UDATA && u.es == SEL_UDATA);
}

/* Back into 32-bit code behind the call, to its INT 0x80. */
static void expect_back32(const struct uctx *want)
{
	expect(u.vec == VEC_INT80 && u.ip == END && u.cs == SEL_UCODE32 && u.ss == SEL_UDATA);
	expect((u32)u.sp == SP);
	expect_kept(want);
}

static void syscall32(void)
{
	struct uctx want;

	begin32();
	LOAD(syscall32);
	want = u;
	run();
	say_state("SYSCALL");
	expect_kept(&want);
	expect((u32)u.sp == SP && (u.flags & ~(ulong)FL_RF) == FLAGS);
	if (vendor_is(VENDOR_AMD))
		expect(u.vec == VEC_SYSCALL);
	if (vendor_is(VENDOR_INTEL))
		expect(u.vec == 6);
	if (u.vec != VEC_SYSCALL) {
		expect(u.ip == AFTER_LOOP && u.cx == 0);
		return;
	}
	expect(u.cs == SEL_UCODE32 && u.ip == AFTER_CALL);
	expect(u.cx == AFTER_CALL && u.r11 == FLAGS && (u32)u.dx == (u32)want.dx);
	run_how = RUN_SYSRET32;
	run();
	say_state("SYSRET");
	expect_back32(&want);
	expect((u.flags & ~(ulong)FL_RF) == FLAGS);
}

static void sysenter32(void)
{
	struct uctx want;

	begin32();
	LOAD(sysenter32);
	want = u;
	run();
	say_state("SYSENTER");
	expect_kept(&want);
	if (vendor_is(VENDOR_INTEL))		/* AMD's: tests_fastcalls_bochs_differs() */
		expect(u.vec == VEC_SYSENTER);
	if (u.vec != VEC_SYSENTER) {
		expect(u.vec == 6 && u.ip == AFTER_LOOP && u.cx == 0);
		return;
	}
	expect(u.cx == 0 && u.r11 == want.r11);
	expect((u.flags & ~(ulong)FL_RF) == (FLAGS & ~FL_IF));
	u.dx = AFTER_CALL;
	u.cx = SP;
	run_how = RUN_SYSEXIT32;
	run();
	say_state("SYSEXIT");
	expect_back32(&want);
	expect(u.r11 == want.r11 && u.flags & FL_IF);
}

/* The ways back by themselves: with flags of all kinds; what is above 4 GiB is cut off. */
static void sysret32(void)
{
	static const u32 flags[] = {
		FL_IF | 2, FL_IF | 2 | 0x8d5, FL_IF | 2 | FL_DF | FL_ID, FL_IF | 2 | FL_RF,
		FL_IF | 2 | FL_NT, FL_IF | 2 | FL_AC, 2,
	};

	LOAD(spin_by_bp);
	for (u32 i = 0; i < ARRAY_SIZE(flags); i++) {
		struct uctx want;

		begin32();
		u.cx = 0xabcd00000000 | U_CODE;		/* not canonical, but nobody looks */
		u.r11 = flags[i];
		want = u;
		run_how = RUN_SYSRET32;
		run();
		say_state("SYSRET");
		expect(u.vec == VEC_INT80 && u.ip == U_CODE + 6 && u.cs == SEL_UCODE32);
		expect(u.ss == SEL_UDATA && (u32)u.sp == SP && u.r11 == flags[i]);
		expect((u.flags & ~(ulong)FL_RF) == (flags[i] & ~FL_RF));
		expect_kept(&want);
	}
}

/* AMD's have no SYSEXIT in long mode; in Bochs they have, see docs/bochs-differences.md. */
static void go_by_sysexit(ulong above)
{
	LOAD(spin_by_bp);
	for (u32 i = 0; i < 3; i++) {
		struct uctx want;

		begin32();
		u.dx = above | U_CODE;
		u.cx = above | (SP - 16 * i);
		want = u;
		run_how = RUN_SYSEXIT32;
		run();
		say_state("SYSEXIT");
		expect(u.vec == VEC_INT80 && u.ip == U_CODE + 6 && u.cs == SEL_UCODE32);
		expect(u.ss == SEL_UDATA && u.sp == SP - 16 * i && u.r11 == want.r11);
		expect(u.flags & FL_IF);
		expect_kept(&want);
	}
}

static void sysexit32(void)
{
	go_by_sysexit(0);
}

static void sysexit32_cut(void)
{
	go_by_sysexit(0xabcd00000000);
}

void tests_fastcalls(void)
{
	static const struct test t[] = {
		{ "syscall32", ENV_LONG, syscall32 },
		{ "sysenter32", ENV_LONG, sysenter32 },
		{ "sysret32", ENV_LONG, sysret32 },
		{ "sysexit32", ENV_LONG, sysexit32 },
		{ "sysexit32_cut", ENV_LONG, sysexit32_cut },
	};

	run_tests("fastcall", t, ARRAY_SIZE(t));
}

/* In long mode AMD's CPUs have no SYSENTER. */
static void sysenter_of_amd(void)
{
	if (!vendor_is(VENDOR_AMD)) {
		say("  another vendor\n");
		return;
	}
	begin32();
	LOAD(sysenter32);
	expect(run() == 6 && u.ip == AFTER_LOOP);
	begin32();
	LOAD(sysenter64);
	u.cs = SEL_UCODE64;
	expect(run() == 6 && u.ip == AFTER_LOOP);
}

void tests_fastcalls_bochs_differs(void)
{
	static const struct test t[] = {
		{ "sysenter_of_amd", ENV_LONG, sysenter_of_amd },
	};

	run_tests("fastcall", t, ARRAY_SIZE(t));
}
#endif
