/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "laps.h"

/* After so many stops a page's laps are measured again: programs change ... */
#define STOPS 64

/* ... where Bochs goes on for long anyway sooner, as that costs little. */
#define STOPS_WAITING 8

/* In longest laps: what seems to be so much more than usual was no noise. */
#define NOISE 16

static struct plex86_lap_page *find(struct plex86_laps *l, plex86_gva_t la)
{
	uint64_t page = la.la & PLEX86_PAGE_MASK;
	unsigned int i, least = 0;

	for (i = 0; i < PLEX86_LAPS_PAGES; i++) {
		if (l->page[i].weight && l->page[i].la == page)
			return &l->page[i];
		if (l->page[i].weight < l->page[least].weight)
			least = i;
	}
	/* Who is new replaces those that come no more, and not at once. */
	if (l->page[least].weight > 1) {
		l->page[least].weight /= 2;
		return NULL;
	}
	l->page[least] = (struct plex86_lap_page){ .la = page, .replaced = l->page[least].weight };
	return &l->page[least];
}

uint64_t plex86_laps_work(struct plex86_laps *l, plex86_gva_t la, uint64_t seems, uint64_t most)
{
	struct plex86_lap_page *p = find(l, la);

	if (!p)
		return seems;
	p->stops++;
	if (p->weight < UINT32_MAX)
		p->weight++;
	/* Means of what was cut off say no more than that it is long. */
	if (!p->length || (p->length >= most - most / 4 && seems > p->length))
		return seems;
	return seems > NOISE * most + p->length ? seems - NOISE * most : p->length;
}

void plex86_laps_begin(struct plex86_laps *l, struct plex86_lap *lap, plex86_gva_t la,
		       uint64_t icount, uint64_t wait, uint64_t most)
{
	struct plex86_lap_page *p = find(l, la);

	lap->most = 0;
	/* Too many pages that take turns are not measured each time that one comes. */
	if (!p || (p->replaced && p->weight < 2) || (p->length && p->stops < (wait < most ? STOPS : STOPS_WAITING)))
		return;
	p->stops = 0;
	*lap = (struct plex86_lap){ .la = la.la & PLEX86_PAGE_MASK, .begin = icount, .most = most };
}

static void measured(struct plex86_laps *l, const struct plex86_lap *lap, uint64_t length)
{
	struct plex86_lap_page *p = find(l, (plex86_gva_t){ lap->la });

	if (p)
		p->length = p->length ? (p->length + length) / 2 + 1 : length + 1;
}

void plex86_laps_end(struct plex86_laps *l, struct plex86_lap *lap, uint64_t icount)
{
	if (lap->most && lap->out && icount > lap->begin)
		measured(l, lap, icount - lap->begin < lap->most ? icount - lap->begin : lap->most);
	lap->most = 0;
}

bool plex86_laps_go_on(struct plex86_laps *l, struct plex86_lap *lap, plex86_gva_t rip,
		       uint64_t icount)
{
	bool inside = (rip.la & PLEX86_PAGE_MASK) == lap->la;
	uint64_t length = icount - lap->begin;

	if (!inside && !lap->out) {
		lap->out = true;
		lap->begin = icount;
		return true;
	}
	if (inside && lap->out)
		measured(l, lap, length < lap->most ? length : lap->most);
	else if (length < lap->most)
		return true;
	else if (lap->out)
		measured(l, lap, lap->most);
	lap->most = 0;
	return false;
}
