// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * 32-bit code in flat segments, as 32-bit Linux sets them up: its own selectors,
 * GS with a base.  Also compatibility mode, and the way between the two.
 */
#include <errno.h>
#include <sys/auxv.h>

#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g32_int80); PROG(g32_int3); PROG(g32_cd03); PROG(g32_hlt); PROG(g32_cli); PROG(g32_in);
PROG(g32_ud2); PROG(g32_icebp); PROG(g32_int20); PROG(g32_into); PROG(g32_into_hlt);
PROG(g32_bound); PROG(g32_div0); PROG(g32_load); PROG(g32_store); PROG(g32_jmp);
PROG(g32_aam0); PROG(g32_rep_movsb); PROG(g32_work); PROG(g32_work_trap); PROG(g32_gs);
PROG(g32_gs_store); PROG(g32_gs_trap); PROG(g32_gs_reload); PROG(g32_gs_reload_use); PROG(g32_gs_reload_trap); PROG(g32_null_fs);
PROG(g32_spin); PROG(g32_to_64); PROG(g32_to_64_trap); PROG(g64_to_compat);
PROG(g64_compat_part); PROG(g64_hlt);

#define UNMAPPED	0x50000000u

static const struct {
	const char *name;
	const uint8_t *at;
	uint32_t vector;
	uint64_t flags;
} traps[] = {
	{ "INT 80H", g32_int80, ANY_VECTOR, FLAG_DF },
	{ "INT3", g32_int3, 3, 0 },
	{ "INT3 as CD 03", g32_cd03, 3, 0 },
	{ "HLT", g32_hlt, 13, FLAG_CF },
	{ "CLI", g32_cli, 13, 0 },
	{ "IN", g32_in, 13, 0 },
	{ "UD2", g32_ud2, 6, 0 },
	{ "ICEBP", g32_icebp, ANY_VECTOR, 0 },
	{ "INT 20H", g32_int20, 13, 0 },
	{ "INTO with OF set", g32_into, 4, FLAG_OF },
	{ "HLT behind INTO, entered with OF set", g32_into_hlt, 13, FLAG_OF },
	{ "BOUND", g32_bound, 5, 0 },
	{ "DIV by zero", g32_div0, 0, 0 },
	{ "AAM 0", g32_aam0, 0, 0 },
	{ "load from null FS", g32_null_fs, 13, 0 },
};

static void init_trial(struct trial *t, const uint8_t *at, uint32_t mode)
{
	init_cpu32(&t->cpu, AT32(at));
	init_vec(&t->vec, 2, caps->xcr0);
	t->cpu.mode = mode;
	if (mode == PLEX86_MODE_COMPAT)
		t->cpu.efer = 0xd01;
}

static void test_trapping(struct plex86_space *s, uint32_t mode, const char *name)
{
	struct trial t;
	unsigned int i;

	for (i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
		init_trial(&t, traps[i].at, mode);
		t.cpu.rflags |= traps[i].flags;
		run_to_trap(s, &t);
		report(is_trap(&t, traps[i].vector) & same_state(&t, AT32(traps[i].at), 0),
		       "%s: %s: TRAP, state exact", name, traps[i].name);
	}
	init_trial(&t, g32_into, mode);
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT32(g32_into_hlt), 0),
	       "%s: INTO with OF clear does nothing", name);
}

static void test_pages(struct plex86_space *s)
{
	struct trial t;

	init_trial(&t, g32_load, PLEX86_MODE_32);
	t.cpu.gpr[PLEX86_RAX] = UNMAPPED;
	run_to_trap(s, &t);
	report(is_page(&t, UNMAPPED) & same_state(&t, AT32(g32_load), 0),
	       "32-bit: load from an unmapped page: PAGE, state exact");
	init_trial(&t, g32_store, PLEX86_MODE_32);
	t.cpu.gpr[PLEX86_RAX] = 0xfffffff0;
	run_to_trap(s, &t);
	report(is_page(&t, 0xfffffff0) & same_state(&t, AT32(g32_store), 0),
	       "32-bit: store just below 4 GiB: PAGE, state exact");
	init_trial(&t, g32_store, PLEX86_MODE_32);
	t.cpu.gpr[PLEX86_RAX] = VA_CODE32;
	run_to_trap(s, &t);
	report(is_page(&t, VA_CODE32) & same_state(&t, AT32(g32_store), 0),
	       "32-bit: store to a read-only page: PAGE, state exact");
	init_trial(&t, g32_jmp, PLEX86_MODE_32);
	t.cpu.gpr[PLEX86_RAX] = VA_DATA;
	run_to_trap(s, &t);
	report(is_page(&t, VA_DATA) & same_state(&t, VA_DATA, 0),
	       "32-bit: jump to a page without EXEC: PAGE at the target");

	init_trial(&t, g32_rep_movsb, PLEX86_MODE_32);
	t.cpu.gpr[PLEX86_RSI] = VA_DATA;
	t.cpu.gpr[PLEX86_RDI] = VA_STACK + PAGE(STACK_PAGES) - 256;
	t.cpu.gpr[PLEX86_RCX] = 1000;
	run_to_trap(s, &t);
	report(is_page(&t, VA_STACK + PAGE(STACK_PAGES)) && t.cpu.rip == AT32(g32_rep_movsb) &&
	       t.cpu.gpr[PLEX86_RCX] == 744 && t.cpu.gpr[PLEX86_RSI] == VA_DATA + 256,
	       "32-bit: REP MOVSB into an unmapped page: exact");
}

