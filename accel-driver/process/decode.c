// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a stop of the child means for the guest.  ptrace gives a signal and its
 * siginfo, not vector and error code; the aim is only to know whether the
 * instruction has trapped, and to put RIP back on it, so that Bochs executes it
 * and finds out everything else itself.
 *
 * Faults leave RIP where it belongs, with EFLAGS.RF set.  INT3 and INTO are traps:
 * RIP is behind them, RF is clear.  A system call is behind itself too, and the
 * kernel has put RAX aside.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "process.h"

#define EFLAGS_OF	(UINT64_C(1) << 11)
#define EFLAGS_RF	(UINT64_C(1) << 16)

#define OP_INTN		0xcd
#define OP_INTO		0xce
#define INTN_SYSCALL	0x80

#define VDSO_SIZE	0x4000u		/* it is smaller */

#define VECTOR_DE	0
#define VECTOR_BP	3
#define VECTOR_OF	4
#define VECTOR_AC	17

#ifndef SEGV_PKUERR
#define SEGV_PKUERR	4
#endif
#ifndef SYS_SECCOMP
#define SYS_SECCOMP	1
#endif

/*
 * A byte of the child's memory, or -1; if that is because it has been killed, @stop says so.
 * Aligned words never straddle a page.
 */
static int peek(const struct plex86_space *s, struct stop *stop, uint64_t addr)
{
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, s->pid, addr & ~UINT64_C(7), 0);
	if (word == -1 && errno) {
		stop->gone |= errno == ESRCH;
		return -1;
	}
	return (int)((uint64_t)word >> (addr & 7) * 8 & 0xff);
}

/* Linear address of @ip; only code of an LDT segment has a base. */
static uint64_t linear(const struct plex86_space *s, const struct user_regs_struct *r, uint64_t ip)
{
	if (r->cs & 4)
		return (uint32_t)(s->ldt[PLEX86_CS].base + ip);
	return ip;
}

/* Is CD @n right before RIP? */
static bool after_intn(const struct plex86_space *s, struct stop *stop, int n)
{
	const struct user_regs_struct *r = &stop->regs;

	return peek(s, stop, linear(s, r, r->rip - 2)) == OP_INTN &&
	       peek(s, stop, linear(s, r, r->rip - 1)) == n;
}

static enum stop_kind trap(struct plex86_exit *exit, uint32_t vector)
{
	exit->reason = PLEX86_EXIT_TRAP;
	exit->vector = vector;
	return STOP_TRAP;
}

static enum stop_kind page(struct plex86_exit *exit, uint64_t addr)
{
	exit->reason = PLEX86_EXIT_PAGE;
	exit->vector = 14;
	exit->addr = addr;
	return STOP_TRAP;
}

static enum stop_kind broken(struct user_regs_struct *r, struct plex86_exit *exit)
{
	r->rip &= UINT32_MAX;
	exit->reason = PLEX86_EXIT_BROKEN;
	exit->why = "32-bit SYSCALL or SYSENTER was executed: the host kernel has destroyed "
		    "the registers";
	return STOP_TRAP;
}

/*
 * Where its sixth argument, which becomes EBP, can't be read from the stack, the kernel puts 0
 * there and returns EFAULT to its vDSO without a stop for the call.  That is no address of 32-bit
 * code, but some ways back cut it off.
 */
bool decode_broken(const struct plex86_engine *e, struct user_regs_struct *r, bool code64,
		   struct plex86_exit *exit)
{
	bool cut = (uint32_t)r->rip - e->vdso < VDSO_SIZE && (uint32_t)r->rax == (uint32_t)-EFAULT &&
		   !(uint32_t)r->rbp;

	if (code64 || (r->rip <= UINT32_MAX && !cut))
		return false;
	broken(r, exit);
	return true;
}

/* A system call that PTRACE_SYSEMU has swallowed. */
static enum stop_kind decode_syscall(struct plex86_space *s, struct stop *stop, bool code64,
				     struct plex86_exit *exit)
{
	struct user_regs_struct *r = &stop->regs;

	if (!code64 && !after_intn(s, stop, INTN_SYSCALL))
		return broken(r, exit);
	r->rip -= 2;
	r->rax = r->orig_rax;
	return trap(exit, PLEX86_VECTOR_UNKNOWN);
}

static enum stop_kind decode_sigtrap(struct plex86_space *s, struct stop *stop,
				     struct plex86_exit *exit)
{
	struct user_regs_struct *r = &stop->regs;

