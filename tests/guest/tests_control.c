/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What changes the meaning of page tables: NX, global pages, CR0.WP, the A20
 * gate (I3); and a kernel that sends a faulting program elsewhere.
 */
#include "pages.h"

extern const u8 table_on_disk[];

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

/* So do the tables of pages. */
static void a20_gate_and_tables(void)
{
	u64 even = 0x02c00000, odd = 0x02d00000, large = (ulong)VA + 0x400000;
	u64 one = new_filled(0x100), two = new_filled(0x200), entry;
	u32 v = 0;

	expect(!((one | two) & 0x100000));
	map(cur, large, one, P_URW);			/* makes a table, to see which entry */
	entry = entry_pa(cur, large, 1, false) & (PAGE - 1);
	memset(phys(even), 0, PAGE);
	memset(phys(odd), 0, PAGE);
	memcpy(phys(odd + entry), phys(entry_pa(cur, large, 1, false)), mode->entry_size);
	map(cur, large, two, P_URW);
	memcpy(phys(even + entry), phys(entry_pa(cur, large, 1, false)), mode->entry_size);
	entry_set(cur, large, 2, odd | P_URW);
	set_cr3(cur->root);
	expect(u_load(large, &v) && v == 0x100);
	expect(u_load(large, &v) && v == 0x100);
	a20(false);
	expect(u_load(large, &v) && v == 0x200);
	a20(true);
	expect(u_load(large, &v) && v == 0x100);
}

/* DMA, too, goes to the frame without that bit, and what it writes there counts when the gate is open. */
static void a20_gate_and_dma(void)
{
	u64 even = 0x02c00000, odd = 0x02d00000, large = (ulong)VA + 0x400000, one = new_filled(0x100);
	u32 v = 0;

	fill(TABLE_FRAME_PA, 0x200);
	memset(phys(even), 0, PAGE);
	map(cur, large, one, P_URW);
	memcpy(phys(even), phys(entry_pa(cur, large, 1, false)), mode->entry_size);
	entry_set(cur, large, 2, even | P_URW);
	set_cr3(cur->root);
	expect(u_load(large, &v) && v == 0x100);
	expect(u_load(large, &v) && v == 0x100);
	a20(false);
	expect(disk_read_dma(disk_lba(table_on_disk), odd));
	a20(true);
	expect(u_load(large, &v) && v == 0x200);
}

/* Emptying caches makes no table's change go unseen. */
static void caches_emptied(void)
{
	u64 one = new_filled(0x100), two = new_filled(0x200);
	u32 v = 0;

	map(cur, VA, one, P_URW);
	expect(u_load(VA, &v) && v == 0x100);
	expect(u_load(VA, &v) && v == 0x100);
	__asm__ volatile("invd" : : : "memory");
	set_page(VA, two, P_URW);
	expect(u_load(VA, &v) && v == 0x200);
	set_page(VA, one, P_URW);
	expect(u_load(VA, &v) && v == 0x100);
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

void tests_control(void)
{
	static const struct test t[] = {
		{ "no_execute", ENV_PAE | ENV_LONG, no_execute },
		{ "global_pages", ENV_ALL & ~ENV_P32, global_pages },
		{ "write_protect", ENV_ALL, write_protect },
		{ "a20_gate", ENV_ALL, a20_gate },
		{ "a20_gate_and_tables", ENV_ALL, a20_gate_and_tables },
		{ "a20_gate_and_dma", ENV_ALL, a20_gate_and_dma },
		{ "caches_emptied", ENV_ALL, caches_emptied },
		{ "signal_like", ENV_ALL, signal_like },
	};

	run_tests("page", t, ARRAY_SIZE(t));
}
