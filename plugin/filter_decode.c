/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Findings whose bytes are everywhere, so that instructions have to be looked at.  Where an
 * engine has the host's segments, descriptor tables and system calls, those are
 *
 * - what reads or loads a segment register, and far transfers, unless the guest's selectors are
 *   the host's.  i386 glibc hands its GS to clone(); PUSH DS, POP DS around a system call would
 *   load natively what was stored by Bochs, or the other way round.
 * - LAR, LSL, VERR, VERW; SGDT and its kind; INT 0x80 in 64-bit code.  The vDSO of 64-bit Linux
 *   asks LSL for the number of the processor.
 * - INT n, POPF and IRET, on hosts under PVM: see accel-driver/process/flaws.c.
 * - SYSCALL where 32-bit code can get at it.  It is decoded as 32-bit code, which it is about,
 *   and as 64-bit code, as a program that jumps there may have no other.
 * - RDTSC and its kind, where nothing makes them trap.
 *
 * streams.c makes a guess at where instructions begin; SYSCALL, which would do harm, and RDTSC,
 * which programs do have, are there unless inside.c is certain.  Code that is entered in the middle
 * of another instruction can slip through; see docs/limits.md.
 */
#include <string.h>

#include "decode.h"
#include "filter.h"
#include "insn.h"
#include "inside.h"
#include "streams.h"

/* Places in a page that are looked at, where the answer must be certain. */
#define MANY	64

/* Nearer to the beginning of a page the page before it has a say. */
#define EARLY	64

/* A finding that is an instruction with the bytes of another finding, in code of these modes. */
static const struct kind {
	uint32_t found, bytes;
	bool in64, in32;
} kinds[] = {
	{ PLEX86_FOUND_SEGMENT_64,	PLEX86_FOUND_SEGMENT_64, true,	false },
	{ PLEX86_FOUND_SEGMENT_32,	PLEX86_FOUND_SEGMENT_32, false,	true },
	{ PLEX86_FOUND_SYSCALL_INSN,	PLEX86_FOUND_SYSCALL,	true,	true },
	{ PLEX86_FOUND_SELECTOR_64,	PLEX86_FOUND_SELECTOR,	true,	false },
	{ PLEX86_FOUND_SELECTOR_32,	PLEX86_FOUND_SELECTOR,	false,	true },
	{ PLEX86_FOUND_UMIP_64,		PLEX86_FOUND_UMIP,	true,	false },
	{ PLEX86_FOUND_UMIP_32,		PLEX86_FOUND_UMIP,	false,	true },
	{ PLEX86_FOUND_INT80_64,	PLEX86_FOUND_INT80,	true,	false },
	{ PLEX86_FOUND_FAR_64,		PLEX86_FOUND_FAR_64,	true,	false },
	{ PLEX86_FOUND_INTN_64,		PLEX86_FOUND_INTN_64,	true,	false },
	{ PLEX86_FOUND_INTN_32,		PLEX86_FOUND_INTN_32,	false,	true },
	{ PLEX86_FOUND_NT_64,		PLEX86_FOUND_NT_64,	true,	false },
	{ PLEX86_FOUND_NT_32,		PLEX86_FOUND_NT_32,	false,	true },
	{ PLEX86_FOUND_TSC_64,		PLEX86_FOUND_TSC,	true,	false },
	{ PLEX86_FOUND_TSC_32,		PLEX86_FOUND_TSC,	false,	true },
};

#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

uint32_t plex86_filter_bytes(uint32_t found)
{
	uint32_t bytes = 0;
	unsigned int k;

	for (k = 0; k < NKINDS; k++)
		if (found & kinds[k].found)
			bytes |= kinds[k].bytes;
	return (found & ~PLEX86_FOUND_DECODED) | bytes;
}

/* Is the opcode at @p, of which @left bytes count, a far CALL, JMP or RET of 64-bit code? */
static bool far_transfer(const uint8_t *p, size_t left)
{
	unsigned int modrm = left > 1 ? p[1] : 0, reg = (modrm >> 3) & 7;

	if (p[0] == 0xff)
		return modrm < 0xc0 && (reg == 3 || reg == 5);
	return p[0] == 0xca || p[0] == 0xcb;
}

/*
 * Has the opcode at @p, of which @left bytes count, to do with a segment register, if it is one?
 * MOV and POP of one, PUSH, LDS and its kind, far CALL, JMP and RET, IRET.
 */
