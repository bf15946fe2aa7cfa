/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * May this state run natively at all?  One function, pure, asked before each
 * slice; each refusal has a name, because the time that each one costs is the
 * road map (statistics, "refused").
 */
#ifndef PLEX86_ENTRY_H
#define PLEX86_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/cpu.h>
#include <plex86/engine.h>

enum plex86_refusal {
	PLEX86_OK,
	PLEX86_REFUSE_NOT_USER,
	PLEX86_REFUSE_VM86,
	PLEX86_REFUSE_TRAP_FLAG,
	PLEX86_REFUSE_IOPL,
	PLEX86_REFUSE_VIRTUAL_IF,
	PLEX86_REFUSE_A20,
	PLEX86_REFUSE_SMM,
	PLEX86_REFUSE_NESTED,
	PLEX86_REFUSE_INHIBITED,
	PLEX86_REFUSE_MONITOR,
	PLEX86_REFUSE_BREAKPOINT,
	PLEX86_REFUSE_FPU_OFF,
	PLEX86_REFUSE_SSE_OFF,
	PLEX86_REFUSE_XCR0,
	PLEX86_REFUSE_SYSCALL_OFF,
	PLEX86_REFUSE_ALIGNMENT,
	PLEX86_REFUSE_FEATURE,
	PLEX86_REFUSE_PAGING,
	PLEX86_REFUSE_COMPAT,
	PLEX86_REFUSE_UPPER_HALF,
	PLEX86_REFUSE_SEGMENTS,
	PLEX86_REFUSE_SELECTORS,
	PLEX86_REFUSE_ENGINE,
	PLEX86_REFUSALS
};

/* What matters beside struct plex86_cpu; true means that it stands in the way. */
struct plex86_env {
	bool a20_off;
	bool smm;
	bool nested;		/* VMX or SVM guest mode */
	bool inhibited;		/* behind STI, MOV SS; or a debug trap pending */
	bool monitor;		/* MONITOR or its like is armed: which stores count, Bochs alone sees */
	bool user_cet;		/* shadow stack or branch tracking in user mode */
	bool key_0_denied;	/* PKRU forbids something by protection key 0 */
	uint32_t tsc_aux;	/* what RDPID reads */
};

/*
 * @strict: refuse as well what would run, but let user code see selectors that
 * are not the guest's.
 */
enum plex86_refusal plex86_entry_check(const struct plex86_cpu *cpu, const struct plex86_env *env,
				       const struct plex86_caps *caps, bool strict);

/*
 * Does user code see its selectors where an engine has no others than the host's?  So it
 * does under 64-bit Linux, also those of its thread-local storage.
 */
bool plex86_linux_selectors(const struct plex86_cpu *cpu);

/*
 * Is SS, as it was loaded, a flat 32-bit stack?  64-bit code ignores it; 32-bit code that
 * it goes on to by a far jump does not (SYSRET leaves what an interrupt had loaded).
 */
bool plex86_flat_stack(const struct plex86_cpu *cpu);

/* A short name, stable (it is a key in the statistics file). */
const char *plex86_refusal_name(enum plex86_refusal r);

/*
 * Is what plex86_entry_check() has seen of segment registers still true?  One that guest
 * code has loaded is the host's until Bochs has looked at the guest's tables; not even the
 * width of code is known before.  A base alone may be WRFSBASE's.  Both are arrays of
 * PLEX86_NSEG.
 */
bool plex86_entry_holds(const struct plex86_seg *entered, const struct plex86_seg *now);

#endif /* PLEX86_ENTRY_H */
