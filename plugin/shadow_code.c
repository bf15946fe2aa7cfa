/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages native code may execute (I7): those without findings of the filter;
 * others as a copy in which the findings trap, where the engine can hide that it is
 * one, or with one of the engine's few traps on each; the rest is for Bochs.
 */
#include "filter.h"
#include "shadow.h"

/* In round trips, what it takes to get one trap ... */
#define TRAPS_PRICE 40

/* ... and for a page that had some before: in the program's last run, mostly. */
#define TRAPS_AGAIN 5

/*
 * So many stops in copies for RDTSC's bytes are worth a mapping of all code anew; more, what
 * each trip takes longer where RDTSC traps instead.
 */
#define TSC_STOPS 32

/*
 * Can an engine be shown a copy of a page with findings?  Not if one is an instruction that
 * may begin in the page before: a copy doesn't change that.
 */
static bool may_copy(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
		     plex86_gpa_t gpa)
{
	struct plex86_world *w = s->world;

	return (w->caps->flags & PLEX86_CAP_EXEC_ONLY) &&
	       !(f->flags & (PLEX86_FRAME_NO_COPY | PLEX86_FRAME_PRIVATE)) &&
	       plex86_copy_has_room(&w->copies, gpa.pa >> PLEX86_PAGE_SHIFT) &&
	       !(plex86_early_findings(s, f, la, plex86_code_bytes(w, gpa)) & PLEX86_FOUND_GUESSED);
}

/* The same copy is for all spaces, so that what any of them may forbid traps there. */
static struct plex86_copy *make_copy(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
				     plex86_gpa_t gpa, uint32_t found)
{
	struct plex86_world *w = s->world;
	const uint32_t caps = w->caps->flags;
	struct plex86_copy *copy;
	uint32_t mask;

	if (!may_copy(s, f, la, gpa))
		return NULL;
	mask = plex86_filter_mask(caps, PLEX86_MODE_64, false, 1, w->strict) |
	       plex86_filter_mask(caps, PLEX86_MODE_32, false, 1, w->strict) | s->filter |
	       s->filter_low;
	/* Of instructions that aren't there the bytes may stay. */
	plex86_decode_findings(f, plex86_code_bytes(w, gpa), mask);
	mask &= ~PLEX86_FOUND_DECODED | f->findings | found;
	mask = plex86_filter_bytes(mask);
	copy = plex86_copy_make(&w->copies, gpa.pa >> PLEX86_PAGE_SHIFT,
				plex86_code_bytes(w, gpa), mask, s->paging.mode == PLEX86_PAGING_LONG);
	if (!copy)	/* There was room: not this page, or not while another space uses a lesser copy. */
		f->flags |= PLEX86_FRAME_NO_COPY;
	return copy;
}

static bool can_execute(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
			plex86_gpa_t gpa, struct plex86_copy **copy)
{
	struct plex86_world *w = s->world;
	uint32_t found;

	if (f->nwrite) {
		if (!plex86_may_flip(w, f))
			return false;
		plex86_frame_revoke(w, gpa.pa >> PLEX86_PAGE_SHIFT, PLEX86_PROT_WRITE);
	}
	found = plex86_findings(s, f, la, gpa);
	if (found && plex86_traps_cover(&s->traps, la))
		found = 0;
	if (found)
		*copy = make_copy(s, f, la, gpa, found);
	if ((found && !*copy) || !plex86_clean_seams(s, la, gpa)) {
		w->stats.filter_refused++;
		return false;
	}
	return true;	/* and watched, since it was scanned */
}

bool plex86_make_executable(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
			    plex86_gpa_t gpa, struct plex86_copy **copy)
{
	bool can = can_execute(s, f, la, gpa, copy);

	/* Bochs may come from there to the next page as well. */
	plex86_check_next(s, la);
	return can;
}

