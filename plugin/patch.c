/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <Zydis/Zydis.h>

#include "decode.h"
#include "filter.h"
#include "patch.h"

#define SIZE ((int)PLEX86_PAGE_SIZE)

/* Code of every width that a user segment can have. */
#define MODES 3

static const struct {
	ZydisMachineMode mode;
	ZydisStackWidth width;
} modes[MODES] = {
	{ ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32 },
	{ ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16 },
	{ ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
};

/* Bytes of the instruction at @code, or as many as it could have if nobody knows. */
static int length(const ZydisDecoder *d, const uint8_t *code, int left)
{
	ZydisDecodedInstruction i;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(d, NULL, code, left, &i)))
		return PLEX86_MAX_INSN;
	return i.length;
}

/* Marks where bytes that are sensitive only as an instruction seem to be one. */
static int mark(const uint8_t *code, uint32_t mask, bool *marked)
{
	uint16_t at[PLEX86_PAGE_SIZE];
	int n, i;

	memset(marked, false, PLEX86_PAGE_SIZE);
	if (!(mask & PLEX86_FOUND_UNSCANNED))
		return 0;
	n = plex86_filter_decode_locate(code, mask & PLEX86_FOUND_UNSCANNED, at, SIZE);
	for (i = 0; i < n; i++)
		marked[at[i]] = true;
	return n;
}

int plex86_patch_page(const uint8_t *code, uint32_t mask, bool long_mode, uint8_t *copy)
{
	int nmodes = long_mode ? MODES : MODES - 1, nearest = 2 * SIZE, traps = 0, i, m;
	bool marked[PLEX86_PAGE_SIZE];
	ZydisDecoder d[MODES];

	if (mark(code, mask, marked) < 0)
		return -1;
	for (m = 0; m < nmodes; m++)
		if (!ZYAN_SUCCESS(ZydisDecoderInit(&d[m], modes[m].mode, modes[m].width)))
			return -1;
	memcpy(copy, code, PLEX86_PAGE_SIZE);
	/* Downwards, so that it is known what an instruction would run into. */
	for (i = SIZE - 1; i >= 0; i--) {
		bool trap = marked[i] || (plex86_filter_at(code + i, SIZE - i) & mask);

		for (m = 0; !trap && m < nmodes && nearest - i < PLEX86_MAX_INSN; m++)
			trap = length(&d[m], code + i, SIZE - i) > nearest - i;
		if (!trap)
			continue;
		copy[i] = PLEX86_PATCH_TRAP;
		nearest = i;
		traps++;
	}
	return nearest < PLEX86_MAX_INSN - 1 ? -1 : traps;
}
