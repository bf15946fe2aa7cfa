// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The process engine when its tracer is held up at a bad moment: between the steps of
 * arming its timer, by SIGSTOP in the middle of a run, by SIGKILL while the first child
 * is made.  Linked with --wrap, so that these moments can be chosen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "children.h"
#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_spin); PROG(g64_hlt);

#define MS	1000000u

static unsigned int hold_ms;	/* timer_settime() loses the CPU for so long first */
static bool die_at_seize;

int __real_timer_settime(timer_t timer, int flags, const struct itimerspec *set,
			 struct itimerspec *old);
int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *set,
			 struct itimerspec *old);
long __real_ptrace(enum __ptrace_request request, ...);
long __wrap_ptrace(enum __ptrace_request request, ...);

static void nap(unsigned int ms)
{
	struct timespec left = { ms / 1000, (long)(ms % 1000) * MS };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *set,
			 struct itimerspec *old)
{
	unsigned int ms = hold_ms;

	hold_ms = 0;
	nap(ms);
	return __real_timer_settime(timer, flags, set, old);
}

long __wrap_ptrace(enum __ptrace_request request, ...)
{
	pid_t pid;
	void *addr, *data;
	va_list ap;

	va_start(ap, request);
	pid = va_arg(ap, pid_t);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);
	if (die_at_seize && request == PTRACE_SEIZE)
		raise(SIGKILL);
	return __real_ptrace(request, pid, addr, data);
}

static void run(struct plex86_space *s, struct trial *t, const uint8_t *at, uint64_t budget_ns)
{
	init_cpu64(&t->cpu, AT64(at));
	plex86_vec_init(&t->vec);
	run_trial(s, t, 0, budget_ns);
}

static void *kick_later(void *arg)
{
	(void)arg;
	nap(3000);
	ops->kick(engine);
	return NULL;
}

/* The timer is armed for an earlier run's deadline, and that passes meanwhile. */
static void test_arming(void)
{
	struct plex86_space *s = fresh_space();
	pthread_t saviour;
	struct trial t;

	run(s, &t, g64_hlt, 15 * MS);
	pthread_create(&saviour, NULL, kick_later, NULL);
	hold_ms = 40;
	run(s, &t, g64_spin, 5 * MS);
	report(is_reason(&t, PLEX86_EXIT_DEADLINE), "held up while it arms the timer: the run ends");
	run(s, &t, g64_spin, 5 * MS);
	report(is_reason(&t, PLEX86_EXIT_DEADLINE), "and so does the next");
	pthread_join(saviour, NULL);
	run(s, &t, g64_spin, 5 * MS);	/* the kick came for nobody, and ends this one */
	ops->space_destroy(s);
}

/* A stopped tracer (Ctrl-Z) ends no run; the child must not go on for as long. */
static void test_stopped(void)
{
	struct plex86_space *s = fresh_space();
	const pid_t us = getpid();
	struct trial t;
	pid_t pid = fork();

	if (!pid) {
		nap(100);
		kill(us, SIGSTOP);
		nap(4000);
		kill(us, SIGCONT);
		_exit(0);
	}
	run(s, &t, g64_spin, 500 * MS);
	waitpid(pid, NULL, 0);
	note("%u ms ran", (unsigned int)(t.exit.ran_ns / MS));
	report(is_reason(&t, PLEX86_EXIT_DEADLINE) && t.exit.ran_ns < 2500u * MS,
	       "stopped for four seconds in a run: guest code waits, after one at most");
	ops->space_destroy(s);
}

/* More than a second of it is nothing special, nor is what a signal of the host's meets. */
static void test_long(void)
{
	struct plex86_space *s = fresh_space();
	struct trial t;

	run(s, &t, g64_spin, 2500u * MS);
	report(is_reason(&t, PLEX86_EXIT_DEADLINE) & same_state(&t, AT64(g64_spin), 0) &&
	       t.exit.ran_ns >= 2400u * MS, "a run of several seconds");
	ops->space_destroy(s);
}

/* Nobody traces the child yet, and nobody will. */
static void test_killed_early(void)
{
	char why[PLEX86_WHY_LEN];
	int status, tries = 0;
	pid_t pid, left[1];

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (!pid) {
		die_at_seize = true;
		_exit(ops->probe(why) ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	report(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	       "killed before it traces its first child");
	while (children_of(getpid(), left, 1) && tries++ < 100) {
		waitpid(-1, &status, WNOHANG);
		nap(50);
	}
	report(!children_of(getpid(), left, 1), "it leaves no process behind");
	if (children_of(getpid(), left, 1))
		kill(left[0], SIGKILL);
}

int main(void)
{
	open_or_skip(&plex86_engine_process, 4);
	test_arming();
	test_stopped();
	test_long();
	close_engine();
	test_killed_early();
	return finish();
}
