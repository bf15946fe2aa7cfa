/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The copies that a slice in verify mode writes to.  Native code finds all pages
 * read-only; a page that it stores to gets a copy behind the guest's RAM, and the
 * engine is told to map that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "verify.h"

/*
 * What it executes on average, and the shortest run that gets anywhere: a timer
 * event may come late by what native code does in that.
 */
#define USUAL_INSNS_PER_NS	2
#define MIN_BUDGET_NS		25000

/* Pages of the last slice that the next one gets at once. */
#define MAX_PREFAULT	64

static struct plex86_frame *frame_of(struct plex86_verify *v, const struct plex86_private *p)
{
	return plex86_frame_of(v->world, p->gpa);
}

/* Has the engine told again what is at all the places that show @f in this space. */
static void remap(struct plex86_verify *v, const struct plex86_frame *f)
{
	struct plex86_world *w = v->world;
	uint32_t slot = f->rmap;

	while (slot != PLEX86_NONE) {
		struct plex86_node *n = w->nodes[PLEX86_SLOT_NODE(slot)];
		unsigned int index = PLEX86_SLOT_INDEX(slot);

		if (n->shadow == v->space)
			plex86_remap(n, index);
		slot = n->rnext[index];
	}
}

void plex86_verify_release(struct plex86_verify *v)
{
	uint32_t i;

	for (i = 0; i < v->npages; i++)
		frame_of(v, &v->page[i])->flags &= ~PLEX86_FRAME_PRIVATE;
	v->npages = 0;
	v->space = NULL;
	v->replaying = false;
}

void plex86_verify_begin(struct plex86_verify *v, const struct plex86_cpu *cpu,
			 const struct plex86_vec *vec)
{
	plex86_verify_release(v);
	v->start = *cpu;
	v->start_vec = *vec;
}

uint64_t plex86_verify_budget(struct plex86_verify *v, uint64_t ticks)
{
	uint64_t ns = ticks / USUAL_INSNS_PER_NS;

	if (ns < MIN_BUDGET_NS)
		ns = MIN_BUDGET_NS;
	if (ns > PLEX86_VERIFY_NS)
		ns = PLEX86_VERIFY_NS;
	/* The switch takes its part first: of a short budget nothing may be left. */
	ns += v->world->caps->round_trip_ns;
	/* Engines may put map operations off until they run. */
	ns += v->queued * v->world->caps->map_page_ns;
	v->queued = 0;
	return ns;
}

void plex86_verify_prefault(struct plex86_verify *v, struct plex86_shadow *s)
{
	uint32_t i, n = v->nrecent < MAX_PREFAULT ? v->nrecent : MAX_PREFAULT;

	v->space = s;
	v->paging = s->paging;
	if (v->recent_space == s)
		for (i = 0; i < n; i++)
			plex86_verify_write(v, s, v->recent[i]);
}

int plex86_verify_write(struct plex86_verify *v, struct plex86_shadow *s, plex86_gva_t la)
{
	struct plex86_world *w = v->world;
	struct plex86_node *n = plex86_tree_leaf(s, la, false);
	struct plex86_private *p;
	struct plex86_frame *f;
	unsigned int index;
	uint64_t in;

	if (!n)
		return 0;
	index = plex86_leaf_index(n, la);
	if (!(n->prot[index] & PLEX86_PROT_WRITE))
		return 0;
	f = &w->frames[n->frame[index]];
	if (f->flags & PLEX86_FRAME_PRIVATE)
		return 0;
	if (v->npages == PLEX86_VERIFY_PAGES)
		return -ENOSPC;
	in = (uint64_t)v->npages << PLEX86_PAGE_SHIFT;
	p = &v->page[v->npages++];
	p->la.la = la.la & PLEX86_PAGE_MASK;
	p->gpa.pa = (uint64_t)n->frame[index] << PLEX86_PAGE_SHIFT;
	p->shared = plex86_ram_host(w->ram, p->gpa, PLEX86_PAGE_SIZE);
	p->copy = w->ram->host + v->scratch + in;
	p->differs_at = 0;
	memcpy(p->copy, p->shared, PLEX86_PAGE_SIZE);
	memcpy(v->before + in, p->shared, PLEX86_PAGE_SIZE);
	f->flags |= PLEX86_FRAME_PRIVATE;
	remap(v, f);
	return 1;
}

static struct plex86_map_op *next_op(struct plex86_verify *v, uint32_t n)
{
	struct plex86_map_op *grown;

	if (n == v->maxops) {
		grown = realloc(v->ops, (n + 256) * sizeof(*grown));
		if (!grown)
			return NULL;
		v->ops = grown;
		v->maxops = n + 256;
	}
	return &v->ops[n];
}

const struct plex86_map_op *plex86_verify_overlay(struct plex86_verify *v,
						  const struct plex86_map_op *ops, uint32_t *np)
{
	uint32_t i, j, n = 0;

	for (i = 0; i < *np; i++) {
		const uint8_t *first = v->world->ram->host + ops[i].off.off;
		uint64_t bytes = ops[i].npages << PLEX86_PAGE_SHIFT;
		struct plex86_map_op *op = next_op(v, n);

		if (!op)
			return NULL;
		n++;
		*op = ops[i];
		if (op->kind != PLEX86_MAP)
			continue;
		op->prot &= ~PLEX86_PROT_WRITE;
		for (j = 0; j < v->npages; j++) {
			const struct plex86_private *p = &v->page[j];

			if (p->shared < first || p->shared >= first + bytes)
				continue;
			op = next_op(v, n);
			if (!op)
				return NULL;
			n++;
			*op = ops[i];
			/* The filter has seen the shared page's bytes, not these: no code. */
			op->prot &= ~PLEX86_PROT_EXEC;
			op->gva.la += (uint64_t)(p->shared - first);
			op->off.off = (uint64_t)(p->copy - v->world->ram->host);
			op->npages = 1;
		}
	}
	*np = n;
	v->queued += n;
	return v->ops;
}

void plex86_verify_keep_recent(struct plex86_verify *v)
{
	uint32_t i;

	v->recent_space = v->space;
	v->nrecent = 0;
	for (i = 0; i < v->npages; i++) {
		if (memcmp(v->page[i].copy, v->before + ((uint64_t)i << PLEX86_PAGE_SHIFT),
			   PLEX86_PAGE_SIZE))
			v->recent[v->nrecent++] = v->page[i].la;
		if (v->space)
			remap(v, frame_of(v, &v->page[i]));
	}
}

void plex86_verify_cancel(struct plex86_verify *v)
{
	uint32_t i;

	for (i = 0; i < v->npages; i++)
		if (v->space)
			remap(v, frame_of(v, &v->page[i]));
	plex86_verify_release(v);
}

void plex86_verify_forget(struct plex86_verify *v, const struct plex86_shadow *s)
{
	if (v->space == s)
		v->space = NULL;
	if (v->recent_space == s)
		v->recent_space = NULL;
}
