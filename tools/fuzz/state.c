/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where cases begin: x87, vector and control registers as an XSAVE image, and
 * the contents of the pages that they find.  Numbers of every class are in
 * both: zeros, denormals, the largest, infinities, both kinds of NaN, and
 * integers with edges.
 */
#include <string.h>

#include "fuzz.h"

enum { STREAM_STATE = 1, STREAM_TEMPLATE = 2 };

#define FX_FCW		0
#define FX_FSW		2
#define FX_FTW		4
#define FX_MXCSR	24
#define FX_ST		32
#define FX_XMM		160

static uint32_t float32(struct rng *r)
{
	static const uint32_t edge[] = {
		0, 0x80000000, 0x3f800000, 0xbf800000, 1, 0x80000001, 0x007fffff, 0x00800000,
		0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffbfffff,
		0x4f000000, 0xcf000000, 0x3f000000, 0x40490fdb, 0x5f000000,
	};
	uint32_t v = rng_next(r);

	switch (below(r, 4)) {
	case 0:
		return edge[below(r, sizeof(edge) / sizeof(edge[0]))];
	case 1:
		return v;
	default:		/* not far from 1 */
		return (v & 0x807fffff) | (uint32_t)(110 + below(r, 35)) << 23;
	}
}

static uint64_t float64(struct rng *r)
{
	static const uint64_t edge[] = {
		0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 1, 0x8000000000000001,
		0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x7ff0000000000000,
		0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000000, 0x7ff0000000000001,
		0xfff7ffffffffffff, 0x41e0000000000000, 0xc1e0000000000000, 0x43e0000000000000,
		0x3fe0000000000000, 0x400921fb54442d18,
	};
	uint64_t v = rng_next(r);

	switch (below(r, 4)) {
	case 0:
		return edge[below(r, sizeof(edge) / sizeof(edge[0]))];
	case 1:
		return v;
	default:
		return (v & 0x800fffffffffffff) | (uint64_t)(1000 + below(r, 48)) << 52;
	}
}

static void float80(struct rng *r, uint8_t *to)
{
	uint64_t m = rng_next(r);
	uint16_t e;

	switch (below(r, 8)) {
	case 0:			/* zero, infinity, NaNs, indefinite */
		e = one_in(r, 2) ? 0x7fff : 0;
		m = one_in(r, 2) ? UINT64_C(1) << 63 : m;
		m = e == 0 && one_in(r, 2) ? 0 : m;
		break;
	case 1:			/* any pattern, unsupported ones too */
		e = rng_next(r);
		break;
	case 2:			/* denormal */
		e = 0;
		m >>= 1 + below(r, 63);
		break;
	case 3:			/* a small integer */
		e = 0x3fff + below(r, 8);
		m = UINT64_C(1) << 63 | m >> 58 << 56;
		break;
	default:
		e = 0x3fff - 32 + below(r, 64);
		m |= UINT64_C(1) << 63;
	}
	if (one_in(r, 3))
		e ^= 0x8000;
	memcpy(to, &m, 8);
	memcpy(to + 8, &e, 2);
}

/* Sixteen bytes of one type, so that instructions for that type see numbers. */
static void lanes(struct rng *r, uint8_t *to)
{
	uint32_t type = below(r, 6), i;

	for (i = 0; i < 2; i++) {
		uint64_t v = 0;

		switch (type) {
		case 0:
			v = float32(r) | (uint64_t)float32(r) << 32;
			break;
		case 1:
			v = float64(r);
			break;
		case 2:		/* indices, shift counts */
			v = below(r, 128) | (uint64_t)below(r, 16) << 32;
			break;
		case 3:		/* masks */
			v = (one_in(r, 2) ? 0 : UINT64_C(0xffffffff)) |
			    (one_in(r, 2) ? 0 : UINT64_C(0xffffffff) << 32);
			break;
		case 4:
			v = interesting(r);
			break;
		default:
			v = rng_next(r);
		}
		memcpy(to + 8 * i, &v, 8);
	}
}

static void x87(struct rng *r, uint8_t *image)
{
	uint16_t fcw = one_in(r, 2) ? 0x37f : 0x340, fsw;

	fcw |= below(r, 4) << 10 | 0x3f;		/* rounding */
	if (one_in(r, 3))
		fcw = (fcw & ~0x300) | below(r, 4) << 8;	/* precision, also the reserved one */
	if (one_in(r, 6))
		fcw &= ~(1u << below(r, 6));		/* an exception unmasked */
	/* No exception is pending: masked ones only. */
	fsw = (below(r, 64) & fcw & 0x3f) | below(r, 8) << 11 | (rng_next(r) & 0x4700);
	memcpy(image + FX_FCW, &fcw, 2);
	memcpy(image + FX_FSW, &fsw, 2);
	image[FX_FTW] = one_in(r, 3) ? 0xff : one_in(r, 4) ? 0 : rng_next(r);
	for (int i = 0; i < 8; i++)
		float80(r, image + FX_ST + 16 * i);
}

void make_state(const struct maker *m, uint32_t block, uint32_t n, uint8_t image[FUZZ_STATE_SIZE])
{
	struct rng r = rng_from(m->seed, STREAM_STATE, (uint64_t)block << 32 | n);
	uint32_t mxcsr = 0x1f80 | below(&r, 64), i;

	memset(image, 0, FUZZ_STATE_SIZE);
	x87(&r, image);
	mxcsr |= below(&r, 4) << 13;
	if (one_in(&r, 4))
		mxcsr |= 0x8000;			/* flush to zero */
	if (one_in(&r, 4))
		mxcsr |= 0x40;				/* denormals are zeros */
	if (one_in(&r, 6))
		mxcsr &= ~(0x80u << below(&r, 6));	/* an exception unmasked */
	memcpy(image + FX_MXCSR, &mxcsr, 4);
	for (i = 0; i < 16; i++) {
		lanes(&r, image + FX_XMM + 16 * i);
		lanes(&r, image + FUZZ_XS_YMM + 16 * i);
	}
	for (i = FUZZ_XS_OPMASK; m->kind.avx512 && i < FUZZ_XS_ZMM; i++)
		image[i] = one_in(&r, 3) ? 0xff : rng_next(&r);
	for (i = FUZZ_XS_ZMM; m->kind.avx512 && i < FUZZ_XS_END; i += 16)
		lanes(&r, image + i);
	/* With something there, a host without AVX-512 runs nothing (plugin/beyond.h). */
	if (m->kind.avx512 && one_in(&r, 2))
		memset(image + FUZZ_XS_ZMM, 0, FUZZ_XS_HI16 - FUZZ_XS_ZMM);
}

void make_template(const struct maker *m, uint32_t block, uint32_t n, uint8_t page[FUZZ_PAGE])
{
	struct rng r = rng_from(m->seed, STREAM_TEMPLATE, (uint64_t)block << 32 | n);

	for (uint32_t i = 0; i < FUZZ_PAGE; i += 16) {
		uint64_t p;

		lanes(&r, page + i);
		if (one_in(&r, 6))
			float80(&r, page + i);
		if (!one_in(&r, 6))
			continue;
		p = make_pointer(m, &r);		/* to return to, or through */
		memcpy(page + i, &p, 8);
	}
	/* Cases may run into a page: not into what nobody can foretell. */
	for (uint32_t i = 0; i + 1 < FUZZ_PAGE; i++)
		if (page[i] == 0x0f &&
		    (page[i + 1] == 0xc7 || page[i + 1] == 0x01 || page[i + 1] == 0x31))
			page[i + 1] = 0x0b;
}
