/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sensitive instructions about segments: user code sees the selectors and descriptors that
 * this kernel gave it, never those of the machine below.
 */
#include "pages.h"

#define PROGRAM(name) extern const u8 sens_##name[], sens_##name##_end[]
PROGRAM(lar);
PROGRAM(lsl);
PROGRAM(verr_verw);
PROGRAM(read_selectors);
PROGRAM(push_cs);
PROGRAM(push_ss);
PROGRAM(push_ds);
PROGRAM(push_es);
PROGRAM(push_fs);
PROGRAM(push_gs);
#define LOAD(name) load_blob(sens_##name, sens_##name##_end)

/* LAR, LSL, VERR and VERW of every selector: LDT bit off and on, RPL 0 and 3. */
static void descriptors_seen(void)
{
	u32 h = FNV_START, valid = 0;
	u32 most = spinning ? 64 : 0;		/* spin before the first ones only */

	LOAD(lar);
	u.dx = SEL_XONLY;			/* no other system has it there */
	expect(run() == VEC_INT80 && u.si == 1);
	for (u32 sel = 0; sel < GDT_SLOTS * 8 + 32; sel++) {
		u32 out[3];
		u32 keep = spin;

		if (sel >= most)
			spin = 1;
		LOAD(lar);
		u.dx = sel;
		u.bx = 0xabcdef01;
		expect(run() == VEC_INT80);
		out[0] = u.ax;
		valid += u.si;
		LOAD(lsl);
		u.dx = sel;
		u.bx = 0xabcdef01;
		expect(run() == VEC_INT80);
		out[1] = u.ax;
		LOAD(verr_verw);
		u.dx = sel;
		expect(run() == VEC_INT80);
		out[2] = u.si;
		spin = keep;
		/* The TSS has its busy bit and some segments their A bit set by now: as ever. */
		if (sel < 0x60 && (sel & 7) == 3)
			say("  %x: lar %x lsl %x verr/verw %x\n", sel, out[0], out[1], out[2]);
		h = fnv(h, out, sizeof(out));
	}
	say("  %u selectors are valid for LAR, hash %h\n", valid, h);
}

static void expect_look(u16 sel, u64 d, u32 limit, u32 rights)
{
	LOAD(lar);
	u.dx = sel;
	u.bx = 0xabcdef01;
	expect(run() == VEC_INT80 && u.si == (d != 0));
	expect(d ? ((u32)u.ax & 0xf0ff00) == ((u32)(d >> 32) & 0xf0ff00) : (u32)u.ax == 0xabcdef01);
	LOAD(lsl);
	u.dx = sel;
	u.bx = 0xabcdef01;
	expect(run() == VEC_INT80 && u.si == (d != 0));
	expect((u32)u.ax == (d ? limit : 0xabcdef01));
	LOAD(verr_verw);
	u.dx = sel;
	expect(run() == VEC_INT80 && u.si == rights);
}

/*
 * The same where all that user code sees are segments that it may load, so that
 * an accelerator can let it look for itself, and while the kernel changes them.
 */
static void descriptors_changed(void)
{
	static const u16 odd[] = {
		SEL_NP_DATA, SEL_NP_CODE, SEL_CONF, SEL_GATE, SEL_NPGATE,
#ifndef __x86_64__
		SEL_UCODE64,		/* its L bit means nothing here */
#endif
	};
	const u16 sel = SEL_FREE | 3;
	u64 was[ARRAY_SIZE(odd)];

	for (u32 i = 0; i < ARRAY_SIZE(odd); i++) {
		was[i] = gdt_get(odd[i]);
		gdt_set(odd[i], 0);
	}
	for (u32 i = 0; i < 4; i++) {
		u64 d = seg_desc(U_DATA + i * PAGE, 0x700 + i, i & 1 ? 0x40f3 : 0x40f1);

		expect_look(SEL_UDATA, gdt_get(SEL_UDATA), 0xffffffff, 3);
		expect_look(SEL_UCODE, gdt_get(SEL_UCODE), 0xffffffff, 1);
		expect_look(SEL_XONLY, gdt_get(SEL_XONLY), 0xffffffff, 0);
		expect_look(SEL_KDATA, 0, 0, 0);
		gdt_set(sel, d);
		expect_look(sel, d, 0x700 + i, i & 1 ? 3 : 1);
		expect_look(sel & ~3, d, 0x700 + i, i & 1 ? 3 : 1);
		gdt_set(sel, d & ~(1ull << 40));	/* not accessed: LAR does not mind, or set it */
		expect_look(sel, d & ~(1ull << 40), 0x700 + i, i & 1 ? 3 : 1);
		expect(gdt_get(sel) == (d & ~(1ull << 40)));
		gdt_set(sel, 0);
		expect_look(sel, 0, 0, 0);
	}
	for (u32 i = 0; i < ARRAY_SIZE(odd); i++)
		gdt_set(odd[i], was[i]);
}

static void selectors_read(void)
{
	LOAD(read_selectors);
	expect(run() == VEC_INT80);
	expect((u16)u.ax == SEL_UCODE && (u16)u.bx == SEL_UDATA);
	say("  cs=%x ss=%x ds=%x es=%x fs=%x gs=%x pushed %x\n", (u32)u.ax, (u32)u.bx, (u32)u.dx,
	    (u32)u.si, (u32)u.di, (u32)u.bp, (u32)u.cx);
	u.fs = u.gs = SEL_UDATA;
#ifdef __x86_64__
	u.ds = u.es = SEL_UDATA;
#endif
	LOAD(read_selectors);
	expect(run() == VEC_INT80);
	expect((u16)u.di == SEL_UDATA && (u16)u.bp == SEL_UDATA);
	say("  fs=%x gs=%x pushed %x, stored %x\n", (u32)u.di, (u32)u.bp, (u32)u.cx,
	    user_get32(U_DATA));
}

/* One instruction a page: an accelerator has to find each by itself. */
static void selectors_pushed(void)
{
#define PUSHED(seg, sel)	{ sens_push_##seg, sens_push_##seg##_end, sel }
	static const struct {
		const u8 *start, *end;
		u16 sel;
	} t[] = {
#ifndef __x86_64__
		PUSHED(cs, SEL_UCODE),
		PUSHED(ss, SEL_UDATA),
		PUSHED(ds, SEL_UDATA2),
		PUSHED(es, SEL_UDATA),
#endif
		PUSHED(fs, SEL_UDATA2),
		PUSHED(gs, SEL_UDATA),
	};

	u.fs = SEL_UDATA2;
	u.gs = SEL_UDATA;
#ifndef __x86_64__
	u.ds = SEL_UDATA2;
	u.es = SEL_UDATA;
#endif
	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		ulong at = VA + i * PAGE, v = 0;

		map_new(cur, at, 1, P_URO);
		user_write(at, t[i].start, t[i].end - t[i].start);
		u.dx = 0;
		expect(u_call(at, &v));
		say("  pushed %x, by 16 bits %x\n", (u32)(u16)v, (u32)(u16)u.dx);
		expect((u16)v == t[i].sel && (u16)u.dx == t[i].sel);
	}
}

void tests_selectors(void)
{
	static const struct test t[] = {
		{ "descriptors_seen", ENV_ALL, descriptors_seen },
		{ "descriptors_changed", ENV_ALL, descriptors_changed },
		{ "selectors_read", ENV_ALL, selectors_read },
		{ "selectors_pushed", ENV_ALL, selectors_pushed },
	};

	run_tests("sensitive", t, ARRAY_SIZE(t));
}
