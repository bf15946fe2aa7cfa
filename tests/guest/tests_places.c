/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages of unusual size and in unusual places: large ones, at either end of
 * the user's half, and those behind which there is no RAM (I6).
 */
#include "pages.h"

#define MSR_APICBASE 0x1b
#define PCI_OVER_RAM 0x03000000u	/* 16 MiB of RAM that no other test uses all of */

static void large_page(void)
{
	ulong big = U_TEST & ~(ulong)(mode->large - 1), off = 0x123 * PAGE;
	u64 pa = 0x02000000, e;
	u32 v = 0;

	memset(phys(pa), 0, mode->large);
	map_level(cur, big, pa, P_URW, 2);
	u_load(big + off, &v);
	e = entry_get(cur, big, 2);
	expect((e & (A | D)) == A);
	u_store(big + off, 0x1111);
	u_store(big + 4, 0x2222);
	u_store(big + mode->large - 4, 0x3333);
	e = entry_get(cur, big, 2);
	expect((e & (A | D)) == (A | D));
	expect(*(u32 *)phys(pa + off) == 0x1111);
	entry_set(cur, big, 2, e & ~(A | D));
	invlpg(big + off);
	set_cr3(cur->root);
	u_load(big + off, &v);
	expect((entry_get(cur, big, 2) & (A | D)) == A);
	entry_set(cur, big, 2, e & ~P_W);
	invlpg(big);
	expect(!u_store(big + off, 0) && u.err == 7);
}

/* A large page is split into small ones, which then differ, and is put back. */
static void large_page_split(void)
{
	ulong big = U_TEST & ~(ulong)(mode->large - 1);
	u64 pa = 0x02000000, e, other = new_filled(0x700);
	u32 v = 0;

	memset(phys(pa), 0, mode->large);
	map_level(cur, big, pa, P_URW, 2);
	for (u32 i = 0; i < 4; i++)
		u_store(big + i * PAGE, 0x100 + i);
	e = entry_get(cur, big, 2);
	entry_set(cur, big, 2, 0);
	invlpg(big);
	for (u32 i = 0; i < mode->large / PAGE; i++)
		map(cur, big + i * PAGE, pa + i * PAGE, P_URW);
	map(cur, big + PAGE, pa + PAGE, P_URO);
	entry_set(cur, big + 2 * PAGE, 1, 0);
	map(cur, big + 3 * PAGE, other, P_URW);
	set_cr3(cur->root);
	u_load(big, &v);
	expect(v == 0x100 && bits(big) == A);
	u_load(big + PAGE, &v);
	expect(v == 0x101);
	expect(!u_store(big + PAGE, 0) && u.err == 7);
	expect(!u_load(big + 2 * PAGE, NULL) && u.err == 4);
	u_load(big + 3 * PAGE, &v);
	expect(v == 0x700);
	u_store(big + 5 * PAGE, 0x105);
	entry_set(cur, big, 2, e);
	set_cr3(cur->root);
	u_load(big + 2 * PAGE, &v);
	expect(v == 0x102);
	u_load(big + 3 * PAGE, &v);
	expect(v == 0x103);
	expect(u_store(big + PAGE, 0x111));
	u_load(big + 5 * PAGE, &v);
	expect(v == 0x105);
}

#ifdef __x86_64__
/* 1 GiB of physical addresses in one page, of which the first 64 MiB are RAM. */
static void huge_page(void)
{
	ulong huge = 0x4000000000, off = 0x02345678;
	u32 v = 0;
	u64 e;

	if (!has_huge_pages())
		return;
	map_level(cur, huge, 0, P_URW, 3);
	*(u32 *)phys(off) = 0x1234;
	expect(u_load(huge + off, &v) && v == 0x1234);
	expect((entry_get(cur, huge, 3) & (A | D)) == A);
	expect(u_store(huge + off + PAGE, 0x4321) && *(u32 *)phys(off + PAGE) == 0x4321);
	e = entry_get(cur, huge, 3);
	expect((e & (A | D)) == (A | D));
	expect(u_load(huge + 0x3ffffff0, NULL));	/* far beyond RAM */
	entry_set(cur, huge, 3, e & ~P_W);
	invlpg(huge);
	expect(u_load(huge + off, &v) && v == 0x1234);
	expect(!u_store(huge + off, 1) && u.err == 7);
	entry_set(cur, huge, 3, (e & ~P_ADDR) | 1 << 13);	/* a reserved bit of such an entry */
	set_cr3(cur->root);
	expect(!u_load(huge + off, NULL) && u.err == 0xd);
}
#endif

