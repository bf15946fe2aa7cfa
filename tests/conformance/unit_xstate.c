// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Conversion between XSAVE images and struct plex86_vec, in both vendors' layouts
 * and without an engine.
 */
#include <cpuid.h>
#include <string.h>

#include "../../accel-driver/common/xstate.h"
#include "../tap.h"

#define ALL	(PLEX86_X_X87 | PLEX86_X_SSE | PLEX86_X_AVX | PLEX86_X_AVX512)
#define BV	512	/* XSTATE_BV, SDM vol. 1, 13.4.2 */

/* CPUID leaf 0DH as Zen 5 and as Ice Lake report it. */
static const struct plex86_xstate_leaf amd[PLEX86_XSTATE_NCOMP] = {
	[2] = { 256, 576 }, [5] = { 64, 832 }, [6] = { 512, 896 }, [7] = { 1024, 1408 },
	[9] = { 8, 2432 },
};
static const struct plex86_xstate_leaf intel[PLEX86_XSTATE_NCOMP] = {
	[2] = { 256, 576 }, [5] = { 64, 1088 }, [6] = { 512, 1152 }, [7] = { 1024, 1664 },
	[9] = { 8, 2688 },
};

static uint8_t image[4096];

static void fill(struct plex86_vec *v, unsigned int seed, uint64_t valid)
{
	uint8_t *p = (uint8_t *)v;
	size_t i;

	plex86_vec_init(v);
	for (i = 0; i < 416; i++)
		p[i] = (uint8_t)(seed + i * 11);
	for (i = offsetof(struct plex86_vec, ymm_hi); i < offsetof(struct plex86_vec, valid); i++)
		p[i] = (uint8_t)(seed + i * 5 + (i >> 8));
	v->pkru = 0x55555554 + seed;
	v->valid = valid;
}

static void test_round_trips(const char *vendor, const struct plex86_xstate_leaf *leaf)
{
	struct plex86_xstate_layout l;
	struct plex86_vec in, out;
	uint64_t bv, lost;
	unsigned int set;
	int good = 1;

	tap_ok(!plex86_xstate_layout_init(&l, ALL | PLEX86_X_PKRU, leaf, 1) &&
	       l.size == leaf[9].offset + 8, "%s: layout", vendor);
	/* Every combination of components, PKRU among them. */
	for (set = 0; set < 128; set++) {
		uint64_t valid = (set & 7) | (uint64_t)(set >> 3 & 7) << 5 |
				 (uint64_t)(set >> 6) << 9;

		fill(&in, set, valid);
		memset(image, 0xaa, sizeof(image));
		plex86_xstate_from_vec(&l, &in, ~UINT64_C(0), image, l.size);
		memcpy(&bv, image + BV, 8);
		good &= (bv & ~(uint64_t)PLEX86_X_SSE) == (valid & ~(uint64_t)PLEX86_X_SSE);
		memset(&out, 0x77, sizeof(out));
		lost = plex86_xstate_to_vec(&l, image, ~UINT64_C(0), &out);
		good &= !lost && plex86_vec_equal(&in, &out) && image[l.size] == 0xaa;
	}
	tap_ok(good, "%s: all 128 sets of components there and back", vendor);

	/* Said to be valid, and initial: not in use; of AVX, SSE's bit says where MXCSR is. */
	for (set = 0, good = 1; set < 64; set++) {
		uint64_t used = (set & 7) | (uint64_t)(set >> 3 & 7) << 5, want;

		want = used | (used & PLEX86_X_AVX ? PLEX86_X_SSE : 0);
		fill(&in, set + 1, used);
		plex86_xstate_from_vec(&l, &in, ~UINT64_C(0), image, l.size);
		bv = ALL;
		memcpy(image + BV, &bv, 8);
		good &= plex86_xstate_in_use(&l, image) == want;
		/* The same of registers that hold what they begin with. */
		plex86_xstate_to_vec(&l, image, ~UINT64_C(0), &in);
		good &= in.valid == ALL;
		plex86_xstate_from_vec(&l, &in, ~UINT64_C(0), image, l.size);
		memcpy(&bv, image + BV, 8);
		good &= bv == want;
	}
	tap_ok(good, "%s: what is initial is not in use", vendor);

	fill(&in, 9, ALL);
	plex86_xstate_from_vec(&l, &in, ~UINT64_C(0), image, l.size);
	good = !memcmp(image + leaf[2].offset, in.ymm_hi, 256) &&
	       !memcmp(image + leaf[5].offset, in.opmask, 64) &&
	       !memcmp(image + leaf[6].offset, in.zmm_hi256, 512) &&
	       !memcmp(image + leaf[7].offset, in.hi16_zmm, 1024) &&
	       !memcmp(image + 160, in.legacy + 160, 256) && !memcmp(image + 32, in.legacy + 32, 128);
	tap_ok(good, "%s: each component where the CPU says", vendor);
	good = 1;
	for (set = 520; set < 576; set++)
		good &= !image[set];
	for (set = 416; set < 512; set++)
		good &= !image[set];
	tap_ok(good, "%s: header and reserved bytes zero, as XRSTOR wants", vendor);
}

