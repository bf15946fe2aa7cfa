/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Code with traps in it (plugin/patch.h): whatever begins outside of them is
 * untouched to its last byte, in each width of code, and nothing sensitive is left.
 */
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include <plex86/engine.h>

#include "plugin/copies.h"
#include "plugin/filter.h"
#include "plugin/patch.h"
#include "tests/tap.h"

#define PAGE	((int)PLEX86_PAGE_SIZE)
#define ALL	((uint32_t)~PLEX86_FOUND_DECODED)

static uint8_t page[PLEX86_PAGE_SIZE], copy[PLEX86_PAGE_SIZE];

static const ZydisMachineMode mode[] = {
	ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
};
static const ZydisStackWidth width[] = {
	ZYDIS_STACK_WIDTH_64, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_16,
};

static bool traps_at(int i)
{
	return copy[i] != page[i] || page[i] == PLEX86_PATCH_TRAP;
}

/* The first place from which altered code could be executed, or -1. */
static int altered(bool long_mode)
{
	ZydisDecoder d;
	int m, i;

	for (m = !long_mode; m < 3; m++) {
		ZydisDecoderInit(&d, mode[m], width[m]);
		for (i = 0; i < PAGE; i++) {
			ZydisDecodedInstruction was;
			int n = 15;

			if (traps_at(i))
				continue;
			if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, NULL, page + i, PAGE - i, &was)))
				n = was.length;
			if (n > PAGE - i)
				n = PAGE - i;
			if (memcmp(page + i, copy + i, n))
				return i;
		}
	}
	return -1;
}

/* The first sensitive sequence of the page that does not trap, or -1. */
static int left_over(uint32_t mask)
{
	int i;

	for (i = 0; i < PAGE; i++)
		if ((plex86_filter_at(page + i, PAGE - i) & mask) && !traps_at(i))
			return i;
	return -1;
}

static void put(int at, const char *bytes, int n)
{
	memcpy(page + at, bytes, n);
}

static void places(void)
{
	/* 1000: xor %ecx,%ecx; cpuid; ret; and nothing before it that is longer than a byte */
	memset(page, 0x90, PAGE);
	put(1000, "\x31\xc9\x0f\xa2\xc3", 5);
	/* 31 C9 ends before it, but C9 0F would not be one; 64-bit: C9 is LEAVE, one byte */
	is(plex86_patch_page(page, PLEX86_FOUND_CPUID, true, copy), 1, "one place");
	is(copy[1002], PLEX86_PATCH_TRAP, "CPUID traps");
	is(copy[1003], 0xa2, "and no other byte does");
	is(left_over(PLEX86_FOUND_CPUID), -1, "none is left");
	is(altered(true), -1, "and nothing else is altered");

	/* Prefixes, and an instruction that has the bytes in its constant. */
	memset(page, 0x90, PAGE);
	put(1000, "\x66\x48\x0f\xa2", 4);
	put(2000, "\xb8\x11\x0f\xa2\x22", 5);		/* mov $0x22a20f11,%eax */
	is(plex86_patch_page(page, PLEX86_FOUND_CPUID, true, copy), 6, "with all that run into them");
	is(memcmp(copy + 1000, "\xf4\xf4\xf4\xa2", 4), 0, "prefixes trap");
	is(memcmp(copy + 2000, "\xf4\xf4\xf4\xa2\x22", 5), 0, "so does the instruction around the bytes");
	is(altered(true), -1, "nothing else is altered");

	/* 48 is DEC in 32-bit code, and ends there; REX in 64-bit code. */
	memset(page, 0x90, PAGE);
	put(1000, "\x48\x0f\xa2", 3);
	is(plex86_patch_page(page, PLEX86_FOUND_CPUID, false, copy), 1, "32-bit code: 48 is no prefix");
	is(plex86_patch_page(page, PLEX86_FOUND_CPUID, true, copy), 2, "64-bit code: it is");

	memset(page, 0x90, PAGE);
	put(13, "\x0f\xa2", 2);
	is(plex86_patch_page(page, PLEX86_FOUND_CPUID, true, copy), -1, "too near to the beginning");
	memset(page, 0x90, PAGE);
	put(14, "\x0f\xa2", 2);
	is(plex86_patch_page(page, PLEX86_FOUND_CPUID, true, copy), 1, "far enough");
	memset(page, 0x90, PAGE);
	put(PAGE - 1, "\x0f", 1);
	is(plex86_patch_page(page, ALL, true, copy), 0, "what ends in the next page is not ours");
	is(plex86_patch_page(page, 0, true, copy), 0, "nothing is looked for");

	/* What is sensitive as an instruction only: MOV from CS, and a constant with its bytes. */
	memset(page, 0x90, PAGE);
	put(1000, "\x66\x8c\xc8", 3);
	put(2000, "\xb8\x8c\xc8\x00\x00", 5);
	is(plex86_patch_page(page, PLEX86_FOUND_SEGMENT_32, false, copy), 2, "an instruction and its prefix");
	is(memcmp(copy + 1000, "\xf4\xf4\xc8", 3), 0, "which trap");
	is(memcmp(copy + 2000, page + 2000, 5), 0, "a constant does not");
	is(altered(false), -1, "and nothing else is altered");
	is(plex86_patch_page(page, PLEX86_FOUND_CPUID, false, copy), 0, "nor if it is not looked for");
	memset(page, 0x1e, PAGE);			/* push %ds */
	is(plex86_patch_page(page, PLEX86_FOUND_SEGMENT_32, false, copy), PAGE - 64, "all but the first bytes");
}

