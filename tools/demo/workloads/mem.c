// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory work: copies 16 MiB, N times, to and fro. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES (16u << 20)

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 60;
	uint32_t *a = malloc(BYTES), *b = malloc(BYTES), sum = 0;

	if (!a || !b)
		return 1;
	for (uint32_t i = 0; i < BYTES / 4; i++)
		a[i] = i * 2654435761u;
	for (long n = 0; n < times; n++) {
		memcpy(n & 1 ? a : b, n & 1 ? b : a, BYTES);
		(n & 1 ? a : b)[n * 4099 % (BYTES / 4)] ^= n;
	}
	for (uint32_t i = 0; i < BYTES / 4; i += 61)
		sum = sum * 31 + (a[i] ^ b[i] >> 1);
	printf("mem %ld copies sum %08x\n", times, sum);
	return 0;
}
