/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shadow spaces: for each guest address space that runs natively, a tree that
 * mirrors those of the guest's page tables that were read, with what is mapped
 * natively in its leaves.  A mapping is derived from table entries (I2); the
 * tables are watched (I4), and the lines of a table that Bochs writes are read
 * again before native code next runs in that space (I3).  So a space survives
 * CR3 switches, TLB flushes and years of sleep.
 *
 * shadow_tree.c   nodes: descend, evaluate entries, drop subtrees
 * shadow_map.c    mappings: frames' uses, reverse map, the engine's queue
 * shadow_code.c   what may be executed, and as what; shadow_findings.c: why not
 * shadow_sync.c   re-read what changed
 * shadow_fault.c  a page fault in native code: map the page and its neighbours
 * spaces.c        find, create, evict
 */
#ifndef PLEX86_SHADOW_H
#define PLEX86_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/engine.h>

#include "copies.h"
#include "descriptors.h"
#include "frame.h"
#include "host.h"
#include "ram.h"
#include "laps.h"
#include "traps.h"
#include "walk.h"

struct plex86_policy;
struct plex86_shadow;
struct plex86_verify;

/* Lists that a node can be on: one table can be read by 10,000 nodes. */
enum { PLEX86_WATCHING, PLEX86_DIRTY, PLEX86_LISTS };

/*
 * One guest table, or the span of one large page.  Leaves (level 1) have the
 * native mappings, the others have children.
 */
struct plex86_node {
	struct plex86_shadow *shadow;
	uint64_t base;		/* first linear address */
	uint64_t table;		/* guest-physical; PLEX86_NO_TABLE within a large page */
	uint64_t entry;		/* the parent's entry that led here, relevant bits */
	uint32_t self;		/* own number */
	uint32_t parent;
	struct {
		uint32_t next, prev;
	} list[PLEX86_LISTS];	/* of nodes read from the same table; of this space's nodes of
				 * the same level to be read again */
	uint32_t dirty;		/* 128-byte lines that were written */
	uint16_t index;		/* in the parent */
	uint16_t entries;
	uint8_t level;
	uint8_t rights;		/* PLEX86_PROT_* that the path down to here allows */
	bool queued;		/* on the dirty list */
	uint32_t *child;	/* level > 1: [entries] node numbers or PLEX86_NONE */
	uint32_t *frame;	/* level 1: [entries] frame numbers, if prot */
	uint32_t *rnext;	/* level 1: [entries] next slot that maps the same frame ... */
	uint32_t *rprev;	/* ... and the one before it; a frame can have 100,000 */
	uint8_t *prot;		/* level 1: [entries] PLEX86_PROT_*, 0: not mapped */
};

#define PLEX86_NO_TABLE UINT64_MAX
#define PLEX86_DEVICE_TABLE (UINT64_C(1) << 62)	/* where no memory is */

/* A mapping's name: node number and entry.  1024 entries at the most. */
#define PLEX86_SLOT(node, index)	(((node) << 10) | (index))
#define PLEX86_SLOT_NODE(slot)		((slot) >> 10)
#define PLEX86_SLOT_INDEX(slot)		((slot) & 1023)
#define PLEX86_MAX_NODES		(UINT32_MAX >> 10)
#define PLEX86_LEVELS			5

/* What a run of the engine takes besides guest code. */
struct plex86_trip {
	uint64_t ns;
	uint64_t least;			/* of .runs short ones; will be .ns */
	unsigned int runs;
};

/* One guest address space. */
struct plex86_shadow {
	struct plex86_world *world;
	struct plex86_paging paging;	/* the key */
	uint64_t account;		/* of its process with the policy */
	struct plex86_space *engine;
	struct plex86_map_op *ops;	/* not yet given to the engine */
	uint32_t nops, maxops;
	uint32_t root;
	uint32_t dirty[PLEX86_LEVELS];	/* first dirty node of level 1, 2, ... */
	uint32_t mapped;		/* pages mapped natively */
	bool lived;			/* had pages mapped when it last ran */
	bool populated;			/* plex86_shadow_populate() was called */
	uint64_t used;			/* for LRU */
	struct plex86_trip trip, undefined; /* that end as most do; by #UD, which can be far dearer */
	struct plex86_laps laps;
	struct plex86_traps traps;
	uint32_t filter;		/* findings that forbid execution here; only grows
				 * while there are mappings ... */
	bool tsc_traps;			/* ... but for this: the engine traps RDTSC here */
	uint64_t trips;			/* runs so far */
	uint64_t tsc_stops;		/* of them in copies that are there for RDTSC's bytes only */
	uint32_t filter_low;		/* the same, and only below 4 GiB */
	bool broken;			/* out of memory in bookkeeping: must be destroyed */
	uint64_t slots[PLEX86_SLOTS / 64]; /* of user space's PML4 that are or were present */
	bool slots_new;			/* the engine does not know of some */
	uint64_t described;		/* generation of the descriptors that the engine has */
};

