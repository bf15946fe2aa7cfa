// SPDX-License-Identifier: LGPL-2.1-or-later
/* Integer work with a table: CRC-32 of 64 KiB that change a little each time, N times. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES 65536

static uint32_t table[256];
static uint8_t data[BYTES];

int main(int argc, char **argv)
{
	long times = argc > 1 ? atol(argv[1]) : 1000;
	uint32_t crc = 0;

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		table[i] = c;
	}
	for (long n = 0; n < times; n++) {
		data[crc % BYTES] ^= crc >> 24 | 1;
		crc = ~crc;
		for (int i = 0; i < BYTES; i++)
			crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
		crc = ~crc;
	}
	printf("crc %ld times %08x\n", times, crc);
	return 0;
}
