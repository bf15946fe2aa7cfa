/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies of code pages with traps in place of their sensitive instructions
 * (patch.h), in memory behind the guest's.  An engine that can map a page to be
 * executed and not read (PLEX86_CAP_EXEC_ONLY) shows them in the page's stead, so
 * that nobody can tell.  One copy per frame serves all spaces, and is of no use
 * any more when the last of them has given it up: the frame may change then.
 */
#ifndef PLEX86_COPIES_H
#define PLEX86_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/addr.h>

#include "core.h"

/* Of all processes at once.  One that can't be had costs speed and nothing else. */
#define PLEX86_COPIES	(PLEX86_COPIES_BYTES / PLEX86_PAGE_SIZE)

struct plex86_copies {
	uint8_t *host;		/* PLEX86_COPIES_BYTES in this process ... */
	uint64_t off;		/* ... and in the RAM object; borrowed.  NULL: none can be had */
	struct plex86_copy {
		uint32_t frame;
		uint32_t uses;		/* 0: free */
		uint32_t mask;		/* findings that trap in it */
		bool long_mode;		/* made for 64-bit code too */
	} copy[PLEX86_COPIES];
	unsigned int top;	/* no copy beyond has ever been used */
};

/* They are at @off in the RAM object, which is at @ram in this process. */
void plex86_copies_init(struct plex86_copies *c, void *ram, uint64_t off);

/*
 * A copy of the frame @frame, whose bytes are @code, for one more mapping or, if
 * the caller makes none, for nobody.  All of @mask traps in it; see
 * plex86_patch_page().  NULL: the page can't be patched, or there is no room.
 */
struct plex86_copy *plex86_copy_make(struct plex86_copies *c, uint32_t frame, const uint8_t *code,
				     uint32_t mask, bool long_mode);

/* Is there a copy of @frame, or room for one?  If not, there may be later. */
bool plex86_copy_has_room(struct plex86_copies *c, uint32_t frame);

/* The copy that mappings of @frame use; NULL: none. */
struct plex86_copy *plex86_copy_find(struct plex86_copies *c, uint32_t frame);

/* Where it is in the RAM object. */
plex86_ramoff_t plex86_copy_offset(const struct plex86_copies *c, const struct plex86_copy *copy);

/* Does the byte @offset of the copy trap where that of the page, @code, does not? */
bool plex86_copy_traps(const struct plex86_copies *c, const struct plex86_copy *copy,
		       const uint8_t *code, unsigned int offset);

#endif /* PLEX86_COPIES_H */
