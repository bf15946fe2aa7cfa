/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random numbers by seed, and random operands that sit on edges. */
#include "fuzz.h"

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

struct rng rng_from(uint64_t seed, uint64_t stream, uint64_t n)
{
	return (struct rng){ mix(mix(mix(seed + 1) + stream) + n) };
}

uint64_t rng_next(struct rng *r)
{
	return mix(r->s += UINT64_C(0x9e3779b97f4a7c15));
}

uint32_t below(struct rng *r, uint32_t n)
{
	return (rng_next(r) >> 32) * n >> 32;
}

uint64_t interesting(struct rng *r)
{
	static const uint64_t edge[] = {
		0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
		0x8000000000000000, 0xffffffffffffff80, 0xffffffff80000000, -1, -2, 10, 100,
		0x3030303030303030, 0x9999999999999999, 0x0123456789abcdef,
	};
	uint64_t v = rng_next(r);

	switch (below(r, 8)) {
	case 0:
	case 1:
		return edge[below(r, sizeof(edge) / sizeof(edge[0]))];
	case 2:
		return v & 63;
	case 3:
		return UINT64_C(1) << (v & 63);
	case 4:
		return (uint32_t)v;
	case 5:			/* 1 to 64 bits, and its complement */
		return v >> (v & 63);
	case 6:
		return ~(v >> (v & 63));
	default:
		return v;
	}
}
