/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Protection keys (SDM 3A, 4.6.2): what PKRU forbids faults, whoever has run the code so far, and
 * it forbids nothing else.  Pages with a key but 0 are Bochs's, so what is of interest natively
 * is the way between them and others.
 */
#include "pages.h"

#ifdef __x86_64__
#define CR4_PKE		0x400000u
#define CPUID_7_PKU	8u		/* ecx */
#define CPUID_7_OSPKE	16u
#define XCR0_PKRU	0x200u
#define KEY(n)		((u64)(n) << 59)
#define AD(n)		(1u << 2 * (n))
#define WD(n)		(2u << 2 * (n))
#define LINUX_PKRU	0x55555554u	/* all keys but 0 denied */
#define PF_READ		0x25u		/* present, user, key */
#define PF_WRITE	0x27u

#define PROGRAM(name) extern const u8 pkey_##name[], pkey_##name##_end[]
PROGRAM(rdpkru);
PROGRAM(wrpkru);
PROGRAM(open_and_close);
PROGRAM(store_over_pages);
PROGRAM(push);
PROGRAM(xsave_pkru);
PROGRAM(xrstor_pkru);
extern const u8 pkey_closed_store[];
#define LOAD(name) load_blob(pkey_##name, pkey_##name##_end)

static u32 cpuid_7_ecx(void)
{
	u32 r[4];

	cpuid(0, 0, r);
	if (r[0] < 7)
		return 0;
	cpuid(7, 0, r);
	return r[2];
}

static u32 get_pkru(void)
{
	u32 v;

	__asm__ volatile("rdpkru" : "=a"(v) : "c"(0) : "rdx");
	return v;
}

static void set_pkru(u32 v)
{
	__asm__ volatile("wrpkru" : : "a"(v), "c"(0), "d"(0) : "memory");
}

static bool keys_on(void)
{
	if (!(cpuid_7_ecx() & CPUID_7_PKU))
		return false;
	set_cr4(get_cr4() | CR4_PKE);
	set_pkru(0);
	return true;
}

/* Otherwise the next test would find it. */
static void keys_off(void)
{
	set_pkru(0);
	set_cr4(get_cr4() & ~(ulong)CR4_PKE);
}

/* Said in no log, so that one of a model without keys is the same. */
static bool load(ulong va, u32 *v)
{
	bool done;

	log_quiet(true);
	done = u_load(va, v);
	log_quiet(false);
	return done;
}

static bool store(ulong va, u32 v)
{
	bool done;

	log_quiet(true);
	done = u_store(va, v);
	log_quiet(false);
	return done;
}

static bool rmw(ulong va, u32 v)
{
	bool done;

	log_quiet(true);
	done = u_rmw(va, v);
	log_quiet(false);
	return done;
}

static bool call(ulong va, ulong *ax)
{
	bool done;

	log_quiet(true);
	done = u_call(va, ax);
	log_quiet(false);
	return done;
}

static void instructions(void)
{
	LOAD(rdpkru);
	u.si = 0;
	if (cpuid_7_ecx() & CPUID_7_PKU)
		expect(run() == 6);
	if (!keys_on())
		return;
	expect(cpuid_7_ecx() & CPUID_7_OSPKE);
	for (u32 i = 0; i < 3; i++) {
		u32 v = 0x12345678u << i & ~3u;

		LOAD(wrpkru);
		u.bx = v;
		u.si = u.di = 0;
		expect(run() == VEC_INT80 && get_pkru() == v);
		LOAD(rdpkru);
		u.si = 0;
		expect(run() == VEC_INT80 && u.ax == v && u.dx == 0);
		LOAD(rdpkru);
		u.si = 1;
		expect(run() == 13 && u.err == 0);
		LOAD(wrpkru);
		u.bx = 0;
		u.si = i & 1;
		u.di = !(i & 1);
		expect(run() == 13 && u.err == 0 && get_pkru() == v);
	}
	keys_off();
	expect(!(cpuid_7_ecx() & CPUID_7_OSPKE));
	LOAD(wrpkru);
	expect(run() == 6);
}

