/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What core.c (life), plan.c (decision) and slice.c (work) share. */
#ifndef PLEX86_CORE_INTERNAL_H
#define PLEX86_CORE_INTERNAL_H

#include "beyond.h"
#include "clock.h"
#include "core.h"
#include "filter.h"
#include "now.h"
#include "policy.h"
#include "shadow.h"
#include "stats.h"
#include "verify.h"

#define TOLD_DETAILS 16

struct plex86_core {
	struct plex86_core_config config;
	const struct plex86_host_ops *host;
	const struct plex86_engine_ops *ops;	/* NULL: engine=none, count only */
	struct plex86_engine *engine;
	const struct plex86_caps *caps;
	struct plex86_ram ram;
	struct plex86_world world;
	struct plex86_policy policy;
	struct plex86_clock clock;
	struct plex86_stats stats;

	struct plex86_verify *verify;	/* NULL: off */
	enum plex86_verdict held;	/* of the slice that is being verified */
	uint64_t held_ns;		/* native time before it */

	/* After several losses in a row no space is made for a while. */
	unsigned int losses;
	uint64_t spare_until;		/* instruction count */
	bool no_room;			/* for a space, when one was to be made last */

	struct plex86_beyond beyond;	/* held back from the run in progress */

	struct plex86_shadow *last;	/* the space that ran last, if it is alive */
	bool stuck;			/* the page of .stuck_rip ended its last slice */
	uint64_t stuck_rip;
	uint64_t stuck_icount;		/* when it did, ... */
	uint64_t blamed_icount;		/* ... and until when that page was charged for it */
	struct plex86_lap lap;		/* that is being measured, in the space of .last */
	unsigned int soon;		/* times in this burst that a state was to change soon */
	bool pause;			/* what follows may well trap too: Bochs goes first */
	bool user;			/* CPL is 3 */
	bool was_asked;			/* ... and plan() was asked since it became so */
	bool ran;			/* ... and something ran natively */
	uint64_t accounted;		/* instruction count up to which .stats.emulated is right */
	unsigned int emulating;		/* why: index into .stats.emulated */
	uint32_t told;			/* bits: refusal reasons that were logged */
	const char *told_detail[TOLD_DETAILS];
	volatile int stats_requested;

	/* Emulation speed, sampled while a long burst is emulated. */
	uint64_t sample_ns, sample_icount;
	unsigned int samples;
};

/* Charges what Bochs emulated up to @icount to the present reason. */
void plex86_core_account(struct plex86_core *core, uint64_t icount);

/* The page at hand is for Bochs: ask again when it has been left. */
void plex86_core_leave_page(struct plex86_core *core, struct plex86_wait *wait);

#endif /* PLEX86_CORE_INTERNAL_H */
