/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interrupt flag that only seems to be one: CR4.VME in virtual-8086 mode, with interrupts
 * that go to its own handlers, and CR4.PVI in ring 3 of protected mode (SDM 3B, 20.3 and 20.4).
 */
#include "v86.h"

#define CPUID_1_VME	2u		/* EDX */
#define IO(name) extern const u8 io_##name[], io_##name##_end[]
IO(cli);
IO(sti);
IO(nothing);
IO(popf);
IO(popf16);
IO(iret);

static bool has_vme(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	if (r[3] & CPUID_1_VME)
		return true;
	say("  the CPU model has no VME\n");
	return false;
}

#define VIRTUAL(flags)	((flags) & (FL_VIF | FL_VIP))

static void say_flags(const char *what, u32 iopl)
{
	say("  %s, IOPL %u: vec=%x err=%x ip=%X flags=%x bx=%x\n", what, iopl, (u32)u.vec,
	    (u32)u.err, (u64)u.ip, (u32)u.flags & FL_SHOWN & ~FL_RF, (u32)u.bx & FL_SHOWN);
}

/* ---- protected mode, ring 3 ---- */

static u32 flags_go(const char *what, const u8 *start, const u8 *end, u32 flags, u32 ax)
{
	load_blob(start, end);
	u.flags = flags;
	u.ax = ax;
	u.si = U_BLOB + (end - start);		/* IRET goes to the UD2 behind it */
	run();
	say_flags(what, flags >> 12 & 3);
	return u.vec;
}
#define GO(name, flags, ax) flags_go(#name, io_##name, io_##name##_end, flags, ax)

/*
 * CLI and STI change VIF instead, and STI comes to the kernel when an interrupt is pending.
 * With both flags set already no instruction begins (SDM 3B, 20.3.2; where Bochs has it
 * otherwise: tests_vme_bochs_differs()).
 */
static void pvi(void)
{
	if (!has_vme())
		return;
	set_cr4(get_cr4() | CR4_PVI);
	for (u32 n = 0; n < 16; n++) {
		const u32 iopl = n / 4, vif = n & 1 ? FL_VIF : 0, vip = n & 2 ? FL_VIP : 0;
		const u32 was = FL_IF | 2 | iopl << 12 | vif | vip, other = 2 | FL_CF;
		const bool real = iopl == 3;

		if (vif && vip) {
			if (!BITS64 && !real)
				expect(GO(nothing, was, 0) == 13 && u.ip == U_CODE);
			continue;
		}
		expect(GO(nothing, was, 0) == VEC_INT80 && (u32)u.bx == was);
		expect(GO(cli, was, 0) == VEC_INT80);
		expect((u32)u.bx == (real ? was & ~FL_IF : was & ~FL_VIF));
		if (vip && !real) {
			expect(GO(sti, was, 0) == 13 && u.err == 0 && u.ip == U_BLOB);
			expect((u.flags & ~(ulong)FL_RF) == was);
		} else {
			expect(GO(sti, was & (real ? ~FL_IF : ~0u), 0) == VEC_INT80);
			expect((u32)u.bx == (real ? was : was | FL_VIF));
		}
		/* These have nothing of it (SDM 3B, 20.4). */
		expect(GO(popf, was, other ^ FL_VIF ^ FL_VIP) == VEC_INT80);
		expect((u32)u.bx == (FL_CF | (real ? was & ~FL_IF : was)));
		expect(GO(popf16, was, other) == VEC_INT80);
		expect((u32)u.bx == (FL_CF | (real ? was & ~FL_IF : was)));
		expect(GO(iret, was, other ^ FL_VIF ^ FL_VIP) == 6);
		expect((u.flags & ~(ulong)FL_RF) == (FL_CF | (real ? was & ~FL_IF : was)));
	}
	set_cr4(get_cr4() & ~(ulong)CR4_PVI);
}