/* Loads, stores and calls by a page's key, for each setting of its two bits. */
static void rights(void)
{
	static const u8 keys[] = { 1, 6, 15 };
	u64 pa = new_filled(0x100);

	memset(phys(pa), 0xc3, 16);			/* RET */
	if (!keys_on())
		return;
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++) {
		u32 k = keys[i];

		set_page(VA, pa, P_URW | KEY(k));
		for (u32 bits = 0; bits < 4; bits++) {
			bool ad = bits & 1, wd = bits & 2;

			set_pkru(bits << 2 * k);
			expect(load(VA + 64, NULL) == !ad);
			if (ad)
				expect(u.vec == 14 && u.err == PF_READ && trap_cr2 == VA + 64);
			expect(store(VA + 64, 1) == !bits);
			if (ad || wd)
				expect(u.vec == 14 && u.err == PF_WRITE);
			expect(rmw(VA + 64, 1) == !bits);
			if (bits) {			/* let through in the end */
				set_pkru(0);
				expect(run() == VEC_INT80);
				set_pkru(bits << 2 * k);
			}
			expect(call(VA, NULL));	/* fetches need no key */
			/* All the others are denied: this one is not. */
			set_pkru(~(3u << 2 * k) & ~3u);
			expect(store(VA + 64, 2));
		}
	}
	keys_off();
}

/* Key 0 is every page's that has no other. */
static void key_0(void)
{
	if (!keys_on())
		return;
	map_new(cur, VA, 1, P_URW);
	expect(store(VA, 1));
	for (u32 i = 0; i < 2; i++) {
		set_pkru(AD(0));
		expect(u_spin());			/* no data */
		expect(!load(VA, NULL) && u.err == PF_READ);
		LOAD(push);
		expect(run() == 14 && u.err == PF_WRITE && u.ip == U_BLOB);
		set_pkru(0);
		expect(run() == VEC_INT80);
		expect(store(VA, 3));
	}
	keys_off();
}

/* User code opens a page for a moment, again and again. */
static void opened_by_user(void)
{
	u32 n = spinning ? 3000 : 3;

	if (!keys_on())
		return;
	map_new(cur, VA, 1, P_URW | KEY(4));
	pit_hz(8000);
	LOAD(open_and_close);
	u.bx = VA;
	u.dx = n;
	u.r8 = LINUX_PKRU & ~(AD(4) | WD(4));
	u.r9 = LINUX_PKRU;
	expect(run() == 14 && u.err == PF_WRITE && trap_cr2 == VA);
	expect(u.ip == U_BLOB + (ulong)(pkey_closed_store - pkey_open_and_close));
	expect(user_get32(VA) == n && get_pkru() == LINUX_PKRU && u.si == 0);
	set_pkru(0);
	expect(run() == VEC_INT80 && user_get32(VA) == (u32)u.r8);
	pit_hz(1000);
	keys_off();
}

/* Pages that native code has been at get a key, and lose it again. */
static void key_changed(void)
{
	u64 pa = new_filled(0x100);

	if (!keys_on())
		return;
	set_pkru(LINUX_PKRU);
	map(cur, VA, pa, P_URW);
	for (u32 i = 1; i < 4; i++) {
		u32 v = 0;

		expect(store(VA, i));
		expect(load(VA, &v) && v == i);
		set_page(VA, pa, P_URW | A | D | KEY(i));
		expect(!load(VA, NULL) && u.err == PF_READ);
		expect(!store(VA, 9) && u.err == PF_WRITE);
		set_page(VA, pa, P_URW | A | D);
		expect(load(VA, &v) && v == i);
	}
	/* The bits mean nothing without PKE, and mean it again with it. */
	set_page(VA, pa, P_URW | A | D | KEY(5));
	set_cr4(get_cr4() & ~(ulong)CR4_PKE);
	expect(store(VA, 7));
	set_cr4(get_cr4() | CR4_PKE);
	expect(get_pkru() == LINUX_PKRU);
	expect(!store(VA, 8) && u.err == PF_WRITE);
	keys_off();
}

/* One frame by two names and in two spaces: it is the entry that has the key. */
static void two_names(void)
{
	struct space *a = cur, *b;
	u64 pa = new_filled(0x100);
	u32 v = 0;

	if (!keys_on())
		return;
	b = twin();
	set_pkru(LINUX_PKRU);
	map(a, VA, pa, P_URW);
	map(a, VB, pa, P_URW | KEY(2));
	map(b, VA, pa, P_URW | KEY(3));
	map(b, VB, pa, P_URW);
	for (u32 i = 0; i < 2; i++) {
		expect(store(VA, 0x55 + i));
		expect(!load(VB, NULL) && u.err == PF_READ);
		use(b);
		expect(!load(VA, NULL) && u.err == PF_READ);
		expect(load(VB, &v) && v == 0x55 + i);
		use(a);
	}
	keys_off();
}

