/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Segments as no flat system has them: bases, limits, expand-down, 16-bit
 * code and stacks, LDT, conforming code, call gates, compatibility mode.
 */
#include "tk.h"

#define PROGRAM(name) extern const u8 seg_##name[], seg_##name##_end[]
PROGRAM(basic32);
PROGRAM(load);
PROGRAM(load_es);
PROGRAM(store);
PROGRAM(load_fs);
PROGRAM(load_gs);
PROGRAM(store_fs);
PROGRAM(load_bp);
PROGRAM(push);
PROGRAM(pop);
PROGRAM(load_es_by_selector);
PROGRAM(far_call);
PROGRAM(far_jump);
PROGRAM(far_target);
PROGRAM(run_off);
PROGRAM(spin_int80);
PROGRAM(code16);
PROGRAM(to_64_and_back);
PROGRAM(widths);
PROGRAM(widths32);
PROGRAM(widths64);
PROGRAM(load_segs64);
PROGRAM(far_call64);
PROGRAM(load_pointers);

#define VA		((ulong)U_TEST)
#define SEL_A		(SEL_FREE | 3)
#define SEL_B		((SEL_FREE + 8) | 3)
#define LDT_DATA	0x07
#define LDT_CODE	0x0f

/* Access byte, then the nibble of G, D/B, L, AVL. */
#define DATA32		0x40f3
#define DATA32_RO	0x40f1
#define DATA32_DOWN	0x40f7
#define DATA32_BIG	0xc0f3		/* limit in pages */
#define DATA32_BIG_DOWN	0xc0f7
#define STACK16		0x00f3
#define CODE32		0x40fb
#define CODE32_BIG	0xc0fb
#define CODE16		0x00fb
#define ACCESSED	(1ull << 40)

/* Runs a program at U_CODE, or at offset 0 of code segment cs when that has base U_CODE. */
static u32 go(const u8 *start, const u8 *end, u16 cs, ulong ip)
{
	user_write(U_CODE, start, end - start);
	u.cs = cs;
	u.ip = ip;
	u.cx = spin;
	run();
	say("  vec=%x err=%x ip=%X", (u32)u.vec, (u32)u.err, (u64)u.ip);
	if (u.vec == 14)
		say(" cr2=%X", (u64)trap_cr2);
	say(" cs=%x ax=%x bx=%x dx=%x\n", (u32)u.cs, (u32)u.ax, (u32)u.bx, (u32)u.dx);
	return u.vec;
}
#define GO(name) go(seg_##name, seg_##name##_end, SEL_UCODE32, U_CODE)
#define GO_CS(name, cs) go(seg_##name, seg_##name##_end, cs, 0)

/* 32-bit code wants data segments in long mode too. */
static void flat(void)
{
	u.ds = u.es = SEL_UDATA;
	u.ss = SEL_UDATA;
	u.sp = U_STACK_TOP - 64;
}

static void fill_data(void)
{
	for (u32 i = 0; i < U_DATA_PAGES * PAGE; i += 4)
		user_put32(U_DATA + i, 0xda7a0000 + i);
}

static void basic32(void)
{
	flat();
	u.ax = 0x41;
	expect(GO(basic32) == VEC_INT80);
	expect((u32)u.ax == 0x42 && (u32)u.bx == 0x42 && (u32)u.si == 4);
	expect((u32)u.dx == U_CODE && user_get32(U_DATA) == 0x42);
	say("  regs=%h\n", ctx_hash());
}

