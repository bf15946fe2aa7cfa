/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XSAVE and its kind in user code: components in use and in their initial state, saved and
 * restored together and one by one, what XRSTOR refuses, XINUSE (SDM 1, chapter 13).
 */
#include "xstate.h"

#define VA		((ulong)U_TEST)
#define AREA_PAGES	2
#define CANARY		0x5a
#define HEADER		512
#define COMPACT		(1ull << 63)
#define CPUID_D_OPT	1u		/* 0DH.1, eax */
#define CPUID_D_C	2u
#define CPUID_D_XINUSE	4u

PROGRAM(zero_upper);
PROGRAM(xsave);
PROGRAM(xsaveopt);
PROGRAM(xsavec);
PROGRAM(xrstor);
PROGRAM(xinuse);

static u32 features(void)
{
	u32 r[4];

	cpuid(0xd, 1, r);
	return r[0];
}

/* Where XSAVE puts component i, and as much as it writes; 0 and 1 have the legacy area. */
static void place(u32 i, u32 *at, u32 *size)
{
	u32 r[4];

	cpuid(0xd, i, r);
	*at = r[1];
	*size = !BITS64 && (i == 2 || i == 6) ? r[0] / 2 : r[0];	/* 8 registers of 16 */
}

static u64 header(ulong va, u32 field)
{
	u64 v;

	user_read(va + HEADER + 8 * field, &v, sizeof(v));
	return v;
}

static bool untouched(ulong va, u32 at, u32 size)
{
	u8 b;

	for (u32 i = 0; i < size; i++) {
		user_read(va + at + i, &b, 1);
		if (b != CANARY)
			return false;
	}
	return true;
}

static void clean(ulong va)
{
	for (u32 i = 0; i < AREA_PAGES; i++)
		memset(phys(user_pa(va + i * PAGE)), CANARY, PAGE);
	memset(phys(user_pa(va)) + HEADER, 0, 64);
}

static bool user_xstate(const u8 *from, const u8 *to, u32 components)
{
	load_blob(from, to);
	u.bx = VA;
	u.si = components;
	return run() == VEC_INT80;
}

/* Saved by user code in each of the three ways and restored over something else. */
static void saved_by(const u8 *from, const u8 *to, bool optimized, bool compact)
{
	u64 set = 0;
	u32 n = 0, keep = spin;

	do {
		u64 bv;

		fpu_pattern_of(++n, set);
		fpu_save(before);
		clean(VA);
		expect(user_xstate(from, to, -1u));
		bv = header(VA, 0);
		expect((bv & set) == set && (bv & ~fpu_xcr0) == 0);
		expect(header(VA, 1) == (compact ? fpu_xcr0 | COMPACT : 0));
		for (u32 i = 2; i < 8 && !compact; i++) {
			u32 at, size;

			if (!(usable() >> i & 1))
				continue;
			place(i, &at, &size);
			if (set >> i & 1)
				expect(!memcmp(phys(user_pa(VA)) + at, before + at, size));
			else if (optimized && !(bv >> i & 1))
				expect(untouched(VA, at, size));
		}
		expect_same();
		/* With MXCSR's initial value, which Bochs's compacted XRSTOR leaves alone. */
		fpu_pattern_of(0x100 + n % 32, usable());
		spin = 1;
		expect(user_xstate(xs_xrstor, xs_xrstor_end, -1u));
		spin = n % 4 ? 1 : keep;
		expect_same();
	} while (next_subset(&set));
	spin = keep;
	say("  %u sets of components\n", n);
}

static void saved(void)
{
	if (!fpu_xcr0)
		return;
	map_new(cur, VA, AREA_PAGES, P_URW);
	saved_by(xs_xsave, xs_xsave_end, false, false);
	if (features() & CPUID_D_OPT)
		saved_by(xs_xsaveopt, xs_xsaveopt_end, true, false);
	if (features() & CPUID_D_C)
		saved_by(xs_xsavec, xs_xsavec_end, true, true);
}