static bool segment(const uint8_t *p, size_t left, bool long64)
{
	unsigned int modrm = left > 1 ? p[1] : 0, reg = (modrm >> 3) & 7;

	switch (p[0]) {
	case 0x0f:	/* PUSH and POP of FS and GS; LSS, LFS, LGS */
		return left > 1 && (modrm == 0xa0 || modrm == 0xa1 || modrm == 0xa8 ||
				    modrm == 0xa9 || modrm == 0xb2 || modrm == 0xb4 || modrm == 0xb5);
	case 0x8c: case 0x8e:
		return reg <= 5;
	case 0xff: case 0xca: case 0xcb:
		return far_transfer(p, left);
	case 0xcf:
		return true;
	case 0xc4: case 0xc5:	/* or VEX */
		return !long64 && left > 1 && modrm < 0xc0;
	case 0x06: case 0x07: case 0x0e: case 0x16: case 0x17: case 0x1e: case 0x1f:
	case 0x9a: case 0xea:
		return !long64;
	}
	return false;
}

/* What the bytes at @p, of which @left count, would be if an instruction's opcode began there. */
static uint32_t candidate(const uint8_t *p, size_t left, bool long64)
{
	uint32_t found = plex86_filter_at(p, left);

	if (segment(p, left, long64))
		found |= PLEX86_FOUND_SEGMENT;
	if (far_transfer(p, left))
		found |= PLEX86_FOUND_FAR_64;
	if (p[0] == 0xcd && left > 1 && !(found & PLEX86_FOUND_INT80))
		found |= PLEX86_FOUND_INTN;
	if (p[0] == 0x9d || p[0] == 0xcf)
		found |= PLEX86_FOUND_NT;
	return found;
}

/* The first place at @from or behind, but before @to, that has one of @mask, which go to @found. */
static size_t next(struct plex86_streams *s, uint32_t mask, size_t from, size_t to, uint32_t *found)
{
	const uint32_t wanted = plex86_filter_bytes(mask);
	uint32_t bytes;
	unsigned int k;

	for (*found = 0; from < to; from++) {
		bytes = candidate(s->code + from, s->len - from, s->long64) & wanted;
		if (!bytes)
			continue;
		for (k = 0; k < NKINDS; k++)
			if ((kinds[k].bytes & bytes) && (kinds[k].found & mask) &&
			    (kinds[k].found & PLEX86_FOUND_GUESSED ?
			     plex86_is_opcode(s, from) :
			     !plex86_is_inside(s->code, s->len, s->long64, from)))
				*found |= kinds[k].found;
		if (*found)
			break;
	}
	return from;
}

/* Those of @mask that code of one mode can have. */
static uint32_t of_mode(uint32_t mask, bool long64)
{
	unsigned int k;

	for (k = 0; k < NKINDS; k++)
		if (!(long64 ? kinds[k].in64 : kinds[k].in32))
			mask &= ~kinds[k].found;
	return mask;
}

/* All of @mask in @len bytes that begin at @from or behind, but before @to, in code of one mode. */
static uint32_t find(uint32_t mask, bool long64, const uint8_t *code, size_t len, size_t from,
		     size_t to)
{
	uint32_t found = 0, here;
	struct plex86_streams s;

	mask = of_mode(mask, long64);
	if (!mask)
		return 0;
	plex86_streams_init(&s, long64, code, len);
	while (from < to && (mask & ~found)) {
		from = next(&s, mask & ~found, from, to, &here) + 1;
		found |= here;
	}
	return found;
}

static uint32_t find_both(uint32_t mask, const uint8_t *code, size_t len, size_t from, size_t to)
{
	uint32_t found = find(mask, true, code, len, from, to);

	return found | find(mask & ~found, false, code, len, from, to);
}

/* So many that to look at each takes too long?  No compiler makes such a page. */
static bool too_many(const uint8_t *code, uint32_t bytes)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < PLEX86_PAGE_SIZE && n <= MANY; i++)
		n += !!(plex86_filter_at(code + i, PLEX86_PAGE_SIZE - i) & bytes);
	return n > MANY;
}

uint32_t plex86_filter_decode(const uint8_t *code, uint32_t mask, uint32_t bytes)
{
	uint32_t found = 0;
	unsigned int k;

	for (k = 0; k < NKINDS; k++) {
		if (!(kinds[k].bytes & (bytes | PLEX86_FOUND_UNSCANNED)))
			mask &= ~kinds[k].found;
		else if ((mask & kinds[k].found & ~PLEX86_FOUND_GUESSED) &&
			 too_many(code, kinds[k].bytes))
			found |= kinds[k].found;
	}
	mask &= ~found;
	return !mask ? found : found | find_both(mask, code, PLEX86_PAGE_SIZE, EARLY, PLEX86_PAGE_SIZE);
}

