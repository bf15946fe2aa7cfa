// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What ends a run() from outside: its budget, or kick().  Both come down to a
 * real-time signal to the tracer thread, whose handler interrupts the child it
 * runs.  PTRACE_INTERRUPT sticks: if the child is about to be resumed, it stops
 * again at once, so no wake-up is ever lost, whenever the signal comes.
 *
 * The signal is blocked except during run(), so that it disturbs no system call
 * of Bochs's.  That also lets the timer stay armed between short runs: an early
 * signal only re-arms it for the deadline in force, which is cheaper than two
 * timer_settime() for each of them.
 *
 * The budget is CPU time of the child.  The timer counts real time, as timers of
 * CPU time are coarse; what others took of it is added when it fires.  So on a
 * busy host the guest gets its time slices whole, and less often.
 *
 * Linux brings a process's clock up to date when it leaves the CPU, and else only
 * with each tick.  If the handler runs on the child's core, the child does not, and its
 * clock is exact.  From another core it may be milliseconds behind: then the child is
 * stopped to see.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define NEVER	UINT64_MAX

/*
 * Host time in which a child has certainly had the CPU, once its tracer waits:
 * nearer deadlines could be looked at for ever, and it would never run.
 */
#define LATENCY_NS 50000

/*
 * The engine that this thread is in run() of.  Not found through the signal's
 * value, so that a late signal can't name an engine that is gone.  Static TLS:
 * the handler must not be the one to allocate it.
 */
static _Thread_local struct plex86_engine *volatile in_run
	__attribute__((tls_model("initial-exec")));

static pthread_mutex_t choose_signal = PTHREAD_MUTEX_INITIALIZER;

uint64_t process_cpu_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t))
		return UINT64_MAX / 2;	/* it is gone, and has had its time */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t process_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Only where the signal can't come in between: masked, or in its handler. */
static void arm(struct plex86_engine *e, uint64_t when)
{
	const struct itimerspec spec = {
		.it_value = { (time_t)(when / 1000000000u), (long)(when % 1000000000u) },
	};

	e->armed = when;
	timer_settime(e->timer, TIMER_ABSTIME, &spec, NULL);
}

/* @how: SIG_BLOCK or SIG_UNBLOCK. */
static void mask_signal(const struct plex86_engine *e, int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, e->signo);
	pthread_sigmask(how, &set, NULL);
}

/* Timer and kick() alike: look what is due. */
static void on_signal(int signo)
{
	struct plex86_engine *e = in_run;
	int saved = errno;
	uint64_t now, used;

	(void)signo;
	if (!e)
		return;
	now = process_now();
	if (e->armed && e->armed <= now)
		e->armed = 0;
	if (e->deadline <= now) {
		used = process_cpu_ns(e->clock) - e->cpu_start;
		if (used + LATENCY_NS >= e->budget)
			e->expired = 1;
		else if (sched_getcpu() != e->child_core)
			e->doubt = 1;
		else
			e->deadline = now + e->budget - used;
	}
	if (!e->expired && !e->doubt && e->deadline != NEVER && !e->armed)
		arm(e, e->deadline);
	if (e->running && (e->expired || e->doubt || deadline_kicked(e)))
		ptrace(PTRACE_INTERRUPT, e->running, 0, 0);
	errno = saved;
}

int deadline_open(struct plex86_engine *e, char why[PLEX86_WHY_LEN])
{
	struct sigaction old, action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID };
	sigset_t set;
	int signo, err;

	/* The highest real-time signal that nobody has claimed. */
	pthread_mutex_lock(&choose_signal);
	for (signo = SIGRTMAX; signo >= SIGRTMIN; signo--)
		if (!sigaction(signo, NULL, &old) && !(old.sa_flags & SA_SIGINFO) &&
		    old.sa_handler == SIG_DFL)
			break;
	if (signo >= SIGRTMIN) {
		sigemptyset(&action.sa_mask);
		sigaction(signo, &action, NULL);
		e->signo = signo;
	}
	pthread_mutex_unlock(&choose_signal);
	if (!e->signo) {
		process_why(why, "all real-time signals are in use in this process");
		return -EBUSY;
	}
	sigemptyset(&set);
	sigaddset(&set, signo);
	pthread_sigmask(SIG_BLOCK, &set, &e->old_mask);
	e->mask_known = true;

	event.sigev_signo = signo;
	event.sigev_notify_thread_id = e->tracer;
	if (timer_create(CLOCK_MONOTONIC, &event, &e->timer)) {
		err = -errno;
		process_why(why, "can't create a timer: %s", strerror(-err));
		deadline_close(e);
		return err;
	}
	e->timer_made = true;
	return 0;
}

void deadline_close(struct plex86_engine *e)
{
	const struct timespec at_once = { 0, 0 };
	sigset_t set;

	if (e->timer_made)
		timer_delete(e->timer);
	e->timer_made = false;
	if (!e->signo)
		return;
	sigemptyset(&set);
	sigaddset(&set, e->signo);
	while (sigtimedwait(&set, NULL, &at_once) > 0 || errno == EINTR)
		;
	signal(e->signo, SIG_DFL);
	if (e->mask_known && !sigismember(&e->old_mask, e->signo))
		mask_signal(e, SIG_UNBLOCK);
	e->signo = 0;
}

void deadline_begin(struct plex86_engine *e, const struct plex86_space *s, uint64_t cpu_start,
		    uint64_t budget_ns)
{
	uint64_t now = process_now();

	e->expired = e->doubt = 0;
	e->child_core = s->cpu;
	e->clock = s->clock;
	e->cpu_start = cpu_start;
	e->budget = budget_ns;
	e->deadline = budget_ns > NEVER - 1 - now ? NEVER : now + budget_ns;
	__atomic_store_n(&e->running, s->pid, __ATOMIC_SEQ_CST);
	in_run = e;
	/*
	 * Still masked: if the handler could run between arm()'s two steps, it would arm the
	 * timer for a later time, and the second step would undo that for one that has passed.
	 */
	if (e->deadline != NEVER && (e->armed <= now || e->armed > e->deadline))
		arm(e, e->deadline);
	mask_signal(e, SIG_UNBLOCK);
}

void deadline_end(struct plex86_engine *e)
{
	mask_signal(e, SIG_BLOCK);
	in_run = NULL;
	__atomic_store_n(&e->running, 0, __ATOMIC_SEQ_CST);
}

void deadline_settle(struct plex86_engine *e)
{
	uint64_t used;

	if (!e->doubt)
		return;
	mask_signal(e, SIG_BLOCK);
	e->doubt = 0;
	used = process_cpu_ns(e->clock) - e->cpu_start;
	if (used + LATENCY_NS >= e->budget) {
		e->expired = 1;
	} else {
		e->deadline = process_now() + e->budget - used;
		arm(e, e->deadline);
	}
	mask_signal(e, SIG_UNBLOCK);
}

/*
 * The flag first, then the look whether a run is on; deadline_begin() and
 * process_run() do it the other way round, so one of them sees the other.
 */
void deadline_kick(struct plex86_engine *e)
{
	int saved = errno;

	__atomic_store_n(&e->kicked, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&e->running, __ATOMIC_SEQ_CST))
		syscall(SYS_tgkill, getpid(), e->tracer, e->signo);
	errno = saved;
}

bool deadline_kicked(const struct plex86_engine *e)
{
	return __atomic_load_n(&e->kicked, __ATOMIC_SEQ_CST);
}

void deadline_unkick(struct plex86_engine *e)
{
	__atomic_store_n(&e->kicked, 0, __ATOMIC_SEQ_CST);
}
