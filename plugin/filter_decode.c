/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Findings whose bytes are everywhere, so that instructions have to be looked at:
 *
 * - 32-bit code that reads its FS or GS selector.  An engine that runs it under the
 *   host's selectors gives the wrong answer, and i386 glibc hands its own to clone().
 *   8C is also a displacement that compilers like: one page in seven.
 * - SYSCALL where 32-bit code can get at it.  Programs that are not position-independent
 *   (Debian's Python, GCC) have 0F 05 in many displacements.
 *
 * Each place is decoded from some way before it, from a few bytes in a row, as nothing says
 * where instructions begin: most such streams soon fall into step with the real one.  Code
 * of a regular pattern can keep one out of step for long, but then it comes upon something
 * that no program has (IN, HLT, no instruction at all): a stream that did so lately has no
 * say.  SYSCALL is decoded as 32-bit code, which it is about, and as 64-bit code, as a program
 * that jumps there may have no other.  Code that is entered in the middle of another
 * instruction can slip through; see docs/limits.md.
 */
#include <string.h>

#include <Zydis/Zydis.h>

#include "filter.h"

/* How far before a place decoding begins, and from how many bytes in a row. */
#define RUN_UP	256
#define STARTS	4

/* How long a stream must have been plausible to count. */
#define PLAUSIBLE 32

/* Nearer to the beginning of a page the page before it has a say. */
#define EARLY	64

/* One of the findings: its first two bytes, and what an instruction that has them must be. */
struct kind {
	uint16_t found;
	bool (*candidate)(const uint8_t *p);
	bool (*matches)(const ZydisDecodedInstruction *i);
};

static bool maybe_selector(const uint8_t *p)
{
	unsigned int reg = (p[1] >> 3) & 7;

	if (p[0] == 0x8c)
		return reg == 4 || reg == 5;
	return p[0] == 0x0f && (p[1] == 0xa0 || p[1] == 0xa8);
}

static bool reads_selector(const ZydisDecodedInstruction *i)
{
	if (i->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)	/* MOV r/m, FS|GS */
		return i->opcode == 0x8c && (i->raw.modrm.reg == 4 || i->raw.modrm.reg == 5);
	return i->opcode_map == ZYDIS_OPCODE_MAP_0F &&	/* PUSH FS|GS */
	       (i->opcode == 0xa0 || i->opcode == 0xa8);
}

static bool maybe_syscall(const uint8_t *p)
{
	return p[0] == 0x0f && p[1] == 0x05;
}

static bool is_syscall(const ZydisDecodedInstruction *i)
{
	return i->opcode_map == ZYDIS_OPCODE_MAP_0F && i->opcode == 0x05;
}

static const struct kind selector = { PLEX86_FOUND_SELREAD, maybe_selector, reads_selector };
static const struct kind syscall = { PLEX86_FOUND_SYSCALL_INSN, maybe_syscall, is_syscall };

/* Nothing that user code executes but to end by it. */
static bool nonsense(const ZydisDecodedInstruction *i)
{
	return (i->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) ||
	       i->meta.category == ZYDIS_CATEGORY_IO || i->meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

enum vote { ABSTAINS, NO, YES };

/* What a stream of instructions in @len bytes that begins at @at says of what covers @place. */
static enum vote ask(const ZydisDecoder *d, const struct kind *kind, const uint8_t *code,
		     size_t len, size_t at, size_t place)
{
	size_t since = at;
	ZydisDecodedInstruction i;
	ZyanStatus status;

	while (at <= place) {
		status = ZydisDecoderDecodeInstruction(d, NULL, code + at, len - at, &i);
		if (status == ZYDIS_STATUS_NO_MORE_DATA)
			return NO;	/* it goes on in the next page */
		if (!ZYAN_SUCCESS(status) || nonsense(&i))
			since = ++at;
		else if (at + i.length > place)
			return place - since < PLAUSIBLE ? ABSTAINS : kind->matches(&i) ? YES : NO;
		else
			at += i.length;
	}
	return ABSTAINS;
}

/*
 * Is there one of @kind in @len bytes that begins at @from or behind, but before @to?  In
 * doubt, yes.
 */
static bool found_in(const struct kind *kind, unsigned int bits, const uint8_t *code, size_t len,
		     size_t from, size_t to)
{
	size_t i, at, first;
	ZydisDecoder d;
	enum vote vote;
	bool no;

	if (!ZYAN_SUCCESS(ZydisDecoderInit(&d, bits == 64 ? ZYDIS_MACHINE_MODE_LONG_64 :
					       ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
					   bits == 64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32)))
		return true;
	for (i = from; i < to; i++) {
		if (!kind->candidate(code + i))
			continue;
		no = false;
		first = i > RUN_UP ? i - RUN_UP : 0;
		for (at = first; at < first + STARTS; at++) {
			vote = ask(&d, kind, code, len, at, i);
			if (vote == YES)
				return true;
			no |= vote == NO;
		}
		if (!no)
			return true;
	}
	return false;
}

/* The same for all that @mask asks for. */
static uint16_t find(uint16_t mask, const uint8_t *code, size_t len, size_t from, size_t to)
{
	uint16_t found = 0;

	if ((mask & PLEX86_FOUND_SELREAD) && found_in(&selector, 32, code, len, from, to))
		found |= PLEX86_FOUND_SELREAD;
	if ((mask & PLEX86_FOUND_SYSCALL_INSN) && (found_in(&syscall, 32, code, len, from, to) ||
						   found_in(&syscall, 64, code, len, from, to)))
		found |= PLEX86_FOUND_SYSCALL_INSN;
	return found;
}

uint16_t plex86_filter_decode(const uint8_t *code, uint16_t mask)
{
	return find(mask, code, PLEX86_PAGE_SIZE, EARLY, PLEX86_PAGE_SIZE - 1);
}

uint16_t plex86_filter_decode_early(const uint8_t *before, const uint8_t *code, uint16_t mask)
{
	/* The last candidate may be as long as an instruction can be. */
	uint8_t both[RUN_UP + EARLY + 15];

	if (!before)
		return find(mask, code, PLEX86_PAGE_SIZE, 0, EARLY);
	memcpy(both, before + PLEX86_PAGE_SIZE - RUN_UP, RUN_UP);
	memcpy(both + RUN_UP, code, sizeof(both) - RUN_UP);
	return find(mask, both, sizeof(both), RUN_UP, RUN_UP + EARLY);
}
