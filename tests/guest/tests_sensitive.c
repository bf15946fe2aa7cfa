/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sensitive instructions: user code gets the answer of the emulated CPU and
 * of this kernel's tables, never those of the machine below.  What it may ask about
 * selectors and descriptors is in tests_selectors.c.
 */
#include "tk.h"

#define VA	((ulong)U_TEST)

#define PROGRAM(name) extern const u8 sens_##name[], sens_##name##_end[]
PROGRAM(cpuid);
PROGRAM(cpuid_hidden);
PROGRAM(cpuid_prefixed);
PROGRAM(cpuid_written);
PROGRAM(call_leaf0);
PROGRAM(xgetbv);
PROGRAM(tables);
PROGRAM(xsave);
PROGRAM(xsaveopt);
PROGRAM(xsavec);
PROGRAM(xrstor);
PROGRAM(rdpid);
PROGRAM(rdpmc);
PROGRAM(vaddps);
PROGRAM(addps);
PROGRAM(divps_by_zero);
PROGRAM(fld1);
PROGRAM(fsgsbase);
PROGRAM(load_and_write_bases);
PROGRAM(write_bases);
#define LOAD(name) load_blob(sens_##name, sens_##name##_end)

#define CR0_EM		4u
#define CR4_UMIP	0x800u
#define CR4_FSGSBASE	0x10000u
#define CPUID_7_FSGSBASE 1u		/* ebx */
#define CPUID_7_UMIP	4u		/* ecx */
#define CPUID_7_RDPID	0x400000u	/* ecx */
#define MSR_TSC_AUX	0xc0000103
#define XSAVE_CANARY	0x5a

static bool same_as_kernel(u32 leaf, u32 sub, u32 *h)
{
	u32 k[4], user[4];

	LOAD(cpuid);
	u.si = leaf;
	u.di = sub;
	if (run() != VEC_INT80)
		return false;
	user[0] = u.ax;
	user[1] = u.bx;
	user[2] = u.cx;
	user[3] = u.dx;
	cpuid(leaf, sub, k);
	*h = fnv(*h, user, sizeof(user));
	return !memcmp(k, user, sizeof(k));
}

static void cpuid_leaves(void)
{
	u32 r[4], max, h = FNV_START, n = 0;

	cpuid(0, 0, r);
	max = r[0];
	for (u32 leaf = 0; leaf <= max; leaf++)
		for (u32 sub = 0; sub < (leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd ? 4u : 1u);
		     sub++, n++)
			expect(same_as_kernel(leaf, sub, &h));
	cpuid(0x80000000, 0, r);
	max = r[0];
	for (u32 leaf = 0x80000000; leaf <= max && leaf < 0x80000040; leaf++, n++)
		expect(same_as_kernel(leaf, 0, &h));
	expect(same_as_kernel(0x40000000, 0, &h));	/* where hypervisors introduce themselves */
	expect(same_as_kernel(0xc0000000, 0, &h));
	expect(same_as_kernel(max + 1, 0, &h));
	say("  %u leaves, hash %h\n", n, h);
}

/* Leaf 0 in ebx, edx, ecx: the vendor's name. */
static void expect_vendor(void)
{
	u32 k[4];

	cpuid(0, 0, k);
	expect(u.vec == VEC_INT80);
	expect((u32)u.ax == k[0] && (u32)u.bx == k[1] && (u32)u.cx == k[2] && (u32)u.dx == k[3]);
}

static void cpuid_straddling(void)
{
	u64 p1 = map_new(cur, VA, 1, P_URO), p2 = map_new(cur, VA + PAGE, 1, P_URO);

	*(u8 *)phys(p1 + PAGE - 1) = 0x0f;
	memcpy(phys(p2), "\xa2\xc3", 2);
	for (u32 i = 0; i < 3; i++) {
		LOAD(call_leaf0);
		u.bx = VA + PAGE - 1;
		run();
		expect_vendor();
	}
	/* It was harmless when first seen: 0f 0b is UD2. */
	*(u8 *)phys(p2) = 0x0b;
	LOAD(call_leaf0);
	u.bx = VA + PAGE - 1;
	expect(run() == 6);
	*(u8 *)phys(p2) = 0xa2;
	LOAD(call_leaf0);
	u.bx = VA + PAGE - 1;
	run();
	expect_vendor();
}

