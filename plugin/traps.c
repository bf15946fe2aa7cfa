/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "filter.h"
#include "shadow.h"
#include "traps.h"

#define MAX_DOUBLINGS 10

/* In long mode the space may run 64-bit code later: REX bytes count as prefixes. */
static int locate(const struct plex86_shadow *s, const uint8_t *code, uint32_t found, uint16_t *at)
{
	int max = s->world->max_traps, n, m;

	if (!max)
		return 0;
	n = plex86_filter_locate(code, plex86_filter_bytes(found & ~PLEX86_FOUND_GUESSED),
				 s->paging.mode == PLEX86_PAGING_LONG, at, max);
	if (n < 0 || !(found & PLEX86_FOUND_GUESSED))
		return n;
	m = plex86_filter_decode_locate(code, found & PLEX86_FOUND_GUESSED, at + n, max - n);
	return m < 0 ? -1 : n + m;
}

bool plex86_traps_earned(struct plex86_traps *t, plex86_gva_t la, uint64_t insns, uint64_t worth)
{
	uint64_t page = la.la & PLEX86_PAGE_MASK;
	unsigned int i, least = 0;

	for (i = 0; i < PLEX86_TRAPS_HOT; i++) {
		if (t->hot[i].la == page && t->hot[i].emulated) {
			t->hot[i].emulated += insns;
			if (t->hot[i].emulated < worth << t->hot[i].granted)
				return false;
			/* If the page loses them again, it has to earn twice as much. */
			t->hot[i].emulated = 1;
			if (t->hot[i].granted < MAX_DOUBLINGS)
				t->hot[i].granted++;
			return true;
		}
		if (t->hot[i].emulated < t->hot[least].emulated)
			least = i;
	}
	t->hot[least].la = page;
	t->hot[least].emulated = insns;
	t->hot[least].granted = 0;
	return false;
}

void plex86_traps_blame(struct plex86_traps *t, plex86_gva_t la, uint64_t insns)
{
	unsigned int i;

	for (i = 0; i < PLEX86_TRAPS_HOT; i++)
		if (t->hot[i].la == (la.la & PLEX86_PAGE_MASK) && t->hot[i].emulated)
			t->hot[i].emulated += insns;
}

bool plex86_traps_cover(const struct plex86_traps *t, uint64_t la)
{
	unsigned int i;

	for (i = 0; i < t->npages; i++)
		if (t->page[i].la == la)
			return true;
	return false;
}

bool plex86_traps_at(const struct plex86_traps *t, uint64_t la)
{
	plex86_gva_t all[PLEX86_MAX_TRAPS];
	unsigned int n = plex86_traps_list(t, all);

	while (n--)
		if (all[n].la == la)
			return true;
	return false;
}

void plex86_traps_drop(struct plex86_traps *t, uint64_t la)
{
	unsigned int i;

	for (i = 0; i < t->npages; i++) {
		if (t->page[i].la == la) {
			memmove(&t->page[i], &t->page[i + 1],
				(t->npages - i - 1) * sizeof(t->page[0]));
			t->npages--;
			t->changed = true;
			return;
		}
	}
}

unsigned int plex86_traps_list(const struct plex86_traps *t, plex86_gva_t out[PLEX86_MAX_TRAPS])
{
	unsigned int i, j, n = 0;

	for (i = 0; i < t->npages; i++)
		for (j = 0; j < t->page[i].n; j++)
			out[n++] = t->page[i].addr[j];
	return n;
}

unsigned int plex86_traps_needed(const struct plex86_shadow *s, const uint8_t *code, uint32_t found)
{
	uint16_t at[PLEX86_MAX_TRAPS];
	int n = locate(s, code, found, at);

	return n > 0 ? n : 0;
}

bool plex86_traps_free(const struct plex86_shadow *s, unsigned int n)
{
	plex86_gva_t used[PLEX86_MAX_TRAPS];

	return plex86_traps_list(&s->traps, used) + n <= s->world->max_traps;
}

void plex86_traps_give_up(struct plex86_shadow *s)
{
	while (s->traps.npages)
		plex86_unmap_at(s, (plex86_gva_t){ s->traps.page[0].la });
	s->world->max_traps = 0;
	s->world->host->log(PLEX86_LOG_INFO, "the host's breakpoints are in use elsewhere: pages of code "
			    "that need them run in Bochs from now on");
}

bool plex86_traps_grant(struct plex86_shadow *s, uint64_t la, const uint8_t *code, uint32_t found)
{
	struct plex86_traps *t = &s->traps;
	struct plex86_trap_page *p;
	plex86_gva_t used[PLEX86_MAX_TRAPS];
	uint16_t at[PLEX86_MAX_TRAPS];
	unsigned int max = s->world->max_traps;
	int n = locate(s, code, found, at), i;

	if (n <= 0)
		return false;
	/* The page that has had its traps longest gives them up, and with them its mapping. */
	while (plex86_traps_list(t, used) + n > max)
		plex86_unmap_at(s, (plex86_gva_t){ t->page[0].la });
	p = &t->page[t->npages++];
	p->la = la;
	p->n = n;
	for (i = 0; i < n; i++)
		p->addr[i].la = la + at[i];
	t->changed = true;
	return true;
}
