// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The parked process: sandboxed (sandbox.c), then emptied from outside until it
 * has nothing but the stub.  The zygote is its clone, and not it: the first
 * process of a PID namespace can't finish dying before all others have been
 * reaped, so nobody may ever have to wait for it while spaces are alive.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

#define TRACE_OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT | \
		       PTRACE_O_TRACEFORK)

/* Where user space ends with five levels of page tables (TASK_SIZE_MAX); four end before the hole. */
#define VA_4_LEVELS (UINT64_C(1) << 47)
#define VA_5_LEVELS ((UINT64_C(1) << 56) - PLEX86_PAGE_SIZE)

/* As <linux/ptrace.h> has it; that header and <sys/ptrace.h> exclude each other. */
struct rseq_config {
	uint64_t pointer;
	uint32_t size, signature, flags, pad;
};

/* The richest set of new namespaces that this host lets us have. */
static pid_t fork_into_namespaces(void)
{
	const unsigned long most = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWNS |
				   CLONE_NEWUTS;
	const unsigned long sets[] = { most, most | CLONE_NEWUSER, CLONE_NEWPID | CLONE_NEWUSER,
				       CLONE_NEWPID, 0 };
	unsigned int i;
	pid_t pid = -1;

	for (i = 0; i < sizeof(sets) / sizeof(sets[0]) && pid < 0; i++)
		pid = (pid_t)syscall(SYS_clone, sets[i] | SIGCHLD, 0, 0, 0, 0);
	return pid;
}

/* By somebody else: who traces us may have the kernel give him our children too. */
static bool is_traced(pid_t pid)
{
	char name[32], line[128];
	int tracer = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/status", (int)pid);
	f = fopen(name, "re");
	while (f && !tracer && fgets(line, sizeof(line), f))
		sscanf(line, "TracerPid: %d", &tracer);
	if (f)
		fclose(f);
	return tracer;
}

/* Wait for sandbox_enter() to reach its INT3; *why says what went wrong. */
static int await_ready(pid_t pid, int report_fd, char why[PLEX86_WHY_LEN])
{
	struct sandbox_report report;
	siginfo_t info;
	int status, err;

	for (;;) {
		err = process_wait(pid, &status);
		if (err)
			break;
		if (!WIFSTOPPED(status) || status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
			err = -ECHILD;
			break;
		}
		if (!(status >> 16) && WSTOPSIG(status) == SIGTRAP &&
		    !ptrace(PTRACE_GETSIGINFO, pid, 0, &info) && info.si_code > 0)
			return 0;
		if (ptrace(PTRACE_CONT, pid, 0, 0)) {
			err = -errno;
			break;
		}
	}
	if (read(report_fd, &report, sizeof(report)) == sizeof(report))
		process_why(why, "the container process could not %s: %s", report.step,
			    strerror(report.step_errno));
	else
		process_why(why, "the container process died while it was being set up");
	return err;
}

/*
 * glibc registers restartable sequences for every thread; once the memory that
 * they live in is unmapped the kernel kills the process at its next preemption.
 */
static int drop_rseq(struct plex86_engine *e, pid_t pid)
{
	struct rseq_config config = { 0 };
	int64_t ret;

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, pid, sizeof(config), &config) < 0) {
		/* The kernel can't say: what glibc says of this thread is true of its copy. */
		if (!__rseq_size)
			return 0;
		config.pointer = (uint64_t)(uintptr_t)__builtin_thread_pointer() +
				 (uint64_t)__rseq_offset;
		config.size = __rseq_size < 32 ? 32 : __rseq_size;
		config.signature = RSEQ_SIG;
	}
	if (!config.pointer)
		return 0;
	ret = inject_call(e, pid, e->zygote_stub, SYS_rseq,
			  (const uint64_t[6]){ config.pointer, config.size, RSEQ_FLAG_UNREGISTER,
			  config.signature });
	return (int)ret;
}

static int install_filter(struct plex86_engine *e, pid_t pid)
{
	struct sock_filter *code = (void *)(e->stub + STUB_SCRATCH + 64);
	struct sock_fprog *prog = (void *)(e->stub + STUB_SCRATCH);
	int64_t ret;

	prog->len = (unsigned short)filter_build(code, e->secret);
	prog->filter = (void *)(e->zygote_stub + STUB_SCRATCH + 64);
	ret = inject_call(e, pid, e->zygote_stub, SYS_seccomp,
			  (const uint64_t[6]){ SECCOMP_SET_MODE_FILTER, 0,
			  e->zygote_stub + STUB_SCRATCH });
	/* The filter names the secret: don't leave it where containers can read. */
	memset(e->stub + STUB_SCRATCH, 0, 64 + FILTER_MAX * sizeof(*code));
	return (int)ret;
}