static void cpuid_in_the_middle(void)
{
	LOAD(cpuid_hidden);
	user_put32(U_DATA, 0);
	/* The program ends in RET: to the agent's end. */
	u.sp = U_STACK_TOP - 64;
	for (u32 i = 0; i < PAGE; i++)
		if (*(u8 *)phys(user_pa(U_AGENT + i)) == (BITS64 ? FINISH_0 : 0xcd) &&
		    *(u8 *)phys(user_pa(U_AGENT + i + 1)) == (BITS64 ? FINISH_1 : VEC_INT80)) {
			ulong to = U_AGENT + i;

			user_write(u.sp, &to, sizeof(to));
			break;
		}
	run();
	expect_vendor();
}

static void cpuid_prefixed(void)
{
	LOAD(cpuid_prefixed);
	run();
	expect_vendor();
}

static void cpuid_written(void)
{
	map_new(cur, VA, 2, P_URW);
	for (u32 at = 0; at < 2; at++) {		/* within a page, and across two */
		memset(phys(user_pa(VA)), 0x90, PAGE);
		LOAD(cpuid_written);
		u.bx = at ? VA + PAGE - 1 : VA + 0x123;
		run();
		expect_vendor();
	}
}

static void cpuid_written_by_kernel(void)
{
	u64 pa = map_new(cur, VA, 1, P_URO);

	memcpy(phys(pa), "\x90\x90\xc3", 3);
	LOAD(call_leaf0);
	u.bx = VA;
	expect(run() == VEC_INT80 && u.ax == 0);
	memcpy(phys(pa), "\x0f\xa2\xc3", 3);
	LOAD(call_leaf0);
	u.bx = VA;
	run();
	expect_vendor();
}

static void xgetbv(void)
{
	if (!fpu_xcr0)
		return;
	LOAD(xgetbv);
	u.si = 0;
	expect(run() == VEC_INT80);
	expect((u32)u.ax == (u32)fpu_xcr0 && (u32)u.dx == fpu_xcr0 >> 32);
	say("  xcr0=%X\n", fpu_xcr0);
	LOAD(xgetbv);
	u.si = 1;
	run();
	say("  xgetbv 1: vec=%x\n", (u32)u.vec);
}

static void xcr0_narrowed(void)
{
	if (!(fpu_xcr0 & 4))
		return;
	__asm__ volatile("xsetbv" : : "a"(3), "d"(0), "c"(0));
	LOAD(vaddps);
	expect(run() == 6 && u.ip == U_BLOB);
	LOAD(addps);
	expect(run() == VEC_INT80);
	LOAD(xgetbv);			/* last: it may leave the page to Bochs */
	u.si = 0;
	expect(run() == VEC_INT80 && u.ax == 3);
	__asm__ volatile("xsetbv" : : "a"((u32)fpu_xcr0), "d"((u32)(fpu_xcr0 >> 32)), "c"(0));
	LOAD(vaddps);
	expect(run() == VEC_INT80);
}

/* XSAVE writes what the guest's XCR0 says, no more. */
static void xsave_area(void)
{
	u32 end = 0, r[4];
	u8 *area;

	if (!fpu_xcr0)
		return;
	cpuid(0xd, 0, r);
	area = phys(map_new(cur, VA, 1, P_URW));
	memset(area, XSAVE_CANARY, PAGE);
	memset(area + 512, 0, 64);
	fpu_pattern(5);
	LOAD(xsave);
	u.bx = VA;
	expect(run() == VEC_INT80);
	for (u32 i = 0; i < PAGE; i++)
		if (area[i] != XSAVE_CANARY)
			end = i + 1;
	expect(end <= r[1]);
	expect((*(u64 *)(area + 512) & ~fpu_xcr0) == 0);
	say("  xstate_bv=%X, last byte within %x: %s\n", *(u64 *)(area + 512), r[1],
	    end <= r[1] ? "yes" : "no");
	/* Registers only: the last-instruction pointers have their own tests. */
	memset(area + 6, 0, 18);
	say("  image %h %h\n", fnv(FNV_START, area + 32, 128), fnv(FNV_START, area + 160, 128));
}

