// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory streaming: a = b + 3 c over arrays of 8 MiB, more than most caches hold; N times. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT (2u << 20)

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 20;
	uint32_t *a = malloc(COUNT * 4), *b = malloc(COUNT * 4), *c = malloc(COUNT * 4), *t, sum = 0;

	if (!a || !b || !c)
		return 1;
	for (uint32_t i = 0; i < COUNT; i++) {
		a[i] = i * 2654435761u;
		b[i] = i;
		c[i] = ~i;
	}
	for (long n = 0; n < times; n++) {
		for (uint32_t i = 0; i < COUNT; i++)
			a[i] = b[i] + 3 * c[i];
		t = a;
		a = b;
		b = c;
		c = t;
	}
	for (uint32_t i = 0; i < COUNT; i += 61)
		sum = sum * 31 + (a[i] ^ b[i] >> 1 ^ c[i] >> 2);
	printf("stream %ld times sum %08x\n", times, sum);
	return 0;
}