static int strip(struct plex86_engine *e, pid_t pid)
{
	const uint64_t end = e->zygote_stub + STUB_SIZE;
	int64_t ret;

	ret = inject_call(e, pid, e->zygote_stub, SYS_munmap,
			  (const uint64_t[6]){ 0, e->zygote_stub });
	if (!ret)
		ret = inject_call(e, pid, e->zygote_stub, SYS_munmap,
				  (const uint64_t[6]){ end, PROCESS_VA_LIMIT - end });
	if (ret)
		return (int)ret;
	/* A host with five levels may have something above, where mappings go that ask for it. */
	ret = inject_call(e, pid, e->zygote_stub, SYS_munmap,
			  (const uint64_t[6]){ VA_4_LEVELS, VA_5_LEVELS - VA_4_LEVELS });
	return ret == -EINVAL ? 0 : (int)ret;
}

/* Registers of a stopped child, made neutral: what the stub is started with. */
static int clean_regs(struct plex86_engine *e, pid_t pid)
{
	struct user_regs_struct r;

	if (ptrace(PTRACE_GETREGS, pid, 0, &r))
		return -errno;
	e->features = (uint32_t)r.rax;
	memset(&e->clean, 0, sizeof(e->clean));
	e->clean.cs = r.cs;
	e->clean.ss = r.ss;
	e->clean.eflags = 0x202;
	return 0;
}

/* From a copy of Bochs that holds still to the stub alone, under the filter. */
static int empty(struct plex86_engine *e, pid_t pid, char why[PLEX86_WHY_LEN])
{
	int err = clean_regs(e, pid);

	if (!err)
		err = drop_rseq(e, pid);
	if (err) {
		process_why(why, "can't unregister rseq in the container (%s)", strerror(-err));
		return err;
	}
	err = strip(e, pid);
	if (err) {
		process_why(why, "can't empty the container's address space (%s): does this kernel "
			    "seal its system mappings?", strerror(-err));
		return err;
	}
	err = install_filter(e, pid);
	if (err)
		process_why(why, "can't install a seccomp filter (%s)", strerror(-err));
	return err;
}

/* A random place for the zygote's stub that this process (its model) leaves free. */
static int place_zygote_stub(uint64_t *where)
{
	int tries, err;
	void *at;

	for (tries = 0; tries < 64; tries++) {
		err = stub_place(where);
		if (err)
			return err;
		at = mmap((void *)*where, STUB_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (at == MAP_FAILED)
			continue;
		munmap(at, STUB_SIZE);
		if (at == (void *)*where)
			return 0;
	}
	return -EADDRINUSE;
}

int process_park(struct plex86_engine *e, char why[PLEX86_WHY_LEN])
{
	char path[40];
	int go[2], report[2], stub_ro, err;
	pid_t pid;

	err = place_zygote_stub(&e->zygote_stub);
	if (err) {
		process_why(why, "no room in the address space for the container's stub");
		return err;
	}
	if (pipe2(go, O_CLOEXEC)) {
		err = -errno;
		process_why(why, "can't create a pipe: %s", strerror(-err));
		return err;
	}
	/* A child that is stopped at its exit still holds the other end: nobody must wait for it. */
	if (pipe2(report, O_CLOEXEC | O_NONBLOCK)) {
		err = -errno;
		process_why(why, "can't create a pipe: %s", strerror(-err));
		close(go[0]);
		goto close_go;
	}
	/*
	 * Read-only, so that not even mprotect() could make the stub writable.  A host without
	 * /proc does without this wall; one that is short of files must not.
	 */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", e->stub_fd);
	stub_ro = open(path, O_RDONLY | O_CLOEXEC);
	if (stub_ro < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
		err = -errno;
		process_why(why, "can't open the stub: %s", strerror(-err));
		close(go[0]);
		close(report[1]);
		goto close_pipes;
	}

	pid = fork_into_namespaces();
	if (pid == 0)
		sandbox_enter(go, report, e->config.ram_fd,
			      stub_ro < 0 ? e->stub_fd : stub_ro, e->zygote_stub);
	err = pid < 0 ? -errno : 0;
	if (stub_ro >= 0)
		close(stub_ro);
	close(go[0]);
	close(report[1]);
	if (err) {
		process_why(why, "can't create a process: %s", strerror(-err));
		goto close_pipes;
	}
	if (ptrace(PTRACE_SEIZE, pid, 0, TRACE_OPTIONS)) {
		err = -errno;
		process_why(why, "can't trace an own child (%s): %s", strerror(-err),
			    is_traced(pid) ?
			    "another debugger follows the children of this process (strace -f, gdb)" :
			    prctl(PR_GET_DUMPABLE) == 1 ?
			    "ptrace is forbidden here, by the container's seccomp profile or by "
			    "kernel.yama.ptrace_scope" :
			    "this process may not be traced, as it has changed its user, or its file has "
			    "capabilities or may not be read");
		goto kill_child;
	}
	if (write(go[1], "", 1) != 1) {
		err = -EPIPE;
		process_why(why, "the container process died at once");
		goto kill_child;
	}
	err = await_ready(pid, report[0], why);
	if (err)
		goto kill_child;

	err = empty(e, pid, why);
	if (err)
		goto kill_child;
	e->parked = pid;
	goto close_pipes;

kill_child:
	process_end(e, pid);
close_pipes:
	close(report[0]);
close_go:
	close(go[1]);
	return err;
}