static void base_and_limit(void)
{
	flat();
	fill_data();
	gdt_set(SEL_A, seg_desc(U_DATA, 0xfff, DATA32));
	u.ds = SEL_A;
	u.si = 0x10;
	expect(GO(load) == VEC_INT80 && (u32)u.ax == 0xda7a0010);
	u.si = 0xffc;
	expect(GO(load) == VEC_INT80 && (u32)u.ax == 0xda7a0ffc);
	u.si = 0xffd;
	expect(GO(load) == 13 && u.err == 0);
	u.si = 0x1000;
	expect(GO(store) == 13 && u.err == 0);
	u.si = 0xfffffffe;
	expect(GO(load) == 13);
	u.si = 0x20;
	u.ax = 0x77;
	expect(GO(store) == VEC_INT80 && user_get32(U_DATA + 0x20) == 0x77);
	gdt_set(SEL_A, seg_desc(U_DATA, 0xfff, DATA32_RO));
	expect(GO(load) == VEC_INT80);
	expect(GO(store) == 13 && u.err == 0);
	gdt_set(SEL_A, seg_desc(U_DATA + PAGE, 0xfff, DATA32));	/* moved: seen at the next load */
	expect(GO(load) == VEC_INT80 && (u32)u.ax == 0xda7a1020);
}

static void page_granular_limit(void)
{
	flat();
	fill_data();
	gdt_set(SEL_A, seg_desc(0, U_DATA / PAGE, DATA32_BIG));	/* to the end of U_DATA's first page */
	u.ds = SEL_A;
	u.si = U_DATA + 0xffc;
	expect(GO(load) == VEC_INT80 && (u32)u.ax == 0xda7a0ffc);
	u.si = U_DATA + 0xffe;
	expect(GO(load) == 13);
	u.si = U_DATA + 0x1000;
	expect(GO(load) == 13);
}

static void expand_down(void)
{
	flat();
	fill_data();
	gdt_set(SEL_A, seg_desc(U_DATA - PAGE, 0xfff, DATA32_DOWN));
	u.ds = SEL_A;
	u.si = 0x1000;
	expect(GO(load) == VEC_INT80 && (u32)u.ax == 0xda7a0000);
	u.si = 0xfff;
	expect(GO(load) == 13 && u.err == 0);
	u.si = 0;
	expect(GO(load) == 13);
	u.si = 0x2000;
	expect(GO(load) == VEC_INT80 && (u32)u.ax == 0xda7a1000);
	u.si = 0xfffffff0;			/* in the segment, but not mapped */
	expect(GO(load) == 14);
}

/* By a segment in SEL_A, from where a flat one would find something too. */
static void not_flat(const u8 *start, const u8 *end, u32 vec)
{
	u.si = u.bp = U_DATA;
	gdt_set(SEL_A, seg_desc(PAGE, 0xfffff, DATA32_BIG));
	expect(go(start, end, SEL_UCODE32, U_CODE) == VEC_INT80 && (u32)u.ax == 0xda7a1000);
	gdt_set(SEL_A, seg_desc(0, U_DATA / PAGE, DATA32_BIG_DOWN));
	expect(go(start, end, SEL_UCODE32, U_CODE) == vec && u.err == 0);
	u.si = u.bp = U_DATA + PAGE;
	gdt_set(SEL_A, seg_desc(0, U_DATA / PAGE, DATA32_BIG));
	expect(go(start, end, SEL_UCODE32, U_CODE) == vec && u.err == 0);
}
#define NOT_FLAT(name, vec) not_flat(seg_##name, seg_##name##_end, vec)

/*
 * An accelerator that took these segments for flat would be saved by a page fault wherever
 * the wrong address is not mapped: here it is, and has been read before.
 */
static void flat_finds_memory(void)
{
	flat();
	fill_data();
	for (u32 i = 0; i < 4; i++) {
		u.si = U_DATA + i % 2 * PAGE;
		expect(GO(load) == VEC_INT80);
	}
	u.ds = SEL_A;
	NOT_FLAT(load, 13);
	u.ds = SEL_UDATA;
	u.es = SEL_A;
	NOT_FLAT(load_es, 13);
	u.es = SEL_UDATA;
	u.ss = SEL_A;
	NOT_FLAT(load_bp, 12);
}