/* Without PVI they are two flags as any other that only ring 0 changes. */
static void only_flags(void)
{
	if (!has_vme())
		return;
	for (u32 n = 0; n < 4; n++) {
		const u32 was = FL_IF | 2 | (n & 1 ? FL_VIF : 0) | (n & 2 ? FL_VIP : 0);

		expect(GO(nothing, was, 0) == VEC_INT80 && (u32)u.bx == was);
		expect(GO(cli, was, 0) == 13 && VIRTUAL(u.flags) == VIRTUAL(was));
		expect(GO(sti, was, 0) == 13 && VIRTUAL(u.flags) == VIRTUAL(was));
		expect(GO(popf, was, 2 | FL_CF) == VEC_INT80 && (u32)u.bx == (was | FL_CF));
	}
}

/* ---- virtual-8086 mode ---- */
#ifndef __x86_64__
PROGRAM(nothing);
PROGRAM(cli);
PROGRAM(sti);
PROGRAM(pushf);
PROGRAM(popf);
PROGRAM(iret);
PROGRAM(pushfl);
PROGRAM(popfl);
PROGRAM(iretl);
PROGRAM(int3);
PROGRAM(int3_long);
PROGRAM(into);
PROGRAM(int21);

#define HANDLER		0x800		/* in CODE: where interrupts and IRET go */
#define ON_STACK	(STACK * 16 + 0x1000)
#define LOOP		4		/* bytes of the spinning that each program begins with */
#define IOPL3(iopl)	((iopl) == 3)

static u32 flags_on_stack;		/* for POPF, and for IRET above ip and cs */

/* Returns the vector at the end, which is at INT 0x80, or where that has no right to be. */
static u32 v86_go(const char *name, const u8 *start, const u8 *end, u32 flags)
{
	static const u8 int_80[] = { 0xcd, VEC_INT80 };
	const bool iret = name[0] == 'i' && name[1] == 'r', longs = name[4] == 'l';
	u32 frame[3] = { HANDLER, CODE, flags_on_stack };

	v86_begin(0);
	u.flags |= flags;
	user_write(CODE * 16, start, end - start);
	user_write(CODE * 16 + HANDLER, int_80, sizeof(int_80));
	if (!iret) {
		user_put32(ON_STACK, flags_on_stack);
	} else if (longs) {
		user_write(ON_STACK, frame, sizeof(frame));
	} else {
		user_put32(ON_STACK, HANDLER | CODE << 16);
		user_put32(ON_STACK + 4, flags_on_stack);
	}
	run();
	say("  %s, flags %x, stack %x: vec=%x err=%x cs:ip=%x:%x flags=%x%s sp=%x stack=%x\n", name,
	    flags, flags_on_stack, (u32)u.vec, (u32)u.err, (u32)u.cs, (u32)u.ip,
	    (u32)u.flags & FL_SHOWN & ~FL_RF, u.flags & FL_RF ? " rf" : "", (u32)u.sp,
	    user_get32(STACK * 16 + (u16)u.sp));
	return u.vec;
}
#define V86(name, flags) v86_go(#name, seg_v86_##name, seg_v86_##name##_end, flags)

static bool vme_begin(void)
{
	if (!has_vme())
		return false;
	v86_map();
	set_cr4(get_cr4() | CR4_VME);
	return true;
}

static void vme_end(void)
{
	set_cr4(get_cr4() & ~(ulong)CR4_VME);
	iopb_reset();
}

static bool at_end(u32 vec, u32 iopl)
{
	return vec == (IOPL3(iopl) ? VEC_INT80 : 13);	/* no INT n that is not redirected */
}

/* An interrupt that is pending and allowed comes to the kernel before anything else. */
static void both(u32 iopl)
{
	if (iopl == 3)
		return;
	expect(V86(nothing, FL_VIF | FL_VIP | iopl << 12) == 13 && u.ip == 0 && u.err == 0);
	expect(VIRTUAL(u.flags) == (FL_VIF | FL_VIP));
}

