/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a result an entry of the table covers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

#define FX_ST		32
#define FX_XMM		160
#define FX_FOP		6
#define FX_END_OF_MASK	32
#define APPROXIMATE	(2 * 1.5f / 4096)	/* two results, each so far off */
#define ST_NEAR		0x1p-58L
#define X87_POINTERS	20			/* bytes, FCS to FDS */

static void take_flags(const struct narrowed *n, struct diff *d, uint64_t mask)
{
	(void)n;
	d->flags &= ~mask;
}

#define FLAG(name, mask) \
	static void take_##name(const struct narrowed *n, struct diff *d) { take_flags(n, d, mask); }
FLAG(cf, 0x1)
FLAG(pf, 0x4)
FLAG(af, 0x10)
FLAG(zf, 0x40)
FLAG(sf, 0x80)
FLAG(of, 0x800)
FLAG(rf, 0x10000)
FLAG(flags_, ~UINT64_C(0))

#define X87(name, mask) \
	static void take_##name(const struct narrowed *n, struct diff *d) { (void)n; d->fsw &= ~(mask); }
X87(c0, 0x100u)
X87(c1, 0x200u)
X87(c2, 0x400u)
X87(c3, 0x4000u)
X87(pe, 0x20u)
X87(ue, 0x10u)
X87(es, 0x8080u)
X87(fsw, ~0u)

#define WHOLE(name, member) \
	static void take_##name(const struct narrowed *n, struct diff *d) { (void)n; d->member = 0; }
WHOLE(outcome, outcome)
WHOLE(error, error)
WHOLE(cr2, cr2)
WHOLE(dr6, dr6)
WHOLE(memory, memory)
WHOLE(selectors, selectors)
WHOLE(bases, bases)
WHOLE(gpr, gpr)
WHOLE(fcw, fcw)
WHOLE(ftw, ftw)
WHOLE(mxcsr, mxcsr)
WHOLE(st, st)
WHOLE(vec, vec)

/* The general register that the first operand is. */
static void take_dest(const struct narrowed *n, struct diff *d)
{
	const ZydisDecodedOperand *o = &n->operand[0];
	int id;

	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return;
	id = ZydisRegisterGetId(o->reg.value);
	if (ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_GPR8 && id >= 4 &&
	    o->reg.value >= ZYDIS_REGISTER_AH && o->reg.value <= ZYDIS_REGISTER_BH)
		id -= 4;
	if (id >= 0 && id < 16)
		d->gpr &= ~(1u << id);
}

/* What 128 bits of a vector register are, as single precision numbers: near each other? */
static bool lanes_near(const uint8_t *a, const uint8_t *b)
{
	for (int i = 0; i < 16; i += 4) {
		float x, y;

		if (!memcmp(a + i, b + i, 4))
			continue;
		memcpy(&x, a + i, 4);
		memcpy(&y, b + i, 4);
		if (!(fabsf(x - y) <= APPROXIMATE * fabsf(x)))
			return false;
	}
	return true;
}

/* The upper halves of ZMM registers; without AVX-512 there are none in the record. */
static bool zmm_high_alike(const struct narrowed *n, int i)
{
	const uint8_t *a = (const uint8_t *)n->a, *b = (const uint8_t *)n->b;

	return !n->avx512 || !memcmp(a + FUZZ_ZMM_HIGH + 32 * i, b + FUZZ_ZMM_HIGH + 32 * i, 32);
}

static void take_vec_near(const struct narrowed *n, struct diff *d)
{
	for (int i = 0; i < 16; i++)
		if (lanes_near(n->a->fx + FX_XMM + 16 * i, n->b->fx + FX_XMM + 16 * i) &&
		    lanes_near(n->a->ymm_high + 16 * i, n->b->ymm_high + 16 * i) && zmm_high_alike(n, i))
			d->vec &= ~(1u << i);
}

