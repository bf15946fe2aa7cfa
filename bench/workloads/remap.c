// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A memory map in motion: maps 64 KiB, touches a page of it, takes the right to
 * write from half of it, gives it back, unmaps; N times, with sixteen such areas
 * alive at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define BYTES 65536
#define AREAS 16

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 10000, sum = 0;
	unsigned char *area[AREAS] = { 0 };

	for (long n = 0; n < times; n++) {
		unsigned char **p = &area[n * 7 % AREAS];

		if (*p) {
			sum += (*p)[BYTES / 2];
			if (munmap(*p, BYTES))
				return 1;
		}
		*p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (*p == MAP_FAILED || mprotect(*p + BYTES / 2, BYTES / 2, PROT_READ) ||
		    mprotect(*p + BYTES / 2, BYTES / 2, PROT_READ | PROT_WRITE))
			return 1;
		(*p)[BYTES / 2] = n;
	}
	printf("remap %ld times sum %ld\n", times, sum);
	return 0;
}
