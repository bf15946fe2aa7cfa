/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an engine is: something that maps the pages it is told to, runs user
 * code in them until the first trap, and reports.  It holds no policy, walks no
 * guest page table, decodes nothing and emulates nothing.  plex86.ko, the
 * process engine and, later, /dev/kvm stand behind this one table, and one
 * conformance suite (tests/conformance/) tests them all.
 *
 * Objects: an engine owns the guest RAM's registration; a space is one guest
 * address space.  One thread at a time uses an engine (Bochs's CPU thread);
 * only kick() may be called from elsewhere.  All functions return 0 or a
 * negative errno unless they say otherwise; none prints, exits or longjmps.
 */
#ifndef PLEX86_ENGINE_H
#define PLEX86_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plex86/addr.h>
#include <plex86/cpu.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plex86_engine;		/* each engine defines its own */
struct plex86_space;

/* Room for one sentence that says what is wrong and what to do about it. */
#define PLEX86_WHY_LEN 256

/* What one entry of a root table of long mode is for, bytes; and how many there are for user code. */
#define PLEX86_SLOT_SIZE	(UINT64_C(1) << 39)
#define PLEX86_SLOTS		256

/* What an engine can do beyond the minimum (flat 64-bit user code, int 0x80). */
#define PLEX86_CAP_COMPAT	(1u << 0)	/* 32-bit flat code, in any paging mode */
#define PLEX86_CAP_SEGMENTS	(1u << 1)	/* based, limited, 16-bit segments */
#define PLEX86_CAP_SELECTORS	(1u << 2)	/* the guest's own selector values */
#define PLEX86_CAP_DESCRIPTORS	(1u << 3)	/* set_descriptors(): LAR, segment loads exact */
#define PLEX86_CAP_TRAP_CPUID	(1u << 4)
#define PLEX86_CAP_TRAP_TSC	(1u << 5)	/* RDTSC, RDTSCP and RDPMC trap, RDPID
						 * (which no CPU can make trap) reads 0 */
#define PLEX86_CAP_TRAP_UMIP	(1u << 6)	/* SGDT, SIDT, SLDT, STR, SMSW trap */
#define PLEX86_CAP_TRAP_SYSENTER (1u << 7)	/* 32-bit SYSENTER and SYSCALL trap, state exact */
#define PLEX86_CAP_XCR0		(1u << 8)	/* runs with the guest's XCR0 */
#define PLEX86_CAP_SYSENTER_UD	(1u << 9)	/* SYSENTER is #UD, but 32-bit SYSCALL is not (AMD) */
#define PLEX86_CAP_ERRORCODE	(1u << 10)	/* exits carry vector and error code */
#define PLEX86_CAP_SYSCALL_EXACT (1u << 11)	/* 64-bit SYSCALL traps with RCX, R11 intact */
#define PLEX86_CAP_REX2		(1u << 12)	/* a hindrance: the host decodes REX2 prefixes (APX) */
#define PLEX86_CAP_EXEC_ONLY	(1u << 13)	/* PROT_EXEC without READ: reading is a page fault */
#define PLEX86_CAP_PREFIXES	(1u << 14)	/* a TRAP of INT n and its like leaves RIP on its
						 * prefixes, not on its opcode */
#define PLEX86_CAP_TZCNT	(1u << 15)	/* F3 BSF is TZCNT on this host ... */
#define PLEX86_CAP_LZCNT	(1u << 16)	/* ... and F3 BSR is LZCNT */
#define PLEX86_CAP_LA57		(1u << 17)	/* a hindrance: canonical means 57 bits to user code */
#define PLEX86_CAP_TSC_SWITCH	(1u << 21)	/* trap_tsc() works */
/* Hindrances of a host whose kernel runs under another (PVM), unlike a CPU; or is old: */
#define PLEX86_CAP_INTN_TAKEN	(1u << 18)	/* some INT n do what that one wants */
#define PLEX86_CAP_NT_LOST	(1u << 19)	/* EFLAGS.NT is cleared now and then */
#define PLEX86_CAP_BASES_LOST	(1u << 20)	/* FS and GS base belong to their selectors, or so
						 * the kernel thinks; WRFSBASE may be forgotten */

struct plex86_caps {
	uint32_t flags;		/* PLEX86_CAP_* */
	uint32_t max_batch;	/* map operations per apply() worth giving at once */
	uint64_t xcr0;		/* vector components that can be loaded and read back */
	uint32_t mxcsr_mask;	/* bits that MXCSR can have; others are a fault to load */
	uint32_t reserved;	/* zero */
	uint64_t va_first;	/* first linear address that can be mapped ... */
	uint64_t va_limit;	/* ... and the first one behind it that can't, user half */
	uint64_t max_maps;	/* mappings (runs) per space, 0: no limit known */
	uint64_t round_trip_ns;	/* run() to the first trap and back, measured at open() */
	uint64_t trip_ran_ns;	/* of that, what .ran_ns of the exit includes */
	uint64_t traps_extra_ns;/* how much longer it takes with set_traps() in force */
	uint64_t tsc_extra_ns;	/* and with trap_tsc(); both measured or 0 */
	uint64_t map_page_ns;	/* apply() of one page in a full batch, measured or 0 */
	uint32_t max_traps;	/* addresses that set_traps() takes; at most PLEX86_MAX_TRAPS */
	uint32_t max_gdt;	/* CAP_DESCRIPTORS: entries that set_descriptors() honours ... */
	uint32_t max_ldt;
	uint32_t gdt_taken;	/* ... but for this one of the GDT; 0: all */
};

struct plex86_engine_config {
	int ram_fd;		/* memfd of ram_size bytes; borrowed for the engine's life */
	uint32_t flags;		/* zero */
	void *ram;		/* the same memory in this process; borrowed */
	uint64_t ram_size;	/* bytes, multiple of a page */
	uint32_t max_spaces;	/* the most that the core will keep alive at once */
	uint32_t reserved;	/* zero */
};

#define PLEX86_MAX_TRAPS 4	/* the debug registers of an x86 CPU */

enum plex86_map_kind {
	PLEX86_MAP = 1,		/* make [gva, gva + npages) show ram [off, ...); replaces */
	PLEX86_UNMAP = 2,	/* nothing is mapped there afterwards; absent pages are fine */
	PLEX86_UNMAP_ALL = 3,	/* the whole space; gva, npages ignored */
};

#define PLEX86_PROT_READ	1u
#define PLEX86_PROT_WRITE	2u
#define PLEX86_PROT_EXEC	4u

struct plex86_map_op {
	uint32_t kind;		/* enum plex86_map_kind */
	uint32_t prot;		/* PLEX86_PROT_*; READ is implied by WRITE, and by EXEC
				 * unless the engine has CAP_EXEC_ONLY */
	plex86_gva_t gva;	/* page aligned */
	plex86_ramoff_t off;	/* page aligned */
	uint64_t npages;
};

enum plex86_exit_reason {
	PLEX86_EXIT_TRAP = 1,	/* an instruction that the container can't execute */
	PLEX86_EXIT_PAGE = 2,	/* a page fault at .addr */
	PLEX86_EXIT_DEADLINE = 3,/* the budget is used up */
	PLEX86_EXIT_KICK = 4,	/* kick() was called */
	PLEX86_EXIT_REFUSED = 5,	/* this state can't be entered; nothing ran; see .why */
	PLEX86_EXIT_LOST = 6,	/* the space died; the state is exact */
	PLEX86_EXIT_BROKEN = 7,	/* the trap destroyed registers; see plex86_filter_mask() */
	PLEX86_EXIT_REASONS
};

#define PLEX86_ACCESS_WRITE	(1u << 0)
#define PLEX86_ACCESS_EXEC	(1u << 1)
#define PLEX86_ACCESS_KNOWN	(1u << 31)	/* the two bits above mean something */

struct plex86_exit {
	uint32_t reason;	/* enum plex86_exit_reason */
	uint32_t vector;	/* hardware vector, or PLEX86_VECTOR_UNKNOWN; 1: a single-step
				 * trap is due, RIP is behind the instruction (ICEBP is not it);
				 * 13: RIP is exact, whatever CAP_PREFIXES says */
	uint32_t error_code;	/* as pushed by the CPU, if CAP_ERRORCODE */
	uint32_t access;	/* PAGE: PLEX86_ACCESS_* */
	uint64_t addr;		/* PAGE: linear address (CR2) */
	uint64_t ran_ns;	/* host time between entry and trap, ns; what the engine's own
				 * switch takes of it is the same for each run of a space */
	const char *why;	/* REFUSED, LOST, BROKEN: static string, one phrase */
};

#define PLEX86_VECTOR_DB	1u	/* SDM vol. 3, table 6-1 */
#define PLEX86_VECTOR_UD	6u
#define PLEX86_VECTOR_GP	13u
#define PLEX86_VECTOR_UNKNOWN	0xffffffffu

/* run() flags */
#define PLEX86_RUN_VEC_SAME	(1u << 0)	/* *vec is what the last run() of any space of
						 * this engine returned */

struct plex86_engine_ops {
	const char *name;

	/*
	 * Can this engine work on this host?  No lasting side effect.  For who wants to
	 * know, not before an open(), which says the same and may do all of this again.
	 * Returns 0, or a negative errno with a sentence in @why.
	 */
	int (*probe)(char why[PLEX86_WHY_LEN]);

	/* Start the engine.  On failure nothing is left behind; @why says why. */
	int (*open)(const struct plex86_engine_config *config,
		    struct plex86_engine **engine, char why[PLEX86_WHY_LEN]);

	/* Destroys the spaces that are left, then the engine.  NULL is allowed. */
	void (*close)(struct plex86_engine *engine);

	/* Valid until close(). */
	const struct plex86_caps *(*caps)(struct plex86_engine *engine);

	int (*space_create)(struct plex86_engine *engine, struct plex86_space **space);
	void (*space_destroy)(struct plex86_space *space);

	/*
	 * Apply @n operations in order.  May be deferred to the next run() of
	 * that space, but never beyond it.  On failure *@done (may be NULL) is
	 * the number applied and the failing one changed nothing, or, where the
	 * engine deferred it, the next run() returns the error before entering.
	 * -ENOMEM, -ENOSPC: out of memory, out of mappings: the core gives the
	 * space up.  -EINVAL: misaligned, outside RAM or va_limit.  -EADDRINUSE:
	 * the engine needs that place and could not move.
	 */
	int (*apply)(struct plex86_space *space, const struct plex86_map_op *ops,
		     unsigned int n, unsigned int *done);

	/*
	 * Run user code from @cpu, @vec for at most about @budget_ns of host
	 * time.  On return 0, @cpu, @vec hold the state before the instruction
	 * that trapped (vector state too), whatever the reason but BROKEN.  A syscall-like
	 * instruction counts as trapping: RIP is at it.  On REFUSED they are
	 * untouched.  A negative errno means that nothing ran and nothing
	 * changed; the core then destroys the space.
	 */
	int (*run)(struct plex86_space *space, struct plex86_cpu *cpu,
		   struct plex86_vec *vec, uint32_t flags, uint64_t budget_ns,
		   struct plex86_exit *exit);

	/*
	 * End the run() in progress, or the next one, with EXIT_KICK (another
	 * reason may win).  Any thread; async-signal-safe.
	 */
	void (*kick)(struct plex86_engine *engine);

	/*
	 * Optional (NULL if caps.max_traps is 0): until the next call, an
	 * instruction that begins at one of @n addresses ends run() of this
	 * space with EXIT_TRAP (vector unknown) before it executes.  This is for
	 * the few instructions in otherwise harmless pages that would give the
	 * host's answer.  -ENOSPC: the CPU has not so many left, as the host uses
	 * them otherwise; the space is good.
	 */
	int (*set_traps)(struct plex86_space *space, const plex86_gva_t *addrs, unsigned int n);

	/*
	 * Wants CAP_TSC_SWITCH (may be NULL without): have RDTSC and RDTSCP trap
	 * in this space, where doing so for all spaces would make every round
	 * trip dearer.  On failure nothing has changed.
	 */
	int (*trap_tsc)(struct plex86_space *space, bool on);

	/*
	 * Optional (NULL: the engine has nothing of its own where user code can
	 * read): the guest's tables have something, mapped natively or not, in
	 * the PLEX86_SLOT_SIZE bytes from n * PLEX86_SLOT_SIZE on for each bit
	 * n % 64 of @slots[n / 64] that is set.  The engine takes its things away
	 * from there as far as there is room.  -errno: the space is lost.
	 */
	int (*occupied)(struct plex86_space *space, const uint64_t slots[PLEX86_SLOTS / 64]);

	/*
	 * Optional (NULL without CAP_DESCRIPTORS): the guest's descriptor
	 * tables, @gdt of @ngdt and @ldt of @nldt 8-byte entries, copied.  Only
	 * entries that user code may load as they are (S, P, DPL 3, accessed)
	 * need be honoured; loading any other must trap.  From the first call
	 * on, a register that differs from its descriptor is REFUSED.
	 */
	int (*set_descriptors)(struct plex86_space *space, const uint64_t *gdt,
			       unsigned int ngdt, const uint64_t *ldt, unsigned int nldt);
};

/*
 * The engines that this build has, best first, NULL-terminated.  Chosen at link
 * time (plugin/engines.c), never by #ifdef in a code path.
 */
extern const struct plex86_engine_ops *const plex86_engines[];

extern const struct plex86_engine_ops plex86_engine_process;
extern const struct plex86_engine_ops plex86_engine_driver;

#ifdef __cplusplus
}
#endif

#endif /* PLEX86_ENGINE_H */
