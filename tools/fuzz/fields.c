/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a result an entry of the table covers; vector and opmask registers are in lanes.c.  A
 * register is covered only if the instruction writes it, but for "gpr", "st" and "all".
 */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

#define FX_MXCSR	24
#define FX_ST		32
#define FX_FOP		6
#define FX_END_OF_MASK	32
/* FYL2X and F2XM1 near 1: off by 141 units of a double; FPATAN: by 1e-14 (bochs-differences.md) */
#define ST_NEAR		0x1p-44L
#define ST_ARGUMENT		0x1p-63L
#define ST_DENORMAL	0x1p-16444L		/* two units in the last place of a denormal */
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
X87(top, 0x3800u)
X87(de, 0x02u)
X87(pe, 0x20u)
X87(ze, 0x4u)
X87(ue, 0x10u)
X87(es, 0x8080u)

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
WHOLE(st, st)

#define MXCSR(name, mask) \
	static void take_mx_##name(const struct narrowed *n, struct diff *d) \
	{ (void)n; d->mxcsr &= ~(mask); }
MXCSR(de, 0x2u)
MXCSR(ue, 0x10u)
MXCSR(pe, 0x20u)
MXCSR(flags, 0x3fu)

/* A flag that only the CPU has set. */
static void take_mx_missing(const struct narrowed *n, struct diff *d, uint32_t flag)
{
	uint32_t b;

	memcpy(&b, n->b->fx + FX_MXCSR, 4);
	if (b & flag)
		d->mxcsr &= ~flag;
}

static void take_mx_no_de(const struct narrowed *n, struct diff *d)
{
	take_mx_missing(n, d, 0x2);
}

static void take_mx_no_ue(const struct narrowed *n, struct diff *d)
{
	take_mx_missing(n, d, 0x10);
}

static bool is_general(const ZydisDecodedOperand *o)
{
	ZydisRegisterClass c = o->type == ZYDIS_OPERAND_TYPE_REGISTER ?
			       ZydisRegisterGetClass(o->reg.value) : ZYDIS_REGCLASS_INVALID;

	return c == ZYDIS_REGCLASS_GPR8 || c == ZYDIS_REGCLASS_GPR16 || c == ZYDIS_REGCLASS_GPR32 ||
	       c == ZYDIS_REGCLASS_GPR64;
}

static bool is_high_byte(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER && o->reg.value >= ZYDIS_REGISTER_AH &&
	       o->reg.value <= ZYDIS_REGISTER_BH;
}

static bool is_general_low(const ZydisDecodedOperand *o)
{
	return is_general(o) && !is_high_byte(o);
}

/* Upper halves of what string instructions count with. */
static void take_string_upper(const struct narrowed *n, struct diff *d)
{
	static const int gpr[] = { FUZZ_CX, FUZZ_SI, FUZZ_DI };

	for (int i = 0; i < 3; i++)
		if ((uint32_t)n->a->gpr[gpr[i]] == (uint32_t)n->b->gpr[gpr[i]])
			d->gpr &= ~(1u << gpr[i]);
}

/* The general registers that the instruction writes, also those that it does not name. */
static void take_dest(const struct narrowed *n, struct diff *d)
{
	d->gpr &= ~(written(n, is_general_low) | written(n, is_high_byte) >> 4);
}

/* What 90 with REX.B exchanges. */
static void take_rax_r8(const struct narrowed *n, struct diff *d)
{
	(void)n;
	d->gpr &= ~(1u << FUZZ_AX | 1u << 8);
}

/* Is it @i that an instruction's result goes to?  Two have two. */
static bool is_result(const struct narrowed *n, int i)
{
	ZydisMnemonic m = n->insn.mnemonic;

	return i == 0 || (i == 1 && (m == ZYDIS_MNEMONIC_FSINCOS || m == ZYDIS_MNEMONIC_FPTAN));
}

static void take_st_result(const struct narrowed *n, struct diff *d)
{
	for (int i = 0; i < 8; i++)
		if (is_result(n, i))
			d->st &= ~(1u << i);
}

/*
 * The argument of FSIN and its kind is reduced by a pi of so many bits, so that near multiples of
 * pi/2 results differ as if arguments did.
 */
static bool near_by_argument(const struct narrowed *n, long double x, long double y)
{
	long double by = fabsl(st0_before(n)) * ST_ARGUMENT;

	switch (n->insn.mnemonic) {
	case ZYDIS_MNEMONIC_FSIN:
	case ZYDIS_MNEMONIC_FCOS:
	case ZYDIS_MNEMONIC_FSINCOS:
		return fabsl(x - y) <= by;
	case ZYDIS_MNEMONIC_FPTAN:
		return isinf(x) ? fabsl(y) * by >= 1 : fabsl(x - y) <= by * fabsl(1 + x * y);
	default:
		return false;
	}
}

static bool st_near(const struct narrowed *n, long double x, long double y)
{
	return (isfinite(x) && fabsl(x - y) <= ST_NEAR * fabsl(x) + ST_DENORMAL) ||
	       (isfinite(y) && near_by_argument(n, x, y));
}

