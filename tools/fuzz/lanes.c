/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How vector and opmask registers may differ: in those that the instruction writes, and
 * there only as what Bochs or the manuals say about it explains, element by element.
 */
#include <math.h>
#include <string.h>

#include "table.h"

#define FX_XMM		160
#define ZMM		64	/* bytes */
#define BITS_12		(2 * 1.5 / 4096)	/* two results, each so far off */
#define BITS_14		(2.0 / 16384)

/* A register in full; without AVX-512 there are no more than 256 bits in the record. */
static void load(const struct narrowed *n, const struct fuzz_record *r, int i, uint8_t v[ZMM])
{
	const uint8_t *all = (const uint8_t *)r;

	memset(v, 0, ZMM);
	if (i >= 16) {
		memcpy(v, all + FUZZ_ZMM_16 + ZMM * (i - 16), ZMM);
		return;
	}
	memcpy(v, r->fx + FX_XMM + 16 * i, 16);
	memcpy(v + 16, r->ymm_high + 16 * i, 16);
	if (n->avx512)
		memcpy(v + 32, all + FUZZ_ZMM_HIGH + 32 * i, 32);
}

/* As it was before. */
static void load_before(const struct narrowed *n, int i, uint8_t v[ZMM])
{
	if (n->before) {
		load(n, n->before, i, v);
		return;
	}
	memset(v, 0, ZMM);
	if (i >= 16) {
		memcpy(v, n->state + FUZZ_XS_HI16 + ZMM * (i - 16), ZMM);
		return;
	}
	memcpy(v, n->state + FX_XMM + 16 * i, 16);
	memcpy(v + 16, n->state + FUZZ_XS_YMM + 16 * i, 16);
	if (n->avx512)
		memcpy(v + 32, n->state + FUZZ_XS_ZMM + 32 * i, 32);
}

static bool is_vector(const ZydisDecodedOperand *o)
{
	ZydisRegisterClass c = o->type == ZYDIS_OPERAND_TYPE_REGISTER ?
			       ZydisRegisterGetClass(o->reg.value) : ZYDIS_REGCLASS_INVALID;

	return c == ZYDIS_REGCLASS_XMM || c == ZYDIS_REGCLASS_YMM || c == ZYDIS_REGCLASS_ZMM;
}

bool vector_before(const struct narrowed *n, int operand, uint8_t *v)
{
	if (!is_vector(&n->operand[operand]))
		return false;
	load_before(n, ZydisRegisterGetId(n->operand[operand].reg.value), v);
	return true;
}

uint32_t written(const struct narrowed *n, bool (*is)(const ZydisDecodedOperand *o))
{
	uint32_t regs = 0;

	for (int i = 0; i < n->insn.operand_count; i++)
		if ((n->operand[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) && is(&n->operand[i]))
			regs |= 1u << ZydisRegisterGetId(n->operand[i].reg.value);
	return regs;
}

static uint64_t element(const uint8_t *v, int at, int size)
{
	uint64_t x = 0;

	memcpy(&x, v + at, size);
	return x;
}

struct pair {
	const struct narrowed *n;
	uint8_t plain[ZMM], native[ZMM];
	int size;			/* of an element, bytes */
	int at;				/* of one that differs */
	uint64_t x, y;			/* it */
};

static bool each_element(struct pair *p, int size, bool (*ok)(const struct pair *p))
{
	p->size = size;
	if (size != 1 && size != 2 && size != 4 && size != 8)
		return false;
	for (p->at = 0; p->at < ZMM; p->at += size) {
		p->x = element(p->plain, p->at, size);
		p->y = element(p->native, p->at, size);
		if (p->x != p->y && !ok(p))
			return false;
	}
	return true;
}

/* Of each register that may differ and does, the elements that do; @size 0: the instruction's. */
static void take_elements(const struct narrowed *n, struct diff *d, int size,
			  bool (*ok)(const struct pair *p))
{
	uint32_t regs = written(n, is_vector) & d->vec;

	for (int i = 0; i < 32; i++) {
		struct pair p = { .n = n };

		if (!(regs & 1u << i))
			continue;
		load(n, n->a, i, p.plain);
		load(n, n->b, i, p.native);
		if (n->guessed || each_element(&p, size ? size : n->operand[0].element_size / 8, ok))
			d->vec &= ~(1u << i);
	}
}

static bool any(const struct pair *p)
{
	(void)p;
	return true;
}

void take_vec(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 1, any);
}

/* ---- approximations ---- */

static double value(uint64_t bits, int size)
{
	double v;
	float f;

	if (size == 8) {
		memcpy(&v, &bits, 8);
		return v;
	}
	memcpy(&f, &bits, 4);
	return f;
}

static bool close(const struct pair *p, double by)
{
	double x = value(p->x, p->size), y = value(p->y, p->size);

	return p->size >= 4 && isfinite(x) && fabs(x - y) <= by * fabs(x);
}

static bool near_12(const struct pair *p)
{
	return close(p, BITS_12);
}

static bool near_14(const struct pair *p)
{
	return close(p, BITS_14);
}

void take_vec_near(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 4, near_12);
}

void take_vec_near14(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 0, near_14);
}

static bool is_denormal(uint64_t x, int size)
{
	uint64_t sign = 1ull << (8 * size - 1);
	uint64_t least = size == 8 ? 1ull << 52 : size == 4 ? 1u << 23 : 1u << 10;

	return (x & ~sign) && (x & ~sign) < least;
}

/* A denormal without its highest bit, which Bochs takes for the implicit one. */
static bool lost_bit(const struct pair *p)
{
	struct pair q = *p;

	if (!is_denormal(p->y, p->size))
		return false;
	for (int bit = p->size == 8 ? 51 : 22; bit > (p->size == 8 ? 48 : 19); bit--) {
		q.x = p->x | 1ull << bit;
		if (close(&q, BITS_14))
			return true;
	}
	return false;
}

