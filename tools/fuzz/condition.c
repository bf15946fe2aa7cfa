/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When an entry of the table applies, by the instruction and the state that it
 * began with.
 */
#include <cpuid.h>
#include <fnmatch.h>
#include <string.h>

#include "table.h"

/* The count of a shift or rotate as the CPU takes it: by operand, masked. */
static uint32_t count(const struct narrowed *n)
{
	const ZydisDecodedInstruction *i = &n->insn;
	uint32_t last = i->operand_count_visible - 1, c = 1;
	const ZydisDecodedOperand *o = &n->operand[last];

	if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		c = o->imm.value.u;
	else if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && o->reg.value == ZYDIS_REGISTER_CL && last)
		c = gpr_before(n, FUZZ_CX);
	return c & (n->operand[0].size == 64 ? 63 : 31);
}

static bool count_0(const struct asked *a)
{
	return count(a->n) == 0;
}

static bool count_over_0(const struct asked *a)
{
	return count(a->n) > 0;
}

static bool count_over_1(const struct asked *a)
{
	return count(a->n) > 1;
}

static bool count_over_size(const struct asked *a)
{
	return count(a->n) > a->n->operand[0].size;
}

static bool count_from_size(const struct asked *a)
{
	return count(a->n) >= a->n->operand[0].size;
}

static bool prefix_66(const struct asked *a)
{
	return a->n->insn.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE;
}

static bool prefix_67(const struct asked *a)
{
	return a->n->insn.attributes & ZYDIS_ATTRIB_HAS_ADDRESSSIZE;
}

static bool prefix_rep(const struct asked *a)
{
	for (int i = 0; i < a->n->insn.raw.prefix_count; i++)
		if (a->n->insn.raw.prefixes[i].value == 0xf2 || a->n->insn.raw.prefixes[i].value == 0xf3)
			return true;
	return false;
}

static bool rex_r(const struct asked *a)
{
	return a->n->insn.raw.rex.R;
}

static bool rex_w(const struct asked *a)
{
	return a->n->insn.raw.rex.W;
}

/* Of VEX or EVEX. */
static bool vex_w(const struct asked *a)
{
	const ZydisDecodedInstruction *i = &a->n->insn;

	return (i->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && i->raw.vex.W) ||
	       (i->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && i->raw.evex.W);
}

/* Bit 3 of vvvv in VEX or EVEX, which is stored inverted, names registers that 32-bit code hasn't. */
static bool vex_v3(const struct asked *a)
{
	const ZydisDecodedInstruction *i = &a->n->insn;

	return (i->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && !(i->raw.vex.vvvv & 8)) ||
	       (i->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && !(i->raw.evex.vvvv & 8));
}

/* Rounding or no exceptions: EVEX.b of an instruction without a memory operand. */
static bool sae(const struct asked *a)
{
	const ZydisDecodedInstruction *i = &a->n->insn;

	return i->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && i->raw.evex.b && i->raw.modrm.mod == 3;
}

/* An index register from 16 up: EVEX.V', which is stored inverted. */
static bool high_index(const struct asked *a)
{
	return a->n->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && !a->n->insn.raw.evex.V2;
}

static bool opmask(const struct asked *a)
{
	return a->n->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && a->n->insn.raw.evex.aaa;
}

static uint8_t imm(const struct asked *a)
{
	return a->n->insn.raw.imm[0].value.u;
}

static bool imm_15(const struct asked *a)
{
	return imm(a) == 15;
}

/* Rounding is as MXCSR says. */
static bool round_mxcsr(const struct asked *a)
{
	return imm(a) & 4;
}

/* ENTER that copies frames. */
static bool nested(const struct asked *a)
{
	return (a->n->insn.raw.imm[1].value.u & 31) > 1;
}

static bool rel32(const struct asked *a)
{
	return a->n->insn.raw.imm[0].is_relative && a->n->insn.raw.imm[0].size == 32;
}

static bool evex_disp8(const struct asked *a)
{
	return a->n->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && a->n->insn.raw.disp.size == 8;
}

static bool rex_b(const struct asked *a)
{
	return a->n->insn.raw.rex.B;
}

static bool memory_operand(const struct asked *a)
{
	return a->n->insn.raw.modrm.mod != 3;
}

