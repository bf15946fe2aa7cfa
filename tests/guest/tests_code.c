/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Coherency of code: whoever writes an instruction, by whatever way, the next
 * execution of it is that of the new one.
 */
#include "pages.h"

#define SECTOR	512

extern const u8 code_on_disk[], code_on_disk2[];

/* "mov $v, %eax; ret", by the kernel's own mapping. */
static void put_code(u64 pa, u32 v)
{
	u8 *p = phys(pa);

	p[0] = 0xb8;
	memcpy(p + 1, &v, 4);
	p[5] = 0xc3;
}

static void calls(ulong va, u32 want)
{
	ulong got = 0;

	expect(u_call(va, &got));
	expect((u32)got == want);
}

static void kernel_writes(void)
{
	u64 pa = map_new(cur, VA, 1, P_URO);

	for (u32 i = 1; i <= 8; i++) {
		put_code(pa + 16, 0x1000 + i);
		calls(VA + 16, 0x1000 + i);
	}
}

static void kernel_writes_through_user_mapping(void)
{
	map_new(cur, VA, 1, P_URW);
	for (u32 i = 1; i <= 4; i++) {
		u8 *p = (u8 *)VA;

		memcpy(p, "\xb8\0\0\0\0\xc3", 6);
		memcpy(p + 1, &i, 4);
		calls(VA, i);
	}
}

static void user_writes(void)
{
	u64 pa = map_new(cur, VA, 1, P_URW);

	put_code(pa, 1);
	calls(VA, 1);
	for (u32 i = 2; i < 10; i++) {
		u_store(VA + 1, i);
		calls(VA, i);
	}
	u_rmw(VA + 1, 0x100);
	calls(VA, 0x109);
}

static void alias_writes(void)
{
	u64 pa = frame();

	map(cur, VA, pa, P_URO);
	map(cur, VB, pa, P_URW | P_NX);
	put_code(pa, 1);
	calls(VA, 1);
	for (u32 i = 2; i < 10; i++) {
		u_store(VB + 1, i);
		calls(VA, i);
	}
	expect(!u_store(VA + 1, 0) && u.err == 7);
}

static void two_names_of_code(void)
{
	u64 pa = frame();

	map(cur, VA, pa, P_URW);
	map(cur, VB, pa, P_URW);
	put_code(pa, 1);
	for (u32 i = 1; i < 6; i++) {
		calls(VA, i);
		calls(VB, i);
		u_store((i & 1 ? VA : VB) + 1, i + 1);
	}
}

static void other_space_writes(void)
{
	struct space *a = cur, *b = space_new();
	u64 pa = frame();

	map(a, VA, pa, P_URO);
	map(b, VB, pa, P_URW | P_NX);
	map(b, U_AGENT, user_pa(U_AGENT), P_URO);
	put_code(pa, 1);
	for (u32 i = 1; i < 6; i++) {
		use(a);
		calls(VA, i);
		use(b);
		u_store(VB + 1, i + 1);
	}
}

static void different_code_in_spaces(void)
{
	struct space *a = cur, *b = space_new();
	u64 pa = map_new(a, VA, 1, P_URO), pb = map_new(b, VA, 1, P_URO);

	map(b, U_AGENT, user_pa(U_AGENT), P_URO);
	map(b, U_STACK_TOP - PAGE, user_pa(U_STACK_TOP - PAGE), P_URW);
	put_code(pa, 0xa);
	put_code(pb, 0xb);
	for (u32 i = 0; i < 5; i++) {
		use(a);
		calls(VA, 0xa);
		use(b);
		calls(VA, 0xb);
	}
}

static void copied_by_user(void)
{
	u64 pa = map_new(cur, VA, 1, P_URW), from = map_new(cur, VB, 1, P_URW);

	for (u32 i = 1; i < 6; i++) {
		put_code(from, i);
		u_copy(VA + 0x40, VB, 6);
		calls(VA + 0x40, i);
	}
	expect(*(u8 *)phys(pa + 0x40) == 0xb8);
}

static void store_across_pages(void)
{
	u64 p1 = map_new(cur, VA, 2, P_URW), p2 = user_pa(VA + PAGE);

	put_code(p2, 0x01010101);
	*(u8 *)phys(p1 + PAGE - 1) = 0x90;
	calls(VA + PAGE - 1, 0x01010101);
	u_store(VA + PAGE - 2, 0x02b89090);		/* two bytes here, two in the next page */
	calls(VA + PAGE - 2, 0x01010102);
	u_store(VA + PAGE - 2, 0x03b89090);
	calls(VA + PAGE, 0x01010103);
}

