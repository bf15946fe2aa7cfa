/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading again what changed: Bochs reports each write to a watched table
 * before it happens, so the lines are only noted then, and read when native
 * code is about to run (I3, I4).  An entry that is new and already accessed is
 * mapped at once, which saves the fault that would otherwise ask for it.
 */
#include <string.h>

#include "shadow.h"

static void mark_dirty(struct plex86_node *n, uint32_t mask)
{
	n->dirty |= mask;
	if (n->queued)
		return;
	n->queued = true;
	plex86_list_add(n->shadow->world, &n->shadow->dirty[n->level - 1], n, PLEX86_DIRTY);
}

bool plex86_world_page_written(struct plex86_world *w, plex86_gpa_t gpa, uint32_t mask)
{
	struct plex86_frame *f = plex86_frame_of(w, gpa);
	bool decoded;
	uint32_t i;

	if (!f)
		return false;
	for (i = f->watchers; i != PLEX86_NONE; i = w->nodes[i]->list[PLEX86_WATCHING].next)
		mark_dirty(w->nodes[i], mask);
	if (f->nexec)
		plex86_frame_revoke(w, gpa.pa >> PLEX86_PAGE_SHIFT, PLEX86_PROT_EXEC);
	if (f->flags & PLEX86_FRAME_DESCRIPTORS)
		w->descriptors.dirty = true;
	f->flags &= ~PLEX86_FRAME_SCANNED;
	decoded = f->flags & PLEX86_FRAME_DECODED;
	if (mask == UINT32_MAX)
		f->flags &= ~PLEX86_FRAME_DECODED;
	return !decoded;
}

void plex86_world_page_decoded(struct plex86_world *w, plex86_gpa_t gpa)
{
	struct plex86_frame *f = plex86_frame_of(w, gpa);

	if (!f)
		return;
	f->flags |= PLEX86_FRAME_DECODED;
	if (f->nwrite)
		plex86_frame_revoke(w, gpa.pa >> PLEX86_PAGE_SHIFT, PLEX86_PROT_WRITE);
}

void plex86_world_stamps_reset(struct plex86_world *w)
{
	uint64_t i;

	plex86_world_drop_all(w);
	w->descriptors.dirty = true;	/* and no longer watched */
	for (i = 0; i < w->nframes; i++)
		w->frames[i].flags &= ~PLEX86_FRAME_DECODED;
}

static void reread_leaf(struct plex86_node *n, unsigned int index)
{
	struct plex86_view v = plex86_leaf_view(n, index);
	bool same = n->frame[index] == v.frame.pa >> PLEX86_PAGE_SHIFT;
	uint32_t had = n->prot[index], want = v.allowed;
	struct plex86_frame *f;

	if (!want) {
		if (had)
			plex86_unmap(n, index);
		return;
	}
	/* Code stays code and the rest is data, until a fault says otherwise. */
	if (had & PLEX86_PROT_EXEC)
		want &= ~PLEX86_PROT_WRITE;
	else
		want &= ~PLEX86_PROT_EXEC;
	/* What was not written here may be code elsewhere, and its neighbour's entry is no write. */
	f = plex86_frame_of(n->shadow->world, v.frame);
	if (!(same && (had & PLEX86_PROT_WRITE)) && f && (f->nexec || (f->flags & PLEX86_FRAME_DECODED)))
		want &= ~PLEX86_PROT_WRITE;
	if (want == had && same)
		return;
	if (!plex86_map(n, index, v.frame, want) && n->prot[index])
		plex86_unmap(n, index);
}

static void reread_lines(struct plex86_node *n)
{
	unsigned int per_line = 128 >> plex86_paging_entry_shift(&n->shadow->paging);
	struct plex86_world *w = n->shadow->world;
	uint32_t lines = n->dirty;

	n->dirty = 0;
	if (n->table != PLEX86_NO_TABLE &&
	    !(n->shadow->paging.mode == PLEX86_PAGING_PAE && n->level == 3))
		w->host->watch_writes((plex86_gpa_t){ n->table & PLEX86_PAGE_MASK }, lines);
	while (lines) {
		unsigned int line = __builtin_ctz(lines), i;

		lines &= lines - 1;
		w->stats.lines_reread++;
		plex86_pml4_slots(n, line * per_line, per_line);
		for (i = line * per_line; i < (line + 1) * per_line && i < n->entries; i++) {
			if (n->level == 1)
				reread_leaf(n, i);
			else if (n->child[i] != PLEX86_NONE && !plex86_child_is_current(n, i))
				plex86_node_drop(w, n->child[i]);
		}
	}
}

/* From the root down to @level: what hangs below a changed entry goes unread. */
static void reread(struct plex86_shadow *s, unsigned int level)
{
	struct plex86_world *w = s->world;
	unsigned int i;

	for (i = PLEX86_LEVELS; i-- >= level;) {
		while (s->dirty[i] != PLEX86_NONE) {
			struct plex86_node *n = w->nodes[s->dirty[i]];

			plex86_list_remove(w, &s->dirty[i], n, PLEX86_DIRTY);
			n->queued = false;
			reread_lines(n);
		}
	}
}

void plex86_tables_left(struct plex86_shadow *s, struct plex86_frame *f)
{
	struct plex86_world *w = s->world;
	uint32_t i;

	for (i = f->watchers; i != PLEX86_NONE; i = w->nodes[i]->list[PLEX86_WATCHING].next)
		if (w->nodes[i]->shadow == s)
			return;
	if (!plex86_may_flip(w, f))
		return;
	while (f->watchers != PLEX86_NONE) {
		struct plex86_node *n = w->nodes[f->watchers];
		struct plex86_shadow *other = n->shadow;

		reread(other, 2);
		if (f->watchers == PLEX86_NONE || w->nodes[f->watchers] != n)
			continue;
		/*
		 * Its tables still lead there; or it is where they begin, and it has ended.  PAE's
		 * begin with four, as the entries above are the CPU's.
		 */
		if (n->parent != PLEX86_NONE &&
		    !(other->paging.mode == PLEX86_PAGING_PAE && n->level == 2))
			return;
		plex86_space_give_up(other);
	}
}

void plex86_shadow_sync(struct plex86_shadow *s, const struct plex86_paging *now)
{
	struct plex86_world *w = s->world;

	/* PDPTEs are cached by the CPU at MOV CR3, and do not follow memory. */
	if (now->mode == PLEX86_PAGING_PAE &&
	    memcmp(s->paging.pdpte, now->pdpte, sizeof(now->pdpte))) {
		memcpy(s->paging.pdpte, now->pdpte, sizeof(now->pdpte));
		if (s->root != PLEX86_NONE)
			mark_dirty(w->nodes[s->root], 1);
	}
	reread(s, 1);
}
