/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cases that begin where others have ended.  An engine runs natively until a trap,
 * and Bochs goes on from there, so an engine on a CPU that does wrong is no more to
 * blame than this: the third executor, that CPU without the engine, executes the
 * one instruction that differs (isolate), and plain Bochs whatever is left of it
 * after a trap (resume).
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define FL_RF		0x10000u
#define FX_MXCSR	24
#define MXCSR_MASK	0xffffu

/* A case's place in the file stays when they are sorted: its state does not move. */
static uint8_t *new_state(const struct case_file *f, struct fuzz_case *c, uint32_t n)
{
	c->state = n;
	return (uint8_t *)(uintptr_t)file_state(f, n);
}

static void avx512(const uint8_t *record, uint8_t *image)
{
	memcpy(image + FUZZ_XS_ZMM, record + FUZZ_ZMM_HIGH, FUZZ_XS_END - FUZZ_XS_ZMM);
	memcpy(image + FUZZ_XS_OPMASK, record + FUZZ_OPMASK, 64);
}

/* QEMU 7.2 lets MXCSR's reserved bits be set, and Bochs's CPU can't load them. */
static bool can_begin(const struct fuzz_record *r)
{
	uint32_t mxcsr;

	memcpy(&mxcsr, r->fx + FX_MXCSR, sizeof(mxcsr));
	return r->vector != FUZZ_ENDLESS && r->changes <= FUZZ_CHANGES && !(mxcsr & ~MXCSR_MASK) &&
	       (r->sel[1] & 3) == 3 && (r->sel[2] & 3) == 3;
}

static void begin_at(const struct case_file *f, const struct fuzz_record *r, struct fuzz_case *c,
		     uint8_t *image)
{
	struct fuzz_start *s = (void *)(image + FUZZ_START);

	memcpy(c->gpr, r->gpr, sizeof(c->gpr));
	c->rflags = r->rflags & ~FL_RF;		/* of the UD2 or the fault that ended it */
	memset(image, 0, FUZZ_STATE_SIZE);
	memcpy(image, r->fx, sizeof(r->fx));
	memcpy(image + FUZZ_XS_YMM, r->ymm_high, sizeof(r->ymm_high));
	if (f->head.record_size == FUZZ_RECORD_512)
		avx512((const uint8_t *)r, image);
	s->valid = 1;
	s->ip = r->ip + (f->head.code_bits == 16 ? 0 : FUZZ_CODE) + c->slot * FUZZ_SLOT;
	if (f->head.code_bits < 64)
		s->ip = (uint32_t)s->ip;
	s->fs_base = r->fs_base;
	s->gs_base = r->gs_base;
	memcpy(s->sel, r->sel, sizeof(s->sel));
	s->changes = r->changes;
	memcpy(s->changed, r->changed, sizeof(s->changed));
	memcpy(s->changed_at, r->changed_at, sizeof(s->changed_at));
}

struct list {
	const struct case_file *f;
	struct case_file *out;		/* NULL: only count */
	uint32_t n;
};

/* What is before it ended there, by the UD2 behind it (or earlier, where that made no sense). */
static bool alone(const struct narrowed *n)
{
	const struct fuzz_record *r = n->before;

	return r && r->vector == 6 && r->ip <= n->insn_at && can_begin(r);
}

static void add(const struct narrowed *n, void *arg)
{
	struct list *l = arg;
	struct fuzz_case *c;
	uint8_t *image;

	if (n->vanished)
		return;
	if (l->out) {
		c = &l->out->cases[l->n];
		*c = *n->c;
		image = new_state(l->out, c, l->n);
		if (alone(n))
			begin_at(l->f, n->before, c, image);
		else
			memcpy(image, file_state(l->f, n->c->state), FUZZ_START);
	}
	l->n++;
}

void isolate(const struct runs *cases, const struct runs *prefixes, const struct kind *k,
	     struct case_file *out)
{
	struct list l = { prefixes->a, NULL, 0 };

	narrowed_each(cases, prefixes, NULL, k, add, &l);
	file_own_states(prefixes->a, out, l.n);
	l = (struct list){ prefixes->a, out, 0 };
	narrowed_each(cases, prefixes, NULL, k, add, &l);
	put_in_batches(out->cases, l.n);
}

bool can_resume(const struct fuzz_record *r)
{
	return can_begin(r) && r->vector != 1 && r->vector != 3 && r->vector != 4 && r->vector < 32;
}

void resume(const struct case_file *f, struct case_file *out)
{
	file_own_states(f, out, f->head.cases);
	for (uint32_t i = 0; i < f->head.cases; i++) {
		const struct fuzz_record *r = file_record(f, i);
		struct fuzz_case *c = &out->cases[i];
		uint8_t *image;

		*c = f->cases[i];
		image = new_state(out, c, i);
		if (can_resume(r))
			begin_at(f, r, c, image);
		else	/* any will do: nobody looks at its record */
			memcpy(image, file_state(f, f->cases[i].state), FUZZ_STATE_SIZE);
	}
}
