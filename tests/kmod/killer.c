// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * kill -9 at any moment: processes that set machines up, run guests and take
 * them down are killed after a random time.  Nothing may stay behind: no pinned
 * page, and the module can be unloaded (which tests/kmod/run does next).
 *
 *   killer ROUNDS
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "kmod.h"
#include "../tap.h"

static struct machine m;

static long vmstat(const char *name)
{
	int refresh = open("/proc/sys/vm/stat_refresh", O_RDONLY);
	FILE *f;
	char key[64];
	long value, found = -1;

	/* Reading it folds the CPUs' own counts into what vmstat shows. */
	if (refresh >= 0 && read(refresh, key, 1) < 0)
		perror("stat_refresh");
	close(refresh);
	f = fopen("/proc/vmstat", "r");
	while (f && fscanf(f, "%63s %ld", key, &value) == 2)
		if (!strcmp(key, name))
			found = value;
	if (f)
		fclose(f);
	return found;
}

static void *mapper(void *arg)
{
	unsigned int i;

	for (i = 0;; i++) {
		map(&m, (1ull << 30) + (uint64_t)(i % 100000) * PAGE, (3 + i % 60) * PAGE, 1,
		    PLEX86_PAGE_WRITE);
		call(m.vcpu, PLEX86_VCPU_KICK, NULL);
	}
	return arg;
}

static void victim(int kind)
{
	pthread_t thread;

	for (;;) {
		if (machine_open(&m))
			_exit(1);
		if (kind == 2 && pthread_create(&thread, NULL, mapper, NULL))
			_exit(1);
		load(&m, 64, BYTES(0x48, 0xff, 0xc0, 0xeb, 0xfb));
		m.run.budget_ns = kind ? 1000000000 : 100000;
		do
			go(&m);
		while (kind);
		machine_close(&m);
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 100, i, status, early = 0;
	long pins = vmstat("nr_foll_pin_acquired") - vmstat("nr_foll_pin_released");
	struct timespec t = { 0 };

	for (i = 0; i < rounds; i++) {
		pid_t pid = fork();

		if (!pid)
			victim(i % 3);
		t.tv_nsec = (i * 7919 % 25) * 1000000 + 300000;
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		early += !WIFSIGNALED(status);
	}
	is(early, 0, "all were at it when they were killed");
	ok(vmstat("nr_foll_pin_acquired") > 0);
	is(vmstat("nr_foll_pin_acquired") - vmstat("nr_foll_pin_released"), pins,
	   "no pinned page is left");
	return tap_done();
}