uint32_t plex86_filter_decode_early(const uint8_t *before, const uint8_t *code, uint32_t mask)
{
	/* The last candidate may be as long as an instruction can be. */
	uint8_t both[PLEX86_RUN_UP + EARLY + PLEX86_MAX_INSN];
	uint32_t found;

	/* The page before may become another without notice while Bochs executes it. */
	found = find_both(before ? mask & ~PLEX86_FOUND_GUESSED : mask, code, PLEX86_PAGE_SIZE, 0,
			  EARLY);
	if (!before)
		return found;
	memcpy(both, before + PLEX86_PAGE_SIZE - PLEX86_RUN_UP, PLEX86_RUN_UP);
	memcpy(both + PLEX86_RUN_UP, code, sizeof(both) - PLEX86_RUN_UP);
	return found | find_both(mask & PLEX86_FOUND_GUESSED, both, sizeof(both), PLEX86_RUN_UP - 2,
				 PLEX86_RUN_UP + EARLY);
}

/* How many instructions are followed from one that is known. */
#define FOLLOWED 32

/* Where the instruction at @at, @length bytes long, certainly leads; 0: that can't be told. */
static size_t leads_to(const uint8_t *code, size_t at, size_t opcode, size_t length)
{
	const uint8_t *p = code + opcode;
	const size_t end = at + length;
	int32_t near;

	switch (p[0]) {
	case 0xc2: case 0xc3: case 0xca: case 0xcb: case 0xcf:		/* RET, IRET */
	case 0xcc: case 0xcd: case 0xce: case 0xf1:			/* INT n */
	case 0x9a: case 0xe8: case 0xea:				/* CALL, far JMP */
		return 0;
	case 0xff:
		return ((p[1] >> 3) & 7) >= 2 && ((p[1] >> 3) & 7) <= 5 ? 0 : end;
	case 0x0f:
		return p[1] == 0x05 || p[1] == 0x34 || plex86_is_trap(p) ? 0 : end;
	case 0xeb:
		return end + (int8_t)p[1];
	case 0xe9:
		if (end - opcode != 5)
			return 0;
		memcpy(&near, p + 1, sizeof(near));
		return end + near;
	}
	return end;
}

uint32_t plex86_filter_run(const uint8_t *code, size_t at, bool long64, uint32_t mask,
			   size_t *where)
{
	const uint32_t wanted = plex86_filter_bytes(of_mode(mask, long64));
	uint32_t bytes, found = 0;
	unsigned int k, n;
	size_t opcode, length;

	for (n = 0; n < FOLLOWED && at < PLEX86_PAGE_SIZE; n++) {
		length = plex86_decode_length(code + at, PLEX86_PAGE_SIZE - at, long64);
		for (opcode = at; opcode < PLEX86_PAGE_SIZE - 1 && opcode < at + PLEX86_MAX_INSN &&
				  plex86_is_prefix(code[opcode], long64); opcode++)
			;
		bytes = candidate(code + opcode, PLEX86_PAGE_SIZE - opcode, long64) & wanted;
		for (k = 0; k < NKINDS; k++)
			if (kinds[k].bytes & bytes)
				found |= kinds[k].found & of_mode(mask, long64);
		*where = at;
		if (found || !length || at + length > PLEX86_PAGE_SIZE || opcode + 1 >= PLEX86_PAGE_SIZE)
			break;
		at = leads_to(code, at, opcode, length);
		if (!at)
			break;
	}
	return found;
}

int plex86_filter_decode_locate(const uint8_t *code, uint32_t mask, uint16_t *at, int max)
{
	struct plex86_streams s;
	uint32_t found;
	size_t i;
	int n = 0, m;

	for (m = 0; m < 2; m++) {
		if (!of_mode(mask, m))
			continue;
		plex86_streams_init(&s, m, code, PLEX86_PAGE_SIZE);
		for (i = EARLY; (i = next(&s, of_mode(mask, m), i, PLEX86_PAGE_SIZE, &found)) <
		     PLEX86_PAGE_SIZE; i++) {
			n = plex86_filter_begins(code, i, m, at, n, max);
			if (n < 0)
				return -1;
		}
	}
	return n;
}
