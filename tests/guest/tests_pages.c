/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Coherency of mappings (I3, I4): what user code may do follows the page
 * tables at every moment, also those of a space that sleeps.  tests_levels.c
 * has the upper levels.
 */
#include "pages.h"

static void demand_zero(void)
{
	for (u32 i = 0; i < 8; i++) {
		expect(!u_load(VA + i * PAGE, NULL));
		expect(u.vec == 14 && u.err == 4 && trap_cr2 == VA + i * PAGE);
		map(cur, VA + i * PAGE, new_filled(i << 16), P_URW);	/* no INVLPG needed */
		expect(run() == VEC_INT80 && u.ax == i << 16);		/* the same instruction again */
		expect(bits(VA + i * PAGE) == A);
	}
	expect(!u_store(VA + 8 * PAGE, 0x77));
	map(cur, VA + 8 * PAGE, frame(), P_URW);
	expect(run() == VEC_INT80 && user_get32(VA + 8 * PAGE) == 0x77);
	expect(bits(VA + 8 * PAGE) == (A | D));
}

static void copy_on_write(void)
{
	struct space *parent = cur, *child = space_new();
	u64 shared = new_filled(0x1000), code = user_pa(U_AGENT), stack = user_pa(U_STACK_TOP - PAGE);
	u32 v = 0;

	map(child, U_AGENT, code, P_URO);
	map(child, U_STACK_TOP - PAGE, stack, P_URW);
	map(parent, VA, shared, P_URW);
	u_store(VA + 4, 0xaaaa);			/* writable at first */
	map(parent, VA, shared, P_URO);			/* then fork */
	invlpg(VA);
	map(child, VA, shared, P_URO);

	use(child);
	u_load(VA + 4, &v);
	expect(v == 0xaaaa);
	expect(!u_store(VA + 4, 0xbbbb) && u.err == 7);
	{
		u64 copy = frame();

		memcpy(phys(copy), phys(shared), PAGE);
		map(child, VA, copy, P_URW);
		invlpg(VA);
	}
	expect(run() == VEC_INT80);
	u_load(VA + 4, &v);
	expect(v == 0xbbbb);
	use(parent);
	u_load(VA + 4, &v);
	expect(v == 0xaaaa);
	expect(!u_store(VA + 8, 0xcccc) && u.err == 7);
	map(parent, VA, shared, P_URW);			/* the last owner: no copy */
	invlpg(VA);
	expect(run() == VEC_INT80);
	use(child);
	u_load(VA + 8, &v);
	expect(v == 0x1002);
	use(parent);
	u_load(VA + 8, &v);
	expect(v == 0xcccc);
}

/* The tables of a space change while it sleeps; loading CR3 is all that is due. */
static void changed_asleep(void)
{
	struct space *a = cur, *b = twin();
	u64 p1 = new_filled(0x100), p2 = new_filled(0x200), pb = new_filled(0xb00);
	u32 v = 0;

	map(a, VA, p1, P_URW);
	map(a, VB, p2, P_URW);
	map(b, VA, pb, P_URW);
	u_load(VA, &v);
	u_store(VA, v + 1);
	u_store(VB, 0x201);

	use(b);
	u_load(VA, &v);
	expect(v == 0xb00);
	entry_set(a, VA, 1, 0);				/* unmapped */
	use(a);
	expect(!u_load(VA, NULL) && u.err == 4);
	use(b);
	u_spin();
	map(a, VA, p2, P_URW);				/* another frame */
	use(a);
	u_load(VA, &v);
	expect(v == 0x201);
	u_store(VA, 0x202);
	use(b);
	u_spin();
	map(a, VA, p2, P_URO | A);			/* read-only */
	use(a);
	expect(u_load(VA, &v) && v == 0x202);
	expect(!u_store(VA, 1) && u.err == 7);
	expect(u_store(VB, 0x203));			/* by the other name still writable */
	use(b);
	u_spin();
	map(a, VA, p1, P_URW);				/* and back */
	use(a);
	u_load(VA, &v);
	expect(v == 0x101);
	expect(u_store(VA, 0x102));
	expect(bits(VA) == (A | D));
	use(b);
	u_spin();
	map(a, VA, p1, P_P | P_W);			/* the kernel's only */
	use(a);
	expect(!u_load(VA, NULL) && u.err == 5);
	expect(!u_store(VA, 0) && u.err == 7);
}