/* Places that code went on at which are remembered. */
#define PLEX86_EXPECTED 4096

struct plex86_shadow_stats {
	uint64_t pages_mapped, pages_unmapped, pages_upgraded;
	uint64_t ranges_mapped, ranges_unmapped;
	uint64_t tables_watched, lines_reread, subtrees_dropped;
	uint64_t spaces_created, spaces_evicted, spaces_lost;
	uint64_t flips, flips_refused, filter_refused, pages_scanned, pages_trapped, spaces_tsc;
	uint64_t pages_copied, copies_read, surprises;
	uint64_t descriptors_read, descriptors_given;
};

/* What all spaces of one guest share. */
struct plex86_world {
	const struct plex86_engine_ops *ops;
	struct plex86_engine *engine;
	const struct plex86_caps *caps;
	const struct plex86_host_ops *host;
	struct plex86_ram *ram;
	struct plex86_frame *frames;
	uint64_t nframes;
	uint32_t scans;			/* of pages of code so far */
	uint32_t swept;			/* the same, when all were last forgotten */
	struct plex86_node **nodes;
	uint32_t nnodes, maxnodes, freenode;
	uint32_t alive, most;		/* nodes that there are, and may be */
	struct plex86_shadow **spaces;
	uint32_t nspaces, maxspaces;
	uint64_t clock;			/* of uses, for LRU */
	struct plex86_trip trip;	/* of all spaces without traps: what a new one begins with */
	uint32_t epoch;			/* advances every few milliseconds of guest time */
	uint32_t max_traps;		/* that a space can have, as far as is known */
	uint32_t populate;		/* pages mapped before a space first runs, at the most */
	bool strict;
	struct plex86_verify *verify;	/* NULL but in verify mode */
	struct plex86_policy *policy;	/* that is told which spaces are given up; or NULL */
	struct plex86_descriptors descriptors;
	struct plex86_copies copies;
	struct plex86_expected {
		uint64_t place;		/* in a page as it was scanned */
		uint32_t mask;		/* findings that code does not run into there */
	} expected[PLEX86_EXPECTED];	/* by hash of the place */
	struct plex86_shadow_stats stats;
};

/* 0 or a negative errno.  Everything passed in is borrowed. */
int plex86_world_init(struct plex86_world *w, const struct plex86_engine_ops *ops,
		      struct plex86_engine *engine, const struct plex86_host_ops *host,
		      struct plex86_ram *ram, uint32_t maxspaces, bool strict);
void plex86_world_fini(struct plex86_world *w);

/* Destroys all spaces; the frames forget their native uses, and what was found in them. */
void plex86_world_drop_all(struct plex86_world *w);

/* Bochs is about to write to @mask lines of a watched page.  True: no traces there. */
bool plex86_world_page_written(struct plex86_world *w, plex86_gpa_t gpa, uint32_t mask);

/* Bochs decodes from a page. */
void plex86_world_page_decoded(struct plex86_world *w, plex86_gpa_t gpa);

/* All of Bochs's traces and watches are gone. */
void plex86_world_stamps_reset(struct plex86_world *w);

/* ---- spaces.c ---- */

/* The space for @paging if there is one. */
struct plex86_shadow *plex86_space_find(struct plex86_world *w, const struct plex86_paging *paging);

/*
 * Creates it, evicting the least recently used one if need be.  0, or why it could not; there
 * may be room for it a little later.
 */
int plex86_space_make(struct plex86_world *w, const struct plex86_paging *paging,
		      struct plex86_shadow **made);

void plex86_space_kill(struct plex86_shadow *s);

/* The same for good: its process has ended, or others need its place more. */
void plex86_space_give_up(struct plex86_shadow *s);

/* Gives the queued operations to the engine.  A negative errno: kill the space. */
int plex86_space_flush(struct plex86_shadow *s);

/* ---- shadow_tree.c ---- */

/* Drops the node and all below it, natively too. */
void plex86_node_drop(struct plex86_world *w, uint32_t node);

/*
 * The leaf node for @la, reading tables and making nodes as needed; NULL where
 * the guest's tables do not lead to a page table that user code may use.
 */
struct plex86_node *plex86_tree_leaf(struct plex86_shadow *s, plex86_gva_t la, bool make);

/*
 * Do the guest's tables lead user code to a page at @la, and is an A bit clear on the way, or D
 * where it may write?
 */
bool plex86_tree_wants_walk(const struct plex86_shadow *s, plex86_gva_t la);

