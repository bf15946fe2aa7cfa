/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a case that differs to the instruction that does: the case is run again
 * with its first instruction only, with two, and so on.  The shortest that
 * differs ends with the one to blame, and the one before gives the state that
 * it began with.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define CASES_MAX	2000		/* more need no narrowing: something is badly wrong */
#define INSNS_MAX	FUZZ_CODE_MAX

/* Where instructions of a case begin, and its end: .n + 1 places. */
struct starts {
	uint8_t at[INSNS_MAX + 1];
	uint8_t n;
	bool straight;		/* no branch, and nothing that the decoder does not know */
};

/* Where the instruction at @at goes if it branches within the case, else 0. */
static uint8_t branch_target(const ZydisDecodedInstruction *i, uint8_t at, uint8_t len)
{
	int64_t to = at + i->length + i->raw.imm[0].value.s;

	return i->raw.imm[0].is_relative && to > 0 && to < len ? to : 0;
}

/* All that can be reached from its first byte by falling through and relative branches. */
static void find_starts(const ZydisDecoder *d, const struct fuzz_case *c, struct starts *s)
{
	bool begins[INSNS_MAX + 1] = { true };
	uint8_t todo[INSNS_MAX + 1] = { 0 }, left = 1;

	s->straight = true;
	while (left) {
		uint8_t at = todo[--left], next[2] = { 0, 0 };
		ZydisDecodedInstruction i;

		if (at == c->len)
			continue;
		next[0] = at + 1;
		if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(d, NULL, c->code + at, c->len - at, &i))) {
			next[0] = at + i.length;
			if (i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE) {
				s->straight = false;
				next[1] = branch_target(&i, at, c->len);
			}
		} else {
			s->straight = false;
		}
		for (int k = 0; k < 2; k++)
			if (!begins[next[k]]) {
				begins[next[k]] = true;
				todo[left++] = next[k];
			}
	}
	s->n = 0;
	for (uint8_t at = 0; at <= c->len; at++)
		if (begins[at])
			s->at[s->n++] = at;
	s->n--;
}

bool narrowed_straight(const struct narrowed *n, const struct kind *k)
{
	ZydisDecoder d;
	struct starts s;

	decoder_init(&d, k);
	find_starts(&d, n->origin, &s);
	return s.straight;
}

/* The cases come in batches of rising slots, so that each keeps its place. */
static int by_batch(const void *x, const void *y)
{
	const struct fuzz_case *a = x, *b = y;
	uint32_t ka, kb;

	memcpy(&ka, a->unused, 4);
	memcpy(&kb, b->unused, 4);
	if (ka != kb)
		return ka < kb ? -1 : 1;
	return (int)a->slot - (int)b->slot;
}

void put_in_batches(struct fuzz_case *c, uint32_t n)
{
	uint32_t in_slot[FUZZ_SLOTS] = { 0 };

	for (uint32_t i = 0; i < n; i++) {
		memcpy(c[i].unused, &in_slot[c[i].slot], 4);
		in_slot[c[i].slot]++;
	}
	qsort(c, n, sizeof(*c), by_batch);
}

uint32_t narrow(const struct case_file *f, const struct case_file *g, const struct kind *k,
		struct case_file *out)
{
	uint32_t differing = 0, n = 0, size = 0;
	struct fuzz_case *list = NULL;
	ZydisDecoder d;

	decoder_init(&d, k);
	for (uint32_t i = 0; i < f->head.cases; i++) {
		const struct fuzz_case *c = &f->cases[i];
		struct starts s;
		struct diff diff;

		if (compare(file_record(f, i), file_record(g, i), k->avx512, &diff) ||
		    differing++ >= CASES_MAX)
			continue;
		find_starts(&d, c, &s);
		if (n + s.n > size) {
			size = 2 * (n + s.n);
			list = realloc(list, size * sizeof(*list));
			if (!list)
				exit(2);
		}
		for (int p = 1; p <= s.n; p++) {
			list[n] = *c;
			list[n].prefix = p;
			list[n++].len = s.at[p];
		}
	}
	put_in_batches(list, n);
	file_like(f, out, n);
	if (n)
		memcpy(out->cases, list, n * sizeof(*list));
	out->head.max_ticks = 20 * f->head.max_ticks;
	free(list);
	return differing;
}

struct place { uint32_t id, prefix, index; };

static int by_case(const void *x, const void *y)
{
	const struct place *a = x, *b = y;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return (int)a->prefix - (int)b->prefix;
}

