// SPDX-License-Identifier: LGPL-2.1-or-later
/* Processes: fork, exec of this program, wait; N times. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 200, good = 0;

	if (argc > 1 && !strcmp(argv[1], "child"))
		_exit(7);
	fflush(stdout);
	for (long n = 0; n < times; n++) {
		int status;
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (!pid) {
			execl(argv[0], argv[0], "child", (char *)NULL);
			_exit(127);
		}
		if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
			good += WEXITSTATUS(status) == 7;
	}
	printf("fork %ld children %ld good\n", times, good);
	return good != times;
}