static void test_pkru(void)
{
	struct plex86_xstate_layout l;
	struct plex86_vec in, out;

	plex86_xstate_layout_init(&l, ALL | PLEX86_X_PKRU, amd, 1);
	fill(&in, 4, ALL);
	plex86_xstate_from_vec(&l, &in, ~UINT64_C(0), image, l.size);
	is(plex86_xstate_pkru(&l, image), 0, "an image without PKRU has zero there");
	plex86_xstate_set_pkru(&l, image, 0x55555554);
	is(plex86_xstate_pkru(&l, image), 0x55555554, "PKRU is what was set");
	is(plex86_xstate_to_vec(&l, image, ~(uint64_t)PLEX86_X_PKRU, &out), PLEX86_X_PKRU,
	   "and in use");
	tap_ok(plex86_vec_equal(&in, &out), "and all else is what it was");
}

static void test_masks(void)
{
	struct plex86_xstate_layout l;
	struct plex86_vec in, out;
	uint32_t mxcsr;
	uint16_t fcw;
	uint64_t bv;

	plex86_xstate_layout_init(&l, ALL, amd, 1);
	fill(&in, 1, ALL);
	plex86_xstate_from_vec(&l, &in, PLEX86_X_X87 | PLEX86_X_SSE, image, l.size);
	memcpy(&bv, image + BV, 8);
	tap_ok(bv == (PLEX86_X_X87 | PLEX86_X_SSE) && !image[576] && !image[1408],
	       "components outside the mask are left out of the image");
	plex86_xstate_from_vec(&l, &in, ~UINT64_C(0), image, l.size);
	is(plex86_xstate_to_vec(&l, image, PLEX86_X_X87 | PLEX86_X_SSE, &out),
	   PLEX86_X_AVX | PLEX86_X_AVX512, "and reported where they were in use");
	is(out.valid, PLEX86_X_X87 | PLEX86_X_SSE, "and aren't valid");

	in.valid = 0;
	plex86_xstate_from_vec(&l, &in, ~UINT64_C(0), image, l.size);
	memcpy(&fcw, image, 2);
	memcpy(&mxcsr, image + 24, 4);
	memcpy(&bv, image + BV, 8);
	tap_ok(fcw == 0x37f && mxcsr == 0x1f80 && !bv, "nothing valid: the initial configuration");

	/* AVX without SSE: MXCSR must come out of the image the same in both formats. */
	fill(&in, 1, PLEX86_X_AVX);
	plex86_xstate_from_vec(&l, &in, ~UINT64_C(0), image, l.size);
	memcpy(&mxcsr, image + 24, 4);
	memcpy(&bv, image + BV, 8);
	tap_ok(bv == (PLEX86_X_SSE | PLEX86_X_AVX) && mxcsr == 0x1f80, "AVX brings SSE with it");
}

/* A changed MXCSR under a clear SSE bit: real with XSAVE, stale bytes with XSAVES. */
static void test_mxcsr(void)
{
	struct plex86_xstate_layout tracked, plain;
	struct plex86_vec out;
	uint32_t mxcsr = 0x9fc0;

	plex86_xstate_layout_init(&tracked, ALL, amd, 1);
	plex86_xstate_layout_init(&plain, ALL, amd, 0);
	memset(image, 0, sizeof(image));
	memcpy(image + 24, &mxcsr, 4);
	plex86_xstate_to_vec(&plain, image, ~UINT64_C(0), &out);
	tap_ok(out.valid == PLEX86_X_SSE && !memcmp(out.legacy + 24, &mxcsr, 4),
	       "MXCSR under a clear SSE bit counts if the saver doesn't track it");
	plex86_xstate_to_vec(&tracked, image, ~UINT64_C(0), &out);
	mxcsr = 0x1f80;
	tap_ok(!out.valid && !memcmp(out.legacy + 24, &mxcsr, 4), "and not if it does");
}