static void test_work(struct plex86_space *s)
{
	const uint64_t *b;
	struct trial t;

	init_trial(&t, g32_work, PLEX86_MODE_32);
	run_to_trap(s, &t);
	b = t.before.gpr;
	report(is_trap(&t, ANY_VECTOR) && t.cpu.rip == AT32(g32_work_trap) &&
	       t.cpu.gpr[PLEX86_RBX] == (uint32_t)(b[PLEX86_RBX] + b[PLEX86_RAX]) &&
	       t.cpu.gpr[PLEX86_RCX] == b[PLEX86_RDX] && t.cpu.gpr[PLEX86_RDX] == b[PLEX86_RCX] &&
	       t.cpu.gpr[PLEX86_RBP] == (uint32_t)(b[PLEX86_RSI] + 2 * b[PLEX86_RDI] + 5) &&
	       t.cpu.gpr[PLEX86_RSP] == b[PLEX86_RSP] - 4 &&
	       t.cpu.gpr[PLEX86_RAX] == b[PLEX86_RAX] && t.cpu.rflags & FLAG_DF,
	       "32-bit: what instructions did to all registers comes back");
}

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

static void test_tls(struct plex86_space *s)
{
	struct plex86_space *other = fresh_space();
	uint32_t word = 0xc0ffee11, seen;
	struct plex86_seg gs;
	bool good = true;
	struct trial t;
	unsigned int i;

	memcpy(ram + RAM_DATA + 0x214, &word, 4);
	init_trial(&t, g32_gs, PLEX86_MODE_32);
	gs = t.cpu.seg[PLEX86_GS];
	skip_store(s, &t);
	memcpy(&seen, ram + RAM_DATA + 0x218, 4);
	report(is_trap(&t, ANY_VECTOR) & same_state(&t, AT32(g32_gs_trap), MAY_RAX) &&
	       t.cpu.gpr[PLEX86_RAX] == word && seen == 0x55aa &&
	       !memcmp(&gs, &t.cpu.seg[PLEX86_GS], sizeof(gs)),
	       "32-bit: load and store through GS; its selector and base are kept");

	/* Thread switches: another base each time, in two spaces. */
	for (i = 0; i < 12; i++) {
		word = 0x1000 + i;
		memcpy(ram + RAM_DATA + 0x400 + i * 64 + 0x14, &word, 4);
		init_trial(&t, g32_gs, PLEX86_MODE_32);
		t.cpu.seg[PLEX86_GS].base = VA_DATA + 0x400 + i * 64;
		if (i & 1)	/* a selector that no 64-bit host has: a TLS entry, say */
			t.cpu.seg[PLEX86_GS].sel = 0x43;
		skip_store(i % 3 ? s : other, &t);
		memcpy(&seen, ram + RAM_DATA + 0x400 + i * 64 + 0x18, 4);
		good &= is_trap(&t, ANY_VECTOR) & same_state(&t, AT32(g32_gs_trap), MAY_RAX) &&
			t.cpu.gpr[PLEX86_RAX] == word && seen == 0x55aa;
	}
	report(good, "32-bit: a different GS base in each slice");

	/* The TLS entries of 64-bit Linux, for either register: what is read is what it has. */
	for (i = 0, good = true; i < 6; i++) {
		const unsigned int reg = i & 1 ? PLEX86_FS : PLEX86_GS;
		const unsigned int other_reg = i & 1 ? PLEX86_GS : PLEX86_FS;
		const uint16_t sel = 0x63 + 8 * (i / 2);

		/* MOV EAX, GS or FS; HLT */
		memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0x8c, i & 1 ? 0xe0 : 0xe8, 0xf4 }, 3);
		init_trial(&t, g32_gs, PLEX86_MODE_COMPAT);
		t.cpu.rip = VA_PATCH;
		t.cpu.seg[PLEX86_CS].sel = 0x23;
		t.cpu.seg[other_reg] = t.cpu.seg[PLEX86_DS];
		t.cpu.seg[other_reg].sel = 0x2b;
		t.cpu.seg[reg] = gs;
		t.cpu.seg[reg].sel = sel;
		run_to_trap(s, &t);
		good &= t.exit.reason == PLEX86_EXIT_REFUSED ||
			(is_trap(&t, 13) && (t.cpu.gpr[PLEX86_RAX] & 0xffff) == sel);
	}
	report(good, "compat: FS and GS with Linux's TLS selectors, which can be read");

	/* MOV GS, EAX: for whom they have stood is gone. (See descriptors.c for engines that are told.) */
	for (i = 0, good = true; i < 3 && !(caps->flags & PLEX86_CAP_DESCRIPTORS); i++) {
		memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0x8e, 0xe8, 0xf4 }, 3);
		init_trial(&t, g32_gs, PLEX86_MODE_COMPAT);
		t.cpu.rip = VA_PATCH;
		t.cpu.seg[PLEX86_CS].sel = 0x23;
		t.cpu.gpr[PLEX86_RAX] = 0x63 + 8 * i;
		t.cpu.seg[PLEX86_FS] = t.cpu.seg[PLEX86_DS];
		t.cpu.seg[PLEX86_FS].sel = 0x2b;
		t.cpu.seg[PLEX86_GS] = t.cpu.seg[PLEX86_FS];
		run_to_trap(s, &t);
		good &= t.exit.reason == PLEX86_EXIT_REFUSED ||
			(is_trap(&t, 13) && t.cpu.rip == VA_PATCH);
	}
	report(good, "compat: no later load of them brings a segment back");

	/*
	 * What it reads it may load again.  Either that changes nothing, or the
	 * host's descriptor comes back, to be replaced by the guest's.
	 */
	word = 0xc0ffee11;
	memcpy(ram + RAM_DATA + 0x214, &word, 4);
	init_trial(&t, g32_gs_reload, PLEX86_MODE_32);
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
	ops->space_destroy(other);
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
			init_trial(&t, g32_gs, PLEX86_MODE_32);
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
	init_trial(&t, g32_gs, PLEX86_MODE_COMPAT);
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

