// SPDX-License-Identifier: LGPL-2.1-or-later
/* Floating-point work: 128 x 128 matrix products in double precision, N of them.
 * The 64-bit build uses SSE2, the 32-bit one x87.
 */
#include <stdio.h>
#include <stdlib.h>

#define SIZE 128

static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 40;
	double trace = 0;

	for (int i = 0; i < SIZE; i++)
		for (int j = 0; j < SIZE; j++) {
			a[i][j] = (i * 7 + j * 3) % 11 / 16.0;
			b[i][j] = (i * 5 + j * 13) % 17 / 32.0;
		}
	for (long n = 0; n < times; n++) {
		for (int i = 0; i < SIZE; i++)
			for (int j = 0; j < SIZE; j++) {
				double sum = 0;

				for (int m = 0; m < SIZE; m++)
					sum += a[i][m] * b[m][j];
				c[i][j] = sum;
			}
		/* Feed the result back, or nothing would need the products but the last. */
		for (int i = 0; i < SIZE; i++)
			a[i][n % SIZE] = c[i][(n + 1) % SIZE] / 64.0;
	}
	for (int i = 0; i < SIZE; i++)
		trace += c[i][i];
	printf("fp %ld products trace %.6f\n", times, trace);
	return 0;
}
