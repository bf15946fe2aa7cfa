// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The process engine from open() to close(): what they leave behind, which must be
 * nothing, and on hosts that forbid some of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "children.h"
#include "harness.h"

#define GOOD	0
#define BAD	1
#define CANNOT	2
#define SECONDS	20	/* no open() needs so long */

/* Everything that a process can run out of. */
struct resources {
	unsigned int fds, children, maps, timers, handlers;
	sigset_t mask;
};

static void take_stock(struct resources *r)
{
	struct sigaction action;
	pid_t pid[8];
	char last[64];
	int sig;

	memset(r, 0, sizeof(*r));
	r->fds = count_entries("/proc/self/fd", last);
	r->children = children_of(getpid(), pid, 8);
	r->maps = count_lines("maps");
	r->timers = count_lines("timers");	/* where the kernel is built to tell */
	pthread_sigmask(SIG_BLOCK, NULL, &r->mask);
	for (sig = 1; sig < NSIG; sig++)
		if (!sigaction(sig, NULL, &action) && action.sa_handler != SIG_DFL)
			r->handlers++;
}

static bool same_stock(const struct resources *before)
{
	struct resources now;

	take_stock(&now);
	if (!memcmp(before, &now, sizeof(now)))
		return true;
	note("now and before: descriptors %u %u, children %u %u, mappings %u %u, lines of timers %u %u, "
	     "handlers %u %u", now.fds, before->fds, now.children, before->children, now.maps, before->maps,
	     now.timers, before->timers, now.handlers, before->handlers);
	return false;
}

/* Zygote and spaces aren't our children, but of one group with the first process, which is. */
static bool open_and_close(unsigned int spaces)
{
	struct plex86_engine_config config = { .ram_fd = ram_fd, .ram = ram,
					       .ram_size = RAM_SIZE, .max_spaces = 8 };
	char why[PLEX86_WHY_LEN];
	struct plex86_engine *e;
	struct plex86_space *s;
	bool good = true;
	pid_t group;

	if (ops->open(&config, &e, why)) {
		note("%s", why);
		return false;
	}
	while (good && spaces--)
		good = !ops->space_create(e, &s);
	group = find_parked();
	good &= group > 0 && getpgid(find_zygote()) == group;
	ops->close(e);
	if (good && (!kill(-group, 0) || errno != ESRCH)) {
		note("there are still processes of group %d", (int)group);
		good = false;
	}
	return good;
}

static void test_leaks(void)
{
	struct resources before;
	char why[PLEX86_WHY_LEN];
	bool good;
	unsigned int i;

	good = open_and_close(1);	/* what the C library keeps, it has now */
	take_stock(&before);
	for (i = 0; i < 100 && good; i++)
		good = open_and_close(i % 4);
	report(good, "100 times open(), spaces, close(): no process left, of whatever generation");
	report(same_stock(&before), "no descriptor, child, mapping, timer, handler or mask");
	report(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "and no zombie");
	good = !ops->probe(why);
	report(good && same_stock(&before), "nor by probe()");
}

