// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the first child does to itself before it becomes the zygote: gives up
 * everything that a process can give up.  It runs between fork and the first
 * stop, in a copy of a process that may have had threads, so it uses system
 * calls only.  The seccomp filter and the emptying of the address space come
 * last and from outside (parked.c), because nothing of this code survives them.
 *
 * A wall that this host doesn't permit (namespaces in a container, Landlock in an
 * old kernel) is left out: the filter and ptrace stand without it.  What must
 * work reports, and the engine doesn't start.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process.h"

#define NOBODY	65534

#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID	0x1012
#endif

static void fail(int report_fd, const char *step) __attribute__((noreturn));

static void fail(int report_fd, const char *step)
{
	struct sandbox_report report = { .step_errno = errno };

	strncpy(report.step, step, sizeof(report.step) - 1);
	if (write(report_fd, &report, sizeof(report)) < 0)
		_exit(2);
	_exit(1);
}

/*
 * Only signals that an instruction can raise reach us; the tracer eats them.  And
 * SIGXCPU: see limit_resources().
 */
static int calm_signals(void)
{
	static const int raised[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGXCPU };
	struct sigaction dfl = { .sa_handler = SIG_DFL }, ign = { .sa_handler = SIG_IGN };
	stack_t no_stack = { .ss_flags = SS_DISABLE };
	sigset_t blocked;
	unsigned int i;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	/* The tracer reaps spaces; as their father we must not have to. */
	if (sigaction(SIGCHLD, &ign, NULL))
		return -1;
	sigaltstack(&no_stack, NULL);
	sigfillset(&blocked);
	for (i = 0; i < sizeof(raised) / sizeof(raised[0]); i++)
		sigdelset(&blocked, raised[i]);
	return sigprocmask(SIG_SETMASK, &blocked, NULL);
}

static void limit_resources(void)
{
	static const int none[] = { RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE,
				    RLIMIT_RTPRIO, RLIMIT_FSIZE };
	struct rlimit zero = { 0, 0 }, cpu;
	unsigned int i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		setrlimit(none[i], &zero);
	/*
	 * A tracer that is stopped itself (Ctrl-Z) can't end a run.  With each second of CPU
	 * time beyond this limit comes a SIGXCPU, and with it a stop until the tracer is back.
	 */
	if (!getrlimit(RLIMIT_CPU, &cpu)) {
		cpu.rlim_cur = 1;
		setrlimit(RLIMIT_CPU, &cpu);
	}
}

/*
 * A Bochs with a real-time priority must be able to preempt its children, which
 * share its core: an endless loop of the guest's at the same priority would keep
 * out the very signal that ends it.
 */
static void ordinary_scheduling(void)
{
	const struct sched_param zero = { 0 };

	sched_setscheduler(0, SCHED_OTHER, &zero);
}

/* Under memory pressure a space is the thing to kill: the guest goes on without. */
static void offer_to_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "800", 3) < 0)
		errno = 0;	/* no matter */
	close(fd);
}

static void forbid_files(void)
{
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1,
	};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (fd < 0)
		return;
	syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
}

static void drop_privileges(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct ours[2] = { { 0 } }, none[2] = { { 0 } };
	const uint32_t changed = 1u << CAP_SYS_PTRACE | 1u << CAP_KILL;
	int cap;

	syscall(SYS_capget, &header, ours);

	for (cap = 0; cap < 64; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* Rights to I/O ports are inherited, and IN would be the host's. */
	syscall(SYS_ioperm, 0, 65536, 0);
	syscall(SYS_iopl, 0);
	/* The system calls, not glibc's wrappers, which would ask dead threads to follow. */
	syscall(SYS_setgroups, 0, NULL);
	/*
	 * Who changes ids is not dumpable any more, and only CAP_SYS_PTRACE still lets the
	 * tracer read our code; root in a container doesn't have it.  CAP_KILL lets it kill us.
	 */
	if ((ours[0].effective & changed) == changed) {
		syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY);
		syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY);
	}
	syscall(SYS_capset, &header, none);
}

static int close_from(unsigned int first)
{
	struct rlimit limit;
	unsigned int fd, end = 65536;

	if (!syscall(SYS_close_range, first, ~0u, 0))
		return 0;
	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur != RLIM_INFINITY)
		end = (unsigned int)limit.rlim_cur;
	for (fd = first; fd < end; fd++)
		close((int)fd);
	return 0;
}

void sandbox_enter(const int go[2], const int report[2], int ram_fd, int stub_fd, uint64_t stub)
{
	const int report_fd = report[1];
	uint32_t features = 0;
	void *at;
	char any;

	/*
	 * 1. Nothing before the tracer has us: it must see whatever happens.  If it dies
	 * first, the pipe's end says so, unless we hold that end ourselves.
	 */
	close(go[1]);
	close(report[0]);
	if (read(go[0], &any, 1) != 1)
		_exit(0);

	/*
	 * 2. Out of the terminal's reach: Ctrl-C is for Bochs.  No session of its own: a
	 * scheduler with autogroups would weigh it against Bochs as another user's work,
	 * and Linux 6.18 let it starve for minutes on a core that two others wanted.
	 */
	syscall(SYS_setpgid, 0, 0);
	ordinary_scheduling();
	if (calm_signals())
		fail(report_fd, "set its signal mask");
	/* READ_IMPLIES_EXEC would make guest data executable. */
	personality(PER_LINUX);
	if (chdir("/"))
		errno = 0;	/* no matter: it will have no file system calls */
	prctl(PR_SET_NAME, "plex86-space", 0, 0, 0);

	/* 3. The stub's pages, and the RAM object as the only descriptor. */
	at = mmap((void *)stub, STUB_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED,
		  stub_fd, 0);
	if (at == MAP_FAILED)
		fail(report_fd, "map executable shared memory (is a noexec policy in force?)");
	offer_to_oom_killer();

	/* 4. Walls. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail(report_fd, "set no_new_privs");
	forbid_files();
	drop_privileges();
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (!syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0))
		features |= PROCESS_HAS_CPUID_FAULT;
	/* The kernel would write there when we die. */
	syscall(SYS_set_tid_address, NULL);
	syscall(SYS_set_robust_list, NULL, 24);
	if (ram_fd != PROCESS_RAM_FD && dup2(ram_fd, PROCESS_RAM_FD) < 0)
		fail(report_fd, "take over the guest's memory");
	/* Before there are limits: without close_range() it goes by how many there may be. */
	close_from(PROCESS_RAM_FD + 1);
	limit_resources();

	/* 5. Ready: the tracer does the rest. */
	__asm__ volatile("int3" : : "a"(features) : "memory");
	_exit(3);
}
