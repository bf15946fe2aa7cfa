// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The process engine and who calls it: the thread that opened it and others, children
 * that aren't the engine's, and the cores that thread and children are on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "children.h"
#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_hlt); PROG(g64_spin);

#define MS	1000000u

static void *create_in_thread(void *arg)
{
	struct trial *t = arg;
	struct plex86_space *s = NULL;

	t->err = ops->space_create(engine, &s);
	if (!t->err)
		ops->space_destroy(s);
	return NULL;
}

static struct plex86_space *thread_space;
static uint32_t thread_flags;

static void *run_in_thread(void *arg)
{
	run_trial(thread_space, arg, thread_flags, FOREVER);
	return NULL;
}

/* Calls @it there, and waits for it. */
static void elsewhere(void *(*it)(void *arg), struct trial *t)
{
	pthread_t thread;

	t->err = 0;
	if (!pthread_create(&thread, NULL, it, t))
		pthread_join(thread, NULL);
}

static bool not_permitted(const struct trial *t)
{
	return t->err == -EPERM && !memcmp(&t->cpu, &t->before, sizeof(t->cpu)) &&
	       !memcmp(&t->vec, &t->vec_before, sizeof(t->vec));
}

static void test_threads(void)
{
	struct plex86_space *s = fresh_space();
	struct trial t;

	init_cpu64(&t.cpu, AT64(g64_hlt));
	plex86_vec_init(&t.vec);
	run_to_trap(s, &t);
	init_cpu64(&t.cpu, AT64(g64_hlt));
	thread_space = s;
	thread_flags = 0;
	elsewhere(run_in_thread, &t);
	report(not_permitted(&t), "run() from a thread that didn't open the engine: -EPERM");
	elsewhere(create_in_thread, &t);
	report(t.err == -EPERM, "space_create() from it: -EPERM");
	init_cpu64(&t.cpu, AT64(g64_hlt));
	run_to_trap(s, &t);
	report(is_trap(&t, 13), "and the space still works");
	ops->space_destroy(s);
}

/* Nothing need be written to the child then, so nothing fails that only its tracer can do. */
static int refuses_same_state(void)
{
	struct plex86_engine_config config = { .ram_fd = ram_fd, .ram = ram,
					       .ram_size = RAM_SIZE, .max_spaces = 1 };
	char why[PLEX86_WHY_LEN] = "";
	struct trial t;
	bool good;

	if (ops->open(&config, &engine, why)) {
		note("%s", why);
		return 1;
	}
	caps = ops->caps(engine);
	thread_space = fresh_space();
	thread_flags = PLEX86_RUN_VEC_SAME;
	init_cpu64(&t.cpu, AT64(g64_spin));
	plex86_vec_init(&t.vec);
	run_trial(thread_space, &t, 0, 2 * MS);
	good = is_reason(&t, PLEX86_EXIT_DEADLINE);
	elsewhere(run_in_thread, &t);
	good &= not_permitted(&t);
	run_trial(thread_space, &t, PLEX86_RUN_VEC_SAME, 2 * MS);
	good &= is_reason(&t, PLEX86_EXIT_DEADLINE) && same_state(&t, AT64(g64_spin), 0);
	ops->close(engine);
	return !good;
}

static void test_same_state(void)
{
	int told = in_fork(refuses_same_state, 20);

	if (told == -SIGALRM)
		note("run() has not come back in 20 seconds");
	report(!told, "run() from another thread, nothing changed since the last run: -EPERM");
}

/* A child of the caller's own is none of the engine's business. */
static void test_other_children(void)
{
	struct plex86_space *s;
	struct trial t;
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(42);
	s = fresh_space();
	init_cpu64(&t.cpu, AT64(g64_hlt));
	plex86_vec_init(&t.vec);
	run_to_trap(s, &t);
	ops->space_destroy(s);
	report(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 42,
	       "a child that isn't the engine's is left to the one who made it");
}

/* The tracer may hold on to a core for a run, and must not show it afterwards. */
static void test_affinity(void)
{
	cpu_set_t before, now;
	struct plex86_space *s = fresh_space();
	bool same = true, read = !sched_getaffinity(0, sizeof(before), &before);
	struct trial t;

	for (unsigned int i = 0; read && same && i < 500; i++) {
		init_cpu64(&t.cpu, AT64(g64_hlt));
		plex86_vec_init(&t.vec);
		run_to_trap(s, &t);
		same = !sched_getaffinity(0, sizeof(now), &now) && CPU_EQUAL(&before, &now);
	}
	ops->space_destroy(s);
	report(read && same, "the tracer may run where it might before");
}

/* Runs @code for 2 ms at most, with the tracer on core @core; true if its container is on @want. */
static bool runs_on(struct plex86_space *s, uint64_t code, int core, int want)
{
	cpu_set_t one, is;
	struct trial t;

	CPU_ZERO(&one);
	CPU_SET((size_t)core, &one);
	init_cpu64(&t.cpu, code);
	plex86_vec_init(&t.vec);
	if (sched_setaffinity(0, sizeof(one), &one))
		return false;
	run_trial(s, &t, 0, 2 * MS);
	return !sched_getaffinity(find_container(), sizeof(is), &is) &&
	       CPU_COUNT(&is) == 1 && CPU_ISSET((size_t)want, &is);
}

/* What makes trips follows the tracer; what only computes keeps its caches (together.c). */
static void test_cores(void)
{
	static const char name[] = "code that runs until its deadline stays on its core, and only that";
	struct plex86_space *s = fresh_space();
	int core[2], found = 0, i;
	bool good = false;
	double load = 0;
	cpu_set_t before;

	if (sched_getaffinity(0, sizeof(before), &before))
		CPU_ZERO(&before);
	for (i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET((size_t)i, &before))
			core[found++] = i;
	/* On a core that is wanted by somebody else it does not stay: again, then. */
	for (i = 0; found == 2 && !good && i < 1000; i++)
		good = runs_on(s, AT64(g64_spin), core[0], core[0]) &&
		       runs_on(s, AT64(g64_spin), core[1], core[0]) &&
		       runs_on(s, AT64(g64_hlt), core[1], core[0]) &&
		       runs_on(s, AT64(g64_hlt), core[1], core[1]);
	getloadavg(&load, 1);
	if (found < 2)
		skip(name, "there is only one core");
	else if (!good && load > 2)
		skip(name, "others want the cores, too");
	else
		report(good, "%s", name);
	sched_setaffinity(0, sizeof(before), &before);
	ops->space_destroy(s);
}

int main(void)
{
	open_or_skip(&plex86_engine_process, 4);
	test_threads();
	test_other_children();
	test_affinity();
	test_cores();
	ops->close(engine);	/* it wants no engine but its own, and its memory */
	test_same_state();
	return finish();
}