/* All code, or copies only. */
static void unmap_code(struct plex86_node *n, bool copies)
{
	const struct plex86_world *w = n->shadow->world;
	unsigned int i;

	for (i = 0; i < n->entries; i++) {
		if (n->level > 1 && n->child[i] != PLEX86_NONE)
			unmap_code(w->nodes[n->child[i]], copies);
		else if (n->level == 1 && (n->prot[i] & PLEX86_PROT_EXEC) &&
			 !(copies && (n->prot[i] & PLEX86_PROT_READ)))
			plex86_unmap(n, i);
	}
}

void plex86_shadow_filter(struct plex86_shadow *s, uint32_t filter, uint32_t low)
{
	if (s->tsc_traps)
		filter &= ~PLEX86_FOUND_TSC;
	if (!(filter & ~s->filter) && !(low & ~s->filter_low))
		return;
	/* Seams too would have to be looked at again; it is rare enough to start over. */
	s->filter |= filter;
	s->filter_low |= low;
	if (s->root != PLEX86_NONE)
		unmap_code(s->world->nodes[s->root], false);
}

enum plex86_code plex86_code_check(struct plex86_shadow *s, plex86_gva_t la)
{
	struct plex86_node *n = plex86_tree_leaf(s, la, true);
	struct plex86_world *w = s->world;
	struct plex86_frame *f;
	plex86_gpa_t gpa;
	unsigned int index;
	uint32_t found;

	if (!n)
		return PLEX86_CODE_OK;	/* not mapped: the fetch faults, and that is found out natively */
	index = plex86_leaf_index(n, la);
	if (n->prot[index] == PLEX86_PROT_EXEC) {
		struct plex86_copy *copy = plex86_copy_find(&w->copies, n->frame[index]);

		gpa.pa = (uint64_t)n->frame[index] << PLEX86_PAGE_SHIFT;
		return plex86_copy_traps(&w->copies, copy, plex86_code_bytes(w, gpa),
					 la.la & ~PLEX86_PAGE_MASK) ?
		       PLEX86_CODE_TRAP : PLEX86_CODE_OK;
	}
	if (n->prot[index] & PLEX86_PROT_EXEC)
		return PLEX86_CODE_OK;
	f = plex86_guest_code(s, la, &gpa);
	if (!f)
		return PLEX86_CODE_OK;
	if (plex86_is_tired(w, f))
		return PLEX86_CODE_FLIPS;
	found = f->flags & PLEX86_FRAME_SCANNED ?
		plex86_findings(s, f, la.la & PLEX86_PAGE_MASK, gpa) : 0;
	if (found && !may_copy(s, f, la.la & PLEX86_PAGE_MASK, gpa))
		return PLEX86_CODE_REFUSED;
	return PLEX86_CODE_OK;
}

/* What traps would have to be set on, if RDTSC is made to trap in another way. */
static uint32_t but_tsc(const struct plex86_world *w, uint32_t found)
{
	return found & ~(w->caps->flags & PLEX86_CAP_TSC_SWITCH ? PLEX86_FOUND_TSC : 0);
}

unsigned int plex86_code_price(struct plex86_shadow *s, plex86_gva_t la)
{
	const struct plex86_world *w = s->world;
	struct plex86_frame *f;
	plex86_gpa_t gpa;
	uint32_t rest;

	f = plex86_guest_code(s, la, &gpa);
	if (!f)
		return TRAPS_PRICE;
	if (!f->traps) {
		rest = but_tsc(w, plex86_findings(s, f, la.la & PLEX86_PAGE_MASK, gpa));
		f->traps = rest ? plex86_traps_needed(s, plex86_code_bytes(w, gpa), rest) : 1;
		if (!f->traps)
			f->traps = PLEX86_MAX_TRAPS;
	}
	return f->traps * ((f->flags & PLEX86_FRAME_HOT) && plex86_traps_free(s, f->traps) ?
			   TRAPS_AGAIN : TRAPS_PRICE);
}

