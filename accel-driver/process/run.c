// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One slice: registers in, let the child run until something of the guest's has
 * stopped it, registers out.
 *
 * A child may be killed, stopped or signalled by anybody at any moment, so every
 * ptrace call here can find it gone.  What keeps the state exact: a dying child
 * stops once more (PTRACE_EVENT_EXIT) with the registers of its last instruction
 * boundary, and where it was resumed from a stop that isn't the guest's business,
 * the registers were saved first.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "process.h"

#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#endif

/* Flags that ptrace lets us set; it forces IF and bit 1. */
#define FLAGS_LOADED	UINT64_C(0x44cd5)	/* CF PF AF ZF SF DF OF NT AC */
#define FLAGS_FIXED	UINT64_C(0x00202)
#define FLAGS_ID	(UINT64_C(1) << 21)

#define HOST_CS64	0x33

/* Longer than it takes to notice a deadline, shorter than a scheduler's time slice. */
#define CROWDED_NS	1000000u

/* One run() in progress. */
struct slice {
	struct plex86_space *s;
	struct plex86_cpu *cpu;
	struct plex86_vec *vec;
	struct plex86_exit *exit;
	struct user_regs_struct in;	/* what the child was given */
	struct plex86_seg seg[PLEX86_NSEG];	/* and the guest's segment registers then */
	bool ran;			/* *cpu and *vec are newer than at entry */
};

static void cpu_to_regs(const struct plex86_cpu *cpu, struct user_regs_struct *r)
{
	r->rax = cpu->gpr[PLEX86_RAX];
	r->rcx = cpu->gpr[PLEX86_RCX];
	r->rdx = cpu->gpr[PLEX86_RDX];
	r->rbx = cpu->gpr[PLEX86_RBX];
	r->rsp = cpu->gpr[PLEX86_RSP];
	r->rbp = cpu->gpr[PLEX86_RBP];
	r->rsi = cpu->gpr[PLEX86_RSI];
	r->rdi = cpu->gpr[PLEX86_RDI];
	r->r8 = cpu->gpr[PLEX86_R8];
	r->r9 = cpu->gpr[PLEX86_R9];
	r->r10 = cpu->gpr[PLEX86_R10];
	r->r11 = cpu->gpr[PLEX86_R11];
	r->r12 = cpu->gpr[PLEX86_R12];
	r->r13 = cpu->gpr[PLEX86_R13];
	r->r14 = cpu->gpr[PLEX86_R14];
	r->r15 = cpu->gpr[PLEX86_R15];
	r->rip = cpu->rip;
	r->eflags = (cpu->rflags & (FLAGS_LOADED | FLAGS_ID)) | FLAGS_FIXED;
	r->orig_rax = ~0ull;	/* not in a system call: nothing to restart */
}

static void regs_to_cpu(const struct user_regs_struct *r, struct plex86_cpu *cpu)
{
	cpu->gpr[PLEX86_RAX] = r->rax;
	cpu->gpr[PLEX86_RCX] = r->rcx;
	cpu->gpr[PLEX86_RDX] = r->rdx;
	cpu->gpr[PLEX86_RBX] = r->rbx;
	cpu->gpr[PLEX86_RSP] = r->rsp;
	cpu->gpr[PLEX86_RBP] = r->rbp;
	cpu->gpr[PLEX86_RSI] = r->rsi;
	cpu->gpr[PLEX86_RDI] = r->rdi;
	cpu->gpr[PLEX86_R8] = r->r8;
	cpu->gpr[PLEX86_R9] = r->r9;
	cpu->gpr[PLEX86_R10] = r->r10;
	cpu->gpr[PLEX86_R11] = r->r11;
	cpu->gpr[PLEX86_R12] = r->r12;
	cpu->gpr[PLEX86_R13] = r->r13;
	cpu->gpr[PLEX86_R14] = r->r14;
	cpu->gpr[PLEX86_R15] = r->r15;
	cpu->rip = r->rip;
	cpu->rflags = r->eflags;
}

/* Load everything.  0, -errno (nothing ran), or 1: refused, exit->why is set. */
static int enter(struct slice *sl, uint32_t flags)
{
	struct plex86_space *s = sl->s;
	bool id = sl->cpu->rflags & FLAGS_ID;
	int err;

	if (id != s->flag_id) {
		err = inject_flag_id(s->engine, s, id);
		if (err)
			return err;
	}
	memset(&sl->in, 0, sizeof(sl->in));
	cpu_to_regs(sl->cpu, &sl->in);
	err = segs_load(s, sl->cpu, &sl->in, &sl->exit->why);
	if (err)
		return err;
	if (!s->regs_known || memcmp(&sl->in, &s->regs, sizeof(sl->in))) {
		s->regs_known = false;
		if (ptrace(PTRACE_SETREGS, s->pid, 0, &sl->in))
			return -errno;
	}
	err = vec_load(s, sl->vec, sl->cpu->xcr0, flags & PLEX86_RUN_VEC_SAME);
	if (err == -EINVAL) {
		sl->exit->why = "the host can't load this vector state (reserved MXCSR bits?)";
		return 1;
	}
	return err;
}

