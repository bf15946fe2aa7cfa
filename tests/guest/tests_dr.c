/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Debug registers by the manual (SDM 3B, 18.2): lengths, alignment, enable bits, ports, what DR6
 * keeps, GD.  tests_debug.c has the plain cases, tests_dr_code.c instructions and order.  While
 * one is armed all is Bochs's; before and after, user code may run natively.
 */
#include "dr.h"

#define VA		((ulong)U_TEST)
#define PIC_MASK	0x21

PROGRAM(store1);
PROGRAM(store2);
PROGRAM(store4);
PROGRAM(store8);
PROGRAM(store16);
PROGRAM(load1);
PROGRAM(load2);
PROGRAM(load4);
PROGRAM(load8);
PROGRAM(load16);
PROGRAM(add4);
PROGRAM(in1);
PROGRAM(in2);
PROGRAM(in4);
PROGRAM(out1);
PROGRAM(count);
PROGRAM(read_dr7);

static const struct access {
	const u8 *start, *mark, *end;
	u32 size;
	bool write;
} accesses[] = {
#define ACCESS(name, size, write) { dr_##name, dr_##name##_mark, dr_##name##_end, size, write }
	ACCESS(load1, 1, false), ACCESS(load2, 2, false), ACCESS(load4, 4, false),
	ACCESS(load8, 8, false), ACCESS(load16, 16, false), ACCESS(store1, 1, true),
	ACCESS(store2, 2, true), ACCESS(store4, 4, true), ACCESS(store8, 8, true),
	ACCESS(store16, 16, true), ACCESS(add4, 4, true),
};
#define IN(name, size) { dr_##name, dr_##name##_mark, dr_##name##_end, size, false }

static const struct access *load_of(u32 size)
{
	const struct access *a = accesses;

	while (a->size != size || a->write)
		a++;
	return a;
}

static const struct access *store_of(u32 size)
{
	const struct access *a = accesses;

	while (a->size != size || !a->write)
		a++;
	return a;
}

/* What DR6 says of the breakpoints in @of, or 0 when the program went through. */
static u32 hits(const struct access *a, ulong va, u32 of)
{
	u32 v;

	load_blob(a->start, a->end);
	u.bx = va;
	v = run();
	if (v == VEC_INT80)
		return 0;
	expect(v == 1 && u.ip == U_BLOB + (ulong)(a->mark - a->start));
	v = trap_dr6 & of;
	expect(run() == VEC_INT80);
	return v;
}

static void set_dr(u32 n, ulong va)
{
	switch (n) {
	case 0:
		set_dr0(va);
		break;
	case 1:
		set_dr1(va);
		break;
	case 2:
		set_dr2(va);
		break;
	case 3:
		set_dr3(va);
		break;
	}
}

/* Table 18-2 of the manual (SDM 3B, 18.2.5): A0001H to C0004H, here in three pages. */
static void examples(void)
{
	static const struct {
		u32 at, size;
		bool read, write;	/* whether that traps */
	} table[] = {
		{ 0x0001, 1, true, true }, { 0x0001, 2, true, true }, { 0x0002, 1, false, true },
		{ 0x0002, 2, false, true }, { 0x1001, 4, true, true }, { 0x1002, 1, true, true },
		{ 0x1002, 2, true, true }, { 0x2000, 4, false, true }, { 0x2001, 2, false, true },
		{ 0x2003, 1, false, true },
		{ 0x0000, 1, false, false }, { 0x0003, 4, false, false },
		{ 0x1000, 2, false, false }, { 0x2004, 4, false, false },
	};

	map_new(cur, VA, 3, P_URW);
	set_dr0(VA + 0x0001);
	set_dr1(VA + 0x0002);
	set_dr2(VA + 0x1002);
	set_dr3(VA + 0x2000);
	set_dr7(FIXED | LOCAL(0) | LOCAL(1) | LOCAL(2) | LOCAL(3) | TYPE(0, RW | LEN1) |
		TYPE(1, WRITE | LEN1) | TYPE(2, RW | LEN2) | TYPE(3, WRITE | LEN4));
	for (u32 i = 0; i < ARRAY_SIZE(table); i++) {
		u32 read = hits(load_of(table[i].size), VA + table[i].at, 0xf);
		u32 write = hits(store_of(table[i].size), VA + table[i].at, 0xf);

		say("  %x, %u: read %x, write %x\n", table[i].at, table[i].size, read, write);
		expect(!!read == table[i].read && !!write == table[i].write);
	}
	set_dr7(FIXED);
}

