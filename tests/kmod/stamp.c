// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Follows what QEMU writes to a file, and puts before each line the CPU time that
 * QEMU had used when it came: what a workload takes then does not depend on what
 * else this machine has to do.
 *
 *   stamp FILE PIDFILE	lines "SECONDS<TAB>LINE", until that process ends
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static FILE *wait_for(const char *name)
{
	FILE *f;
	int i;

	for (i = 0; i < 60000; i++) {
		f = fopen(name, "r");
		if (f)
			return f;
		usleep(10000);
	}
	fprintf(stderr, "stamp: there is no %s\n", name);
	exit(1);
}

static int read_pid(const char *name)
{
	int pid = 0, i;

	for (i = 0; i < 500 && !pid; i++) {
		FILE *f = wait_for(name);

		if (fscanf(f, "%d", &pid) != 1)
			pid = 0;
		fclose(f);
		usleep(10000);
	}
	return pid;
}

int main(int argc, char **argv)
{
	struct timespec used = { 0, 0 }, now;
	clockid_t clock;
	FILE *f;
	int c, alive = 1, fresh = 1, pid;

	if (argc != 3) {
		fprintf(stderr, "usage: stamp FILE PIDFILE\n");
		return 2;
	}
	f = wait_for(argv[1]);
	pid = read_pid(argv[2]);
	while (alive) {
		/* Once more after its end, for the last lines. */
		alive = pid && !clock_getcpuclockid(pid, &clock) && !clock_gettime(clock, &now);
		if (alive)
			used = now;
		while ((c = getc(f)) != EOF) {
			if (c == '\r')
				continue;
			if (fresh)
				printf("%ld.%03ld\t", (long)used.tv_sec, used.tv_nsec / 1000000);
			putchar(c);
			fresh = c == '\n';
		}
		fflush(stdout);
		clearerr(f);
		usleep(10000);
	}
	return 0;
}
