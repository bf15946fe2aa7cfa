// SPDX-License-Identifier: LGPL-2.1-or-later
/* Kernel entries and nothing else: getppid, N times. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 500000, same = 0;
	long parent = syscall(SYS_getppid);

	for (long n = 0; n < times; n++)
		same += syscall(SYS_getppid) == parent;
	printf("sys %ld calls %ld alike\n", times, same);
	return same != times;
}