/* Each length, type, size of access and distance: they overlap, or nothing happens. */
static void lengths(void)
{
	static const struct { u32 len, bits; } lens[] = {
		{ 1, LEN1 }, { 2, LEN2 }, { 4, LEN4 },
#ifdef __x86_64__
		{ 8, LEN8 },
#endif
	};
	u32 h = FNV_START, n = 0, bad = 0, keep = spin;
	const ulong at = VA + 0x40;

	map_new(cur, VA, 1, P_URW);
	for (u32 l = 0; l < ARRAY_SIZE(lens); l++)
		for (u32 type = WRITE; type <= RW; type += RW - WRITE)
			for (u32 a = 0; a < ARRAY_SIZE(accesses); a++) {
				const struct access *x = &accesses[a];
				u32 bp = (l + a) % 4;

				set_dr(bp, at);
				set_dr7(FIXED | GLOBAL(bp) | TYPE(bp, type | lens[l].bits));
				for (ulong va = at - x->size - 1; va <= at + lens[l].len; va++) {
					bool over = va < at + lens[l].len && va + x->size > at;
					u32 want = over && (x->write || type == RW) ? 1u << bp : 0;
					u32 got = hits(x, va, 0xf);

					bad += got != want;
					h = fnv(h, &got, sizeof(got));
					n++;
					spin = 1;	/* before the first ones is enough */
				}
				set_dr7(FIXED);
			}
	spin = keep;
	say("  %u accesses, hash %h\n", n, h);
	expect(bad == 0);
}

/* An operand that is not aligned takes two registers (SDM 3B, 18.2.5). */
static void unaligned_by_two(void)
{
	map_new(cur, VA, 2, P_URW);
	set_dr0(VA + 0xffd);
	set_dr1(VA + 0xffe);
	set_dr2(VA + 0x1000);
	set_dr7(FIXED | GLOBAL(0) | GLOBAL(1) | GLOBAL(2) | TYPE(0, RW | LEN1) |
		TYPE(1, RW | LEN2) | TYPE(2, RW | LEN1));
	expect(hits(store_of(4), VA + 0xffd, 0xf) == 7);	/* over two pages */
	expect(hits(load_of(4), VA + 0xffd, 0xf) == 7);
	expect(hits(load_of(1), VA + 0xffd, 0xf) == 1);
	expect(hits(load_of(2), VA + 0xfff, 0xf) == 6);
	expect(hits(load_of(1), VA + 0x1000, 0xf) == 4);
	expect(hits(load_of(8), VA + 0x1001, 0xf) == 0);
	expect(hits(load_of(16), VA + 0xfed, 0xf) == 0);
	expect(hits(load_of(16), VA + 0xff1, 0xf) == 7);
	set_dr7(FIXED);
}

/* An access that faults has not taken place, not even in its first page. */
static void fault_first(void)
{
	u64 pa;

	map_new(cur, VA, 1, P_URW);
	set_dr0(VA + 0xffe);
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, RW | LEN2));
	load_blob(dr_store4, dr_store4_end);
	u.bx = VA + 0xffe;
	expect(run() == 14 && u.ip == U_BLOB && trap_cr2 == VA + PAGE);
	expect((trap_dr6 & 0xf) == 0);
	pa = map_new(cur, VA + PAGE, 1, P_URO);
	expect(run() == 14 && u.err == 7 && (trap_dr6 & 0xf) == 0);
	map(cur, VA + PAGE, pa, P_URW);
	invlpg(VA + PAGE);
	expect(run() == 1 && u.ip == MARK(store4) && (trap_dr6 & 0xf) == 1);
	expect(run() == VEC_INT80);
	set_dr7(FIXED);
}

/* L and G are as good as each other, LE and GE no matter, and without any nothing happens. */
static void enable_bits(void)
{
	map_new(cur, VA, 1, P_URW);
	for (u32 n = 0; n < 4; n++) {
		u32 type = TYPE(n, WRITE | LEN4), of = 1u << n;

		set_dr(n, VA + 4 * n);
		for (u32 exact = 0; exact <= EXACT; exact += 0x100) {
			set_dr7(FIXED | exact | type);
			expect(!hits(store_of(4), VA + 4 * n, of));
			set_dr7(FIXED | exact | type | LOCAL(n));
			expect((get_dr7() & 0xfffff7ff) == (FIXED | exact | type | LOCAL(n)));
			expect(hits(store_of(4), VA + 4 * n, of) == of);
			set_dr7(FIXED | exact | type | GLOBAL(n));
			expect(hits(store_of(2), VA + 4 * n, of) == of);
			set_dr7(FIXED | exact | type | LOCAL(n) | GLOBAL(n));
			expect(hits(store_of(1), VA + 4 * n, of) == of);
			/* Another one's enable bits are not its own. */
			set_dr7(FIXED | exact | type | GLOBAL((n + 1) % 4) |
				TYPE((n + 1) % 4, WRITE | LEN1));
			set_dr((n + 1) % 4, VA + 0x800);
			expect(!hits(store_of(4), VA + 4 * n, of));
		}
	}
	set_dr7(FIXED);
	set_dr7(0);
	expect((get_dr7() & 0xffff) == FIXED);		/* bit 10 is always set */
	set_dr7(FIXED | 0xd000);
	expect((get_dr7() & 0xf7ff) == FIXED);		/* 12, 14 and 15 never */
	set_dr7(FIXED);
	set_dr6(0);
	expect(get_dr6() == DR6_IDLE);
	set_dr6(DR6_IDLE);
}

