/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One wrong bit in records, for the fuzzer's own test: is it found, and not
 * explained?
 */
#include <stdlib.h>
#include <string.h>

#include "table.h"

#define FX_ST		32
#define FX_XMM		160
#define VECTOR_BIT	30	/* of an element of any size but a byte: a high one, or another element */
#define GENERAL_BIT	2
#define ST_BIT		62	/* the highest of a mantissa but for the integer bit */

static uint32_t bit_of(size_t byte, uint32_t bit)
{
	return 8 * byte + bit;
}

static bool is_register(const ZydisDecodedOperand *o, ZydisRegisterClass *class, int *id)
{
	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	*class = ZydisRegisterGetClass(o->reg.value);
	*id = ZydisRegisterGetId(o->reg.value);
	return *id >= 0;
}

static uint32_t vector_bit(int i, bool avx512)
{
	if (i < 16)
		return bit_of(offsetof(struct fuzz_record, fx) + FX_XMM + 16 * i, VECTOR_BIT);
	return avx512 ? bit_of(FUZZ_ZMM_16 + 64 * (i - 16), VECTOR_BIT) : 0;
}

/* Where the result is, if that is a register. */
static uint32_t result_bit(const ZydisDecodedOperand *o, const struct kind *k)
{
	ZydisRegisterClass class;
	int i;

	if (!is_register(o, &class, &i))
		return 0;
	switch (class) {
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return bit_of(offsetof(struct fuzz_record, gpr) + 8 * i, GENERAL_BIT);
	case ZYDIS_REGCLASS_X87:
	case ZYDIS_REGCLASS_MMX:
		return bit_of(offsetof(struct fuzz_record, fx) + FX_ST + 16 * i, ST_BIT);
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		return vector_bit(i, k->avx512);
	case ZYDIS_REGCLASS_MASK:
		return bit_of(FUZZ_OPMASK + 8 * i, GENERAL_BIT);
	default:
		return 0;
	}
}

/* A vector register that is no operand. */
static uint32_t other_bit(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *o,
			  const struct kind *k)
{
	ZydisRegisterClass class;
	uint32_t used = 0;
	int i;

	for (int n = 0; n < insn->operand_count; n++)
		if (is_register(&o[n], &class, &i) &&
		    (class == ZYDIS_REGCLASS_XMM || class == ZYDIS_REGCLASS_YMM || class == ZYDIS_REGCLASS_ZMM))
			used |= 1u << i;
	for (i = 15; used & 1u << i; i--)
		;
	return vector_bit(i, k->avx512);
}

static uint32_t find_bit(const char *where, const ZydisDecodedInstruction *i,
			 const ZydisDecodedOperand *o, const struct kind *k)
{
	if (!strcmp(where, "result"))
		return result_bit(&o[0], k);
	if (!strcmp(where, "other"))
		return other_bit(i, o, k);
	return strtoul(where, NULL, 0);
}

bool spoil_record(struct case_file *f, uint32_t n, uint32_t bit)
{
	uint8_t *r = (uint8_t *)(uintptr_t)file_record(f, n);

	if (!bit || n >= f->head.cases || bit / 8 >= f->head.record_size)
		return false;
	r[bit / 8] ^= 1u << bit % 8;
	return true;
}

uint32_t spoil(struct case_file *f, const char *only, const char *where, const struct kind *k)
{
	uint32_t spoilt = 0;
	ZydisDecoder d;

	decoder_init(&d, k);
	for (uint32_t n = 0; n < f->head.cases; n++) {
		const struct fuzz_case *c = &f->cases[n];
		ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction i;

		if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, c->code, c->len, &i, o)) &&
		    i.length == c->len && insn_in(only, &i))
			spoilt += spoil_record(f, n, find_bit(where, &i, o, k));
	}
	return spoilt;
}
