/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "decode.h"
#include "insn.h"
#include "streams.h"

/* How long a stream must have been plausible to count, and to come upon abort()'s HLT then. */
#define PLAUSIBLE 32
#define TRUSTED	128

/* How much behind a place must look like code. */
#define AHEAD	64

/* So many zeros may be what fills the rest of a section. */
#define PADDING	8

#define OP_HLT	0xf4

void plex86_streams_init(struct plex86_streams *s, bool long64, const uint8_t *code, size_t len)
{
	s->long64 = long64;
	s->code = code;
	s->len = len;
	s->n = 0;
}

/* Begins anew if the last place was far before @place. */
static void begin(struct plex86_streams *s, size_t place)
{
	size_t at = place > PLEX86_RUN_UP ? place - PLEX86_RUN_UP : 0;

	if (s->n && at < s->stream[0].end + PLEX86_RUN_UP)
		return;
	for (s->n = 0; s->n < PLEX86_STREAMS; s->n++, at++)
		s->stream[s->n] = (struct plex86_stream){
			.begin = at, .end = at, .since = at, .straight = at, .say = 1,
		};
}

/* At its end is no instruction of a program. */
static void distrust(struct plex86_stream *t)
{
	bool trusted = t->end - t->since >= TRUSTED;

	t->end++;
	t->since = trusted ? t->end - PLAUSIBLE : t->end;
	t->straight = t->end;
}

/* How many there are at @at. */
static size_t zeros(const struct plex86_streams *s, size_t at)
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
static bool pass_zeros(const struct plex86_streams *s, struct plex86_stream *t)
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
static size_t length_at(const struct plex86_streams *s, size_t at)
{
	const uint8_t *p = s->code + at;
	size_t left = s->len - at;

	if (!s->long64 && old(p[0], left > 1 ? p[1] : 0))
		return 0;
	return plex86_decode_length(p, left, s->long64);
}

/* On to what covers @place. */
static void advance(struct plex86_streams *s, struct plex86_stream *t, size_t place)
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
static bool goes_on(const struct plex86_streams *s, size_t at)
{
	size_t end = at + AHEAD < s->len ? at + AHEAD : s->len, length;

	while (at < end) {
		if (s->len - at > 1 && !s->code[at] && !s->code[at + 1])
			return zeros(s, at) >= PADDING;
		if (s->len - at > 1 && plex86_is_trap(s->code + at))
			return true;
		length = length_at(s, at);
		if (!length && s->code[at] != OP_HLT)
			return false;
		at += length ? length : 1;
	}
	return true;
}

/* Two in step are one from then on, with the say of both: that which was plausible for longer. */
static void merge(struct plex86_streams *s, unsigned int i)
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

bool plex86_is_opcode(struct plex86_streams *s, size_t place)
{
	bool yes = false, no = false, sure = false, here;
	unsigned int i;
	int balance = 0;
	size_t at;

	begin(s, place);
	for (i = s->n; i--;) {
		struct plex86_stream *t = &s->stream[i];

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
	if (!yes && (no || balance <= 0))
		return false;
	return sure || goes_on(s, place);
}
