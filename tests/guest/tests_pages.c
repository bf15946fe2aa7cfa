/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Coherency of mappings: what user code may do follows the page tables at
 * every moment, and the accessed and dirty bits tell exactly what it did.
 */
#include "tk.h"

#define A	P_A
#define D	P_D
#define CPUID_1GIB_PAGES (1u << 26)	/* 80000001, edx */
#define VA	((ulong)U_TEST)
#define VB	((ulong)U_TEST + 0x10000)

static u64 bits(u64 va)
{
	return entry_get(cur, va, 1) & (A | D);
}

static void clear_bits(u64 va, u64 mask)
{
	entry_set(cur, va, 1, entry_get(cur, va, 1) & ~mask);
	invlpg(va);
}

static void say_bits(u64 va)
{
	u64 b = bits(va);

	say("  page %X: %s%s\n", va, b & A ? "A" : "-", b & D ? "D" : "-");
}

static void set_page(u64 va, u64 pa, u64 flags)
{
	map(cur, va, pa, flags);
	invlpg(va);
}

static void fill(u64 pa, u32 v)
{
	u32 *p = phys(pa);

	for (u32 i = 0; i < PAGE / 4; i++)
		p[i] = v + i;
}

static u64 new_filled(u32 v)
{
	u64 pa = frame();

	fill(pa, v);
	return pa;
}

static void accessed_dirty(void)
{
	map_new(cur, VA, 1, P_URW);
	expect(bits(VA) == 0);
	u_load(VA, NULL);
	say_bits(VA);
	expect(bits(VA) == A);
	u_store(VA + 8, 1);
	say_bits(VA);
	expect(bits(VA) == (A | D));
	clear_bits(VA, A | D);
	u_spin();
	expect(bits(VA) == 0);
	u_load(VA + 8, NULL);
	expect(bits(VA) == A);
	u_load(VA + 12, NULL);
	expect(bits(VA) == A);
	u_rmw(VA + 8, 1);
	expect(bits(VA) == (A | D));
	clear_bits(VA, D);
	u_load(VA, NULL);
	expect(bits(VA) == A);
	u_store(VA, 2);
	expect(bits(VA) == (A | D));
	clear_bits(VA, A);
	u_store(VA, 3);
	expect(bits(VA) == (A | D));
	say_bits(VA);
}

/* Clears A and D again and again while the user goes on reading and writing. */
static void accessed_dirty_rounds(void)
{
	u32 v = 0;

	map_new(cur, VA, 1, P_URW);
	for (u32 i = 0; i < 10; i++) {
		u_store(VA + 4 * i, i);
		expect(bits(VA) == (A | D));
		clear_bits(VA, A | D);
		u_load(VA + 4 * i, &v);
		expect(v == i && bits(VA) == A);
		clear_bits(VA, A);
	}
}

static void fetch_sets_accessed(void)
{
	map_new(cur, VA, 1, P_URO);
	memset(phys(user_pa(VA)), 0xc3, PAGE);
	u_call(VA + 0x100, NULL);
	expect(bits(VA) == A);
	clear_bits(VA, A);
	u_spin();
	expect(bits(VA) == 0);
	u_call(VA, NULL);
	expect(bits(VA) == A);
}

static void failed_store_is_not_dirty(void)
{
	map_new(cur, VA, 1, P_URO);
	expect(!u_store(VA, 1));
	expect(!(bits(VA) & D));
	expect(!u_rmw(VA, 1));
	expect(!(bits(VA) & D));
	say_bits(VA);
	expect(u_load(VA, NULL));
	expect(bits(VA) == A);
}

/* Pages that nobody touched must not look touched, however eagerly they were mapped. */
static void neighbours(void)
{
	map_new(cur, VA, 64, P_URW);
	for (u32 i = 0; i < 64; i += 5) {
		if (i & 1)
			u_store(VA + i * PAGE, i);
		else
			u_load(VA + i * PAGE, NULL);
	}
	for (u32 i = 0; i < 64; i++)
		expect(bits(VA + i * PAGE) == (i % 5 ? 0 : i & 1 ? A | D : A));
}

