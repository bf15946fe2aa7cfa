// SPDX-License-Identifier: LGPL-2.1-or-later
/* FS and GS of 32-bit code: bases, limits and rights, the selectors of Linux's TLS, null. */
#include <sys/auxv.h>

#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g32_gs); PROG(g32_gs_store); PROG(g32_gs_trap); PROG(g32_gs_reload);
PROG(g32_gs_reload_use); PROG(g32_gs_reload_trap);

/*
 * Without CAP_SELECTORS an engine runs GS under a selector of the host's, which
 * may be one that can only be read through: then the store traps, exactly.
 */
static void skip_store(struct plex86_space *s, struct trial *t)
{
	uint32_t word = 0x55aa;

	run_to_trap(s, t);
	if (caps->flags & PLEX86_CAP_SELECTORS || t->err || t->exit.reason != PLEX86_EXIT_TRAP ||
	    t->cpu.rip != AT32(g32_gs_store))
		return;
	memcpy(ram + (t->cpu.seg[PLEX86_GS].base + 0x18 - VA_DATA + RAM_DATA), &word, 4);
	t->cpu.rip = AT32(g32_gs_trap);
	run_to_trap(s, t);
}

/* What GS has in init_cpu32(). */
#define TLS_BASE	(VA_DATA + 0x200)

static void test_gs(struct plex86_space *s)
{
	uint32_t word = 0xc0ffee11, seen;
	struct trial t;

	memcpy(ram + RAM_DATA + 0x214, &word, 4);
	init_trial32(&t, g32_gs, PLEX86_MODE_32);
	skip_store(s, &t);
	memcpy(&seen, ram + RAM_DATA + 0x218, 4);
	report(is_trap(&t, ANY_VECTOR) & same_state(&t, AT32(g32_gs_trap), MAY_RAX) &&
	       t.cpu.gpr[PLEX86_RAX] == word && seen == 0x55aa,
	       "32-bit: load and store through GS; its selector and base are kept");
}

/* Thread switches: another base each time, in two spaces. */
static void test_switches(struct plex86_space *s)
{
	struct plex86_space *other = fresh_space();
	uint32_t word, seen;
	bool good = true;
	struct trial t;
	unsigned int i;

	for (i = 0; i < 12; i++) {
		word = 0x1000 + i;
		memcpy(ram + RAM_DATA + 0x400 + i * 64 + 0x14, &word, 4);
		init_trial32(&t, g32_gs, PLEX86_MODE_32);
		t.cpu.seg[PLEX86_GS].base = VA_DATA + 0x400 + i * 64;
		if (i & 1)	/* a selector that no 64-bit host has: a TLS entry, say */
			t.cpu.seg[PLEX86_GS].sel = 0x43;
		skip_store(i % 3 ? s : other, &t);
		memcpy(&seen, ram + RAM_DATA + 0x400 + i * 64 + 0x18, 4);
		good &= is_trap(&t, ANY_VECTOR) & same_state(&t, AT32(g32_gs_trap), MAY_RAX) &&
			t.cpu.gpr[PLEX86_RAX] == word && seen == 0x55aa;
	}
	report(good, "32-bit: a different GS base in each slice");
	ops->space_destroy(other);
}

/* 64-bit Linux's selectors for what runs in its 32-bit code: flat, but @reg, which is as given. */
static void init_linux32(struct trial *t, unsigned int reg, struct plex86_seg seg)
{
	init_trial32(t, g32_gs, PLEX86_MODE_COMPAT);
	t->cpu.rip = VA_PATCH;
	t->cpu.seg[PLEX86_CS].sel = 0x23;
	t->cpu.seg[PLEX86_FS] = t->cpu.seg[PLEX86_DS];
	t->cpu.seg[PLEX86_FS].sel = 0x2b;
	t->cpu.seg[PLEX86_GS] = t->cpu.seg[PLEX86_FS];
	t->cpu.seg[reg] = seg;
}

