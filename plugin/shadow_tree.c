/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree of nodes: a copy of the shape of the guest's page tables, as far as
 * native code has needed it.
 */
#include <stdlib.h>
#include <string.h>

#include "shadow.h"

/*
 * Bits of an entry that decide what the tree below it means.  A is among them:
 * an entry whose A bit the guest clears must be walked by Bochs again.  D and
 * the rest matter for leaves only, which a large page's entry is.
 */
static uint64_t relevant(const struct plex86_paging *p, unsigned int level, uint64_t e)
{
	uint64_t bits = PLEX86_PTE_P | PLEX86_PTE_W | PLEX86_PTE_U | PLEX86_PTE_A | PLEX86_PTE_PS |
			PLEX86_PTE_NX | PLEX86_PTE_ADDR;

	if (level > 1 && plex86_entry_is_leaf(p, level, e)) {
		bits |= PLEX86_PTE_D;
		bits &= ~(UINT64_C(1) << 12);	/* PAT */
	}
	return e & bits;
}

static uint32_t rights_of(const struct plex86_paging *p, unsigned int level, uint64_t e)
{
	uint32_t r = PLEX86_PROT_READ;

	if (p->mode == PLEX86_PAGING_PAE && level == 3)
		return PLEX86_PROT_READ | PLEX86_PROT_WRITE | PLEX86_PROT_EXEC;
	if (e & PLEX86_PTE_W)
		r |= PLEX86_PROT_WRITE;
	if (!p->nxe || !(e & PLEX86_PTE_NX))
		r |= PLEX86_PROT_EXEC;
	if (plex86_entry_is_leaf(p, level, e) && !(e & PLEX86_PTE_D))
		r &= ~PLEX86_PROT_WRITE;
	return r;
}

void plex86_list_add(struct plex86_world *w, uint32_t *first, struct plex86_node *n, int list)
{
	n->list[list].next = *first;
	n->list[list].prev = PLEX86_NONE;
	if (*first != PLEX86_NONE)
		w->nodes[*first]->list[list].prev = n->self;
	*first = n->self;
}

void plex86_list_remove(struct plex86_world *w, uint32_t *first, struct plex86_node *n, int list)
{
	uint32_t next = n->list[list].next, prev = n->list[list].prev;

	if (next != PLEX86_NONE)
		w->nodes[next]->list[list].prev = prev;
	if (prev != PLEX86_NONE)
		w->nodes[prev]->list[list].next = next;
	else
		*first = next;
}

static uint32_t node_number(struct plex86_world *w)
{
	struct plex86_node **grown;
	uint32_t n, max;

	if (w->alive == w->most)
		return PLEX86_NONE;
	for (n = w->freenode; n < w->nnodes; n++)
		if (!w->nodes[n])
			break;
	w->freenode = n + 1;
	if (n < w->nnodes)
		return n;
	if (w->nnodes == w->maxnodes) {
		max = w->maxnodes ? 2 * w->maxnodes : 1024;
		if (max > PLEX86_MAX_NODES)
			return PLEX86_NONE;
		grown = realloc(w->nodes, max * sizeof(*grown));
		if (!grown)
			return PLEX86_NONE;
		w->nodes = grown;
		w->maxnodes = max;
	}
	w->nodes[w->nnodes] = NULL;
	return w->nnodes++;
}

static struct plex86_node *node_alloc(struct plex86_world *w, unsigned int level,
				      unsigned int entries)
{
	size_t body = level > 1 ? entries * sizeof(uint32_t)
				: entries * (3 * sizeof(uint32_t) + sizeof(uint8_t));
	struct plex86_node *n = calloc(1, sizeof(*n) + body);
	uint32_t self = n ? node_number(w) : PLEX86_NONE;

	if (self == PLEX86_NONE) {
		free(n);
		return NULL;
	}
	n->self = self;
	n->level = level;
	n->entries = entries;
	n->parent = PLEX86_NONE;
	if (level > 1) {
		n->child = (uint32_t *)(n + 1);
		memset(n->child, 0xff, body);
	} else {
		n->frame = (uint32_t *)(n + 1);
		n->rnext = n->frame + entries;
		n->rprev = n->rnext + entries;
		n->prot = (uint8_t *)(n->rprev + entries);
	}
	w->nodes[self] = n;
	w->alive++;
	return n;
}

/*
 * Watches the table that @n was read from.  Nothing may write to it natively
 * from now on (I4), and Bochs tells us of its own writes.
 */
static void watch_table(struct plex86_world *w, struct plex86_node *n)
{
	struct plex86_frame *f = plex86_frame_of(w, (plex86_gpa_t){ n->table });

	if (!f || (n->shadow->paging.mode == PLEX86_PAGING_PAE && n->level == 3))
		return;
	plex86_list_add(w, &f->watchers, n, PLEX86_WATCHING);
	if (!(f->flags & PLEX86_FRAME_TABLE)) {
		f->flags |= PLEX86_FRAME_TABLE;
		plex86_frame_revoke(w, n->table >> PLEX86_PAGE_SHIFT, PLEX86_PROT_WRITE);
	}
	w->host->watch_writes((plex86_gpa_t){ n->table & PLEX86_PAGE_MASK }, UINT32_MAX);
	w->stats.tables_watched++;
}