/* With less in XCR0 it writes less, and XRSTOR takes no more. */
static void xsave_narrowed(void)
{
	static const struct {
		const u8 *start, *end;
		u32 feature;		/* CPUID 0DH.1, EAX */
	} saves[] = {
		{ sens_xsave, sens_xsave_end, 0 },
		{ sens_xsaveopt, sens_xsaveopt_end, 1 },
		{ sens_xsavec, sens_xsavec_end, 2 },
	};
	u32 r[4];
	u8 *area;

	if (!(fpu_xcr0 & 4))
		return;
	cpuid(0xd, 1, r);
	area = phys(map_new(cur, VA, 1, P_URW));
	fpu_pattern(5);
	__asm__ volatile("xsetbv" : : "a"(3), "d"(0), "c"(0));
	for (u32 i = 0; i < sizeof(saves) / sizeof(saves[0]); i++) {
		bool beyond = false;

		if ((r[0] & saves[i].feature) != saves[i].feature)
			continue;
		memset(area, XSAVE_CANARY, PAGE);
		memset(area + 512, 0, 64);
		load_blob(saves[i].start, saves[i].end);
		u.bx = VA;
		expect(run() == VEC_INT80);
		expect((*(u64 *)(area + 512) & ~(u64)3) == 0);
		for (u32 j = 576; j < PAGE; j++)
			beyond |= area[j] != XSAVE_CANARY;
		expect(!beyond);
	}
	memset(area + 512, 0, 64);
	LOAD(xrstor);
	u.bx = VA;
	expect(run() == VEC_INT80);
	area[512] = 4;			/* not in XCR0 */
	LOAD(xrstor);
	u.bx = VA;
	expect(run() == 13 && u.err == 0);
	__asm__ volatile("xsetbv" : : "a"((u32)fpu_xcr0), "d"((u32)(fpu_xcr0 >> 32)), "c"(0));
}

/* The guest's number of the processor, not the host's. */
static void rdpid(void)
{
	u32 r[4];

	cpuid(0, 0, r);
	if (r[0] < 7)
		return;
	cpuid(7, 0, r);
	if (!(r[2] & CPUID_7_RDPID))
		return;
	for (u32 i = 1; i <= 3; i++) {
		wrmsr(MSR_TSC_AUX, 0x12340 + i);
		LOAD(rdpid);
		expect(run() == VEC_INT80 && u.ax == 0x12340 + i);
	}
}

static void control_bits_off(void)
{
	ulong cr4 = get_cr4(), cr0 = get_cr0();

	set_cr4(cr4 & ~(ulong)CR4_OSXSAVE);
	LOAD(xgetbv);
	u.si = 0;
	say("  xgetbv without OSXSAVE: vec=%x\n", run());
	expect(u.vec == 6);
	set_cr4(cr4 & ~(ulong)CR4_OSFXSR);
	LOAD(addps);
	say("  addps without OSFXSR: vec=%x\n", run());
	expect(u.vec == 6);
	set_cr4(cr4 & ~(ulong)CR4_OSXMM);
	LOAD(divps_by_zero);
	say("  unmasked exception without OSXMMEXCPT: vec=%x\n", run());
	expect(u.vec == 6);
	set_cr4(cr4);
	set_cr0(cr0 | CR0_EM);
	LOAD(fld1);
	say("  fld1 with EM: vec=%x\n", run());
	expect(u.vec == 7);
	LOAD(addps);
	say("  addps with EM: vec=%x\n", run());
	expect(u.vec == 6);
	set_cr0(cr0);
	fpu_pattern(0);
	LOAD(fld1);
	expect(run() == VEC_INT80);
}

static void tables(void)
{
	struct { u16 limit; ulong base; } __attribute__((packed)) g, i, ug, ui;
	u16 ldt, tr, msw, seen;

	LOAD(tables);
	u.bx = U_DATA;
	expect(run() == 6);
	__asm__ volatile("sgdt %0; sidt %1" : "=m"(g), "=m"(i));
	__asm__ volatile("sldt %0; str %1; smsw %2" : "=m"(ldt), "=m"(tr), "=m"(msw));
	user_read(U_DATA, &ug, sizeof(ug));
	user_read(U_DATA + 16, &ui, sizeof(ui));
	expect(!memcmp(&g, &ug, sizeof(g)));
	expect(!memcmp(&i, &ui, sizeof(i)));
	user_read(U_DATA + 32, &seen, 2);
	expect(seen == ldt && (u16)u.ax == ldt);
	user_read(U_DATA + 34, &seen, 2);
	expect(seen == tr && (u16)u.dx == tr);
	user_read(U_DATA + 36, &seen, 2);
	expect(seen == msw && (u16)u.si == msw);
	say("  ldt=%x tr=%x msw=%x cr0=%x\n", (u32)u.ax, (u32)u.dx, (u32)msw, (u32)u.si);
}

