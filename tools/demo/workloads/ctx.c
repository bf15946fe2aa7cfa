// SPDX-License-Identifier: LGPL-2.1-or-later
/* Context switches: two processes pass a counter through two pipes, N round trips. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 10000;
	unsigned int ball = 1;
	int there[2], back[2];
	pid_t pid;

	if (pipe(there) || pipe(back) || (pid = fork()) < 0)
		return 1;
	if (!pid) {
		close(there[1]);
		while (read(there[0], &ball, sizeof(ball)) == sizeof(ball)) {
			ball = ball * 1664525 + 1013904223;
			if (write(back[1], &ball, sizeof(ball)) != sizeof(ball))
				_exit(1);
		}
		_exit(0);
	}
	for (long n = 0; n < times; n++)
		if (write(there[1], &ball, sizeof(ball)) != sizeof(ball) ||
		    read(back[0], &ball, sizeof(ball)) != sizeof(ball))
			return 1;
	close(there[1]);
	waitpid(pid, NULL, 0);
	printf("ctx %ld round trips ball %08x\n", times, ball);
	return 0;
}