static void stack_segment(void)
{
	flat();
	gdt_set(SEL_A, seg_desc(U_STACK, U_STACK_PAGES * PAGE - 1, DATA32));
	u.ss = SEL_A;
	u.sp = 0x3000;
	u.ax = 0x5a5a;
	expect(GO(push) == VEC_INT80 && user_get32(U_STACK + 0x2ffc) == 0x5a5a);
	expect(GO(pop) == VEC_INT80 && (u32)u.ax == 0x5a5a && u.sp == 0x3000);
	u.sp = U_STACK_PAGES * PAGE;
	expect(GO(pop) == 12 && u.err == 0);
	u.bp = U_STACK_PAGES * PAGE - 2;
	expect(GO(load_bp) == 12 && u.err == 0);
	u.sp = 2;
	expect(GO(push) == 12);			/* wraps to the top, beyond the limit */
	u.bp = 0x2ffc;
	expect(GO(load_bp) == VEC_INT80 && (u32)u.ax == 0x5a5a);
}

static void stack_16bit(void)
{
	flat();
	map_new(cur, U_STACK + 0xf000, 1, P_URW);
	gdt_set(SEL_A, seg_desc(U_STACK, 0xffff, STACK16));
	u.ss = SEL_A;
	u.sp = 0x1000;
	u.ax = 0x1616;
	expect(GO(push) == VEC_INT80 && (u.sp & 0xffff) == 0xffc);
	expect(user_get32(U_STACK + 0xffc) == 0x1616);
	u.sp = 0;
	expect(GO(push) == VEC_INT80 && (u.sp & 0xffff) == 0xfffc);	/* around the corner */
	expect(user_get32(U_STACK + 0xfffc) == 0x1616);
	u.sp = 2;
	expect(GO(push) == 12);
}

static void code_segment_limit(void)
{
	flat();
	gdt_set(SEL_A, seg_desc(U_CODE, seg_run_off_end - seg_run_off - 1, CODE32));
	/* No ticks: one that came behind the end would leave the kernel's IRET to fault. */
	u.flags &= ~(ulong)FL_IF;
	expect(GO_CS(run_off, SEL_A) == 13 && u.err == 0);
	u.flags |= FL_IF;
	expect(u.ip == (ulong)(seg_run_off_end - seg_run_off));
	gdt_set(SEL_A, seg_desc(U_CODE, 0xffff, CODE32));
	expect(GO_CS(basic32, SEL_A) == VEC_INT80);
	expect((u32)u.dx == 0);			/* its own idea of where it is */
	/* A flat segment cut short above the code, as kernels without NX did. */
	gdt_set(SEL_A, seg_desc(0, U_CODE / PAGE + 1, CODE32_BIG));
	expect(go(seg_spin_int80, seg_spin_int80_end, SEL_A, U_CODE) == VEC_INT80);
	memset(phys(user_pa(U_EDGE)), 0x90, PAGE);
	gdt_set(SEL_B, seg_desc(0, U_EDGE / PAGE - 1, CODE32_BIG));
	user_put32(U_DATA, U_EDGE);
	user_put32(U_DATA + 4, SEL_B);
	expect(GO(far_jump) == 13);
}

static void code_16bit(void)
{
	flat();
	map_new(cur, U_STACK + 0xf000, 1, P_URW);
	gdt_set(SEL_A, seg_desc(U_CODE, 0xffff, CODE16));
	gdt_set(SEL_B, seg_desc(U_STACK, 0xffff, STACK16));
	u.dx = 0x100;
	expect(GO_CS(code16, SEL_A) == VEC_INT80);	/* with a 32-bit stack */
	expect((u.ax & 0xffff) == 0x10 && (u.dx & 0xffff) == 0x138);
	expect((u32)u.si == 0x12345678);
	u.ss = SEL_B;
	u.sp = 0x2000;
	u.dx = 0x100;
	expect(GO_CS(code16, SEL_A) == VEC_INT80);
	expect((u.sp & 0xffff) == 0x2000 && (u.di & 0xffff) == 0x1ffe);
}