/* One component at a time: what is not asked for is neither saved nor restored. */
static void one_by_one(void)
{
	if (!fpu_xcr0)
		return;
	map_new(cur, VA, AREA_PAGES, P_URW);
	for (u32 i = 0; i < 8; i++) {
		u32 at, size;
		u64 bit = 1ull << i;

		if (!(usable() & bit))
			continue;
		fpu_pattern_of(3, usable());
		clean(VA);
		*(u8 *)(phys(user_pa(VA)) + HEADER) = fpu_xcr0 & ~bit;
		expect(user_xstate(xs_xsave, xs_xsave_end, bit));
		expect(header(VA, 0) == fpu_xcr0);		/* the other bits stay */
		for (u32 j = 2; j < 8; j++) {
			if (!(fpu_xcr0 >> j & 1))
				continue;
			place(j, &at, &size);
			if (j != i)
				expect(untouched(VA, at, size));
		}
		/* Restored over another pattern, the rest of which stays. */
		fpu_pattern_of(4, usable());
		fpu_save(before);
		if (i >= 2) {
			place(i, &at, &size);
			memcpy(before + at, phys(user_pa(VA)) + at, size);
			expect(user_xstate(xs_xrstor, xs_xrstor_end, bit));
			/* MXCSR goes with SSE and AVX, unless the area is compacted. */
			if (i == 2)
				memcpy(before + 24, phys(user_pa(VA)) + 24, 2);
			expect_same();
		}
		/* And made initial by a bit that is clear in XSTATE_BV. */
		*(u64 *)(phys(user_pa(VA)) + HEADER) = 0;
		expect(user_xstate(xs_xrstor, xs_xrstor_end, bit));
		if (i >= 2)
			memset(before + at, 0, size);
		else if (i)
			memset(before + 160, 0, BITS64 ? 256 : 128);
		if (i == 1)
			memcpy(before + 24, phys(user_pa(VA)) + 24, 2);
		/* Bochs clears ZMM_Hi256 with AVX: xrstor_initial. */
		if (i && !(i == 2 && fpu_xcr0 & AVX512))
			expect_same();
	}
}

/* What XRSTOR does not take. */
static void xrstor_refuses(void)
{
	static const struct { u32 at; u64 v; const char *what; } bad[] = {
		{ HEADER, 1ull << 62, "XSTATE_BV beyond XCR0" },
		{ HEADER + 8, 1, "XCOMP_BV without bit 63" },
		{ HEADER + 8, COMPACT | 1ull << 62, "XCOMP_BV beyond XCR0" },
		{ HEADER + 16, 1, "reserved" },
		{ HEADER + 56, 1ull << 63, "reserved, compacted only" },
		{ 24, 0xffff1f80, "MXCSR" },
	};
	u8 *area;

	if (!fpu_xcr0)
		return;
	area = phys(map_new(cur, VA, AREA_PAGES, P_URW));
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		bool taken;

		if (bad[i].at == HEADER + 8 && bad[i].v >> 63 && !(features() & CPUID_D_C))
			continue;
		memset(area, 0, PAGE);
		*(u64 *)(area + 24) = 0x1f80;
		*(u64 *)(area + bad[i].at) = bad[i].v;
		fpu_pattern_of(5, usable());
		fpu_save(before);
		taken = user_xstate(xs_xrstor, xs_xrstor_end, -1u);
		say("  %s: vec=%x\n", bad[i].what, (u32)u.vec);
		if (bad[i].at == HEADER + 56) {		/* the standard form ignores these */
			expect(taken);
			continue;
		}
		expect(!taken && u.vec == 13 && u.err == 0);
		if (bad[i].at != 24)
			expect_same();
	}
	/* An area that is not aligned. */
	load_blob(xs_xsave, xs_xsave_end);
	u.bx = VA + 32;
	u.si = -1;
	expect(run() == 13);
}