/* Bytes as they come in code: short jumps, moves, prefixes, and what is looked for. */
static void random_page(unsigned int *seed, unsigned int sensitive)
{
	static const char *const found[] = {
		"\x0f\xa2", "\x0f\x31", "\x0f\x01\xd0", "\x0f\x01\xf9", "\x0f\xc7\xf8", "\x0f\xae\x20",
		"\x0f\x01\xef", "\x0f\x05", "\x0f\x34", "\xcd\x80", "\x0f\x01\xd9",
	};
	unsigned int i;

	for (i = 0; i < PLEX86_PAGE_SIZE; i++)
		page[i] = rand_r(seed) >> 8;
	for (i = 0; i < sensitive; i++) {
		const char *f = found[rand_r(seed) % 11];

		put(rand_r(seed) % (PAGE - 3), f, (int)strlen(f));
	}
}

static void at_random(void)
{
	unsigned int seed = 1, i, wrong = 0, pages = 0, whole = 0;

	for (i = 0; i < 600; i++) {
		bool long_mode = i % 2;
		int n;

		random_page(&seed, i % 7);
		/* Random bytes have some of their own; the first ones must not. */
		memset(page, 0x90, 64);
		n = plex86_patch_page(page, ALL | (i % 3 ? 0 : PLEX86_FOUND_SEGMENT), long_mode, copy);
		if (n < 0)
			continue;
		pages++;
		whole += n < PAGE / 2;
		if (left_over(ALL) >= 0 || altered(long_mode) >= 0) {
			tap_diag("page %u: left %d altered %d", i, left_over(ALL), altered(long_mode));
			wrong++;
		}
	}
	is(wrong, 0, "random pages: what is not a trap is what it was");
	ok(pages > 500);
	ok(whole > pages / 2);
}

static void allocation(void)
{
	static struct plex86_copies c;
	static uint8_t *memory;
	struct plex86_copy *a, *b;
	unsigned int i;

	memory = malloc(2 * PLEX86_COPIES_BYTES);
	is(plex86_copy_make(&c, 1, page, ALL, true), NULL, "no memory, no copies");
	plex86_copies_init(&c, memory, PLEX86_PAGE_SIZE);
	memset(page, 0x90, PAGE);
	put(100, "\x0f\xa2", 2);
	is(plex86_copy_find(&c, 7), NULL, "there is none");
	a = plex86_copy_make(&c, 7, page, PLEX86_FOUND_CPUID, false);
	ok(a && !plex86_copy_find(&c, 7));	/* nobody uses it */
	a->uses++;
	is(plex86_copy_find(&c, 7), a, "now somebody does");
	is(plex86_copy_offset(&c, a).off, PLEX86_PAGE_SIZE + (a - c.copy) * PLEX86_PAGE_SIZE, "where it is");
	is(memory[PLEX86_PAGE_SIZE + (a - c.copy) * PLEX86_PAGE_SIZE + 100], PLEX86_PATCH_TRAP, "its bytes");
	ok(plex86_copy_traps(&c, a, page, 100) && !plex86_copy_traps(&c, a, page, 101));
	is(plex86_copy_make(&c, 7, page, PLEX86_FOUND_CPUID, false), a, "one copy serves all");
	is(plex86_copy_make(&c, 7, page, PLEX86_FOUND_CPUID, true), NULL, "but not code of another width");
	is(plex86_copy_make(&c, 7, page, ALL, false), NULL, "nor what forbids more");
	for (i = 0; i < PLEX86_COPIES - 1; i++) {
		b = plex86_copy_make(&c, 1000 + i, page, ALL, true);
		if (!b || b == a)
			break;
		b->uses++;
	}
	is(i, PLEX86_COPIES - 1, "all the others");
	is(plex86_copy_make(&c, 8, page, ALL, true), NULL, "and no more");
	a->uses--;
	is(plex86_copy_find(&c, 7), NULL, "given up");
	put(200, "\x0f\xa2", 2);
	b = plex86_copy_make(&c, 7, page, ALL, true);
	ok(b && plex86_copy_traps(&c, b, page, 200));	/* made afresh */
	free(memory);
}

int main(void)
{
	places();
	at_random();
	allocation();
	return tap_done();
}