static void tls_by_fs(void)
{
	flat();
	fill_data();
	for (u32 i = 0; i < 3; i++) {
		gdt_set(SEL_A, seg_desc(U_DATA + i * PAGE, 0xfffff, DATA32_BIG));
		u.fs = SEL_A;
		u.si = 8;
		expect(GO(load_fs) == VEC_INT80 && (u32)u.ax == 0xda7a0008 + i * PAGE);
		u.si = -4u;			/* below the base: wraps at 4 GiB */
		GO(load_fs);
	}
	u.fs = 0;
	u.si = 0;
	expect(GO(load_fs) == 13 && u.err == 0);
}

/*
 * FS and GS that have more than a base, with memory also where an offset without a base would
 * lead to.  More than once each, as what is touched first may be for Bochs to do.
 */
static void fs_gs_not_flat(void)
{
	static const struct {
		u32 limit, access, last;	/* LAST: the last word that can be read */
	} kinds[] = {
		{ 0x1fff, DATA32, 0x1ffc },	/* limit in bytes */
		{ 1, DATA32_BIG, 0x1ffc },	/* in pages */
		{ 0x1fff, DATA32_RO, 0x1ffc },
		{ 0xfff, DATA32_DOWN, 0x2ffc },
		{ 0, DATA32_BIG_DOWN, 0x2ffc },
	};

	flat();
	fill_data();
	map_new(cur, 0x1000, 3, P_URW);
	for (u32 i = 0; i < ARRAY_SIZE(kinds) * 3; i++) {
		u32 access = kinds[i / 3].access, last = kinds[i / 3].last;

		gdt_set(SEL_A, seg_desc(U_DATA, kinds[i / 3].limit, access));
		u.fs = u.gs = SEL_A;
		u.si = last;
		expect(GO(load_fs) == VEC_INT80 && (u32)u.ax == 0xda7a0000 + last);
		u.fs = u.gs = SEL_A;
		expect(GO(load_gs) == VEC_INT80 && (u32)u.ax == 0xda7a0000 + last);
		u.fs = u.gs = SEL_A;
		u.si = access & 4 ? 0xfff : 0x1ffd;
		expect(GO(load_fs) == 13 && u.err == 0);
		expect(GO(load_gs) == 13 && u.err == 0);
		u.si = 0x1400;
		expect(GO(store_fs) == (access == DATA32_RO ? 13 : VEC_INT80));
	}
	u.fs = u.gs = 0;
}

static void set_ldt(u64 pa, u32 limit)
{
	ulong base = PHYSMAP + pa;

	gdt_set(SEL_LDT, seg_desc(base, limit, 0x82));
	gdt_set(SEL_LDT + 8, (u64)base >> 32);
	__asm__ volatile("lldt %w0" : : "r"(SEL_LDT));
}

static void ldt(void)
{
	u64 pa = frame(), *table = phys(pa);

	flat();
	fill_data();
	table[0] = seg_desc(U_DATA, 0xfff, DATA32);
	table[1] = seg_desc(U_CODE, 0xfff, CODE32);
	set_ldt(pa, 15);
	u.ds = LDT_DATA;
	u.si = 0x40;
	expect(GO(load) == VEC_INT80 && (u32)u.ax == 0xda7a0040);
	expect(GO_CS(load, LDT_CODE) == VEC_INT80 && (u32)u.ax == 0xda7a0040);
	table[0] = seg_desc(U_DATA + PAGE, 0xfff, DATA32);
	expect(GO(load) == VEC_INT80 && (u32)u.ax == 0xda7a1040);
	u.ds = SEL_UDATA;
	u.si = 0x44;
	u.dx = LDT_DATA;
	expect(GO(load_es_by_selector) == VEC_INT80 && (u32)u.ax == 0xda7a1044);
	u.es = SEL_UDATA;
	u.dx = 0x17;				/* beyond its limit */
	expect(GO(load_es_by_selector) == 13 && u.err == 0x14);
	__asm__ volatile("lldt %w0" : : "r"(0));
	u.dx = LDT_DATA;
	expect(GO(load_es_by_selector) == 13 && u.err == 4);
}

