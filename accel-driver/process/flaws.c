// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the host says it does, and doesn't, or not as a CPU does: tried in a container.
 *
 * A kernel that runs under PVM shares the CPU's rings with its hypervisor, which takes a few
 * INT n for its own, clears EFLAGS.NT at interrupts, executes WRFSBASE behind the kernel's
 * back, and leaves debug registers and CR4.TSD unset.  A virtual machine's CPUID may be
 * another CPU's, and may hide what can be executed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "process.h"

#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#endif

#define HWCAP2_FSGSBASE_BIT	(1u << 1)

#define EFLAGS_NT	(UINT64_C(1) << 14)

#define OP_INTN		0xcd
#define OP_INT3		0xcc
#define INTN_SYSCALL	0x80

int process_try(struct plex86_space *s, const struct user_regs_struct *in, struct stop *out)
{
	int err;

	s->regs_known = false;
	memset(out, 0, sizeof(*out));
	if (ptrace(PTRACE_SETREGS, s->pid, 0, in))
		return -errno;
	do {
		if (ptrace(PTRACE_SYSEMU, s->pid, 0, 0))
			return -errno;
		err = process_wait(s->pid, &out->status);
		if (err)
			return err;
		if (!WIFSTOPPED(out->status) ||
		    out->status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
			return -ESRCH;
		out->syscall = WSTOPSIG(out->status) == (SIGTRAP | 0x80);
		if (!out->syscall && ptrace(PTRACE_GETSIGINFO, s->pid, 0, &out->info))
			return -errno;
		/* Killed since, it is in its stop at exit: that is what we were told of. */
		if (out->info.si_code == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
			return -ESRCH;
		/* Somebody's kill(), stop or continuation. */
	} while (out->status >> 16 || (!out->syscall && (out->info.si_code <= 0 ||
							 out->info.si_signo == SIGXCPU)));
	return ptrace(PTRACE_GETREGS, s->pid, 0, &out->regs) ? -errno : 0;
}

bool process_stopped_at(const struct stop *stop, int signo, uint64_t rip)
{
	return !stop->syscall && stop->info.si_signo == signo && stop->regs.rip == rip;
}

/* Registers to try something with: no two the same, all others would be noticed. */
void process_try_regs(const struct plex86_engine *e, uint64_t rip, struct user_regs_struct *r)
{
	unsigned long long *const gpr[] = {
		&r->rax, &r->rbx, &r->rcx, &r->rdx, &r->rsi, &r->rdi, &r->rbp, &r->rsp,
		&r->r8, &r->r9, &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15,
	};
	unsigned int i;

	*r = e->clean;
	for (i = 0; i < sizeof(gpr) / sizeof(gpr[0]); i++)
		*gpr[i] = UINT64_C(0x123456789000) + (i << 16);
	r->rip = rip;
	r->orig_rax = ~0ull;
}

/*
 * Run @n bytes of code, with an INT3 behind them.  They are in the container for as long as that
 * takes: the guest might find them.
 */
static int try_code(struct plex86_space *s, const uint8_t *code, size_t n,
		    struct user_regs_struct *in, struct stop *out)
{
	uint8_t *scratch = s->engine->stub + STUB_SCRATCH;
	int err;

	memcpy(scratch, code, n);
	scratch[n] = OP_INT3;
	process_try_regs(s->engine, s->stub + STUB_SCRATCH, in);
	err = process_try(s, in, out);
	memset(scratch, 0, n + 1);
	return err;
}

#define CODE(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

/* Does INT @n fault where it is, as the IDT has it on all other hosts, and change nothing? */
static int try_intn(struct plex86_space *s, unsigned int n, bool *faults)
{
	struct user_regs_struct in;
	struct stop out;
	int err = try_code(s, CODE(OP_INTN, (uint8_t)n), &in, &out);

	if (err)
		return err;
	/* The general registers but ORIG_RAX and RSP come first. */
	*faults = process_stopped_at(&out, SIGSEGV, in.rip) && in.rsp == out.regs.rsp &&
		  !memcmp(&in, &out.regs, offsetof(struct user_regs_struct, orig_rax));
	return 0;
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
	struct user_regs_struct in;
	struct stop out;
	int err;

	process_try_regs(s->engine, s->stub + STUB_OFFSET(stub_intn), &in);
	in.eflags |= EFLAGS_NT;
	err = process_try(s, &in, &out);
	if (!err && !(out.regs.eflags & EFLAGS_NT))
		s->engine->caps.flags |= PLEX86_CAP_NT_LOST;
	return err;
}

/*
 * A kernel without FSGSBASE takes a base for its selector's: that of a null selector stays, and
 * what WRFSBASE writes is lost, should the CPU execute it all the same.
 */
static int probe_fsbase(struct plex86_space *s)
{
	struct user_regs_struct in;
	struct stop out;
	int err;

	s->engine->fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT;
	err = try_code(s, CODE(0xf3, 0x48, 0x0f, 0xae, 0xd0), &in, &out);	/* WRFSBASE RAX */
	if (!err && (!s->engine->fsgsbase ||
		     (out.regs.rip != in.rip && out.regs.fs_base != in.rax)))
		s->engine->caps.flags |= PLEX86_CAP_BASES_LOST;
	return err;
}

static int probe_tsc(struct plex86_space *s)
{
	struct plex86_caps *caps = &s->engine->caps;
	struct user_regs_struct in;
	struct stop out;
	int err;

	caps->flags |= PLEX86_CAP_TSC_SWITCH;
	err = space_trap_tsc(s, true);
	if (err) {
		caps->flags &= ~PLEX86_CAP_TSC_SWITCH;
		return err == -ESRCH ? err : 0;
	}
	err = try_code(s, CODE(0x0f, 0x31), &in, &out);
	if (err || !process_stopped_at(&out, SIGSEGV, in.rip))
		caps->flags &= ~PLEX86_CAP_TSC_SWITCH;
	return err ? err : space_trap_tsc(s, false);
}

static int probe_cpuid(struct plex86_space *s)
{
	struct user_regs_struct in;
	struct stop out;
	int err;

	if (!(s->engine->features & PROCESS_HAS_CPUID_FAULT))
		return 0;
	err = try_code(s, CODE(0x0f, 0xa2), &in, &out);
	if (!err && process_stopped_at(&out, SIGSEGV, in.rip))
		s->engine->caps.flags |= PLEX86_CAP_TRAP_CPUID;
	return err;
}

/* decode.c counts on it that no system call of guest code comes to the filter. */
static int probe_syscall(struct plex86_space *s)
{
	struct user_regs_struct in;
	struct stop out;
	int err = try_code(s, CODE(0x0f, 0x05), &in, &out);

	return err || out.syscall ? err : -ENODEV;
}

int flaws_probe(struct plex86_space *s)
{
	static int (*const probe[])(struct plex86_space *s) = {
		probe_syscall, probe_intn, probe_nt, probe_fsbase, probe_tsc, probe_cpuid,
	};
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < sizeof(probe) / sizeof(probe[0]); i++)
		err = probe[i](s);
	return err;
}

/* #UD in 64-bit mode means AMD's CPU (APM vol. 3, SYSENTER), whatever CPUID says. */
int flaws_probe_sysenter(struct plex86_space *s)
{
	struct user_regs_struct in;
	struct stop out;
	int err;

	err = try_code(s, CODE(0x0f, 0x34), &in, &out);
	if (!err && process_stopped_at(&out, SIGILL, in.rip))
		s->engine->caps.flags |= PLEX86_CAP_SYSENTER_UD;
	return err;
}