/* XINUSE, by XGETBV of register 1. */
static void xinuse(void)
{
	u64 set = 0;
	u32 keep = spin, n = 0;

	if (!(fpu_xcr0 & AVX) || !(features() & CPUID_D_XINUSE))
		return;
	do {
		fpu_pattern_of(++n, set);
		LOAD(xinuse);
		expect(run() == VEC_INT80);
		expect((u.ax & set) == set && (u.ax & ~fpu_xcr0) == 0 && (u32)u.dx == 0);
		spin = n % 4 ? 1 : keep;
	} while (next_subset(&set));
	spin = keep;
	fpu_pattern_of(1, X87 | SSE);
	LOAD(zero_upper);
	u.dx = spinning ? 50000 : 5;
	expect(run() == VEC_INT80 && (u.si & 3) == 3);
	say("  after VZEROUPPER: %x\n", (u32)u.si & 3);	/* the rest is up to the CPU */
}

static void load_mxcsr(u32 v)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(v));
}

/* XSAVEC counts MXCSR to SSE's state (SDM 1, 13.10), though XINUSE does not. */
static void xsavec_mxcsr(void)
{
	if (!fpu_xcr0 || !(features() & CPUID_D_C))
		return;
	map_new(cur, VA, AREA_PAGES, P_URW);
	fpu_pattern_of(1, X87);
	load_mxcsr(0x3f80);
	clean(VA);
	expect(user_xstate(xs_xsavec, xs_xsavec_end, -1u));
	expect(header(VA, 0) & SSE);
	fpu_pattern(0);
}

void tests_xsave(void)
{
	static const struct test t[] = {
		{ "saved", ENV_ALL, saved },
		{ "one_by_one", ENV_ALL, one_by_one },
		{ "xrstor_refuses", ENV_ALL, xrstor_refuses },
		{ "xinuse", ENV_ALL, xinuse },
		{ "xsavec_mxcsr", ENV_ALL, xsavec_mxcsr },
	};

	run_tests("xsave", t, ARRAY_SIZE(t));
}

static u32 mxcsr(void)
{
	u32 v;

	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

/* The compacted XRSTOR has MXCSR with SSE (SDM 1, 13.8.2); AVX's initial state is not ZMM's. */
static void xrstor_initial(void)
{
	u8 *area;

	if (!fpu_xcr0)
		return;
	area = phys(map_new(cur, VA, AREA_PAGES, P_URW));
	memset(area, 0, PAGE);
	if (features() & CPUID_D_C) {
		*(u64 *)(area + HEADER + 8) = COMPACT | fpu_xcr0;
		fpu_pattern(1);
		load_mxcsr(0x3f80);
		expect(user_xstate(xs_xrstor, xs_xrstor_end, SSE));
		expect(mxcsr() == 0x1f80);
	}
	if ((fpu_xcr0 & AVX512) == AVX512) {
		*(u64 *)(area + HEADER + 8) = 0;
		*(u32 *)(area + 24) = 0x1f80;
		fpu_pattern_of(1, usable());
		load_mxcsr(0x1f80);
		fpu_save(before);
		expect(user_xstate(xs_xrstor, xs_xrstor_end, AVX));
		memset(before + 576, 0, BITS64 ? 256 : 128);
		expect_same();
	}
	fpu_pattern(0);
}

/* Outside of 64-bit mode Hi16_ZMM is in its initial state, always (SDM 1, 13.6). */
static void xinuse_hi16(void)
{
	if (!(fpu_xcr0 & HI16) || !(features() & CPUID_D_XINUSE))
		return;
	fpu_pattern(0);
	LOAD(xinuse);
	expect(run() == VEC_INT80 && !(u.ax & HI16));
}

void tests_xsave_bochs_differs(void)
{
	static const struct test t[] = {
		{ "xrstor_initial", ENV_ALL, xrstor_initial },
		{ "xinuse_hi16", ENV_32, xinuse_hi16 },
	};

	run_tests("xsave", t, ARRAY_SIZE(t));
}
