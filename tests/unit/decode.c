/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lengths of instructions, which are remembered by opcode and ModRM: they are what Zydis
 * says of each, whatever was asked before.
 */
#include <string.h>

#include <Zydis/Zydis.h>

#include "plugin/decode.h"
#include "tests/tap.h"

#define LEFT 32

static uint64_t state = 88172645463325252;

static unsigned int next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

static size_t reference(const uint8_t *p, size_t left, bool long64)
{
	ZydisDecodedInstruction i;
	ZydisDecoder d;
	ZyanStatus status;

	ZydisDecoderInit(&d, long64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
			 long64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
	status = ZydisDecoderDecodeInstruction(&d, NULL, p, left, &i);
	if (status == ZYDIS_STATUS_NO_MORE_DATA)
		return left + 1;
	if (!ZYAN_SUCCESS(status) || (i.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) ||
	    i.meta.category == ZYDIS_CATEGORY_IO || i.meta.category == ZYDIS_CATEGORY_IOSTRINGOP)
		return 0;
	return i.length;
}

/*
 * The library's attributes may have more that no user code has (VMX, SVM); those few bytes
 * make a stream less plausible or not.  Lengths must be the same.
 */
static bool same(const uint8_t *p, size_t left, bool long64, unsigned long *lenient)
{
	size_t want = reference(p, left, long64), got = plex86_decode_length(p, left, long64);

	if (want == got)
		return true;
	if (want && got)
		return false;
	++*lenient;
	return true;
}

static void any(bool long64)
{
	unsigned long wrong = 0, lenient = 0, none = 0, i, n = 3000000;
	uint8_t code[LEFT];
	unsigned int j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < LEFT; j++)
			code[j] = next();
		/* Half of them with a REX byte, or 0F, or both. */
		if (i & 1)
			code[0] = long64 ? 0x40 | (i >> 1 & 15) : 0x0f;
		if ((i & 3) == 3)
			code[1] = 0x0f;
		wrong += !same(code, LEFT, long64, &lenient);
		none += !plex86_decode_length(code, LEFT, long64);
	}
	tap_ok(!wrong, "%d-bit code: %lu lengths of %lu differ", long64 ? 64 : 32, wrong, n);
	tap_ok(none > n / 50 && none < n / 2, "%lu are none", none);
	tap_ok(lenient < n / 100, "%lu are privileged for one of both only", lenient);
}

/* All opcodes and ModRM bytes, each after others have been asked that share what is remembered. */
static void each(bool long64)
{
	unsigned int wrong = 0, two, opcode, modrm, k;
	unsigned long lenient = 0;

	for (two = 0; two < 2; two++) {
		for (opcode = 0; opcode < 256; opcode++) {
			for (modrm = 0; modrm < 256; modrm++) {
				for (k = 0; k < 6; k++) {
					static const uint8_t sib[] = { 0x25, 0x24, 0x65, 0x05, 0x00, 0xff };
					uint8_t code[LEFT] = { 0 };
					unsigned int at = 0;

					if (long64 && (k & 1))
						code[at++] = k & 2 ? 0x48 : 0x47;
					if (two)
						code[at++] = 0x0f;
					code[at++] = opcode;
					code[at++] = modrm;
					code[at++] = sib[k];
					wrong += !same(code, LEFT, long64, &lenient);
				}
			}
		}
	}
	tap_ok(!wrong, "%d-bit code: each opcode and ModRM, with SIB bytes and REX", long64 ? 64 : 32);
}

static void ends(void)
{
	static const uint8_t mov[] = { 0xb8, 1, 2, 3, 4 }, hlt[] = { 0xf4 }, outsb[] = { 0x6e };

	is(plex86_decode_length(mov, 5, false), 5, "all of it");
	is(plex86_decode_length(mov, 4, false), 5, "it goes on behind");
	is(plex86_decode_length(mov, 1, true), 2, "how far is not known");
	is(plex86_decode_length(hlt, 1, true), 0, "HLT");
	is(plex86_decode_length(outsb, 1, false), 0, "OUTSB");
}

int main(void)
{
	any(false);
	any(true);
	each(false);
	each(true);
	any(false);
	any(true);
	ends();
	return tap_done();
}