/* Over two pages, of which one has a key: nothing is stored to the other. */
static void over_pages(void)
{
	u64 before = 0x1122334455667788, seen;

	if (!keys_on())
		return;
	map_new(cur, VA, 1, P_URW);
	map_new(cur, VA + PAGE, 1, P_URW | KEY(9));
	user_write(VA + PAGE - 4, &before, 8);
	set_pkru(WD(9));
	LOAD(store_over_pages);
	u.bx = VA + PAGE - 4;
	expect(run() == 14 && u.err == PF_WRITE && trap_cr2 == VA + PAGE);
	user_read(VA + PAGE - 4, &seen, 8);
	expect(seen == before);
	set_pkru(0);
	expect(run() == VEC_INT80);
	user_read(VA + PAGE - 4, &seen, 8);
	expect(seen == u.ax);
	keys_off();
}

/* Code in a page that can't be read may run; what it reads there faults. */
static void execute_only(void)
{
	u64 pa = frame();
	ulong ax = 0;

	if (!keys_on())
		return;
	memcpy(phys(pa), "\xb8\x21\x43\x65\x07\xc3", 6);	/* mov $0x07654321, %eax; ret */
	memcpy(phys(pa) + 64, "\x8b\x05\x00\x00\x00\x00\xc3", 7);	/* mov 0(%rip), %eax; ret */
	map(cur, VA, pa, P_URO | KEY(11));
	set_pkru(AD(11));
	for (u32 i = 0; i < 2; i++) {
		expect(call(VA, &ax) && ax == 0x07654321);
		expect(!call(VA + 64, NULL) && u.err == PF_READ && u.ip == VA + 64);
		expect(trap_cr2 == VA + 70);
	}
	keys_off();
}

/* PKRU is one of XSAVE's components, and is kept where nobody looks at it. */
static void kept_and_saved(void)
{
	u32 lo, r[4];
	u8 *area;

	if (!keys_on())
		return;
	pit_hz(8000);
	for (u32 i = 0; i < 3; i++) {
		set_pkru(LINUX_PKRU << i & ~3u);
		expect(u_spin() && get_pkru() == (LINUX_PKRU << i & ~3u));
	}
	pit_hz(1000);
	lo = fpu_xcr0 | XCR0_PKRU;
	__asm__ volatile("xsetbv" : : "a"(lo), "d"(0), "c"(0));
	cpuid(0xd, 9, r);
	area = phys(map_new(cur, VA, 1, P_URW));
	map_new(cur, VB, 1, P_URW | KEY(7));
	set_pkru(0xfc);
	LOAD(xsave_pkru);
	u.bx = VA;
	expect(run() == VEC_INT80 && r[1] + 4 <= PAGE);
	expect(*(u32 *)(area + r[1]) == 0xfc && *(u64 *)(area + 512) == XCR0_PKRU);
	for (u32 i = 0; i < 3; i++) {
		u32 v = i == 1 ? AD(7) : WD(7);

		*(u32 *)(area + r[1]) = v;
		if (i == 2)				/* its initial state is 0 */
			*(u64 *)(area + 512) = v = 0;
		set_pkru(0xfc);
		LOAD(xrstor_pkru);
		u.bx = VA;
		u.bp = VB;
		expect(run() == (i == 1 ? 14 : VEC_INT80) && get_pkru() == v);
	}
	__asm__ volatile("xsetbv" : : "a"((u32)fpu_xcr0), "d"(0), "c"(0));
	keys_off();
}
#endif

void tests_pkey(void)
{
#ifdef __x86_64__
	static const struct test t[] = {
		{ "instructions", ENV_LONG, instructions },
		{ "rights", ENV_LONG, rights },
		{ "key_0", ENV_LONG, key_0 },
		{ "opened_by_user", ENV_LONG, opened_by_user },
		{ "key_changed", ENV_LONG, key_changed },
		{ "two_names", ENV_LONG, two_names },
		{ "over_pages", ENV_LONG, over_pages },
		{ "execute_only", ENV_LONG, execute_only },
		{ "kept_and_saved", ENV_LONG, kept_and_saved },
	};

	run_tests("pkey", t, ARRAY_SIZE(t));
#endif
}

#ifdef __x86_64__
/* PKRU is for user pages; Bochs has it keep the kernel from writing to its own: no way on. */
static void key_0_write(void)
{
	if (!keys_on())
		return;
	map_new(cur, VA, 1, P_URW);
	set_pkru(WD(0));
	expect(load(VA, NULL));
	expect(!store(VA, 2) && u.err == PF_WRITE);
	keys_off();
}
#endif

void tests_pkey_bochs_differs(void)
{
#ifdef __x86_64__
	static const struct test t[] = {
		{ "key_0_write", ENV_LONG, key_0_write },
	};

	run_tests("pkey", t, ARRAY_SIZE(t));
#endif
}