void take_vec_lost_bit(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 0, lost_bit);
}

/* A power of 2 where its product with the square root of 1/2 ought to be. */
static bool half_power(const struct pair *p)
{
	struct pair q = *p;
	double v = value(p->x, p->size) * M_SQRT1_2;
	float f = v;

	if (p->x & (p->size == 8 ? (1ull << 52) - 1 : (1u << 23) - 1))
		return false;
	q.x = 0;
	memcpy(&q.x, p->size == 8 ? (void *)&v : (void *)&f, p->size);
	return close(&q, BITS_14);
}

void take_vec_half_power(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 0, half_power);
}

/* ---- numbers ---- */

/* Denormal in plain Bochs, and the zero of that sign natively. */
static bool flushed(const struct pair *p)
{
	return is_denormal(p->x, p->size) && p->y == (p->x & 1ull << (8 * p->size - 1));
}

void take_vec_flushed(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 0, flushed);
}

static bool nans(const struct pair *p)
{
	return isnan(value(p->x, p->size)) && isnan(value(p->y, p->size));
}

void take_vec_nan(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 0, nans);
}

/* The same but for the sign, which is that of the greater or lesser of two opposite numbers. */
static bool opposite(const struct pair *p)
{
	uint64_t sign = 1ull << (8 * p->size - 1);
	uint8_t imm = p->n->insn.raw.imm[0].value.u;

	/* imm8[1:0]: 2 the lesser absolute value, 3 the greater; [3:2]: 1, the sign of that */
	return (p->x ^ p->y) == sign && (imm & 0xe) == 6 && (p->y & sign) == (imm & 1 ? 0 : sign);
}

void take_vec_opposite(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 0, opposite);
}

/* Infinity, where the mantissa of a zero or an infinity is 1.0. */
static bool mantissa(const struct pair *p)
{
	return p->size == 2 && (p->x & 0x7fff) == 0x7c00 && (p->y & 0x7c00) == 0x3c00;
}

void take_vec_mantissa(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 0, mantissa);
}

/* ---- integers ---- */

/* Shifted by 64: nothing is left of it but the sign; as it was in plain Bochs. */
static bool shifted_out(const struct pair *p)
{
	const struct narrowed *n = p->n;
	int last = n->insn.operand_count_visible - 1;
	const ZydisDecodedOperand *o = &n->operand[last];
	bool each = n->insn.mnemonic == ZYDIS_MNEMONIC_VPSRAVQ;
	uint8_t count[ZMM];

	if (p->y != (each && p->x >> 63 ? UINT64_MAX : 0))
		return false;
	if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return o->imm.value.u == 64;
	return !vector_before(n, last, count) || element(count, each ? p->at : 0, 8) == 64;
}

void take_vec_by_64(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 8, shifted_out);
}

/* Which of the elements before are the same as the one at @at; plain Bochs: but the last of these. */
static uint64_t same_before(const uint8_t *v, int at, int size, bool but_last)
{
	uint64_t same = 0;

	for (int i = 0; i < at / size - but_last; i++)
		if (element(v, at, size) == element(v, i * size, size))
			same |= 1ull << i;
	return same;
}

/* As the manual says, where the source is known; and in any case only bits that there are. */
static bool conflict(const struct pair *p)
{
	uint8_t v[ZMM], w[ZMM];

	if ((p->x | p->y) >> p->at / p->size)
		return false;
	if (!vector_before(p->n, p->n->insn.operand_count_visible - 1, v))
		return true;
	memcpy(w, v, ZMM);
	for (int at = 0; at <= p->at; at += p->size) {
		uint64_t bits = same_before(w, at, p->size, true);

		memcpy(w + at, &bits, p->size);
	}
	return p->y == same_before(v, p->at, p->size, false) && p->x == element(w, p->at, p->size);
}

void take_vec_conflict(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 0, conflict);
}

/* ---- parts of registers ---- */

static bool second_half(const struct pair *p)
{
	return p->at == 8;
}

/* Bits 127:64 only. */
void take_vec_high(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 8, second_half);
}

static bool behind_zero(const struct pair *p)
{
	return p->at >= p->n->insn.avx.vector_length / 8 && !p->y;
}

/* Behind the vector's length, natively 0. */
void take_vec_behind(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 8, behind_zero);
}

static bool upper_half(const struct pair *p)
{
	int bytes = p->n->insn.avx.vector_length / 8;

	return p->at >= bytes / 2 && p->at < bytes;
}

/* The upper half of the vector's length. */
void take_vec_upper(const struct narrowed *n, struct diff *d)
{
	take_elements(n, d, 2, upper_half);
}

/* ---- opmask registers ---- */

static bool is_opmask(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_MASK;
}

uint64_t opmask_value(const struct fuzz_record *r, int i)
{
	return element((const uint8_t *)r + FUZZ_OPMASK, 8 * i, 8);
}

static void take_opmasks(const struct narrowed *n, struct diff *d, uint64_t bits)
{
	uint32_t regs = written(n, is_opmask) & d->opmask;

	for (int i = 0; i < 8; i++)
		if ((regs & 1u << i) && !((opmask_value(n->a, i) ^ opmask_value(n->b, i)) & ~bits))
			d->opmask &= ~(1u << i);
}

void take_opmask(const struct narrowed *n, struct diff *d)
{
	take_opmasks(n, d, UINT64_MAX);
}

/* Of each byte the highest bit. */
void take_opmask_bit7(const struct narrowed *n, struct diff *d)
{
	take_opmasks(n, d, UINT64_C(0x8080808080808080));
}
