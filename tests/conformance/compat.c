// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * 32-bit code in flat segments, as 32-bit Linux sets them up: its own selectors,
 * GS with a base (compat_segs.c).  Also compatibility mode, and the way between the two.
 */
#include <errno.h>

#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g32_int80); PROG(g32_int3); PROG(g32_cd03); PROG(g32_hlt); PROG(g32_cli); PROG(g32_in);
PROG(g32_ud2); PROG(g32_icebp); PROG(g32_int20); PROG(g32_into); PROG(g32_into_hlt);
PROG(g32_bound); PROG(g32_div0); PROG(g32_load); PROG(g32_store); PROG(g32_jmp);
PROG(g32_aam0); PROG(g32_rep_movsb); PROG(g32_work); PROG(g32_work_trap); PROG(g32_null_fs);
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

static void test_trapping(struct plex86_space *s, uint32_t mode, const char *name)
{
	struct trial t;
	unsigned int i;

	for (i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
		init_trial32(&t, traps[i].at, mode);
		t.cpu.rflags |= traps[i].flags;
		run_to_trap(s, &t);
		report(is_trap(&t, traps[i].vector) & same_state(&t, AT32(traps[i].at), 0),
		       "%s: %s: TRAP, state exact", name, traps[i].name);
	}
	init_trial32(&t, g32_into, mode);
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT32(g32_into_hlt), 0),
	       "%s: INTO with OF clear does nothing", name);
}

static void test_pages(struct plex86_space *s)
{
	struct trial t;

	init_trial32(&t, g32_load, PLEX86_MODE_32);
	t.cpu.gpr[PLEX86_RAX] = UNMAPPED;
	run_to_trap(s, &t);
	report(is_page(&t, UNMAPPED) & same_state(&t, AT32(g32_load), 0),
	       "32-bit: load from an unmapped page: PAGE, state exact");
	init_trial32(&t, g32_store, PLEX86_MODE_32);
	t.cpu.gpr[PLEX86_RAX] = 0xfffffff0;
	run_to_trap(s, &t);
	report(is_page(&t, 0xfffffff0) & same_state(&t, AT32(g32_store), 0),
	       "32-bit: store just below 4 GiB: PAGE, state exact");
	init_trial32(&t, g32_store, PLEX86_MODE_32);
	t.cpu.gpr[PLEX86_RAX] = VA_CODE32;
	run_to_trap(s, &t);
	report(is_page(&t, VA_CODE32) & same_state(&t, AT32(g32_store), 0),
	       "32-bit: store to a read-only page: PAGE, state exact");
	init_trial32(&t, g32_jmp, PLEX86_MODE_32);
	t.cpu.gpr[PLEX86_RAX] = VA_DATA;
	run_to_trap(s, &t);
	report(is_page(&t, VA_DATA) & same_state(&t, VA_DATA, 0),
	       "32-bit: jump to a page without EXEC: PAGE at the target");

	init_trial32(&t, g32_rep_movsb, PLEX86_MODE_32);
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

	init_trial32(&t, g32_work, PLEX86_MODE_32);
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
	init_trial32(&t, g32_to_64, PLEX86_MODE_COMPAT);
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
	init_trial32(&t, g32_hlt, PLEX86_MODE_32);
	run_to_trap(s, &t);
	init_cpu64(&t.cpu, AT64(g64_hlt));
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT64(g64_hlt), 0),
	       "64-bit code right after 32-bit code");

	init_trial32(&t, g32_spin, PLEX86_MODE_32);
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
		init_trial32(&t, g32_hlt, PLEX86_MODE_32);
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
	test_compat_segs(s);
	test_modes(s);
	test_entries_after_jump();
	ops->space_destroy(s);
}