	switch (stop->info.si_code) {
	case SI_KERNEL:
		r->rip -= after_intn(s, stop, VECTOR_BP) ? 2 : 1;
		return trap(exit, VECTOR_BP);
	case TRAP_BRKPT:
		/* ICEBP.  Vector 1 would say that #DB is pending; it is to be raised. */
		r->rip -= s->engine->icebp_len;
		return trap(exit, PLEX86_VECTOR_UNKNOWN);
	case TRAP_HWBKPT:
		/* One of ours (traps.c), before its instruction. */
		return trap(exit, PLEX86_VECTOR_UNKNOWN);
	case TRAP_TRACE:
		return trap(exit, PLEX86_VECTOR_DB);
	default:
		return trap(exit, PLEX86_VECTOR_UNKNOWN);
	}
}

static enum stop_kind decode_sigsegv(struct plex86_space *s, struct stop *stop, bool code64,
				     struct plex86_exit *exit)
{
	struct user_regs_struct *r = &stop->regs;

	switch (stop->info.si_code) {
	case SEGV_MAPERR:
	case SEGV_ACCERR:
	case SEGV_PKUERR:
		return page(exit, (uint64_t)(uintptr_t)stop->info.si_addr);
	case SI_KERNEL:
		break;
	default:
		return trap(exit, PLEX86_VECTOR_UNKNOWN);
	}
	/* #GP, #BR of 32-bit code, or #OF by INTO or INT 4; only the latter two leave RF clear. */
	if (r->eflags & EFLAGS_RF)
		return trap(exit, code64 ? PLEX86_VECTOR_GP : PLEX86_VECTOR_UNKNOWN);
	if (after_intn(s, stop, VECTOR_OF)) {
		r->rip -= 2;
		return trap(exit, VECTOR_OF);
	}
	if (!code64 && r->eflags & EFLAGS_OF && peek(s, stop, linear(s, r, r->rip - 1)) == OP_INTO) {
		r->rip -= 1;
		return trap(exit, VECTOR_OF);
	}
	return trap(exit, PLEX86_VECTOR_UNKNOWN);
}

static enum stop_kind decode_sigbus(struct stop *stop, struct plex86_exit *exit)
{
	switch (stop->info.si_code) {
	case BUS_ADRALN:
		return trap(exit, VECTOR_AC);
	case SI_KERNEL:
		return trap(exit, PLEX86_VECTOR_UNKNOWN);	/* #SS, #NP */
	default:
		/* Not the guest's doing: the RAM object is cut short, full or broken. */
		exit->reason = PLEX86_EXIT_LOST;
		exit->why = "the host couldn't provide a page of guest memory (SIGBUS)";
		return STOP_TRAP;
	}
}

/*
 * A call of the vsyscall page, kept from the host kernel by the filter.  The
 * kernel has already returned from it on the guest's stack; undo that.
 */
static enum stop_kind decode_sigsys(struct stop *stop, struct plex86_exit *exit)
{
	struct user_regs_struct *r = &stop->regs;

	if (stop->info.si_code != SYS_SECCOMP)
		return STOP_NOTHING;
	r->rip = (uint64_t)(uintptr_t)stop->info.si_call_addr;
	r->rsp -= 8;
	return page(exit, r->rip);
}

static enum stop_kind decode_signal(struct plex86_space *s, struct stop *stop, bool code64,
				    struct plex86_exit *exit)
{
	/* Sent by somebody; no guest instruction does that. */
	if (stop->info.si_code <= 0)
		return STOP_NOTHING;
	switch (stop->info.si_signo) {
	case SIGTRAP:
		return decode_sigtrap(s, stop, exit);
	case SIGSEGV:
		return decode_sigsegv(s, stop, code64, exit);
	case SIGBUS:
		return decode_sigbus(stop, exit);
	case SIGSYS:
		return decode_sigsys(stop, exit);
	case SIGILL:
		return trap(exit, PLEX86_VECTOR_UD);
	case SIGFPE:
		return trap(exit, stop->info.si_code == FPE_INTDIV ? VECTOR_DE :
			    PLEX86_VECTOR_UNKNOWN);
	default:
		return STOP_NOTHING;
	}
}

enum stop_kind decode_stop(struct plex86_space *s, struct stop *stop, bool code64,
			   struct plex86_exit *exit)
{
	struct user_regs_struct *r = &stop->regs;
	enum stop_kind kind;

	exit->vector = PLEX86_VECTOR_UNKNOWN;
	if (stop->syscall)
		kind = decode_syscall(s, stop, code64, exit);
	else
		kind = decode_signal(s, stop, code64, exit);
	r->eflags &= ~EFLAGS_RF;
	/* Guest code that found the stub: as far as the guest goes, nothing is there. */
	if (kind == STOP_TRAP && r->rip >= s->stub && r->rip < s->stub + STUB_SIZE)
		return page(exit, r->rip);
	return kind;
}
