/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Native mappings and what they mean for the frames behind them: who maps a
 * frame, whether it is code or data just now, and the queue of operations that
 * the engine gets before the space runs next.
 */
#include <stdlib.h>

#include "filter.h"
#include "shadow.h"

/*
 * A frame that changes between code and data more often than this in one epoch
 * is left to Bochs for the rest of it.
 */
#define MAX_FLIPS 8

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

void plex86_forget(struct plex86_node *n, unsigned int index)
{
	struct plex86_world *w = n->shadow->world;
	struct plex86_frame *f = &w->frames[n->frame[index]];
	uint32_t slot = PLEX86_SLOT(n->self, index), *link;

	for (link = &f->rmap; *link != slot;
	     link = &w->nodes[PLEX86_SLOT_NODE(*link)]->rnext[PLEX86_SLOT_INDEX(*link)])
		;
	*link = n->rnext[index];
	f->nwrite -= !!(n->prot[index] & PLEX86_PROT_WRITE);
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

	plex86_ram_offset(n->shadow->world->ram, gpa, &op.off);
	queue(n->shadow, &op);
}

void plex86_unmap_at(struct plex86_shadow *s, plex86_gva_t la)
{
	struct plex86_node *n = plex86_tree_leaf(s, la, false);

	plex86_unmap(n, (la.la >> PLEX86_PAGE_SHIFT) & (n->entries - 1));
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

/* One more change of use; false if the frame has had too many of late. */
static bool may_flip(struct plex86_world *w, struct plex86_frame *f)
{
	if (f->flip_epoch != w->epoch) {
		f->flip_epoch = w->epoch;
		f->flips = 0;
	}
	if (f->flips >= MAX_FLIPS) {
		w->stats.flips_refused++;
		return false;
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
	if ((f->nexec || (f->flags & PLEX86_FRAME_DECODED)) && !may_flip(w, f))
		return false;
	if (f->nexec)
		plex86_frame_revoke(w, gpa.pa >> PLEX86_PAGE_SHIFT, PLEX86_PROT_EXEC);
	if (f->flags & PLEX86_FRAME_DECODED)
		w->host->forget_code(gpa);
	f->flags &= ~(PLEX86_FRAME_DECODED | PLEX86_FRAME_SCANNED);
	return true;
}

/* What is found in the page that @filter can be about. */
static uint16_t findings(struct plex86_world *w, struct plex86_frame *f, plex86_gpa_t gpa,
			 uint16_t filter)
{
	const uint8_t *code = plex86_ram_host(w->ram, gpa, PLEX86_PAGE_SIZE);

	if (!(f->flags & PLEX86_FRAME_SCANNED)) {
		f->findings = plex86_filter_scan(code, PLEX86_PAGE_SIZE);
		f->flags |= PLEX86_FRAME_SCANNED;
		f->flags &= ~PLEX86_FRAME_DECODED32;
		w->host->watch_writes(gpa, UINT32_MAX);
		w->stats.pages_scanned++;
	}
	if ((filter & PLEX86_FOUND_SELREAD) && !(f->flags & PLEX86_FRAME_DECODED32)) {
		f->findings |= plex86_filter_selector_reads(code);
		f->flags |= PLEX86_FRAME_DECODED32;
	}
	return f->findings & filter;
}

/* Code bytes of the page at @la if that page is mapped executable in @s. */
static const uint8_t *code_at(struct plex86_shadow *s, uint64_t la)
{
	struct plex86_node *n = plex86_tree_leaf(s, (plex86_gva_t){ la }, false);
	unsigned int i = (la >> PLEX86_PAGE_SHIFT) & (n ? n->entries - 1 : 0);

	if (!n || !(n->prot[i] & PLEX86_PROT_EXEC))
		return NULL;
	return plex86_ram_host(s->world->ram,
			       (plex86_gpa_t){ (uint64_t)n->frame[i] << PLEX86_PAGE_SHIFT },
			       PLEX86_PAGE_SIZE);
}

/* A forbidden sequence may begin in one executable page and end in the next. */
static bool clean_seams(struct plex86_shadow *s, uint64_t la, plex86_gpa_t gpa)
{
	struct plex86_world *w = s->world;
	const uint8_t *code = plex86_ram_host(w->ram, gpa, PLEX86_PAGE_SIZE);
	const uint8_t *before = la ? code_at(s, la - PLEX86_PAGE_SIZE) : NULL;
	const uint8_t *after = code_at(s, la + PLEX86_PAGE_SIZE);

	return !(before && (plex86_filter_straddle(before, code) & s->filter)) &&
	       !(after && (plex86_filter_straddle(code, after) & s->filter));
}

/* The page becomes code: nobody may write to it unseen, and its bytes must be harmless. */
static bool make_executable(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
			    plex86_gpa_t gpa)
{
	struct plex86_world *w = s->world;

	if (f->nwrite) {
		if (!may_flip(w, f))
			return false;
		plex86_frame_revoke(w, gpa.pa >> PLEX86_PAGE_SHIFT, PLEX86_PROT_WRITE);
	}
	if ((findings(w, f, gpa, s->filter) && !plex86_traps_cover(&s->traps, la)) ||
	    !clean_seams(s, la, gpa)) {
		w->stats.filter_refused++;
		return false;
	}
	return true;	/* and watched, since it was scanned */
}

static void unmap_code(struct plex86_node *n)
{
	const struct plex86_world *w = n->shadow->world;
	unsigned int i;

	for (i = 0; i < n->entries; i++) {
		if (n->level > 1 && n->child[i] != PLEX86_NONE)
			unmap_code(w->nodes[n->child[i]]);
		else if (n->level == 1 && (n->prot[i] & PLEX86_PROT_EXEC))
			plex86_unmap(n, i);
	}
}

void plex86_shadow_filter(struct plex86_shadow *s, uint16_t filter)
{
	if (s->tsc_traps)
		filter &= ~PLEX86_FOUND_TSC;
	if (!(filter & ~s->filter))
		return;
	/* Seams too would have to be looked at again; it is rare enough to start over. */
	s->filter |= filter;
	if (s->root != PLEX86_NONE)
		unmap_code(s->world->nodes[s->root]);
}

enum plex86_code plex86_code_check(struct plex86_shadow *s, plex86_gva_t la)
{
	struct plex86_node *n = plex86_tree_leaf(s, la, true);
	struct plex86_world *w = s->world;
	struct plex86_frame *f;
	struct plex86_view v;
	unsigned int index;

	if (!n)
		return PLEX86_CODE_OK;	/* not mapped: the fetch faults, and that is found out natively */
	index = (la.la >> PLEX86_PAGE_SHIFT) & (n->entries - 1);
	if (n->prot[index] & PLEX86_PROT_EXEC)
		return PLEX86_CODE_OK;
	v = plex86_leaf_view(n, index);
	f = v.allowed ? plex86_frame_of(w, v.frame) : NULL;
	if (!f)
		return PLEX86_CODE_OK;
	if (f->flip_epoch == w->epoch && f->flips >= MAX_FLIPS)
		return PLEX86_CODE_FLIPS;
	if ((f->flags & PLEX86_FRAME_SCANNED) && (f->findings & s->filter))
		return PLEX86_CODE_REFUSED;
	return PLEX86_CODE_OK;
}

/* The bytes of RDTSC are the most common finding by far, and one switch covers them all. */
static bool trap_tsc(struct plex86_shadow *s)
{
	const struct plex86_world *w = s->world;

	if (s->tsc_traps || !w->ops->trap_tsc)
		return false;
	if (plex86_space_flush(s)) {
		s->broken = true;	/* the next flush says so, and the space is given up */
		return false;
	}
	if (w->ops->trap_tsc(s->engine, true))
		return false;
	s->tsc_traps = true;
	s->filter &= ~PLEX86_FOUND_TSC;
	s->world->stats.spaces_tsc++;
	return true;
}

bool plex86_map_trapped(struct plex86_shadow *s, plex86_gva_t la)
{
	struct plex86_node *n = plex86_tree_leaf(s, la, true);
	struct plex86_view v;
	unsigned int index;
	uint64_t page = la.la & PLEX86_PAGE_MASK;
	const uint8_t *code;
	struct plex86_frame *f;
	uint16_t found, rest;

	if (!n)
		return false;
	index = (la.la >> PLEX86_PAGE_SHIFT) & (n->entries - 1);
	v = plex86_leaf_view(n, index);
	f = plex86_frame_of(s->world, v.frame);
	code = plex86_ram_host(s->world->ram, v.frame, PLEX86_PAGE_SIZE);
	if (!(v.allowed & PLEX86_PROT_EXEC) || !f || !code)
		return false;
	found = findings(s->world, f, v.frame, s->filter);
	if (found & PLEX86_FOUND_SELREAD)
		return false;	/* nothing says where */
	/* All of the rest, or trapping RDTSC would only make trips dearer. */
	rest = s->world->ops->trap_tsc ? found & ~PLEX86_FOUND_TSC : found;
	if (rest && !plex86_traps_possible(s, code, rest))
		return false;
	if (found != rest && !trap_tsc(s))
		rest = found;
	if (rest && !plex86_traps_grant(s, page, code, rest))
		return false;
	if (!plex86_map(n, index, v.frame, PLEX86_PROT_READ | PLEX86_PROT_EXEC)) {
		plex86_traps_drop(&s->traps, page);
		return false;
	}
	s->world->stats.pages_trapped++;
	return true;
}

uint32_t plex86_map(struct plex86_node *n, unsigned int index, plex86_gpa_t gpa, uint32_t prot)
{
	struct plex86_shadow *s = n->shadow;
	struct plex86_world *w = s->world;
	struct plex86_frame *f = plex86_frame_of(w, gpa);
	uint64_t la = n->base + ((uint64_t)index << PLEX86_PAGE_SHIFT);
	struct plex86_map_op op = { .kind = PLEX86_MAP, .gva = { la }, .npages = 1 };

	if (!f || !plex86_ram_offset(w->ram, gpa, &op.off) ||
	    !w->host->is_plain_ram(gpa, w->ram->host + op.off.off))
		return 0;
	if (la + PLEX86_PAGE_SIZE > w->caps->va_limit ||
	    (la < 0x10000 && !(w->caps->flags & PLEX86_CAP_PAGE_ZERO)))
		return 0;
	/* Another frame: the traps of the old one say nothing about it. */
	if (n->prot[index] && n->frame[index] != gpa.pa >> PLEX86_PAGE_SHIFT)
		plex86_unmap(n, index);
	if ((prot & PLEX86_PROT_EXEC) && !make_executable(s, f, la, gpa))
		return 0;
	if ((prot & PLEX86_PROT_WRITE) && !make_writable(w, f, gpa))
		prot &= ~PLEX86_PROT_WRITE;

	/* make_*() may have taken this very mapping away: look only now. */
	if (n->prot[index] == prot && n->frame[index] == gpa.pa >> PLEX86_PAGE_SHIFT)
		return prot;
	if (n->prot[index]) {
		plex86_forget(n, index);	/* MAP replaces: no UNMAP */
		w->stats.pages_upgraded++;
	}
	n->frame[index] = gpa.pa >> PLEX86_PAGE_SHIFT;
	n->prot[index] = prot;
	n->rnext[index] = f->rmap;
	f->rmap = PLEX86_SLOT(n->self, index);
	f->nwrite += !!(prot & PLEX86_PROT_WRITE);
	f->nexec += !!(prot & PLEX86_PROT_EXEC);
	s->mapped++;
	w->stats.pages_mapped++;
	op.prot = prot;
	queue(s, &op);
	return prot;
}
