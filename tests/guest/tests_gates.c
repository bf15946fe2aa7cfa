/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Call gates with parameters, from and to all rings, back by a RET that releases them, and
 * calls that fail (SDM 3A, 5.8.5; SDM 2, CALL and RET).  Rings 1 and 2 are the supervisor's
 * for the page tables and nobody's for an accelerator, which has to notice where they begin.
 */
#include "rings.h"

#define PROGRAM(name) extern const u8 ring_##name[], ring_##name##_end[]
PROGRAM(call);
PROGRAM(call_then_es);
PROGRAM(inner);
PROGRAM(inner16);
#define LOAD(name) load_blob(ring_##name, ring_##name##_end)

#define PARAM		0x50a0f000

static void inner_code(const u8 *start, const u8 *end, u16 release)
{
	user_write(INNER, start, end - start);
	user_write(INNER + (end - start) - 2, &release, 2);
}

static void far_pointer(u16 sel)
{
	user_put32(U_DATA, 0xbad0);		/* a gate has its own offset */
	user_put32(U_DATA + 4, sel);
}

/* es was the inner ring's own; conforming code and what is ring 3's may stay. */
static void expect_back(u32 from)
{
	expect(u.vec == VEC_INT80);
	expect((u.cs & 3) == from && (u.ss & 3) == from);
	expect((u16)u.es == 0 && (u16)u.fs == SEL_CONF && (u16)u.gs == SEL_UDATA);
	expect((u.flags & (FL_IF | FL_IOPL3)) == FL_IF);
}

#ifdef __x86_64__
static ulong inner_top(u32 ring)
{
	return ring ? INNER_TOP(ring) : cur_top;
}

static void through(u32 from, u32 to, u16 cs)
{
	caller(from, 4);
	u.cs = cs;
	u.ax = SEL_DATA(to);
	u.bx = SEL_CONF;
	u.bp = SEL_UDATA;
	inner_code(ring_inner, ring_inner_end, 0);
	gdt_set_gate(SEL_CALL, SEL_CODE(to), INNER, GATE_DPL(3) | GATE_32, 0);
	far_pointer(SEL_CALL);
	LOAD(call);
	run();
	say("  %u (cs %x) to %u: ip=%X cs=%X sp=%X ss=%X, there cs=%X ss=%X;", from, (u32)cs, to,
	    (u64)rec(0), (u64)rec(1), (u64)rec(2), (u64)rec(3), (u64)rec(4), (u64)rec(5));
	say_end();
	expect_back(from);
	expect(rec(0) == u.ip - FINISH && rec(1) == cs && rec(2) == SP && rec(3) == u.ss);
	expect(rec(4) == SEL_CODE(to) && rec(5) == to);		/* SS is null, with an RPL */
	expect(rec(6) == inner_top(to) - 4 * sizeof(ulong) && u.sp == SP && u.cs == cs);
}

static void call_gates(void)
{
	rings_begin();
	for (u32 from = 3; from; from--)
		for (u32 to = 0; to < from; to++)
			through(from, to, from == 3 ? SEL_UCODE : SEL_CODE(from));
	for (u32 to = 0; to < 3; to++)
		through(3, to, SEL_UCODE32);			/* in compatibility mode */
	rings_end();
}
#else
static u16 rec16(u32 i)
{
	u16 v;

	user_read(RECORD + i * sizeof(v), &v, sizeof(v));
	return v;
}