/* Elements that are denormal in plain Bochs and the zero of that sign natively. */
static bool flushed(const uint8_t *plain, const uint8_t *native, int bytes, int size)
{
	for (int i = 0; i < bytes; i += size) {
		uint64_t x = 0, y = 0, sign = 1ull << (8 * size - 1);
		uint64_t least = size == 8 ? 1ull << 52 : size == 4 ? 1u << 23 : 1u << 10;

		memcpy(&x, plain + i, size);
		memcpy(&y, native + i, size);
		if (x != y && ((x & ~sign) >= least || y != (x & sign)))
			return false;
	}
	return true;
}

static void take_vec_flushed(const struct narrowed *n, struct diff *d)
{
	const uint8_t *a = (const uint8_t *)n->a, *b = (const uint8_t *)n->b;
	int size = n->operand[0].element_size / 8;

	if (size != 2 && size != 4 && size != 8)
		return;
	for (int i = 0; i < 16; i++) {
		if (flushed(n->a->fx + FX_XMM + 16 * i, n->b->fx + FX_XMM + 16 * i, 16, size) &&
		    flushed(n->a->ymm_high + 16 * i, n->b->ymm_high + 16 * i, 16, size) &&
		    (!n->avx512 || flushed(a + FUZZ_ZMM_HIGH + 32 * i, b + FUZZ_ZMM_HIGH + 32 * i, 32, size)))
			d->vec &= ~(1u << i);
		if (n->avx512 && flushed(a + FUZZ_ZMM_16 + 64 * i, b + FUZZ_ZMM_16 + 64 * i, 64, size))
			d->vec &= ~(1u << (16 + i));
	}
}

/* Bits 127:64 only. */
static void take_vec_high(const struct narrowed *n, struct diff *d)
{
	for (int i = 0; i < 16; i++)
		if (!memcmp(n->a->fx + FX_XMM + 16 * i, n->b->fx + FX_XMM + 16 * i, 8) &&
		    !memcmp(n->a->ymm_high + 16 * i, n->b->ymm_high + 16 * i, 16) && zmm_high_alike(n, i))
			d->vec &= ~(1u << i);
}

/* Some units in the last place of an x87 number. */
static void take_st_near(const struct narrowed *n, struct diff *d)
{
	for (int i = 0; i < 8; i++) {
		long double x = 0, y = 0;

		memcpy(&x, n->a->fx + FX_ST + 16 * i, 10);
		memcpy(&y, n->b->fx + FX_ST + 16 * i, 10);
		if (fabsl(x - y) <= ST_NEAR * fabsl(x))
			d->st &= ~(1u << i);
	}
}

/* Sign and exponent, of a register that holds an MMX one. */
static void take_st_exponent(const struct narrowed *n, struct diff *d)
{
	for (int i = 0; i < 8; i++)
		if (!memcmp(n->a->fx + FX_ST + 16 * i, n->b->fx + FX_ST + 16 * i, 8))
			d->st &= ~(1u << i);
}

/*
 * Memory, if all that differs of it is within that many bytes. A word that only one has changed
 * differs as a whole: what it was is not in the record.
 */
static void take_span(const struct narrowed *n, struct diff *d, int bytes)
{
	const struct fuzz_record *a = n->a, *b = n->b;
	uint32_t i = 0, k = 0;
	int first = -1, last = -1;

	/* The last words of an image may be missing in the record. */
	if (abs((int)(a->changes - b->changes)) > (bytes + 7) / 8)
		return;
	while (i < a->changes && k < b->changes && i < FUZZ_CHANGES && k < FUZZ_CHANGES) {
		int at = a->changed_at[i], bt = b->changed_at[k];
		const uint8_t *x = (const uint8_t *)&a->changed[i], *y = (const uint8_t *)&b->changed[k];

		for (int j = 0; j < 8; j++) {
			if (at == bt && x[j] == y[j])
				continue;
			last = 8 * (at < bt ? at : bt) + j;
			first = first < 0 ? last : first;
		}
		i += at <= bt;
		k += bt <= at;
	}
	if (first >= 0 && last - first < bytes)
		d->memory = false;
}

