// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The process engine's children under fire: killed at random moments, stopped,
 * continued, sent every signal there is.  The guest's state must come out exact
 * each time, because Bochs goes on from it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "children.h"
#include "harness.h"

/*
 * INC RAX; MOV [RDI], RAX; then a trap that the test skips; again.  The trap is
 * a system call, or a fault.
 */
static const uint8_t loop_syscall[] = { 0x48, 0xff, 0xc0, 0x48, 0x89, 0x07, 0x0f, 0x05,
					0xeb, 0xf6 };
static const uint8_t loop_hlt[] = { 0x48, 0xff, 0xc0, 0x48, 0x89, 0x07, 0xf4, 0x90, 0xeb, 0xf6 };
static const uint8_t loop_spin[] = { 0x48, 0xff, 0xc0, 0x48, 0x89, 0x07, 0x66, 0x90, 0xeb, 0xf6 };

#define AT_INC	0
#define AT_MOV	3
#define AT_TRAP	6
#define AT_JMP	8

struct killer {
	pid_t pid;
	unsigned int after_us;
	pthread_t thread;
};

static void *kill_later(void *arg)
{
	const struct killer *k = arg;
	const struct timespec wait = { 0, (long)k->after_us * 1000 };

	nanosleep(&wait, NULL);
	kill(k->pid, SIGKILL);
	return NULL;
}

static void start(struct trial *t, const uint8_t *loop)
{
	memcpy(ram + RAM_PATCH, loop, sizeof(loop_spin));
	memset(ram + RAM_DATA, 0, 8);
	init_cpu64(&t->cpu, VA_PATCH);
	init_vec(&t->vec, 1, caps->xcr0);
	t->cpu.gpr[PLEX86_RAX] = 0;
	t->cpu.gpr[PLEX86_RDI] = VA_DATA;
}

/* Memory has what RAX had when it was last stored. */
static bool exact(const struct trial *t)
{
	uint64_t mem, rax = t->cpu.gpr[PLEX86_RAX];
	bool good;

	memcpy(&mem, ram + RAM_DATA, 8);
	switch (t->cpu.rip - VA_PATCH) {
	case AT_INC:
	case AT_TRAP:
	case AT_JMP:
		good = mem == rax;
		break;
	case AT_MOV:
		good = mem == rax - 1;
		break;
	default:
		good = false;
	}
	/* The vector registers are the ones that the loop was started with. */
	good &= plex86_vec_equal(&t->vec, &t->vec_before);
	if (!good)
		note("RIP +%llu, RAX %#llx, memory %#llx",
		     (unsigned long long)(t->cpu.rip - VA_PATCH), (unsigned long long)rax,
		     (unsigned long long)mem);
	return good;
}

/* Run @loop, skipping its trap, until something else happens. */
static void run_loop(struct plex86_space *s, struct trial *t)
{
	struct plex86_vec vec = t->vec;

	do {
		run_trial(s, t, 0, FOREVER);
		t->vec_before = vec;
		if (t->err || t->exit.reason != PLEX86_EXIT_TRAP)
			return;
		if (t->cpu.rip != VA_PATCH + AT_TRAP)
			return;
		t->cpu.rip = VA_PATCH + AT_JMP;
	} while (exact(t));
}

static void test_killed(const char *name, const uint8_t *loop, unsigned int rounds)
{
	unsigned int i, lost = 0, before = 0;
	struct plex86_space *s;
	struct killer k;
	struct trial t;
	bool good = true;

	srand(rounds);
	for (i = 0; i < rounds && good; i++) {
		s = fresh_space();
		start(&t, loop);
		k.pid = find_container();
		k.after_us = (unsigned int)rand() % 3000;
		good &= k.pid && !pthread_create(&k.thread, NULL, kill_later, &k);
		if (!good) {
			note("the container can't be found");
			break;
		}
		run_loop(s, &t);
		pthread_join(k.thread, NULL);
		if (t.err) {
			/* Killed between two slices: the state is the one given. */
			good &= t.err == -ESRCH && !memcmp(&t.cpu, &t.before, sizeof(t.cpu)) &&
				exact(&t);
			before++;
		} else {
			good &= is_reason(&t, PLEX86_EXIT_LOST) && t.exit.why && exact(&t);
			lost++;
		}
		run_trial(s, &t, 0, FOREVER);
		good &= t.err == -ESRCH && !memcmp(&t.cpu, &t.before, sizeof(t.cpu));
		ops->space_destroy(s);
	}
	note("%u lost while running, %u between slices", lost, before);
	report(good && lost, "killed at random, %u times, %s: state exact", rounds, name);
}