/* What the CPU finds there: behind the code there are UD2 and filler. */
static void decode_at(const ZydisDecoder *d, struct narrowed *n, uint32_t at)
{
	uint8_t code[FUZZ_CODE_MAX + 2 + ZYDIS_MAX_INSTRUCTION_LENGTH];

	memset(code, FUZZ_FILLER, sizeof(code));
	memcpy(code, n->c->code, n->c->len);
	code[n->c->len] = 0x0f;
	code[n->c->len + 1] = 0x0b;
	n->insn_at = at;
	n->decoded = ZYAN_SUCCESS(ZydisDecoderDecodeFull(d, code + at, ZYDIS_MAX_INSTRUCTION_LENGTH,
							 &n->insn, n->operand));
}

static void records_at(const struct runs *r, uint32_t i, struct narrowed *out)
{
	out->record = i;
	out->a = file_record(r->a, i);
	out->b = file_record(r->b, i);
}

/* Did a branch lead into one of the instructions that follow each other, to one that faults? */
static bool faults_between(const struct narrowed *n, const struct starts *s)
{
	const struct fuzz_record *a = n->a, *b = n->b;

	if (a->vector != b->vector || a->vector < 12 || a->vector > 14 || a->ip != b->ip ||
	    a->ip >= n->c->len)
		return false;
	for (int i = 0; i < s->n; i++)
		if (s->at[i] == a->ip)
			return false;
	return true;
}

/* One case with all its prefixes, places[0..n). */
static void one_case(const struct runs *r, const struct kind *k, const struct place *p, uint32_t n,
		     struct narrowed *out)
{
	const struct fuzz_record *before = NULL;
	ZydisDecoder d;
	struct starts s;

	memset(out, 0, sizeof(*out));
	out->avx512 = k->avx512;
	out->origin = &r->a->cases[p[n - 1].index];
	for (uint32_t i = 0; i < n; i++) {
		out->c = &r->a->cases[p[i].index];
		records_at(r, p[i].index, out);
		out->state = file_state(r->a, out->c->state);
		out->before = before;
		if (!compare(out->a, out->b, k->avx512, &out->diff))
			break;
		before = out->a;
		out->vanished = i == n - 1;
	}
	decoder_init(&d, k);
	find_starts(&d, out->c, &s);
	decode_at(&d, out, faults_between(out, &s) ? out->a->ip : s.at[s.n ? s.n - 1 : 0]);
}

/* What did not differ again: the records of the first time, every instruction suspect. */
static void first_time(const struct runs *r, const struct kind *k, struct narrowed *out)
{
	const struct case_file *f = r->a;
	ZydisDecoder d;
	uint32_t i;

	for (i = 0; i < f->head.cases && f->cases[i].id != out->origin->id; i++)
		;
	if (i == f->head.cases)
		return;
	records_at(r, i, out);
	out->state = file_state(f, f->cases[i].state);
	out->before = NULL;
	out->guessed = true;
	compare(out->a, out->b, k->avx512, &out->diff);
	decoder_init(&d, k);
	decode_at(&d, out, 0);
}

bool narrowed_next(struct narrowed *n, const struct kind *k)
{
	uint32_t at = n->insn_at + (n->decoded ? n->insn.length : 1);
	ZydisDecoder d;

	if (at >= n->c->len)
		return false;
	n->guessed = true;
	decoder_init(&d, k);
	decode_at(&d, n, at);
	return true;
}

bool narrowed_at(struct narrowed *n, const struct kind *k, uint32_t at)
{
	ZydisDecoder d;

	n->c = n->origin;
	n->guessed = true;
	decoder_init(&d, k);
	decode_at(&d, n, at);
	return n->decoded;
}

static void third_records(const struct third *t, struct narrowed *n)
{
	if (n->record < t->prefixes->head.cases)
		n->third[2] = file_record(t->prefixes, n->record);
	for (uint32_t i = 0; i < t->alone->head.cases && i < t->resumed->head.cases; i++) {
		if (t->alone->cases[i].id != n->c->id || t->alone->cases[i].prefix != n->c->prefix)
			continue;
		n->third[0] = file_record(t->alone, i);
		if (can_resume(n->third[0]))
			n->third[1] = file_record(t->resumed, i);
	}
}

void narrowed_each(const struct runs *cases, const struct runs *prefixes,
		   const struct third *third, const struct kind *k, narrowed_fn fn, void *arg)
{
	const struct case_file *p = prefixes->a;
	uint32_t n = p->head.cases, i, j;
	struct place *l = calloc(n + 1, sizeof(*l));

	if (!l)
		exit(2);
	for (i = 0; i < n; i++)
		l[i] = (struct place){ p->cases[i].id, p->cases[i].prefix, i };
	qsort(l, n, sizeof(*l), by_case);
	for (i = 0; i < n; i = j) {
		struct narrowed one;

		for (j = i; j < n && l[j].id == l[i].id; j++)
			;
		one_case(prefixes, k, l + i, j - i, &one);
		if (one.vanished)
			first_time(cases, k, &one);
		else if (third)
			third_records(third, &one);
		fn(&one, arg);
	}
	free(l);
}
