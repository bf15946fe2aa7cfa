// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the kernel accepts and the machine below it then doesn't do, or not as a CPU does.
 * A kernel that runs under PVM shares the CPU's rings with its hypervisor, which takes a few
 * INT n for its own, clears EFLAGS.NT on some ways, executes WRFSBASE behind the kernel's back
 * and leaves debug registers unset.  Found out by doing each in a container.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "process.h"

#define EFLAGS_NT	(UINT64_C(1) << 14)

#define OP_INTN		0xcd
#define OP_INT3		0xcc
#define INTN_SYSCALL	0x80

/* Where a container has a program's data. */
#define SOME_BASE	UINT64_C(0x123456789000)

#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#endif

int process_try(struct plex86_space *s, const struct user_regs_struct *in,
		struct user_regs_struct *out, int *status)
{
	int err;

	s->regs_known = false;
	*out = *in;
	out->orig_rax = ~0ull;
	if (ptrace(PTRACE_SETREGS, s->pid, 0, out) || ptrace(PTRACE_SYSEMU, s->pid, 0, 0))
		return -errno;
	err = process_wait(s->pid, status);
	if (err)
		return err;
	return ptrace(PTRACE_GETREGS, s->pid, 0, out) ? -errno : 0;
}

/* Does INT @n fault where it is, as the IDT has it on all other hosts, and change nothing? */
static int try_intn(struct plex86_space *s, unsigned int n, bool *faults)
{
	const uint8_t code[] = { OP_INTN, (uint8_t)n, OP_INT3 };
	struct user_regs_struct in = s->engine->clean, out;
	int status, err;

	memcpy(s->engine->stub + STUB_SCRATCH, code, sizeof(code));
	in.rip = s->stub + STUB_SCRATCH;
	err = process_try(s, &in, &out, &status);
	/* The general registers but ORIG_RAX, and RIP. */
	*faults = WIFSTOPPED(status) && WSTOPSIG(status) == SIGSEGV &&
		  !memcmp(&in, &out, offsetof(struct user_regs_struct, orig_rax)) &&
		  in.rip == out.rip && in.rsp == out.rsp;
	return err;
}

static int probe_intn(struct plex86_space *s)
{
	unsigned int n;
	bool faults;
	int err;

	for (n = 0; n < 256; n++) {
		/* INT3, INTO and the system call are what they are called. */
		if (n == 3 || n == 4 || n == INTN_SYSCALL)
			continue;
		err = try_intn(s, n, &faults);
		if (err)
			return err;
		if (!faults) {
			s->engine->caps.flags |= PLEX86_CAP_INTN_TAKEN;
			break;
		}
	}
	return 0;
}

/* The way in loses it; what POPF sets is lost by the next interrupt. */
static int probe_nt(struct plex86_space *s)
{
	struct user_regs_struct in = s->engine->clean, out;
	int status, err;

	in.rip = s->stub + STUB_OFFSET(stub_intn);
	in.eflags |= EFLAGS_NT;
	err = process_try(s, &in, &out, &status);
	if (!err && !(out.eflags & EFLAGS_NT))
		s->engine->caps.flags |= PLEX86_CAP_NT_LOST;
	return err;
}

/* It is #UD, or the kernel knows of it. */
static int probe_fsbase(struct plex86_space *s)
{
	struct user_regs_struct in = s->engine->clean, out;
	int status, err;

	in.rip = s->stub + STUB_OFFSET(stub_wrfsbase);
	in.rax = SOME_BASE;
	err = process_try(s, &in, &out, &status);
	if (!err && out.rip != in.rip && out.fs_base != SOME_BASE)
		s->engine->caps.flags |= PLEX86_CAP_BASES_LOST;
	return err;
}

int flaws_probe(struct plex86_space *s)
{
	int err = probe_intn(s);

	if (!err)
		err = probe_nt(s);
	return err ? err : probe_fsbase(s);
}
