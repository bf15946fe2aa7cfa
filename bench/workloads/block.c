// SPDX-License-Identifier: LGPL-2.1-or-later
/* Small blocks: writes 64 bytes to a file and reads others back, N times, within 256 KiB. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 64
#define BLOCKS 4096

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 100000;
	char name[] = "/tmp/block.XXXXXX";
	uint32_t block[BLOCK / 4], seed = 1, sum = 0;
	int fd = mkstemp(name);

	if (fd < 0)
		return 1;
	unlink(name);
	if (ftruncate(fd, BLOCK * BLOCKS))
		return 1;
	for (long n = 0; n < times; n++) {
		seed = seed * 1664525 + 1013904223;
		memset(block, seed >> 8, BLOCK);
		if (pwrite(fd, block, BLOCK, seed % BLOCKS * BLOCK) != BLOCK ||
		    pread(fd, block, BLOCK, (seed >> 16) % BLOCKS * BLOCK) != BLOCK)
			return 1;
		sum = sum * 31 + block[n % (BLOCK / 4)];
	}
	printf("block %ld writes and reads sum %08x\n", times, sum);
	return 0;
}
