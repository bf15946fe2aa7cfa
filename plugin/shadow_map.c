/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Native mappings and what they mean for the frames behind them: who maps a
 * frame, whether it is code or data just now, and the queue of operations that
 * the engine gets before the space runs next.
 */
#include <stdlib.h>

#include "shadow.h"

static void queue(struct plex86_shadow *s, const struct plex86_map_op *op)
{
	struct plex86_map_op *last = s->nops ? &s->ops[s->nops - 1] : NULL;

	if (last && last->kind == op->kind && last->prot == op->prot &&
	    last->gva.la + (last->npages << PLEX86_PAGE_SHIFT) == op->gva.la &&
	    (op->kind == PLEX86_UNMAP ||
	     last->off.off + (last->npages << PLEX86_PAGE_SHIFT) == op->off.off)) {
		last->npages += op->npages;
		return;
	}
	if (s->nops == s->maxops) {
		uint32_t max = s->maxops ? 2 * s->maxops : 256;
		struct plex86_map_op *grown = realloc(s->ops, max * sizeof(*grown));

		if (!grown) {
			s->broken = true;
			return;
		}
		s->ops = grown;
		s->maxops = max;
	}
	s->ops[s->nops++] = *op;
	if (op->kind == PLEX86_MAP)
		s->world->stats.ranges_mapped++;
	else
		s->world->stats.ranges_unmapped++;
}

void plex86_queue_unmap(struct plex86_shadow *s, uint64_t la, uint64_t npages)
{
	struct plex86_map_op op = { .kind = PLEX86_UNMAP, .gva = { la }, .npages = npages };
	uint64_t limit = s->world->caps->va_limit;

	/* The last table of the user half covers a little more than can be mapped. */
	if (la >= limit)
		return;
	if (npages > (limit - la) >> PLEX86_PAGE_SHIFT)
		op.npages = (limit - la) >> PLEX86_PAGE_SHIFT;
	queue(s, &op);
}

void *plex86_plain_page(const struct plex86_world *w, plex86_gpa_t page)
{
	void *host = plex86_ram_host(w->ram, page, PLEX86_PAGE_SIZE);

	return host && w->host->is_plain_ram(page, host) ? host : NULL;
}

static uint32_t *next_of(struct plex86_world *w, uint32_t slot)
{
	return &w->nodes[PLEX86_SLOT_NODE(slot)]->rnext[PLEX86_SLOT_INDEX(slot)];
}

static uint32_t *prev_of(struct plex86_world *w, uint32_t slot)
{
	return &w->nodes[PLEX86_SLOT_NODE(slot)]->rprev[PLEX86_SLOT_INDEX(slot)];
}

void plex86_forget(struct plex86_node *n, unsigned int index)
{
	struct plex86_world *w = n->shadow->world;
	struct plex86_frame *f = &w->frames[n->frame[index]];
	uint32_t next = n->rnext[index], prev = n->rprev[index];

	if (prev == PLEX86_NONE)
		f->rmap = next;
	else
		*next_of(w, prev) = next;
	if (next != PLEX86_NONE)
		*prev_of(w, next) = prev;
	f->nwrite -= !!(n->prot[index] & PLEX86_PROT_WRITE);
	if (n->prot[index] == PLEX86_PROT_EXEC)
		plex86_copy_find(&w->copies, n->frame[index])->uses--;
	if (n->prot[index] & PLEX86_PROT_EXEC) {
		f->nexec--;
		plex86_traps_drop(&n->shadow->traps,
				  n->base + ((uint64_t)index << PLEX86_PAGE_SHIFT));
	}
	n->prot[index] = 0;
	n->shadow->mapped--;
	w->stats.pages_unmapped++;
}

void plex86_unmap(struct plex86_node *n, unsigned int index)
{
	plex86_forget(n, index);
	plex86_queue_unmap(n->shadow, n->base + ((uint64_t)index << PLEX86_PAGE_SHIFT), 1);
}

void plex86_remap(struct plex86_node *n, unsigned int index)
{
	struct plex86_map_op op = {
		.kind = PLEX86_MAP, .prot = n->prot[index], .npages = 1,
		.gva = { n->base + ((uint64_t)index << PLEX86_PAGE_SHIFT) },
	};
	plex86_gpa_t gpa = { (uint64_t)n->frame[index] << PLEX86_PAGE_SHIFT };
	struct plex86_world *w = n->shadow->world;

	if (op.prot == PLEX86_PROT_EXEC)
		op.off = plex86_copy_offset(&w->copies,
					    plex86_copy_find(&w->copies, n->frame[index]));
	else
		plex86_ram_offset(w->ram, gpa, &op.off);
	queue(n->shadow, &op);
}

void plex86_unmap_at(struct plex86_shadow *s, plex86_gva_t la)
{
	struct plex86_node *n = plex86_tree_leaf(s, la, false);

	plex86_unmap(n, plex86_leaf_index(n, la));
}

