// SPDX-License-Identifier: LGPL-2.1-or-later
/* Page faults: maps 256 pages, touches each, unmaps them, N times. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096
#define PAGES 256

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 100, zero = 0;

	for (long n = 0; n < times; n++) {
		unsigned char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return 1;
		for (long i = 0; i < PAGES; i++)
			zero += p[i * PAGE + n % PAGE]++ == 0;
		munmap(p, PAGES * PAGE);
	}
	printf("fault %ld times %d pages %ld zero\n", times, PAGES, zero);
	return zero != times * PAGES;
}