/* The neighbours have A set already, by the kernel: prefault them, they stay clean. */
static void neighbours_accessed(void)
{
	map_new(cur, VA, 32, P_URW | A);
	u_load(VA + 3 * PAGE, NULL);
	u_store(VA + 4 * PAGE, 1);
	for (u32 i = 0; i < 32; i++)
		expect(bits(VA + i * PAGE) == (i == 4 ? A | D : A));
	u_store(VA + 5 * PAGE, 1);
	expect(bits(VA + 5 * PAGE) == (A | D));
	expect(bits(VA + 6 * PAGE) == A);
}

static void upper_levels_accessed(void)
{
	map_new(cur, VA, 1, P_URW);
	expect(!(entry_get(cur, VA, 2) & A));
	u_load(VA, NULL);
	expect(entry_get(cur, VA, 2) & A);
}

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

/* A second space with the same program and stack. */
static struct space *twin(void)
{
	struct space *s = space_new();

	map(s, U_AGENT, user_pa(U_AGENT), P_URO);
	map(s, U_STACK_TOP - PAGE, user_pa(U_STACK_TOP - PAGE), P_URW);
	return s;
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

/* The same when the sleeper's page directory changes, not its page table. */
static void directory_changed_asleep(void)
{
	struct space *a = cur, *b = twin();
	u64 old_table, e;
	u32 v = 0;

	map(a, VA, new_filled(0x100), P_URW);
	u_store(VA, 0x111);
	use(b);
	u_spin();
	e = entry_get(a, VA, 2);
	old_table = e & P_ADDR;
	entry_set(a, VA, 2, 0);				/* the whole table is gone */
	use(a);
	expect(!u_load(VA, NULL) && u.err == 4);
	use(b);
	u_spin();
	map(a, VA, new_filled(0x300), P_URW);		/* a new table */
	expect((entry_get(a, VA, 2) & P_ADDR) != old_table);
	use(a);
	u_load(VA, &v);
	expect(v == 0x300);
	use(b);
	entry_set(a, VA, 2, e);				/* the old one again */
	use(a);
	u_load(VA, &v);
	expect(v == 0x111);
	use(b);
	entry_set(a, VA, 2, e & ~P_W);			/* read-only from above */
	use(a);
	expect(u_load(VA, NULL));
	expect(!u_store(VA, 5) && u.err == 7);
	use(b);
	entry_set(a, VA, 2, e & ~P_U);			/* the kernel's from above */
	use(a);
	expect(!u_load(VA, NULL) && u.err == 5);
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
	u_store(entry + mode->entry_size, p2 | P_URW);	/* the next page, never used so far */
	u_load(va1 + PAGE, &v);
	expect(v == 0x200);
	u_store(va1 + PAGE, 0x201);
	expect(entry_get(cur, va1 + PAGE, 1) == (p2 | P_URW | A | D));
	u_store(entry, p2 | P_URW);
	invlpg(va1);
	u_load(va1, &v);
	expect(v == 0x201);
	u_store(entry, 0);
	invlpg(va1);
	expect(!u_load(va1, NULL) && u.err == 4);
	expect(u_load(va1 + PAGE, NULL));
}

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
	u32 v = 0, r[4];
	u64 e;

