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
 *
 * Decoding begins some way before a place, from a few bytes in a row, as nothing says where
 * instructions begin: most such streams soon fall into step with the real one.  Code
 * of a regular pattern can keep one out of step for long, but then it comes upon something
 * that no program has (IN, HLT, no instruction at all): a stream that did so lately has no
 * say, but if all did.  Then most decide, or for SYSCALL, which would do harm, it is one.  Code
 * that is entered in the middle of another instruction can slip through; see docs/limits.md.
 *
 * Constants between functions have such things every few bytes.  So what is not known to be code by
 * what comes before it must look like code by what follows.
 */
#include <string.h>

#include "decode.h"
#include "filter.h"
#include "insn.h"

/* How far before a place decoding begins, and from how many bytes in a row. */
#define RUN_UP	256
#define STARTS	4

/* How long a stream must have been plausible to count, and to come upon abort()'s HLT then. */
#define PLAUSIBLE 32
#define TRUSTED	128

/* How much behind a place must look like code. */
#define AHEAD	64

/* So many zeros may be what fills the rest of a section. */
#define PADDING	8

#define OP_HLT	0xf4

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

/* A few streams of instructions in the same code. */
struct streams {
	bool long64;
	const uint8_t *code;
	size_t len;
	unsigned int n;
	struct stream {
		size_t begin, end;	/* of the last instruction, or of a byte that is none */
		size_t since;		/* has been plausible */
		size_t straight;	/* the same, and has passed no RET or JMP */
		unsigned int say;
	} stream[STARTS];
};

static void init(struct streams *s, bool long64, const uint8_t *code, size_t len)
{
	s->long64 = long64;
	s->code = code;
	s->len = len;
	s->n = 0;
}

/* Begins anew if the last place was far before @place. */
static void begin(struct streams *s, size_t place)
{
	size_t at = place > RUN_UP ? place - RUN_UP : 0;

	if (s->n && at < s->stream[0].end + RUN_UP)
		return;
	for (s->n = 0; s->n < STARTS; s->n++, at++)
		s->stream[s->n] = (struct stream){
			.begin = at, .end = at, .since = at, .straight = at, .say = 1,
		};
}

/* At its end is no instruction of a program. */
static void distrust(struct stream *t)
{
	bool trusted = t->end - t->since >= TRUSTED;

	t->end++;
	t->since = trusted ? t->end - PLAUSIBLE : t->end;
	t->straight = t->end;
}

/* How many there are at @at. */
static size_t zeros(const struct streams *s, size_t at)
{
	size_t end = at;

	while (end < s->len && !s->code[end])
		end++;
	return end - at;
}

/*
 * No program adds AL to where it points (00 00).  That is padding, or the end of an instruction
 * whose beginning this stream has missed: the next one is behind all zeros.
 */
static bool pass_zeros(const struct streams *s, struct stream *t)
{
	size_t n = zeros(s, t->end);

	if (n < 2)
		return false;
	t->end += n;
	return true;
}

/* Is the instruction at @p a RET or a JMP?  Behind it may be anything. */
static bool leaves(const uint8_t *p, size_t left)
{
	return p[0] == 0xc3 || p[0] == 0xc2 || p[0] == 0xe9 || p[0] == 0xeb ||
	       (p[0] == 0xff && left > 1 && ((p[1] >> 3) & 7) == 4);
}

/* BCD, BOUND, ARPL, INTO, SALC, XLAT, INT1: no compiler makes them, and constants are full of them. */
static bool old(uint8_t opcode, uint8_t modrm)
{
	static const uint8_t opcodes[] = {
		0x27, 0x2f, 0x37, 0x3f, 0x63, 0xce, 0xd4, 0xd5, 0xd6, 0xd7, 0xf1,
	};

	return memchr(opcodes, opcode, sizeof(opcodes)) || (opcode == 0x62 && modrm < 0xc0);
}

/* The length of the instruction at @at; 0: no program has that. */
static size_t length_at(const struct streams *s, size_t at)
{
	const uint8_t *p = s->code + at;
	size_t left = s->len - at;

	if (!s->long64 && old(p[0], left > 1 ? p[1] : 0))
		return 0;
	return plex86_decode_length(p, left, s->long64);
}

/* On to what covers @place. */
static void advance(struct streams *s, struct stream *t, size_t place)
{
	size_t length;

	while (t->end <= place) {
		t->begin = t->end;
		if (pass_zeros(s, t)) {
			t->since = t->straight = t->end;
			continue;
		}
		length = length_at(s, t->begin);
		t->end += length;
		if (!length)
			distrust(t);
		else if (leaves(s->code + t->begin, s->len - t->begin))
			t->straight = t->end;
	}
}

