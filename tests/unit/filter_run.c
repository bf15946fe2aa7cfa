/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plex86_filter_run(): what code leads to from a place where an instruction begins for certain. */
#include <string.h>

#include "plugin/filter.h"
#include "tests/tap.h"

#define SEG32 PLEX86_FOUND_SEGMENT_32
#define ALL PLEX86_FOUND_DECODED

static uint8_t page[PLEX86_PAGE_SIZE];
static size_t where;

/* What @bytes, @n of them at @at in a page of @fill, lead to from @from. */
static uint32_t run(const char *bytes, size_t n, size_t at, size_t from, bool long64, uint8_t fill)
{
	memset(page, fill, sizeof(page));
	memcpy(page + at, bytes, n);
	return plex86_filter_run(page, from, long64, ALL, &where);
}

#define RUN32(bytes) run(bytes, sizeof(bytes) - 1, 100, 100, false, 0xc3)
#define RUN64(bytes) run(bytes, sizeof(bytes) - 1, 100, 100, true, 0xc3)

static void found(void)
{
	is(RUN32("\x06"), SEG32, "PUSH ES");
	is(RUN64("\x0f\xa0"), PLEX86_FOUND_SEGMENT_64, "PUSH FS in 64-bit code");
	is(RUN64("\x06"), 0, "what is no instruction there");
	is(RUN32("\x66\x8c\xd8"), SEG32, "behind a prefix");
	is(where, 100, "with that");
	is(RUN32("\x90\x40\x75\x05\x1e"), SEG32, "behind a conditional jump");
	is(where, 104, "which is there");
	is(RUN32("\xeb\x03\x1e\x1e\x1e\x90"), 0, "jumped over");
	is(RUN32("\xeb\x01\xc3\x1e"), SEG32, "jumped to");
	is(RUN32("\xe9\x02\x00\x00\x00\xc3\xc3\x1e"), SEG32, "jumped to, with four bytes");
	is(RUN32("\x0f\x01\xe0"), PLEX86_FOUND_UMIP_32, "SMSW");
	is(RUN32("\x0f\x31"), PLEX86_FOUND_TSC_32, "RDTSC");
	is(RUN64("\x48\x0f\x02\xc1"), PLEX86_FOUND_SELECTOR_64, "LAR");
	is(RUN32("\xb8\x1e\x1e\x1e\x1e"), 0, "a constant");
	is(plex86_filter_run(page, 101, false, ALL, &where), SEG32, "where it is jumped into");
	is(plex86_filter_run(page, 101, false, ALL & ~SEG32, &where), 0, "and nobody asks for it");
}

static void ends(void)
{
	is(RUN32("\xc3\x1e"), 0, "behind RET");
	is(RUN32("\xc2\x04\x00\x1e"), 0, "behind RET with a number");
	is(RUN32("\xe8\x00\x00\x00\x00\x1e"), 0, "behind a call, which may not return");
	is(RUN32("\xff\xd0\x1e"), 0, "behind an indirect call");
	is(RUN32("\xff\xe0\x1e"), 0, "behind an indirect jump");
	is(RUN32("\xff\xc0\x1e"), SEG32, "but not INC");
	is(RUN32("\x0f\x0b\x1e"), 0, "behind UD2");
	is(RUN32("\xcd\x80\x1e"), 0, "behind INT 80H");
	is(RUN32("\xf4\x1e"), 0, "behind HLT");
	is(RUN32("\xeb\xfe"), 0, "an endless loop");
	is(run("\x1e", 1, 4095, 4090, false, 0x90), SEG32, "the last byte");
	is(run("\x0f", 1, 4095, 4090, false, 0x90), 0, "a last byte that is not all");
	is(run("\xb8\x1e", 2, 4094, 4094, false, 0x90), 0, "over the end of the page");
	is(run("\xeb\x7f", 2, 4094, 4094, false, 0x90), 0, "a jump to the next page");
	is(run("\xe9\x00\x00\x00\x80", 5, 100, 100, false, 0x1e), 0, "a jump far back");
	is(run("\xeb\x80", 2, 10, 10, false, 0x1e), 0, "a jump to the page before");
	is(run("\x1e", 1, 164, 100, false, 0x90), 0, "too far away");
	is(run("", 0, 0, 0, false, 0x66), 0, "prefixes and nothing else");
	is(run("", 0, 0, 4095, false, 0x66), 0, "the same at the end");
}

int main(void)
{
	found();
	ends();
	return tap_done();
}