static void disk_pio(void)
{
	u64 pa = map_new(cur, VA, 1, P_URO);

	put_code(pa, 1);
	calls(VA, 1);
	expect(disk_read_pio(disk_lba(code_on_disk), phys(pa)));
	calls(VA, 0x600dd15c);
	expect(disk_read_pio(disk_lba(code_on_disk2), phys(pa)));
	calls(VA, 0x600dd000);
	put_code(pa, 2);
	calls(VA, 2);
}

static void disk_dma(void)
{
	u64 pa = map_new(cur, VA, 1, P_URO);

	put_code(pa, 1);
	calls(VA, 1);
	expect(disk_read_dma(disk_lba(code_on_disk), pa));
	calls(VA, 0x600dd15c);
	expect(disk_read_dma(disk_lba(code_on_disk2), pa));
	calls(VA, 0x600dd000);
	put_code(pa, 2);
	calls(VA, 2);
}

/* DMA to a page of data that the user reads and writes. */
static void disk_dma_data(void)
{
	u64 pa = map_new(cur, VA, 1, P_URW);
	u32 v = 0, first;

	memcpy(&first, code_on_disk, 4);
	for (u32 i = 0; i < 3; i++) {
		expect(u_store(VA + SECTOR, 0x1234 + i));
		expect(u_load(VA + SECTOR, &v) && v == 0x1234 + i);
		expect(disk_read_dma(disk_lba(code_on_disk), pa + SECTOR));
		expect(u_load(VA + SECTOR, &v) && v == first);
		expect(u_load(VA, &v) && v == 0);
	}
}

/* RX, then RW, then RX again, as linkers and just-in-time compilers do. */
static void write_then_execute(void)
{
	u64 pa = map_new(cur, VA, 1, P_URO);

	put_code(pa, 1);
	for (u32 i = 1; i < 6; i++) {
		calls(VA, i);
		expect(!u_store(VA + 1, i + 1));
		map(cur, VA, pa, P_URW | P_NX);
		invlpg(VA);
		expect(u_store(VA + 1, i + 1));
		map(cur, VA, pa, P_URO);
		invlpg(VA);
	}
	calls(VA, 6);
}

/* An instruction across two pages, either of which is written to. */
static void straddling(void)
{
	u64 p1 = map_new(cur, VA, 1, P_URO), p2 = map_new(cur, VA + PAGE, 1, P_URO);

	map(cur, VB, p2, P_URW);
	memcpy(phys(p1 + PAGE - 3), "\xb8\x02\x01", 3);
	memcpy(phys(p2), "\x03\x04\xc3", 3);
	calls(VA + PAGE - 3, 0x04030102);
	*(u8 *)phys(p2) = 0x77;
	calls(VA + PAGE - 3, 0x04770102);
	*(u8 *)phys(p1 + PAGE - 1) = 0x66;
	calls(VA + PAGE - 3, 0x04776602);
	u_store(VB, 0x00c31122);
	calls(VA + PAGE - 3, 0x11226602);
}

/*
 * The same when the second page is mapped elsewhere: plain Bochs 3.0 does not
 * notice, since it keeps the decoded instruction by the first page's address.
 */
static void straddling_remapped(void)
{
	u64 p1 = map_new(cur, VA, 1, P_URO), p2 = frame(), p3 = frame();

	memcpy(phys(p1 + PAGE - 3), "\xb8\x02\x01", 3);
	memcpy(phys(p2), "\x03\x04\xc3", 3);
	memcpy(phys(p3), "\x05\x06\xc3", 3);
	for (u32 i = 0; i < 4; i++) {
		map(cur, VA + PAGE, i & 1 ? p3 : p2, P_URO);
		invlpg(VA + PAGE);
		calls(VA + PAGE - 3, i & 1 ? 0x06050102 : 0x04030102);
	}
	entry_set(cur, VA + PAGE, 1, 0);
	invlpg(VA + PAGE);
	expect(!u_call(VA + PAGE - 3, NULL));
	expect(u.vec == 14 && u.ip == VA + PAGE - 3 && trap_cr2 == VA + PAGE);
}

static void remapped(void)
{
	u64 p1 = frame(), p2 = frame();

	put_code(p1, 1);
	put_code(p2, 2);
	for (u32 i = 0; i < 4; i++) {
		map(cur, VA, i & 1 ? p2 : p1, P_URO);
		invlpg(VA);
		calls(VA, i & 1 ? 2 : 1);
	}
	map(cur, VA, p1, P_URO);
	set_cr3(cur->root);
	calls(VA, 1);
}

