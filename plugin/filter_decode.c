/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Findings whose bytes are everywhere, so that instructions have to be looked at:
 *
 * - 32-bit code that reads its FS or GS selector.  An engine that runs it under the
 *   host's selectors gives the wrong answer, and i386 glibc hands its own to clone().
 *   8C is also a displacement that compilers like: one page in seven.
 * - SYSCALL where 32-bit code can get at it.  Python, which is not position-independent,
 *   has 0F 05 in many displacements.
 *
 * They are decoded from a little before each place, which is enough to fall into step
 * with the real instructions: as 32-bit code, which it is about, and SYSCALL as 64-bit
 * code too, as a program that jumps there may have no other.  Code that is entered in
 * the middle of another instruction can slip through; see docs/limits.md.
 */
#include <Zydis/Zydis.h>

#include "filter.h"

/* How far before a place decoding begins, and from how many bytes in a row. */
#define RUN_UP	64
#define STARTS	4

/* So near to the beginning of a page nothing tells where instructions begin. */
#define TOO_NEAR STARTS

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

/* Does a stream of instructions that begins at @at have one that covers @place? */
static bool found_from(const ZydisDecoder *d, const struct kind *kind, const uint8_t *code,
		       size_t at, size_t place)
{
	ZydisDecodedInstruction i;
	ZyanStatus status;

	while (at <= place) {
		status = ZydisDecoderDecodeInstruction(d, NULL, code + at, PLEX86_PAGE_SIZE - at,
						       &i);
		if (status == ZYDIS_STATUS_NO_MORE_DATA)
			return false;	/* it goes on in the next page */
		if (!ZYAN_SUCCESS(status)) {
			at++;
			continue;
		}
		if (at + i.length > place && kind->matches(&i))
			return true;
		at += i.length;
	}
	return false;
}

static uint16_t find(const uint8_t *code, const struct kind *kind, ZydisMachineMode mode,
		     ZydisStackWidth width)
{
	ZydisDecoder d;
	size_t i, at, first;

	if (!ZYAN_SUCCESS(ZydisDecoderInit(&d, mode, width)))
		return kind->found;
	for (i = 0; i < PLEX86_PAGE_SIZE - 1; i++) {
		if (!kind->candidate(code + i))
			continue;
		if (i < TOO_NEAR)
			return kind->found;
		first = i > RUN_UP ? i - RUN_UP : 0;
		for (at = first; at < first + STARTS; at++)
			if (found_from(&d, kind, code, at, i))
				return kind->found;
	}
	return 0;
}

uint16_t plex86_filter_selector_reads(const uint8_t *code)
{
	return find(code, &selector, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
}

uint16_t plex86_filter_syscalls(const uint8_t *code)
{
	return find(code, &syscall, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32) |
	       find(code, &syscall, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}
