/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What faults half way has done the first half (PUSHA, gathers and scatters: SDM vol. 2), so that
 * native code is at no boundary: memory or vector registers are beyond the one where all else
 * is the same.  Bochs executes the instruction next.  Either it faults there, too, and must have done the same
 * half; or it does not, where only native code lacked a page, and must have stored what native code
 * has, and more.
 *
 * The CPU that QEMU emulates (TCG, 7.2) does so with every store that crosses a page, where
 * a CPU and Bochs store nothing; and it can stop at a string instruction that has counted
 * down to 0, where they are behind it.
 */
#include <cpuid.h>
#include <string.h>

#include "insn.h"
#include "verify.h"

#define WIDEST_STORE	64	/* bytes */
#define INSN_MAX	15

static bool is_string(uint8_t opcode)
{
	return opcode >= 0xa4 && opcode <= 0xaf && opcode != 0xa8 && opcode != 0xa9;	/* TEST */
}

/* Has the string instruction at @code, with its prefixes, nothing left to do?  Its length, or 0. */
static unsigned int counted_down(const uint8_t *code, unsigned int len, uint64_t rcx, unsigned int bits)
{
	unsigned int i;
	bool rep = false, other_size = false;

	for (i = 0; i < len && plex86_is_prefix(code[i], bits == 64); i++) {
		rep |= code[i] == 0xf2 || code[i] == 0xf3;
		other_size |= code[i] == 0x67;
	}
	if (!rep || i == len || !is_string(code[i]))
		return 0;
	if (bits == 64)
		return (other_size ? (uint32_t)rcx : rcx) ? 0 : i + 1;
	return (other_size == (bits == 16) ? (uint32_t)rcx : (uint16_t)rcx) ? 0 : i + 1;
}

void plex86_half_end(struct plex86_verify *v)
{
	uint8_t code[INSN_MAX];

	if (v->tcg)
		v->end.rip += counted_down(code, plex86_verify_code(v, plex86_code_address(&v->end).la,
								    code, INSN_MAX),
					   v->end.gpr[PLEX86_RCX], plex86_code_bits(&v->end));
}

/* Bytes that native code has stored and Bochs has not, yet. */
static bool note_byte(struct plex86_verify *v, const struct plex86_private *p, uint32_t i)
{
	if (v->nahead == PLEX86_VERIFY_AHEAD)
		return false;
	v->ahead[v->nahead++] = (struct plex86_ahead){ p->shared + i, p->copy[i] };
	return true;
}

static bool note_page(struct plex86_verify *v, const struct plex86_private *p)
{
	uint32_t i;

	if (!memcmp(p->shared, p->copy, PLEX86_PAGE_SIZE))
		return true;
	for (i = 0; i < PLEX86_PAGE_SIZE; i++)
		if (p->shared[i] != p->copy[i] && !note_byte(v, p, i))
			return false;
	return true;
}

void plex86_half_boundary(struct plex86_verify *v, uint32_t diff)
{
	uint32_t i;

	v->half = !(diff & ~(PLEX86_DIFF_MEMORY | PLEX86_DIFF_VECTOR));
	v->nahead = 0;
	if (diff != PLEX86_DIFF_MEMORY)
		return;
	for (i = 0; i < v->npages; i++)
		if (!note_page(v, &v->page[i])) {
			v->nahead = 0;
			return;
		}
}

static bool same(struct plex86_verify *v)
{
	v->excused = 1u << PLEX86_TOLERATED_HALF;
	return true;
}

bool plex86_half_is_tcg(void)
{
	uint32_t a, id[3];

	if (!__get_cpuid(1, &a, &id[0], &id[1], &id[2]) || !(id[1] >> 31))
		return false;
	__cpuid(0x40000000, a, id[0], id[1], id[2]);
	return !memcmp(id, "TCGTCGTCGTCG", sizeof(id));
}

/* Is all that native code is ahead by at the end of one page, and no more than one store? */
static bool at_page_end(const struct plex86_verify *v)
{
	uintptr_t page = (uintptr_t)v->ahead[0].bochs & PLEX86_PAGE_MASK;
	uint32_t i;

	for (i = 0; i < v->nahead; i++)
		if ((uintptr_t)v->ahead[i].bochs < page + PLEX86_PAGE_SIZE - WIDEST_STORE ||
		    (uintptr_t)v->ahead[i].bochs >= page + PLEX86_PAGE_SIZE)
			return false;
	return true;
}

bool plex86_half_faulted(struct plex86_verify *v)
{
	struct plex86_vec vec;

	if (!v->half || v->stray)
		return false;
	if (!plex86_verify_same_memory(v))
		return v->tcg && v->nahead && at_page_end(v) && same(v);
	v->host->read_vec(&vec);
	return !plex86_compare_vec(v, &vec) && same(v);
}

bool plex86_half_caught_up(struct plex86_verify *v)
{
	uint32_t i;

	if (!v->nahead)
		return false;
	for (i = 0; i < v->nahead; i++)
		if (*v->ahead[i].bochs != v->ahead[i].native)
			return false;
	/*
	 * If that is all, native code had done the whole, and should not be where it is; or the rest
	 * of a store, behind the end of a page, is what was there.
	 */
	return (v->stray || !plex86_verify_same_memory(v) || (v->tcg && at_page_end(v))) && same(v);
}