/* CLI, STI and PUSHF, for each state of the two flags. */
static void vme_flags(void)
{
	if (!vme_begin())
		return;
	for (u32 n = 0; n < 8; n++) {
		const u32 iopl = n & 4 ? 3 : 0, vif = n & 1 ? FL_VIF : 0, vip = n & 2 ? FL_VIP : 0;
		const u32 was = vif | vip | iopl << 12;
		u32 pushed;

		if (vif && vip) {
			both(iopl);
			continue;
		}
		expect(at_end(V86(nothing, was), iopl) && VIRTUAL(u.flags) == (vif | vip));
		expect(at_end(V86(cli, was), iopl));
		expect(VIRTUAL(u.flags) == (iopl ? vif | vip : vip));
		expect(!(u.flags & FL_IF) == (iopl == 3));
		expect(V86(sti, was) == (iopl ? VEC_INT80 : 13));
		if (!iopl && vip)
			expect(u.ip == LOOP && VIRTUAL(u.flags) == (vif | vip));
		else
			expect(u.ip >= LOOP + 1 && VIRTUAL(u.flags) == (iopl ? vif | vip : FL_VIF));
		expect(at_end(V86(pushf, was), iopl));
		pushed = user_get32(STACK * 16 + 0xffe) & 0xffff;
		expect((pushed & FL_IOPL3) == FL_IOPL3);	/* it seems to be 3 */
		expect(!(pushed & FL_IF) == (!iopl && !vif));	/* and IF is VIF */
		expect(V86(pushfl, was) == (iopl ? VEC_INT80 : 13));
		expect(iopl || u.ip == LOOP);
	}
	vme_end();
}

/* POPF and IRET: IF goes to VIF, unless that would let in what is pending, or TF. */
static void vme_popped(void)
{
	static const u32 popped[] = { 2, FL_IF | 2, FL_TF | 2, FL_IF | 2 | FL_CF | FL_DF | FL_NT };

	if (!vme_begin())
		return;
	for (u32 n = 0; n < 16; n++) {
		const u32 vif = n & 1 ? FL_VIF : 0, vip = n & 2 ? FL_VIP : 0, f = popped[n / 4];
		const bool refused = f & FL_TF || (f & FL_IF && vip);
		const u32 then = f & FL_IF ? FL_VIF : 0;

		flags_on_stack = f;
		if (vif && vip) {
			both(0);
			continue;
		}
		expect(V86(popf, vif | vip) == 13 && !(u.ip == LOOP) == !refused);
		expect(VIRTUAL(u.flags) == (refused ? vif | vip : then | vip));
		expect(u.flags & FL_IF && !(u.flags & FL_IOPL3) && u.flags & FL_VM);
		expect(refused || !((u.flags ^ f) & (FL_CF | FL_DF | FL_NT)));
		expect(u.sp == (refused ? 0x1000 : 0x1002));
		expect(V86(iret, vif | vip) == 13 && u.ip == (refused ? LOOP : HANDLER));
		expect(VIRTUAL(u.flags) == (refused ? vif | vip : then | vip));
		expect(u.flags & FL_IF && u.sp == (refused ? 0x1000 : 0x1006));
		/* The long forms have no part in it. */
		expect(V86(popfl, vif | vip) == 13 && u.ip == LOOP && u.sp == 0x1000);
		expect(V86(iretl, vif | vip) == 13 && u.ip == LOOP && u.sp == 0x1000);
	}
	/* With IOPL 3 they are what they are without VME. */
	for (u32 n = 0; n < 4; n++) {
		const u32 was = (n & 1 ? FL_VIF : 0) | (n & 2 ? FL_VIP : 0);

		if (n == 3)
			continue;
		flags_on_stack = 2 | FL_CF;
		expect(V86(popf, was | FL_IOPL3) == VEC_INT80 && VIRTUAL(u.flags) == was);
		expect(!(u.flags & FL_IF) && (u.flags & FL_IOPL3) == FL_IOPL3);
		expect(V86(popfl, was | FL_IOPL3) == VEC_INT80 && VIRTUAL(u.flags) == was);
		expect(V86(iret, was | FL_IOPL3) == VEC_INT80 && u.ip == HANDLER + 2);
		expect(V86(iretl, was | FL_IOPL3) == VEC_INT80 && u.ip == HANDLER + 2);
		expect(VIRTUAL(u.flags) == was && !(u.flags & FL_IF));
	}
	flags_on_stack = 0;
	vme_end();
}

