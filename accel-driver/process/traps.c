// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Single instructions that must trap: execution breakpoints in the child's debug
 * registers, and CR4.TSD for those that read the time stamp counter.  They cost the
 * host some microseconds on each switch to the child, so they are written only when
 * they change, and cleared when none is wanted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "process.h"

#define DR7_LOCAL(n)	(UINT64_C(1) << (2 * (n)))	/* L0-L3; R/W and LEN 0: execute */

static int poke(pid_t pid, unsigned int dr, uint64_t value)
{
	size_t at = offsetof(struct user, u_debugreg) + dr * sizeof(value);

	return ptrace(PTRACE_POKEUSER, pid, at, value) ? -errno : 0;
}

int space_set_traps(struct plex86_space *s, const plex86_gva_t *addrs, unsigned int n)
{
	uint64_t dr7 = 0;
	unsigned int i;
	int err;

	if (!s || n > PLEX86_MAX_TRAPS || (n && !addrs))
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (addrs[i].la >= PROCESS_VA_LIMIT)
			return -EINVAL;
	if (s->dead)
		return -ESRCH;
	/* Disabled first: the kernel wants enabled ones to be consistent throughout. */
	err = poke(s->pid, 7, 0);
	for (i = 0; !err && i < n; i++) {
		err = poke(s->pid, i, addrs[i].la);
		dr7 |= DR7_LOCAL(i);
	}
	if (!err && n)
		err = poke(s->pid, 7, dr7);
	return err;
}

int space_trap_tsc(struct plex86_space *s, bool on)
{
	const uint64_t arg[6] = { PR_SET_TSC, on ? PR_TSC_SIGSEGV : PR_TSC_ENABLE };
	int err;

	if (!s)
		return -EINVAL;
	if (s->dead)
		return -ESRCH;
	if (on && !(s->engine->caps.flags & PLEX86_CAP_TSC_SWITCH))
		return -ENODEV;	/* refused, or accepted without effect */
	err = space_flush(s);
	if (err)
		s->error = err;		/* the space is lost: the next run says so, too */
	else
		err = (int)inject_call(s->engine, s->pid, s->stub, SYS_prctl, arg);
	s->regs_known = false;
	return err;
}

/* The kernel has a breakpoint at the stub's INT n; does the CPU? */
static bool traps(struct plex86_space *s)
{
	struct user_regs_struct in;
	struct stop out;

	process_try_regs(s->engine, s->stub + STUB_OFFSET(stub_intn), &in);
	return !process_try(s, &in, &out) && process_stopped_at(&out, SIGTRAP, in.rip) &&
	       out.info.si_code == TRAP_HWBKPT;
}

unsigned int traps_supported(struct plex86_space *s)
{
	const uint64_t at = s->stub + STUB_OFFSET(stub_intn);
	unsigned long dr7 = 0;
	unsigned int n;

	/* A container runtime or a host without debug registers may say no, or others have some. */
	for (n = 0; n < PLEX86_MAX_TRAPS; n++) {
		dr7 |= DR7_LOCAL(n);
		if (poke(s->pid, n, at) || poke(s->pid, 7, dr7))
			break;
		/* Or say nothing (PVM).  Each on its own: one is enough to stop. */
		if (poke(s->pid, 7, DR7_LOCAL(n)) || !traps(s) || poke(s->pid, 7, dr7))
			break;
	}
	return poke(s->pid, 7, 0) ? 0 : n;
}
