/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Interrupts and exceptions that rings 1 and 2 handle, and the ways outward from all inner
 * rings (SDM 3A, 6.12.1; SDM 2, RET and IRET): who may change IF and IOPL, and which segment
 * registers are left.
 */
#include "rings.h"

#define PROGRAM(name) extern const u8 ring_##name[], ring_##name##_end[]
PROGRAM(inner_int);
PROGRAM(outward);
PROGRAM(iret_outward);
PROGRAM(iret_outward16);
PROGRAM(int80);
PROGRAM(int81);
PROGRAM(ud2);
PROGRAM(divide);
PROGRAM(load);
PROGRAM(closed_int);
#define LOAD(name) load_blob(ring_##name, ring_##name##_end)

#define OUTWARD_BYTES	32			/* rings.S */
#define TWO_BYTES	2			/* of each instruction that goes inward */

/* Interrupt and trap gates: IF, and who may restore it. */
static void interrupt_gates(void)
{
	rings_begin();
	user_write(INNER, ring_inner_int, ring_inner_int_end - ring_inner_int);
	for (u32 n = 0; n < 16; n++) {
		const u32 to = 1 + (n & 1), trap = n >> 1 & 1, iopl = n >> 2;
		bool on = trap || iopl >= to;

		idt_set_gate(0x81, SEL_CODE(to), INNER,
			     GATE_DPL(3) | (trap ? GATE_TRAP : GATE_INT));
		caller(3, 5);
		u.flags |= iopl << 12;
		u.ax = u.bx = 0;
		LOAD(int81);
		run();
		say("  to %u, %s, iopl %u: there flags=%x;", to, trap ? "trap" : "interrupt", iopl,
		    (u32)rec(8) & FL_SHOWN);
		say_end();
		expect(u.vec == VEC_INT80 && u.ip == U_BLOB + TWO_BYTES + FINISH);
		expect(u.sp == SP && u.cs == SEL_UCODE);
		expect(rec(0) == U_BLOB + 2 && (u16)rec(1) == SEL_UCODE && rec(3) == SP);
		expect((u16)rec(4) == SEL_UDATA && (u16)rec(5) == SEL_CODE(to));
		expect((u16)rec(6) == (BITS64 ? to : (u32)SEL_DATA(to)));
		expect(rec(7) == INNER_TOP(to) - 5 * sizeof(ulong));
		expect((rec(2) & (FL_IF | FL_IOPL3)) == (FL_IF | iopl << 12));
		expect((rec(8) & (FL_IF | FL_IOPL3)) == ((trap ? FL_IF : 0) | iopl << 12));
		expect((u.flags & (FL_IF | FL_IOPL3)) == ((on ? FL_IF : 0) | iopl << 12));
	}
	idt_dpl(0x81, 0);
	rings_end();
}

/* An exception whose handler is ring 1's or 2's, and skips the instruction. */
static void exception_to(const char *what, u32 to, u8 vec, bool has_err, u32 err)
{
	const u32 e = has_err, end = vec == 6 ? 2 : FINISH;

	idt_set_gate(vec, SEL_CODE(to), INNER, GATE_INT | GATE_DPL(0));
	u.ax = TWO_BYTES;
	u.bx = has_err ? sizeof(ulong) : 0;
	u.si = U_NP;
	run();
	idt_dpl(vec, 0);
	say("  %s to %u: ip=%X cs=%x flags=%x sp=%X ss=%x%s%x;", what, to, (u64)rec(e),
	    (u32)rec(e + 1), (u32)rec(e + 2) & FL_SHOWN & ~FL_RF, (u64)rec(e + 3),
	    (u32)rec(e + 4), has_err ? " err=" : " none ", has_err ? (u32)rec(0) : 0);
	say_end();
	expect(u.vec == VEC_INT80 && u.ip == U_BLOB + TWO_BYTES + end && u.sp == SP);
	expect(rec(e) == U_BLOB && rec(e + 3) == SP && !(u.flags & FL_IF));
	expect(!has_err || rec(0) == err);
}

static void exceptions(void)
{
	rings_begin();
	user_write(INNER, ring_inner_int, ring_inner_int_end - ring_inner_int);
	for (u32 to = 1; to < 3; to++) {
		caller(3, 5);
		LOAD(ud2);
		exception_to("ud2", to, 6, false, 0);
		caller(3, 5);
		LOAD(divide);
		exception_to("divide", to, 0, false, 0);
		caller(3, 6);
		LOAD(load);
		exception_to("page fault", to, 14, true, 4);
		expect(get_cr2() == U_NP);
	}
	rings_end();
}

/* The same of #GP, by a gate that the kernel lets nobody use. */
static void closed_gate(void)
{
	rings_begin();
	user_write(INNER, ring_inner_int, ring_inner_int_end - ring_inner_int);
	for (u32 to = 1; to < 3; to++) {
		caller(3, 6);
		LOAD(closed_int);
		exception_to("closed gate", to, 13, true, 0x82 * 8 + 2);
	}
	rings_end();
}