void plex86_frame_revoke(struct plex86_world *w, uint64_t frame, uint32_t prot)
{
	uint32_t slot = w->frames[frame].rmap;

	while (slot != PLEX86_NONE) {
		struct plex86_node *n = w->nodes[PLEX86_SLOT_NODE(slot)];
		unsigned int index = PLEX86_SLOT_INDEX(slot);

		slot = n->rnext[index];
		if (n->prot[index] & prot)
			plex86_unmap(n, index);
	}
}

#define TIRED_MAX 6	/* waits for 2^6 epochs */

bool plex86_is_tired(const struct plex86_world *w, const struct plex86_frame *f)
{
	return f->flips >= PLEX86_MAX_FLIPS && w->epoch - f->flip_epoch < 1u << f->tired;
}

bool plex86_may_flip(struct plex86_world *w, struct plex86_frame *f)
{
	if (plex86_is_tired(w, f)) {
		w->stats.flips_refused++;
		return false;
	}
	if (f->flip_epoch != w->epoch) {
		/* Does it go on as soon as it may?  What was long ago says nothing. */
		if (f->flips < PLEX86_MAX_FLIPS || w->epoch - f->flip_epoch >= 2u << f->tired)
			f->tired = 0;
		else if (f->tired < TIRED_MAX)
			f->tired++;
		f->flip_epoch = w->epoch;
		f->flips = 0;
	}
	f->flips++;
	w->stats.flips++;
	return true;
}

/* The page becomes data: neither native code nor Bochs's traces may be in it. */
static bool make_writable(struct plex86_world *w, struct plex86_frame *f, plex86_gpa_t gpa)
{
	if (f->flags & (PLEX86_FRAME_TABLE | PLEX86_FRAME_DESCRIPTORS))
		return false;
	if (f->nwrite)
		return true;
	if ((f->nexec || (f->flags & PLEX86_FRAME_DECODED)) && !plex86_may_flip(w, f))
		return false;
	if (f->nexec)
		plex86_frame_revoke(w, gpa.pa >> PLEX86_PAGE_SHIFT, PLEX86_PROT_EXEC);
	if (f->flags & PLEX86_FRAME_DECODED)
		w->host->forget_code(gpa);
	f->flags &= ~(PLEX86_FRAME_DECODED | PLEX86_FRAME_SCANNED);
	return true;
}

uint32_t plex86_map(struct plex86_node *n, unsigned int index, plex86_gpa_t gpa, uint32_t prot)
{
	struct plex86_shadow *s = n->shadow;
	struct plex86_world *w = s->world;
	struct plex86_frame *f = plex86_frame_of(w, gpa);
	uint64_t la = n->base + ((uint64_t)index << PLEX86_PAGE_SHIFT);
	struct plex86_map_op op = { .kind = PLEX86_MAP, .gva = { la }, .npages = 1 };
	struct plex86_copy *copy = NULL;
	uint32_t got;

	if (!f || !plex86_ram_offset(w->ram, gpa, &op.off) || !plex86_plain_page(w, gpa))
		return 0;
	if (la < w->caps->va_first || la + PLEX86_PAGE_SIZE > w->caps->va_limit)
		return 0;
	/* Another frame: the traps of the old one say nothing about it. */
	if (n->prot[index] && n->frame[index] != gpa.pa >> PLEX86_PAGE_SHIFT)
		plex86_unmap(n, index);
	if ((prot & PLEX86_PROT_EXEC) && !plex86_make_executable(s, f, la, gpa, &copy))
		return 0;
	if ((prot & PLEX86_PROT_WRITE) && !make_writable(w, f, gpa))
		prot &= ~PLEX86_PROT_WRITE;
	got = prot;
	if (copy)
		prot = PLEX86_PROT_EXEC;

	/* make_*() may have taken this very mapping away: look only now. */
	if (n->prot[index] == prot && n->frame[index] == gpa.pa >> PLEX86_PAGE_SHIFT)
		return got;
	if (n->prot[index]) {
		plex86_forget(n, index);	/* MAP replaces: no UNMAP */
		w->stats.pages_upgraded++;
	}
	n->frame[index] = gpa.pa >> PLEX86_PAGE_SHIFT;
	n->prot[index] = prot;
	n->rnext[index] = f->rmap;
	n->rprev[index] = PLEX86_NONE;
	if (f->rmap != PLEX86_NONE)
		*prev_of(w, f->rmap) = PLEX86_SLOT(n->self, index);
	f->rmap = PLEX86_SLOT(n->self, index);
	f->nwrite += !!(prot & PLEX86_PROT_WRITE);
	f->nexec += !!(prot & PLEX86_PROT_EXEC);
	s->mapped++;
	w->stats.pages_mapped++;
	if (copy) {
		copy->uses++;
		w->stats.pages_copied++;
		op.off = plex86_copy_offset(&w->copies, copy);
	}
	op.prot = prot;
	queue(s, &op);
	return got;
}
