// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * x87, MMX, SSE, AVX, AVX-512 state: it belongs to the CPU that the caller holds,
 * whichever space it runs in, whatever that space's last state was.
 */
#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_hlt); PROG(g32_hlt); PROG(g64_xmm_rotate); PROG(g64_avx_add); PROG(g64_avx512_add); PROG(g64_vzeroall);

#define ALL_AVX512	((uint64_t)PLEX86_X_AVX512)

static void init_trial(struct trial *t, const uint8_t *at, uint64_t seed, uint64_t components)
{
	init_cpu64(&t->cpu, AT64(at));
	init_vec(&t->vec, seed, components);
}

/* Each set of components through a trap and back, unchanged. */
static void test_kept(struct plex86_space *s)
{
	static const struct {
		const char *name;
		uint64_t components;
	} sets[] = {
		{ "nothing in use", 0 },
		{ "x87", PLEX86_X_X87 },
		{ "SSE", PLEX86_X_SSE },
		{ "x87 and SSE", PLEX86_X_X87 | PLEX86_X_SSE },
		{ "AVX", PLEX86_X_X87 | PLEX86_X_SSE | PLEX86_X_AVX },
		{ "AVX-512", PLEX86_X_X87 | PLEX86_X_SSE | PLEX86_X_AVX | PLEX86_X_AVX512 },
	};
	struct trial t;
	unsigned int i, seed;
	bool good;

	for (i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		if (sets[i].components & ~caps->xcr0) {
			skip(sets[i].name, "the host or the engine doesn't have it");
			continue;
		}
		good = true;
		for (seed = 0; seed < 8; seed++) {
			init_trial(&t, g64_hlt, seed, sets[i].components);
			run_to_trap(s, &t);
			good &= is_trap(&t, 13) & same_state(&t, AT64(g64_hlt), 0);
		}
		report(good, "vector state kept through a trap: %s", sets[i].name);
	}
}

/* Computing on it. */
static void test_computed(struct plex86_space *s)
{
	struct plex86_vec want;
	struct trial t;
	unsigned int i;

	init_trial(&t, g64_xmm_rotate, 1, PLEX86_X_X87 | PLEX86_X_SSE);
	want = t.vec;
	memcpy(want.legacy + 160 + 15 * 16, want.legacy + 160, 16);
	for (i = 0; i < 16; i++)
		want.legacy[160 + i] += want.legacy[176 + i];
	run_to_trap(s, &t);
	report(is_trap(&t, 13) && plex86_vec_equal(&t.vec, &want), "SSE instructions' results");

	if (caps->xcr0 & PLEX86_X_AVX) {
		init_trial(&t, g64_avx_add, 2, PLEX86_X_X87 | PLEX86_X_SSE | PLEX86_X_AVX);
		want = t.vec;
		for (i = 0; i < 16; i++) {
			want.legacy[160 + i] += want.legacy[176 + i];
			want.ymm_hi[0][i] += want.ymm_hi[1][i];
		}
		run_to_trap(s, &t);
		report(is_trap(&t, 13) && plex86_vec_equal(&t.vec, &want),
		       "AVX instructions' results");
	} else {
		skip("AVX instructions' results", "no AVX here");
	}

	if (!(ALL_AVX512 & ~caps->xcr0)) {
		init_trial(&t, g64_avx512_add, 3, caps->xcr0);
		want = t.vec;
		for (i = 0; i < 64; i++)
			want.hi16_zmm[15][i] += want.hi16_zmm[1][i];
		want.opmask[3] = t.cpu.gpr[PLEX86_RAX];
		run_to_trap(s, &t);
		report(is_trap(&t, 13) && plex86_vec_equal(&t.vec, &want),
		       "AVX-512 instructions' results");
	} else {
		skip("AVX-512 instructions' results", "no AVX-512 here");
	}
}

/* One CPU wandering between two spaces, with VEC_SAME told where it is true. */
static void test_two_spaces(struct plex86_space *a, struct plex86_space *b)
{
	struct plex86_space *where;
	struct plex86_vec want;
	bool good = true;
	struct trial t;
	unsigned int i, j;

	init_trial(&t, g64_xmm_rotate, 7, caps->xcr0);
	want = t.vec;
	for (i = 0; i < 64 && good; i++) {
		where = (i * 7 + i / 3) % 5 < 3 ? a : b;
		t.cpu.rip = AT64(g64_xmm_rotate);
		run_trial(where, &t, i ? PLEX86_RUN_VEC_SAME : 0, FOREVER);
		if (!t.err && t.exit.reason == PLEX86_EXIT_DEADLINE) {
			i--;
			continue;
		}
		memcpy(want.legacy + 160 + 15 * 16, want.legacy + 160, 16);
		for (j = 0; j < 16; j++)
			want.legacy[160 + j] += want.legacy[176 + j];
		good &= is_trap(&t, 13) && plex86_vec_equal(&t.vec, &want);
	}
	report(good, "vector state follows the CPU through 64 slices in two spaces");

	/* Two CPUs' worth of state, one in each space, turn and turn about. */
	good = true;
	for (i = 0; i < 32; i++) {
		init_trial(&t, g64_hlt, i & 1 ? 11 : 22, i & 1 ? caps->xcr0 : PLEX86_X_SSE);
		run_to_trap(i & 2 ? a : b, &t);
		good &= is_trap(&t, 13) & same_state(&t, AT64(g64_hlt), 0);
	}
	report(good, "two different vector states alternate in two spaces");
}

