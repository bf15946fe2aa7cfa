// SPDX-License-Identifier: LGPL-2.1-or-later
/* Two threads that hand a turn to each other through a futex, N round trips. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint32_t turn;	/* even: the first thread's */
static uint32_t ball = 1;
static long times;

static void play(uint32_t who)
{
	for (long n = 0; n < times; n++) {
		uint32_t now;

		while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) % 2 != who)
			syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
		ball = ball * 1664525 + 1013904223 + who;
		__atomic_store_n(&turn, now + 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void *second(void *arg)
{
	play(1);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	times = argc > 1 ? atol(argv[1]) : 10000;
	if (pthread_create(&thread, NULL, second, NULL))
		return 1;
	play(0);
	pthread_join(thread, NULL);
	printf("futex %ld round trips ball %08x\n", times, ball);
	return 0;
}
