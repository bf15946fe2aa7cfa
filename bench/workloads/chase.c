// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pointer chasing: follows one chain through all 64-byte cells of 8 MiB in an
 * order that no prefetcher guesses, N thousand steps.  Nearly every step misses
 * caches, and many the TLB.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CELLS (1u << 17)

struct cell {
	uint32_t next, pad[15];
};

int main(int argc, char **argv)
{
	long steps = (argc > 1 ? atol(argv[1]) : 1000) * 1000;
	struct cell *cells = malloc(CELLS * sizeof(*cells));
	uint32_t at = 0;

	if (!cells)
		return 1;
	/* A full period: the multiplier is 1 modulo 4, the increment odd. */
	for (uint32_t i = 0; i < CELLS; i++)
		cells[i].next = (i * 1664525 + 1013904223) % CELLS;
	for (long n = 0; n < steps; n++)
		at = cells[at].next;
	printf("chase %ld steps to %u\n", steps, at);
	return 0;
}
