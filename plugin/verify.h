/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verify mode: the accelerator proves itself while it works.  Each slice runs
 * natively on private copies of the pages that it writes; then Bochs executes
 * the same instructions for real, one by one, until it comes to the state that
 * the engine reported, or proves that it never will.  What the guest sees is
 * Bochs's work alone, so a wrong engine can't hurt it.  docs/verify.md has the
 * whole story.
 *
 * verify.c          the replay
 * verify_pages.c    the private pages
 * verify_compare.c  are these two states the same?
 * verify_excuse.c   what may differ, by the instructions met on the way
 * verify_half.c     what faulted half way
 * verify_case.c     a difference as a file, and reading it back
 */
#ifndef PLEX86_VERIFY_H
#define PLEX86_VERIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <plex86/engine.h>

#include "core.h"
#include "host.h"
#include "shadow.h"

/* Pages that one slice may write. */
#define PLEX86_VERIFY_PAGES	(PLEX86_VERIFY_BYTES / PLEX86_PAGE_SIZE)

/* A slice is cut after this time: Bochs takes some hundred times as long for it. */
#define PLEX86_VERIFY_NS	50000u

/* Addresses of the last instructions of a replay that are kept; a power of two. */
#define PLEX86_VERIFY_TRACE	(1u << 20)

/* Bytes by which native code may be ahead of Bochs: the most that an instruction stores (XSAVE). */
#define PLEX86_VERIFY_AHEAD	4096u

/* What is not the same.  Bits. */
#define PLEX86_DIFF_RIP		(1u << 0)
#define PLEX86_DIFF_GPR		(1u << 1)
#define PLEX86_DIFF_SEG		(1u << 2)
#define PLEX86_DIFF_FLAGS	(1u << 3)
#define PLEX86_DIFF_X87		(1u << 4)
#define PLEX86_DIFF_VECTOR	(1u << 5)	/* XMM to ZMM, opmasks, MXCSR */
#define PLEX86_DIFF_MEMORY	(1u << 6)
#define PLEX86_DIFF_STRAY	(1u << 7)	/* Bochs wrote to a page that native code did not */

/* Why two states that are not equal were taken as the same; docs/limits.md has each. */
enum plex86_tolerated {
	PLEX86_TOLERATED_FLAGS,		/* flags that the manual leaves undefined */
	PLEX86_TOLERATED_X87_POINTERS,	/* FIP, FDP, FOP */
	PLEX86_TOLERATED_TRAP,		/* what the trapping instruction has written already */
	PLEX86_TOLERATED_APPROXIMATION,	/* RCPPS and its like, x87 transcendentals */
	PLEX86_TOLERATED_RANDOM,	/* RDRAND, RDSEED */
	PLEX86_TOLERATED_HALF,		/* it faulted half way, and Bochs has done the same half */
	PLEX86_TOLERATED
};

/* Why a slice could not be compared. */
enum plex86_unverified {
	PLEX86_UNVERIFIED_STEP,		/* single steps: their traps come between boundaries */
	PLEX86_UNVERIFIED_EVENTS,	/* Bochs had events of its own, and did not ask */
	PLEX86_UNVERIFIED_INEXACT,	/* tolerated: it went another way, with reason */
	PLEX86_UNVERIFIED_RESET,	/* the machine was reset, or its state restored */
	PLEX86_UNVERIFIED
};

struct plex86_verify_stats {
	uint64_t slices;		/* compared and the same */
	uint64_t instructions;		/* that Bochs executed in them; REP: iterations */
	uint64_t pages;			/* compared */
	uint64_t differences;
	uint64_t unverified[PLEX86_UNVERIFIED];
	uint64_t tolerated[PLEX86_TOLERATED];
};

/* A page that the slice writes. */
struct plex86_private {
	plex86_gva_t la;		/* where it was first written */
	plex86_gpa_t gpa;
	uint8_t *shared, *copy;		/* Bochs's page, and the one that native code writes */
	uint32_t differs_at;		/* last seen offset of a difference, bytes */
};

struct plex86_verify {
	struct plex86_world *world;
	const struct plex86_host_ops *host;
	const char *engine, *case_file;	/* borrowed */
	uint64_t scratch;		/* offset in the RAM object */
	struct plex86_shadow *space;	/* that the private pages are mapped in; NULL: none */
	struct plex86_private page[PLEX86_VERIFY_PAGES];
	uint32_t npages;
	uint8_t *before;		/* [npages] pages as they were at the start */
	struct plex86_map_op *ops;	/* the overlay that flush() gives to the engine */
	uint32_t maxops;
	uint64_t queued;		/* operations given to the engine since it last ran */
	const void *recent_space;	/* only compared; where the last slice wrote ... */
	plex86_gva_t recent[PLEX86_VERIFY_PAGES];
	uint32_t nrecent;

