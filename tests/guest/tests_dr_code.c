/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Debug exceptions in order (SDM 3B, 18.3; SDM 3A, 6.8.3): instruction breakpoints and RF, string
 * instructions, breakpoints together with TF and with each other, the shadow of MOV SS.
 */
#include "dr.h"

#define VA		((ulong)U_TEST)

PROGRAM(load4);
PROGRAM(store4);
PROGRAM(prefixed);
PROGRAM(rep_stos);
PROGRAM(mov_ss);
PROGRAM(mov_ss_int);
PROGRAM(mov_ss_exec);
PROGRAM(store_tf);

/* An instruction's first byte counts, which is its prefix's, and no other. */
static void first_byte(void)
{
	map_new(cur, VA, 1, P_URW);
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, EXEC));
	set_dr0(MARK(prefixed));
	LOAD(prefixed);
	u.bx = VA;
	expect(run() == VEC_INT80);
	set_dr0(MARK(prefixed) - 1);
	LOAD(prefixed);
	u.bx = VA;
	expect(run() == 1 && u.ip == U_BLOB && (trap_dr6 & 0xf) == 1);
	u.flags |= FL_RF;
	expect(run() == VEC_INT80);
	set_dr7(FIXED);
}

/* The first instruction of a page, and one that began in the page before. */
static void at_page_ends(void)
{
	map_new(cur, VA, 2, P_URW);
	memset(phys(user_pa(VA)), 0x90, PAGE);
	memcpy(phys(user_pa(VA + PAGE)), "\x90\x90\xc3", 3);
	set_dr2(VA + PAGE);
	set_dr7(FIXED | LOCAL(2) | TYPE(2, EXEC));
	expect(!u_call(VA + PAGE - 2, NULL));
	expect(u.vec == 1 && u.ip == VA + PAGE && (trap_dr6 & 0xf) == 4);
	u.flags |= FL_RF;
	expect(run() == VEC_INT80);
	*(u8 *)phys(user_pa(VA + PAGE - 1)) = 0x3e;	/* a prefix: the NOP begins there now */
	expect(u_call(VA + PAGE - 2, NULL));
	set_dr2(VA + PAGE - 1);
	expect(!u_call(VA + PAGE - 2, NULL));
	expect(u.vec == 1 && u.ip == VA + PAGE - 1 && (trap_dr6 & 0xf) == 4);
	u.flags |= FL_RF;
	expect(run() == VEC_INT80);
	set_dr7(FIXED);
}

/* RF lasts for one instruction, however often it has to be begun. */
static void rf_through_fault(void)
{
	set_dr0(U_BLOB);
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, EXEC));
	LOAD(load4);
	u.bx = VA;
	expect(run() == 1 && u.ip == U_BLOB);
	u.flags |= FL_RF;
	expect(run() == 14 && u.ip == U_BLOB && trap_cr2 == VA);
	map_new(cur, VA, 1, P_URW);
	u.flags |= FL_RF;			/* which a fault pushes set; TCG does not */
	expect(run() == VEC_INT80);
	LOAD(load4);
	u.bx = VA;
	expect(run() == 1 && u.ip == U_BLOB);	/* and it is gone */
	u.flags &= ~(ulong)FL_RF;
	expect(run() == 1 && u.ip == U_BLOB);	/* without it we are where we were */
	set_dr7(FIXED);
}

/* What RF the frames have (SDM 3B, 18.3.1.1). */
static void rf_in_frames(void)
{
	set_dr0(U_BLOB);
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, EXEC));
	LOAD(load4);
	u.bx = VA;
	expect(run() == 1 && !(u.flags & FL_RF));	/* the one fault that pushes it clear */
	u.flags |= FL_RF;
	expect(run() == 14 && u.flags & FL_RF);
	map_new(cur, VA, 1, P_URW);
	set_dr1(VA);
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, EXEC) | GLOBAL(1) | TYPE(1, RW | LEN1));
	expect(run() == 1 && u.ip == MARK(load4));	/* a trap */
	expect(!(u.flags & FL_RF) && (trap_dr6 & 0xf) == 2);
	expect(run() == VEC_INT80);
	set_dr7(FIXED);
}

/* A string instruction is met once, though interrupts come between its iterations. */
static void rep_once(void)
{
	u32 n = 0, t0, len = 0x30000;

	map_new(cur, VA, 0x30, P_URW);
	pit_hz(8000);
	set_dr3(MARK(rep_stos));
	set_dr7(FIXED | GLOBAL(3) | TYPE(3, EXEC));
	t0 = ticks;
	for (u32 i = 0; i < 4; i++) {
		LOAD(rep_stos);
		u.di = VA;
		u.dx = len;
		u.ax = 0x41 + i;
		while (run() == 1 && u.ip == MARK(rep_stos) && u.cx == len) {
			n++;
			u.flags |= FL_RF;
		}
		expect(u.vec == VEC_INT80 && u.cx == 0 && u.di == VA + len);
		expect(user_get32(VA + len - 4) == 0x01010101 * (0x41 + i));
	}
	expect(n == 4);
	expect(ticks != t0);
	pit_hz(1000);
	set_dr7(FIXED);
}