/* Again as nobody: Bochs isn't run by root. */
static int probes_as_nobody(void)
{
	char why[PLEX86_WHY_LEN] = "";

	/* A program that nobody starts is one that nobody may trace. */
	if (setgid(65534) || setuid(65534) || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
		return CANNOT;
	if (!ops->probe(why))
		return GOOD;
	note("%s", why);
	return BAD;
}

static void test_unprivileged(void)
{
	int got = geteuid() ? CANNOT : in_fork(probes_as_nobody, SECONDS);

	if (got == CANNOT)
		skip("probe() without privileges", geteuid() ? "all of this ran without" :
		     "this root can't become another user");
	else
		report(got == GOOD, "probe() without privileges");
}

static bool filter_calls(struct sock_filter *filter, unsigned short n)
{
	struct sock_fprog program = { .len = n, .filter = filter };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* From now on @nr is answered by @action. */
static bool answer_call(uint32_t nr, uint32_t action)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return filter_calls(filter, 4);
}

/* As before Linux 5.9, or in containers that forbid it. */
static bool forbid_close_range(void)
{
	return answer_call(SYS_close_range, SECCOMP_RET_ERRNO | ENOSYS) &&
	       syscall(SYS_close_range, 1000, 1000, 0) && errno == ENOSYS;
}

/* All of the engine's processes have the guest's memory alone. */
static int has_one_descriptor(void)
{
	struct plex86_engine_config config = { .ram_fd = ram_fd, .ram = ram,
					       .ram_size = RAM_SIZE, .max_spaces = 8 };
	char why[PLEX86_WHY_LEN], path[40], last[64];
	struct plex86_engine *e;
	struct plex86_space *s;
	unsigned int left = 0, i;
	pid_t pid[3];

	/* Up to which it closes each: in some containers that is a thousand million. */
	if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 1024, 1024 }) || !forbid_close_range() || dup2(1, 100) < 0 || ops->open(&config, &e, why) ||
	    ops->space_create(e, &s))
		return CANNOT;
	pid[0] = find_parked();
	pid[1] = find_zygote();
	pid[2] = find_container();
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid[i]);
		left += count_entries(path, last) != 1 || strcmp(last, "0");
	}
	ops->close(e);
	return left ? BAD : GOOD;
}

/* probe() fails for a reason that has @word in it. */
static int says(const char *word)
{
	char why[PLEX86_WHY_LEN] = "";
	int err = ops->probe(why);

	note("%d, %s", err, why);
	return err < 0 && strstr(why, word) ? GOOD : BAD;
}

/* A host whose filter kills for what the first process does to itself; any call of sandbox.c. */
static int says_it_died(void)
{
	return answer_call(SYS_ioperm, SECCOMP_RET_KILL_PROCESS) ?
	       says("died while it was being set up") : CANNOT;
}

/* As ptrace() answers on a host that was booted with noxsave. */
static int says_no_xsave(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PTRACE_GETREGSET, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENODEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return filter_calls(filter, sizeof(filter) / sizeof(filter[0])) ? says("no XSAVE") : CANNOT;
}

/* Under a debugger that wants our children too. */
static int says_who_traces(void)
{
	int status, got = CANNOT;
	pid_t pid = fork(), who;

	if (!pid) {
		raise(SIGSTOP);
		_exit(says("debugger"));
	}
	if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid ||
	    ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		   PTRACE_O_TRACECLONE) || kill(pid, SIGCONT)) {
		if (pid > 0)
			kill(pid, SIGKILL);
		return CANNOT;
	}
	while ((who = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, who, 0, 0);
		else if (who == pid)
			got = WIFEXITED(status) ? WEXITSTATUS(status) : BAD;
	}
	return got;
}

static void test_reasons(void)
{
	int got = in_fork(says_no_xsave, SECONDS);

	report(got == GOOD, "a host without XSAVE is told from one with another image");
	got = in_fork(says_who_traces, SECONDS);
	if (got == CANNOT)
		skip("another debugger has the children: probe() says so", "tracing is forbidden");
	else
		report(got == GOOD, "another debugger has the children: probe() says so");
}

static void test_killed_in_setup(void)
{
	int told = in_fork(says_it_died, SECONDS);

	if (told == -SIGALRM)
		note("probe() has not come back in %d seconds", SECONDS);
	report(told == GOOD, "the first process is killed while it is set up: probe() says so");
}

int main(void)
{
	open_or_skip(&plex86_engine_process, 4);
	ops->close(engine);	/* these want no engine but their own, and its memory */
	test_leaks();
	report(in_fork(has_one_descriptor, SECONDS) == GOOD,
	       "without close_range(), too, a container's only descriptor is the guest's memory");
	test_unprivileged();
	test_killed_in_setup();
	test_reasons();
	return finish();
}
