// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The stress test while the second CPU is taken away and given back all the
 * time: vCPUs are moved at any moment, and to a CPU that has just come up.
 *
 *   hotplug SECONDS
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../tap.h"

#define ONLINE "/sys/devices/system/cpu/cpu1/online"

static volatile sig_atomic_t stop;

static void on_term(int signal)
{
	(void)signal;
	stop = 1;
}

static int set_online(const char *value)
{
	int fd = open(ONLINE, O_WRONLY), ok;

	ok = fd >= 0 && write(fd, value, 1) == 1;
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
		n += set_online("0");
		nanosleep(&pause, NULL);
		set_online("1");
		nanosleep(&pause, NULL);
	}
	tap_diag("the CPU went %d times", n);
	_exit(n ? 0 : 1);
}

int main(int argc, char **argv)
{
	pid_t toggler, stress;
	int status, gone;

	if (access(ONLINE, W_OK))
		tap_skip_all("this host has one CPU");
	toggler = fork();
	if (!toggler)
		toggle();
	stress = fork();
	if (!stress) {
		execl("/stress", "stress", argc > 1 ? argv[1] : "5", "4", (char *)NULL);
		_exit(127);
	}
	waitpid(stress, &status, 0);
	kill(toggler, SIGTERM);
	waitpid(toggler, &gone, 0);
	return status || gone;
}
