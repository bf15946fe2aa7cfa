/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Debug registers that user code runs into, and those it does not. */
#include "tk.h"

#define VA	((ulong)U_TEST)
#define DR7_ON(n)	(2u << 2 * (n))			/* global enable */
#define DR7_TYPE(n, t)	((u32)(t) << (16 + 4 * (n)))
#define DR7_EXEC	0
#define DR7_WRITE	1
#define DR7_IO		2
#define DR7_RW		3
#define LEN1		0
#define LEN2		4
#define LEN4		12
#define DR7_FIXED	0x400

static void expect_hit(u32 n)
{
	expect(u.vec == 1);
	expect((trap_dr6 & 0xf) == 1u << n);
	say("  dr6=%x ip=%X\n", (u32)trap_dr6, (u64)u.ip);
}

static void execute(void)
{
	map_new(cur, VA, 1, P_URO);
	memset(phys(user_pa(VA)), 0x90, 64);
	memset(phys(user_pa(VA + 64)), 0xc3, 1);
	set_dr1(VA + 0x10);
	set_dr7(DR7_FIXED | DR7_ON(1) | DR7_TYPE(1, DR7_EXEC));
	for (u32 i = 0; i < 3; i++) {
		expect(!u_call(VA, NULL));
		expect_hit(1);
		expect(u.ip == VA + 0x10);
		u.flags |= FL_RF;			/* past it */
		expect(run() == VEC_INT80);
	}
	set_dr7(DR7_FIXED);
	expect(u_call(VA, NULL));
}

static void write(void)
{
	map_new(cur, VA, 2, P_URW);
	set_dr0(VA + 8);
	set_dr7(DR7_FIXED | DR7_ON(0) | DR7_TYPE(0, DR7_WRITE | LEN4));
	expect(u_load(VA + 8, NULL));
	expect(u_store(VA + 4, 1));
	expect(u_store(VA + 12, 1));
	expect(!u_store(VA + 8, 0x77));
	expect_hit(0);
	expect(user_get32(VA + 8) == 0x77);		/* a trap: it is done */
	expect(run() == VEC_INT80);
	expect(!u_store(VA + 5, 0));			/* overlaps by a byte */
	expect_hit(0);
	expect(run() == VEC_INT80);
	expect(u_store(VA + PAGE, 1));
	set_dr7(DR7_FIXED);
	expect(u_store(VA + 8, 1));
}

static void read_or_write(void)
{
	map_new(cur, VA, 1, P_URW);
	set_dr2(VA + 2);
	set_dr7(DR7_FIXED | DR7_ON(2) | DR7_TYPE(2, DR7_RW | LEN2));
	expect(!u_load(VA, NULL));
	expect_hit(2);
	expect(run() == VEC_INT80);
	expect(!u_rmw(VA, 1));
	expect_hit(2);
	expect(run() == VEC_INT80);
	expect(u_load(VA + 4, NULL));
	set_dr7(DR7_FIXED);
}

static void in_string_copy(void)
{
	map_new(cur, VA, 1, P_URW);
	set_dr3(VA + 0x20);
	set_dr7(DR7_FIXED | DR7_ON(3) | DR7_TYPE(3, DR7_WRITE | LEN1));
	expect(!u_copy(VA, VA + 0x100, 0x40));
	expect_hit(3);
	say("  cx=%x di=%X\n", (u32)u.cx, (u64)u.di);
	expect(run() == VEC_INT80);
	set_dr7(DR7_FIXED);
}

/* Set, but off, or on for addresses that only the kernel uses: user code runs on. */
static void not_hit(void)
{
	map_new(cur, VA, 1, P_URW);
	set_dr0(VA);
	set_dr1(U_AGENT);
	set_dr2(VA + 8);
	set_dr7(DR7_FIXED);
	expect(u_store(VA, 1) && u_load(VA, NULL));
	set_dr0(VA + 0x800);
	set_dr7(DR7_FIXED | DR7_ON(0) | DR7_TYPE(0, DR7_RW | LEN4));
	expect(u_store(VA, 2) && u_load(VA, NULL));
	set_dr7(DR7_FIXED);
	expect((get_dr6() & 0xf) == 0);
}

static void port(void)
{
	static const u8 in_e9[] = { 0xe4, 0xe9, 0xcd, VEC_INT80 };

	set_cr4(get_cr4() | CR4_DE);
	set_dr0(0xe9);
	set_dr7(DR7_FIXED | DR7_ON(0) | DR7_TYPE(0, DR7_IO));
	load_blob(in_e9, in_e9 + sizeof(in_e9));
	iopb_allow(0xe9, true);
	run();
	expect_hit(0);
	expect((u8)u.ax == 0xe9);
	expect(run() == VEC_INT80);
	iopb_allow(0xe9, false);
	set_dr7(DR7_FIXED);
}

/* TF and a breakpoint at once; RF holds back the breakpoint, not TF. */
static void with_single_step(void)
{
	map_new(cur, VA, 1, P_URO);
	memset(phys(user_pa(VA)), 0x90, 64);
	memset(phys(user_pa(VA + 64)), 0xc3, 1);
	set_dr0(VA + 1);
	set_dr7(DR7_FIXED | DR7_ON(0) | DR7_TYPE(0, DR7_EXEC));
	u_spin();
	u.ip = VA;
	u.flags |= FL_TF;
	for (u32 i = 0; i < 5; i++) {
		run();
		say("  vec=%x ip=%X dr6=%x flags=%x\n", (u32)u.vec, (u64)u.ip, (u32)trap_dr6,
		    (u32)u.flags & ~FL_RF);
		if (u.ip == VA + 1 && trap_dr6 & 1)
			u.flags |= FL_RF;
		else
			u.flags &= ~(ulong)FL_RF;
	}
	set_dr7(DR7_FIXED);
}

void tests_debug(void)
{
	static const struct test t[] = {
		{ "execute", ENV_ALL, execute },
		{ "write", ENV_ALL, write },
		{ "read_or_write", ENV_ALL, read_or_write },
		{ "in_string_copy", ENV_ALL, in_string_copy },
		{ "not_hit", ENV_ALL, not_hit },
		{ "port", ENV_ALL, port },
		{ "with_single_step", ENV_ALL, with_single_step },
	};

	run_tests("debug", t, ARRAY_SIZE(t));
}
