/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The set of shadow spaces: bounded, least recently used goes first.  Whatever
 * a space is, is derived; so giving one up costs time and nothing else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "verify.h"

/*
 * Nodes that there may be: so many, and one for each so many frames.  Ordinary guests need a
 * tenth of that, but a few tables that name each other can look like millions.
 */
#define MIN_NODES	16384
#define NODE_FRAMES	8

int plex86_world_init(struct plex86_world *w, const struct plex86_engine_ops *ops,
		      struct plex86_engine *engine, const struct plex86_host_ops *host,
		      struct plex86_ram *ram, uint32_t maxspaces, bool strict)
{
	uint64_t i;

	memset(w, 0, sizeof(*w));
	w->ops = ops;
	w->engine = engine;
	w->caps = ops->caps(engine);
	w->host = host;
	w->ram = ram;
	w->strict = strict;
	w->maxspaces = maxspaces;
	w->max_traps = w->caps->max_traps;
	w->trip.ns = w->caps->trip_ran_ns;
	w->nframes = ram->guest_size >> PLEX86_PAGE_SHIFT;
	w->most = w->nframes / NODE_FRAMES + MIN_NODES;
	if (w->most > PLEX86_MAX_NODES)
		w->most = PLEX86_MAX_NODES;
	w->frames = calloc(w->nframes, sizeof(*w->frames));
	w->spaces = calloc(maxspaces, sizeof(*w->spaces));
	if (!w->frames || !w->spaces) {
		free(w->frames);
		free(w->spaces);
		return -ENOMEM;
	}
	if (plex86_descriptors_init(w)) {
		free(w->frames);
		free(w->spaces);
		return -ENOMEM;
	}
	for (i = 0; i < w->nframes; i++)
		w->frames[i].rmap = w->frames[i].watchers = PLEX86_NONE;
	return 0;
}

void plex86_world_drop_all(struct plex86_world *w)
{
	uint64_t i;

	while (w->nspaces)
		plex86_space_kill(w->spaces[w->nspaces - 1]);
	/* A guest may have its BIOS move the A20 gate all the time, and run no user code at all. */
	if (w->swept == w->scans)
		return;
	w->swept = w->scans;
	for (i = 0; i < w->nframes; i++)
		w->frames[i].flags &= ~PLEX86_FRAME_SCANNED;
}

void plex86_world_fini(struct plex86_world *w)
{
	plex86_world_drop_all(w);
	plex86_descriptors_fini(w);
	free(w->nodes);
	free(w->frames);
	free(w->spaces);
	memset(w, 0, sizeof(*w));
}

static bool same_key(const struct plex86_paging *a, const struct plex86_paging *b)
{
	return a->root == b->root && a->mode == b->mode && a->pse == b->pse && a->nxe == b->nxe &&
	       a->la57 == b->la57 && a->pke == b->pke;
}

struct plex86_shadow *plex86_space_find(struct plex86_world *w, const struct plex86_paging *paging)
{
	uint32_t i;

	for (i = 0; i < w->nspaces; i++) {
		if (same_key(&w->spaces[i]->paging, paging)) {
			w->spaces[i]->used = ++w->clock;
			return w->spaces[i];
		}
	}
	return NULL;
}

void plex86_space_kill(struct plex86_shadow *s)
{
	struct plex86_world *w = s->world;
	uint32_t i;

	if (w->verify)
		plex86_verify_forget(w->verify, s);
	if (s->root != PLEX86_NONE)
		plex86_node_drop(w, s->root);
	w->ops->space_destroy(s->engine);
	for (i = 0; w->spaces[i] != s; i++)
		;
	w->spaces[i] = w->spaces[--w->nspaces];
	free(s->ops);
	free(s);
}

void plex86_space_give_up(struct plex86_shadow *s)
{
	if (s->world->policy)
		plex86_policy_gave_up(s->world->policy, s->account);
	plex86_space_kill(s);
}

static void evict(struct plex86_world *w)
{
	uint32_t i, oldest = 0;

	for (i = 1; i < w->nspaces; i++)
		if (w->spaces[i]->used < w->spaces[oldest]->used)
			oldest = i;
	w->stats.spaces_evicted++;
	plex86_space_give_up(w->spaces[oldest]);
}

int plex86_space_make(struct plex86_world *w, const struct plex86_paging *paging,
		      struct plex86_shadow **made)
{
	struct plex86_shadow *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	while (w->nspaces && (w->nspaces == w->maxspaces || w->alive > w->most / 2))
		evict(w);
	err = w->ops->space_create(w->engine, &s->engine);
	if (err && w->nspaces) {
		/*
		 * Out of processes or memory, maybe: one space fewer may help, if not at once.  An engine
		 * may need a while to bury it.
		 */
		evict(w);
		err = w->ops->space_create(w->engine, &s->engine);
	}
	if (err) {
		free(s);
		return err;
	}
	s->world = w;
	s->paging = *paging;
	s->root = PLEX86_NONE;
	memset(s->dirty, 0xff, sizeof(s->dirty));
	s->used = ++w->clock;
	s->trip.ns = s->undefined.ns = w->trip.ns;
	w->spaces[w->nspaces++] = s;
	w->stats.spaces_created++;
	*made = s;
	return 0;
}

/* Each space has its own copy, and most of them never learn of a change. */
static int describe(struct plex86_shadow *s)
{
	struct plex86_descriptors *d = &s->world->descriptors;
	int err;

	if (s->described == d->generation)
		return 0;
	err = s->world->ops->set_descriptors(s->engine, d->gdt.entry, d->gdt.n, d->ldt.entry,
					     d->ldt.n);
	if (err)
		return err;
	s->described = d->generation;
	s->world->stats.descriptors_given++;
	return 0;
}

/* Nothing of the engine's may be where the guest has something that is not mapped yet. */
static int tell_slots(struct plex86_shadow *s)
{
	int err = 0;

	if (s->slots_new && s->world->ops->occupied)
		err = s->world->ops->occupied(s->engine, s->slots);
	s->slots_new = false;
	return err;
}

static int set_traps(struct plex86_shadow *s)
{
	plex86_gva_t traps[PLEX86_MAX_TRAPS];
	uint32_t n = plex86_traps_list(&s->traps, traps);
	int err;

	if (!s->traps.changed)
		return 0;
	err = s->world->ops->set_traps(s->engine, traps, n);
	if (err == -ENOSPC) {
		plex86_traps_give_up(s);
		err = s->world->ops->set_traps(s->engine, traps, 0);
	}
	s->traps.changed = err;
	return err;
}

int plex86_space_flush(struct plex86_shadow *s)
{
	const struct plex86_world *w = s->world;
	const struct plex86_map_op *ops;
	uint32_t n;
	int err;

	if (s->broken)
		return -ENOMEM;
	err = describe(s);
	if (!err)
		err = tell_slots(s);
	if (err)
		return err;
	err = set_traps(s);
	if (!err && s->broken)
		err = -ENOMEM;
	if (err)
		return err;
	ops = s->ops;
	n = s->nops;
	if (!n)
		return 0;
	s->nops = 0;
	if (w->verify)
		ops = plex86_verify_overlay(w->verify, ops, &n);
	return ops ? w->ops->apply(s->engine, ops, n, NULL) : -ENOMEM;
}
