/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Touches the pages of SIZE MiB in an order in which no two neighbours get frames
 * that are neighbours: each needs a mapping of its own on the host, and there are
 * more of them than a process may have there (vm.max_map_count).
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE	4096u
#define STRIDE	7919u		/* a prime */

int main(int argc, char **argv)
{
	size_t pages = (size_t)(argc > 1 ? atoi(argv[1]) : 300) << 8, at = 0;
	uint64_t sum = 0;
	uint8_t *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || madvise(p, pages * PAGE, MADV_NOHUGEPAGE)) {
		perror("scattered");
		return 1;
	}
	for (size_t i = 0; i < pages; i++, at = (at + STRIDE) % pages)
		*(uint64_t *)(p + at * PAGE) = i * 0x9e3779b97f4a7c15u;
	/* All of them are in use from now on; there is much to compute at each. */
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < pages; i++) {
			uint64_t *word = (uint64_t *)(p + i * PAGE);

			for (int k = 0; k < 100; k++)
				sum = (sum ^ *word) * 0x100000001b3u + k;
			*word += sum;
		}
	printf("= scattered %zu %llx\n", pages, (unsigned long long)sum);
	return 0;
}