/* Changes to the space in use, each followed by INVLPG. */
static void changed_awake(void)
{
	u64 p1 = new_filled(0x100), p2 = new_filled(0x200);
	u32 v = 0;

	set_page(VA, p1, P_URW);
	u_store(VA, 0x101);
	set_page(VA, p2, P_URW);
	u_load(VA, &v);
	expect(v == 0x200);
	u_store(VA, 0x201);
	set_page(VA, p1, P_URO);
	u_load(VA, &v);
	expect(v == 0x101);
	expect(!u_store(VA, 1) && u.err == 7);
	set_page(VA, 0, 0);
	expect(!u_load(VA, NULL) && u.err == 4);
	expect(!u_store(VA, 1) && u.err == 6);
	set_page(VA, p2, P_URW);
	u_load(VA, &v);
	expect(v == 0x201);
	set_page(VA, p2, P_P | P_W);
	expect(!u_load(VA, NULL) && u.err == 5);
	set_page(VA, p1, P_URW);
	expect(u_rmw(VA, 0x10));
	u_load(VA, &v);
	expect(v == 0x111);
}

/* More permission needs no INVLPG. */
static void upgraded(void)
{
	u64 pa = new_filled(0x100);
	u32 v = 0;

	map(cur, VA, pa, P_URO);
	u_load(VA, &v);
	expect(!u_store(VA, 1) && u.err == 7);
	map(cur, VA, pa, P_URW | A);
	expect(u_store(VA, 0x123));
	expect(bits(VA) == (A | D));
	map(cur, VB, pa, P_P | P_W);
	expect(!u_load(VB, NULL) && u.err == 5);
	map(cur, VB, pa, P_URW);
	expect(u_load(VB, &v) && v == 0x123);
}

static void shared_page(void)
{
	struct space *a = cur, *b = twin();
	u64 pa = frame();
	u32 v = 0;

	map(a, VA, pa, P_URW);
	map(b, VB, pa, P_URW);
	for (u32 i = 1; i < 6; i++) {
		use(a);
		u_store(VA + 4, i);
		u_rmw(VA + 8, 1);
		use(b);
		u_load(VB + 4, &v);
		expect(v == i);
		u_rmw(VB + 8, 1);
	}
	u_load(VB + 8, &v);
	expect(v == 10);
}

static void aliases(void)
{
	u64 pa = frame();
	u32 v = 0;

	map(cur, VA, pa, P_URW);
	map(cur, VA + PAGE, pa, P_URW);
	map(cur, VB, pa, P_URO);
	u_store(VA, 1);
	u_load(VA + PAGE, &v);
	expect(v == 1);
	expect(bits(VA) == (A | D) && bits(VA + PAGE) == A);	/* bits go by mapping */
	u_store(VA + PAGE, 2);
	u_load(VB, &v);
	expect(v == 2);
	expect(!u_store(VB, 3) && u.err == 7);
	u_store(VA, 4);
	u_load(VB, &v);
	expect(v == 4 && bits(VB) == A);
}

static void kernel_writes_data(void)
{
	u64 pa = frame();
	u32 v = 0;

	map(cur, VA, pa, P_URW);
	for (u32 i = 1; i < 6; i++) {
		*(volatile u32 *)phys(pa) = i;
		u_load(VA, &v);
		expect(v == i);
		u_store(VA, i + 100);
		expect(*(volatile u32 *)phys(pa) == i + 100);
	}
}