static void umip(void)
{
	u32 r[4];

	cpuid(0, 0, r);
	if (r[0] >= 7)
		cpuid(7, 0, r);
	else
		r[2] = 0;
	if (!(r[2] & CPUID_7_UMIP)) {
		say("  the CPU model has no UMIP\n");
		return;
	}
	set_cr4(get_cr4() | CR4_UMIP);
	LOAD(tables);
	u.bx = U_DATA;
	expect(run() == 13 && u.ip == U_BLOB);
	set_cr4(get_cr4() & ~(ulong)CR4_UMIP);
	LOAD(tables);
	u.bx = U_DATA;
	expect(run() == 6);
}

static void rdpmc(void)
{
	set_cr4(get_cr4() | CR4_PCE);
	LOAD(rdpmc);
	u.si = 0;
	say("  counter 0 with PCE: vec=%x\n", run());
	LOAD(rdpmc);
	u.si = 0x7777;
	say("  counter 7777 with PCE: vec=%x\n", run());
	set_cr4(get_cr4() & ~(ulong)CR4_PCE);
	LOAD(rdpmc);
	u.si = 0;
	expect(run() == 13);
}

#ifdef __x86_64__
static void fsgsbase(void)
{
	u32 r[4];

	LOAD(fsgsbase);
	expect(run() == 6 && u.ip == U_BLOB);		/* CR4 bit is off */
	cpuid(7, 0, r);
	if (!(r[1] & CPUID_7_FSGSBASE))
		return;
	set_cr4(get_cr4() | CR4_FSGSBASE);
	LOAD(fsgsbase);
	u.fs_base = 0x123456789abc;
	u.bx = 0xfffff00012345678;
	expect(run() == VEC_INT80);
	expect(u.si == 0x123456789abc && u.dx == 0xfffff00012345678);
	expect(u.gs_base == 0xfffff00012345678);
	set_cr4(get_cr4() & ~(ulong)CR4_FSGSBASE);
	LOAD(fsgsbase);
	expect(run() == 6);
}

/*
 * Never off, in contrast to the above: where these instructions once had to fault, an
 * accelerator may leave the page to Bochs from then on.
 */
static void bases_written(void)
{
	u32 r[4];

	cpuid(7, 0, r);
	if (!(r[1] & CPUID_7_FSGSBASE))
		return;
	set_cr4(get_cr4() | CR4_FSGSBASE);
	for (u32 i = 1; i < 4; i++) {
		LOAD(write_bases);
		u.bx = 0x111111110000 * i;
		u.si = 0x222222220000 * i;
		expect(run() == VEC_INT80);
		expect(u.fs_base == 0x111111110000 * i && u.gs_base == 0x222222220000 * i);
	}
	for (u32 i = 1; i < 4; i++) {
		LOAD(load_and_write_bases);
		u.dx = SEL_UDATA;
		u.fs = u.gs = 0;
		u.bx = 0x111111110000 * i;
		u.si = 0x222222220000 * i;
		expect(run() == VEC_INT80);
		expect(u.fs == SEL_UDATA && u.gs == SEL_UDATA);
		expect(u.fs_base == 0x111111110000 * i && u.gs_base == 0x222222220000 * i);
		u.fs = u.gs = 0;
	}
}
#endif

void tests_sensitive(void)
{
	static const struct test t[] = {
		{ "cpuid_leaves", ENV_ALL, cpuid_leaves },
		{ "cpuid_straddling", ENV_ALL, cpuid_straddling },
		{ "cpuid_in_the_middle", ENV_ALL, cpuid_in_the_middle },
		{ "cpuid_prefixed", ENV_ALL, cpuid_prefixed },
		{ "cpuid_written", ENV_ALL, cpuid_written },
		{ "cpuid_written_by_kernel", ENV_ALL, cpuid_written_by_kernel },
		{ "xgetbv", ENV_ALL, xgetbv },
		{ "xcr0_narrowed", ENV_ALL, xcr0_narrowed },
		{ "xsave_area", ENV_ALL, xsave_area },
		{ "xsave_narrowed", ENV_ALL, xsave_narrowed },
		{ "rdpid", ENV_ALL, rdpid },
		{ "control_bits_off", ENV_ALL, control_bits_off },
		{ "tables", ENV_ALL, tables },
		{ "umip", ENV_ALL, umip },
		{ "rdpmc", ENV_ALL, rdpmc },
#ifdef __x86_64__
		{ "fsgsbase", ENV_LONG, fsgsbase },
		{ "bases_written", ENV_LONG, bases_written },
#endif
	};

	run_tests("sensitive", t, ARRAY_SIZE(t));
}