/* The TLS entries of 64-bit Linux, for either register: what is read is what it has. */
static void test_linux_tls(struct plex86_space *s)
{
	struct plex86_seg seg = { .attr = 0xd0f3, .limit = 0xffffffff, .base = TLS_BASE };
	bool good = true;
	struct trial t;
	unsigned int i;

	for (i = 0; i < 6; i++) {
		seg.sel = 0x63 + 8 * (i / 2);
		/* MOV EAX, GS or FS; HLT */
		memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0x8c, i & 1 ? 0xe0 : 0xe8, 0xf4 }, 3);
		init_linux32(&t, i & 1 ? PLEX86_FS : PLEX86_GS, seg);
		run_to_trap(s, &t);
		good &= t.exit.reason == PLEX86_EXIT_REFUSED ||
			(is_trap(&t, 13) && (t.cpu.gpr[PLEX86_RAX] & 0xffff) == seg.sel);
	}
	report(good, "compat: FS and GS with Linux's TLS selectors, which can be read");
}

/* MOV GS, EAX: for whom they have stood is gone. */
static void test_stale_tls(struct plex86_space *s)
{
	static const char name[] = "compat: no later load of them brings a segment back";
	struct plex86_seg flat = { .sel = 0x2b, .attr = 0xc0f3, .limit = 0xffffffff };
	bool good = true;
	struct trial t;
	unsigned int i;

	if (caps->flags & PLEX86_CAP_DESCRIPTORS) {
		skip(name, "the engine is told what is in the tables: see descriptors.c");
		return;
	}
	memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0x8e, 0xe8, 0xf4 }, 3);
	for (i = 0; i < 3; i++) {
		init_linux32(&t, PLEX86_GS, flat);
		t.cpu.gpr[PLEX86_RAX] = 0x63 + 8 * i;
		run_to_trap(s, &t);
		good &= t.exit.reason == PLEX86_EXIT_REFUSED ||
			(is_trap(&t, 13) && t.cpu.rip == VA_PATCH);
	}
	report(good, "%s", name);
}

/*
 * What it reads it may load again.  Either that changes nothing, or the
 * host's descriptor comes back, to be replaced by the guest's.
 */
static void test_reload(struct plex86_space *s)
{
	uint32_t word = 0xc0ffee11;
	struct plex86_seg gs;
	struct trial t;

	memcpy(ram + RAM_DATA + 0x214, &word, 4);
	init_trial32(&t, g32_gs_reload, PLEX86_MODE_32);
	gs = t.cpu.seg[PLEX86_GS];
	run_to_trap(s, &t);
	if (!(caps->flags & PLEX86_CAP_SELECTORS) && !t.err &&
	    t.exit.reason == PLEX86_EXIT_PAGE && t.cpu.rip == AT32(g32_gs_reload_use) &&
	    t.cpu.seg[PLEX86_GS].base != gs.base) {
		t.cpu.seg[PLEX86_GS] = gs;
		run_to_trap(s, &t);
	}
	report(is_trap(&t, 13) & same_state(&t, AT32(g32_gs_reload_trap), MAY_RAX | MAY_RCX) &&
	       t.cpu.gpr[PLEX86_RCX] == word,
	       "32-bit: MOV EAX, GS; MOV GS, EAX changes nothing, or is reported");
}