/* Segment registers as ring 0 leaves them to whom it returns. */
static void iret_from_0(void)
{
	rings_begin();
	for (u32 to = 1; to <= 3; to++)
		for (u32 iopl = 0; iopl < 4; iopl++) {
			caller(to, 0);
			u.ds = SEL_KDATA;
			u.es = SEL_DATA(1);
			u.fs = SEL_DATA(2);
			u.gs = SEL_CONF;
			u.flags |= iopl << 12;
			LOAD(int80);
			run();
			say("  to %u: ds=%x", to, (u32)(u16)u.ds);
			say_end();
			expect(u.vec == VEC_INT80 && (u.cs & 3) == to);
			expect((u16)u.ds == 0 && (u16)u.es == (to > 1 ? 0 : SEL_DATA(1)));
			expect((u16)u.fs == (to > 2 ? 0 : SEL_DATA(2)) && (u16)u.gs == SEL_CONF);
			expect((u.flags & FL_IOPL3) == iopl << 12);
		}
	rings_end();
}

static void go_outward(const char *what, u32 from, u32 to, const u8 *start, const u8 *end)
{
	caller(from, 0);
	u.ax = to == 3 ? SEL_UDATA : SEL_DATA(to);
	u.bx = SP - 0x400;
	u.dx = to == 3 ? SEL_UCODE : SEL_CODE(to);
	u.si = INNER;
	u.ds = u.es = SEL_DATA(from);
	u.gs = SEL_UDATA;
	/* IOPL is for ring 0 to change, IF for those that IOPL allows. */
	u.flags |= 1 << 12;
	u.bp = 2 | FL_CF | FL_IOPL3;
	load_blob(start, end);
	run();
	say("  %s, %u to %u: ds=%x sp=%X", what, from, to, (u32)(u16)u.ds, (u64)u.sp);
	say_end();
	expect(u.vec == VEC_INT80 && u.ip == INNER + FINISH);
	expect((u.cs & 3) == to && (u.ss & 3) == to);
	expect((u16)u.ds == 0 && (u16)u.es == 0 && (u16)u.gs == SEL_UDATA);
	expect((u.flags & FL_IOPL3) == 1 << 12);
}

static void outward(void)
{
	rings_begin();
	user_write(INNER, ring_int80, ring_int80_end - ring_int80);
	for (u32 from = 1; from < 3; from++)
		for (u32 to = from + 1; to <= 3; to++) {
			go_outward("ret", from, to, ring_outward, ring_outward_end);
			expect(u.sp == SP - 0x400 + OUTWARD_BYTES && !(u.flags & FL_CF));
			go_outward("iret", from, to, ring_iret_outward, ring_iret_outward_end);
			expect(u.sp == SP - 0x400 && u.flags & FL_CF);
			expect(!(u.flags & FL_IF) == (from <= 1));
		}
	rings_end();
}

#ifndef __x86_64__
/* 16-bit frames: the code's base makes room for what they can't say. */
static void outward_16bit(void)
{
	for (u32 to = 2; to <= 3; to++) {
		rings_begin();
		user_write(INNER, ring_int80, ring_int80_end - ring_int80);
		gdt_set(SEL_CODE(to), seg_desc(INNER, 0xffff, 0x009b | to << 5));
		gdt_set(SEL_DATA(to), seg_desc(U_STACK, 0xffff, 0x0093 | to << 5));
		caller(1, 0);
		u.ax = SEL_DATA(to);
		u.bx = SP16;
		u.dx = SEL_CODE(to);
		u.si = 0;
		u.bp = 2 | FL_CF | FL_IOPL3;
		LOAD(iret_outward16);
		run();
		say("  1 to %u: sp=%x", to, (u32)(u16)u.sp);
		say_end();
		expect(u.vec == VEC_INT80 && u.ip == 2 && u.cs == (u32)SEL_CODE(to));
		expect((u16)u.sp == SP16 && u.ss == (u32)SEL_DATA(to));
		expect((u.flags & (FL_IF | FL_IOPL3 | FL_CF)) == (FL_IF | FL_CF));
		rings_end();
	}
}
#endif

void tests_outward(void)
{
	static const struct test t[] = {
		{ "interrupt_gates", ENV_ALL, interrupt_gates },
		{ "exceptions", ENV_ALL, exceptions },
		{ "closed_gate", ENV_ALL, closed_gate },
		{ "iret_from_0", ENV_ALL, iret_from_0 },
		{ "outward", ENV_ALL, outward },
#ifndef __x86_64__
		{ "outward_16bit", ENV_32, outward_16bit },
#endif
	};

	run_tests("outward", t, ARRAY_SIZE(t));
}
