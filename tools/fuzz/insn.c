/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes one instruction.  Not from a list of instructions: a random place in
 * the space of encodings (map, opcode, prefixes, ModRM) is filled with
 * operands that make sense for the registers at hand, and the decoder says
 * whether that is one.  So every encoding that exists turns up, also those
 * that nobody would think of.
 */
#include <string.h>

#include "fuzz.h"

#define TRIES	200
#define TRIES_ONLY	100000	/* one encoding of some ten thousand is wanted */
#define INSN_MAX 15

struct bytes {
	uint8_t b[32];
	uint8_t n;
};

static void put(struct bytes *o, uint8_t b)
{
	o->b[o->n++] = b;
}

static void put32(struct bytes *o, uint32_t v)
{
	memcpy(o->b + o->n, &v, 4);
	o->n += 4;
}

void decoder_init(ZydisDecoder *d, const struct kind *k)
{
	if (!k->code32)
		ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (k->code16)
		ZydisDecoderInit(d, k->kernel64 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_16 :
			         ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	else
		ZydisDecoderInit(d, k->kernel64 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 :
			         ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
}

/* A register that holds an address, if one is found; else any. */
static int address_register(struct rng *r, const struct fuzz_case *c, int n)
{
	int i, reg = 0;

	for (i = 0; i < 6; i++) {
		reg = below(r, n);
		if (c->gpr[reg] >= 0x8000 && (c->gpr[reg] < 0x20010000 || c->gpr[reg] >> 44 == 7))
			break;
	}
	return reg;
}

static int small_register(struct rng *r, const struct fuzz_case *c, int n)
{
	int i, reg = 0;

	for (i = 0; i < 6; i++) {
		reg = below(r, n);
		if (reg != 4 && (c->gpr[reg] < 256 || -c->gpr[reg] < 256))
			break;
	}
	return reg;
}

/* A displacement that stays near; *mod says how many bytes it takes. */
static void near(struct bytes *o, struct rng *r, int mod)
{
	int32_t d = (int32_t)below(r, 64) - 32;

	if (mod == 1)
		put(o, one_in(r, 6) ? (int32_t)rng_next(r) : d);
	else if (mod == 2)
		put32(o, one_in(r, 12) ? rng_next(r) : (uint32_t)d);
}

/* Bits that a REX or VEX prefix needs for the registers that were chosen. */
struct ext { bool r, x, b; };

static void memory_operand(const struct maker *m, struct bytes *o, struct rng *r,
			   const struct fuzz_case *c, uint64_t at, int reg, struct ext *e)
{
	int n = m->kind.code32 ? 8 : 16, mod = below(r, 3), base, index;

	switch (below(r, 10)) {
	case 0:			/* absolute */
		if (m->kind.code32 || one_in(r, 2)) {
			put(o, 0x04 | reg << 3);
			put(o, 0x25);
			put32(o, make_pointer(m, r));
		} else {	/* by RIP: exact only when no immediate follows, and near anyway */
			put(o, 0x05 | reg << 3);
			put32(o, make_pointer(m, r) - (at + o->n + 4));
		}
		return;
	case 1:
	case 2:			/* base, index, scale */
		base = address_register(r, c, n);
		index = small_register(r, c, n);
		if (mod == 0 && (base & 7) == 5)
			mod = 1;
		put(o, mod << 6 | reg << 3 | 4);
		put(o, below(r, 4) << 6 | (index & 7) << 3 | (base & 7));
		e->x = index & 8;
		e->b = base & 8;
		near(o, r, mod);
		return;
	case 3:			/* anything */
		put(o, below(r, 3) << 6 | reg << 3 | below(r, 8));
		for (int i = 0; i < 5; i++)
			put(o, rng_next(r));
		return;
	default:
		base = address_register(r, c, n);
		if (mod == 0 && (base & 7) == 5)
			mod = 1;
		put(o, mod << 6 | reg << 3 | ((base & 7) == 4 ? 4 : base & 7));
		if ((base & 7) == 4)
			put(o, 0x24);
		e->b = base & 8;
		near(o, r, mod);
	}
}

/* The same in 16-bit addressing, up to the whole ModRM byte. */
static void memory_operand16(struct bytes *o, struct rng *r, int reg)
{
	int mod = below(r, 3), rm = mod == 0 && one_in(r, 2) ? 6 : (int)below(r, 8);
	uint32_t d = mod == 0 ? FUZZ_LOW + below(r, FUZZ_PAGE) : below(r, 64) - 32;

	put(o, mod << 6 | reg << 3 | rm);
	if (mod == 0 && rm != 6)
		return;
	put(o, d);
	if (mod != 1)
		put(o, d >> 8);
}

static void modrm(const struct maker *m, struct bytes *o, struct rng *r, const struct fuzz_case *c,
		  uint64_t at, bool short_address, struct ext *e)
{
	int reg = below(r, 8);

	if (one_in(r, 2)) {
		uint64_t random = rng_next(r);

		put(o, 0xc0 | random);
		e->x = random >> 8 & 1;		/* vector registers from 16 up; else it means nothing */
		e->b = one_in(r, 2);
	} else if (short_address && m->kind.code16) {
		memory_operand16(o, r, reg);
	} else if (short_address && m->kind.code32) {
		put(o, reg << 3 | 6);		/* 16-bit addressing, [disp16] */
		put(o, rng_next(r));
		put(o, 0x80 + below(r, 16));
	} else {
		memory_operand(m, o, r, c, at, reg, e);
	}
}

static void immediate(struct bytes *o, struct rng *r)
{
	static const uint8_t edge[] = { 0, 1, 2, 7, 8, 15, 16, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff };
	uint64_t v = interesting(r);

	if (one_in(r, 2))
		put(o, edge[below(r, sizeof(edge))]);
	for (int i = 0; i < 8 && o->n < sizeof(o->b); i++)
		put(o, v >> 8 * i);
}

/* [legacy prefixes] [REX] opcode of the maps 0, 0F, 0F 38, 0F 3A, and x87's */
static void legacy(const struct maker *m, struct bytes *o, struct rng *r, const struct fuzz_case *c,
		   uint64_t at)
{
	static const uint8_t segment[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
	uint32_t map = below(r, 16);
	bool prefix67 = one_in(r, m->kind.code16 ? 2 : 16), short_address = prefix67 != m->kind.code16;
	struct ext e = { .r = one_in(r, 2) };
	int rex_at = -1;

	if (one_in(r, 4))
		put(o, 0x66);
	if (one_in(r, 4))
		put(o, one_in(r, 2) ? 0xf2 : 0xf3);
	if (one_in(r, 24))
		put(o, 0xf0);
	if (one_in(r, 24))
		put(o, segment[below(r, sizeof(segment))]);
	if (prefix67)
		put(o, 0x67);
	if (one_in(r, 40))
		put(o, one_in(r, 2) ? 0x66 : 0xf3);
	if (!m->kind.code32 && one_in(r, 2)) {
		rex_at = o->n;
		put(o, 0x40);
	}
	if (map < 5) {
		put(o, rng_next(r));
	} else if (map < 7) {
		put(o, 0xd8 | below(r, 8));
	} else if (map < 13) {
		put(o, 0x0f);
		put(o, rng_next(r));
	} else {
		put(o, 0x0f);
		put(o, map < 15 ? 0x38 : 0x3a);
		put(o, one_in(r, 2) ? rng_next(r) : below(r, 2) ? below(r, 0x42) : 0xc8 + below(r, 56));
	}
	if (map < 5 && (o->b[o->n - 1] & 0xfc) == 0xa0) {	/* absolute address in full */
		uint64_t p = make_pointer(m, r);

		if (m->kind.code16 && short_address)
			p = FUZZ_LOW + p % FUZZ_PAGE;
		for (int i = 0; i < 8; i++)
			put(o, p >> 8 * i);
	} else {
		modrm(m, o, r, c, at, short_address, &e);
	}
	if (rex_at >= 0)
		o->b[rex_at] |= (one_in(r, 2) ? 8 : 0) | e.r << 2 | e.x << 1 | e.b;
	immediate(o, r);
}

static void vex(const struct maker *m, struct bytes *o, struct rng *r, const struct fuzz_case *c,
		uint64_t at)
{
	struct ext e = { .r = one_in(r, 2) };
	bool short_address = m->kind.code16 && one_in(r, 2);
	int at2;

	if (one_in(r, 40))
		put(o, one_in(r, 2) ? 0x66 : 0x67);
	if (m->kind.code16 && !short_address)
		put(o, 0x67);
	if (one_in(r, 5)) {
		put(o, 0xc5);
		put(o, rng_next(r) | (m->kind.code32 ? 0xc0 : 0));
		put(o, rng_next(r));
		modrm(m, o, r, c, at, short_address, &e);
		immediate(o, r);
		return;
	}
	put(o, 0xc4);
	at2 = o->n;
	put(o, 1 + below(r, 3));
	put(o, rng_next(r));
	if (one_in(r, 3))			/* many want no third register */
		o->b[at2 + 1] |= 0x78;
	if (m->kind.code32)
		o->b[at2 + 1] |= 0x40;
	put(o, rng_next(r));
	modrm(m, o, r, c, at, short_address, &e);
	o->b[at2] |= m->kind.code32 ? 0xe0 : (e.r ? 0 : 0x80) | (e.x ? 0 : 0x40) | (e.b ? 0 : 0x20);
	immediate(o, r);
}

static void evex(const struct maker *m, struct bytes *o, struct rng *r, const struct fuzz_case *c,
		 uint64_t at)
{
	struct ext e = { .r = one_in(r, 2) };
	bool short_address = m->kind.code16 && one_in(r, 2);
	int at2;

	if (m->kind.code16 && !short_address)
		put(o, 0x67);
	put(o, 0x62);
	at2 = o->n;
	put(o, 1 + below(r, 3));
	put(o, rng_next(r) | 4);
	if (one_in(r, 3))
		o->b[at2 + 1] |= 0x78;
	put(o, one_in(r, 2) ? 0x08 | below(r, 3) << 5 : rng_next(r));
	put(o, rng_next(r));
	modrm(m, o, r, c, at, short_address, &e);
	o->b[at2] |= m->kind.code32 ? 0xf0 :
		     (e.r ? 0 : 0x80) | (e.x ? 0 : 0x40) | (e.b ? 0 : 0x20) | below(r, 2) << 4;
	immediate(o, r);
}

static void note_branch(const ZydisDecodedInstruction *i, struct insn_made *made)
{
	for (int k = 0; k < 2; k++)
		if (i->raw.imm[k].is_relative) {
			made->rel_at = i->raw.imm[k].offset;
			made->rel_size = i->raw.imm[k].size / 8;
		}
}

bool make_insn(const struct maker *m, struct rng *r, const struct fuzz_case *c, uint64_t at,
	       uint8_t *to, struct insn_made *made)
{
	bool illegal = one_in(r, 24) && !m->only;

	for (int t = 0; t < (m->only ? TRIES_ONLY : TRIES); t++) {
		ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction i;
		struct bytes o = { .n = 0 };
		uint32_t how = below(r, m->kind.avx512 ? 24 : 16);

		if (how < 12)
			legacy(m, &o, r, c, at);
		else if (how < 16)
			vex(m, &o, r, c, at);
		else
			evex(m, &o, r, c, at);
		memset(made, 0, sizeof(*made));
		if (ZYAN_FAILED(ZydisDecoderDecodeFull(&m->decoder, o.b, o.n, &i, op))) {
			if (!illegal)
				continue;
			made->len = 1 + below(r, INSN_MAX);	/* whatever the CPU makes of it */
		} else {
			enum table_use use = table_use(m->table, &i, op, &m->kind);

			if (m->only && !insn_in(m->only, &i))
				continue;
			if (illegal || use == TABLE_NEVER || (use == TABLE_RARE && !one_in(r, 64)))
				continue;
			made->len = i.length;
			note_branch(&i, made);
		}
		memcpy(to, o.b, made->len);
		return true;
	}
	return false;
}