static void unwatch_table(struct plex86_world *w, struct plex86_node *n)
{
	struct plex86_frame *f;

	if (n->table == PLEX86_NO_TABLE)
		return;
	f = plex86_frame_of(w, (plex86_gpa_t){ n->table });
	if (!f || (n->shadow->paging.mode == PLEX86_PAGING_PAE && n->level == 3))
		return;
	plex86_list_remove(w, &f->watchers, n, PLEX86_WATCHING);
	if (f->watchers == PLEX86_NONE)
		f->flags &= ~PLEX86_FRAME_TABLE;
}

/* Frees without telling the engine, which gets one UNMAP for the whole range. */
static void drop_quietly(struct plex86_world *w, uint32_t number)
{
	struct plex86_node *n = w->nodes[number];
	unsigned int i;

	for (i = 0; i < n->entries; i++) {
		if (n->level > 1 && n->child[i] != PLEX86_NONE)
			drop_quietly(w, n->child[i]);
		else if (n->level == 1 && n->prot[i])
			plex86_forget(n, i);
	}
	if (n->queued)
		plex86_list_remove(w, &n->shadow->dirty[n->level - 1], n, PLEX86_DIRTY);
	unwatch_table(w, n);
	if (n->parent != PLEX86_NONE)
		w->nodes[n->parent]->child[n->index] = PLEX86_NONE;
	w->nodes[number] = NULL;
	w->alive--;
	if (number < w->freenode)
		w->freenode = number;
	free(n);
}

void plex86_node_drop(struct plex86_world *w, uint32_t number)
{
	struct plex86_node *n = w->nodes[number];
	struct plex86_shadow *s = n->shadow;
	uint64_t base = n->base;
	unsigned int shift = plex86_paging_shift(&s->paging, n->level);
	uint64_t pages = ((uint64_t)n->entries << shift) >> PLEX86_PAGE_SHIFT;
	uint32_t before = s->mapped;

	drop_quietly(w, number);
	w->stats.subtrees_dropped++;
	if (s->mapped != before)
		plex86_queue_unmap(s, base, pages);
}

/* The entry of @n at @index: from the guest's table, or a piece of a large page. */
static uint64_t entry_of(struct plex86_node *n, unsigned int index)
{
	const struct plex86_paging *p = &n->shadow->paging;
	uint64_t e;

	if (n->table != PLEX86_NO_TABLE)
		return plex86_entry_read(n->shadow->world->ram, p, n->level,
					 (plex86_gpa_t){ n->table }, index);
	e = n->entry + ((uint64_t)index << plex86_paging_shift(p, n->level));
	return n->level == 1 ? e & ~PLEX86_PTE_PS : e;
}

/* A table that is no RAM, or has a device laid over it, has nothing that is present for us. */
static uint64_t table_at(const struct plex86_world *w, uint64_t pa)
{
	return plex86_plain_page(w, (plex86_gpa_t){ pa & PLEX86_PAGE_MASK }) ? pa : PLEX86_DEVICE_TABLE;
}

/* The PML4 of user space: the root, or what the first entry of a PML5 leads to. */
static bool is_user_pml4(const struct plex86_node *n)
{
	return n->level == 4 && !n->base;
}

void plex86_pml4_slots(struct plex86_node *n, unsigned int first, unsigned int count)
{
	const uint64_t need = PLEX86_PTE_P | PLEX86_PTE_U;
	struct plex86_shadow *s = n->shadow;
	unsigned int i;

	if (!is_user_pml4(n))
		return;
	for (i = first; i < first + count && i < PLEX86_SLOTS; i++) {
		const uint64_t bit = UINT64_C(1) << i % 64;

		if ((s->slots[i / 64] & bit) || (entry_of(n, i) & need) != need)
			continue;
		s->slots[i / 64] |= bit;
		s->slots_new = true;
	}
}

static struct plex86_node *make_child(struct plex86_node *up, unsigned int index, uint64_t e)
{
	struct plex86_shadow *s = up->shadow;
	const struct plex86_paging *p = &s->paging;
	struct plex86_node *n = node_alloc(s->world, up->level - 1,
					   plex86_paging_entries(p, up->level - 1));

	if (!n) {
		s->broken = true;
		return NULL;
	}
	n->shadow = s;
	n->parent = up->self;
	n->index = index;
	n->base = up->base + ((uint64_t)index << plex86_paging_shift(p, up->level));
	n->entry = relevant(p, up->level, e);
	n->rights = up->rights & rights_of(p, up->level, e);
	if (plex86_entry_is_leaf(p, up->level, e)) {
		n->table = PLEX86_NO_TABLE;
	} else {
		n->table = table_at(s->world, plex86_entry_address(p, e));
		watch_table(s->world, n);
	}
	up->child[index] = n->self;
	plex86_pml4_slots(n, 0, PLEX86_SLOTS);
	return n;
}

