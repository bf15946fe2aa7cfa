/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The accelerator as the emulator sees it.  bochs-glue/ calls this and nothing
 * else; behind it there is no Bochs header.  The way of one slice, in reading
 * order: glue's hook -> plex86_core_plan() -> export -> plex86_core_slice()
 * (slice.c) -> import -> Bochs.
 */
#ifndef PLEX86_CORE_H
#define PLEX86_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/engine.h>

#include "descriptors.h"
#include "entry.h"
#include "host.h"
#include "walk.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plex86_core;

/* Memory behind the guest's: for verify mode's private copies of pages ... */
#define PLEX86_VERIFY_BYTES	(UINT64_C(1) << 20)

/* ... and for copies of code that engines with PLEX86_CAP_EXEC_ONLY run. */
#define PLEX86_COPIES_BYTES	(UINT64_C(1) << 22)

static inline uint64_t plex86_core_scratch(bool verify)
{
	return PLEX86_COPIES_BYTES + (verify ? PLEX86_VERIFY_BYTES : 0);
}

struct plex86_core_config {
	const char *engine;	/* a name, "auto" or "none" */
	int ram_fd;		/* the memory object; borrowed */
	void *ram;		/* the same, mapped; borrowed */
	uint64_t ram_size;	/* bytes of it that may become guest RAM */
	uint64_t guest_size;	/* guest RAM, bytes */
	uint64_t block_size;	/* Bochs hands out RAM in these units, bytes */
	uint64_t ips;		/* ticks per guest second */
	uint32_t max_spaces;	/* shadow spaces at the most */
	uint32_t populate;	/* pages mapped before a space first runs, at the most */
	bool strict;		/* see plex86_filter_mask() */
	bool eager;		/* natively at every opportunity, whatever it costs: for tests */
	bool huge1g;		/* the CPU model has 1 GiB pages */
	unsigned int phys_bits;	/* and this many physical address bits */
	bool tzcnt, lzcnt;	/* and these instructions */
	const char *stats_file;	/* JSON, written at close; NULL or "": none */
	const char *case_file;	/* where verify mode writes a difference; NULL: nowhere */
	bool verify;		/* verify mode */
	uint64_t scratch_size;	/* bytes at the end of @ram_size that no guest has, of
				 * plex86_core_scratch(); with less no code is copied */
};

/*
 * Starts the core and an engine.  -ENODEV with a sentence in @why if no engine
 * can be had; -EINVAL for a configuration that makes no sense.
 */
int plex86_core_open(const struct plex86_core_config *config, const struct plex86_host_ops *host,
		     struct plex86_core **core, char why[PLEX86_WHY_LEN]);

/* Ends the engine, writes the statistics, frees all.  NULL is allowed. */
void plex86_core_close(struct plex86_core *core);

/* RAM block @n is at @host_addr.  Call for all blocks before the first slice. */
int plex86_core_set_block(struct plex86_core *core, uint64_t n, const void *host_addr);

/* Reset, restored state, changed memory map: forget everything derived. */
void plex86_core_drop_all(struct plex86_core *core);

const char *plex86_core_engine_name(const struct plex86_core *core);

/* CPL became 3.  Returns after how many ticks to ask plan(), 0: at once. */
uint64_t plex86_core_user_mode(struct plex86_core *core, uint64_t cr3, uint64_t icount);

/* CPL became 0, 1 or 2. */
void plex86_core_kernel_mode(struct plex86_core *core, uint64_t icount);

/* When to ask again. */
struct plex86_wait {
	uint64_t ticks;		/* after so many, at the latest */
	bool leave_page;	/* as soon as code of another page is fetched, if that shows ... */
	bool surely;		/* ... and it must, even if it slows Bochs down */
};

/* An instruction boundary in user mode. */
struct plex86_place {
	uint64_t cr3, rip, icount;
	uint64_t fetched;	/* in the page that code was last fetched from: it may be left again */
	uint64_t ticks_left;	/* until Bochs's next timer event that has something to do */
};

/*
 * Is it worth to export the state and try?  If not, *@wait says when to ask again.
 */
bool plex86_core_plan(struct plex86_core *core, const struct plex86_place *at,
		      struct plex86_wait *wait);

enum plex86_verdict {
	PLEX86_EMULATE,		/* nothing ran; ask again as .wait says */
	PLEX86_STEP,		/* one instruction must be emulated, then ask again */
	PLEX86_RAN,		/* the state moved on; events first */
	PLEX86_REPLAY,		/* like STEP, in no time; then plex86_core_replay() */
	PLEX86_GO_ON,		/* none yet: the slice has not ended; never returned to Bochs */
};

struct plex86_slice {
	const struct plex86_env *env;
	const uint64_t *pdpte;	/* [4], as the CPU caches them; PAE only */
	struct plex86_tables tables;	/* the guest's GDT and LDT */
	uint64_t cr3;
	uint64_t icount;
	uint64_t ticks_left;	/* until Bochs's next timer event that has something to do */
	bool vec_same;		/* *vec is what the last slice left there */
	uint32_t ticks;		/* out: to charge */
	bool changed;		/* out: cpu, vec must be imported */
	bool single_step;	/* out: the instruction before RIP ran with TF: #DB is due */
	struct plex86_wait wait;	/* out, EMULATE: when to ask again */
};

enum plex86_verdict plex86_core_slice(struct plex86_core *core, struct plex86_cpu *cpu,
				      struct plex86_vec *vec, struct plex86_slice *slice);

/*
 * Of the time that the last slice was charged with, Bochs has not let @ticks pass: a device
 * wants to be heard first.  They are charged with the next slice.
 */
void plex86_core_unspent(struct plex86_core *core, uint32_t ticks);

/*
 * Verify mode: between a slice and the place that it came to, Bochs asks at each
 * instruction boundary whether this is it, with its state in @cpu and .icount in
 * @slice.  PLEX86_REPLAY: not yet.
 */
bool plex86_core_replaying(const struct plex86_core *core);
enum plex86_verdict plex86_core_replay(struct plex86_core *core, const struct plex86_cpu *cpu,
				       struct plex86_slice *slice);

/* From Bochs's write stamps; see struct plex86_host_ops. */
bool plex86_core_page_written(struct plex86_core *core, plex86_gpa_t gpa, uint32_t mask);
void plex86_core_page_decoded(struct plex86_core *core, plex86_gpa_t gpa);
void plex86_core_stamps_reset(struct plex86_core *core);

/* End the slice in progress soon.  Any thread or signal handler. */
void plex86_core_kick(struct plex86_core *core);

/* Write the statistics now: to the log in short, to the file as JSON. */
void plex86_core_report(struct plex86_core *core);

/* The same when plex86_core_answer() is called next, several times a second.  For signal handlers. */
void plex86_core_request_stats(struct plex86_core *core);
void plex86_core_answer(struct plex86_core *core);

#ifdef __cplusplus
}
#endif

#endif /* PLEX86_CORE_H */
