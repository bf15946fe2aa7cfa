/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Virtual-8086 mode, with and without IOPL 3.  There is none in long mode. */
#include "v86.h"

#ifdef __x86_64__
void tests_v86(void) { }
#else
PROGRAM(basic);
PROGRAM(nothing);
PROGRAM(cli);
PROGRAM(sti);
PROGRAM(pushf);
PROGRAM(popf);
PROGRAM(iret);
PROGRAM(hlt);
PROGRAM(in);
PROGRAM(int3);
PROGRAM(int21);
PROGRAM(ud2);
PROGRAM(div0);
PROGRAM(mov_cr);
PROGRAM(lgdt);
PROGRAM(lar);
PROGRAM(read_word_at_end);
PROGRAM(read_beyond);
PROGRAM(read_hole);
PROGRAM(read_above_1m);
PROGRAM(far_jump);
PROGRAM(forever);

#define TOP	0xffffu			/* its offset 0x10 is at 1 MiB */

static u32 gs = HOLE;			/* for the next program */

static const u8 int_80[] = { 0xcd, VEC_INT80 };
static const u16 iret_frame[] = { 0x800, CODE, 0x3202 };

static u32 go(const char *name, const u8 *start, const u8 *end, u32 iopl)
{
	v86_begin(iopl);
	u.v_gs = gs;
	user_write(CODE * 16, start, end - start);
	user_write(CODE * 16 + 0x800, int_80, sizeof(int_80));
	user_write(STACK * 16 + 0x1000, iret_frame, sizeof(iret_frame));
	run();
	say("  %s, iopl %u: vec=%x err=%x cs:ip=%x:%x flags=%x%s ax=%x sp=%x", name, iopl,
	    (u32)u.vec, (u32)u.err, (u32)u.cs, (u32)u.ip, (u32)u.flags & FL_SHOWN & ~FL_RF,
	    u.flags & FL_RF ? " rf" : "", (u32)u.ax, (u32)u.sp);
	if (u.vec == 14)
		say(" cr2=%x", (u32)trap_cr2);
	say("\n");
	return u.vec;
}
#define GO(name, iopl) go(#name, seg_v86_##name, seg_v86_##name##_end, iopl)

static void basic(void)
{
	v86_map();
	expect(GO(basic, 3) == VEC_INT80);
	expect((u16)u.bx == 0x1234 && (u16)u.dx == 0x1234 && (u16)u.si == DATA);
	expect(u.v_ds == DATA && u.v_es == DATA + 1 && u.v_fs == DATA && u.v_gs == HOLE);
	expect(user_get32(DATA * 16 + 0x110) == 0xabcdabcd);
	expect(u.flags & FL_VM);
	say("  regs=%h\n", ctx_hash());
	expect(GO(basic, 0) == 13);		/* at its INT 0x80 */
}

static void sensitive(void)
{
	v86_map();
	iopb_allow(0xe9, false);
	for (u32 iopl = 0; iopl <= 3; iopl += 3) {
		u32 want = iopl ? VEC_INT80 : 13;

		expect(GO(nothing, iopl) == want);
		expect(GO(cli, iopl) == want);
		expect(GO(sti, iopl) == want);
		expect(GO(pushf, iopl) == want);
		expect(GO(popf, iopl) == want);
		expect(GO(iret, iopl) == want && (!iopl || u.ip == 0x802));
		expect(GO(hlt, iopl) == 13);
		expect(GO(in, iopl) == 13);	/* the bitmap rules, whatever IOPL is */
		expect(GO(int21, iopl) == 13);
		expect(GO(int3, iopl) == 3);
	}
	iopb_allow(0xe9, true);
	expect(GO(in, 3) == VEC_INT80 && (u8)u.ax == 0xe9);
	iopb_allow(0xe9, false);
}

static void faults(void)
{
	v86_map();
	expect(GO(ud2, 3) == 6);
	expect(GO(div0, 3) == 0);
	expect(GO(mov_cr, 3) == 13);
	expect(GO(lgdt, 3) == 13);
	expect(GO(lar, 3) == 6);
	expect(GO(read_word_at_end, 3) == 13);
	expect(GO(read_beyond, 3) == 13);
	expect(GO(read_hole, 3) == 14 && trap_cr2 == HOLE * 16);
	gs = TOP;
	expect(GO(read_above_1m, 3) == VEC_INT80 && (u16)u.ax == 0x1337);
	gs = HOLE;
	user_put32(DATA * 16 + 0x200, 0x80cd);	/* INT 0x80 */
	expect(GO(far_jump, 3) == VEC_INT80 && u.cs == DATA && u.ip == 0x202);
}

static void preempted(void)
{
	u32 n = 0;

	v86_map();
	v86_begin(0);
	user_write(CODE * 16, seg_v86_forever, seg_v86_forever_end - seg_v86_forever);
	while (n < 5) {
		u32 v = run_to_tick();

		if (v == VEC_IRQ + 7)
			continue;
		if (v != VEC_IRQ || u.ip != 0 || !(u.flags & FL_VM))
			break;
		n++;
	}
	say("  preempted: %s\n", n == 5 ? "yes" : "no");
	expect(n == 5);
}

void tests_v86(void)
{
	static const struct test t[] = {
		{ "basic", ENV_32, basic },
		{ "sensitive", ENV_32, sensitive },
		{ "faults", ENV_32, faults },
		{ "preempted", ENV_32, preempted },
	};

	run_tests("v86", t, ARRAY_SIZE(t));
}
#endif