/* The bytes of RDTSC are the most common finding by far, and one switch covers them all. */
static bool trap_tsc(struct plex86_shadow *s)
{
	struct plex86_world *w = s->world;

	if (s->tsc_traps || !(w->caps->flags & PLEX86_CAP_TSC_SWITCH))
		return false;
	if (plex86_space_flush(s)) {
		s->broken = true;	/* the next flush says so, and the space is given up */
		return false;
	}
	if (w->ops->trap_tsc(s->engine, true))
		return false;
	s->tsc_traps = true;
	s->filter &= ~PLEX86_FOUND_TSC;
	/* What is a copy for its sake need not be one any more. */
	if (s->root != PLEX86_NONE)
		unmap_code(w->nodes[s->root], true);
	s->world->stats.spaces_tsc++;
	return true;
}

/* Does a copy trap at @la that would not have to be one, if RDTSC trapped in another way? */
static bool stopped_by_tsc(struct plex86_shadow *s, plex86_gva_t la)
{
	struct plex86_frame *f;
	plex86_gpa_t gpa;

	if (plex86_code_check(s, la) != PLEX86_CODE_TRAP)
		return false;
	f = plex86_guest_code(s, la, &gpa);
	return f && plex86_findings(s, f, la.la & PLEX86_PAGE_MASK, gpa) == PLEX86_FOUND_TSC;
}

void plex86_copy_stopped(struct plex86_shadow *s, plex86_gva_t la)
{
	const struct plex86_caps *caps = s->world->caps;

	if (s->tsc_traps || !(caps->flags & PLEX86_CAP_TSC_SWITCH) || !stopped_by_tsc(s, la))
		return;
	s->tsc_stops++;
	if (s->tsc_stops * caps->round_trip_ns <
	    TSC_STOPS * caps->round_trip_ns + s->trips * caps->tsc_extra_ns)
		return;
	if (!trap_tsc(s))
		s->tsc_stops = 0;
}

void plex86_copy_was_read(struct plex86_node *n, unsigned int index)
{
	struct plex86_world *w = n->shadow->world;
	struct plex86_frame *f = &w->frames[n->frame[index]];

	w->stats.copies_read++;
	if (plex86_may_flip(w, f))
		return;
	f->flags |= PLEX86_FRAME_NO_COPY;
	plex86_frame_revoke(w, n->frame[index], PLEX86_PROT_EXEC);
}

bool plex86_map_trapped(struct plex86_shadow *s, plex86_gva_t la)
{
	const bool strict = s->world->strict;
	uint64_t page = la.la & PLEX86_PAGE_MASK;
	struct plex86_frame *f;
	struct plex86_node *n;
	const uint8_t *code;
	uint32_t found, rest;
	plex86_gpa_t gpa;

	f = plex86_guest_code(s, la, &gpa);
	if (!f || (f->flags & PLEX86_FRAME_SURPRISE))
		return false;
	code = plex86_code_bytes(s->world, gpa);
	found = plex86_findings(s, f, page, gpa);
	if (plex86_early_findings(s, f, page, code) & PLEX86_FOUND_GUESSED)
		return false;	/* nothing says where */
	/* All of the rest, or trapping RDTSC would only make trips dearer. */
	rest = but_tsc(s->world, found);
	/* IRET with RF set, and MOV SS, pass over a breakpoint: not exact enough for strict=1. */
	if (rest && (strict || !plex86_traps_needed(s, code, rest)))
		return false;
	if (found != rest && !trap_tsc(s))
		rest = found;
	if (rest && (strict || !plex86_traps_grant(s, page, code, rest)))
		return false;
	n = plex86_tree_leaf(s, la, true);
	if (!plex86_map(n, plex86_leaf_index(n, la), gpa, PLEX86_PROT_READ | PLEX86_PROT_EXEC)) {
		plex86_traps_drop(&s->traps, page);
		return false;
	}
	f->flags |= PLEX86_FRAME_HOT;
	s->world->stats.pages_trapped++;
	return true;
}
