/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two records of one case: what is not the same.  Left out are the x87 pointers
 * (FIP, FDP, FOP): which instructions set them is up to the CPU (SDM volume 1,
 * 8.1.8: APM volume 1, 6.2.5), and docs/limits.md says what becomes of them.
 */
#include <string.h>

#include "fuzz.h"

#define FX_ST	32
#define FX_XMM	160

static uint32_t get(const uint8_t *p, int n)
{
	uint32_t v = 0;

	memcpy(&v, p, n);
	return v;
}

static bool ended_alike(const struct fuzz_record *a, const struct fuzz_record *b)
{
	return a->vector == b->vector && (a->vector == FUZZ_ENDLESS || a->ip == b->ip);
}

static void compare_avx512(const uint8_t *a, const uint8_t *b, struct diff *d)
{
	for (int i = 0; i < 16; i++) {
		if (memcmp(a + FUZZ_ZMM_HIGH + 32 * i, b + FUZZ_ZMM_HIGH + 32 * i, 32))
			d->vec |= 1u << i;
		if (memcmp(a + FUZZ_ZMM_16 + 64 * i, b + FUZZ_ZMM_16 + 64 * i, 64))
			d->vec |= 1u << (16 + i);
	}
	for (int i = 0; i < 8; i++)
		if (memcmp(a + FUZZ_OPMASK + 8 * i, b + FUZZ_OPMASK + 8 * i, 8))
			d->opmask |= 1u << i;
}

bool compare(const struct fuzz_record *a, const struct fuzz_record *b, bool avx512, struct diff *d)
{
	static const struct diff none;

	memset(d, 0, sizeof(*d));
	d->outcome = !ended_alike(a, b);
	if (a->vector == FUZZ_ENDLESS && b->vector == FUZZ_ENDLESS)
		return true;
	d->error = a->error != b->error;
	d->cr2 = a->cr2 != b->cr2;
	d->dr6 = a->dr6 != b->dr6;
	d->memory = a->changes != b->changes || a->change_hash != b->change_hash;
	d->selectors = memcmp(a->sel, b->sel, sizeof(a->sel));
	d->bases = a->fs_base != b->fs_base || a->gs_base != b->gs_base;
	d->flags = a->rflags ^ b->rflags;
	d->fcw = get(a->fx, 2) ^ get(b->fx, 2);
	d->fsw = get(a->fx + 2, 2) ^ get(b->fx + 2, 2);
	d->ftw = get(a->fx + 4, 1) ^ get(b->fx + 4, 1);
	d->mxcsr = get(a->fx + 24, 4) ^ get(b->fx + 24, 4);
	for (int i = 0; i < 16; i++) {
		if (a->gpr[i] != b->gpr[i])
			d->gpr |= 1u << i;
		if (memcmp(a->fx + FX_XMM + 16 * i, b->fx + FX_XMM + 16 * i, 16) ||
		    memcmp(a->ymm_high + 16 * i, b->ymm_high + 16 * i, 16))
			d->vec |= 1u << i;
	}
	for (int i = 0; i < 8; i++)
		if (memcmp(a->fx + FX_ST + 16 * i, b->fx + FX_ST + 16 * i, 10))
			d->st |= 1u << i;
	if (avx512)
		compare_avx512((const uint8_t *)a, (const uint8_t *)b, d);
	return !memcmp(d, &none, sizeof(none));
}

bool diffs_overlap(const struct diff *x, const struct diff *y)
{
	return (x->outcome && y->outcome) || (x->error && y->error) || (x->cr2 && y->cr2) ||
	       (x->dr6 && y->dr6) || (x->memory && y->memory) || (x->selectors && y->selectors) ||
	       (x->bases && y->bases) || x->flags & y->flags || x->gpr & y->gpr ||
	       x->fcw & y->fcw || x->fsw & y->fsw || x->ftw & y->ftw || x->mxcsr & y->mxcsr ||
	       x->st & y->st || x->vec & y->vec || x->opmask & y->opmask;
}