/* Memory, but no more of it than the pointers of an x87 environment. */
static void take_pointers(const struct narrowed *n, struct diff *d)
{
	if (n->a->changes <= 4 && n->b->changes <= 4)	/* cut off at the end of a page: nothing else */
		d->memory = false;
	else
		take_span(n, d, X87_POINTERS);
}

/* Memory, but no more of it than is from FXSAVE's x87 pointers to its MXCSR_MASK. */
static void take_mxcsr_mask(const struct narrowed *n, struct diff *d)
{
	take_span(n, d, FX_END_OF_MASK - FX_FOP);
}

/* Selectors that are null both times: an interrupt sets their RPL to 0. */
static void take_null_rpl(const struct narrowed *n, struct diff *d)
{
	for (int i = 0; i < 6; i++)
		if (n->a->sel[i] != n->b->sel[i] && (n->a->sel[i] > 3 || n->b->sel[i] > 3))
			return;
	d->selectors = false;
}

static void take_all(const struct narrowed *n, struct diff *d)
{
	(void)n;
	memset(d, 0, sizeof(*d));
}

static const struct {
	const char *name;
	void (*take)(const struct narrowed *n, struct diff *d);
} fields[] = {
	{ "cf", take_cf }, { "pf", take_pf }, { "af", take_af }, { "zf", take_zf },
	{ "sf", take_sf }, { "of", take_of }, { "rf", take_rf }, { "flags", take_flags_ },
	{ "c0", take_c0 }, { "c1", take_c1 }, { "c2", take_c2 }, { "c3", take_c3 },
	{ "outcome", take_outcome }, { "error", take_error },
	{ "cr2", take_cr2 }, { "dr6", take_dr6 }, { "memory", take_memory },
	{ "selectors", take_selectors }, { "bases", take_bases }, { "dest", take_dest },
	{ "gpr", take_gpr }, { "fcw", take_fcw }, { "ftw", take_ftw }, { "mxcsr", take_mxcsr },
	{ "pe", take_pe }, { "ue", take_ue }, { "es", take_es }, { "vec~", take_vec_near }, { "vec-high", take_vec_high },
	{ "vec-flushed", take_vec_flushed },
	{ "st~", take_st_near }, { "st-exponent", take_st_exponent }, { "pointers", take_pointers }, { "mxcsr-mask", take_mxcsr_mask },
	{ "null-rpl", take_null_rpl }, { "fsw", take_fsw }, { "st", take_st }, { "vec", take_vec }, { "all", take_all },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static bool is_field(const char *word, void *arg)
{
	(void)arg;
	for (size_t i = 0; i < FIELDS; i++)
		if (!strcmp(word, fields[i].name))
			return true;
	return false;
}

bool fields_known(const char *list)
{
	return each_word(list, is_field, NULL);
}

struct taking {
	const struct narrowed *n;
	struct diff *left;
};

static bool take(const char *word, void *arg)
{
	struct taking *t = arg;

	for (size_t i = 0; i < FIELDS; i++)
		if (!strcmp(word, fields[i].name))
			fields[i].take(t->n, t->left);
	return true;
}

bool fields_take(const char *list, const struct narrowed *n, struct diff *left)
{
	struct diff before = *left;
	struct taking t = { n, left };

	each_word(list, take, &t);
	return memcmp(&before, left, sizeof(before));
}

/* In words of the table; what no single bit stands for comes as its whole. */
void fields_print(FILE *to, const struct narrowed *n)
{
	struct diff left = n->diff;

	for (size_t i = 0; i < FIELDS; i++) {
		struct diff before = left;

		fields[i].take(n, &left);
		if (memcmp(&before, &left, sizeof(before)))
			fprintf(to, " %s", fields[i].name);
	}
}

bool diff_is_empty(const struct diff *d)
{
	static const struct diff none;

	return !memcmp(d, &none, sizeof(none));
}
