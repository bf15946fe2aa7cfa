/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports by IOPL and by the I/O permission bitmap (SDM 1, 19.5), string instructions too,
 * and the flags that IOPL guards.
 */
#include "tk.h"

#define PROGRAM(name) extern const u8 io_##name[], io_##name##_end[]
#define SIZES(name) PROGRAM(name##1); PROGRAM(name##2); PROGRAM(name##4)
SIZES(in);
SIZES(out);
SIZES(ins);
SIZES(outs);
SIZES(rep_ins);
SIZES(rep_outs);
PROGRAM(in_imm);
PROGRAM(out_imm);
PROGRAM(cli);
PROGRAM(sti);
PROGRAM(nothing);
PROGRAM(popf);
PROGRAM(popf16);
PROGRAM(iret);

#define FREE_PORT	0x5f0u		/* nothing is there, nor at the 15 behind it */
#define CRTC		0x3d4u		/* index, data; the cursor's place is in 14 and 15 */
#define COUNT		3u		/* of REP */
#define REP_MOV		(BITS64 ? 3u : 2u)	/* where REP comes, behind the MOV of its count */
#define SHORT_SPIN	16u		/* of the spinning that one program of many does */

static const struct op {
	const char *name;
	const u8 *start, *end;
	u8 size;
	bool in, string, rep;
} ops[] = {
#define OP(name, in, string, rep)						\
	{ #name "1", io_##name##1, io_##name##1_end, 1, in, string, rep },	\
	{ #name "2", io_##name##2, io_##name##2_end, 2, in, string, rep },	\
	{ #name "4", io_##name##4, io_##name##4_end, 4, in, string, rep }
	OP(in, true, false, false),
	OP(out, false, false, false),
	OP(ins, true, true, false),
	OP(outs, false, true, false),
	OP(rep_ins, true, true, true),
	OP(rep_outs, false, true, true),
};

static void begin(const u8 *start, const u8 *end, u16 port)
{
	load_blob(start, end);
	u.ax = 0x55aa55aa;
	u.dx = port;
	u.si = U_DATA + 0x200;
	u.di = U_DATA + 0x400;
	u.bp = COUNT;
#ifndef __x86_64__
	u.ds = u.es = SEL_UDATA;
#endif
}

/* One access, and whether it was allowed; either way everything else is as it has to be. */
static bool allowed(const struct op *o, u16 port)
{
	const u32 n = o->size * (o->rep ? COUNT : 1);
	u8 got[4 * COUNT + 1];
	bool ok = true;

	begin(o->start, o->end, port);
	memset(got, 0x11, sizeof(got));
	user_write(U_DATA + 0x400, got, sizeof(got));
	run();
	user_read(U_DATA + 0x400, got, sizeof(got));
	if (u.vec != VEC_INT80) {
		expect(u.vec == 13 && u.err == 0 && u.ip == U_BLOB + (o->rep ? REP_MOV : 0));
		expect(u.cx == (o->rep ? COUNT : 0) && u.ax == 0x55aa55aa);
		expect(u.si == U_DATA + 0x200 && u.di == U_DATA + 0x400 && got[0] == 0x11);
		return false;
	}
	for (u32 i = 0; o->in && o->string && i < n; i++)
		ok &= got[i] == 0xff;
	/* What an access that is not aligned reads is no matter of the CPU. */
	expect((ok || port % o->size) && got[n] == 0x11 && u.cx == 0);
	expect(u.si == U_DATA + 0x200 + (o->string && !o->in ? n : 0));
	expect(u.di == U_DATA + 0x400 + (o->string && o->in ? n : 0));
	expect((u32)u.ax == 0x55aa55aa || (o->in && !o->string));
	expect((u32)u.ax == (0x55aa55aa | -1u >> (32 - 8 * o->size)) ||
	       !o->in || o->string || port % o->size);
	return true;
}

/* All but one port are allowed; each access that has it among its own must fail. */
static void around(u16 closed)
{
	u32 h = FNV_START, n = 0, keep = spin;

	spin = spin / SHORT_SPIN + 1;
	for (u16 p = FREE_PORT - 8; p < FREE_PORT + 16; p++)
		iopb_allow(p, p != closed);
	for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
		for (u16 p = closed - 4; p <= closed + 1; p++) {
			bool ok = allowed(&ops[i], p);

			expect(ok == (p > closed || p + ops[i].size <= closed));
			n += ok;
			h = fnv(h, &ok, sizeof(ok));
		}
	iopb_reset();
	spin = keep;
	say("  without %x: %u accesses are allowed, hash %h\n", (u32)closed, n, h);
}

static void bitmap(void)
{
	around(FREE_PORT + 3);
	around(FREE_PORT + 7);			/* the ends of a byte of the bitmap */
	around(FREE_PORT + 8);
}

/* Two bytes are read for each access, and both have to be within the TSS. */
static void bitmap_ends(void)
{
	const u16 last = FREE_PORT + 7;
	u32 keep = spin;

	spin = spin / SHORT_SPIN + 1;
	for (u16 p = FREE_PORT; p < FREE_PORT + 16; p++)
		iopb_allow(p, true);
	for (u32 extra = 1; extra <= 2; extra++) {
		iopb_place(0, last / 8 + extra);
		for (u32 i = 0; i < ARRAY_SIZE(ops); i++) {
			expect(allowed(&ops[i], last - 3) == (extra == 2));
			expect(allowed(&ops[i], last) == (extra == 2));
			expect(!allowed(&ops[i], last + 1));
		}
		say("  %u bytes: %s\n", extra, extra == 2 ? "all ports but the next" : "none");
	}
	iopb_reset();
	spin = keep;
}

/* Elsewhere in the TSS, beyond its limit, and a TSS too short to say. */
static void bitmap_moved(void)
{
	for (u16 p = FREE_PORT + 8; p < FREE_PORT + 16; p++)
		iopb_allow(p, true);
	expect(!allowed(&ops[0], FREE_PORT) && allowed(&ops[0], FREE_PORT + 8));
	iopb_place(1, FREE_PORT);		/* each bit is now eight ports down */
	expect(allowed(&ops[0], FREE_PORT) && !allowed(&ops[0], FREE_PORT + 8));
	iopb_place(0x4000, FREE_PORT);
	expect(!allowed(&ops[0], FREE_PORT) && !allowed(&ops[0], 0));
	iopb_place(0, FREE_PORT);
	expect(allowed(&ops[0], FREE_PORT + 8));
	tss_limit(0x60);
	expect(!allowed(&ops[0], FREE_PORT + 8));
	iopb_reset();
	expect(!allowed(&ops[0], FREE_PORT + 8));
	say("  moved, and back\n");
}

/* IOPL 3 opens all ports, less than that none. */
static void by_iopl(void)
{
	for (u32 iopl = 0; iopl < 4; iopl++) {
		u32 n = 0, keep = spin;

		spin = spin / SHORT_SPIN + 1;
		for (u32 i = 0; i < ARRAY_SIZE(ops); i++) {
			u.flags = FL_IF | 2 | iopl << 12;
			n += allowed(&ops[i], FREE_PORT + i % 8);
			expect((u.flags & FL_IOPL3) == iopl << 12);
		}
		spin = keep;
		say("  IOPL %u: %u of %u\n", iopl, n, (u32)ARRAY_SIZE(ops));
		expect(n == (iopl == 3 ? ARRAY_SIZE(ops) : 0));
	}
	u.flags = FL_IF | 2;
}

static u8 crtc(u8 index)
{
	outb(CRTC, index);
	return inb(CRTC + 1);
}

/* What is written arrives, in order, and what is there is read. */
static void real_port(void)
{
	static const u16 cursor[COUNT] = { 0x010e, 0x230f, 0x450f };

	for (u16 p = CRTC; p < CRTC + 2; p++)
		iopb_allow(p, true);
	begin(io_rep_outs2, io_rep_outs2_end, CRTC);
	user_write(u.si, cursor, sizeof(cursor));
	expect(run() == VEC_INT80);
	expect(crtc(0x0e) == 0x01 && crtc(0x0f) == 0x45);
	begin(io_rep_ins1, io_rep_ins1_end, CRTC + 1);
	expect(run() == VEC_INT80);
	expect((user_get32(U_DATA + 0x400) & 0xffffff) == 0x454545);
	begin(io_out2, io_out2_end, CRTC);
	u.ax = 0x670f;
	expect(run() == VEC_INT80 && crtc(0x0f) == 0x67);
	begin(io_rep_outs2, io_rep_outs2_end, CRTC);
	u.flags |= FL_DF;			/* from the end to the beginning */
	u.si += 4;
	expect(run() == VEC_INT80 && u.si == U_DATA + 0x200 - 2);
	u.flags &= ~(ulong)FL_DF;
	expect(crtc(0x0e) == 0x01 && crtc(0x0f) == 0x23);
	iopb_reset();
	iopb_allow(0xe9, true);
	begin(io_in_imm, io_in_imm_end, 0);
	expect(run() == VEC_INT80 && (u8)u.ax == 0xe9);
	begin(io_out_imm, io_out_imm_end, 0);
	expect(run() == 13 && u.ip == U_BLOB);
	iopb_allow(0x80, true);
	begin(io_out_imm, io_out_imm_end, 0);
	expect(run() == VEC_INT80);
	iopb_reset();
	say("  cursor %x%x\n", (u32)crtc(0x0e), (u32)crtc(0x0f));
}

/* REP that comes to a hole: what was done counts, the rest is there to be done again. */
static void faults_halfway(const struct op *o)
{
	const ulong end = U_EDGE + PAGE;

	begin(o->start, o->end, FREE_PORT);
	u.bp = 6;
	u.si = u.di = end - 4 * o->size;
	run();
	say("  %s: vec=%x err=%x cr2=%X cx=%X si=%X di=%X\n", o->name, (u32)u.vec, (u32)u.err,
	    (u64)trap_cr2, (u64)u.cx, (u64)u.si, (u64)u.di);
	expect(u.vec == 14 && u.err == (o->in ? 6 : 4) && trap_cr2 == end);
	expect(u.ip == U_BLOB + REP_MOV && u.cx == 2 && (o->in ? u.di : u.si) == end);
	begin(o->start, o->end, FREE_PORT);
	u.bp = 6;
	u.si = u.di = end - 4 * o->size + 1;	/* an access that has its end in the hole */
	run();
	expect(u.vec == 14 && trap_cr2 == end);
	expect(u.cx == 3);
	begin(o->start, o->end, FREE_PORT + 8);	/* no permission comes first */
	u.si = u.di = U_NP;
	expect(run() == 13 && u.cx == COUNT);
}

static void string_faults(void)
{
	for (u16 p = FREE_PORT; p < FREE_PORT + 4; p++)
		iopb_allow(p, true);
	for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
		if (ops[i].rep)
			faults_halfway(&ops[i]);
	iopb_reset();
}

#define GO(name) (begin(io_##name, io_##name##_end, 0), run())

static void say_flags(const char *what, u32 iopl)
{
	say("  %s, IOPL %u: vec=%x ip=%X flags=%x bx=%x\n", what, iopl, (u32)u.vec, (u64)u.ip,
	    (u32)u.flags & FL_SHOWN & ~FL_RF, (u32)u.bx & FL_SHOWN);
}

/* CLI and STI need it; POPF and IRET pass over what it does not allow. */
static void flags_by_iopl(void)
{
	for (u32 n = 0; n < 8; n++) {
		const u32 iopl = n / 2, on = n % 2 ? FL_IF : 0, was = 2 | on | iopl << 12;
		const u32 other = 2 | (on ^ FL_IF) | (FL_IOPL3 & ~(iopl << 12)) | FL_CF;
		const u32 then = iopl == 3 ? on ^ FL_IF : on;

		u.flags = was;
		expect(GO(nothing) == VEC_INT80 && (u32)u.bx == was);
		say_flags("nothing", iopl);
		u.flags = was;
		expect(GO(cli) == (iopl == 3 ? VEC_INT80 : 13));
		expect((u.flags & FL_IF) == (iopl == 3 ? 0 : on));
		say_flags("cli", iopl);
		u.flags = was;
		expect(GO(sti) == (iopl == 3 ? VEC_INT80 : 13));
		expect((u.flags & FL_IF) == (iopl == 3 ? FL_IF : on));
		say_flags("sti", iopl);
		u.flags = was;
		begin(io_popf, io_popf_end, 0);
		u.ax = other;
		expect(run() == VEC_INT80 && (u32)u.bx == (2 | FL_CF | then | iopl << 12));
		say_flags("popf", iopl);
		u.flags = was;
		begin(io_popf16, io_popf16_end, 0);
		u.ax = other;
		expect(run() == VEC_INT80 && (u32)u.bx == (2 | FL_CF | then | iopl << 12));
		u.flags = was;
		begin(io_iret, io_iret_end, 0);
		u.ax = other;
		u.si = U_BLOB + (io_iret_end - io_iret);	/* the UD2 behind it */
		expect(run() == 6 && u.ip == u.si);
		expect((u.flags & ~(ulong)FL_RF) == (2 | FL_CF | then | iopl << 12));
		say_flags("iret", iopl);
	}
	u.flags = FL_IF | 2;
}

void tests_io(void)
{
	static const struct test t[] = {
		{ "bitmap", ENV_ALL, bitmap },
		{ "bitmap_ends", ENV_ALL, bitmap_ends },
		{ "bitmap_moved", ENV_ALL, bitmap_moved },
		{ "by_iopl", ENV_ALL, by_iopl },
		{ "real_port", ENV_ALL, real_port },
		{ "string_faults", ENV_ALL, string_faults },
		{ "flags_by_iopl", ENV_ALL, flags_by_iopl },
	};

	run_tests("io", t, ARRAY_SIZE(t));
}