/* What an engine can't help is that a host's kernel takes them; the filter keeps them out. */
static void test_entries_after_jump(void)
{
	static const struct { const char *name; uint8_t code[2]; uint32_t amd; } calls[] = {
		{ "SYSCALL", { 0x0f, 0x05 }, PLEX86_CAP_SYSENTER_UD },
		{ "SYSENTER", { 0x0f, 0x34 }, 0 },
	};
	const uint32_t far[2] = { VA_PATCH + 16, 0x23 };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		struct plex86_space *s = fresh_space();
		bool taken = !(caps->flags & PLEX86_CAP_TRAP_SYSENTER) &&
			     (caps->flags & PLEX86_CAP_SYSENTER_UD) == calls[i / 2].amd;
		const char *name = calls[i / 2].name, *stack = i & 1 ? ", no stack" : "";
		struct trial t;

		memcpy(ram + RAM_DATA, far, 6);
		memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0xff, 0x2f }, 2);
		memcpy(ram + RAM_PATCH + 16, calls[i / 2].code, 2);
		init_cpu64(&t.cpu, VA_PATCH);
		plex86_vec_init(&t.vec);
		t.cpu.gpr[PLEX86_RDI] = VA_DATA;
		if (*stack)
			t.cpu.gpr[PLEX86_RSP] = 0x70000000;
		run_trial(s, &t, 0, FOREVER);
		if (t.exit.reason == PLEX86_EXIT_BROKEN)
			report(taken && t.cpu.rip <= UINT32_MAX && t.exit.why &&
			       ops->run(s, &t.cpu, &t.vec, 0, FOREVER, &t.exit) == -ESRCH,
			       "64-bit: far jump to 32-bit %s%s: the engine says that it is broken",
			       name, stack);
		else
			report(is_trap(&t, ANY_VECTOR) &&
			       (t.cpu.rip == VA_PATCH || t.cpu.rip == VA_PATCH + 16) &&
			       !memcmp(t.cpu.gpr, t.before.gpr, sizeof(t.cpu.gpr)),
			       "64-bit: far jump to 32-bit %s%s: traps, state exact", name, stack);
		ops->space_destroy(s);
	}
}