/* A result that is near the other one. */
static void take_st_near(const struct narrowed *n, struct diff *d)
{
	for (int i = 0; i < 8; i++) {
		long double x = 0, y = 0;

		memcpy(&x, n->a->fx + FX_ST + 16 * i, 10);
		memcpy(&y, n->b->fx + FX_ST + 16 * i, 10);
		if (is_result(n, i) && (n->guessed || st_near(n, x, y)))
			d->st &= ~(1u << i);
	}
}

/*
 * Sign and exponent of the MMX register that is the first operand: natively all ones.  TOP is 0,
 * so that it has its number.
 */
static void take_st_exponent(const struct narrowed *n, struct diff *d)
{
	static const uint8_t ones[2] = { 0xff, 0xff };
	const ZydisDecodedOperand *o = &n->operand[0];
	const uint8_t *a, *b;
	int i;

	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    ZydisRegisterGetClass(o->reg.value) != ZYDIS_REGCLASS_MMX)
		return;
	i = ZydisRegisterGetId(o->reg.value);
	a = n->a->fx + FX_ST + 16 * i;
	b = n->b->fx + FX_ST + 16 * i;
	if (n->guessed || (!memcmp(a, b, 8) && !memcmp(b + 8, ones, 2)))
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
	bool whole = a->changes <= FUZZ_CHANGES && b->changes <= FUZZ_CHANGES;

	/* The last words of an image may be missing in the record. */
	if (abs((int)(a->changes - b->changes)) > (bytes + 7) / 8)
		return;
	while (whole ? i < a->changes || k < b->changes :
		       i < a->changes && k < b->changes && i < FUZZ_CHANGES && k < FUZZ_CHANGES) {
		int at = i < a->changes ? a->changed_at[i] : INT_MAX;
		int bt = k < b->changes ? b->changed_at[k] : INT_MAX;
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
	const bool faulted = n->a->vector >= 12 && n->a->vector <= 14;

	if (faulted && n->a->changes <= 4 && n->b->changes <= 4)	/* cut off at the end of a page: nothing else */
		d->memory = false;
	else
		take_span(n, d, X87_POINTERS);
}

/* Memory, but no more of it than is from FXSAVE's x87 pointers to its MXCSR_MASK. */
static void take_mxcsr_mask(const struct narrowed *n, struct diff *d)
{
	take_span(n, d, FX_END_OF_MASK - FX_FOP);
}

/*
 * Memory, but no more of it than the instruction stores, in the words that this is in: of a word
 * that only one has changed all differs.
 */
static void take_stored(const struct narrowed *n, struct diff *d)
{
	for (int i = 0; i < n->insn.operand_count; i++)
		if (n->operand[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (n->operand[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			take_span(n, d, n->operand[i].size / 8 + 14);
}

/* The base of FS or GS, whichever is null both times. */
static void take_null_bases(const struct narrowed *n, struct diff *d)
{
	const struct fuzz_record *a = n->a, *b = n->b;

	if ((a->fs_base == b->fs_base || (a->sel[4] <= 3 && b->sel[4] <= 3)) &&
	    (a->gs_base == b->gs_base || (a->sel[5] <= 3 && b->sel[5] <= 3)))
		d->bases = false;
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
	{ "de", take_de }, { "pe", take_pe }, { "ue", take_ue }, { "ze", take_ze }, { "es", take_es },
	{ "top", take_top },
	{ "mx-no-de", take_mx_no_de }, { "mx-no-ue", take_mx_no_ue },
	{ "mx-de", take_mx_de }, { "mx-ue", take_mx_ue }, { "mx-pe", take_mx_pe },
	{ "mx-flags", take_mx_flags },
	{ "outcome", take_outcome }, { "error", take_error },
	{ "cr2", take_cr2 }, { "dr6", take_dr6 },
	{ "pointers", take_pointers }, { "mxcsr-mask", take_mxcsr_mask },
	{ "stored", take_stored }, { "memory", take_memory },
	{ "null-rpl", take_null_rpl }, { "selectors", take_selectors },
	{ "null-bases", take_null_bases }, { "bases", take_bases },
	{ "string-upper", take_string_upper },
	{ "dest", take_dest }, { "rax-r8", take_rax_r8 }, { "gpr", take_gpr },
	{ "fcw", take_fcw }, { "ftw", take_ftw },
	{ "st-exponent", take_st_exponent }, { "st~", take_st_near }, { "st-result", take_st_result },
	{ "st", take_st },
	{ "vec-flushed", take_vec_flushed }, { "vec-nan", take_vec_nan },
	{ "vec-opposite", take_vec_opposite }, { "vec-by-64", take_vec_by_64 },
	{ "vec-conflict", take_vec_conflict }, { "vec-high", take_vec_high },
	{ "vec-behind", take_vec_behind }, { "vec-upper", take_vec_upper },
	{ "vec-mantissa", take_vec_mantissa }, { "vec-lost-bit", take_vec_lost_bit },
	{ "vec-half-power", take_vec_half_power },
	{ "vec~14", take_vec_near14 }, { "vec~", take_vec_near }, { "vec", take_vec },
	{ "opmask-bit7", take_opmask_bit7 }, { "opmask", take_opmask },
	{ "all", take_all },
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