/* FS and GS with limits, rights and directions of their own. */
static void test_bounds(struct plex86_space *s)
{
	static const struct {
		uint32_t limit, attr, first, last;
		const char *what;
	} kinds[] = {
		{ 0xfff, 0x40f3, 0, 0xffc, "a limit in bytes" },
		{ 0x1fff, 0xc0f3, 0, 0x1ffc, "a limit in pages" },
		{ 0xffe, 0x40f1, 0, 0xffb, "read-only" },
		{ 0xfff, 0x40f7, 0x1000, 0x2ffc, "expand-down" },
		{ 0x1fff, 0xc0f7, 0x2000, 0x2ffc, "expand-down, in pages" },
	};
	unsigned int i, n;

	for (i = 0; i < 2 * sizeof(kinds) / sizeof(kinds[0]); i++) {
		const unsigned int reg = i & 1 ? PLEX86_FS : PLEX86_GS;
		const uint32_t down = kinds[i / 2].attr & 4;
		bool within = true, outside = true;

		/* At both ends, beyond each, and a store. */
		for (n = 0; n < 5; n++) {
			const uint32_t at = n == 0 ? kinds[i / 2].first : n == 1 ? kinds[i / 2].last :
					    n == 2 ? kinds[i / 2].first - 1 : kinds[i / 2].last + 1;
			const uint32_t word = 0x600d0000 + i * 16 + n;
			const bool store = n == 4, beyond = down ? n == 2 : n == 2 || n == 3;
			bool fault = beyond || (store && !(kinds[i / 2].attr & 2));
			uint32_t where = store ? kinds[i / 2].first + 8 : at;
			struct trial t;
			bool good;

			if (down && n == 3)
				continue;	/* not beyond it: up to 4 GiB */
			/* MOV EAX, FS:[ESI] or the other way; HLT */
			memcpy(ram + RAM_PATCH, (const uint8_t[]){ i & 1 ? 0x64 : 0x65, store ? 0x89 : 0x8b,
								   0x06, 0xf4 }, 4);
			if (!fault && !store)
				memcpy(ram + RAM_DATA + PAGE(1) + at, &word, 4);
			init_trial32(&t, g32_gs, PLEX86_MODE_32);
			t.cpu.rip = VA_PATCH;
			t.cpu.seg[PLEX86_FS] = t.cpu.seg[PLEX86_GS] = t.cpu.seg[PLEX86_DS];
			t.cpu.seg[reg] = (struct plex86_seg){
				.sel = 0x43, .attr = kinds[i / 2].attr,
				.base = VA_DATA + PAGE(1), .limit = kinds[i / 2].limit,
			};
			t.cpu.gpr[PLEX86_RSI] = where;
			t.cpu.gpr[PLEX86_RAX] = word;
			if (!store)
				t.cpu.gpr[PLEX86_RAX] = ~word;
			run_to_trap(s, &t);
			good = is_trap(&t, 13) && t.cpu.rip == VA_PATCH + (fault ? 0 : 3) &&
				(uint32_t)t.cpu.gpr[PLEX86_RAX] == (fault && !store ? ~word : word);
			if (!fault)
				within &= good && !memcmp(ram + RAM_DATA + PAGE(1) + where, &word, 4);
			else
				outside &= good;
		}
		report(within, "32-bit: %s with %s", i & 1 ? "FS" : "GS", kinds[i / 2].what);
		report(outside, "32-bit: faults of %s with %s", i & 1 ? "FS" : "GS", kinds[i / 2].what);
	}
}

/* What this CPU makes of GS's base when a null selector is loaded; -1: can't be known. */
static uint64_t null_base(uint64_t base)
{
	if (!(getauxval(AT_HWCAP2) & 2))	/* FSGSBASE */
		return -1;
	__asm__ volatile("wrgsbase %0; mov %w1, %%gs; rdgsbase %0; wrgsbase %q1" : "+r"(base) : "r"(0));
	return base;
}

/* It can't be used, but 64-bit code that comes later can read it. */
static void test_null_base(struct plex86_space *s)
{
	uint64_t base = null_base(0x18);
	struct trial t;

	/* MOV GS, EAX; HLT */
	memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0x8e, 0xe8, 0xf4 }, 3);
	init_trial32(&t, g32_gs, PLEX86_MODE_COMPAT);
	t.cpu.rip = VA_PATCH;
	t.cpu.gpr[PLEX86_RAX] = 0;
	t.cpu.seg[PLEX86_GS] = (struct plex86_seg){ .base = 0x18, .attr = PLEX86_SEG_NULL };
	run_to_trap(s, &t);
	if (t.exit.reason == PLEX86_EXIT_REFUSED || base == (uint64_t)-1)
		skip("compat: a null selector's base", "the engine refuses it, or no test can know");
	else
		report(is_trap(&t, 13) && t.cpu.rip == VA_PATCH + 2 && !t.cpu.seg[PLEX86_GS].sel &&
		       t.cpu.seg[PLEX86_GS].base == base,
		       "compat: a null selector's base is what the CPU makes of it");
}

void test_compat_segs(struct plex86_space *s)
{
	test_gs(s);
	test_switches(s);
	test_linux_tls(s);
	test_stale_tls(s);
	test_reload(s);
	test_bounds(s);
	test_null_base(s);
}
