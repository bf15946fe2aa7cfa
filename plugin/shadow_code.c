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

/* Which findings forbid execution at @la. */
static uint16_t forbidden(const struct plex86_shadow *s, uint64_t la)
{
	return s->filter | (la <= UINT32_MAX ? s->filter_low : 0);
}

/* Findings that instructions were decoded for, as those of the bytes that they begin with. */
static uint16_t of_bytes(uint16_t found)
{
	if (found & PLEX86_FOUND_SYSCALL_INSN)
		found |= PLEX86_FOUND_SYSCALL;
	return found & ~PLEX86_FOUND_DECODED;
}

static const uint8_t *bytes(const struct plex86_world *w, plex86_gpa_t gpa)
{
	return plex86_ram_host(w->ram, gpa, PLEX86_PAGE_SIZE);
}

/* The page of code that the guest's tables have at @la, mapped or not; NULL: none, or not in RAM. */
static struct plex86_frame *guest_code(struct plex86_shadow *s, plex86_gva_t la, plex86_gpa_t *gpa)
{
	struct plex86_node *n = plex86_tree_leaf(s, la, true);
	struct plex86_view v;

	if (!n)
		return NULL;
	v = plex86_leaf_view(n, plex86_leaf_index(n, la));
	*gpa = v.frame;
	return (v.allowed & PLEX86_PROT_EXEC) && bytes(s->world, v.frame) ?
	       plex86_frame_of(s->world, v.frame) : NULL;
}

/* What the page at @la begins with depends on the one before it, so no frame can know it. */
static uint16_t early_findings(struct plex86_shadow *s, uint64_t la, const uint8_t *code)
{
	uint16_t found = plex86_filter_decode_early(NULL, code, forbidden(s, la) & PLEX86_FOUND_DECODED);
	plex86_gpa_t before;

	if (found && la && guest_code(s, (plex86_gva_t){ la - PLEX86_PAGE_SIZE }, &before))
		found = plex86_filter_decode_early(bytes(s->world, before), code, found);
	return found;
}

/* What is found in the page at @la that matters there. */
static uint16_t findings(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
			 plex86_gpa_t gpa)
{
	struct plex86_world *w = s->world;
	const uint8_t *code = bytes(w, gpa);
	uint16_t filter = forbidden(s, la);

	if (!(f->flags & PLEX86_FRAME_SCANNED)) {
		f->findings = plex86_filter_scan(code, PLEX86_PAGE_SIZE);
		f->flags |= PLEX86_FRAME_SCANNED;
		f->flags &= ~(PLEX86_FRAME_SELREAD | PLEX86_FRAME_SYSCALLS | PLEX86_FRAME_NO_COPY |
			      PLEX86_FRAME_HOT);
		f->traps = 0;
		w->host->watch_writes(gpa, UINT32_MAX);
		w->stats.pages_scanned++;
	}
	if ((filter & PLEX86_FOUND_SELREAD) && !(f->flags & PLEX86_FRAME_SELREAD)) {
		f->findings |= plex86_filter_decode(code, PLEX86_FOUND_SELREAD);
		f->flags |= PLEX86_FRAME_SELREAD;
	}
	if ((filter & PLEX86_FOUND_SYSCALL_INSN) && (f->findings & PLEX86_FOUND_SYSCALL) &&
	    !(f->flags & PLEX86_FRAME_SYSCALLS)) {
		f->findings |= plex86_filter_decode(code, PLEX86_FOUND_SYSCALL_INSN);
		f->flags |= PLEX86_FRAME_SYSCALLS;
	}
	return (f->findings & filter) | early_findings(s, la, code);
}

const uint8_t *plex86_code_at(struct plex86_shadow *s, plex86_gva_t la)
{
	struct plex86_node *n = plex86_tree_leaf(s, la, false);
	unsigned int i = n ? plex86_leaf_index(n, la) : 0;

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
	const uint8_t *code = bytes(w, gpa);
	const uint8_t *before =
		la ? plex86_code_at(s, (plex86_gva_t){ la - PLEX86_PAGE_SIZE }) : NULL;
	const uint8_t *after = plex86_code_at(s, (plex86_gva_t){ la + PLEX86_PAGE_SIZE });
	const uint16_t mask = of_bytes(forbidden(s, la));

	return !(before && (plex86_filter_straddle(before, code) & mask)) &&
	       !(after && (plex86_filter_straddle(code, after) & mask));
}

/* Can an engine be shown a copy of a page with these findings? */
static bool may_copy(const struct plex86_world *w, const struct plex86_frame *f, uint16_t found)
{
	return (w->caps->flags & PLEX86_CAP_EXEC_ONLY) && !(found & PLEX86_FOUND_SELREAD) &&
	       !(f->flags & PLEX86_FRAME_NO_COPY);
}