static void accessed_bit(void)
{
	flat();
	fill_data();
	gdt_set(SEL_A, seg_desc(U_DATA, 0xfff, DATA32) & ~ACCESSED);
	u_spin();
	expect(!(gdt_get(SEL_A) & ACCESSED));
	flat();
	u.dx = SEL_A;
	u.si = 4;
	expect(GO(load_es_by_selector) == VEC_INT80 && (u32)u.ax == 0xda7a0004);
	expect(gdt_get(SEL_A) & ACCESSED);
}

static void far_pointer(u32 offset, u16 sel)
{
	user_put32(U_DATA, offset);
	user_put32(U_DATA + 4, sel);
}

static void call_gate(void)
{
	flat();
	far_pointer(0, SEL_GATE);
	expect(GO(far_call) == VEC_GATE);
	expect(u.ip == U_CODE + (ulong)(seg_far_call_end - seg_far_call) - 2 && u.cs == SEL_UCODE32);
	expect(run() == VEC_INT80);		/* back behind the call */
	far_pointer(0, SEL_NPGATE);
	expect(GO(far_call) == 11 && u.err == (SEL_NPGATE & ~3));
	far_pointer(0, SEL_GATE);
	expect(GO(far_jump) == 13 && u.err == SEL_KCODE);	/* no way inwards by a jump */
#ifdef __x86_64__
	u.ds = u.es = 0;
	expect(go(seg_far_call64, seg_far_call64_end, SEL_UCODE64, U_CODE) == VEC_GATE);
	expect(run() == VEC_INT80);
#endif
}

static void conforming_code(void)
{
	flat();
	gdt_set(SEL_A, 0x00cf9f000000ffff);	/* DPL 0, conforming, 32-bit */
	map_new(cur, VA, 1, P_URO);
	user_write(VA, seg_far_target, seg_far_target_end - seg_far_target);
	far_pointer(VA, SEL_A);
	expect(GO(far_call) == VEC_INT80);
	expect((u16)u.ax == SEL_A);		/* at the caller's level */
	far_pointer(VA, SEL_UCODE32);
	expect(GO(far_call) == VEC_INT80 && (u16)u.ax == SEL_UCODE32);
	far_pointer(VA, SEL_KCODE);
	expect(GO(far_call) == 13 && u.err == SEL_KCODE);
	far_pointer(VA, SEL_UDATA);
	expect(GO(far_call) == 13 && u.err == (SEL_UDATA & ~3));
	far_pointer(VA, 0);
	expect(GO(far_call) == 13 && u.err == 0);
	far_pointer(U_NP, SEL_UCODE32);
	expect(GO(far_call) == 14 && u.ip == U_NP);
}

/* The kernel's own IRET fails; after that user code runs as ever. */
static void bad_frames(void)
{
	static const struct {
		u16 cs, ss, err;
	} bad[] = {
		{ SEL_UDATA, SEL_UDATA, SEL_UDATA & ~3 },
		{ SEL_UCODE, SEL_UCODE32, SEL_UCODE32 & ~3 },
		{ SEL_NP_CODE, SEL_UDATA, SEL_NP_CODE & ~3 },
		{ SEL_UCODE, 0, 0 },
	};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		u_spin();
		u.cs = bad[i].cs;
		u.ss = bad[i].ss;
		u.ip = U_AGENT;
		expect(run() == VEC_BAD_FRAME);
		expect((u16)u.err == bad[i].err);
		say("  vec=%x err=%x\n", (u32)u.err >> 16, (u32)u.err & 0xffff);
		test_begin();
		expect(u_spin());
	}
}

#ifdef __x86_64__
static void to_64_and_back(void)
{
	flat();
	u.r10 = 0x7777;
	expect(GO(to_64_and_back) == VEC_INT80);
	expect((u32)u.ax == 0x12345679 && (u32)u.si == SEL_UCODE32);
	expect(u.r9 == 0x123456789abcdef0 && u.r10 == 0x7778);
	expect(u.cs == SEL_UCODE32);
	say("  r9=%X r10=%X\n", (u64)u.r9, (u64)u.r10);
}