/* The CPU sets bits in DR6; BD and BS are the kernel's to clear. */
static void dr6_keeps(void)
{
	map_new(cur, VA, 1, P_URW);
	set_dr1(VA);
	set_dr7(FIXED | GLOBAL(1) | TYPE(1, WRITE | LEN4));
	set_dr6(DR6_IDLE | DR6_BD);
	expect(hits(store_of(4), VA, ~0u) == (DR6_IDLE | DR6_BD | 2));
	set_dr6(DR6_IDLE | DR6_BS | DR6_BD);
	expect(hits(store_of(4), VA, ~0u) == (DR6_IDLE | DR6_BS | DR6_BD | 2));
	expect(hits(store_of(4), VA, ~0u) == (DR6_IDLE | 2));
	set_dr6(DR6_IDLE | DR6_BS | 1);
	expect(hits(load_of(4), VA, ~0u) == 0);
	expect(get_dr6() == (DR6_IDLE | DR6_BS | 1));	/* no debug exception, no change */
	set_dr6(DR6_IDLE);
	set_dr7(FIXED);
}

static ulong seen;

static void read_dr3(void)
{
	seen = get_dr3();
}

static void write_dr2(void)
{
	set_dr2(VA + 0x123);
}

/* GD guards debug registers even from the kernel, once. */
static void general_detect(void)
{
	set_dr3(VA + 0x333);
	set_dr2(0);
	for (u32 i = 0; i < 2; i++) {
		trap_db = 0;
		set_dr7(FIXED | GD);
		/* The trap is ktrap()'s, which goes on. */
		expect(ktry(i ? write_dr2 : read_dr3) == 0);
		expect(trap_db == (DR6_IDLE | DR6_BD));
		expect((get_dr7() & 0xf7ff) == FIXED);		/* GD is off in the handler */
	}
	expect(seen == VA + 0x333 && get_dr2() == VA + 0x123);
	set_dr7(FIXED | GD);
	expect(u_spin());				/* others are none of its business */
	set_dr7(FIXED);					/* #DB once more */
	set_dr7(FIXED);
	set_dr6(DR6_IDLE);
}

/* Of user code's access either #GP or #DB: see known-qemu. */
static void general_detect_user(void)
{
	LOAD(read_dr7);
	expect(run() == 13 && u.ip == MARK(read_dr7));
	outb(PIC_MASK, 0xff);		/* at a tick run() would read DR6, and that is GD's end */
	set_dr7(FIXED | GD);
	LOAD(read_dr7);
	run();
	outb(PIC_MASK, 0xfe);
	expect(u.ip == MARK(read_dr7) && (u.vec == 13 || (u.vec == 1 && trap_dr6 & DR6_BD)));
	say("  vec=%x\n", (u32)u.vec);
	set_dr7(FIXED);
	set_dr7(FIXED);
	set_dr6(DR6_IDLE);
}

static void read_dr4(void)
{
	__asm__ volatile("mov %%db4, %0" : "=r"(seen));
}

static void read_dr5(void)
{
	__asm__ volatile("mov %%db5, %0" : "=r"(seen));
}

static void aliases(void)
{
	set_cr4(get_cr4() & ~(ulong)CR4_DE);
	set_dr6(DR6_IDLE | DR6_BS);
	set_dr7(FIXED | EXACT);
	expect(ktry(read_dr4) == 0 && seen == (DR6_IDLE | DR6_BS));
	expect(ktry(read_dr5) == 0 && (seen & 0xf7ff) == (FIXED | EXACT));
	set_cr4(get_cr4() | CR4_DE);
	expect(ktry(read_dr4) == 1 + 6);
	expect(ktry(read_dr5) == 1 + 6);
	set_cr4(get_cr4() & ~(ulong)CR4_DE);
	set_dr6(DR6_IDLE);
	set_dr7(FIXED);
}

static void ports_allowed(bool yes)
{
	for (u16 p = 0xe4; p < 0xf0; p++)
		iopb_allow(p, yes);
}