/*
 * Calls @visit for each leaf node that the guest's tables have for user code, in
 * ascending order, and makes the nodes for it, until it returns false or @nodes
 * were seen.
 */
void plex86_tree_each_leaf(struct plex86_shadow *s, bool (*visit)(struct plex86_node *leaf),
			   uint32_t nodes);

/* To and from the list that begins at *@first. */
void plex86_list_add(struct plex86_world *w, uint32_t *first, struct plex86_node *n, int list);
void plex86_list_remove(struct plex86_world *w, uint32_t *first, struct plex86_node *n, int list);

/* Of user space's PML4: notes which of @count entries, from @first on, are present. */
void plex86_pml4_slots(struct plex86_node *n, unsigned int first, unsigned int count);

/* True if the entry that led to child @index of @up still says the same. */
bool plex86_child_is_current(struct plex86_node *up, unsigned int index);

/* What the guest's tables allow for one page. */
struct plex86_view {
	plex86_gpa_t frame;
	uint32_t allowed;	/* PLEX86_PROT_*, 0: nothing */
};

/* Evaluates entry @index of leaf @n; .allowed has WRITE only if D is set. */
struct plex86_view plex86_leaf_view(struct plex86_node *n, unsigned int index);

/* ---- shadow_map.c ---- */

/*
 * Maps entry @index of leaf @n to @frame with @prot, which must hold what
 * plex86_leaf_view() allows at the most, never WRITE and EXEC at once.  Takes
 * away what excludes it (I4, I5).  Returns the rights it got, 0 if none: the
 * page is not RAM, holds tables, has findings, or flips too often.  A page that
 * was asked for to be executed may be a copy, which can't be read.
 */
uint32_t plex86_map(struct plex86_node *n, unsigned int index, plex86_gpa_t frame, uint32_t prot);
void plex86_unmap(struct plex86_node *n, unsigned int index);

/* Tells the engine once more what is mapped at @index of leaf @n. */
void plex86_remap(struct plex86_node *n, unsigned int index);

/* Unmaps the page at @la, which is mapped. */
void plex86_unmap_at(struct plex86_shadow *s, plex86_gva_t la);

/* Like plex86_unmap() for the frame's bookkeeping, but the engine is not told. */
void plex86_forget(struct plex86_node *n, unsigned int index);
void plex86_queue_unmap(struct plex86_shadow *s, uint64_t la, uint64_t npages);

/* Takes every native mapping of @frame away that has one of the rights in @prot. */
void plex86_frame_revoke(struct plex86_world *w, uint64_t frame, uint32_t prot);

/*
 * A frame that changes between code and data more often than this in one epoch is left to Bochs for
 * the rest of it; if it does so again as soon as it may, for 2, 4 ... 64 epochs.
 */
#define PLEX86_MAX_FLIPS 8

/* Has @f had so many, and must it still wait? */
bool plex86_is_tired(const struct plex86_world *w, const struct plex86_frame *f);

/* One more change of use; false if the frame has had too many of late. */
bool plex86_may_flip(struct plex86_world *w, struct plex86_frame *f);

/*
 * The page of guest RAM at @page, in this process, if Bochs treats it as such: no device is laid
 * over it.  NULL: none.
 */
void *plex86_plain_page(const struct plex86_world *w, plex86_gpa_t page);

/* ---- shadow_findings.c ---- */

/* The bytes of a page of guest RAM; NULL: it is none. */
const uint8_t *plex86_code_bytes(const struct plex86_world *w, plex86_gpa_t gpa);

/*
 * The page that the guest's tables let be executed at @la, mapped natively or not, with its
 * address in @gpa; NULL: none, or not in RAM.
 */
struct plex86_frame *plex86_guest_code(struct plex86_shadow *s, plex86_gva_t la, plex86_gpa_t *gpa);

/* Makes .findings of @f, with the bytes @code, complete for those of @mask that are decoded. */
void plex86_decode_findings(struct plex86_frame *f, const uint8_t *code, uint32_t mask);

/*
 * The findings (PLEX86_FOUND_*) that forbid to execute the page at @la, which is @gpa, as it is.
 * From now on it is watched.
 */
uint32_t plex86_findings(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
			 plex86_gpa_t gpa);

/* Those among them that are about its first bytes, with the page before as the tables have it. */
uint32_t plex86_early_findings(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
			       const uint8_t *code);

/* Is there no forbidden sequence that begins in one executable page and ends in the next? */
bool plex86_clean_seams(struct plex86_shadow *s, uint64_t la, plex86_gpa_t gpa);

/*
 * The page at @la is known now.  If the one behind it was made executable without that, and
 * should not have been, it is unmapped.
 */
void plex86_check_next(struct plex86_shadow *s, uint64_t la);