/* Far jumps to pages of code that come while the space lives, so that they are met there. */
static void widths_and_faults(void)
{
	for (u32 rounds = 1; rounds <= 5; rounds++) {
		const ulong at = VA + 2 * (rounds - 1) * PAGE;

		map_new(cur, at, 2, P_URO | P_A);
		user_write(at, seg_widths32, seg_widths32_end - seg_widths32);
		user_write(at + PAGE, seg_widths64, seg_widths64_end - seg_widths64);
		flat();
		u.ax = u.r8 = 0;
		u.si = VA;
		u.di = rounds;
		expect(go(seg_widths, seg_widths_end, SEL_UCODE64, U_CODE) == VEC_INT80);
		expect((u32)u.ax == 2 * rounds && u.r8 == rounds);
		expect((u32)u.si == VA + 2 * rounds * PAGE);
	}
}

static void bases_in_64bit_code(void)
{
	fill_data();
	gdt_set(SEL_A, seg_desc(U_DATA, 0xff, DATA32));
	u.ds = u.es = u.fs = SEL_A;
	u.si = U_DATA + 8;
	u.di = 0x800;				/* beyond the limit, which does not count either */
	expect(go(seg_load_segs64, seg_load_segs64_end, SEL_UCODE64, U_CODE) == VEC_INT80);
	expect((u32)u.ax == 0xda7a0008 && (u32)u.dx == 0xda7a0800);
	u.fs = 0;
	u.fs_base = 0x123400000000;
	map(cur, 0x123400000000, user_pa(U_DATA), P_URW);
	u.di = 0x10;
	expect(go(seg_load_segs64, seg_load_segs64_end, SEL_UCODE64, U_CODE) == VEC_INT80);
	expect((u32)u.dx == 0xda7a0010);
	u.fs_base = 0;
}
#else
static void load_pointers(void)
{
	static const u32 at[] = { 0x1111, SEL_UDATA, 0x2222, SEL_RODATA, U_STACK_TOP - 128, SEL_UDATA };

	flat();
	user_write(U_DATA, at, sizeof(at));
	u.si = U_DATA;
	expect(GO(load_pointers) == VEC_INT80);
	expect(u.ax == 0x1111 && u.dx == 0x2222 && u.di == 0x2222);
	expect((u16)u.bx == SEL_UDATA && (u16)u.bp == SEL_RODATA);
	user_put32(U_DATA + 4, SEL_KDATA);
	expect(GO(load_pointers) == 13 && u.err == SEL_KDATA);
	expect(u.es == SEL_UDATA);
}
#endif

void tests_segments(void)
{
	static const struct test t[] = {
		{ "basic32", ENV_ALL, basic32 },
		{ "base_and_limit", ENV_ALL, base_and_limit },
		{ "page_granular_limit", ENV_ALL, page_granular_limit },
		{ "expand_down", ENV_ALL, expand_down },
		{ "flat_finds_memory", ENV_ALL, flat_finds_memory },
		{ "stack_segment", ENV_ALL, stack_segment },
		{ "stack_16bit", ENV_ALL, stack_16bit },
		{ "code_segment_limit", ENV_ALL, code_segment_limit },
		{ "code_16bit", ENV_ALL, code_16bit },
		{ "tls_by_fs", ENV_ALL, tls_by_fs },
		{ "fs_gs_not_flat", ENV_ALL, fs_gs_not_flat },
		{ "ldt", ENV_ALL, ldt },
		{ "accessed_bit", ENV_ALL, accessed_bit },
		{ "call_gate", ENV_ALL, call_gate },
		{ "conforming_code", ENV_ALL, conforming_code },
		{ "bad_frames", ENV_ALL, bad_frames },
#ifdef __x86_64__
		{ "to_64_and_back", ENV_LONG, to_64_and_back },
		{ "widths_and_faults", ENV_LONG, widths_and_faults },
		{ "bases_in_64bit_code", ENV_LONG, bases_in_64bit_code },
#else
		{ "load_pointers", ENV_32, load_pointers },
#endif
	};

	run_tests("segment", t, ARRAY_SIZE(t));
}