static void test_killed_stopped(void)
{
	const struct timespec wait = { 0, 2000000 };
	const struct plex86_map_op op = { PLEX86_MAP, R, { VA_DATA }, { RAM_DATA }, 1 };
	struct plex86_space *s = fresh_space();
	struct trial t;
	pid_t pid;

	start(&t, loop_hlt);
	run_trial(s, &t, 0, FOREVER);
	report(is_trap(&t, 13), "a space that works");
	pid = find_container();
	if (!report(pid > 0, "its container can be found"))
		return;
	kill(pid, SIGKILL);
	nanosleep(&wait, NULL);
	ops->apply(s, &op, 1, NULL);
	run_trial(s, &t, PLEX86_RUN_VEC_SAME, FOREVER);
	report(t.err == -ESRCH && !memcmp(&t.cpu, &t.before, sizeof(t.cpu)) &&
	       !memcmp(&t.vec, &t.vec_before, sizeof(t.vec)),
	       "killed while it was stopped: run() fails, nothing changed");
	ops->space_destroy(s);
}

struct stormer {
	pid_t pid[2];
	int stop;
	pthread_t thread;
};

static void *storm(void *arg)
{
	static const int sig[] = { SIGSTOP, SIGCONT, SIGINT, SIGTERM, SIGSEGV, SIGTRAP, SIGSYS,
				   SIGBUS, SIGILL, SIGFPE, SIGCHLD, SIGUSR1, SIGTSTP, SIGHUP,
				   SIGQUIT, SIGALRM, SIGWINCH };
	struct stormer *k = arg;
	unsigned int i;

	for (i = 0; !__atomic_load_n(&k->stop, __ATOMIC_RELAXED); i++) {
		kill(k->pid[i / 20 % 2], sig[i % (sizeof(sig) / sizeof(sig[0]))]);
		nanosleep(&(struct timespec){ 0, 20000 + i % 7 * 10000 }, NULL);
	}
	return NULL;
}

static void test_storm(const char *name, const uint8_t *loop, bool trapping)
{
	struct plex86_space *s = fresh_space();
	struct stormer k = { .stop = 0 };
	struct trial t;
	bool good = true;
	unsigned int i;

	k.pid[0] = find_container();
	k.pid[1] = find_zygote();
	if (!report(k.pid[0] > 0 && k.pid[1] > 0, "container and zygote can be found"))
		return;
	start(&t, loop);
	pthread_create(&k.thread, NULL, storm, &k);
	for (i = 0; i < (trapping ? 5000 : 100) && good; i++) {
		struct plex86_vec vec = t.vec;

		run_trial(s, &t, 0, trapping ? FOREVER : 2000000);
		t.vec_before = vec;
		good &= !t.err && exact(&t);
		if (trapping) {
			good &= is_trap(&t, ANY_VECTOR) && t.cpu.rip == VA_PATCH + AT_TRAP &&
				t.cpu.gpr[PLEX86_RAX] == i + 1;
			t.cpu.rip = VA_PATCH + AT_JMP;
		} else {
			good &= is_reason(&t, PLEX86_EXIT_DEADLINE);
		}
		/* Mapping goes on under fire, too. */
		good &= !map_pages(s, UINT64_C(0x60000000) + PAGE((uint64_t)i % 16),
				   RAM_DATA + PAGE((uint64_t)i % 8), 1, R);
	}
	__atomic_store_n(&k.stop, 1, __ATOMIC_RELAXED);
	pthread_join(k.thread, NULL);
	kill(k.pid[0], SIGCONT);
	kill(k.pid[1], SIGCONT);
	report(good, "a storm of signals to the container, %s: nothing lost", name);
	ops->space_destroy(s);
	s = fresh_space();
	start(&t, loop_hlt);
	run_trial(s, &t, 0, FOREVER);
	report(is_trap(&t, 13), "and the zygote still works");
	ops->space_destroy(s);
}