/* A frame of code is freed and becomes another space's data, then code again. */
static void frame_reused(void)
{
	struct space *a = cur, *b = space_new();
	u64 pa = map_new(a, VA, 1, P_URO);
	u32 v = 0;

	map(b, U_AGENT, user_pa(U_AGENT), P_URO);
	put_code(pa, 1);
	calls(VA, 1);
	entry_set(a, VA, 1, 0);
	invlpg(VA);
	use(b);
	map(b, VB, pa, P_URW);
	expect(u_store(VB + 1, 0x5555) && u_load(VB + 1, &v) && v == 0x5555);
	entry_set(b, VB, 1, 0);
	invlpg(VB);
	use(a);
	map(a, VA, pa, P_URO);
	calls(VA, 0x5555);
}

/* At @va an entry of this level maps what lies around @pa. */
static void code_in_large_page(ulong va, u64 pa, int level)
{
	put_code(pa + 0x5000, 1);
	put_code(pa + 0x9ffe, 2);
	calls(va + 0x5000, 1);
	calls(va + 0x9ffe, 2);
	u_store(va + 0x5001, 3);
	calls(va + 0x5000, 3);
	u_store(va + 0x9fff, 4);
	calls(va + 0x9ffe, 4);
	put_code(pa + 0x5000, 5);
	calls(va + 0x5000, 5);
	expect((entry_get(cur, va, level) & (P_A | P_D)) == (P_A | P_D));
}

static void large_page_code(void)
{
	ulong big = U_TEST & ~(ulong)(mode->large - 1);
	u64 pa = 0x02000000;

	memset(phys(pa), 0, mode->large);
	map_level(cur, big, pa, P_URW, 2);
	code_in_large_page(big, pa, 2);
}

#ifdef __x86_64__
/* All RAM is in that page: its code, the test's other pages and the tables of them all. */
static void huge_page_code(void)
{
	const ulong huge = 0x4000000000;
	u64 e, pa = 0x02000000;

	if (!has_huge_pages())
		return;
	memset(phys(pa), 0, 16 * PAGE);
	map_level(cur, huge, 0, P_URW, 3);
	code_in_large_page(huge + pa, pa, 3);
	e = entry_get(cur, huge, 3);
	entry_set(cur, huge, 3, e | P_NX);
	invlpg(huge + pa + 0x5000);
	expect(!u_call(huge + pa + 0x5000, NULL) && u.err == 0x15);
	expect(u_store(huge + pa + 0x5001, 6));
	entry_set(cur, huge, 3, e);
	invlpg(huge + pa + 0x5000);
	calls(huge + pa + 0x5000, 6);
}
#endif

void tests_code_bochs_differs(void)
{
	static const struct test t[] = {
		{ "straddling_remapped", ENV_ALL, straddling_remapped },
	};

	run_tests("bochs_differs", t, ARRAY_SIZE(t));
}

void tests_code(void)
{
	static const struct test t[] = {
		{ "kernel_writes", ENV_ALL, kernel_writes },
		{ "kernel_writes_through_user_mapping", ENV_ALL, kernel_writes_through_user_mapping },
		{ "user_writes", ENV_ALL, user_writes },
		{ "alias_writes", ENV_ALL, alias_writes },
		{ "two_names_of_code", ENV_ALL, two_names_of_code },
		{ "other_space_writes", ENV_ALL, other_space_writes },
		{ "different_code_in_spaces", ENV_ALL, different_code_in_spaces },
		{ "copied_by_user", ENV_ALL, copied_by_user },
		{ "store_across_pages", ENV_ALL, store_across_pages },
		{ "disk_pio", ENV_ALL, disk_pio },
		{ "disk_dma", ENV_ALL, disk_dma },
		{ "disk_dma_data", ENV_ALL, disk_dma_data },
		{ "write_then_execute", ENV_ALL, write_then_execute },
		{ "straddling", ENV_ALL, straddling },
		{ "remapped", ENV_ALL, remapped },
		{ "frame_reused", ENV_ALL, frame_reused },
		{ "large_page_code", ENV_ALL & ~ENV_P32, large_page_code },
#ifdef __x86_64__
		{ "huge_page_code", ENV_LONG, huge_page_code },
#endif
	};

	run_tests("code", t, ARRAY_SIZE(t));
}