/*
 * An instruction begins at @rip, since native code is about to go on there (@long64: 64-bit code).
 * Does it lead to one that is for Bochs, which decoding without that knowledge has not found?
 * Then the page is for Bochs from now on.  Findings in @harmless would do no harm in this state.
 */
bool plex86_code_surprises(struct plex86_shadow *s, plex86_gva_t rip, bool long64,
			   uint32_t harmless);

/* ---- shadow_code.c ---- */

/*
 * The page at @la becomes code: nobody may write to it unseen, and its bytes must be
 * harmless, or those of *@copy are.  False: it can't.
 */
bool plex86_make_executable(struct plex86_shadow *s, struct plex86_frame *f, uint64_t la,
			    plex86_gpa_t gpa, struct plex86_copy **copy);

/*
 * From now on findings in @filter forbid execution in this space too, and those in
 * @low below 4 GiB; what they forbid is unmapped.  A space that has run both 32- and
 * 64-bit code obeys both.
 */
void plex86_shadow_filter(struct plex86_shadow *s, uint32_t filter, uint32_t low);

/* Must code at @la be left to Bochs, as far as is known already? */
enum plex86_code {
	PLEX86_CODE_OK,		/* no */
	PLEX86_CODE_REFUSED,	/* yes, by the filter: traps could help */
	PLEX86_CODE_FLIPS,	/* yes, it is written too often */
	PLEX86_CODE_TRAP,	/* yes, at this place: it would trap, and so may what follows */
};

enum plex86_code plex86_code_check(struct plex86_shadow *s, plex86_gva_t la);

/* Bytes of the page at @la as guest code sees them, if it is mapped executable; or NULL. */
const uint8_t *plex86_code_at(struct plex86_shadow *s, plex86_gva_t la);

/*
 * Native code wants to read entry @index of leaf @n, a copy that can't be.  Bochs
 * does it; where that happens too often the page is left to it altogether.
 */
void plex86_copy_was_read(struct plex86_node *n, unsigned int index);

/*
 * Native code was stopped at @la, maybe by a copy.  For one trap a copy needs a hundred others, at each
 * place from which code could run into the last one: where they cost more than RDTSC that traps in
 * another way, this is so from then on, as most copies are there for its bytes, parts of other
 * instructions.
 */
void plex86_copy_stopped(struct plex86_shadow *s, plex86_gva_t la);

/* How many round trips the page of code at @la must have cost to get traps. */
unsigned int plex86_code_price(struct plex86_shadow *s, plex86_gva_t la);

/* Maps the page of @la executable by means of traps; false if that can't be. */
bool plex86_map_trapped(struct plex86_shadow *s, plex86_gva_t la);

/* ---- shadow_sync.c ---- */

/* Reads again what Bochs wrote to the space's tables.  Call before each run. */
void plex86_shadow_sync(struct plex86_shadow *s, const struct plex86_paging *now);

/*
 * Native code of @s, which has just run, writes to a frame that holds tables.  If they are other
 * spaces' that do not lead there any more (their guest processes have ended, or sleep since),
 * those forget them now, and not only before they run again.  Spaces that began there are killed.
 */
void plex86_tables_left(struct plex86_shadow *s, struct plex86_frame *f);

/* ---- shadow_fault.c ---- */

enum plex86_fault_result {
	PLEX86_FAULT_MAPPED,	/* something was mapped: run on */
	PLEX86_FAULT_GUEST,	/* Bochs must execute the instruction */
	PLEX86_FAULT_STUCK,	/* so must it, and this page will trap again */
};

/*
 * Maps what the process has used lately, by the A bits of its tables, before a
 * space runs for the first time: cheaper than a fault for each neighbourhood.
 */
void plex86_shadow_populate(struct plex86_shadow *s);

/* Was a page fault at @addr the fetch of code at @rip?  @access as in struct plex86_exit. */
bool plex86_fault_is_fetch(plex86_gva_t addr, plex86_gva_t rip, uint32_t access);

enum plex86_fault_result plex86_shadow_fault(struct plex86_shadow *s, plex86_gva_t addr,
					     plex86_gva_t rip, uint32_t access);

/* Which entry of leaf @n is for @la. */
static inline unsigned int plex86_leaf_index(const struct plex86_node *n, plex86_gva_t la)
{
	return (la.la >> PLEX86_PAGE_SHIFT) & (n->entries - 1u);
}

static inline struct plex86_frame *plex86_frame_of(struct plex86_world *w, plex86_gpa_t gpa)
{
	uint64_t n = gpa.pa >> PLEX86_PAGE_SHIFT;

	return n < w->nframes ? &w->frames[n] : NULL;
}

#endif /* PLEX86_SHADOW_H */
