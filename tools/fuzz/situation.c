/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conditions of the table that ask for the state before the instruction, or for what both runs
 * made of it.  Where the former is not known (a guess), these hold.
 */
#include <math.h>
#include <string.h>

#include "table.h"

#define FX_FCW		0
#define FX_FSW		2
#define FX_MXCSR	24
#define FX_ST		32
#define FPU_OE		0x8
#define FPU_UE		0x10
#define FPU_SF		0x40
#define MXCSR_FLAGS	0x3fu
#define MXCSR_DAZ	0x40u
#define MXCSR_TO_FLAGS	7	/* from the masks */
#define MXCSR_FTZ	0x8000u

uint64_t gpr_before(const struct narrowed *n, int i)
{
	return n->before ? n->before->gpr[i] : n->c->gpr[i];
}

/* One of both has gone on where the other has not, or elsewhere. */
bool if_outcome(const struct asked *a)
{
	return a->n->diff.outcome;
}

/* Bochs says that there is no such instruction, and the CPU has it. */
bool if_plain_ud(const struct asked *a)
{
	return if_outcome(a) && a->n->a->vector == 6 && a->n->a->ip == a->n->insn_at;
}

/* #GP by the instruction in plain Bochs only, as of an alignment. */
bool if_plain_gp(const struct asked *a)
{
	return if_outcome(a) && a->n->a->vector == 13 && a->n->a->ip == a->n->insn_at;
}

/* #XM in one of both. */
bool if_one_xm(const struct asked *a)
{
	return if_outcome(a) && (a->n->a->vector == 19) != (a->n->b->vector == 19);
}

bool if_native_xm(const struct asked *a)
{
	return if_outcome(a) && a->n->a->vector != 19 && a->n->b->vector == 19;
}

/* #UD in both, but natively after an #XM of a flag that is not masked: Bochs lacks the instruction. */
bool if_ud_after_xm(const struct asked *a)
{
	uint32_t native;

	memcpy(&native, a->n->b->fx + FX_MXCSR, 4);
	return a->n->a->vector == 6 && a->n->b->vector == 6 && a->n->a->ip == a->n->insn_at &&
	       (native & MXCSR_FLAGS & ~(native >> MXCSR_TO_FLAGS));
}

bool if_single_step(const struct asked *a)
{
	return a->n->a->vector == 1 && a->n->b->vector == 1;
}

/* #SS, #GP or #PF by the instruction itself. */
bool if_plain_fault(const struct asked *a)
{
	return a->n->a->vector >= 12 && a->n->a->vector <= 14 && a->n->a->ip == a->n->insn_at;
}

/* ---- the state before ---- */

static const uint8_t *fx_before(const struct narrowed *n)
{
	return n->before ? n->before->fx : n->state;
}

static uint32_t mxcsr(const struct narrowed *n)
{
	uint32_t v;

	memcpy(&v, fx_before(n) + FX_MXCSR, 4);
	return v;
}

bool if_ftz_or_daz(const struct asked *a)
{
	return a->n->guessed || (mxcsr(a->n) & (MXCSR_FTZ | MXCSR_DAZ));
}

bool if_ecx_0(const struct asked *a)
{
	return a->n->guessed || !(uint32_t)gpr_before(a->n, FUZZ_CX);
}

long double st0_before(const struct narrowed *n)
{
	long double v = 0;

	memcpy(&v, fx_before(n) + FX_ST, 10);
	return v;
}

/* SDM 2A: of F2XM1 -1 to 1, of FYL2XP1 -(1 - sqrt(1/2)) to that. */
bool if_out_of_range(const struct asked *a)
{
	bool f2xm1 = a->n->insn.mnemonic == ZYDIS_MNEMONIC_F2XM1;

	return a->n->guessed || !(fabsl(st0_before(a->n)) <= (f2xm1 ? 1 : 1 - sqrtl(0.5L)));
}

bool if_pseudo_denormal(const struct asked *a)
{
	const uint8_t *st = fx_before(a->n) + FX_ST;

	return a->n->guessed || (!(st[9] & 0x7f) && !st[8] && (st[7] & 0x80));
}

/* Neither of both has an element, by its mask. */
bool if_no_element(const struct asked *a)
{
	const struct narrowed *n = a->n;
	uint32_t elements = n->insn.avx.vector_length / (n->operand[0].element_size ? : 32);
	uint64_t mask = elements < 64 ? (UINT64_C(1) << elements) - 1 : UINT64_MAX;

	return n->guessed || !(opmask_value(n->a, n->insn.raw.evex.aaa) & mask);
}

/* EXTRQ, INSERTQ: a field that ends beyond bit 63, or of length 0 and not at 0. */
bool if_field_beyond(const struct asked *a)
{
	const struct narrowed *n = a->n;
	int last = n->insn.operand_count_visible - 1;
	uint32_t length, at;
	uint8_t v[64];

	if (n->operand[last].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		length = n->operand[last - 1].imm.value.u & 63;
		at = n->operand[last].imm.value.u & 63;
	} else {
		int byte = n->insn.mnemonic == ZYDIS_MNEMONIC_INSERTQ ? 8 : 0;

		if (n->guessed || !vector_before(n, last, v))
			return true;
		length = v[byte] & 63;
		at = v[byte + 1] & 63;
	}
	return length ? length + at > 64 : at > 0;
}

/* ---- the state behind ---- */

static uint16_t fsw(const struct fuzz_record *r)
{
	uint16_t v;

	memcpy(&v, r->fx + FX_FSW, 2);
	return v;
}

/* An overflow that is not masked, in both. */
bool if_overflow(const struct asked *a)
{
	return !(a->n->a->fx[FX_FCW] & FPU_OE) && (fsw(a->n->a) & fsw(a->n->b) & FPU_OE);
}

bool if_underflow_unmasked(const struct asked *a)
{
	return !(a->n->a->fx[FX_FCW] & FPU_UE);
}

/* The stack's, in both. */
bool if_stack_fault(const struct asked *a)
{
	return fsw(a->n->a) & fsw(a->n->b) & FPU_SF;
}
