/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much work is there between two visits to a page for Bochs?  Code that calls into one
 * makes a round trip for each lap, worth it only if emulating the lap takes longer.  What the
 * engine says that a lap took natively can't tell: cold caches, an outer hypervisor's page
 * tables or a busy host take more time than laps do.  So now and then Bochs executes
 * one and counts.
 *
 * Amounts are instructions as Bochs emulates them.
 */
#ifndef PLEX86_LAPS_H
#define PLEX86_LAPS_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/addr.h>

#define PLEX86_LAPS_PAGES 16

/* A space's pages that stopped native code lately. */
struct plex86_laps {
	struct plex86_lap_page {
		uint64_t la;
		uint64_t length;	/* mean, 0: not known */
		uint32_t stops;		/* since Bochs last tried to measure */
		uint32_t weight;	/* all of them, halved where others came instead */
		bool replaced;		/* there was no room, and it is here for another */
	} page[PLEX86_LAPS_PAGES];
};

/* A lap that Bochs executes. */
struct plex86_lap {
	uint64_t la;			/* the page */
	uint64_t begin;			/* instruction count when the page was left ... */
	bool out;			/* ... if it was; or when all began */
	uint64_t most;			/* longer ones are cut off; 0: none is measured */
};

/*
 * Native code stopped at the page of @la: the work that the lap behind it was.  @seems: what the
 * engine's time would make of it.  Laps are measured up to @most.
 */
uint64_t plex86_laps_work(struct plex86_laps *l, plex86_gva_t la, uint64_t seems, uint64_t most);

/*
 * Behind that, at instruction count @icount, when Bochs is to execute @wait instructions in any
 * case: measures the next lap, if it is time to.
 */
void plex86_laps_begin(struct plex86_laps *l, struct plex86_lap *lap, plex86_gva_t la,
		       uint64_t icount, uint64_t wait, uint64_t most);

/* The kernel was entered: natively a slice would have ended here, too. */
void plex86_laps_end(struct plex86_laps *l, struct plex86_lap *lap, uint64_t icount);

/*
 * A lap is being measured, and Bochs is at @rip, mostly since it has just entered that page.
 * True: go on, and ask again in another page.  False: it is over.
 */
bool plex86_laps_go_on(struct plex86_laps *l, struct plex86_lap *lap, plex86_gva_t rip,
		       uint64_t icount);

#endif /* PLEX86_LAPS_H */
