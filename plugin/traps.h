/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Code that runs hot in a page which the filter refuses: a static program has
 * its main loop next to libc's CPUID.  Where the engine can make single
 * instructions trap (debug registers), such a page is mapped after all, with a
 * trap at each place where a sensitive instruction can begin.  They are few and
 * make every round trip dearer, so a page must have earned them.
 */
#ifndef PLEX86_TRAPS_H
#define PLEX86_TRAPS_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/engine.h>

#define PLEX86_TRAPS_HOT 16

struct plex86_traps {
	struct plex86_trap_page {
		uint64_t la;
		unsigned int n;
		plex86_gva_t addr[PLEX86_MAX_TRAPS];
	} page[PLEX86_MAX_TRAPS];
	unsigned int npages;
	bool changed;		/* the engine has to be told */

	/* Pages that Bochs runs for us: instructions so far. */
	struct { uint64_t la, emulated; unsigned int granted; } hot[PLEX86_TRAPS_HOT];
};

struct plex86_shadow;

/* Bochs will execute @insns in the page of @la; true if that makes it worth traps. */
bool plex86_traps_earned(struct plex86_traps *t, plex86_gva_t la, uint64_t insns, uint64_t worth);

/* Since native code stopped at the page of @la, Bochs will execute @insns more, wherever. */
void plex86_traps_blame(struct plex86_traps *t, plex86_gva_t la, uint64_t insns);

/* Traps that the findings @found in a page whose bytes are @code take; 0: more than there are. */
unsigned int plex86_traps_needed(const struct plex86_shadow *s, const uint8_t *code,
				 uint32_t found);

/* Are @n to be had without taking others' away? */
bool plex86_traps_free(const struct plex86_shadow *s, unsigned int n);

/*
 * Makes the page at @la, whose bytes are @code, safe to execute in @s by traps on
 * @found.  Takes those of other pages away if need be.  False if it needs too many.
 */
bool plex86_traps_grant(struct plex86_shadow *s, uint64_t la, const uint8_t *code, uint32_t found);

/*
 * The engine can't set those of @s: somebody else on the host has the CPU's breakpoints by now.  Its
 * pages are for Bochs again, and no others get any.
 */
void plex86_traps_give_up(struct plex86_shadow *s);

/* The page at @la has its traps (and @code has not changed since: it is watched). */
bool plex86_traps_cover(const struct plex86_traps *t, uint64_t la);

/* Is there one at the instruction that begins at @la? */
bool plex86_traps_at(const struct plex86_traps *t, uint64_t la);

/* The page at @la is not executable any more. */
void plex86_traps_drop(struct plex86_traps *t, uint64_t la);

/* All addresses, for the engine. */
unsigned int plex86_traps_list(const struct plex86_traps *t, plex86_gva_t out[PLEX86_MAX_TRAPS]);

#endif /* PLEX86_TRAPS_H */
