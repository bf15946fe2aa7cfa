/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When to go native.  A round trip through an engine costs as much as a few
 * thousand emulated instructions, and most bursts of user code are shorter.
 *
 * - A burst of unknown length is emulated until it has outlived a round trip
 *   (ski rental: never worse than twice the best).  Where bursts that began at
 *   the same place have been seen, their length decides.
 * - A burst that a timer cut short natively goes on natively.
 * - Each process has an account.  Native time earns what its emulation would
 *   have cost, each trip costs what it took.  A process in the red is emulated
 *   until that costs next to nothing in proportion, and the longer the more
 *   often it happens: so code that keeps running into instructions for Bochs
 *   ends up there, at Bochs's speed, and is tried again now and then.
 * - A space costs more (a process of the host, its pages), so a guest process
 *   must have lived for a while to get one; for how long is learned from what
 *   earlier spaces earned.
 *
 * Pure arithmetic on what it is told; tests replay traces through it.  Amounts
 * are instructions as Bochs emulates them, unless they say ns.
 */
#ifndef PLEX86_POLICY_H
#define PLEX86_POLICY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What a native nanosecond is worth in emulated instructions: only the order of
 * magnitude matters, to tell profit from loss.
 */
#define PLEX86_NATIVE_INSNS_PER_NS 4

#define PLEX86_POLICY_BURSTS 8192
#define PLEX86_POLICY_PROCESSES 1024

/* A guest process, by the root of its page tables. */
struct plex86_account {
	uint64_t root;
	uint64_t wanted;	/* when last, as a number */
	uint64_t emulated;	/* instructions of it that Bochs has executed */
	int64_t credit;		/* earned by native code, not yet lost again; bounded */
	int64_t profit;		/* of its space so far */
	uint64_t wait;		/* to emulate before native code is tried again */
	uint8_t strikes;	/* how often it went into the red lately */
	uint8_t large;		/* how often in turn by more than pages that are new would explain */
	uint8_t hot;		/* bursts to look at from their beginning */
	bool has_space;

	/* The burst that is going on, or that was interrupted natively. */
	bool begun;		/* .rip is known */
	bool counted;		/* to be emulated, as far as it pays, to see how long it is */
	bool resume;		/* interrupted at .resume_rip */
	uint64_t rip, resume_rip;
	uint64_t length;	/* so far; native time converted */
};

struct plex86_policy {
	uint64_t round_trip_ns;
	double insn_ns;		/* time that Bochs takes for an instruction */
	uint64_t break_even;	/* instructions emulated in round_trip_ns */
	uint64_t space_worth;	/* instructions that a process must have run to get a space */
	unsigned int space_scale; /* learned factor of it, in quarters */

	struct plex86_account *now;	/* of the process in user mode */
	uint64_t start;		/* instruction count up to which its account is right */
	uint64_t age;		/* emulated since user mode was entered or the last slice ended */
	bool continuing;	/* a slice ended with STEP, and user mode was not left since */

	/* Of the bursts that began at one place: mean length, 0: not seen yet; how many were long enough to go native. */
	struct plex86_burst { uint32_t tag, length, native; } bursts[PLEX86_POLICY_BURSTS];
	uint64_t looked_up;	/* accounts, so far */
	struct plex86_account accounts[PLEX86_POLICY_PROCESSES];
};

enum plex86_plan { PLEX86_PLAN_EMULATE, PLEX86_PLAN_NATIVE };

/*
 * @round_trip_ns as the engine measured it; @insn_ns the time that Bochs takes
 * for an instruction, in nanoseconds.
 */
void plex86_policy_init(struct plex86_policy *p, double round_trip_ns, double insn_ns);

/* Emulation was measured to take @sample ns per instruction: adapts the running mean. */
void plex86_policy_speed(struct plex86_policy *p, double sample);

/*
 * User mode was entered with page table @root at instruction count @icount.
 * Returns after how many instructions to ask plan(), 0: at once.
 */
uint64_t plex86_policy_user(struct plex86_policy *p, uint64_t root, uint64_t icount);

/* The process behind @root is another one by now: it has to earn its space again. */
void plex86_policy_reborn(struct plex86_policy *p, uint64_t root);

/*
 * The space of the process behind @root was given up: another one needed its place, or the
 * process has ended.  It was worth what it earned, and the next one has to be earned again.
 */
void plex86_policy_gave_up(struct plex86_policy *p, uint64_t root);

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
	PLEX86_SLICE_ASYNC,	/* deadline or kick: the burst may go on */
	PLEX86_SLICE_STEP,	/* an instruction must be emulated */
	PLEX86_SLICE_FAULT,	/* the same, for it may be behind a MOV SS; then as ASYNC */
	PLEX86_SLICE_STUCK,	/* as STEP, and it will trap again: this page is for Bochs */
};

/*
 * A native slice ended at @rip: @own_ns of native code that cost @cost_ns besides
 * (round trips, mapping), all of it between instruction counts @before and @after.
 */
void plex86_policy_ran(struct plex86_policy *p, enum plex86_slice_end end, uint64_t own_ns,
		       uint64_t cost_ns, uint64_t root, uint64_t rip, uint64_t before,
		       uint64_t after);

#endif /* PLEX86_POLICY_H */
