/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of each page frame of guest RAM, whichever space maps it.  The
 * rules between its uses are the coherency invariants:
 *
 *   I4  TABLE excludes native writing: guest page tables that a live space was
 *       built from change only under Bochs's hands, who tells us.  So do
 *       descriptor tables.
 *   I5  native writing excludes DECODED traces in Bochs, and native execution.
 */
#ifndef PLEX86_FRAME_H
#define PLEX86_FRAME_H

#include <stdint.h>

#include <plex86/addr.h>

#define PLEX86_FRAME_TABLE	0x01u	/* holds guest page tables of a live space */
#define PLEX86_FRAME_DECODED	0x02u	/* Bochs may have traces from it */
#define PLEX86_FRAME_SCANNED	0x04u	/* .findings is up to date */
#define PLEX86_FRAME_PRIVATE	0x08u	/* the slice that is being verified has its own copy */
#define PLEX86_FRAME_DESCRIPTORS 0x10u	/* holds the GDT or LDT that native code runs with */

#define PLEX86_FRAME_NO_COPY	0x20u	/* for as long as it is SCANNED: see copies.h */
#define PLEX86_FRAME_HOT	0x40u	/* like NO_COPY: was worth traps to some space */
#define PLEX86_FRAME_SURPRISE	0x80u	/* like NO_COPY: see plex86_code_surprises() */

#define PLEX86_NONE UINT32_MAX		/* no node, no mapping */

struct plex86_frame {
	uint32_t rmap;		/* first native mapping: a plex86_slot, or PLEX86_NONE */
	uint32_t watchers;	/* first node that was read from this table */
	uint32_t nwrite;	/* native mappings that can write */
	uint32_t nexec;		/* native mappings that can execute */
	uint32_t findings;	/* PLEX86_FOUND_*, see filter.h ... */
	uint32_t decoded;	/* ... of PLEX86_FOUND_DECODED those that were looked for */
	uint32_t scan;		/* number of the scan that they are from */
	uint32_t before;	/* the page before had that of this number when ... */
	uint32_t early;		/* ... these were found in the first bytes, ... */
	uint32_t early_decoded;	/* ... of these */
	uint32_t flip_epoch;
	uint16_t flags;
	uint8_t flips : 4;	/* changes between code and data since flip_epoch; PLEX86_MAX_FLIPS at most */
	uint8_t tired : 4;	/* how often in turn that was too many */
	uint8_t traps;		/* how many it takes, as far as known while SCANNED; 0: not yet */
};

#endif /* PLEX86_FRAME_H */