static bool count_by_immediate(const struct asked *a)
{
	return a->n->operand[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

static bool far_branch(const struct asked *a)
{
	return a->n->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
}

static bool code64(const struct asked *a)
{
	return !a->k->code32;
}

static bool model_512(const struct asked *a)
{
	return a->k->avx512;
}

static bool model_less_512(const struct asked *a)
{
	return !a->k->avx512;
}

static bool emulated(const struct asked *a)
{
	return a->k->emulated;
}

/* "Hygo", whose CPUs are AMD's. */
#define HYGON_EBX 0x6f677948u

/* QEMU's CPU has something of both makers'. */
static bool host_is(const struct asked *a, unsigned int ebx)
{
	unsigned int max, b, c, d;

	return a->k->emulated || (__get_cpuid(0, &max, &b, &c, &d) && b == ebx);
}

static bool host_amd(const struct asked *a)
{
	return host_is(a, signature_AMD_ebx) || host_is(a, HYGON_EBX);
}

static bool host_intel(const struct asked *a)
{
	return host_is(a, signature_INTEL_ebx);
}

static bool code16(const struct asked *a)
{
	return a->k->code16;
}

static bool code32(const struct asked *a)
{
	return a->k->code32;
}

/* MOV and PUSH and the like of a segment register. */
static bool segment_operand(const struct asked *a)
{
	for (int i = 0; i < a->n->insn.operand_count; i++)
		if (a->n->operand[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(a->n->operand[i].reg.value) == ZYDIS_REGCLASS_SEGMENT)
			return true;
	return false;
}

static const struct {
	const char *name;
	bool (*holds)(const struct asked *a);
} conditions[] = {
	{ "count=0", count_0 }, { "count>0", count_over_0 }, { "count>1", count_over_1 },
	{ "count>size", count_over_size }, { "count>=size", count_from_size },
	{ "rep", prefix_rep }, { "rex.r", rex_r }, { "rex.w", rex_w }, { "vex.w", vex_w }, { "vex.v3", vex_v3 },
	{ "opmask", opmask }, { "sae", sae }, { "high-index", high_index },
	{ "far", far_branch }, { "memory-operand", memory_operand }, { "immediate", count_by_immediate },
	{ "prefix66", prefix_66 }, { "prefix67", prefix_67 }, { "code64", code64 }, { "code32", code32 },
	{ "code16", code16 },
	{ "rex.b", rex_b }, { "rel32", rel32 }, { "evex-disp8", evex_disp8 }, { "imm=15", imm_15 },
	{ "round-mxcsr", round_mxcsr }, { "nested", nested },
	{ "ftz-or-daz", if_ftz_or_daz }, { "ecx=0", if_ecx_0 }, { "out-of-range", if_out_of_range },
	{ "pseudo-denormal", if_pseudo_denormal }, { "no-element", if_no_element },
	{ "field-beyond", if_field_beyond }, { "overflow", if_overflow },
	{ "stack-fault", if_stack_fault },
	{ "underflow-unmasked", if_underflow_unmasked },
	{ "outcome", if_outcome }, { "plain-gp", if_plain_gp }, { "one-xm", if_one_xm },
	{ "native-xm", if_native_xm }, { "ud-after-xm", if_ud_after_xm },
	{ "single-step", if_single_step },
	{ "segment-register", segment_operand }, { "plain-ud", if_plain_ud },
	{ "plain-fault", if_plain_fault }, { "emulated", emulated },
	{ "host-amd", host_amd }, { "host-intel", host_intel },
	{ "avx512", model_512 }, { "no-avx512", model_less_512 },
};
#define CONDITIONS (sizeof(conditions) / sizeof(conditions[0]))

static bool is_condition(const char *word, void *arg)
{
	(void)arg;
	if (!strncmp(word, "model=", 6))
		return true;
	for (size_t i = 0; i < CONDITIONS; i++)
		if (!strcmp(word, conditions[i].name))
			return true;
	return false;
}

bool conditions_known(const char *list)
{
	return each_word(list, is_condition, NULL);
}

static bool holds(const char *word, void *arg)
{
	if (!strncmp(word, "model=", 6))
		return !fnmatch(word + 6, ((struct asked *)arg)->k->model, 0);
	for (size_t i = 0; i < CONDITIONS; i++)
		if (!strcmp(word, conditions[i].name))
			return conditions[i].holds(arg);
	return false;
}

bool conditions_hold(const char *list, const struct narrowed *n, const struct kind *k)
{
	struct asked a = { n, k };

	return each_word(list, holds, &a);
}