	/* The native slice. */
	struct plex86_cpu start, end;
	struct plex86_vec start_vec, end_vec;
	struct plex86_paging paging;
	uint64_t ran_ns;

	/* The replay. */
	bool replaying;
	uint64_t icount;		/* at the last boundary */
	uint64_t steps, patience;	/* patience: see step_cost() */
	uint64_t ticks;			/* of instructions that Bochs executed, not yet charged */
	struct plex86_traced {
		uint64_t la;		/* of an instruction ... */
		uint8_t cl;		/* ... and CL before it */
	} *trace;			/* a ring */
	uint64_t ntrace;
	bool approximated;		/* plex86_excuse_popped() has said so */
	struct plex86_cpu last;		/* Bochs's state at the last boundary */
	struct plex86_cpu nearest;	/* of those with the right RIP, the one most alike */
	struct plex86_vec nearest_vec;
	uint32_t nearest_diff;		/* PLEX86_DIFF_*; 0: there was none */
	unsigned int nearest_count;
	uint32_t excused;		/* bits, enum plex86_tolerated: of the comparison at work */
	bool half;			/* at the last boundary all but memory and vectors was the same */
	struct plex86_ahead {
		const uint8_t *bochs;	/* in its page */
		uint8_t native;
	} *ahead;			/* all but memory was the same there: what differed */
	uint32_t nahead;
	bool tcg;			/* the host's CPU is QEMU's TCG */
	bool stray;
	plex86_gpa_t stray_gpa;
	uint64_t stray_rip;

	struct plex86_verify_stats stats;
};

/*
 * @scratch: where PLEX86_VERIFY_BYTES of the RAM object are that no guest uses.
 * @world, @engine and @case_file (where a difference is written) are borrowed.
 * 0 or -ENOMEM.
 */
int plex86_verify_init(struct plex86_verify **v, struct plex86_world *world, uint64_t scratch,
		       const char *engine, const char *case_file);
void plex86_verify_fini(struct plex86_verify *v);

/* ---- verify_pages.c: while the slice runs natively (slice.c, spaces.c) ---- */

/* A slice is about to run from this state. */
void plex86_verify_begin(struct plex86_verify *v, const struct plex86_cpu *cpu,
			 const struct plex86_vec *vec);

/*
 * How long native code may run, ns: about as much as Bochs executes in @ticks, so
 * that the guest's timers come in time, and time for the map operations.
 */
uint64_t plex86_verify_budget(struct plex86_verify *v, uint64_t ticks);

/* Gives the slice in @s copies of the pages that the last one there wrote. */
void plex86_verify_prefault(struct plex86_verify *v, struct plex86_shadow *s);

/*
 * Native code has faulted at @la.  1: it was a write that the guest's tables
 * allow, there is a private copy now, run on.  0: the fault is about something
 * else.  -ENOSPC: no room for another copy, the slice ends here.
 */
int plex86_verify_write(struct plex86_verify *v, struct plex86_shadow *s, plex86_gva_t la);

/*
 * What the engine is to be told in place of the @n operations at @ops: shared
 * pages read-only, private ones in their places.  The result is valid until the
 * next call; NULL: out of memory.
 */
const struct plex86_map_op *plex86_verify_overlay(struct plex86_verify *v,
						  const struct plex86_map_op *ops, uint32_t *n);

/* @s is about to be destroyed. */
void plex86_verify_forget(struct plex86_verify *v, const struct plex86_shadow *s);

/* Notes the pages that the slice wrote, for the next one; the engine's are shared again. */
void plex86_verify_keep_recent(struct plex86_verify *v);

/* Nothing ran: the engine's pages are shared again, and the next slice gets those of the last one. */
void plex86_verify_cancel(struct plex86_verify *v);

/* From now on the pages are Bochs's; their copies stay until the next slice. */
void plex86_verify_release(struct plex86_verify *v);

/* ---- verify.c ---- */

/*
 * The slice has ended natively, in this state and after @ran_ns; @single_step: a
 * single-step trap is pending.  False: Bochs does not stop in such a state.
 */
bool plex86_verify_end(struct plex86_verify *v, const struct plex86_cpu *cpu,
		       const struct plex86_vec *vec, uint64_t ran_ns, bool single_step);

/* ---- verify.c: while Bochs replays it (core.c) ---- */

enum plex86_replay {
	PLEX86_REPLAY_ON,	/* one more instruction */
	PLEX86_REPLAY_SAME,	/* arrived: this is where the slice ends */
	PLEX86_REPLAY_BEYOND,	/* it never will, or is beyond it; PANIC was logged if it differs */
};

/*
 * Bochs is at an instruction boundary, in the state @cpu, and has executed
 * @icount instructions in all: it is not always asked at each of them (in a page
 * with a breakpoint of the guest's events have precedence), and a replay that
 * has missed one is given up.
 */
enum plex86_replay plex86_verify_step(struct plex86_verify *v, const struct plex86_cpu *cpu,
				      uint64_t icount);