/* The same copy is for all spaces, so that what any of them may forbid traps there. */
static struct plex86_copy *make_copy(struct plex86_shadow *s, struct plex86_frame *f,
				     plex86_gpa_t gpa, uint16_t found)
{
	struct plex86_world *w = s->world;
	const uint32_t caps = w->caps->flags;
	struct plex86_copy *copy;
	uint16_t mask;

	if (!may_copy(w, f, found))
		return NULL;
	mask = of_bytes(plex86_filter_mask(caps, PLEX86_MODE_64, false, w->strict) |
			plex86_filter_mask(caps, PLEX86_MODE_32, false, w->strict) | s->filter |
			s->filter_low);
	copy = plex86_copy_make(&w->copies, gpa.pa >> PLEX86_PAGE_SHIFT, bytes(w, gpa), mask,
				s->paging.mode == PLEX86_PAGING_LONG);
	if (!copy)
		f->flags |= PLEX86_FRAME_NO_COPY;
	return copy;
}

bool plex86_make_executable(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
			    plex86_gpa_t gpa, struct plex86_copy **copy)
{
	struct plex86_world *w = s->world;
	uint16_t found;

	if (f->nwrite) {
		if (!plex86_may_flip(w, f))
			return false;
		plex86_frame_revoke(w, gpa.pa >> PLEX86_PAGE_SHIFT, PLEX86_PROT_WRITE);
	}
	found = findings(s, f, la, gpa);
	if (found && plex86_traps_cover(&s->traps, la))
		found = 0;
	if (found)
		*copy = make_copy(s, f, gpa, found);
	if ((found && !*copy) || !clean_seams(s, la, gpa)) {
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

void plex86_shadow_filter(struct plex86_shadow *s, uint16_t filter, uint16_t low)
{
	if (s->tsc_traps)
		filter &= ~PLEX86_FOUND_TSC;
	if (!(filter & ~s->filter) && !(low & ~s->filter_low))
		return;
	/* Seams too would have to be looked at again; it is rare enough to start over. */
	s->filter |= filter;
	s->filter_low |= low;
	if (s->root != PLEX86_NONE)
		unmap_code(s->world->nodes[s->root]);
}

enum plex86_code plex86_code_check(struct plex86_shadow *s, plex86_gva_t la)
{
	struct plex86_node *n = plex86_tree_leaf(s, la, true);
	struct plex86_world *w = s->world;
	struct plex86_frame *f;
	plex86_gpa_t gpa;
	unsigned int index;
	uint16_t found;

	if (!n)
		return PLEX86_CODE_OK;	/* not mapped: the fetch faults, and that is found out natively */
	index = plex86_leaf_index(n, la);
	if (n->prot[index] == PLEX86_PROT_EXEC) {
		struct plex86_copy *copy = plex86_copy_find(&w->copies, n->frame[index]);

		gpa.pa = (uint64_t)n->frame[index] << PLEX86_PAGE_SHIFT;
		return plex86_copy_traps(&w->copies, copy, bytes(w, gpa), la.la & ~PLEX86_PAGE_MASK) ?
		       PLEX86_CODE_TRAP : PLEX86_CODE_OK;
	}
	if (n->prot[index] & PLEX86_PROT_EXEC)
		return PLEX86_CODE_OK;
	f = guest_code(s, la, &gpa);
	if (!f)
		return PLEX86_CODE_OK;
	if (f->flip_epoch == w->epoch && f->flips >= PLEX86_MAX_FLIPS)
		return PLEX86_CODE_FLIPS;
	found = f->flags & PLEX86_FRAME_SCANNED ? findings(s, f, la.la & PLEX86_PAGE_MASK, gpa) : 0;
	if (found && !may_copy(w, f, found))
		return PLEX86_CODE_REFUSED;
	return PLEX86_CODE_OK;
}

/* What traps would have to be set on, if RDTSC is made to trap in another way. */
static uint16_t but_tsc(const struct plex86_world *w, uint16_t found)
{
	return of_bytes(found) & ~(w->ops->trap_tsc ? PLEX86_FOUND_TSC : 0);
}

unsigned int plex86_code_price(struct plex86_shadow *s, plex86_gva_t la)
{
	const struct plex86_world *w = s->world;
	struct plex86_frame *f;
	plex86_gpa_t gpa;
	uint16_t rest;

	f = guest_code(s, la, &gpa);
	if (!f)
		return TRAPS_PRICE;
	if (!f->traps) {
		rest = but_tsc(w, findings(s, f, la.la & PLEX86_PAGE_MASK, gpa));
		f->traps = rest ? plex86_traps_needed(s, bytes(w, gpa), rest) : 1;
		if (!f->traps)
			f->traps = PLEX86_MAX_TRAPS;
	}
	return f->traps * ((f->flags & PLEX86_FRAME_HOT) && plex86_traps_free(s, f->traps) ?
			   TRAPS_AGAIN : TRAPS_PRICE);
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
	uint16_t found, rest;
	plex86_gpa_t gpa;

	f = guest_code(s, la, &gpa);
	if (!f)
		return false;
	code = bytes(s->world, gpa);
	found = findings(s, f, page, gpa);
	if (found & PLEX86_FOUND_SELREAD)
		return false;	/* nothing says where */
	found = of_bytes(found);
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