/* One page table under two roots. */
static void shared_table(void)
{
	struct space *a = cur, *b = twin();
	u64 p1 = new_filled(0x100), p2 = new_filled(0x200);
	u32 v = 0;

	map(a, VA, p1, P_URW);
	entry_set(b, VA, 2, entry_get(a, VA, 2));
	u_load(VA, &v);
	use(b);
	u_load(VA, &v);
	expect(v == 0x100);
	set_page(VA, p2, P_URW);			/* through b */
	u_load(VA, &v);
	expect(v == 0x200);
	use(a);
	u_load(VA, &v);
	expect(v == 0x200);
	entry_set(a, VA, 1, 0);
	use(b);
	expect(!u_load(VA, NULL) && u.err == 4);
}

/* A page table becomes a page of data, and that one a table again. */
static void table_reused(void)
{
	u64 data = new_filled(0x100), table, e;
	u32 v = 0;

	map(cur, VA, data, P_URW);
	u_store(VA, 0x101);
	e = entry_get(cur, VA, 2);
	table = e & P_ADDR;
	entry_set(cur, VA, 2, 0);
	invlpg(VA);
	set_cr3(cur->root);
	expect(!u_load(VA, NULL));
	memset(phys(table), 0, PAGE);
	map(cur, U_STACK_TOP, table, P_URW);		/* the same frame, user data now */
	for (u32 i = 0; i < 4; i++)
		u_store(U_STACK_TOP + 4 * i, 0x07070707 + i);
	u_load(U_STACK_TOP + 8, &v);
	expect(v == 0x07070709);
	expect(*(u32 *)phys(table) == 0x07070707);
	memset(phys(table), 0, PAGE);
	entry_set(cur, U_STACK_TOP, 1, 0);
	invlpg(U_STACK_TOP);
	entry_set(cur, VA, 2, e);			/* a table again */
	map(cur, VA, data, P_URW);
	u_load(VA, &v);
	expect(v == 0x101);
	expect(!u_store(U_STACK_TOP, 1) && u.err == 6);
}

/* The user may write a page table that its own space uses: writes count at once. */
static void table_writable_by_user(void)
{
	u64 table, p1 = new_filled(0x100), p2 = new_filled(0x200), va1;
	ulong window = VB, entry;
	u32 v = 0;

	va1 = VA + 0x20 * PAGE;
	map(cur, va1, p1, P_URW);
	table = entry_pa(cur, va1, 1, true);
	map(cur, window, table & ~(u64)(PAGE - 1), P_URW);
	entry = window + (table & (PAGE - 1));
	u_load(va1, &v);
	expect(v == 0x100);
	u_store_entry(entry + mode->entry_size, p2 | P_URW);	/* the next page, never used so far */
	u_load(va1 + PAGE, &v);
	expect(v == 0x200);
	u_store(va1 + PAGE, 0x201);
	expect(entry_get(cur, va1 + PAGE, 1) == (p2 | P_URW | A | D));
	u_store_entry(entry, p2 | P_URW);
	invlpg(va1);
	u_load(va1, &v);
	expect(v == 0x201);
	u_store(entry, 0);
	invlpg(va1);
	expect(!u_load(va1, NULL) && u.err == 4);
	expect(u_load(va1 + PAGE, NULL));
}

void tests_pages(void)
{
	static const struct test t[] = {
		{ "demand_zero", ENV_ALL, demand_zero },
		{ "copy_on_write", ENV_ALL, copy_on_write },
		{ "changed_asleep", ENV_ALL, changed_asleep },
		{ "changed_awake", ENV_ALL, changed_awake },
		{ "upgraded", ENV_ALL, upgraded },
		{ "shared_page", ENV_ALL, shared_page },
		{ "aliases", ENV_ALL, aliases },
		{ "kernel_writes_data", ENV_ALL, kernel_writes_data },
		{ "shared_table", ENV_ALL, shared_table },
		{ "table_reused", ENV_ALL, table_reused },
		{ "table_writable_by_user", ENV_ALL, table_writable_by_user },
	};

	run_tests("page", t, ARRAY_SIZE(t));
}