/*
 * Does what begins at @at look like code for a while?  That has HLT where nothing comes back, and
 * ends in zeros where a section does.
 */
static bool goes_on(const struct streams *s, size_t at)
{
	size_t end = at + AHEAD < s->len ? at + AHEAD : s->len, length;

	while (at < end) {
		if (s->len - at > 1 && !s->code[at] && !s->code[at + 1])
			return zeros(s, at) >= PADDING;
		length = length_at(s, at);
		if (!length && s->code[at] != OP_HLT)
			return false;
		at += length ? length : 1;
	}
	return true;
}

/* Two in step are one from then on, with the say of both: that which was plausible for longer. */
static void merge(struct streams *s, unsigned int i)
{
	unsigned int j, say = s->stream[i].say;

	for (j = 0; j < i; j++) {
		if (s->stream[j].end != s->stream[i].end)
			continue;
		say += s->stream[j].say;
		if (s->stream[i].since < s->stream[j].since)
			s->stream[j] = s->stream[i];
		s->stream[j].say = say;
		s->stream[i] = s->stream[--s->n];
		return;
	}
}

/*
 * Is there an instruction whose opcode is at @place, as one of the plausible streams says?  If
 * there are none: if most say so (@weak), or in any case.  @weak: and it looks like code.
 */
static bool is_opcode(struct streams *s, size_t place, bool weak)
{
	bool yes = false, no = false, sure = false, here;
	unsigned int i;
	int balance = 0;
	size_t at;

	begin(s, place);
	for (i = s->n; i--;) {
		struct stream *t = &s->stream[i];

		if (t->begin > place)
			continue;	/* it begins behind */
		advance(s, t, place);
		for (at = t->begin; at < place && plex86_is_prefix(s->code[at], s->long64); at++)
			;
		here = at == place;
		balance += here ? (int)t->say : -(int)t->say;
		if (place >= t->since + PLAUSIBLE) {
			yes |= here;
			no |= !here;
			sure |= here && place >= t->straight + TRUSTED;
		}
	}
	for (i = s->n; i--;)
		merge(s, i);
	if (!weak)
		return yes || !no;
	if (!yes && (no || balance <= 0))
		return false;
	return sure || goes_on(s, place);
}

/* The first place at @from or behind, but before @to, that has one of @mask, which go to @found. */
static size_t next(struct streams *s, uint32_t mask, size_t from, size_t to, uint32_t *found)
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
			    is_opcode(s, from, kinds[k].found & PLEX86_FOUND_GUESSED))
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
	struct streams s;

	mask = of_mode(mask, long64);
	if (!mask)
		return 0;
	init(&s, long64, code, len);
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

uint32_t plex86_filter_decode(const uint8_t *code, uint32_t mask, uint32_t bytes)
{
	unsigned int k;

	for (k = 0; k < NKINDS; k++)
		if (!(kinds[k].bytes & (bytes | PLEX86_FOUND_UNSCANNED)))
			mask &= ~kinds[k].found;
	return !mask ? 0 : find_both(mask, code, PLEX86_PAGE_SIZE, EARLY, PLEX86_PAGE_SIZE);
}

uint32_t plex86_filter_decode_early(const uint8_t *before, const uint8_t *code, uint32_t mask)
{
	/* The last candidate may be as long as an instruction can be. */
	uint8_t both[RUN_UP + EARLY + PLEX86_MAX_INSN];

	if (!before)
		return find_both(mask, code, PLEX86_PAGE_SIZE, 0, EARLY);
	memcpy(both, before + PLEX86_PAGE_SIZE - RUN_UP, RUN_UP);
	memcpy(both + RUN_UP, code, sizeof(both) - RUN_UP);
	return find_both(mask, both, sizeof(both), RUN_UP - 2, RUN_UP + EARLY);
}

int plex86_filter_decode_locate(const uint8_t *code, uint32_t mask, uint16_t *at, int max)
{
	struct streams s;
	uint32_t found;
	size_t i;
	int n = 0, m;

	for (m = 0; m < 2; m++) {
		if (!of_mode(mask, m))
			continue;
		init(&s, m, code, PLEX86_PAGE_SIZE);
		for (i = EARLY; (i = next(&s, of_mode(mask, m), i, PLEX86_PAGE_SIZE, &found)) <
		     PLEX86_PAGE_SIZE; i++) {
			n = plex86_filter_begins(code, i, m, at, n, max);
			if (n < 0)
				return -1;
		}
	}
	return n;
}
