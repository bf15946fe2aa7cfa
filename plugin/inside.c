/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "decode.h"
#include "insn.h"
#include "inside.h"
#include "streams.h"

/* From how many bytes in a row decoding begins. */
#define STARTS	PLEX86_MAX_INSN

/* A function begins there, as far behind a RET or JMP as constants may take. */
#define ALIGNED	16
#define BEHIND	32

/* So many bytes must have been instructions of a program. */
#define PLAUSIBLE 64

enum meets { OPCODE, WITHIN, DOUBT };

struct code {
	const uint8_t *p;
	size_t len;
	bool long64;
};

static enum meets meets(const struct code *c, size_t at, size_t place, bool follow);

/* Two-byte opcodes of which compilers make few, or none.  Data has them as often as all others. */
static bool rare_0f(uint8_t op)
{
	return op <= 0x04 || (op >= 0x06 && op <= 0x0e && op != 0x0b && op != 0x0d) ||
	       (op >= 0x19 && op <= 0x1c) || (op >= 0x24 && op <= 0x27) ||
	       (op >= 0x30 && op <= 0x37) || op == 0x77 || op == 0x78 || op == 0x79 || op == 0xa0 ||
	       op == 0xa1 || op == 0xa2 || op == 0xa8 || op == 0xa9 || op == 0xaa || op == 0xb2 ||
	       op == 0xb4 || op == 0xb5 || op == 0xb9 || op == 0xff;
}

/* Is that an instruction of which compilers make few?  @repeated: behind REP. */
static bool rare(const uint8_t *p, bool long64, bool repeated)
{
	switch (p[0]) {
	case 0x0f:
		return rare_0f(p[1]);
	case 0x10: case 0x12: case 0x14: case 0x1a: case 0x1c:			/* ADC, SBB */
	case 0x60: case 0x61: case 0x62: case 0x6c: case 0x6d: case 0x6e: case 0x6f: case 0x82:
	case 0x8c: case 0x8e: case 0x8f: case 0x91: case 0x92: case 0x93: case 0x94: case 0x95:
	case 0x96: case 0x97: case 0x9a: case 0x9b: case 0x9c: case 0x9d: case 0x9e: case 0x9f:
	case 0xc8: case 0xca: case 0xcb: case 0xcc: case 0xcd: case 0xce: case 0xcf:
	case 0xd0: case 0xd2: case 0xd4: case 0xd5: case 0xd6: case 0xd7:
	case 0xe0: case 0xe1: case 0xe2: case 0xe3: case 0xea: case 0xf1: case 0xf5:
	case 0xf8: case 0xf9: case 0xfa: case 0xfb: case 0xfd:
		return true;
	case 0xa4: case 0xa5: case 0xa6: case 0xa7: case 0xaa: case 0xab: case 0xac: case 0xad:
	case 0xae: case 0xaf:
		return !repeated;
	case 0xa0: case 0xa1: case 0xa2: case 0xa3: case 0xfc: case 0x63:
	case 0xd8: case 0xd9: case 0xda: case 0xdb: case 0xdc: case 0xdd: case 0xde: case 0xdf:
		return long64 == (p[0] != 0x63);
	case 0xff:
		return ((p[1] >> 3) & 7) == 3 || ((p[1] >> 3) & 7) == 5;
	}
	return false;
}

/* Is the opcode at @p a near jump or call by an offset that takes 16 or 32 bits? */
static bool near(const uint8_t *p)
{
	return p[0] == 0xe8 || p[0] == 0xe9 || (p[0] == 0x0f && (p[1] & 0xf0) == 0x80);
}

/* Does the instruction of @n bytes at @at look like one of a program? */
static bool usual(const struct code *c, size_t at, size_t n)
{
	const uint8_t *p = c->p + at, *end = p + n;
	bool repeated = false, rex = false, narrow = false;

	for (; p < end && plex86_is_prefix(*p, c->long64); p++) {
		if (rex)
			return false;	/* REX counts for what it is before */
		repeated |= *p == 0xf2 || *p == 0xf3;
		rex = c->long64 && (*p & 0xf0) == 0x40;
		narrow |= *p == 0x66;
		narrow &= !(rex && (*p & 8));
	}
	if (p + 1 >= end)
		return true;
	/* With 66 they are shorter on AMD's CPUs than on Intel's (APM vol. 3, 1.2.7). */
	return !rare(p, c->long64, repeated) && !(c->long64 && narrow && near(p));
}

/* Behind it may be anything. */
static bool leaves(const struct code *c, size_t at, size_t n)
{
	const uint8_t *p = c->p + at, *end = p + n;

	while (p + 1 < end && plex86_is_prefix(*p, c->long64))
		p++;
	return p[0] == 0xc3 || p[0] == 0xc2 || p[0] == 0xe9 || p[0] == 0xeb || p[0] == 0xcc ||
	       (p + 1 < end && ((p[0] == 0xff && ((p[1] >> 3) & 7) == 4) ||
				(p[0] == 0x0f && p[1] == 0x0b)));
}

/* The length of the instruction at @at; 0: no program has that. */
static size_t length_at(const struct code *c, size_t at)
{
	/* ADD AL to where it points is padding, or the end of something else. */
	if (c->len - at > 1 && !c->p[at] && !c->p[at + 1])
		return 0;
	return plex86_decode_length(c->p + at, c->len - at, c->long64);
}

/* Where the relative jump or call of @n bytes at @at goes to, if it is one; else 0. */
static size_t target(const struct code *c, size_t at, size_t n)
{
	const uint8_t *p = c->p + at, *end = p + n;
	int32_t far;

	while (p + 1 < end && plex86_is_prefix(*p, c->long64))
		p++;
	if (p + 2 == end && ((p[0] & 0xf0) == 0x70 || p[0] == 0xeb || (p[0] & 0xfc) == 0xe0))
		return at + n + (size_t)(int8_t)p[1];
	/* XBEGIN is C7 F8. */
	if (end - p > (int)sizeof(far) && (near(p) || (p[0] == 0xc7 && p[1] == 0xf8))) {
		memcpy(&far, end - sizeof(far), sizeof(far));
		return at + n + (size_t)far;
	}
	return 0;
}

/* Decoding from @at on, what is at @place?  @follow: from targets on the way, too. */
static enum meets meets(const struct code *c, size_t at, size_t place, bool follow)
{
	size_t since = at, left = 0, n, to;

	for (;; at += n) {
		n = length_at(c, at);
		if (!n) {
			n = 1;
			since = at + n;
		}
		if (at + n > place)
			break;
		if (!usual(c, at, n))
			since = at + n;
		if (leaves(c, at, n))
			left = at + n;
		to = follow ? target(c, at, n) : 0;
		if (to > at + n && to <= place && meets(c, to, place, false) == OPCODE)
			return OPCODE;
	}
	while (at < place && plex86_is_prefix(c->p[at], c->long64))
		at++;
	if (at == place)
		return OPCODE;
	if (place % ALIGNED == 0 && left && place <= left + BEHIND)
		return DOUBT;
	return place >= since + PLAUSIBLE ? WITHIN : DOUBT;
}

bool plex86_is_inside(const uint8_t *code, size_t len, bool long64, size_t place)
{
	const struct code c = { .p = code, .len = len, .long64 = long64 };
	size_t at = place > PLEX86_RUN_UP ? place - PLEX86_RUN_UP : 0, i;
	bool within = false;

	for (i = 0; i < STARTS && at + i <= place; i++) {
		switch (meets(&c, at + i, place, true)) {
		case OPCODE:	return false;
		case WITHIN:	within = true; break;
		case DOUBT:	break;
		}
	}
	return within;
}