/* Ports have lengths too; E4H to EFH are nobody's, but for the log's, which says E9H. */
static void ports(void)
{
	static const struct access in[] = { IN(in1, 1), IN(in2, 2), IN(in4, 4) };
	static const struct { u32 at, len, bits; } bp[] = {
		{ 0xe5, 1, LEN1 }, { 0xe6, 2, LEN2 }, { 0xe8, 4, LEN4 },
	};
	u32 bad = 0;

	set_cr4(get_cr4() | CR4_DE);
	ports_allowed(true);
	for (u32 b = 0; b < ARRAY_SIZE(bp); b++) {
		set_dr(b, bp[b].at);
		set_dr7(FIXED | LOCAL(b) | TYPE(b, IO | bp[b].bits));
		for (u32 i = 0; i < ARRAY_SIZE(in); i++)
			for (u32 port = 0xe4; port + in[i].size <= 0xf0; port++) {
				bool over = port < bp[b].at + bp[b].len &&
					    port + in[i].size > bp[b].at;

				u.dx = port;
				bad += hits(&in[i], 0, 0xf) != (over ? 1u << b : 0);
			}
		set_dr7(FIXED);
	}
	expect(bad == 0);
	/* Data at an address with that number is no port. */
	set_dr0(U_DATA);
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, IO | LEN4));
	expect(!hits(store_of(4), U_DATA, 1));
	set_dr7(FIXED);
	/* A write is done when it traps, and one that the bitmap refuses does not trap. */
	set_dr0(0xed);
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, IO | LEN1));
	LOAD(out1);
	u.dx = 0xed;
	expect(run() == 1 && u.ip == MARK(out1) && (trap_dr6 & 0xf) == 1);
	ports_allowed(false);
	LOAD(out1);
	u.dx = 0xed;
	expect(run() == 13 && u.ip == U_BLOB && (trap_dr6 & 0xf) == 0);
	set_dr7(FIXED);
	set_cr4(get_cr4() & ~(ulong)CR4_DE);
}

/* Armed and disarmed at ticks, under a program that goes on: hit when armed, else never. */
static void armed_meanwhile(void)
{
	u32 n = 0;

	map_new(cur, VA, 1, P_URW);
	user_put32(VA + 0x800, 1);
	pit_hz(4000);
	set_dr2(VA + 0x10);
	LOAD(count);
	u.bx = VA + 0x10;
	u.si = VA + 0x800;
	u.dx = 0;
	for (u32 i = 0; i < 40; i++) {
		bool armed = i & 1;
		u32 v;

		set_dr7(FIXED | TYPE(2, WRITE | LEN4) | (armed ? GLOBAL(2) : 0));
		do
			v = run_to_tick();
		while (v == VEC_IRQ + 7 || v == VEC_SPURIOUS || (armed && v == VEC_IRQ));
		if (v == VEC_IRQ) {
			expect(!armed);
			continue;
		}
		expect(armed && v == 1 && u.ip == MARK(count) && (trap_dr6 & 0xf) == 4);
		expect(user_get32(VA + 0x10) == (u32)u.dx + 1);
		n++;
	}
	set_dr7(FIXED);
	user_put32(VA + 0x800, 0);
	expect(run() == VEC_INT80 && user_get32(VA + 0x10) == (u32)u.dx && n == 20);
	pit_hz(1000);
}

#ifdef __x86_64__
/* Addresses are compared as a whole. */
static void upper_bits(void)
{
	map_new(cur, VA, 1, P_URW);
	map_new(cur, VA + 0x500000000, 1, P_URW);
	set_dr0(VA + 0x500000000);
	set_dr7(FIXED | GLOBAL(0) | TYPE(0, RW | LEN8));
	expect(!hits(store_of(8), VA, 1));
	expect(hits(store_of(8), VA + 0x500000000, 1));
	set_dr7(FIXED);
}
#endif

void tests_dr(void)
{
	static const struct test t[] = {
		{ "examples", ENV_ALL, examples },
		{ "lengths", ENV_ALL, lengths },
		{ "unaligned_by_two", ENV_ALL, unaligned_by_two },
		{ "fault_first", ENV_ALL, fault_first },
		{ "enable_bits", ENV_ALL, enable_bits },
		{ "dr6_keeps", ENV_ALL, dr6_keeps },
		{ "general_detect", ENV_ALL, general_detect },
		{ "general_detect_user", ENV_ALL, general_detect_user },
		{ "aliases", ENV_ALL, aliases },
		{ "ports", ENV_ALL, ports },
		{ "armed_meanwhile", ENV_ALL, armed_meanwhile },
#ifdef __x86_64__
		{ "upper_bits", ENV_LONG, upper_bits },
#endif
	};

	run_tests("dr", t, ARRAY_SIZE(t));
}

