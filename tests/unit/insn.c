/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin/insn.c: where a software interrupt or SYSCALL begins whose opcode is all that an engine
 * knows of it.
 */
#include <string.h>

#include <plex86/addr.h>

#include "plugin/insn.h"
#include "tests/tap.h"

#define NOP	0x90
#define ROW(...) { __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ })

static const struct row {
	const char *name;
	uint8_t code[12];
	size_t len;
	unsigned int bits;
	int opcode, begin;	/* offsets in code */
} rows[] = {
	{ "INT 0x80", ROW(0xcd, 0x80), 64, 0, 0 },
	{ "INT3 with a size prefix", ROW(0x66, 0xcc), 64, 1, 0 },
	{ "INT 0x80 with two", ROW(0x3e, 0x66, 0xcd, 0x80), 32, 2, 0 },
	{ "ICEBP behind F3", ROW(0xf3, 0xf1), 32, 1, 0 },
	{ "INTO with a segment prefix", ROW(0x2e, 0xce), 32, 1, 0 },
	{ "which is no instruction in 64-bit code", ROW(0x2e, 0xce), 64, 1, 1 },
	{ "REX before INT", ROW(0x48, 0xcd, 0x80), 64, 1, 0 },
	{ "is an instruction of its own in 32-bit code", ROW(0x48, 0xcd, 0x80), 32, 1, 1 },
	{ "an immediate that ends like a prefix", ROW(0xb8, 1, 0, 0, 0x66, 0xcd, 0x80), 32, 5, 5 },
	{ "the same bytes in 16-bit code, where it is two shorter",
	  ROW(0xb8, 1, 0, 0x3e, 0x66, 0xcd, 0x80), 16, 5, 3 },
	{ "LOCK is no prefix of one", ROW(0xb0, 0xf0, 0xcd, 0x80), 64, 2, 2 },
	{ "SYSCALL with prefixes", ROW(0x66, 0x48, 0x0f, 0x05), 64, 2, 0 },
	{ "behind MOV R10, RCX", ROW(0x49, 0x89, 0xca, 0x0f, 0x05), 64, 3, 3 },
	{ "a constant that ends like a prefix", ROW(0xb8, 1, 0, 0, 0x48, 0x0f, 0x05), 64, 5, 5 },
	{ "SYSCALL in 32-bit code", ROW(0x66, 0x0f, 0x05), 32, 1, 1 },
	{ "not an interrupt", ROW(0x66, 0x90), 64, 1, 1 },
};

static const struct shadow_row {
	const char *name;
	uint8_t code[PLEX86_MOV_SS_BYTES];	/* the last is the one before RIP */
	bool pop, behind;
} shadow_rows[] = {
	{ "MOV SS, AX", { 0x90, 0x90, 0x90, 0x90, 0x90, 0x8e, 0xd0 }, false, true },
	{ "MOV SS, [disp8]", { 0x90, 0x90, 0x90, 0x90, 0x8e, 0x55, 0x10 }, false, true },
	{ "MOV SS, [SIB + disp32]", { 0x8e, 0x94, 0x24, 0, 1, 0, 0 }, false, true },
	{ "MOV DS, AX", { 0x90, 0x90, 0x90, 0x90, 0x90, 0x8e, 0xd8 }, false, false },
	{ "MOV AX, SS", { 0x90, 0x90, 0x90, 0x90, 0x90, 0x8c, 0xd0 }, false, false },
	{ "POP SS", { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x17 }, true, true },
	{ "its byte in 64-bit code", { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x17 }, false, false },
	{ "NOP", { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90 }, true, false },
};

/* As a CPU has no interrupt behind MOV SS, code that stops there must not be given one. */
static void test_mov_ss(void)
{
	size_t i;

	for (i = 0; i < sizeof(shadow_rows) / sizeof(*shadow_rows); i++) {
		const struct shadow_row *r = &shadow_rows[i];

		tap_ok(plex86_ends_with_mov_ss(r->code, r->pop) == r->behind,
		       "%s: %s behind a MOV SS", r->name, r->behind ? "perhaps" : "not");
	}
}

int main(void)
{
	static uint8_t page[PLEX86_PAGE_SIZE];
	static const size_t places[] = { 0, 1, 63, 64, 65, 2000, PLEX86_PAGE_SIZE - 12 };
	size_t i, j;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		bool good = true;

		for (j = 0; j < sizeof(places) / sizeof(*places); j++) {
			memset(page, NOP, sizeof(page));
			memcpy(page + places[j], r->code, r->len);
			good = good && plex86_interrupt_begin(page, places[j] + r->opcode, r->bits) ==
				       places[j] + r->begin;
		}
		tap_ok(good, "%s, anywhere in a page", r->name);
	}
	memset(page, 0x66, sizeof(page));
	page[20] = 0xcc;
	tap_ok(plex86_interrupt_begin(page, 20, 32) > 0, "more prefixes than an instruction can have");
	memset(page, 0, sizeof(page));
	page[PLEX86_PAGE_SIZE - 1] = 0xcd;
	tap_ok(plex86_interrupt_begin(page, PLEX86_PAGE_SIZE - 1, 64) == PLEX86_PAGE_SIZE - 1,
	       "INT n whose number is in the next page");
	page[PLEX86_PAGE_SIZE - 2] = 0x66;
	tap_ok(plex86_interrupt_begin(page, PLEX86_PAGE_SIZE - 1, 64) == PLEX86_PAGE_SIZE - 1,
	       "with a prefix: it can't be told, and stays");
	test_mov_ss();
	return tap_done();
}
