// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The zygote: one sandboxed, emptied process from which every container is
 * cloned.  Forking Bochs for each would copy Bochs's page tables (milliseconds);
 * cloning a process of nothing but six pages takes tens of microseconds.
 *
 * It is itself a clone, of the process that parked.c makes, and made again if
 * it is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"

int process_wait(pid_t pid, int *status)
{
	while (waitpid(pid, status, __WALL) < 0)
		if (errno != EINTR)
			return errno == ECHILD ? -ESRCH : -errno;
	return 0;
}

bool process_is_tracer(const struct plex86_engine *e)
{
	return syscall(SYS_gettid) == e->tracer;
}

/*
 * The stop at exit, seen already or still to come, is left by hand; where another
 * thread closes the engine nobody can, until the tracer exits too.
 */
void process_end(const struct plex86_engine *e, pid_t pid)
{
	siginfo_t info;
	int status;

	if (!process_is_tracer(e)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, __WALL | WNOHANG);
		return;
	}
	/* Reaped already?  The number may be somebody else's by now. */
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) &&
	    errno == ECHILD)
		return;
	if (kill(pid, SIGKILL))
		return;		/* it stays stopped until we end */
	ptrace(PTRACE_CONT, pid, 0, 0);
	while (process_wait(pid, &status) == 0 && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, pid, 0, 0);
}

/* Clone @from; the new process is stopped when this returns. */
static int clone_stopped(struct plex86_engine *e, pid_t from, pid_t *born)
{
	int status, err;

	err = inject_clone(e, from, e->zygote_stub, born);
	if (!*born)
		return err;
	if (!err)
		err = process_wait(*born, &status);
	/* Its first stop is PTRACE_EVENT_STOP; a stray signal may come first. */
	if (!err && (!WIFSTOPPED(status) || status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)))
		err = -ESRCH;
	if (err)
		process_end(e, *born);
	return err;
}

static int clone_zygote(struct plex86_engine *e)
{
	int err = clone_stopped(e, e->parked, &e->zygote);

	if (err)
		e->zygote = 0;
	return err;
}

int zygote_start(struct plex86_engine *e, char why[PLEX86_WHY_LEN])
{
	int err = process_park(e, why);

	if (err)
		return err;
	err = clone_zygote(e);
	if (err) {
		process_why(why, "can't create a process in the sandbox: %s", strerror(-err));
		zygote_stop(e);
	}
	return err;
}

/*
 * Ends all of the sandbox.  Who is cloned by a process that is killed at that moment is
 * traced and nobody has told us of it; the first process of the namespace, whose group all
 * are of, can't finish dying before we have let go of it.
 */
static void end_group(struct plex86_engine *e)
{
	siginfo_t info;
	int status;
	pid_t got;

	if (!process_is_tracer(e) ||
	    waitid(P_PID, (id_t)e->parked, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) ||
	    kill(-e->parked, SIGKILL))
		return;
	ptrace(PTRACE_CONT, e->parked, 0, 0);
	do {
		got = waitpid(-e->parked, &status, __WALL);
		if (got > 0 && WIFSTOPPED(status))
			ptrace(PTRACE_CONT, got, 0, 0);
	} while (got > 0 || (got < 0 && errno == EINTR));
}

/* All spaces must have been reaped. */
void zygote_stop(struct plex86_engine *e)
{
	if (e->zygote)
		process_end(e, e->zygote);
	e->zygote = 0;
	if (e->parked) {
		end_group(e);
		process_end(e, e->parked);
	}
	e->parked = 0;
}

int zygote_replace(struct plex86_engine *e)
{
	char why[PLEX86_WHY_LEN];
	struct plex86_space *s;
	int status;

	if (e->zygote)
		process_end(e, e->zygote);
	e->zygote = 0;
	/* A stop that we haven't been told of can only be the one at exit. */
	if (e->parked && waitpid(e->parked, &status, __WALL | WNOHANG) == 0)
		return clone_zygote(e);

	for (s = e->spaces; s; s = s->next) {
		if (s->pid)
			process_bury(e, s->pid);
		s->pid = 0;
		s->dead = true;
	}
	process_reap(e, true);
	zygote_stop(e);
	return zygote_start(e, why);
}

int zygote_spawn(struct plex86_engine *e, struct plex86_space *s)
{
	int err;

	if (!e->zygote)
		return -ESRCH;
	err = clone_stopped(e, e->zygote, &s->pid);
	if (err)
		return err;
	s->stub = e->zygote_stub;
	err = inject_move(e, s, false);
	if (err)
		process_bury(e, s->pid);
	return err;
}

void process_bury(struct plex86_engine *e, pid_t pid)
{
	/* No stop at exit: nobody wants to see it. */
	if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL)) {
		/* On its way out already, by somebody else's hand, and that stop before it. */
		process_end(e, pid);
		return;
	}
	if (e->ndying == e->config.max_spaces)
		process_reap(e, true);
	if (kill(pid, SIGKILL))
		return;
	/* Unless it has been seen in its stop at exit, and waits for us. */
	ptrace(PTRACE_CONT, pid, 0, 0);
	e->dying[e->ndying++] = pid;
}

void process_reap(struct plex86_engine *e, bool wait)
{
	unsigned int i = 0;
	int status;
	pid_t got;

	while (i < e->ndying) {
		got = waitpid(e->dying[i], &status,
			      __WALL | (wait && process_is_tracer(e) ? 0 : WNOHANG));
		if (got < 0 && errno == EINTR)
			continue;
		if (got > 0 && WIFSTOPPED(status)) {
			ptrace(PTRACE_CONT, e->dying[i], 0, 0);
			continue;
		}
		if (got == 0) {
			i++;
			continue;
		}
		e->dying[i] = e->dying[--e->ndying];
	}
}