/* By a gate of 32 or 16 bits with n parameters, and back, which releases them on both stacks. */
static void through(u32 from, u32 to, bool wide, u32 n)
{
	const u32 size = wide ? 4 : 2;
	bool params = true;

	rings_begin();
	caller(from, wide ? n + 4 : n / 2 + 2);
	u.cs = SEL_CODE(from);
	u.ss = SEL_DATA(from);
	u.ax = SEL_DATA(to);
	u.bx = SEL_CONF;
	u.bp = SEL_UDATA;
	LOAD(call);
	if (wide) {
		inner_code(ring_inner, ring_inner_end, n * size);
	} else {
		inner_code(ring_inner16, ring_inner16_end, n * size);
		gdt_set(SEL_CODE(from), seg_desc(U_CODE, 0xffff, 0x409b | from << 5));
		gdt_set(SEL_DATA(from), seg_desc(U_STACK, 0xffff, 0x0093 | from << 5));
		gdt_set(SEL_CODE(to), seg_desc(INNER, 0xffff, 0x409b | to << 5));
		u.ip = 0;
		u.sp = SP16;
	}
	for (u32 i = 0; i < n; i++) {
		u32 v = PARAM + i;

		user_write((wide ? SP : U_STACK + SP16) + i * size, &v, size);
	}
	gdt_set_gate(SEL_CALL, SEL_CODE(to), wide ? INNER : 0,
		     GATE_DPL(3) | (wide ? GATE_32 : GATE_16), n);
	far_pointer(SEL_CALL);
	run();
	for (u32 i = 0; i < n; i++)
		params &= wide ? rec(2 + i) == PARAM + i : rec16(2 + i) == (u16)(PARAM + i);
	expect(params);
	say("  %u to %u, %u bits, %u params:", from, to, size * 8, n);
	say_end();
	expect_back(from);
	if (wide) {
		expect(rec(0) == u.ip - FINISH && (u16)rec(1) == u.cs);
		expect(rec(2 + n) == SP && (u16)rec(3 + n) == u.ss);
		expect(u.sp == SP + n * size);
	} else {
		expect(rec16(0) == u.ip - FINISH && rec16(1) == u.cs);
		expect(rec16(2 + n) == SP16 && rec16(3 + n) == u.ss);
		expect((u16)u.sp == SP16 + n * size);
	}
	n = wide ? n + 4 : n / 2 + 2;				/* what else was written down */
	expect((u16)rec(n) == SEL_CODE(to));
	expect((u16)rec(n + 1) == (to ? SEL_DATA(to) : SEL_KDATA));
	rings_end();
}

static void call_gates(void)
{
	static const u8 n[] = { 0, 1, 4, 31 };

	for (u32 from = 3; from; from--)
		for (u32 to = 0; to < from; to++)
			for (u32 i = 0; i < ARRAY_SIZE(n); i++) {
				through(from, to, true, n[i]);
				through(from, to, false, n[i] & ~1u);
			}
	for (u32 i = 0; i < 32; i++)
		through(3, 1, true, i);
}
#endif

/* The register that the way outward has cleared can't be used. */
static void nulled_segment(void)
{
	rings_begin();
	for (u32 to = 0; to < 3; to++) {
		caller(3, 4);
		u.ax = SEL_DATA(to);
		u.bx = u.bp = 0;
		inner_code(ring_inner, ring_inner_end, 0);
		gdt_set_gate(SEL_CALL, SEL_CODE(to), INNER, GATE_DPL(3) | GATE_32, 0);
		far_pointer(SEL_CALL);
		LOAD(call_then_es);
		run();
		say("  by %u:", to);
		say_end();
		expect((u16)u.es == 0);
		if (!BITS64)
			expect(u.vec == 13 && u.err == 0);
		else
			expect(u.vec == VEC_INT80);	/* in 64-bit code a null one will do */
	}
	rings_end();
}

/* A call that must fail, and must have done nothing. */
static void bad_call(const char *what, u32 from, u32 vec, u32 err)
{
	caller(from, 0);
	LOAD(call);
	run();
	say("  %s:", what);
	if (u.vec == 14)
		say(" cr2=%X", (u64)trap_cr2);
	say_end();
	expect(u.vec == vec && u.err == err);
	expect(u.ip == U_BLOB && u.sp == SP && (u.cs & 3) == from && (u.ss & 3) == from);
}

static void gate(u16 cs, ulong target, u32 dpl)
{
	gdt_set_gate(SEL_CALL, cs, target, GATE_DPL(dpl) | GATE_32, 0);
}

