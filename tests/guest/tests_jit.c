/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User programs that write code as they run (I5): just-in-time compilers,
 * self-modifying loops, data and stack in the page of the code.
 */
#include "tk.h"

#define VA	((ulong)U_TEST)
#define VB	((ulong)U_TEST + 0x10000)
#define ROUNDS	1000u
#define TICKING_ROUNDS 20000u		/* some milliseconds of an emulated processor */
#define SHORT_ROUNDS	2000u		/* some ticks */
#define SUM(n)	((n) * ((n) + 1) / 2)

#define PROGRAM(name) extern const u8 code_##name[], code_##name##_end[]
PROGRAM(jit);
PROGRAM(jit_places);
PROGRAM(self_modifying);
PROGRAM(data_in_code);
PROGRAM(stack_in_code);
PROGRAM(copies_over_itself);
PROGRAM(patched_call);

/* Runs a program at VA with its registers as given; true when it came to its end. */
static bool start(const u8 *from, const u8 *to, ulong bx, ulong di, u32 rounds)
{
	user_write(VA, from, to - from);
	u.ip = VA;
	u.bx = bx;
	u.di = di;
	u.dx = rounds;
	u.cx = spin;
	u.sp = U_STACK_TOP - 64;
	if (run() == VEC_INT80) {
		say("  done: ax=%x si=%x dx=%x\n", (u32)u.ax, (u32)u.si, (u32)u.dx);
		return true;
	}
	say("  ended by trap %x err=%x cr2=%X\n", (u32)u.vec, (u32)u.err, (u64)trap_cr2);
	return false;
}
#define START(name, bx, di, rounds) start(code_##name, code_##name##_end, bx, di, rounds)

static void jit(void)
{
	map_new(cur, VA, 1, P_URO);
	map_new(cur, VB, 1, P_URW);
	expect(START(jit, VB, VB, ROUNDS));
	expect(u.si == SUM(ROUNDS));
}

static void jit_same_page(void)
{
	map_new(cur, VA, 1, P_URW);
	expect(START(jit, VA + 0x800, VA + 0x800, ROUNDS));
	expect(u.si == SUM(ROUNDS));
}

static void jit_alias(void)
{
	u64 pa = frame();

	map_new(cur, VA, 1, P_URO);
	map(cur, VB, pa, P_URO);
	map(cur, VB + PAGE, pa, P_URW | P_NX);
	expect(START(jit, VB + 0x100, VB + PAGE + 0x100, ROUNDS));
	expect(u.si == SUM(ROUNDS));
}

static void jit_places(void)
{
	map_new(cur, VA, 1, P_URO);
	map_new(cur, VB, 1, P_URW);
	expect(START(jit_places, VB, 0, ROUNDS));
	expect(u.si == SUM(ROUNDS));
}

/* The code lies across two pages. */
static void jit_straddling(void)
{
	map_new(cur, VA, 1, P_URO);
	map_new(cur, VB, 2, P_URW);
	expect(START(jit, VB + PAGE - 3, VB + PAGE - 3, ROUNDS));
	expect(u.si == SUM(ROUNDS));
}

static void self_modifying(void)
{
	map_new(cur, VA, 1, P_URW);
	expect(START(self_modifying, 0, 0, ROUNDS));
	expect(u.si == SUM(ROUNDS));
}

static void data_in_code(void)
{
	map_new(cur, VA, 1, P_URW);
	u.si = 0;
	expect(START(data_in_code, VA + 0x400, 0, ROUNDS));
	expect(user_get32(VA + 0x400) == ROUNDS);
}

static void stack_in_code(void)
{
	map_new(cur, VA, 1, P_URW);
	user_write(VA, code_stack_in_code, code_stack_in_code_end - code_stack_in_code);
	u.ip = VA;
	u.dx = ROUNDS;
	u.cx = spin;
	u.sp = VA + PAGE - 64;
	expect(run() == VEC_INT80 && u.si == SUM(ROUNDS));
	say("  done: si=%x\n", (u32)u.si);
}

/* REP MOVS overwrites what comes next: ten of the NOPs become "inc %eax". */
static void copies_over_itself(void)
{
	static const u8 inc[] = { 0xff, 0xc0 };
	u32 at = code_copies_over_itself_end - code_copies_over_itself - 34;
	u8 *from;

	map_new(cur, VA, 1, P_URW);
	from = phys(map_new(cur, VB, 1, P_URW));
	for (u32 i = 0; i < 10; i++)
		memcpy(from + 2 * i, inc, 2);
	u.si = VB;
	expect(START(copies_over_itself, 0, VA + at, 20));
	expect(u.ax == 10);
}

static void patched_call(void)
{
	map_new(cur, VA, 1, P_URW);
	expect(START(patched_call, 0, 0, ROUNDS));
	expect(u.si == ROUNDS / 2 + (ROUNDS / 2 << 16));
}

/*
 * Other people's programs change code while timer ticks come often.  Natively each round takes
 * some traps: where -s asks for short programs it would be half of all time.
 */
static void jit_with_ticks(void)
{
	const u32 rounds = param.spin < 10000 ? SHORT_ROUNDS : TICKING_ROUNDS;
	u32 before = ticks;

	pit_hz(8000);
	map_new(cur, VA, 1, P_URO);
	map_new(cur, VB, 1, P_URW);
	expect(START(jit_places, VB, 0, rounds));
	expect((u32)u.si == (u32)SUM(rounds));
	expect(ticks != before);
	pit_hz(1000);
}

void tests_jit(void)
{
	static const struct test t[] = {
		{ "jit", ENV_ALL, jit },
		{ "jit_same_page", ENV_ALL, jit_same_page },
		{ "jit_alias", ENV_ALL, jit_alias },
		{ "jit_places", ENV_ALL, jit_places },
		{ "jit_straddling", ENV_ALL, jit_straddling },
		{ "self_modifying", ENV_ALL, self_modifying },
		{ "data_in_code", ENV_ALL, data_in_code },
		{ "stack_in_code", ENV_ALL, stack_in_code },
		{ "copies_over_itself", ENV_ALL, copies_over_itself },
		{ "patched_call", ENV_ALL, patched_call },
		{ "jit_with_ticks", ENV_ALL, jit_with_ticks },
	};

	run_tests("code", t, ARRAY_SIZE(t));
}