static void test_modes(struct plex86_space *s)
{
	uint32_t far[2] = { (uint32_t)AT64(g64_compat_part), 0x23 };
	struct trial t;

	/* Both ways; a 64-bit system with Linux's selectors does that. */
	memcpy(ram + RAM_DATA, far, 6);
	init_cpu64(&t.cpu, AT64(g64_to_compat));
	plex86_vec_init(&t.vec);
	t.cpu.gpr[PLEX86_RDI] = VA_DATA;
	t.cpu.gpr[PLEX86_RAX] = 5;
	run_to_trap(s, &t);
	report(is_trap(&t, ANY_VECTOR) &&
	       (t.cpu.rip == AT64(g64_to_compat) ||
		(t.cpu.gpr[PLEX86_RAX] == 6 && t.cpu.seg[PLEX86_CS].sel == 0x23 &&
		 t.cpu.seg[PLEX86_CS].attr & PLEX86_SEG_DB &&
		 !(t.cpu.seg[PLEX86_CS].attr & PLEX86_SEG_L))),
	       "64-bit: far jump to 32-bit code: traps, or comes back as 32-bit code");

	/* WRFSBASE RAX; the same jump: the base is the register's in both modes. */
	memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0xf3, 0x48, 0x0f, 0xae, 0xd0, 0xff, 0x2f }, 7);
	init_cpu64(&t.cpu, VA_PATCH);
	t.cpu.gpr[PLEX86_RDI] = VA_DATA;
	t.cpu.gpr[PLEX86_RAX] = 0x123000;
	run_to_trap(s, &t);
	report(is_trap(&t, ANY_VECTOR) &&
	       (t.cpu.rip == VA_PATCH || t.cpu.seg[PLEX86_FS].base == 0x123000),
	       "64-bit: WRFSBASE and a far jump to 32-bit code: the base comes back");

	far[0] = (uint32_t)AT32(g32_to_64) + 2;
	far[1] = 0x33;
	memcpy(ram + RAM_DATA, far, 6);
	init_trial(&t, g32_to_64, PLEX86_MODE_COMPAT);
	t.cpu.seg[PLEX86_CS].sel = 0x23;
	t.cpu.gpr[PLEX86_RDI] = VA_DATA;
	run_to_trap(s, &t);
	report(is_trap(&t, 13) &&
	       (t.cpu.rip == AT32(g32_to_64) ||
		(t.cpu.rip == AT32(g32_to_64_trap) &&
		 t.cpu.gpr[PLEX86_R9] == UINT64_C(0x1122334455667788) &&
		 t.cpu.seg[PLEX86_CS].attr & PLEX86_SEG_L)),
	       "compat: far jump to 64-bit code: traps, or comes back as 64-bit code");

	/* A space serves whatever mode comes. */
	init_trial(&t, g32_hlt, PLEX86_MODE_32);
	run_to_trap(s, &t);
	init_cpu64(&t.cpu, AT64(g64_hlt));
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT64(g64_hlt), 0),
	       "64-bit code right after 32-bit code");

	init_trial(&t, g32_spin, PLEX86_MODE_32);
	run_trial(s, &t, 0, 1000000);
	report(is_reason(&t, PLEX86_EXIT_DEADLINE) & same_state(&t, AT32(g32_spin), 0),
	       "32-bit: an endless loop ends at its deadline");
}

void test_compat(void)
{
	struct plex86_space *s;
	struct trial t;

	if (!(caps->flags & PLEX86_CAP_COMPAT)) {
		s = fresh_space();
		init_trial(&t, g32_hlt, PLEX86_MODE_32);
		run_trial(s, &t, 0, FOREVER);
		report(is_reason(&t, PLEX86_EXIT_REFUSED), "32-bit code is refused");
		skip("32-bit code", "the engine doesn't run it here (no CAP_COMPAT)");
		ops->space_destroy(s);
		return;
	}
	s = fresh_space();
	test_trapping(s, PLEX86_MODE_32, "32-bit");
	test_trapping(s, PLEX86_MODE_COMPAT, "compat");
	test_pages(s);
	test_work(s);
	test_tls(s);
	test_bounds(s);
	test_null_base(s);
	test_modes(s);
	test_entries_after_jump();
	ops->space_destroy(s);
}
