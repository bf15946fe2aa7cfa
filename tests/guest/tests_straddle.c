/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sensitive instructions over two pages, one of which the kernel maps elsewhere: what was looked
 * for in the one pair of frames is not what lies in the next, whoever executed it so far.
 */
#include "pages.h"

#define PROGRAM(name) extern const u8 straddle_##name[], straddle_##name##_end[]
PROGRAM(once);
PROGRAM(forever);
#define LOAD(name) load_blob(straddle_##name, straddle_##name##_end)

/* Leaf 1: its signature is the model's, hardly the host's.  No leaf's result has this in eax. */
#define LEAF		1
#define HARMLESS	"\x1f\xc3\xc3"		/* behind 0F: NOP, RET; and RET where CPUID's is */

static const struct pair {
	const char *name;
	const char *first, *second;
	u32 n, m;			/* bytes of them */
	bool xgetbv;
} pairs[] = {
	{ "cpuid", "\x0f", "\xa2\xc3\xc3", 1, 3, false },	/* RET where HARMLESS has its own */
	{ "66 cpuid", "\x66\x0f", "\xa2\xc3", 2, 2, false },
	{ "3e, cpuid", "\x3e", "\x0f\xa2\xc3", 1, 3, false },
	{ "cpuid in an immediate", "\xeb\x01\xb8\x0f", "\xa2\xc3", 4, 2, false },
	{ "xgetbv", "\x0f", "\x01\xd0\xc3", 1, 3, true },
	{ "xgetbv, two bytes first", "\x0f\x01", "\xd0\xc3", 2, 2, true },
};

static bool there(const struct pair *p)
{
	return !p->xgetbv || fpu_xcr0;
}

static ulong entry(const struct pair *p)
{
	return VA + PAGE - p->n;
}

static u64 first_page(const struct pair *p)
{
	u64 pa = frame();

	memset(phys(pa), 0x90, PAGE);
	memcpy(phys(pa + PAGE - p->n), p->first, p->n);
	return pa;
}

static u64 second_page(const char *bytes, u32 n)
{
	u64 pa = frame();

	memset(phys(pa), 0x90, PAGE);
	memcpy(phys(pa), bytes, n);
	return pa;
}

/*
 * Plain Bochs keeps an instruction over two pages by the first one's address, until one of the
 * two frames is written to (straddling_remapped of tests_code.c): so the one that goes is.
 */
static void touch(u64 pa)
{
	volatile u8 *b = phys(pa);

	*b = *b;
}

static void exchange(ulong va, u64 pa, u64 old)
{
	set_page(va, pa, pa ? P_URO : 0);
	touch(old);
}

static u32 signature(const struct pair *p)
{
	u32 r[4];

	if (p->xgetbv)
		return fpu_xcr0;
	cpuid(LEAF, 0, r);
	return r[0];
}

/* What is there now: @want in eax, or the program's own value when that is 0. */
static void expect_answer(const struct pair *p, u32 want)
{
	LOAD(once);
	u.bx = entry(p);
	u.si = LEAF;
	expect(run() == VEC_INT80 && (u32)u.ax == (want ? want : LEAF));
}

/* The second page: CPUID's, a NOP's and one that is not there. */
static void second_remapped(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(pairs); i++) {
		const struct pair *p = &pairs[i];
		u8 last = p->first[p->n - 1];
		u64 sensitive, other;

		if (!there(p))
			continue;
		sensitive = second_page(p->second, p->m);
		other = last == 0x0f ? second_page(HARMLESS, 3) : second_page("\xc3", 1);
		set_page(VA, first_page(p), P_URO);
		set_page(VA + PAGE, sensitive, P_URO);
		for (u32 round = 0; round < 3; round++) {
			expect_answer(p, signature(p));
			exchange(VA + PAGE, other, sensitive);
			if (last == 0x01) {		/* 0F 01 C3 is reserved here */
				LOAD(once);
				u.bx = entry(p);
				expect(run() == 6 && u.ip == entry(p));
			} else {
				expect_answer(p, 0);
			}
			exchange(VA + PAGE, 0, other);
			LOAD(once);
			u.bx = entry(p);
			u.si = LEAF;
			expect(run() == 14 && trap_cr2 == VA + PAGE);
			map(cur, VA + PAGE, sensitive, P_URO);
			expect(run() == VEC_INT80 && (u32)u.ax == signature(p));
		}
	}
}

