/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's GDT and LDT for engines that run user code under them: where they
 * are, what is in them, and whether user code could tell what the engine shows
 * from what the guest has.  They are watched like page tables (I4), so they are
 * read again only when they were written, moved or mapped elsewhere.
 */
#ifndef PLEX86_DESCRIPTORS_H
#define PLEX86_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/addr.h>
#include <plex86/cpu.h>

struct plex86_world;

/* A table as GDTR or LDTR has it; linear. */
struct plex86_table {
	uint64_t base;
	uint32_t bytes;		/* limit + 1; 0: no table */
	uint32_t reserved;
};

struct plex86_tables {
	struct plex86_table gdt, ldt;
};

#define PLEX86_TABLE_SLOTS 8192u	/* that a selector can name */
#define PLEX86_TABLE_PAGES 17u		/* 64 KiB that begin anywhere */

/* What is known of one table. */
struct plex86_table_copy {
	struct plex86_table where;
	uint64_t page[PLEX86_TABLE_PAGES];	/* guest-physical, or PLEX86_NOT_RAM */
	unsigned int pages;
	uint64_t *entry;	/* the first of them, as many as the engine takes */
	unsigned int n, max;
	bool hidden;		/* user code could see something that the engine can't show */
};

#define PLEX86_NOT_RAM UINT64_MAX

struct plex86_descriptors {
	struct plex86_table_copy gdt, ldt;
	bool long_mode;
	bool dirty;		/* a page of them was written, or the watch was lost */
	uint64_t generation;	/* of the contents; 0: engine without CAP_DESCRIPTORS */
};

/* 0 or -ENOMEM.  Does nothing for engines without CAP_DESCRIPTORS. */
int plex86_descriptors_init(struct plex86_world *w);
void plex86_descriptors_fini(struct plex86_world *w);

/* Follows the guest's tables, which are at @now.  Call before each run. */
void plex86_descriptors_sync(struct plex86_world *w, const struct plex86_tables *now,
			     bool long_mode);

/*
 * Is there a difference that LAR, LSL, VERR or VERW could show?  Then code that
 * has their bytes is Bochs's (PLEX86_FOUND_SELECTOR).
 */
bool plex86_descriptors_hidden(const struct plex86_world *w);

/*
 * Has the guest, whose tables are at @now, 64-bit Linux's GDT where user code can load from
 * it?  Then it loads from a Linux host's GDT what it would load from its own.  Bounds of the
 * slot that RDPID's kind reads are not compared: in 64-bit code they mean nothing.
 */
bool plex86_descriptors_linux(const struct plex86_world *w, const struct plex86_tables *now);

/*
 * Would loading @seg's selector from the GDT of @now give what @seg holds?  It may have been
 * loaded before the table changed.
 */
bool plex86_descriptor_holds(const struct plex86_world *w, const struct plex86_tables *now,
			     const struct plex86_seg *seg);

/*
 * Can user code see @d, in a slot that is not null: do LAR, LSL, VERR or VERW
 * succeed, or a load?  And can an engine show it as it is?
 */
bool plex86_descriptor_visible(uint64_t d);
bool plex86_descriptor_loadable(uint64_t d, bool long_mode);

#endif /* PLEX86_DESCRIPTORS_H */
