/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What rings 1 and 2 may: the supervisor's pages, but no privileged instructions, and IF
 * and ports as IOPL has it.
 */
#include "rings.h"

#define PROGRAM(name) extern const u8 ring_##name[], ring_##name##_end[]
PROGRAM(int80);
PROGRAM(load);
PROGRAM(store);
PROGRAM(cli);
PROGRAM(out);
PROGRAM(popf);
PROGRAM(hlt);
PROGRAM(read_cr0);

#define PORT		0x80			/* a write to it harms nobody */

static u32 in_ring(u32 ring, const char *what, const u8 *start, const u8 *end)
{
	u.cs = SEL_CODE(ring);
	u.ss = SEL_DATA(ring);
	u.ds = u.es = SEL_UDATA;
	u.sp = U_STACK_TOP - 64;
	load_blob(start, end);
	run();
	say("  %u, %s: vec=%x err=%x ip=%X cs=%x flags=%x bx=%x", ring, what, (u32)u.vec,
	    (u32)u.err, (u64)u.ip, (u32)u.cs, (u32)u.flags & FL_SHOWN & ~FL_RF,
	    (u32)u.bx & FL_SHOWN);
	if (u.vec == 14)
		say(" cr2=%X", (u64)trap_cr2);
	say("\n");
	expect(u.cs == (u32)SEL_CODE(ring));
	return u.vec;
}
#define IN_RING(r, name) in_ring(r, #name, ring_##name, ring_##name##_end)

static void pages(void)
{
	rings_begin();
	for (u32 r = 1; r <= 3; r++) {
		const bool super = r < 3;
		const u32 user = super ? 0 : 4;

		u.flags = FL_IF | 2;
		u.si = U_KERN;
		u.ax = 0xc3c3c3c3;
		expect(IN_RING(r, load) == (super ? VEC_INT80 : 14));
		expect(super || u.err == 5);
		u.ax = 0xc3c3c3c3;
		expect(IN_RING(r, store) == (super ? VEC_INT80 : 14));
		u.si = U_NP;
		expect(IN_RING(r, load) == 14 && u.err == user);
		u.si = U_RO;
		expect(IN_RING(r, store) == 14 && u.err == (3 | user));
		set_cr0(get_cr0() & ~(ulong)CR0_WP);
		u.ax = 0x1000 + r;
		expect(IN_RING(r, store) == (super ? VEC_INT80 : 14));
		set_cr0(get_cr0() | CR0_WP);
		expect(user_get32(U_RO) == (super ? 0x1000 + r : 0x1002));
	}
	rings_end();
}

/* Code and stack of a ring 1 program in pages that ring 3 can't see. */
static void supervisor_code(void)
{
	rings_begin();
	map(cur, INNER, user_pa(INNER), P_P);
	user_write(INNER, ring_int80, ring_int80_end - ring_int80);
	for (u32 r = 1; r <= 3; r++) {
		u.flags = FL_IF | 2;
		u.cs = SEL_CODE(r);
		u.ss = SEL_DATA(r);
		u.ds = u.es = SEL_UDATA;
		u.ip = INNER;
		run();
		say("  %u: vec=%x err=%x ip=%X\n", r, (u32)u.vec, (u32)u.err, (u64)u.ip);
		expect(u.vec == (r < 3 ? VEC_INT80 : 14));
	}
	rings_end();
}

static void privileges(void)
{
	rings_begin();
	for (u32 r = 1; r <= 3; r++)
		for (u32 iopl = 0; iopl < 4; iopl++) {
			const u32 flags = FL_IF | 2 | iopl << 12, want = iopl >= r ? VEC_INT80 : 13;

			u.flags = flags;
			expect(IN_RING(r, cli) == want);
			expect(!(u.flags & FL_IF) == (iopl >= r));
			u.flags = flags;
			u.dx = PORT;
			expect(IN_RING(r, out) == want);
			u.flags = flags;
			u.ax = 2 | FL_CF | (FL_IOPL3 & ~(iopl << 12));	/* IF off, another IOPL */
			expect(IN_RING(r, popf) == VEC_INT80);
			expect(!(u.bx & FL_IF) == (iopl >= r) && u.bx & FL_CF);
			expect((u.bx & FL_IOPL3) == iopl << 12);
			u.flags = flags;
			expect(IN_RING(r, hlt) == 13 && u.ip == U_BLOB);
			u.flags = flags;
			expect(IN_RING(r, read_cr0) == 13 && u.ip == U_BLOB);
		}
	rings_end();
}

/* Alignment is checked in ring 3 only. */
static void alignment(void)
{
	rings_begin();
	set_cr0(get_cr0() | CR0_AM);
	for (u32 r = 1; r < 3; r++) {
		u.flags = FL_IF | FL_AC | 2;
		u.si = U_DATA + 1;
		expect(IN_RING(r, load) == VEC_INT80);
	}
	set_cr0(get_cr0() & ~(ulong)CR0_AM);
	rings_end();
}

void tests_rings(void)
{
	static const struct test t[] = {
		{ "pages", ENV_ALL, pages },
		{ "supervisor_code", ENV_ALL, supervisor_code },
		{ "privileges", ENV_ALL, privileges },
		{ "alignment", ENV_ALL, alignment },
	};

	run_tests("ring", t, ARRAY_SIZE(t));
}
