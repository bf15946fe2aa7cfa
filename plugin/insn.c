/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <Zydis/Zydis.h>

#include <plex86/addr.h>

#include "insn.h"
#include "shadow.h"

/* How far before the opcode decoding begins, to be in step with the instructions there. */
#define RUN_UP	64

#define OP_POP_SS	0x17
#define OP_MOV_SREG	0x8e

bool plex86_is_prefix(uint8_t b, bool long64)
{
	switch (b) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67:
	case 0xf0: case 0xf2: case 0xf3:
		return true;
	}
	return long64 && (b & 0xf0) == 0x40;	/* REX */
}

/* Is at @p, with @left bytes, what an engine under a host's kernel has to step back from? */
static bool is_interrupt(const uint8_t *p, size_t left, unsigned int bits)
{
	return p[0] == 0xcc || p[0] == 0xcd || p[0] == 0xf1 || (p[0] == 0xce && bits != 64) ||
	       (p[0] == 0x0f && left > 1 && p[1] == 0x05 && bits == 64);
}

static bool decoder_init(ZydisDecoder *d, unsigned int bits)
{
	ZydisMachineMode mode = bits == 64 ? ZYDIS_MACHINE_MODE_LONG_64 :
				bits == 32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 :
					     ZYDIS_MACHINE_MODE_LONG_COMPAT_16;
	ZydisStackWidth width = bits == 64 ? ZYDIS_STACK_WIDTH_64 :
				bits == 32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;

	return ZYAN_SUCCESS(ZydisDecoderInit(d, mode, width));
}

size_t plex86_interrupt_begin(const uint8_t *code, size_t at, unsigned int bits)
{
	ZydisDecodedInstruction i;
	ZydisDecoder d;
	size_t from = at > RUN_UP ? at - RUN_UP : 0;

	/* With LOCK it is #UD, and has not come here. */
	if (!at || !is_interrupt(code + at, PLEX86_PAGE_SIZE - at, bits) ||
	    !plex86_is_prefix(code[at - 1], bits == 64) || code[at - 1] == 0xf0 || !decoder_init(&d, bits))
		return at;
	while (from < at) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, NULL, code + from,
								PLEX86_PAGE_SIZE - from, &i)))
			from++;
		else if (from + i.length > at)
			return from + i.raw.prefix_count == at ? from : at;
		else
			from += i.length;
	}
	return at;
}

void plex86_back_to_prefixes(struct plex86_shadow *s, struct plex86_cpu *cpu)
{
	plex86_gva_t la = plex86_code_address(cpu);
	size_t at = la.la & ~PLEX86_PAGE_MASK;
	const uint8_t *code;

	if (s->world->caps->flags & PLEX86_CAP_PREFIXES)
		return;
	code = plex86_code_at(s, la);
	if (code)
		cpu->rip -= at - plex86_interrupt_begin(code, at, plex86_code_bits(cpu));
}

bool plex86_ends_with_mov_ss(const uint8_t before[PLEX86_MOV_SS_BYTES], bool pop)
{
	size_t i;

	if (pop && before[PLEX86_MOV_SS_BYTES - 1] == OP_POP_SS)
		return true;
	/* How long it is depends on ModRM and modes: any place will do. */
	for (i = 0; i + 1 < PLEX86_MOV_SS_BYTES; i++)
		if (before[i] == OP_MOV_SREG && (before[i + 1] >> 3 & 7) == PLEX86_SS)
			return true;
	return false;
}

bool plex86_behind_mov_ss(struct plex86_shadow *s, const struct plex86_cpu *cpu)
{
	const unsigned int bits = plex86_code_bits(cpu);
	plex86_gva_t la = plex86_code_address(cpu), last = { la.la - PLEX86_MOV_SS_BYTES };
	size_t n, at = la.la & ~PLEX86_PAGE_MASK;
	uint8_t bytes[PLEX86_MOV_SS_BYTES];
	const uint8_t *code;

	if (bits != 64)
		last.la &= UINT32_MAX;
	/* Of the page before: where it is not mapped, nothing of it was executed. */
	n = at < sizeof(bytes) ? sizeof(bytes) - at : 0;
	memset(bytes, 0, sizeof(bytes));
	code = n ? plex86_code_at(s, last) : NULL;
	if (code)
		memcpy(bytes, code + PLEX86_PAGE_SIZE - n, n);
	code = n < sizeof(bytes) ? plex86_code_at(s, la) : NULL;
	if (code)
		memcpy(bytes + n, code + at - (sizeof(bytes) - n), sizeof(bytes) - n);
	else if (n < sizeof(bytes))
		return true;
	return plex86_ends_with_mov_ss(bytes, bits != 64);
}
