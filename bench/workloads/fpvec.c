// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Floating-point work on vectors of four: steps of a many-body motion in one
 * dimension, every body drawn to every other, N of them.  SSE in both guests.
 */
#pragma GCC target("sse2")
#include <stdio.h>
#include <stdlib.h>

#define VECTORS 64

typedef float v4 __attribute__((vector_size(16)));

static v4 place[VECTORS], speed[VECTORS];

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 100;
	const v4 soft = { 0.5f, 0.5f, 0.5f, 0.5f };
	float sum = 0;

	for (int i = 0; i < 4 * VECTORS; i++)
		place[i / 4][i % 4] = (i * 37 % 256) / 16.0f;
	for (long n = 0; n < times; n++) {
		for (int i = 0; i < VECTORS; i++) {
			v4 pull = { 0 };

			for (int j = 0; j < VECTORS; j++) {
				v4 d = place[j] - place[i];

				pull += d / (d * d + soft);
			}
			speed[i] += pull * 0.001f;
		}
		for (int i = 0; i < VECTORS; i++)
			place[i] += speed[i] * 0.001f;
	}
	for (int i = 0; i < 4 * VECTORS; i++)
		sum += place[i / 4][i % 4];
	printf("fpvec %ld steps sum %.4f\n", times, sum);
	return 0;
}
