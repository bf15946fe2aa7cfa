// SPDX-License-Identifier: LGPL-2.1-or-later
/* Signals: sends one to itself, handles it and returns, N times. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void handler(int sig)
{
	caught += sig == SIGUSR1;
}

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 50000, good = 0;
	struct sigaction action = { .sa_handler = handler };
	pid_t self = getpid();

	sigaction(SIGUSR1, &action, NULL);
	for (long n = 0; n < times; n++) {
		int before = caught;

		kill(self, SIGUSR1);
		good += caught == before + 1;
	}
	printf("signal %ld sent %ld handled\n", times, good);
	return good != times;
}