/* A data breakpoint ends it behind the iteration; the rest is done afterwards. */
static void rep_data(void)
{
	u32 n = 0;

	map_new(cur, VA, 1, P_URW);
	set_dr0(VA + 0x10);
	set_dr1(VA + 0x13);
	set_dr7(FIXED | LOCAL(0) | LOCAL(1) | TYPE(0, WRITE | LEN2) | TYPE(1, RW | LEN1));
	LOAD(rep_stos);
	u.di = VA;
	u.dx = 0x20;
	while (run() == 1 && n < 10) {
		say("  dr6=%x cx=%x di=%X ip=%X\n", (u32)trap_dr6, (u32)u.cx, (u64)u.di, (u64)u.ip);
		n++;
	}
	expect(u.vec == VEC_INT80 && u.cx == 0 && n == 3);
	set_dr7(FIXED);
}

/* Both reasons are in DR6 when a step of TF is also a hit. */
static void with_tf(void)
{
	map_new(cur, VA, 1, P_URW);
	set_dr1(VA);
	set_dr7(FIXED | GLOBAL(1) | TYPE(1, WRITE | LEN4));
	load_blob(dr_store_tf, dr_store_tf_end);
	u_spin();
	u.ip = U_BLOB;
	u.bx = VA;
	u.flags |= FL_TF;
	expect(run() == 1 && u.ip == MARK(store_tf));
	expect((trap_dr6 & (DR6_BS | 0xf)) == (DR6_BS | 2));
	expect(run() == 1 && u.ip == MARK(store_tf) + 1);
	expect((trap_dr6 & (DR6_BS | 0xf)) == DR6_BS);
	u.flags &= ~(ulong)FL_TF;
	expect(run() == VEC_INT80);
	set_dr7(FIXED);
}

/* A data breakpoint's trap, and the next instruction's own: none is lost. */
static void trap_and_fault(void)
{
	u32 all = 0;

	map_new(cur, VA, 1, P_URW);
	set_dr0(VA);
	set_dr1(MARK(store4));
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, WRITE | LEN4) | GLOBAL(1) | TYPE(1, EXEC));
	LOAD(store4);
	u.bx = VA;
	for (u32 i = 0; i < 3 && run() == 1; i++) {
		expect(u.ip == MARK(store4));
		all |= trap_dr6 & 0xf;
		if (trap_dr6 & 2)
			u.flags |= FL_RF;
	}
	expect(all == 3 && u.vec == VEC_INT80);
	set_dr7(FIXED);
}

/* MOV SS holds its own data breakpoint back by one instruction (SDM 3A, 6.8.3). */
static void mov_ss_waits(void)
{
	map_new(cur, VA, 1, P_URW);
	user_put32(VA, SEL_UDATA);
	set_dr0(VA);
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, RW | LEN2));
	LOAD(mov_ss);
	u.bx = VA;
	u.si = 5;
	expect(run() == 1 && u.ip == MARK(mov_ss) && u.si == 6 && (trap_dr6 & 0xf) == 1);
	expect(run() == VEC_INT80);
	set_dr7(FIXED);
}

/* And an instruction breakpoint on what follows it is not met. */
static void mov_ss_hides(void)
{
	set_dr0(MARK(mov_ss_exec));
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, EXEC));
	LOAD(mov_ss_exec);
	u.dx = SEL_UDATA;
	u.si = 5;
	expect(run() == VEC_INT80 && u.si == 6);
	set_dr7(FIXED);
}

void tests_dr_code(void)
{
	static const struct test t[] = {
		{ "first_byte", ENV_ALL, first_byte },
		{ "at_page_ends", ENV_ALL, at_page_ends },
		{ "rf_through_fault", ENV_ALL, rf_through_fault },
		{ "rf_in_frames", ENV_ALL, rf_in_frames },
		{ "rep_once", ENV_ALL, rep_once },
		{ "rep_data", ENV_ALL, rep_data },
		{ "with_tf", ENV_ALL, with_tf },
		{ "trap_and_fault", ENV_ALL, trap_and_fault },
		{ "mov_ss_waits", ENV_ALL, mov_ss_waits },
		{ "mov_ss_hides", ENV_ALL, mov_ss_hides },
	};

	run_tests("dr", t, ARRAY_SIZE(t));
}

/* MOV SS's trap comes behind an INT n, in the kernel (SDM 3A, 6.8.3); Bochs forgets it. */
static void mov_ss_into_kernel(void)
{
	map_new(cur, VA, 1, P_URW);
	user_put32(VA, SEL_UDATA);
	set_dr0(VA);
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, RW | LEN2));
	LOAD(mov_ss_int);
	u.bx = VA;
	trap_db = 0;
	expect(run() == VEC_INT80 && u.ip == MARK(mov_ss_int) + 2);
	expect((trap_db & 0xf) == 1);
	set_dr7(FIXED);
}

void tests_dr_bochs_differs(void)
{
	static const struct test t[] = {
		{ "mov_ss_into_kernel", ENV_ALL, mov_ss_into_kernel },
	};

	run_tests("dr", t, ARRAY_SIZE(t));
}