static struct plex86_node *make_root(struct plex86_shadow *s)
{
	unsigned int level = plex86_paging_levels(&s->paging);
	struct plex86_node *n = node_alloc(s->world, level,
					   plex86_paging_entries(&s->paging, level));

	if (!n) {
		s->broken = true;
		return NULL;
	}
	n->shadow = s;
	n->table = table_at(s->world, s->paging.root);
	n->rights = PLEX86_PROT_READ | PLEX86_PROT_WRITE | PLEX86_PROT_EXEC;
	s->root = n->self;
	watch_table(s->world, n);
	plex86_pml4_slots(n, 0, PLEX86_SLOTS);
	return n;
}

struct plex86_node *plex86_tree_leaf(struct plex86_shadow *s, plex86_gva_t la, bool make)
{
	struct plex86_world *w = s->world;
	struct plex86_node *n;

	if (!plex86_gva_valid(&s->paging, la))
		return NULL;
	if (s->root != PLEX86_NONE)
		n = w->nodes[s->root];
	else
		n = make ? make_root(s) : NULL;
	while (n && n->level > 1) {
		unsigned int index = (la.la >> plex86_paging_shift(&s->paging, n->level)) &
				     (n->entries - 1);
		uint64_t e;

		if (n->child[index] != PLEX86_NONE) {
			n = w->nodes[n->child[index]];
			continue;
		}
		if (!make)
			return NULL;
		e = entry_of(n, index);
		if (!plex86_entry_usable(&s->paging, n->level, e))
			return NULL;
		n = make_child(n, index, e);
	}
	return n;
}

bool plex86_tree_wants_walk(const struct plex86_shadow *s, plex86_gva_t la)
{
	const struct plex86_paging *p = &s->paging;
	plex86_gpa_t table = { p->root };
	unsigned int level = plex86_paging_levels(p);
	bool clear = false, write = true;

	if (!plex86_gva_valid(p, la))
		return false;
	for (;; level--) {
		unsigned int index = (la.la >> plex86_paging_shift(p, level)) &
				     (plex86_paging_entries(p, level) - 1);
		uint64_t e = plex86_entry_read(s->world->ram, p, level, table, index);

		if (!plex86_entry_usable(p, level, e)) {
			if (!plex86_entry_usable(p, level, e | PLEX86_PTE_A))
				return false;
			clear = true;
		}
		if (!(rights_of(p, level, e | PLEX86_PTE_D) & PLEX86_PROT_WRITE))
			write = false;
		if (plex86_entry_is_leaf(p, level, e))
			return clear || (write && !(e & PLEX86_PTE_D));
		table.pa = plex86_entry_address(p, e);
	}
}

/* Only the lower half of a PML4 is user space, and of a PML5 the first entry, as far as it goes. */
static unsigned int user_entries(const struct plex86_node *n)
{
	if (n->level == 5)
		return 1;
	return is_user_pml4(n) ? PLEX86_SLOTS : n->entries;
}

static bool each_leaf(struct plex86_node *n, bool (*visit)(struct plex86_node *leaf),
		      uint32_t *nodes)
{
	struct plex86_shadow *s = n->shadow;
	unsigned int i;

	if (!(*nodes)--)
		return false;
	if (n->level == 1)
		return visit(n);
	for (i = 0; i < user_entries(n); i++) {
		uint64_t e = n->child[i] == PLEX86_NONE ? entry_of(n, i) : 0;
		struct plex86_node *child;

		if (n->child[i] != PLEX86_NONE)
			child = s->world->nodes[n->child[i]];
		else if (plex86_entry_usable(&s->paging, n->level, e))
			child = make_child(n, i, e);
		else
			continue;
		if (!child || !each_leaf(child, visit, nodes))
			return false;
	}
	return true;
}

void plex86_tree_each_leaf(struct plex86_shadow *s, bool (*visit)(struct plex86_node *leaf),
			   uint32_t nodes)
{
	struct plex86_node *root = s->root != PLEX86_NONE ? s->world->nodes[s->root] : make_root(s);

	if (root)
		each_leaf(root, visit, &nodes);
}

struct plex86_view plex86_leaf_view(struct plex86_node *n, unsigned int index)
{
	const struct plex86_paging *p = &n->shadow->paging;
	uint64_t e = entry_of(n, index);
	struct plex86_view v = { { 0 }, 0 };

	if (n->table == PLEX86_NO_TABLE) {
		v.frame.pa = e & PLEX86_PTE_ADDR;
		v.allowed = n->rights;
	} else if (plex86_entry_usable(p, 1, e)) {
		v.frame = plex86_entry_frame(p, 1, e, (plex86_gva_t){ 0 });
		v.allowed = n->rights & rights_of(p, 1, e);
	}
	return v;
}

bool plex86_child_is_current(struct plex86_node *up, unsigned int index)
{
	const struct plex86_paging *p = &up->shadow->paging;
	const struct plex86_node *n = up->shadow->world->nodes[up->child[index]];
	uint64_t e = entry_of(up, index);

	return plex86_entry_usable(p, up->level, e) && relevant(p, up->level, e) == n->entry;
}
