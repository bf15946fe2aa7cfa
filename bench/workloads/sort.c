// SPDX-License-Identifier: LGPL-2.1-or-later
/* Integer work with unforeseeable branches: sorts 32,768 numbers with the C library, N times. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT 32768

static uint32_t numbers[COUNT];

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 10;
	uint32_t seed = 1, sum = 0;

	for (long n = 0; n < times; n++) {
		for (int i = 0; i < COUNT; i++)
			numbers[i] = seed = seed * 1664525 + 1013904223;
		qsort(numbers, COUNT, sizeof(numbers[0]), compare);
		for (int i = 0; i < COUNT; i += 97)
			sum = sum * 31 + numbers[i];
	}
	printf("sort %ld times sum %08x\n", times, sum);
	return 0;
}