static void page_zero(void)
{
	u32 v = 0;

	expect(!u_load(0, NULL) && u.err == 4);
	map_new(cur, 0, 1, P_URW);
	expect(u_store(0, 0x10c3));			/* RET */
	expect(u_load(0, &v) && v == 0x10c3);
	expect(u_call(0, NULL));
	set_page(0, 0, 0);
	expect(!u_load(4, NULL) && trap_cr2 == 4);
}

static void page_below_top(void)
{
	ulong top = USER_TOP - PAGE;
	u32 v = 0;

	map_new(cur, top, 1, P_URW);
	expect(u_store(top + PAGE - 4, 0x1234));
	expect(u_load(top + PAGE - 4, &v) && v == 0x1234);
	expect(u_store(top, 0xc3));
	expect(u_call(top, NULL));
	expect(!u_load(top + PAGE - 2, NULL));		/* runs into what is not the user's */
}

/* User pages where an operating system would have its kernel. */
static void page_in_upper_half(void)
{
	ulong va = BITS64 ? (ulong)0xffff800000000000ull : (ulong)0xfffff000;
	u32 v = 0;

	map_new(cur, va, 1, P_URW);
	expect(u_store(va, 0x10c3));
	expect(u_load(va, &v) && v == 0x10c3);
	expect(u_call(va, NULL));
	expect(!u_store(va - 8, 1));
}

#ifdef __x86_64__
static void page_at_canonical_top(void)
{
	ulong top = 0x00007ffffffff000;
	u32 v = 0;

	map_new(cur, top, 1, P_URW);
	expect(u_store(top + PAGE - 4, 0x1234));
	expect(u_load(top + PAGE - 4, &v) && v == 0x1234);
	expect(!u_load(top + PAGE - 2, NULL) && u.vec == 13);
	expect(!u_load(top + PAGE, NULL) && u.vec == 13);
	map_new(cur, 0x0000123456789000, 1, P_URW);
	expect(u_store(0x0000123456789100, 0x77));
	expect(u_load(0x0000123456789100, &v) && v == 0x77);
}

/* Where only five levels of page tables lead. */
static void beyond_four_levels(void)
{
	static const ulong at[] = { 0x0000800000000000, 0x0001000000000000, 0x00fffffffffff000 };
	u32 v = 0;

	for (u32 i = 0; i < ARRAY_SIZE(at); i++) {
		expect(!u_load(at[i], NULL) && u.vec == 14 && u.err == 4 && trap_cr2 == at[i]);
		expect(!u_store(at[i], 1) && u.vec == 14 && u.err == 6 && trap_cr2 == at[i]);
		expect(!u_call(at[i], NULL) && u.vec == 14 && u.err == 0x14 && u.ip == at[i]);
		map_new(cur, at[i], 1, P_URW);
		expect(u_store(at[i], 0x10c3));		/* RET */
		expect(u_load(at[i], &v) && v == 0x10c3);
		expect(u_call(at[i], NULL));
		expect(!u_store(at[i] - 2, 1) && u.vec == 14 && trap_cr2 == at[i] - 2);
	}
	expect(!u_load(0x0100000000000000 - 2, NULL) && u.vec == 13);
	expect(!u_load(0x0100000000000000, NULL) && u.vec == 13);
}
#endif

static void rom(void)
{
	u32 before, v = 0, now;

	map(cur, VA, 0xff000, P_URW);
	before = *(volatile u32 *)phys(0xffff0);
	/* Quietly: what is in the BIOS differs between executors. */
	expect(u_spin());
	u.bx = VA + 0xff0;
	for (u32 i = 0; i < 3; i++) {
		expect(u_store(VA + 0xff0, 0x55aa55aa));
		now = *(volatile u32 *)phys(0xffff0);
		expect(now == before);
	}
	log_quiet(true);
	u_load(VA + 0xff0, &v);
	log_quiet(false);
	expect(v == before);
	expect(bits(VA) == (A | D));
}

static void local_apic(void)
{
	u32 v = 0;

	map(cur, VA, LAPIC_PA, P_URW | P_PCD);
	log_quiet(true);
	u_load(VA + 0x30, &v);				/* version */
	log_quiet(false);
	expect(v == *(volatile u32 *)(LAPIC_VA + 0x30));
	expect(u_store(VA + 0x80, 0x20));		/* task priority */
	expect(*(volatile u32 *)(LAPIC_VA + 0x80) == 0x20);
	*(volatile u32 *)(LAPIC_VA + 0x80) = 0x10;
	expect(u_load(VA + 0x80, &v) && v == 0x10);
	*(volatile u32 *)(LAPIC_VA + 0x80) = 0;
}