/* The first one: the bytes of the second are harmless by themselves. */
static void first_remapped(void)
{
	const struct pair *p = &pairs[0];
	u64 with = first_page(p), without = frame();

	memset(phys(without), 0x90, PAGE);
	*(u8 *)phys(without + PAGE - 1) = 0xc3;
	map(cur, VA + PAGE, second_page(p->second, p->m), P_URO);
	for (u32 i = 0; i < 4; i++) {
		set_page(VA, without, P_URO);
		expect_answer(p, 0);
		set_page(VA, with, P_URO);
		expect_answer(p, signature(p));
	}
}

/* Both at once, by the entry of the table above them. */
static void table_changed(void)
{
	const struct pair *p = &pairs[0];
	u64 first = first_page(p), entries[2], seconds[2];

	for (u32 i = 0; i < 2; i++) {
		map(cur, VA, first, P_URO);
		seconds[i] = i ? second_page(p->second, p->m) : second_page(HARMLESS, 3);
		map(cur, VA + PAGE, seconds[i], P_URO);
		entries[i] = entry_get(cur, VA, 2);
		if (!i)
			entry_set(cur, VA, 2, 0);
	}
	for (u32 i = 0; i < 6; i++) {
		entry_set(cur, VA, 2, entries[i & 1]);
		set_cr3(cur->root);
		touch(seconds[!(i & 1)]);
		expect_answer(p, i & 1 ? signature(p) : 0);
	}
}

/* Two spaces have the first page in common, and not the second. */
static void other_space(void)
{
	const struct pair *p = &pairs[0];
	u64 first = first_page(p), seconds[2];
	struct space *a = cur, *b = twin();

	for (u32 i = 0; i < U_CODE_PAGES; i++)
		map(b, U_CODE + i * PAGE, user_pa(U_CODE + i * PAGE), P_URO);
	map(a, VA, first, P_URO);
	map(b, VA, first, P_URO);
	seconds[0] = second_page(HARMLESS, 3);
	seconds[1] = second_page(p->second, p->m);
	map(a, VA + PAGE, seconds[0], P_URO);
	map(b, VA + PAGE, seconds[1], P_URO);
	for (u32 i = 0; i < 6; i++) {
		use(i & 1 ? b : a);
		touch(seconds[!(i & 1)]);
		expect_answer(p, i & 1 ? signature(p) : 0);
	}
	use(a);
}

/* User code writes the byte by another name of the second page. */
static void written_by_alias(void)
{
	const struct pair *p = &pairs[0];
	u64 second = second_page(HARMLESS, 3);

	map(cur, VA, first_page(p), P_URO);
	map(cur, VA + PAGE, second, P_URO);
	map(cur, VB, second, P_URW);
	for (u32 i = 0; i < 3; i++) {
		expect_answer(p, 0);
		expect(u_store(VB, 0xc3c3c3a2));
		expect_answer(p, signature(p));
		expect(u_store(VB, 0xc3c3c31f));
	}
}

/* Ticks: under a program that is at it all the time.  Two calls later all are the new kind's. */
static void while_it_spins(void)
{
	const struct pair *p = &pairs[0];
	u64 harmless = second_page(HARMLESS, 3), sensitive = second_page(p->second, p->m);
	u32 want = 0, since = 0, changes = 0, bad = 0;

	map(cur, VA, first_page(p), P_URO);
	map(cur, VA + PAGE, harmless, P_URO);
	map_new(cur, VB, 1, P_URW);
	pit_hz(2000);
	LOAD(forever);
	u.bx = entry(p);
	u.si = LEAF;
	u.di = VB;
	while (changes < 24 && !bad) {
		u32 v = run_to_tick(), calls;

		if (v == VEC_IRQ + 7 || v == VEC_SPURIOUS)
			continue;
		if (v != VEC_IRQ)
			break;
		calls = user_get32(VB + 4);
		if (calls - since < 3)			/* it has not come far */
			continue;
		bad += user_get32(VB) != (want ? want : LEAF);
		want = want ? 0 : signature(p);
		exchange(VA + PAGE, want ? sensitive : harmless, want ? harmless : sensitive);
		since = calls;
		changes++;
	}
	user_put32(VB + 8, 1);
	expect(run() == VEC_INT80);
	expect(changes == 24 && bad == 0);
	pit_hz(1000);
}

void tests_straddle(void)
{
	static const struct test t[] = {
		{ "second_remapped", ENV_ALL, second_remapped },
		{ "first_remapped", ENV_ALL, first_remapped },
		{ "table_changed", ENV_ALL, table_changed },
		{ "other_space", ENV_ALL, other_space },
		{ "written_by_alias", ENV_ALL, written_by_alias },
		{ "while_it_spins", ENV_ALL, while_it_spins },
	};

	run_tests("straddle", t, ARRAY_SIZE(t));
}