/*
 * What to charge when a replay has ended: in verify mode a tick is an instruction,
 * as in plain Bochs, whatever native code took.  At least 1.
 */
uint32_t plex86_verify_ticks(struct plex86_verify *v);

/* Bochs is leaving user mode, before it came to the end of the slice. */
void plex86_verify_left(struct plex86_verify *v, uint64_t icount);

/* Bochs is about to write to the page @gpa. */
void plex86_verify_written(struct plex86_verify *v, plex86_gpa_t gpa);

/* The machine is not what it was (reset, restored state). */
void plex86_verify_abandon(struct plex86_verify *v);

/* Up to @len bytes of code at @la, through the guest's tables.  Returns how many. */
unsigned int plex86_verify_code(const struct plex86_verify *v, uint64_t la, uint8_t *code,
				unsigned int len);

/* Are all private pages as native code left them? */
bool plex86_verify_same_memory(struct plex86_verify *v);

/* ---- verify_half.c ---- */

bool plex86_half_is_tcg(void);

/* Native code has stopped at v->end: TCG may not have stepped over the last instruction. */
void plex86_half_end(struct plex86_verify *v);

/* Bochs is at the RIP where native code was, and these PLEX86_DIFF_* differ (or at another one). */
void plex86_half_boundary(struct plex86_verify *v, uint32_t diff);

/* Has Bochs, which has faulted at that boundary, done the same half?  Sets v->excused. */
bool plex86_half_faulted(struct plex86_verify *v);

/* Has Bochs, which has executed what is there, done what native code had, and more?  Sets v->excused. */
bool plex86_half_caught_up(struct plex86_verify *v);

/* ---- verify_compare.c ---- */

/*
 * What of @cpu and, if @vec is not NULL, of @vec (Bochs's) is not as in the end
 * state; PLEX86_DIFF_*.  Sets v->excused.
 */
uint32_t plex86_compare_cpu(struct plex86_verify *v, const struct plex86_cpu *cpu);
uint32_t plex86_compare_vec(struct plex86_verify *v, const struct plex86_vec *vec);

/* Number of registers that differ. */
unsigned int plex86_compare_count(const struct plex86_cpu *a, const struct plex86_cpu *b);

/* Writes both states to @f, side by side, differing lines marked. */
void plex86_compare_print(FILE *f, const struct plex86_cpu *a, const struct plex86_vec *avec,
			  const struct plex86_cpu *b, const struct plex86_vec *bvec);

/* Flags that user code can write, and that are compared. */
#define PLEX86_USER_FLAGS	UINT64_C(0x244dd5)	/* ID AC NT OF DF TF SF ZF AF PF CF */
#define PLEX86_STATUS_FLAGS	UINT64_C(0x8d5)		/* OF SF ZF AF PF CF */

/* ---- verify_excuse.c ---- */

/* Those of @flags that the last instructions of the replay have left undefined. */
uint32_t plex86_excuse_flags(struct plex86_verify *v, uint32_t flags);

/* The kinds of inexact instructions that the replay has met: bits, enum plex86_tolerated. */
uint32_t plex86_excuse_kinds(struct plex86_verify *v);

/*
 * May an x87 register that is empty again hold another value than Bochs's?  If an approximation was
 * on the way, or may have been: the trace does not go back to the slice's beginning.
 */
bool plex86_excuse_popped(struct plex86_verify *v);

/* Flags that the instruction with this text leaves undefined if CL is @cl; used by the former. */
uint32_t plex86_undefined_flags(const char *text, uint8_t cl);

/* A short name, stable (it is a key in the statistics file). */
const char *plex86_tolerated_name(enum plex86_tolerated t);
const char *plex86_unverified_name(enum plex86_unverified u);

/* ---- verify_case.c ---- */

struct plex86_case_page {
	plex86_gva_t la;
	uint32_t prot;			/* PLEX86_PROT_*, as the guest's tables have it */
	uint8_t *start;			/* never NULL ... */
	uint8_t *native, *bochs;	/* ... these are, in pages that were not written */
};

struct plex86_case {
	char engine[32];
	char why[200];
	uint64_t steps;			/* that Bochs had made */
	struct plex86_cpu start, native, bochs;
	struct plex86_vec start_vec, native_vec, bochs_vec;
	struct plex86_case_page *page;
	uint32_t npages;
};

/* Writes the present difference to v->case_file.  0 or a negative errno. */
int plex86_case_write(struct plex86_verify *v, const char *why, const struct plex86_cpu *bochs,
		      const struct plex86_vec *bochs_vec);

/* Reads a case; the caller frees it with plex86_case_free().  -EINVAL: not one. */
int plex86_case_read(const char *path, struct plex86_case **c);
void plex86_case_free(struct plex86_case *c);

#endif /* PLEX86_VERIFY_H */