	cpuid(0x80000001, 0, r);
	if (!(r[3] & CPUID_1GIB_PAGES)) {
		say("  the CPU model has no 1 GiB pages\n");
		return;
	}
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
#endif

static void video_memory(void)
{
	u32 v = 0;

	map(cur, VA, 0xb8000, P_URW);
	map(cur, VB, 0xa0000, P_URW);
	expect(u_store(VA + 160, 0x07420741));
	expect(u_load(VA + 160, &v) && v == 0x07420741);
	expect(*(volatile u32 *)phys(0xb8000 + 160) == 0x07420741);
	*(volatile u32 *)phys(0xb8000 + 160) = 0x07440743;
	expect(u_load(VA + 160, &v) && v == 0x07440743);
	expect(u_copy(VA + 320, VA + 160, 4));
	expect(u_load(VA + 320, &v) && v == 0x07440743);
	expect(u_store(VB, 0x11223344));
	expect(u_load(VB, &v));				/* text mode: nothing is there */
	expect(bits(VA) == (A | D));
}

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

static void no_execute(void)
{
	u64 pa = frame();

	memset(phys(pa), 0xc3, PAGE);
	map(cur, VA, pa, P_URW);
	expect(u_call(VA, NULL));
	set_page(VA, pa, P_URW | P_NX);
	expect(!u_call(VA, NULL) && u.err == 0x15);
	expect(u_load(VA, NULL));
	map(cur, VA, pa, P_URW);			/* more permission: no INVLPG */
	expect(u_call(VA, NULL));
	entry_set(cur, VA, 2, entry_get(cur, VA, 2) | P_NX);
	set_cr3(cur->root);
	expect(!u_call(VA, NULL) && u.err == 0x15);
	entry_set(cur, VA, 2, entry_get(cur, VA, 2) & ~P_NX);
	set_cr3(cur->root);
	expect(u_call(VA, NULL));
}

static void global_pages(void)
{
	struct space *a = cur, *b = twin();
	u64 p1 = new_filled(0x100), p2 = new_filled(0x200);
	u32 v = 0;

	map(a, VA, p1, P_URW | P_G);
	map(b, VA, p1, P_URW | P_G);			/* the same in both, as global means */
	u_load(VA, &v);
	u_store(VA, 0x101);
	use(b);
	u_load(VA, &v);
	expect(v == 0x101);
	map(a, VA, p2, P_URW | P_G);
	map(b, VA, p2, P_URW | P_G);
	invlpg(VA);					/* takes global ones too */
	u_load(VA, &v);
	expect(v == 0x200);
	use(a);
	u_load(VA, &v);
	expect(v == 0x200);
	map(a, VA, p1, P_URW | P_G);
	map(b, VA, p1, P_URW | P_G);
	set_cr4(get_cr4() & ~(ulong)CR4_PGE);		/* a flush of everything */
	set_cr4(get_cr4() | CR4_PGE);
	u_load(VA, &v);
	expect(v == 0x101);
	use(b);
	u_load(VA, &v);
	expect(v == 0x101);
}

static u64 wp_va;
static void wp_write(void)
{
	*(volatile u32 *)(ulong)wp_va = 0xdddd;
}

static void write_protect(void)
{
	u64 pa = new_filled(0x100);
	u32 v = 0;

	map(cur, VA, pa, P_URO);
	wp_va = VA;
	u_load(VA, &v);
	expect(ktry(wp_write) == 14 + 1);
	u_load(VA, &v);
	expect(v == 0x100);
	set_cr0(get_cr0() & ~(ulong)CR0_WP);
	expect(ktry(wp_write) == 0);
	u_load(VA, &v);
	expect(v == 0xdddd);
	expect(bits(VA) == (A | D));
	expect(!u_store(VA, 1) && u.err == 7);		/* the user is bound all the same */
	set_cr0(get_cr0() | CR0_WP);
	expect(!u_store(VA, 1) && u.err == 7);
	expect(ktry(wp_write) == 14 + 1);
}

/* Frames 1 MiB apart look alike while the gate is closed. */
static void a20_gate(void)
{
	u64 even = 0x02c00000, odd = 0x02d00000;
	u32 v = 0;

	fill(even, 0xe00);
	fill(odd, 0x0dd);
	map(cur, VA, even, P_URW);
	map(cur, VB, odd, P_URW);
	u_load(VB, &v);
	expect(v == 0x0dd);
	a20(false);
	u_load(VB, &v);
	expect(v == 0xe00);
	u_store(VB, 0xe01);
	u_load(VA, &v);
	expect(v == 0xe01);
	a20(true);
	u_load(VB, &v);
	expect(v == 0x0dd);
	u_store(VB, 0x0de);
	u_load(VA, &v);
	expect(v == 0xe01);
}

/* A fault is answered by going elsewhere, with a changed frame, as signals do. */
static void signal_like(void)
{
	ulong at;

	expect(!u_load(U_NP, NULL));
	at = u.ip;
	u.sp -= 64;
	user_put32(u.sp, 0x5157);
	u.ip = U_AGENT + 0x10 * 1;			/* agent_load, on the new frame */
	u.bx = u.sp;
	u.cx = u.di = spin;
	u.si = 0x51515151;
	u.flags |= FL_CF;
	expect(run() == VEC_INT80 && u.ax == 0x5157 && u.si == 0x51515151);
	expect(u.flags & FL_CF);
	u.sp += 64;					/* and the interrupted instruction again */
	u.ip = at;
	u.bx = U_RO;
	u.cx = u.di = spin;
	expect(run() == VEC_INT80);
}

void tests_pages(void)
{
	static const struct test t[] = {
		{ "accessed_dirty", ENV_ALL, accessed_dirty },
		{ "accessed_dirty_rounds", ENV_ALL, accessed_dirty_rounds },
		{ "fetch_sets_accessed", ENV_ALL, fetch_sets_accessed },
		{ "failed_store_is_not_dirty", ENV_ALL, failed_store_is_not_dirty },
		{ "neighbours", ENV_ALL, neighbours },
		{ "neighbours_accessed", ENV_ALL, neighbours_accessed },
		{ "upper_levels_accessed", ENV_ALL, upper_levels_accessed },
		{ "demand_zero", ENV_ALL, demand_zero },
		{ "copy_on_write", ENV_ALL, copy_on_write },
		{ "changed_asleep", ENV_ALL, changed_asleep },
		{ "directory_changed_asleep", ENV_ALL, directory_changed_asleep },
		{ "changed_awake", ENV_ALL, changed_awake },
		{ "upgraded", ENV_ALL, upgraded },
		{ "shared_page", ENV_ALL, shared_page },
		{ "aliases", ENV_ALL, aliases },
		{ "kernel_writes_data", ENV_ALL, kernel_writes_data },
		{ "shared_table", ENV_ALL, shared_table },
		{ "table_reused", ENV_ALL, table_reused },
		{ "table_writable_by_user", ENV_ALL, table_writable_by_user },
		{ "large_page", ENV_ALL & ~ENV_P32, large_page },
		{ "large_page_split", ENV_ALL & ~ENV_P32, large_page_split },
		{ "page_zero", ENV_ALL, page_zero },
		{ "page_below_top", ENV_ALL, page_below_top },
		{ "page_in_upper_half", ENV_P32 | ENV_PSE | ENV_L4, page_in_upper_half },
#ifdef __x86_64__
		{ "huge_page", ENV_L4, huge_page },
		{ "page_at_canonical_top", ENV_L4, page_at_canonical_top },
#endif
		{ "video_memory", ENV_ALL, video_memory },
		{ "rom", ENV_ALL, rom },
		{ "local_apic", ENV_ALL, local_apic },
		{ "beyond_ram", ENV_ALL, beyond_ram },
		{ "across_ram_end", ENV_ALL, across_ram_end },
		{ "no_execute", ENV_PAE | ENV_L4, no_execute },
		{ "global_pages", ENV_ALL & ~ENV_P32, global_pages },
		{ "write_protect", ENV_ALL, write_protect },
		{ "a20_gate", ENV_ALL, a20_gate },
		{ "signal_like", ENV_ALL, signal_like },
	};

	run_tests("page", t, ARRAY_SIZE(t));
}
