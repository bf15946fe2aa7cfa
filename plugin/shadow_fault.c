/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A page fault in native code.  Either the guest's tables allow the access by
 * now, and the page and its neighbours are mapped; or the fault is the guest's
 * own business (not present, A or D not set yet, no right), and Bochs executes
 * the instruction, with all its consequences.
 */
#include "decode.h"
#include "shadow.h"

/* Engine operations that populating a space may take, and tables that it may look at. */
#define POPULATE_OPS	256
#define POPULATE_NODES	2048

/* Pages mapped along with the one that was asked for; half of a 128-byte table line. */
#define NEIGHBOURS 16

bool plex86_fault_is_fetch(plex86_gva_t addr, plex86_gva_t rip, uint32_t access)
{
	if (access & PLEX86_ACCESS_KNOWN)
		return access & PLEX86_ACCESS_EXEC;
	/* The CPU reports RIP itself, or the start of the page that the instruction runs into. */
	return addr.la == rip.la ||
	       ((addr.la & ~PLEX86_PAGE_MASK) == 0 && addr.la - rip.la < PLEX86_MAX_INSN);
}

/*
 * May a page be mapped as code before native code goes there?  Without NX all data can be executed;
 * as a copy it could not be read any more.
 */
static bool seems_code(struct plex86_node *n, unsigned int index, struct plex86_frame *f,
		       struct plex86_view v)
{
	struct plex86_shadow *s = n->shadow;

	if (!(v.allowed & PLEX86_PROT_EXEC) || (v.allowed & PLEX86_PROT_WRITE) || f->nwrite)
		return false;
	return s->paging.nxe || !plex86_code_bytes(s->world, v.frame) ||
	       !plex86_findings(s, f, n->base + ((uint64_t)index << PLEX86_PAGE_SHIFT), v.frame);
}

/* What is mapped unasked: code beside code, and data beside data. */
static void map_neighbour(struct plex86_node *n, unsigned int index, bool code)
{
	struct plex86_view v = plex86_leaf_view(n, index);
	struct plex86_frame *f = plex86_frame_of(n->shadow->world, v.frame);
	uint32_t want = v.allowed;

	if (!want || !f || (n->prot[index] && !(code && n->prot[index] == PLEX86_PROT_READ)))
		return;
	if (code && seems_code(n, index, f, v)) {
		if (plex86_map(n, index, v.frame, want))
			return;
	}
	if (n->prot[index])
		return;
	want &= ~PLEX86_PROT_EXEC;
	if (f->nexec || (f->flags & PLEX86_FRAME_DECODED))
		want &= ~PLEX86_PROT_WRITE;
	plex86_map(n, index, v.frame, want);
}

static void map_around(struct plex86_node *n, unsigned int index, bool code)
{
	/* A large page comes as one run; elsewhere what the guest has used near by. */
	unsigned int span = n->table == PLEX86_NO_TABLE && !code ? n->entries : NEIGHBOURS;
	unsigned int first = index & ~(span - 1), i;

	for (i = first; i < first + span; i++)
		if (i != index)
			map_neighbour(n, i, code);
}

static bool map_used(struct plex86_node *n)
{
	struct plex86_shadow *s = n->shadow;
	unsigned int i;

	for (i = 0; i < n->entries && s->nops < POPULATE_OPS; i++)
		map_neighbour(n, i, true);
	return !s->broken && s->nops < POPULATE_OPS && s->mapped < s->world->populate;
}

void plex86_shadow_populate(struct plex86_shadow *s)
{
	s->populated = true;
	if (s->world->populate)
		plex86_tree_each_leaf(s, map_used, POPULATE_NODES);
}

enum plex86_fault_result plex86_shadow_fault(struct plex86_shadow *s, plex86_gva_t addr,
					     plex86_gva_t rip, uint32_t access)
{
	struct plex86_node *n = plex86_tree_leaf(s, addr, true);
	struct plex86_frame *f;
	bool fetch = plex86_fault_is_fetch(addr, rip, access);
	struct plex86_view v;
	unsigned int index;
	uint32_t had, want, got;

	if (!n)
		return PLEX86_FAULT_GUEST;
	index = plex86_leaf_index(n, addr);
	v = plex86_leaf_view(n, index);
	had = n->prot[index];
	if (!v.allowed)
		return PLEX86_FAULT_GUEST;
	f = plex86_frame_of(s->world, v.frame);
	if (!f)
		return PLEX86_FAULT_STUCK;	/* device memory */

	/* It can be executed, so this is no fetch: code reads the page that it is in. */
	if (had == PLEX86_PROT_EXEC && n->frame[index] == v.frame.pa >> PLEX86_PAGE_SHIFT &&
	    !((access & PLEX86_ACCESS_KNOWN) &&
	      (access & (PLEX86_ACCESS_WRITE | PLEX86_ACCESS_EXEC)))) {
		plex86_copy_was_read(n, index);
		return PLEX86_FAULT_GUEST;
	}

	if (fetch) {
		if (!(v.allowed & PLEX86_PROT_EXEC))
			return PLEX86_FAULT_GUEST;
		want = PLEX86_PROT_READ | PLEX86_PROT_EXEC;
	} else {
		/* It can be read: whatever the CPU meant, mapping does not help. */
		if (had && (access & PLEX86_ACCESS_KNOWN) && !(access & PLEX86_ACCESS_WRITE) &&
		    n->frame[index] == v.frame.pa >> PLEX86_PAGE_SHIFT)
			return PLEX86_FAULT_GUEST;
		want = v.allowed & ~PLEX86_PROT_EXEC;
		if (had && !(want & PLEX86_PROT_WRITE))
			return PLEX86_FAULT_GUEST;	/* a write that the tables forbid */
		/*
		 * A read of a page that holds code must not take the code
		 * away: map what reading needs, and let a write come again.
		 * So with what may be another space's table.
		 */
		if (!had && (f->nexec || (f->flags & (PLEX86_FRAME_DECODED | PLEX86_FRAME_TABLE))) &&
		    !((access & PLEX86_ACCESS_KNOWN) && (access & PLEX86_ACCESS_WRITE)))
			want = PLEX86_PROT_READ;
	}
	if (want == had && n->frame[index] == v.frame.pa >> PLEX86_PAGE_SHIFT)
		return PLEX86_FAULT_GUEST;	/* as the tables say: spurious, or the guest's */
	if ((want & PLEX86_PROT_WRITE) && (f->flags & PLEX86_FRAME_TABLE))
		plex86_tables_left(s, f);
	got = plex86_map(n, index, v.frame, want);
	if (s->broken || !got)
		return PLEX86_FAULT_STUCK;
	if (got != want && !((access & PLEX86_ACCESS_KNOWN) && !(access & PLEX86_ACCESS_WRITE)))
		return PLEX86_FAULT_STUCK;
	/* Pages of code that the guest has mapped since are there for reading. */
	if (!had || fetch)
		map_around(n, index, fetch);
	return PLEX86_FAULT_MAPPED;
}
