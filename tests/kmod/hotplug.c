// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The stress test while the host is disturbed all the time: the second CPU is taken
 * away and given back, so that vCPUs are moved at any moment, and to a CPU that has
 * just come up; or the host is suspended to RAM, and woken by its clock: all that a
 * CPU holds is lost then.
 *
 *   hotplug SECONDS [suspend]
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../tap.h"

#define ONLINE	"/sys/devices/system/cpu/cpu1/online"
#define STATE	"/sys/power/state"
#define ALARM	"/sys/class/rtc/rtc0/wakealarm"

static volatile sig_atomic_t stop;

static void on_term(int signal)
{
	(void)signal;
	stop = 1;
}

static int set(const char *path, const char *value)
{
	ssize_t n = strlen(value);
	int fd = open(path, O_WRONLY), ok;

	ok = fd >= 0 && write(fd, value, n) == n;
	if (fd >= 0)
		close(fd);
	return ok;
}

static void toggle(void)
{
	const struct timespec pause = { .tv_nsec = 150000000 };
	int n = 0;

	signal(SIGTERM, on_term);
	while (!stop) {
		n += set(ONLINE, "0");
		nanosleep(&pause, NULL);
		set(ONLINE, "1");
		nanosleep(&pause, NULL);
	}
	tap_diag("the CPU went %d times", n);
	_exit(n ? 0 : 1);
}

static void suspend(void)
{
	const struct timespec pause = { .tv_nsec = 700000000 };
	int n = 0, failed = 0;

	signal(SIGTERM, on_term);
	while (!stop) {
		nanosleep(&pause, NULL);
		/* The write returns when the host is awake again. */
		if (set(ALARM, "0") && set(ALARM, "+2") && set(STATE, "mem"))
			n++;
		else
			failed++;
	}
	tap_diag("suspended and woken %d times, %d failed", n, failed);
	_exit(n && !failed ? 0 : 1);
}

static const char *cannot_suspend(void)
{
	char states[100] = "";
	int fd = open("/sys/power/mem_sleep", O_RDONLY);

	if (fd < 0 || read(fd, states, sizeof(states) - 1) <= 0 || !strstr(states, "deep"))
		return "this host can't be suspended to RAM";
	close(fd);
	if (access(ALARM, W_OK))
		return "this host has no clock that could wake it";
	return set("/sys/power/mem_sleep", "deep") ? NULL : "it can't be told to suspend to RAM";
}

int main(int argc, char **argv)
{
	bool asleep = argc > 2 && !strcmp(argv[2], "suspend");
	const char *why = asleep ? cannot_suspend() : access(ONLINE, W_OK) ? "this host has one CPU" : NULL;
	pid_t toggler, stress;
	int status, gone;

	if (why)
		tap_skip_all(why);
	toggler = fork();
	if (!toggler) {
		if (asleep)
			suspend();
		toggle();
	}
	stress = fork();
	if (!stress) {
		execl("/stress", "stress", argc > 1 ? argv[1] : "5", "4",
		      asleep ? "frozen" : NULL, (char *)NULL);
		_exit(127);
	}
	waitpid(stress, &status, 0);
	kill(toggler, SIGTERM);
	waitpid(toggler, &gone, 0);
	return status || gone;
}
