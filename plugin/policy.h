/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When to go native.  A round trip through an engine costs as much as a few
 * thousand emulated instructions, and most bursts of user code are shorter.
 * So: emulate first and go native when the burst has outlived the round trip
 * (ski rental: never worse than twice the best); but where bursts that began
 * here have been seen before, go by their length: at once if it is worth it, and
 * not before it turns out to be a longer one if it is not.  A new space costs
 * more (a process, its pages), so its guest process must have earned it.
 *
 * Pure arithmetic on what it is told; tests replay traces through it.
 */
#ifndef PLEX86_POLICY_H
#define PLEX86_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define PLEX86_POLICY_BURSTS 4096
#define PLEX86_POLICY_SPACES 256

struct plex86_policy {
	uint64_t round_trip_ns;
	uint64_t break_even;	/* instructions emulated in round_trip_ns */
	uint64_t space_worth;	/* instructions that a process must have run to get a space */

	/* The burst that is going on. */
	uint64_t start;		/* instruction count at its beginning */
	uint64_t root, rip;	/* where it began */
	bool begun;		/* root, rip are known */
	uint64_t native_ns;	/* what of it ran natively */
	uint64_t emulated;	/* and how many instructions did not, up to .start */
	bool continuing;	/* a slice ended with STEP, and user mode was not left since */
	bool bounced;		/* and it was a short one */

	/* A native slice that ended asynchronously resumes if nothing else happened. */
	bool resume;
	uint64_t resume_root, resume_rip;

	unsigned int strikes;	/* native slices in a row that did not pay */

	/* Mean length of the bursts that began at one place, 0: not seen yet. */
	struct plex86_burst { uint32_t tag, length; } bursts[PLEX86_POLICY_BURSTS];
	struct plex86_worth { uint64_t root, emulated; uint8_t hot, penalty; } spaces[PLEX86_POLICY_SPACES];
};

enum plex86_plan { PLEX86_PLAN_EMULATE, PLEX86_PLAN_NATIVE };

/*
 * @round_trip_ns as the engine measured it; @insn_ns the time that Bochs takes
 * for an instruction, in nanoseconds.
 */
void plex86_policy_init(struct plex86_policy *p, double round_trip_ns, double insn_ns);

/*
 * Emulation was measured to take @sample ns per instruction: adapts the running
 * mean *@insn_ns, and the break-even with it.
 */
void plex86_policy_speed(struct plex86_policy *p, double *insn_ns, double sample);

/*
 * User mode was entered with page table @root at instruction count @icount.
 * Returns after how many instructions to ask plan(), 0: at once.
 */
uint64_t plex86_policy_user(struct plex86_policy *p, uint64_t root, uint64_t icount);

/* The process behind @root is another one by now: it has to earn its space again. */
void plex86_policy_reborn(struct plex86_policy *p, uint64_t root);

/* User mode was left at instruction count @icount: the burst is over, or interrupted. */
void plex86_policy_kernel(struct plex86_policy *p, uint64_t icount);

/*
 * At an instruction boundary in user mode.  @has_space: going native would not
 * have to make a space.  With PLAN_EMULATE *@emulate is the number of
 * instructions after which to ask again.
 */
enum plex86_plan plex86_policy_plan(struct plex86_policy *p, uint64_t root, uint64_t rip,
				    uint64_t icount, bool has_space, uint64_t *emulate);

enum plex86_slice_end {
	PLEX86_SLICE_ASYNC,	/* deadline or kick: nothing about the code */
	PLEX86_SLICE_STEP,	/* an instruction must be emulated */
	PLEX86_SLICE_STUCK,	/* ... and it will trap again: this page is for Bochs */
};

/*
 * A native slice that began at instruction count @before ended at @rip after
 * @ran_ns; its ticks have moved the count to @after.
 */
void plex86_policy_ran(struct plex86_policy *p, enum plex86_slice_end end, uint64_t ran_ns,
		       uint64_t root, uint64_t rip, uint64_t before, uint64_t after);

#endif /* PLEX86_POLICY_H */