/* x87 and SSE state changes between two runs, in code of each width, and the rest does not; or it does. */
static void test_legacy_changes(struct plex86_space *s)
{
	struct plex86_vec other;
	bool good = true;
	struct trial t;
	unsigned int i;

	init_trial(&t, g64_hlt, 1, caps->xcr0);
	run_to_trap(s, &t);
	for (i = 2; i < 40 && good; i++) {
		init_vec(&other, i, caps->xcr0);
		memcpy(t.vec.legacy, other.legacy, sizeof(t.vec.legacy));
		t.vec.valid |= PLEX86_X_X87 | PLEX86_X_SSE;
		if (i % 7 == 0)
			t.vec = other;
		t.cpu.rip = AT64(g64_hlt);
		if ((caps->flags & PLEX86_CAP_COMPAT) && i % 3 == 0)
			init_cpu32(&t.cpu, AT32(g32_hlt));
		else
			init_cpu64(&t.cpu, AT64(g64_hlt));
		run_to_trap(s, &t);
		good &= is_trap(&t, 13) & same_state(&t, t.before.rip, 0);
	}
	report(good, "x87 and SSE state that changes alone");
}

/* A run() that has no time runs nothing, but what it was given is what the last run() returned. */
static void test_nothing_ran(struct plex86_space *a, struct plex86_space *b)
{
	struct trial t;
	bool good;

	init_trial(&t, g64_hlt, 5, caps->xcr0);
	run_to_trap(a, &t);
	good = is_trap(&t, 13);
	init_trial(&t, g64_hlt, 6, caps->xcr0);
	run_trial(b, &t, 0, 0);
	good &= is_reason(&t, PLEX86_EXIT_DEADLINE) & same_state(&t, AT64(g64_hlt), 0);
	run_trial(a, &t, PLEX86_RUN_VEC_SAME, FOREVER);
	good &= is_trap(&t, 13) & same_state(&t, AT64(g64_hlt), 0);
	report(good, "the vector state of a run that had no time reaches another space");
}

/* What the caller changes between two runs counts, what it doesn't know is INIT. */
static void test_changes(struct plex86_space *s)
{
	struct trial t;
	bool good;

	init_trial(&t, g64_hlt, 1, caps->xcr0);
	run_to_trap(s, &t);
	t.vec.legacy[160] ^= 1;
	run_to_trap(s, &t);
	good = is_trap(&t, 13) & same_state(&t, AT64(g64_hlt), 0);
	t.vec.valid &= ~(uint64_t)(PLEX86_X_X87 | PLEX86_X_SSE);
	if (caps->xcr0 & PLEX86_X_AVX)
		t.vec.valid &= ~(uint64_t)(PLEX86_X_AVX | PLEX86_X_AVX512);
	run_to_trap(s, &t);
	good &= is_trap(&t, 13) && !t.vec.valid;
	report(good, "a change by the caller reaches the registers; components can be reset");

	if (!(caps->xcr0 & PLEX86_X_AVX)) {
		skip("components outside the guest's XCR0", "no AVX here");
		return;
	}
	init_trial(&t, g64_hlt, 9, caps->xcr0);
	run_to_trap(s, &t);		/* leaves AVX state in the space */
	t.cpu.xcr0 = PLEX86_X_X87 | PLEX86_X_SSE;
	run_trial(s, &t, PLEX86_RUN_VEC_SAME, FOREVER);
	good = is_trap(&t, 13) && !(t.vec.valid & ~t.cpu.xcr0);
	t.cpu.xcr0 = caps->xcr0;
	run_trial(s, &t, PLEX86_RUN_VEC_SAME, FOREVER);
	good &= is_trap(&t, 13) && !(t.vec.valid & ~(uint64_t)(PLEX86_X_X87 | PLEX86_X_SSE));
	report(good, "components outside the guest's XCR0 are in their initial state");

	init_trial(&t, g64_vzeroall, 4, caps->xcr0);
	run_to_trap(s, &t);
	good = is_trap(&t, 13);
	for (unsigned int i = 160; i < 416; i++)
		good &= !(t.vec.valid & PLEX86_X_SSE) || !t.vec.legacy[i];
	report(good && t.vec.legacy[24] == t.vec_before.legacy[24] &&
	       t.vec.legacy[25] == t.vec_before.legacy[25],
	       "VZEROALL: registers clear, MXCSR kept");
}

void test_vectors(void)
{
	struct plex86_space *a = fresh_space(), *b = fresh_space();

	test_kept(a);
	test_computed(a);
	test_two_spaces(a, b);
	test_nothing_ran(a, b);
	test_legacy_changes(a);
	test_changes(a);
	ops->space_destroy(a);
	ops->space_destroy(b);
}