static void test_equal(void)
{
	struct plex86_vec a, b;
	int good = 1;
	size_t i;

	fill(&a, 3, ALL);
	b = a;
	ok(plex86_vec_equal(&a, &b));
	memset(b.legacy + 28, 0x11, 4);
	memset(b.legacy + 416, 0x22, 96);
	tap_ok(plex86_vec_equal(&a, &b), "MXCSR_MASK and the software area don't count");
	b = a;
	for (i = 0; i < offsetof(struct plex86_vec, valid); i++) {
		if ((i >= 28 && i < 32) || (i >= 416 && i < 512))
			continue;
		((uint8_t *)&b)[i] ^= 0x40;
		if (plex86_vec_equal(&a, &b)) {
			tap_diag("byte %zu", i);
			good = 0;
		}
		((uint8_t *)&b)[i] ^= 0x40;
	}
	tap_ok(good, "every byte of every register counts");
	b.valid &= ~(uint64_t)PLEX86_X_OPMASK;
	tap_ok(!plex86_vec_equal(&a, &b) && !plex86_vec_equal(&b, &a), "as does being valid");
	plex86_vec_init(&a);
	plex86_vec_init(&b);
	b.valid = ALL;
	tap_ok(plex86_vec_equal(&a, &b) && plex86_vec_equal(&b, &a),
	       "a valid component in its initial configuration is like an invalid one");
}

static void test_bad_leaves(void)
{
	struct plex86_xstate_leaf leaf[PLEX86_XSTATE_NCOMP];
	struct plex86_xstate_layout l;

	memcpy(leaf, amd, sizeof(leaf));
	leaf[7].size = 512;
	is(plex86_xstate_layout_init(&l, ALL, leaf, 1), -1, "a component that is too small");
	memcpy(leaf, amd, sizeof(leaf));
	leaf[2].offset = 512;
	is(plex86_xstate_layout_init(&l, ALL, leaf, 1), -1, "a component inside the header");
	is(plex86_xstate_layout_init(&l, PLEX86_X_X87 | PLEX86_X_SSE, leaf, 1), 0,
	   "which doesn't matter if it isn't enabled");
	is(l.size, PLEX86_XSTATE_MIN, "then the image is legacy area and header");
}

/* What this machine's own XSAVE writes, read back by the conversion. */
__attribute__((target("xsave")))
static void test_this_cpu(void)
{
	static uint8_t area[16384] __attribute__((aligned(64)));
	struct plex86_xstate_leaf leaf[PLEX86_XSTATE_NCOMP] = { { 0 } };
	struct plex86_xstate_layout l;
	struct plex86_vec v;
	uint32_t a, b, c, d, lo, hi, i;
	uint8_t want[16];

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) {
		tap_skip("this CPU's own XSAVE", "it has none");
		return;
	}
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	for (i = 2; i < PLEX86_XSTATE_NCOMP; i++)
		if (__get_cpuid_count(0xd, i, &a, &b, &c, &d))
			leaf[i] = (struct plex86_xstate_leaf){ a, b };
	is(plex86_xstate_layout_init(&l, lo | (uint64_t)hi << 32, leaf, 0), 0,
	   "this CPU's layout is accepted");
	memset(want, 0x5c, sizeof(want));
	__asm__ volatile("movdqu %1, %%xmm11\n\txsave64 %0"
			 : "+m"(area) : "m"(want), "a"(lo), "d"(hi) : "xmm11", "memory");
	plex86_xstate_to_vec(&l, area, ~UINT64_C(0), &v);
	tap_ok(v.valid & PLEX86_X_SSE && !memcmp(v.legacy + 160 + 11 * 16, want, 16),
	       "XMM11 is found in what it saves");
}

int main(void)
{
	test_round_trips("AMD", amd);
	test_round_trips("Intel", intel);
	test_pkru();
	test_masks();
	test_mxcsr();
	test_equal();
	test_bad_leaves();
	test_this_cpu();
	return tap_done();
}