/* INT n by the bitmap in the TSS: to virtual-8086 mode's own table at 0, or to the kernel. */
static void vme_redirected(void)
{
	if (!vme_begin())
		return;
	user_put32(0x21 * 4, HANDLER | CODE << 16);
	user_put32(3 * 4, HANDLER | CODE << 16);
	for (u32 n = 0; n < 16; n++) {
		const u32 iopl = n & 4 ? 3 : 0, vif = n & 1 ? FL_VIF : 0, vip = n & 2 ? FL_VIP : 0;
		const u32 was = vif | vip | iopl << 12;
		const bool own = n & 8;
		u16 frame[3];

		if (vif && vip) {
			both(iopl);
			continue;
		}
		redirect(0x21, own);
		redirect(3, own);
		redirect(4, own);
		V86(int21, was);
		if (own) {
			user_read(STACK * 16 + 0xffa, frame, sizeof(frame));
			expect(at_end(u.vec, iopl) && u.cs == CODE);
			expect(u.ip == (iopl ? HANDLER + 2 : HANDLER) && u.sp == 0xffa);
			expect(frame[0] == LOOP + 2 && frame[1] == CODE);
			expect((frame[2] & FL_IOPL3) == FL_IOPL3);
			expect(!(frame[2] & FL_IF) == (!iopl && !vif));
			expect(VIRTUAL(u.flags) == (iopl ? vif | vip : vip));
			expect(!(u.flags & FL_IF) == (iopl == 3));
		} else {
			/* The kernel's gate is closed, or INT n is. */
			expect(u.vec == 13 && u.ip == LOOP && u.sp == 0x1000);
			expect(u.err == (iopl ? 0x21 * 8 + 2 : 0));
			expect(VIRTUAL(u.flags) == (vif | vip));
		}
		V86(int3_long, was);
		expect(u.vec == (own ? (iopl ? VEC_INT80 : 13) : (iopl ? 3 : 13)));
		/* INT3 and INTO are not INT n. */
		expect(V86(int3, was) == 3 && u.ip == LOOP + 1 && VIRTUAL(u.flags) == (vif | vip));
		expect(V86(into, was) == 4 && u.ip == LOOP + 5 && VIRTUAL(u.flags) == (vif | vip));
	}
	vme_end();
}
#endif

/*
 * VIP counts only where IOPL is less than 3 (SDM 3A, 2.3), and the manual makes no exception
 * of 64-bit code.  Bochs does (cpu.cc, prefetch()).
 */
static void both_virtual_flags(void)
{
	const u32 was = FL_IF | 2 | FL_VIF | FL_VIP;

	if (!has_vme())
		return;
	set_cr4(get_cr4() | CR4_PVI);
	expect(GO(nothing, was, 0) == 13 && u.ip == U_CODE);
	expect(GO(nothing, was | FL_IOPL3, 0) == VEC_INT80);
	set_cr4(get_cr4() & ~(ulong)CR4_PVI);
}

void tests_vme_bochs_differs(void)
{
	static const struct test t[] = {
		{ "both_virtual_flags", ENV_ALL, both_virtual_flags },
	};

	run_tests("vme", t, ARRAY_SIZE(t));
}

void tests_vme(void)
{
	static const struct test t[] = {
		{ "pvi", ENV_ALL, pvi },
		{ "only_flags", ENV_ALL, only_flags },
#ifndef __x86_64__
		{ "flags", ENV_32, vme_flags },
		{ "popped", ENV_32, vme_popped },
		{ "redirected", ENV_32, vme_redirected },
#endif
	};

	run_tests("vme", t, ARRAY_SIZE(t));
}