/* The child's registers become the guest's. */
static int leave(struct slice *sl, struct stop *stop, const struct user_regs_struct *raw)
{
	struct plex86_space *s = sl->s;
	int err;

	err = vec_store(s, sl->vec, sl->cpu->xcr0);
	if (err)
		return err;
	regs_to_cpu(&stop->regs, sl->cpu);
	/* An earlier stop of this slice may have found others there. */
	memcpy(sl->cpu->seg, sl->seg, sizeof(sl->seg));
	segs_store(s, &sl->in, &stop->regs, sl->cpu);
	s->regs = *raw;
	s->regs_known = true;
	s->flag_id = raw->eflags & FLAGS_ID;
	sl->ran = true;
	return 0;
}

/* SIGXCPU, SIGIO and the like come from the kernel, too. */
static bool by_instruction(int signo)
{
	return signo == SIGSEGV || signo == SIGBUS || signo == SIGILL || signo == SIGFPE ||
	       signo == SIGTRAP || signo == SIGSYS;
}

/* Has an instruction raised a signal that the child hasn't reported yet? */
static bool signal_pending(pid_t pid, siginfo_t *info)
{
	struct __ptrace_peeksiginfo_args args = { .nr = 1 };

	for (;;) {
		if (ptrace(PTRACE_PEEKSIGINFO, pid, &args, info) != 1)
			return false;
		if (info->si_code > 0 && by_instruction(info->si_signo))
			return true;
		args.off++;
	}
}

/*
 * Was the child inside a swallowed SYSCALL when it was killed?  ORIG_RAX is the
 * call's number there and -1 elsewhere; only a call number of -1 needs a second
 * look at what the instruction does to the other registers.
 */
static bool killed_in_syscall(const struct slice *sl, const struct user_regs_struct *r)
{
	if (r->orig_rax != ~0ull)
		return true;
	return r->rax == (uint64_t)-ENOSYS && r->rcx == r->rip && r->r11 == r->eflags &&
	       r->cs == HOST_CS64 && r->rip != sl->in.rip;
}

/*
 * The child is dying, in its stop at exit: take its last state.  @seen: the stop
 * that it was in when it was killed, where we had been told of it.
 */
static int bury_exact(struct slice *sl, const struct stop *seen)
{
	struct plex86_exit trap = { 0 };
	struct plex86_space *s = sl->s;
	struct user_regs_struct raw;
	struct stop stop = { 0 };
	int err;

	if (ptrace(PTRACE_GETREGS, s->pid, 0, &stop.regs))
		return -errno;
	raw = stop.regs;
	stop.syscall = (seen && seen->syscall) || killed_in_syscall(sl, &raw);
	if (!decode_broken(s->engine, &stop.regs, raw.cs == HOST_CS64, &trap) &&
	    (stop.syscall || signal_pending(s->pid, &stop.info) ||
	     (seen && (stop.info = seen->info, seen->info.si_code > 0))))
		decode_stop(s, &stop, raw.cs == HOST_CS64, &trap);
	else
		stop.regs.eflags &= ~(UINT64_C(1) << 16);
	err = leave(sl, &stop, &raw);
	s->dead = true;
	s->regs_known = s->vec_known = false;
	if (err)
		return err;
	sl->exit->vector = PLEX86_VECTOR_UNKNOWN;
	if (trap.reason == PLEX86_EXIT_BROKEN) {
		sl->exit->reason = trap.reason;
		sl->exit->why = trap.why;
	} else {
		sl->exit->reason = PLEX86_EXIT_LOST;
		sl->exit->why = "the container process was killed";
	}
	return 0;
}

/* A stop that may be the guest's.  1: resume; 0: done; -ESRCH: it died on us. */
static int examine(struct slice *sl, struct stop *stop)
{
	struct plex86_space *s = sl->s;
	struct plex86_engine *e = s->engine;
	struct user_regs_struct raw;
	enum stop_kind kind = STOP_NOTHING;
	siginfo_t pending;
	int err;

	if (ptrace(PTRACE_GETREGS, s->pid, 0, &stop->regs))
		return -errno;
	raw = stop->regs;
	if (decode_broken(e, &stop->regs, raw.cs == HOST_CS64, sl->exit)) {
		kind = STOP_TRAP;
	} else if (stop->status >> 16) {
		/* Our interrupt, or somebody's SIGSTOP or SIGCONT. */
		deadline_settle(e);
		if ((e->expired || deadline_kicked(e)) && !signal_pending(s->pid, &pending)) {
			sl->exit->reason = deadline_kicked(e) ? PLEX86_EXIT_KICK :
					   PLEX86_EXIT_DEADLINE;
			sl->exit->vector = PLEX86_VECTOR_UNKNOWN;
			kind = STOP_TRAP;
			stop->regs.eflags &= ~(UINT64_C(1) << 16);
		}
	} else {
		stop->syscall = WSTOPSIG(stop->status) == (SIGTRAP | 0x80);
		if (!stop->syscall && ptrace(PTRACE_GETSIGINFO, s->pid, 0, &stop->info))
			return -errno;
		/* Killed since, it is in its stop at exit: that is what we were told of. */
		if (stop->info.si_code == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
			stop->info.si_code = 0;
			return -ESRCH;
		}
		kind = decode_stop(s, stop, raw.cs == HOST_CS64, sl->exit);
		if (stop->gone)
			return -ESRCH;
	}
	/* Even where it is to be resumed: it may be killed before it runs again. */
	err = leave(sl, stop, &raw);
	if (err)
		return err;
	if (sl->exit->reason == PLEX86_EXIT_BROKEN || sl->exit->reason == PLEX86_EXIT_LOST)
		s->dead = true;
	return kind == STOP_NOTHING;
}

