/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that XSAVE knows: AVX-512's registers where the model has them, components in their
 * initial state, XCR0 narrowed for a while (SDM 1, chapter 13).  The kernel has no use for any of
 * it, so what user code leaves must be there after any trap, tick or native burst.
 */
#include "xstate.h"

#define CPUID_7_BW	(1u << 30)	/* ebx */

PROGRAM(end);
PROGRAM(rotate512);
PROGRAM(rotate256);
PROGRAM(mix512);
PROGRAM(sse_and_back);
extern const u8 state_ud2[], state_ud2_end[], state_pf[], state_pf_end[];
extern const u8 sens_vaddps[], sens_vaddps_end[], ferr_vaddps512[], ferr_vaddps512_end[],
	ferr_kmovw[], ferr_kmovw_end[], sens_addps[], sens_addps_end[];

static void set_xcr0(u64 v)
{
	__asm__ volatile("xsetbv" : : "a"((u32)v), "d"((u32)(v >> 32)), "c"(0));
}

/* Any components in use, the others not, through traps and ticks. */
static void kept(void)
{
	static const struct { const u8 *start, *end; u32 vec; } ends[] = {
		{ xs_end, xs_end_end, VEC_INT80 }, { state_ud2, state_ud2_end, 6 },
		{ state_pf, state_pf_end, 14 },
	};
	u64 set = 0;
	u32 n = 0;

	if (!fpu_xcr0)
		return;
	pit_hz(8000);
	do {
		for (u32 i = 0; i < ARRAY_SIZE(ends); i++) {
			fpu_pattern_of(++n, set);
			fpu_save(before);
			load_blob(ends[i].start, ends[i].end);
			expect(run() == ends[i].vec);
			expect_same();
		}
	} while (next_subset(&set));
	pit_hz(1000);
}

static bool has_avx512bw(void)
{
	u32 r[4];

	if ((fpu_xcr0 & AVX512) != AVX512)
		return false;
	cpuid(7, 0, r);
	return r[1] & CPUID_7_BW;
}

static void rotated(const u8 *from, const u8 *to, u64 set)
{
	pit_hz(8000);
	for (u32 i = 1; i <= 4; i++) {
		fpu_pattern_of(i, set);
		fpu_save(before);
		load_blob(from, to);
		u.bx = U_DATA;
		u.dx = 32 * (spinning ? 200 : 3);
		expect(run() == VEC_INT80);
		expect_same();
	}
	pit_hz(1000);
}

/* All registers change places until each is where it was. */
static void rotate256(void)
{
	if (fpu_xcr0 & AVX)
		rotated(xs_rotate256, xs_rotate256_end, fpu_xcr0 & 7);
}

static void rotate512(void)
{
	if (has_avx512bw())
		rotated(xs_rotate512, xs_rotate512_end, usable());
}

static void mix512(void)
{
	if ((fpu_xcr0 & AVX512) != AVX512)
		return;
	for (u32 i = 1; i < 5; i++) {
		fpu_pattern_of(i, i & 1 ? usable() : usable() & ~(u64)AVX512);
		LOAD(mix512);
		u.dx = 700 * i;
		expect(run() == VEC_INT80);
		say("  fpu=%h\n", fpu_hash());
	}
}

#ifdef __x86_64__
PROGRAM(evex_x);
PROGRAM(evex_r);

/* General registers are sixteen, whatever EVEX says: X means nothing, R' is refused (SDM 2A, 2.7.11). */
static void evex_general(void)
{
	if ((fpu_xcr0 & AVX512) != AVX512)
		return;
	for (u32 i = 0; i < 100; i++) {
		LOAD(evex_x);
		u.bx = 0x1234 + i;
		u.dx = u.si = 0;
		expect(run() == VEC_INT80 && u.si == 0x1234 + i && u.dx == 0x1234 + i);
	}
	LOAD(evex_r);
	expect(run() == 6 && u.ip == U_BLOB);
	LOAD(evex_x);
	u.bx = 0x4321;
	expect(run() == VEC_INT80 && u.si == 0x4321 && u.dx == 0x4321);
}
#endif

/* What XCR0 does not have for the moment is there when it is back. */
static void narrowed(void)
{
	static const u64 less[] = { 7, 3, 1 };

	if (!(fpu_xcr0 & AVX))
		return;
	for (u32 i = 0; i < 6; i++) {
		fpu_pattern_of(i + 1, usable());
		fpu_save(before);
		set_xcr0(less[i % 3]);
		LOAD(sse_and_back);
		u.dx = spinning ? 20000 : 20;
		expect(run() == VEC_INT80);
		if (i >= 3) {			/* step by step */
			set_xcr0(3);
			LOAD(end);
			expect(run() == VEC_INT80);
		}
		set_xcr0(fpu_xcr0);
		LOAD(end);
		expect(run() == VEC_INT80);
		expect_same();
	}
}

/* And can't be used meanwhile. */
static void narrowed_refuses(void)
{
	static const struct { const u8 *start, *end; u64 need; } uses[] = {
		{ sens_addps, sens_addps_end, 0 }, { sens_vaddps, sens_vaddps_end, 6 },
		{ ferr_kmovw, ferr_kmovw_end, 0x26 },
		{ ferr_vaddps512, ferr_vaddps512_end, AVX512 | 6 },
	};
	static const u64 less[] = { 1, 3, 7, 0xe7 };

	if (!(fpu_xcr0 & AVX))
		return;
	for (u32 l = 0; l < ARRAY_SIZE(less); l++)
		for (u32 i = 0; i < ARRAY_SIZE(uses); i++) {
			if (uses[i].need & ~fpu_xcr0 || less[l] & ~fpu_xcr0)
				continue;
			fpu_pattern(i);
			set_xcr0(less[l]);
			load_blob(uses[i].start, uses[i].end);
			run();
			set_xcr0(fpu_xcr0);
			expect(u.vec == (uses[i].need & ~less[l] ? 6 : VEC_INT80));
		}
}

void tests_xstate(void)
{
	static const struct test t[] = {
		{ "kept", ENV_ALL, kept },
		{ "rotate256", ENV_ALL, rotate256 },
		{ "rotate512", ENV_ALL, rotate512 },
		{ "mix512", ENV_ALL, mix512 },
#ifdef __x86_64__
		{ "evex_general", ENV_ALL, evex_general },
#endif
		{ "narrowed", ENV_ALL, narrowed },
	};

	run_tests("xstate", t, ARRAY_SIZE(t));
}

/* What the process engine is known to run, without strict=1: apart, for verify mode stops there. */
void tests_xstate_limits(void)
{
	static const struct test t[] = {
		{ "narrowed_refuses", ENV_ALL, narrowed_refuses },
	};

	run_tests("xstate", t, ARRAY_SIZE(t));
}

