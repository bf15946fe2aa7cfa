// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Host interrupts that come while a guest runs find the host's MSRs: KVM, for one, keeps
 * what it reads then (the module witness does as KVM).
 *
 *   msrs SECONDS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kmod.h"
#include "../tap.h"

#define WITNESS	"/witness.ko"
#define MSRS	"/sys/module/witness/parameters/msrs"

static const char *cannot(void)
{
	int fd;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return "this host has one CPU";
	fd = open(WITNESS, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		return "the witness can't be loaded";
	close(fd);
	return NULL;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* What an interrupt on CPU 1 sees now, one line. */
static bool look(char seen[256])
{
	int fd = open(MSRS, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, seen, 255);

	if (fd >= 0)
		close(fd);
	seen[n > 0 ? n : 0] = 0;
	return n > 0;
}

static volatile sig_atomic_t stop;

static void on_term(int signal)
{
	(void)signal;
	stop = 1;
}

/* A guest that does nothing but run: jmp . */
static int guest(void)
{
	static struct machine m;
	unsigned long interrupts = 0;

	signal(SIGTERM, on_term);
	stay_on(1);
	if (machine_open(&m))
		return 1;
	while (!stop) {
		load(&m, 64, BYTES(0xeb, 0xfe));
		m.run.budget_ns = 5000000;
		if (go(&m))
			return 1;
		interrupts += m.run.host_irqs;
	}
	machine_close(&m);
	tap_diag("%lu interrupts in native code", interrupts);
	return interrupts < 100;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
	char before[256], seen[256], wrong[256] = "";
	unsigned long looks = 0;
	const char *why = cannot();
	int status;
	pid_t pid;

	if (why)
		tap_skip_all(why);
	tap_ok(look(before), "an interrupt on the other CPU reads its MSRs");
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(guest());
	stay_on(0);
	while (time(NULL) < end && look(seen)) {
		looks++;
		if (strcmp(seen, before))
			memcpy(wrong, seen, sizeof(wrong));
	}
	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	tap_ok(!status && looks > 100, "and so do others, while a guest runs there");
	tap_diag("%lu times", looks);
	tap_ok(!*wrong, "the host's each time");
	tap_diag("before: %s", before);
	if (*wrong)
		tap_diag("once:   %s", wrong);
	tap_ok(!syscall(SYS_delete_module, "witness", 0), "the witness leaves");
	return tap_done();
}