static void bad_gates(void)
{
	const u16 call = SEL_CALL & ~3, odd = SEL_ODD;

	rings_begin();
	inner_code(ring_inner, ring_inner_end, 0);
	far_pointer(SEL_CALL);
	gate(0, INNER, 3);
	bad_call("null cs", 3, 13, 0);
	gate(SEL_DATA(1), INNER, 3);
	bad_call("data for cs", 3, 13, SEL_DATA(1) & ~3);
	gate(0xfff9, INNER, 3);
	bad_call("cs beyond the GDT", 3, 13, 0xfff8);
	gdt_set(odd, seg_desc(0, 0xfffff, (CODE_TYPE(1) & ~0x80)));
	gate(odd, INNER, 3);
	bad_call("cs not present", 3, 11, odd);
	gate(SEL_UCODE, INNER, 3);
	bad_call("outward, from 2", 2, 13, SEL_UCODE & ~3);
	gate(SEL_CODE(1), INNER, 2);
	bad_call("closed gate", 3, 13, call);
	bad_call("closed gate by its RPL, from 2", 2, 13, call);
	gate(SEL_CODE(1), INNER, 3);
	set_ring_stack(1, SEL_DATA(1), U_NP + 0x800);
	bad_call("no stack", 3, 14, 2);
	expect(trap_cr2 == U_NP + 0x800 - sizeof(ulong));
	set_ring_stack(1, SEL_DATA(1), U_RO + 0x800);
	bad_call("read-only stack", 3, 14, 3);
	set_ring_stack(1, SEL_DATA(1), U_EDGE + 2 * sizeof(ulong));	/* room for SS and SP */
	bad_call("half of a stack", 3, 14, 2);
	expect(trap_cr2 == U_EDGE - sizeof(ulong));
	set_ring_stack(1, SEL_DATA(1), INNER_TOP(1));
	tss_limit(15);					/* ends behind ring 0's stack */
	bad_call("no room in the TSS", 3, 10, SEL_TSS);
	iopb_reset();
	rings_end();
}

#ifndef __x86_64__
/* Stacks that the TSS may not name, and code that is too short. */
static void bad_stacks(void)
{
	static const struct {
		const char *what;
		u16 ss, vec, err;
	} bad[] = {
		{ "null", 0, 10, 0 },
		{ "null with an RPL", 1, 10, 0 },
		{ "RPL", SEL_DATA(1) & ~3, 10, SEL_DATA(1) & ~3 },
		{ "DPL", (SEL_DATA(2) & ~3) | 1, 10, SEL_DATA(2) & ~3 },
		{ "code", SEL_CODE(1), 10, SEL_CODE(1) & ~3 },
		{ "beyond the GDT", 0xfff9, 10, 0xfff8 },
		{ "no LDT", 0x0d, 10, 0x0c },
	};

	rings_begin();
	far_pointer(SEL_CALL);
	gate(SEL_CODE(1), INNER, 3);
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		set_ring_stack(1, bad[i].ss, INNER_TOP(1));
		bad_call(bad[i].what, 3, bad[i].vec, bad[i].err);
	}
	set_ring_stack(1, SEL_ODD | 1, INNER_TOP(1));
	gdt_set(SEL_ODD, seg_desc(0, 0xfffff, (DATA_TYPE(1) & ~2)));
	bad_call("read-only", 3, 10, SEL_ODD);
	rings_end();
}

static void stack_not_present(void)
{
	rings_begin();
	far_pointer(SEL_CALL);
	gate(SEL_CODE(1), INNER, 3);
	set_ring_stack(1, SEL_ODD | 1, INNER_TOP(1));
	gdt_set(SEL_ODD, seg_desc(0, 0xfffff, (DATA_TYPE(1) & ~0x80)));
	bad_call("not present", 3, 12, SEL_ODD);
	rings_end();
}

/* What is wrong is a limit. */
static void bad_limits(void)
{
	rings_begin();
	far_pointer(SEL_CALL);
	gdt_set(SEL_ODD, seg_desc(0, 0xffff, 0x409b | 1 << 5));
	gate(SEL_ODD, INNER, 3);
	bad_call("code ends before the target", 3, 13, 0);
	gate(SEL_CODE(1), INNER, 3);
	set_ring_stack(1, SEL_ODD | 1, INNER_TOP(1));
	gdt_set(SEL_ODD, seg_desc(INNER_STACK, 7, 0x4093 | 1 << 5));
	set_ring_stack(1, SEL_ODD | 1, 8);
	bad_call("stack too small", 3, 12, SEL_ODD);
	rings_end();
}
#endif

void tests_gates(void)
{
	static const struct test t[] = {
		{ "call_gates", ENV_ALL, call_gates },
		{ "nulled_segment", ENV_ALL, nulled_segment },
		{ "bad_gates", ENV_ALL, bad_gates },
#ifndef __x86_64__
		{ "bad_stacks", ENV_32, bad_stacks },
		{ "stack_not_present", ENV_32, stack_not_present },
		{ "bad_limits", ENV_32, bad_limits },
#endif
	};

	run_tests("gate", t, ARRAY_SIZE(t));
}