/* A page of RAM that user code knows becomes the APIC's, and is RAM again. */
static void apic_moved(void)
{
	u64 pa = new_filled(0x4711), base = rdmsr(MSR_APICBASE);
	u32 v = 0, version = *(volatile u32 *)(LAPIC_VA + 0x30);

	map(cur, VA, pa, P_URW);
	expect(u_load(VA + 0x30, &v));
	expect(u_store(VA + 0x30, 0x1234) && u_load(VA + 0x30, &v) && v == 0x1234);
	wrmsr(MSR_APICBASE, (base & 0xfff) | pa);
	set_cr3(cur->root);
	log_quiet(true);
	u_load(VA + 0x30, &v);
	log_quiet(false);
	expect(v == version);
	expect(u_store(VA + 0x30, 0x5678));	/* which can't be written */
	wrmsr(MSR_APICBASE, base);
	set_cr3(cur->root);
	expect(u_load(VA + 0x30, &v) && v == 0x1234);
	expect(*(volatile u32 *)(LAPIC_VA + 0x30) == version);
}

/* What user code finds at VA: RAM, or the registers that lie over it. */
static void expect_ram(bool is_ram, u32 want)
{
	u32 v = want;
	bool loaded;

	log_quiet(!is_ram);			/* a device's answer differs between executors */
	loaded = u_load(VA, &v);
	log_quiet(false);
	expect(loaded && (v == want) == is_ram);
}

/* The video adapter's memory moves over RAM that two spaces have mapped, and back. */
static void pci_memory_moved(void)
{
	struct space *a = cur, *b = twin();
	u32 dev = pci_find(PCI_STDVGA), was;

	if (dev == -1u) {
		say("  there is no PCI video adapter\n");
		return;
	}
	fill(PCI_OVER_RAM, 0x100);
	map(a, VA, PCI_OVER_RAM, P_URW);
	map(b, VA, PCI_OVER_RAM, P_URW);
	expect(u_store(VA, 0x1234));
	expect_ram(true, 0x1234);
	use(b);
	for (u32 i = 0; i < 3; i++)			/* the first sets A, so that it may be mapped */
		expect_ram(true, 0x1234);
	was = pci_bar(dev, PCI_OVER_RAM);
	set_cr3(cur->root);
	expect_ram(false, 0x1234);
	expect(u_store(VA, 0x5678));			/* goes to the device */
	use(a);
	expect_ram(false, 0x1234);
	pci_bar(dev, was);
	set_cr3(cur->root);
	expect_ram(true, 0x1234);
	expect(u_store(VA, 0x4321));
	use(b);
	expect_ram(true, 0x4321);
}

static void beyond_ram(void)
{
	u32 v = 0;

	map(cur, VA, 0x10000000, P_URW);
	expect(u_store(VA, 0x12345678));
	expect(u_load(VA, &v));
	expect(v != 0x12345678);
}

/* The last page of RAM is RAM, the next one is not; one access touches both. */
static void across_ram_end(void)
{
	u32 v = 0;

	map(cur, VA, RAM_SIZE - PAGE, P_URW);
	map(cur, VA + PAGE, RAM_SIZE, P_URW);
	expect(u_store(VA + PAGE - 4, 0x11223344));
	expect(u_load(VA + PAGE - 4, &v) && v == 0x11223344);
	expect(u_load(VA + PAGE - 2, &v) && (v & 0xffff) == 0x1122);
}

void tests_places(void)
{
	static const struct test t[] = {
		{ "large_page", ENV_ALL & ~ENV_P32, large_page },
		{ "large_page_split", ENV_ALL & ~ENV_P32, large_page_split },
		{ "page_zero", ENV_ALL, page_zero },
		{ "page_below_top", ENV_ALL, page_below_top },
		{ "page_in_upper_half", ENV_P32 | ENV_PSE | ENV_LONG, page_in_upper_half },
#ifdef __x86_64__
		{ "huge_page", ENV_LONG, huge_page },
		{ "page_at_canonical_top", ENV_L4, page_at_canonical_top },
		{ "beyond_four_levels", ENV_L5, beyond_four_levels },
#endif
		{ "rom", ENV_ALL, rom },
		{ "local_apic", ENV_ALL, local_apic },
		{ "apic_moved", ENV_ALL, apic_moved },
		{ "pci_memory_moved", ENV_ALL, pci_memory_moved },
		{ "beyond_ram", ENV_ALL, beyond_ram },
		{ "across_ram_end", ENV_ALL, across_ram_end },
	};

	run_tests("page", t, ARRAY_SIZE(t));
}
