/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's user program: a CPU with a few instructions, which both sides
 * execute with this code, each through its own view of memory.
 *
 * An instruction is up to three prefixes and two or three bytes (three after
 * 0F).  What it does is in the list of acts; its bytes only go into the hash, so
 * that whoever executes stale or foreign code gets another result.
 */
#include <string.h>

#include "vm.h"

uint64_t rng_next(struct rng *r)
{
	r->s ^= r->s >> 12;
	r->s ^= r->s << 25;
	r->s ^= r->s >> 27;
	return r->s * UINT64_C(0x2545f4914f6cdd1d);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

uint64_t mix64(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0xff51afd7ed558ccd);
	return h ^ h >> 32;
}

void cpu_answer(struct plex86_cpu *cpu)
{
	cpu->gpr[REG_HASH] = mix64(cpu->gpr[REG_HASH], 0xc0ffee);
	cpu->gpr[REG_NEXT]++;
}

struct access { uint64_t la, at[2]; unsigned int first, len; };

/* Both pages of an operand, before anything is done to the first. */
static bool reach(const struct cpu_view *v, uint64_t la, unsigned int len, uint32_t access,
		  struct access *a, uint64_t *fault)
{
	unsigned int in_page = PAGE - la % PAGE;

	a->len = len;
	a->first = len < in_page ? len : in_page;
	*fault = la;
	if (!v->page(v->ctx, la, access, &a->at[0]))
		return false;
	if (a->first == len)
		return true;
	*fault = la + a->first;
	return v->page(v->ctx, *fault, access, &a->at[1]);
}

static uint64_t load(const struct cpu_view *v, const struct access *a)
{
	uint64_t value = 0;
	unsigned int i;

	for (i = 0; i < a->len; i++)
		value |= (uint64_t)v->read(v->ctx, i < a->first ? a->at[0] + i :
								  a->at[1] + i - a->first) << 8 * i;
	return value;
}

static void store(const struct cpu_view *v, const struct access *a, uint64_t value)
{
	unsigned int i;

	if (a->first == a->len) {
		v->write(v->ctx, a->at[0], value, a->len);
		return;
	}
	for (i = 0; i < a->len; i++)
		v->write(v->ctx, i < a->first ? a->at[0] + i : a->at[1] + i - a->first,
			 value >> 8 * i & 255, 1);
}

static bool prefix(uint8_t b)
{
	return b == 0x66 || b == 0xf3 || (vm.cpu.mode == PLEX86_MODE_64 && (b & 0xf0) == 0x40);
}

/* The instruction at @rip: its bytes into *@hash, whether it is sensitive. */
static bool fetch(const struct cpu_view *v, uint64_t rip, uint64_t *hash, enum sensitive *kind,
		  uint64_t *fault)
{
	unsigned int n = 0, prefixes = 0, want = 1;
	uint64_t at = 0;
	uint8_t b[LONGEST];

	while (n < prefixes + want) {
		uint64_t la = rip + n;

		if (!n || la % PAGE == 0) {
			if (!v->page(v->ctx, la, PLEX86_ACCESS_EXEC, &at)) {
				*fault = la;
				return false;
			}
		} else {
			at++;
		}
		b[n] = v->fetch(v->ctx, at);
		if (n == prefixes && prefixes < 3 && prefix(b[n]))
			prefixes++;
		else if (n == prefixes)
			want = b[n] == 0x0f ? 3 : 2;
		*hash = mix64(*hash, b[n++]);
	}
	*kind = sensitive_kind(b + prefixes, want);
	return true;
}

enum step cpu_step(struct plex86_cpu *cpu, const struct cpu_view *v, uint64_t *fault,
		   uint32_t *access)
{
	const struct act *act = &vm.act[cpu->gpr[REG_NEXT]];
	uint64_t hash = cpu->gpr[REG_HASH];
	enum sensitive kind = HARMLESS;
	struct access a;

	if (cpu->gpr[REG_NEXT] >= vm.nacts)
		return STEP_END;
	if (act->kind == ACT_EXEC)
		cpu->rip = act->la;	/* the jump itself is done */
	*access = PLEX86_ACCESS_EXEC;
	if ((!vm.bare || act->kind == ACT_EXEC) &&
	    !fetch(v, cpu->rip, &hash, &kind, fault))
		return STEP_FAULT;
	if (kind) {
		*access = kind;
		return STEP_SENSITIVE;
	}
	switch (act->kind) {
	case ACT_READ:
		*access = 0;
		if (!reach(v, act->la, 8, 0, &a, fault))
			return STEP_FAULT;
		hash = mix64(hash, load(v, &a));
		break;
	case ACT_WRITE:
		*access = PLEX86_ACCESS_WRITE;
		if (!reach(v, act->la, 8, PLEX86_ACCESS_WRITE, &a, fault))
			return STEP_FAULT;
		/* Not a byte of it is 0F, or random data would be sensitive code. */
		store(v, &a, act->arg ? act->arg : hash | UINT64_C(0x1010101010101010));
		break;
	case ACT_BOTH:
		*access = PLEX86_ACCESS_WRITE;
		if (!reach(v, act->la, 8, PLEX86_ACCESS_WRITE, &a, fault))
			return STEP_FAULT;
		store(v, &a, hash | UINT64_C(0x1010101010101010));
		if (!reach(v, act->arg, 8, PLEX86_ACCESS_WRITE, &a, fault))
			return STEP_FAULT;
		store(v, &a, hash | UINT64_C(0x2020202020202020));
		break;
	case ACT_CALL:
		return STEP_CALL;
	case ACT_EXEC:
		break;
	}
	cpu->gpr[REG_HASH] = hash;
	cpu->gpr[REG_NEXT]++;
	return STEP_DONE;
}
