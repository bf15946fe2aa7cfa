// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * See xstate.h.  Offsets inside the legacy area: SDM vol. 1, table 10-2; header
 * and components: 13.4.  The offset of every other component is the host's.
 */
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif

#include "xstate.h"

#define LEGACY_FCW		0
#define LEGACY_MXCSR		24
#define LEGACY_MXCSR_MASK	28
#define LEGACY_ST		32
#define LEGACY_XMM		160
#define LEGACY_END		416	/* from here on: reserved, or left to software */
#define HEADER_BV		512

#define COMPONENT_PKRU		9

#define FCW_INIT		0x037f
#define MXCSR_INIT		0x1f80

/* Where a component lives in struct plex86_vec, in the order of its bit. */
static const struct {
	uint32_t at;
	uint32_t size;
} component[PLEX86_XSTATE_NCOMP] = {
	[2] = { offsetof(struct plex86_vec, ymm_hi), sizeof(((struct plex86_vec *)0)->ymm_hi) },
	[5] = { offsetof(struct plex86_vec, opmask), sizeof(((struct plex86_vec *)0)->opmask) },
	[6] = { offsetof(struct plex86_vec, zmm_hi256),
		sizeof(((struct plex86_vec *)0)->zmm_hi256) },
	[7] = { offsetof(struct plex86_vec, hi16_zmm),
		sizeof(((struct plex86_vec *)0)->hi16_zmm) },
	[COMPONENT_PKRU] = { offsetof(struct plex86_vec, pkru), sizeof(((struct plex86_vec *)0)->pkru) },
};

static uint32_t get32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void put32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void legacy_init(uint8_t *legacy)
{
	uint16_t fcw = FCW_INIT;

	memset(legacy, 0, 512);
	memcpy(legacy + LEGACY_FCW, &fcw, sizeof(fcw));
	put32(legacy + LEGACY_MXCSR, MXCSR_INIT);
}

int plex86_xstate_layout_init(struct plex86_xstate_layout *layout, uint64_t xcr0,
			      const struct plex86_xstate_leaf leaf[PLEX86_XSTATE_NCOMP],
			      int tracked)
{
	unsigned int i;

	memset(layout, 0, sizeof(*layout));
	layout->xcr0 = (xcr0 & PLEX86_XSTATE_KNOWN) | PLEX86_X_X87 | PLEX86_X_SSE;
	layout->size = PLEX86_XSTATE_MIN;
	layout->mxcsr_tracked = !!tracked;
	for (i = 2; i < PLEX86_XSTATE_NCOMP; i++) {
		if (!(layout->xcr0 >> i & 1))
			continue;
		/* PKRU occupies 8 bytes of which 4 are the register. */
		if (leaf[i].size < component[i].size || leaf[i].offset < PLEX86_XSTATE_MIN ||
		    leaf[i].offset > 65536)
			return -1;
		layout->offset[i] = leaf[i].offset;
		if (leaf[i].offset + leaf[i].size > layout->size)
			layout->size = leaf[i].offset + leaf[i].size;
	}
	return 0;
}

void plex86_xstate_from_vec(const struct plex86_xstate_layout *layout,
			    const struct plex86_vec *vec, uint64_t mask,
			    void *image, uint32_t size)
{
	uint64_t bv = vec->valid & mask & layout->xcr0;
	uint8_t *out = image;
	unsigned int i;

	memset(out, 0, size);
	legacy_init(out);
	if (bv & PLEX86_X_X87) {
		memcpy(out, vec->legacy, LEGACY_MXCSR);
		memcpy(out + LEGACY_ST, vec->legacy + LEGACY_ST, LEGACY_XMM - LEGACY_ST);
	}
	if (bv & PLEX86_X_SSE) {
		memcpy(out + LEGACY_MXCSR, vec->legacy + LEGACY_MXCSR, 4);
		memcpy(out + LEGACY_XMM, vec->legacy + LEGACY_XMM, LEGACY_END - LEGACY_XMM);
	}
	for (i = 2; i < PLEX86_XSTATE_NCOMP; i++)
		if (bv >> i & 1)
			memcpy(out + layout->offset[i], (const uint8_t *)vec + component[i].at,
			       component[i].size);

	/*
	 * AVX state without SSE's bit makes XRSTOR take MXCSR from the image in
	 * one format and not in the other (SDM vol. 1, 13.8.1).  Say it outright.
	 */
	if (bv & PLEX86_X_AVX)
		bv |= PLEX86_X_SSE;
	memcpy(out + HEADER_BV, &bv, sizeof(bv));
	bv = plex86_xstate_in_use(layout, image);
	memcpy(out + HEADER_BV, &bv, sizeof(bv));
}