/* DS changes and changes back, with stops between that aren't the guest's. */
static void test_storm_segments(void)
{
	static const uint8_t code[] = { 0x8e, 0xd8,	/* MOV DS, EAX */
					0xff, 0xc9,	/* DEC ECX */
					0x75, 0xfc,	/* JNZ, to there */
					0x8e, 0xdb,	/* MOV DS, EBX */
					0xf4 };
	struct plex86_space *s = fresh_space();
	struct stormer k = { .stop = 0 };
	bool good = true;
	struct trial t;
	unsigned int i;

	k.pid[0] = k.pid[1] = find_container();
	if (!report(k.pid[0] > 0, "the container can be found"))
		return;
	pthread_create(&k.thread, NULL, storm, &k);
	for (i = 0; i < 5 && good; i++) {
		start(&t, loop_hlt);
		memcpy(ram + RAM_PATCH, code, sizeof(code));
		t.cpu.gpr[PLEX86_RAX] = 0x2b;	/* the host's, natively */
		t.cpu.gpr[PLEX86_RBX] = t.cpu.seg[PLEX86_DS].sel;
		t.cpu.gpr[PLEX86_RCX] = 50000000;
		run_trial(s, &t, 0, FOREVER);
		good &= is_trap(&t, 13) && t.cpu.rip == VA_PATCH + sizeof(code) - 1 &&
			!memcmp(t.cpu.seg, t.before.seg, sizeof(t.cpu.seg));
	}
	__atomic_store_n(&k.stop, 1, __ATOMIC_RELAXED);
	pthread_join(k.thread, NULL);
	kill(k.pid[0], SIGCONT);
	report(good, "a storm of signals while a segment register is another's");
	ops->space_destroy(s);
}

/*
 * Of a run that may have found its container gone: the state is the one given, or exact.
 * An HLT that trapped did so behind one round of the loop.
 */
static bool sound(const struct trial *t)
{
	if (t->err)
		return t->err == -ESRCH && !memcmp(&t->cpu, &t->before, sizeof(t->cpu)) &&
		       !memcmp(&t->vec, &t->vec_before, sizeof(t->vec));
	if (t->exit.reason == PLEX86_EXIT_LOST)
		return t->exit.why && exact(t);
	return is_trap(t, 13) && t->cpu.rip == VA_PATCH + AT_TRAP && t->cpu.gpr[PLEX86_RAX] == 1 && exact(t);
}

/* @victim is the zygote, or the process that it was cloned from; @too another, or 0. */
static void test_maker_killed(const char *name, pid_t victim, pid_t too)
{
	struct plex86_space *old = fresh_space(), *s = NULL;
	const struct timespec wait = { 0, 5000000 };
	struct trial t;
	int err;

	if (!report(victim > 0, "%s can be found", name))
		return;
	kill(victim, SIGKILL);
	if (too)
		kill(too, SIGKILL);
	nanosleep(&wait, NULL);
	err = ops->space_create(engine, &s);
	report(!err, "%s killed: spaces can be made again", name);
	if (err)
		return;
	start(&t, loop_hlt);
	run_trial(old, &t, 0, FOREVER);
	report(sound(&t), "an older space works, or fails cleanly: state exact");
	map_pages(s, VA_PATCH, RAM_PATCH, 1, RX);
	map_pages(s, VA_DATA, RAM_DATA, 1, RW);
	start(&t, loop_hlt);
	run_trial(s, &t, 0, FOREVER);
	report(is_trap(&t, 13) && t.cpu.rip == VA_PATCH + AT_TRAP, "a new one works");
	ops->space_destroy(s);
	ops->space_destroy(old);
}

int main(void)
{
	pid_t first, last;

	open_or_skip(&plex86_engine_process, 16);
	test_killed("in a loop", loop_spin, 300);
	test_killed("around system calls", loop_syscall, 300);
	test_killed("around faults", loop_hlt, 300);
	test_killed_stopped();
	test_storm("in a loop", loop_spin, false);
	test_storm("around system calls", loop_syscall, true);
	test_storm("around faults", loop_hlt, true);
	test_storm_segments();
	test_maker_killed("the zygote", find_zygote(), 0);
	test_maker_killed("the zygote again", find_zygote(), 0);
	test_maker_killed("the first process", find_parked(), 0);
	first = find_parked();
	test_maker_killed("the zygote and the first process", find_zygote(), first);
	last = find_parked();
	close_engine();
	report(first && last && first != last && !is_anybody_of(first) && !is_anybody_of(last),
	       "at the end nothing is left of either's family");
	return finish();
}
