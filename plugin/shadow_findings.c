/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the filter finds in a page of a space: by its bytes and instructions, which its
 * frame remembers, by what of it belongs to the page before, and by where native code goes on.
 */
#include "filter.h"
#include "shadow.h"

const uint8_t *plex86_code_bytes(const struct plex86_world *w, plex86_gpa_t gpa)
{
	return plex86_ram_host(w->ram, gpa, PLEX86_PAGE_SIZE);
}

struct plex86_frame *plex86_guest_code(struct plex86_shadow *s, plex86_gva_t la, plex86_gpa_t *gpa)
{
	struct plex86_node *n = plex86_tree_leaf(s, la, true);
	struct plex86_view v;

	if (!n)
		return NULL;
	v = plex86_leaf_view(n, plex86_leaf_index(n, la));
	*gpa = v.frame;
	return (v.allowed & PLEX86_PROT_EXEC) && plex86_code_bytes(s->world, v.frame) ?
	       plex86_frame_of(s->world, v.frame) : NULL;
}

const uint8_t *plex86_code_at(struct plex86_shadow *s, plex86_gva_t la)
{
	struct plex86_node *n = plex86_tree_leaf(s, la, false);
	unsigned int i = n ? plex86_leaf_index(n, la) : 0;

	if (!n || !(n->prot[i] & PLEX86_PROT_EXEC))
		return NULL;
	return plex86_code_bytes(s->world,
				 (plex86_gpa_t){ (uint64_t)n->frame[i] << PLEX86_PAGE_SHIFT });
}

/* Which findings forbid execution at @la. */
static uint32_t forbidden(const struct plex86_shadow *s, uint64_t la)
{
	return s->filter | (la <= UINT32_MAX ? s->filter_low : 0);
}

void plex86_decode_findings(struct plex86_frame *f, const uint8_t *code, uint32_t mask)
{
	mask &= PLEX86_FOUND_DECODED & ~f->decoded;
	f->findings |= plex86_filter_decode(code, mask, f->findings);
	f->decoded |= mask;
}

uint32_t plex86_early_findings(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
			       const uint8_t *code)
{
	uint32_t mask = forbidden(s, la) & PLEX86_FOUND_DECODED;
	struct plex86_frame *b;
	plex86_gpa_t gpa;

	if (!mask)
		return 0;
	b = la ? plex86_guest_code(s, (plex86_gva_t){ la - PLEX86_PAGE_SIZE }, &gpa) : NULL;
	if (!b)
		return plex86_filter_decode_early(NULL, code, mask);
	/* Mostly it is the same page as ever. */
	if (!(b->flags & PLEX86_FRAME_SCANNED) || f->before != b->scan ||
	    (mask & ~f->early_decoded)) {
		f->early = plex86_filter_decode_early(plex86_code_bytes(s->world, gpa), code, mask);
		f->early_decoded = b->flags & PLEX86_FRAME_SCANNED ? mask : 0;
		f->before = b->scan;
	}
	return f->early & mask;
}

uint32_t plex86_findings(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
			 plex86_gpa_t gpa)
{
	struct plex86_world *w = s->world;
	const uint8_t *code = plex86_code_bytes(w, gpa);
	uint32_t filter = forbidden(s, la);

	if (!(f->flags & PLEX86_FRAME_SCANNED)) {
		f->findings = plex86_filter_scan(code, PLEX86_PAGE_SIZE);
		f->flags |= PLEX86_FRAME_SCANNED;
		f->decoded = f->early_decoded = 0;
		f->scan = ++w->scans;
		f->flags &= ~(PLEX86_FRAME_NO_COPY | PLEX86_FRAME_HOT | PLEX86_FRAME_SURPRISE);
		f->traps = 0;
		w->host->watch_writes(gpa, UINT32_MAX);
		w->stats.pages_scanned++;
	}
	plex86_decode_findings(f, code, filter);
	return (f->findings & filter) | plex86_early_findings(s, f, la, code);
}

bool plex86_clean_seams(struct plex86_shadow *s, uint64_t la, plex86_gpa_t gpa)
{
	struct plex86_world *w = s->world;
	const uint8_t *code = plex86_code_bytes(w, gpa);
	const uint8_t *before =
		la ? plex86_code_at(s, (plex86_gva_t){ la - PLEX86_PAGE_SIZE }) : NULL;
	const uint8_t *after = plex86_code_at(s, (plex86_gva_t){ la + PLEX86_PAGE_SIZE });
	/* Of decoded ones plex86_early_findings() tells. */
	const uint32_t mask = plex86_filter_bytes(forbidden(s, la) & ~PLEX86_FOUND_GUESSED);

	return !(before && (plex86_filter_straddle(before, code) & mask)) &&
	       !(after && (plex86_filter_straddle(code, after) & mask));
}

void plex86_check_next(struct plex86_shadow *s, uint64_t la)
{
	plex86_gva_t next = { la + PLEX86_PAGE_SIZE };
	const uint8_t *code = plex86_code_at(s, next);
	plex86_gpa_t gpa;
	struct plex86_frame *f = code ? plex86_guest_code(s, next, &gpa) : NULL;
	uint32_t early = f ? plex86_early_findings(s, f, next.la, code) : 0;

	/* The rest does not depend on what comes before. */
	if (early & PLEX86_FOUND_GUESSED)
		plex86_unmap_at(s, next);
}

/* Entry @i of leaf @n, with the page of @la, can be executed: does it trap at the offset @where? */
static bool traps_at(struct plex86_shadow *s, struct plex86_node *n, unsigned int i,
		     plex86_gva_t la, size_t where)
{
	struct plex86_copies *c = &s->world->copies;

	if (n->prot[i] == PLEX86_PROT_EXEC)
		return plex86_copy_traps(c, plex86_copy_find(c, n->frame[i]),
					 plex86_code_at(s, la), where);
	return plex86_traps_at(&s->traps, (la.la & PLEX86_PAGE_MASK) + where);
}

bool plex86_code_surprises(struct plex86_shadow *s, plex86_gva_t rip, bool long64,
			   uint32_t harmless)
{
	const uint32_t mask = forbidden(s, rip.la) & PLEX86_FOUND_DECODED & ~harmless;
	struct plex86_node *n = mask ? plex86_tree_leaf(s, rip, false) : NULL;
	const uint32_t at = rip.la & ~PLEX86_PAGE_MASK;
	const unsigned int i = n ? plex86_leaf_index(n, rip) : 0;
	struct plex86_expected *e;
	struct plex86_frame *f;
	uint64_t place;
	uint32_t found;
	size_t where;

	if (!n || !(n->prot[i] & PLEX86_PROT_EXEC))
		return false;
	f = &s->world->frames[n->frame[i]];
	place = (uint64_t)f->scan << 13 | at << 1 | long64;
	e = &s->world->expected[(place ^ place >> 13) % PLEX86_EXPECTED];
	if (e->place == place && !(mask & ~e->mask))
		return false;
	found = plex86_filter_run(plex86_code_at(s, rip), at, long64, mask, &where);
	if (!found)
		*e = (struct plex86_expected){ .place = place, .mask = mask };
	if (!found || traps_at(s, n, i, rip, where))
		return false;
	/* Nothing says where else; so no traps, and no copies with some. */
	f->findings |= found;
	f->flags |= PLEX86_FRAME_NO_COPY | PLEX86_FRAME_SURPRISE;
	s->world->stats.surprises++;
	plex86_frame_revoke(s->world, n->frame[i], PLEX86_PROT_EXEC);
	return true;
}