uint64_t plex86_xstate_to_vec(const struct plex86_xstate_layout *layout,
			      const void *image, uint64_t mask, struct plex86_vec *vec)
{
	const uint8_t *in = image;
	uint64_t bv, valid;
	unsigned int i;

	memcpy(&bv, in + HEADER_BV, sizeof(bv));
	if (!layout->mxcsr_tracked && get32(in + LEGACY_MXCSR) != MXCSR_INIT)
		bv |= PLEX86_X_SSE;
	valid = bv & mask & layout->xcr0;

	legacy_init(vec->legacy);
	put32(vec->legacy + LEGACY_MXCSR_MASK, get32(in + LEGACY_MXCSR_MASK));
	if (valid & PLEX86_X_X87) {
		memcpy(vec->legacy, in, LEGACY_MXCSR);
		memcpy(vec->legacy + LEGACY_ST, in + LEGACY_ST, LEGACY_XMM - LEGACY_ST);
	}
	if (valid & PLEX86_X_SSE) {
		memcpy(vec->legacy + LEGACY_MXCSR, in + LEGACY_MXCSR, 4);
		memcpy(vec->legacy + LEGACY_XMM, in + LEGACY_XMM, LEGACY_END - LEGACY_XMM);
	}
	for (i = 2; i < PLEX86_XSTATE_NCOMP; i++)
		if (valid >> i & 1)
			memcpy((uint8_t *)vec + component[i].at, in + layout->offset[i],
			       component[i].size);
	vec->valid = valid;
	vec->reserved = 0;
	return bv & ~valid;
}

static int all_zero(const uint8_t *p, uint32_t size)
{
	return !*p && !memcmp(p, p + 1, size - 1);
}

uint64_t plex86_xstate_in_use(const struct plex86_xstate_layout *layout, const void *image)
{
	const uint8_t *in = image;
	uint8_t initial[512];
	unsigned int i;
	uint64_t bv;

	legacy_init(initial);
	memcpy(&bv, in + HEADER_BV, sizeof(bv));
	if (!memcmp(in, initial, LEGACY_MXCSR) &&
	    !memcmp(in + LEGACY_ST, initial + LEGACY_ST, LEGACY_XMM - LEGACY_ST))
		bv &= ~PLEX86_X_X87;
	for (i = 2; i < PLEX86_XSTATE_NCOMP; i++)
		if (bv >> i & 1 && all_zero(in + layout->offset[i], component[i].size))
			bv &= ~(1ull << i);
	/* MXCSR goes by SSE's bit, or AVX's, or neither: here nobody can tell. */
	if (!(bv & PLEX86_X_AVX) && get32(in + LEGACY_MXCSR) == MXCSR_INIT &&
	    all_zero(in + LEGACY_XMM, LEGACY_END - LEGACY_XMM))
		bv &= ~PLEX86_X_SSE;
	return bv;
}

uint32_t plex86_xstate_pkru(const struct plex86_xstate_layout *layout, const void *image)
{
	return get32((const uint8_t *)image + layout->offset[COMPONENT_PKRU]);
}

void plex86_xstate_set_pkru(const struct plex86_xstate_layout *layout, void *image, uint32_t pkru)
{
	uint64_t bv;

	memcpy(&bv, (uint8_t *)image + HEADER_BV, sizeof(bv));
	bv |= PLEX86_X_PKRU;
	memcpy((uint8_t *)image + HEADER_BV, &bv, sizeof(bv));
	put32((uint8_t *)image + layout->offset[COMPONENT_PKRU], pkru);
}

/* Component @i of both, an invalid one standing for zeroes. */
static int component_equal(const struct plex86_vec *a, const struct plex86_vec *b, unsigned int i)
{
	const uint8_t *pa = (const uint8_t *)a + component[i].at;
	const uint8_t *pb = (const uint8_t *)b + component[i].at;

	if (!(a->valid >> i & 1))
		return !(b->valid >> i & 1) || all_zero(pb, component[i].size);
	if (!(b->valid >> i & 1))
		return all_zero(pa, component[i].size);
	return !memcmp(pa, pb, component[i].size);
}

int plex86_vec_equal(const struct plex86_vec *a, const struct plex86_vec *b)
{
	uint8_t init[512];
	const uint8_t *pa, *pb;

	legacy_init(init);
	pa = a->valid & PLEX86_X_X87 ? a->legacy : init;
	pb = b->valid & PLEX86_X_X87 ? b->legacy : init;
	if (memcmp(pa, pb, LEGACY_MXCSR) ||
	    memcmp(pa + LEGACY_ST, pb + LEGACY_ST, LEGACY_XMM - LEGACY_ST))
		return 0;
	pa = a->valid & PLEX86_X_SSE ? a->legacy : init;
	pb = b->valid & PLEX86_X_SSE ? b->legacy : init;
	if (memcmp(pa + LEGACY_MXCSR, pb + LEGACY_MXCSR, 4) ||
	    memcmp(pa + LEGACY_XMM, pb + LEGACY_XMM, LEGACY_END - LEGACY_XMM))
		return 0;
	return plex86_vec_equal_but_legacy(a, b);
}

int plex86_vec_equal_but_legacy(const struct plex86_vec *a, const struct plex86_vec *b)
{
	unsigned int i;

	for (i = 2; i < PLEX86_XSTATE_NCOMP; i++)
		if (!component_equal(a, b, i))
			return 0;
	return 1;
}

void plex86_vec_init(struct plex86_vec *vec)
{
	memset(vec, 0, sizeof(*vec));
	legacy_init(vec->legacy);
}
