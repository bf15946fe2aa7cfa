/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes a case: registers, a few instructions, branches that stay in it. */
#include <string.h>

#include "fuzz.h"

enum { STREAM_CASE = 3 };

#define INSNS_MAX	6
#define INSN_MAX	15
#define FLAGS		0x8d5u			/* OF SF ZF AF PF CF */
#define FLAG_DF		0x400u

void make_head(const struct maker *m, struct fuzz_head *h)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, FUZZ_MAGIC, sizeof(h->magic));
	h->states = FUZZ_STATES_MAX;
	h->code_bits = m->kind.code16 ? 16 : m->kind.code32 ? 32 : 64;
	h->max_ticks = m->kind.bytes ? 30 : 1000;	/* instructions make no loops */
	h->record_size = m->kind.avx512 ? FUZZ_RECORD_512 : FUZZ_RECORD;
	h->fs_base = 0x18;
	h->gs_base = 0x40;
}

/* Where memory operands go: into pages, across their ends, and where nothing is. */
uint64_t make_pointer(const struct maker *m, struct rng *r)
{
	static const uint64_t page[] = { FUZZ_DATA, FUZZ_EDGE, FUZZ_RW_RO, FUZZ_STACK, FUZZ_RO };
	uint64_t p = page[below(r, 5)];

	switch (below(r, 16)) {
	case 0:			/* across the end of a page: to a hole, or a read-only one */
		p += FUZZ_PAGE - 1 - below(r, 70);
		break;
	case 1:			/* across its beginning */
		p -= 1 + below(r, 40);
		break;
	case 2:
		switch (below(r, 8)) {
		case 0:
			p = FUZZ_KERN;
			break;
		case 1:
			p = FUZZ_RSVD;
			break;
		case 2:		/* the kernel's own */
			p = m->kind.kernel64 ? UINT64_C(0xffffffff80200000) : 0xc0200000;
			break;
		case 3:
			p = FUZZ_LOW;
			break;
		case 4:
			p = m->kind.code32 ? 0xfffffff0 : FUZZ_HIGH;
			break;
		case 5:		/* where long mode's lower half ends */
			p = m->kind.code32 ? 0xbffffff8 : FUZZ_HIGH + FUZZ_PAGE - below(r, 40);
			break;
		case 6:		/* no canonical address */
			p = m->kind.code32 ? 0 : rng_next(r) | UINT64_C(1) << 62;
			break;
		case 7:
			p = below(r, 64);
		}
		break;
	case 3:
		p = FUZZ_RW_RO + FUZZ_PAGE;
		/* fall through */
	default:
		p += 256 + below(r, FUZZ_PAGE - 512);
	}
	if (!one_in(r, 4))
		p &= -(UINT64_C(4) << below(r, 5));	/* aligned to 4 to 64 */
	return p;
}

static void registers(const struct maker *m, struct rng *r, struct fuzz_case *c)
{
	for (int i = 0; i < 16; i++) {
		uint64_t v = interesting(r);

		if (i == FUZZ_SI || i == FUZZ_DI || i == FUZZ_BP || i == FUZZ_BX ?
		    !one_in(r, 4) : one_in(r, 3))
			v = make_pointer(m, r);
		if (m->kind.code16 && v >= FUZZ_LOW && one_in(r, 2))	/* in reach of 16-bit addresses */
			v = FUZZ_LOW + 64 + below(r, FUZZ_PAGE - 128);
		if (i == FUZZ_SP)
			v = one_in(r, 6) ? make_pointer(m, r) :
			    FUZZ_STACK + 512 + 8 * below(r, 384);
		c->gpr[i] = m->kind.code32 ? (i < 8 ? (uint32_t)v : 0) : v;
	}
	c->rflags = (rng_next(r) & FLAGS) | (one_in(r, 8) ? FLAG_DF : 0);
	c->state = below(r, FUZZ_STATES_MAX);
}

/* A forward branch: to an instruction behind it, or to the end.  Rarely: anywhere. */
static void set_branch(struct rng *r, struct fuzz_case *c, const uint8_t *start, int n, int k,
		       const struct insn_made *made)
{
	int to = k + 1 + below(r, n - k);
	int32_t rel = start[to] - start[k + 1];

	if (one_in(r, 20) && made->rel_size > 1)
		rel = rng_next(r);
	memcpy(c->code + start[k] + made->rel_at, &rel, made->rel_size);
}

/*
 * What nobody can foretell (RDTSC, RDRAND, RDSEED, RDPID), or the host has and no model
 * (RDPRU, MONITORX, MWAITX): random bytes have it, and what was to be illegal.
 */
static void foreseeable(struct fuzz_case *c)
{
	for (uint32_t i = 0; i + 2 < c->len; i++) {
		uint8_t *p = c->code + i;

		if (p[0] == 0x0f &&
		    (p[1] == 0x31 || (p[1] == 0xc7 && p[2] >= 0xf0) ||
		     (p[1] == 0x01 && ((p[2] >= 0xf9 && p[2] <= 0xfb) || p[2] == 0xfd))))
			p[1] = 0x0b;
	}
	if (c->len >= 2 && c->code[c->len - 2] == 0x0f && c->code[c->len - 1] == 0x31)
		c->code[c->len - 1] = 0x0b;
}

static void instructions(const struct maker *m, struct rng *r, struct fuzz_case *c)
{
	struct insn_made made[INSNS_MAX];
	uint8_t start[INSNS_MAX + 1] = { 0 };
	uint64_t at = FUZZ_CODE + c->slot * FUZZ_SLOT;
	int want = 1, n;

	while (!m->single && want < INSNS_MAX && one_in(r, 2))
		want++;
	for (n = 0; n < want; n++) {
		uint8_t buf[32];

		if (!make_insn(m, r, c, at + start[n], buf, &made[n]))
			break;
		memcpy(c->code + start[n], buf, made[n].len);
		start[n + 1] = start[n] + made[n].len;
	}
	for (int k = 0; k < n; k++)
		if (made[k].rel_size)
			set_branch(r, c, start, n, k, &made[k]);
	c->len = start[n];
	c->insns = n;
	foreseeable(c);
}

/* Random bytes.  What hands a whole page to Bochs (docs/limits.md) is thinned out. */
static void bytes(struct rng *r, struct fuzz_case *c)
{
	c->len = FUZZ_CODE_MAX;
	for (uint32_t i = 0; i < c->len; i++)
		c->code[i] = rng_next(r);
	foreseeable(c);
	for (uint32_t i = 0; i + 2 < c->len; i++) {
		uint8_t *p = c->code + i;

		if (p[0] != 0x0f)
			continue;
		if ((p[1] == 0xa2 || p[1] == 0x05 || p[1] == 0x34 || p[1] == 0xae ||
		     p[1] == 0xc7 || p[1] == 0x01) && !one_in(r, 16))
			p[0] = 0x90;
	}
}

void make_case(const struct maker *m, uint32_t id, struct fuzz_case *c)
{
	struct rng r = rng_from(m->seed, STREAM_CASE + m->kind.bytes, id);

	memset(c, 0, sizeof(*c));
	c->id = id;
	c->slot = id % FUZZ_SLOTS;
	registers(m, &r, c);
	if (m->kind.bytes)
		bytes(&r, c);
	else
		instructions(m, &r, c);
	if (m->kind.emulated)
		spare_qemu(c->code, c->len);
	c->apart = runs_apart(m, c);
}
