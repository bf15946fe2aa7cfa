/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <Zydis/Zydis.h>

#include "decode.h"
#include "insn.h"

/* What is remembered of an opcode and its ModRM byte: a length, or one of these. */
#define NOT_ASKED 0
#define NONE 0xff

/* By mode, or REX.W in 64-bit code; by number of opcode bytes; by last opcode byte and ModRM. */
static uint8_t memory[3][2][65536];

/* By opcodes, as it is less work than to let Zydis find out attributes. */
static bool nonsense(const ZydisDecodedInstruction *i)
{
	static const uint8_t one[] = {
		0x6c, 0x6d, 0x6e, 0x6f, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef,
		0xf4, 0xfa, 0xfb,
	};
	static const uint8_t two[] = {
		0x06, 0x07, 0x08, 0x09, 0x20, 0x21, 0x22, 0x23, 0x30, 0x32, 0x35,
	};

	if (i->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	if (i->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
		return memchr(one, i->opcode, sizeof(one));
	return i->opcode_map == ZYDIS_OPCODE_MAP_0F && memchr(two, i->opcode, sizeof(two));
}

static const ZydisDecoder *decoder(bool long64)
{
	static ZydisDecoder decoders[2];
	static bool ready;

	if (!ready) {
		ZydisDecoderInit(&decoders[0], ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
				 ZYDIS_STACK_WIDTH_32);
		ZydisDecoderInit(&decoders[1], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
		ready = true;
	}
	return &decoders[long64];
}

static size_t ask(const uint8_t *p, size_t left, bool long64)
{
	ZydisDecodedInstruction i;
	ZyanStatus status = ZydisDecoderDecodeInstruction(decoder(long64), NULL, p, left, &i);

	if (status == ZYDIS_STATUS_NO_MORE_DATA)
		return left + 1;
	return ZYAN_SUCCESS(status) && !nonsense(&i) ? i.length : 0;
}

/*
 * Where what is at @p is remembered, without its REX byte if @rex.  NULL: its length depends on
 * more than opcode and ModRM.
 */
static uint8_t *remembered(const uint8_t *p, bool long64, bool rex)
{
	unsigned int set = !long64 ? 0 : 1 + (rex && (p[-1] & 8)), two = p[0] == 0x0f;

	if (plex86_is_prefix(p[0], long64) || p[0] == 0x62 || p[0] == 0xc4 || p[0] == 0xc5 ||
	    p[0] == 0xd5 || p[0] == 0x8f)
		return NULL;	/* also EVEX, VEX, REX2, XOP */
	p += two;
	if (two && (p[0] == 0x38 || p[0] == 0x3a || p[0] == 0x0f))
		return NULL;
	/* Without displacement, but with a SIB byte, whose base says if there is one after all. */
	if ((p[1] & 0xc7) == 0x04 && (p[2] & 7) == 5)
		return NULL;
	return &memory[set][two][p[0] << 8 | p[1]];
}

size_t plex86_decode_length(const uint8_t *p, size_t left, bool long64)
{
	bool rex = long64 && p[0] >= 0x40 && p[0] <= 0x4f;
	uint8_t *memo;
	size_t length;

	if (left <= PLEX86_MAX_INSN)
		return ask(p, left, long64);
	memo = remembered(p + rex, long64, rex);
	if (!memo)
		return ask(p, left, long64);
	if (*memo == NOT_ASKED) {
		length = ask(p, left, long64);
		*memo = length ? length - rex : NONE;
	}
	return *memo == NONE ? 0 : *memo + rex;
}