/* The child is of no use any more: LOST, *cpu is its last state; BROKEN, memory is newer than *cpu. */
static int ended(struct slice *sl, enum plex86_exit_reason reason, const char *why)
{
	sl->s->dead = true;
	sl->exit->reason = reason;
	sl->exit->vector = PLEX86_VECTOR_UNKNOWN;
	sl->exit->why = why;
	return 0;
}

/* Resume until a stop is the guest's.  0, or -errno: nothing has run. */
static int run_child(struct slice *sl)
{
	struct plex86_space *s = sl->s;
	struct stop stop, *seen = NULL;
	int err;

	do {
		memset(&stop, 0, sizeof(stop));
		if (ptrace(PTRACE_SYSEMU, s->pid, 0, 0) && errno != ESRCH)
			return sl->ran ? ended(sl, PLEX86_EXIT_LOST, "the container process can't be resumed") :
			       -errno;
		s->regs_known = false;
again:
		err = process_wait(s->pid, &stop.status);
		if (err || !WIFSTOPPED(stop.status)) {
			/*
			 * It was past its stop at exit when resumed: it hasn't run since.  (Before
			 * Linux 6.1 a second SIGKILL may have taken it out of that stop: limits.md.)
			 */
			if (seen)
				return ended(sl, PLEX86_EXIT_BROKEN, "the container process was killed twice");
			s->dead = true;
			return sl->ran ? ended(sl, PLEX86_EXIT_LOST, "the container process was killed") : -ESRCH;
		}
		if (stop.status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
			err = bury_exact(sl, seen);
			break;
		}
		err = examine(sl, &stop);
		if (err == -ESRCH && !seen) {
			/* Killed since it stopped; now it must come to its stop at exit. */
			seen = &stop;
			goto again;
		}
	} while (err > 0);
	return err ? ended(sl, PLEX86_EXIT_BROKEN, "the host kernel did not give out the registers of the "
			   "container process") : 0;
}

static int run(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
	       uint32_t flags, uint64_t budget_ns, struct plex86_exit *exit)
{
	struct slice sl = { .s = s, .cpu = cpu, .vec = vec, .exit = exit };
	struct plex86_engine *e = s->engine;
	uint64_t start, before, took;
	int err;

	memcpy(sl.seg, cpu->seg, sizeof(sl.seg));
	exit->why = entry_refuse(e, cpu);
	if (exit->why)
		goto refused;
	err = space_flush(s);
	if (err)
		return err;
	/* Unless the stub has run since, it has used no more than at the last stop. */
	before = s->regs_known ? s->cpu_ns : process_cpu_ns(s->clock);
	err = enter(&sl, flags);
	if (err > 0)
		goto refused;
	if (err)
		goto failed;
	/* Run or not, it has *vec now. */
	e->last_run = s;
	together_follow(s);

	deadline_begin(e, s, before, budget_ns);
	start = process_now();
	if (deadline_kicked(e)) {
		exit->reason = PLEX86_EXIT_KICK;
	} else if (!budget_ns) {
		exit->reason = PLEX86_EXIT_DEADLINE;
	} else {
		err = run_child(&sl);
		s->cpu_ns = process_cpu_ns(s->clock);
		took = process_now() - start;
		exit->ran_ns = s->dead ? took : s->cpu_ns - before;
		s->crowded = exit->ran_ns + CROWDED_NS < took;
		if (err)
			e->last_run = NULL;
	}
	deadline_end(e);
	if (err)
		goto failed;
	deadline_unkick(e);
	return 0;

refused:
	e->last_run = NULL;	/* *vec is nobody's */
	exit->reason = PLEX86_EXIT_REFUSED;
	return 0;
failed:
	s->dead = true;
	return err;
}

int process_run(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
		uint32_t flags, uint64_t budget_ns, struct plex86_exit *exit)
{
	int err;

	if (!s || !cpu || !vec || !exit || flags & ~PLEX86_RUN_VEC_SAME || cpu->reserved)
		return -EINVAL;
	memset(exit, 0, sizeof(*exit));
	exit->vector = PLEX86_VECTOR_UNKNOWN;
	/* For other threads every child looks gone, and waitpid() might never return. */
	if (!process_is_tracer(s->engine))
		return -EPERM;
	if (s->dead)
		return -ESRCH;
	together_begin(s->engine);
	err = run(s, cpu, vec, flags, budget_ns, exit);
	together_end(s, exit->reason == PLEX86_EXIT_TRAP || exit->reason == PLEX86_EXIT_PAGE);
	return err;
}
