// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Ways to have another process execute code until it traps, side by side: what the
 * process engine could be built on.  Each round trip resumes the process at an HLT,
 * has its registers after the #GP, and changes them.  docs/process.md says which of
 * them the engine uses, and why not the fastest.
 *
 *   mechanisms
 *
 * ptrace	the tracer resumes, waits, reads and writes registers
 * stub		a signal handler in the process leaves its frame in shared memory and waits there
 * blocking	whoever waits sleeps in the kernel
 * spinning	it looks again and again
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#endif

#define BATCHES		15
#define ROUNDS		500
#define STACK_SIZE	65536
#define OP_HLT		0xf4
#define PATIENCE	1000000000u	/* looks, before the other side is taken for dead */

enum { GUEST_RUNS = 1, GUEST_STOPPED };

/* What both sides of a stub see; the signal frame is on the stack in it. */
struct shared {
	uint32_t state;
	ucontext_t *frame;
	uint8_t stack[STACK_SIZE] __attribute__((aligned(64)));
};

static const struct mechanism {
	const char *name;
	bool stub, apart, spinning;
} mechanism[] = {
	{ "ptrace, one core, blocking", false, false, false },
	{ "ptrace, two cores, blocking", false, true, false },
	{ "ptrace, two cores, tracer spinning", false, true, true },
	{ "stub, one core, futex", true, false, false },
	{ "stub, two cores, futex", true, true, false },
	{ "stub, two cores, both spinning", true, true, true },
};

#define MECHANISMS (sizeof(mechanism) / sizeof(mechanism[0]))

static struct guest {
	pid_t pid;
	struct shared *shared;
	struct user_regs_struct regs;
} guest[MECHANISMS];

static const struct mechanism *self;	/* in the guest's process */
static struct shared *shared;
static uint8_t *code;

static void die(const char *what)
{
	fprintf(stderr, "mechanisms: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

/* Waits until the state is @wanted; false: it never came. */
static bool wait_for(struct shared *s, uint32_t wanted, bool spinning)
{
	uint32_t now;
	unsigned int i;

	for (i = 0; i < PATIENCE; i++) {
		now = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
		if (now == wanted)
			return true;
		if (spinning)
			__builtin_ia32_pause();
		else
			syscall(SYS_futex, &s->state, FUTEX_WAIT, now, NULL, NULL, 0);
	}
	return false;
}

static void hand_over(struct shared *s, uint32_t state, bool spinning)
{
	__atomic_store_n(&s->state, state, __ATOMIC_RELEASE);
	if (!spinning)
		syscall(SYS_futex, &s->state, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void stub(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	shared->frame = context;
	hand_over(shared, GUEST_STOPPED, self->spinning);
	if (!wait_for(shared, GUEST_RUNS, self->spinning))
		_exit(1);
}

/* The process: at the end it is at the HLT. */
static void __attribute__((noreturn)) guest_main(int cpu)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(cpu);
	if (self->stub) {
		const stack_t stack = { .ss_sp = shared->stack, .ss_size = STACK_SIZE };
		struct sigaction sa = { .sa_sigaction = stub, .sa_flags = SA_SIGINFO | SA_ONSTACK };

		if (sigaltstack(&stack, NULL) || sigaction(SIGSEGV, &sa, NULL))
			_exit(1);
	} else if (ptrace(PTRACE_TRACEME, 0, 0, 0)) {
		_exit(1);
	}
	((void (*)(void))code)();
	_exit(1);
}

static void wait_stop(pid_t pid, bool spinning)
{
	pid_t got;
	int status;

	do
		got = waitpid(pid, &status, __WALL | (spinning ? WNOHANG : 0));
	while (!got || (got < 0 && errno == EINTR));
	if (got < 0 || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGSEGV)
		die("the traced process did something else");
}

static void start(struct guest *g, const struct mechanism *m, int cpu)
{
	g->shared = mmap(NULL, sizeof(*g->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->shared == MAP_FAILED)
		die("mmap");
	g->shared->state = GUEST_RUNS;
	self = m;
	shared = g->shared;
	g->pid = fork();
	if (g->pid < 0)
		die("fork");
	if (!g->pid)
		guest_main(cpu);
	if (!m->stub)
		wait_stop(g->pid, false);
	else if (!wait_for(g->shared, GUEST_STOPPED, m->spinning))
		die("the process with the stub does not stop");
}

static void round_trip(struct guest *g, const struct mechanism *m, uint64_t value)
{
	if (m->stub) {
		gregset_t *regs = &g->shared->frame->uc_mcontext.gregs;

		(*regs)[REG_RDI] = value;
		hand_over(g->shared, GUEST_RUNS, m->spinning);
		if (!wait_for(g->shared, GUEST_STOPPED, m->spinning))
			die("the process with the stub is gone");
		if ((uint64_t)g->shared->frame->uc_mcontext.gregs[REG_RDI] != value)
			die("wrong registers");
		return;
	}
	g->regs.rdi = value;
	if (ptrace(PTRACE_SETREGS, g->pid, 0, &g->regs) || ptrace(PTRACE_SYSEMU, g->pid, 0, 0))
		die("ptrace");
	wait_stop(g->pid, m->spinning);
	if (ptrace(PTRACE_GETREGS, g->pid, 0, &g->regs) || g->regs.rdi != value)
		die("wrong registers");
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(void)
{
	static double ns[MECHANISMS][BATCHES];
	int here = sched_getcpu(), there = -1, i;
	unsigned int m, batch, round;
	cpu_set_t set;

	if (here < 0 || sched_getaffinity(0, sizeof(set), &set))
		die("sched_getaffinity");
	for (i = 0; i < CPU_SETSIZE && there < 0; i++)
		if (CPU_ISSET(i, &set) && i != here)
			there = i;
	pin(here);
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		die("mmap");
	code[0] = OP_HLT;
	for (batch = 0; batch < BATCHES; batch++) {
		for (m = 0; m < MECHANISMS; m++) {
			double begin;

			if (mechanism[m].apart && there < 0)
				continue;
			/* One at a time: a spinning process takes a core. */
			start(&guest[m], &mechanism[m], mechanism[m].apart ? there : here);
			if (!mechanism[m].stub && ptrace(PTRACE_GETREGS, guest[m].pid, 0, &guest[m].regs))
				die("ptrace");
			for (round = 0; round < ROUNDS / 10; round++)
				round_trip(&guest[m], &mechanism[m], round);
			begin = now_ns();
			for (round = 0; round < ROUNDS; round++)
				round_trip(&guest[m], &mechanism[m], round);
			ns[m][batch] = (now_ns() - begin) / ROUNDS;
			kill(guest[m].pid, SIGKILL);
			waitpid(guest[m].pid, NULL, __WALL);
			munmap(guest[m].shared, sizeof(*guest[m].shared));
		}
	}
	printf("%-36s %8s %8s %8s\n", "round trip to a trap, us", "median", "best", "worst");
	for (m = 0; m < MECHANISMS; m++) {
		if (mechanism[m].apart && there < 0) {
			printf("%-36s %8s\n", mechanism[m].name, "one core");
			continue;
		}
		qsort(ns[m], BATCHES, sizeof(ns[m][0]), ascending);
		printf("%-36s %8.1f %8.1f %8.1f\n", mechanism[m].name, ns[m][BATCHES / 2] / 1000,
		       ns[m][0] / 1000, ns[m][BATCHES - 1] / 1000);
	}
	return 0;
}
