/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin/filter.c: every sequence at every place, against a table of what the
 * manuals say, not against the code's own idea of it.
 */
#include <string.h>

#include <plex86/addr.h>
#include <plex86/engine.h>

#include "plugin/filter.h"
#include "tests/tap.h"

#define SIZE 4096

static uint64_t seed = 88172645463325252;

static uint32_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed >> 16;
}

/*
 * 0F op [modrm]: a fixed third byte, or a group with its memory or register forms.
 * REX2: D5, a payload whose bit 7 chooses the map of 0F, the opcode.
 */
static const struct sequence {
	const char *name;
	uint8_t first, second;
	enum { TWO, FIXED, MEMORY, REGISTER, BOTH, REX2 } form;
	uint8_t third;		/* FIXED, REX2: the byte; else: /reg */
	uint32_t found;
} sequences[] = {
	{ "CPUID", 0x0f, 0xa2, TWO, 0, PLEX86_FOUND_CPUID },
	{ "RDTSC", 0x0f, 0x31, TWO, 0, PLEX86_FOUND_TSC },
	{ "RDPMC", 0x0f, 0x33, TWO, 0, PLEX86_FOUND_PMC },
	{ "RDTSCP", 0x0f, 0x01, FIXED, 0xf9, PLEX86_FOUND_TSC },
	{ "RDPID", 0x0f, 0xc7, REGISTER, 7, PLEX86_FOUND_RDPID },
	{ "XGETBV", 0x0f, 0x01, FIXED, 0xd0, PLEX86_FOUND_XCR0 },
	{ "XSAVE", 0x0f, 0xae, MEMORY, 4, PLEX86_FOUND_XCR0 },
	{ "XRSTOR", 0x0f, 0xae, MEMORY, 5, PLEX86_FOUND_XCR0 },
	{ "XSAVEOPT", 0x0f, 0xae, MEMORY, 6, PLEX86_FOUND_XCR0 },
	{ "XRSTORS", 0x0f, 0xc7, MEMORY, 3, PLEX86_FOUND_XCR0 },
	{ "XSAVEC", 0x0f, 0xc7, MEMORY, 4, PLEX86_FOUND_XCR0 },
	{ "XSAVES", 0x0f, 0xc7, MEMORY, 5, PLEX86_FOUND_XCR0 },
	{ "VMCALL", 0x0f, 0x01, FIXED, 0xc1, PLEX86_FOUND_HYPERCALL },
	{ "VMMCALL", 0x0f, 0x01, FIXED, 0xd9, PLEX86_FOUND_HYPERCALL },
	{ "SYSENTER", 0x0f, 0x34, TWO, 0, PLEX86_FOUND_SYSENTER },
	{ "SYSCALL", 0x0f, 0x05, TWO, 0, PLEX86_FOUND_SYSCALL },
	{ "RDFSBASE", 0x0f, 0xae, REGISTER, 0, PLEX86_FOUND_FSGSBASE },
	{ "RDGSBASE", 0x0f, 0xae, REGISTER, 1, PLEX86_FOUND_FSGSBASE },
	{ "WRFSBASE", 0x0f, 0xae, REGISTER, 2, PLEX86_FOUND_FSGSBASE },
	{ "WRGSBASE", 0x0f, 0xae, REGISTER, 3, PLEX86_FOUND_FSGSBASE },
	{ "SGDT", 0x0f, 0x01, MEMORY, 0, PLEX86_FOUND_UMIP },
	{ "SIDT", 0x0f, 0x01, MEMORY, 1, PLEX86_FOUND_UMIP },
	{ "SMSW", 0x0f, 0x01, BOTH, 4, PLEX86_FOUND_UMIP },
	{ "SLDT", 0x0f, 0x00, BOTH, 0, PLEX86_FOUND_UMIP },
	{ "STR", 0x0f, 0x00, BOTH, 1, PLEX86_FOUND_UMIP },
	{ "VERR", 0x0f, 0x00, BOTH, 4, PLEX86_FOUND_SELECTOR },
	{ "VERW", 0x0f, 0x00, BOTH, 5, PLEX86_FOUND_SELECTOR },
	{ "LAR", 0x0f, 0x02, TWO, 0, PLEX86_FOUND_SELECTOR },
	{ "BSF, TZCNT", 0x0f, 0xbc, TWO, 0, PLEX86_FOUND_BITSCAN },
	{ "BSR, LZCNT", 0x0f, 0xbd, TWO, 0, PLEX86_FOUND_BITSCAN },
	{ "LSL", 0x0f, 0x03, TWO, 0, PLEX86_FOUND_SELECTOR },
	{ "INT 80", 0xcd, 0x80, TWO, 0, PLEX86_FOUND_INT80 },
	{ "RDPRU", 0x0f, 0x01, FIXED, 0xfd, PLEX86_FOUND_TSC },
	{ "VMFUNC", 0x0f, 0x01, FIXED, 0xd4, PLEX86_FOUND_HYPERCALL },
	{ "RDPKRU", 0x0f, 0x01, FIXED, 0xee, PLEX86_FOUND_PKRU },
	{ "WRPKRU", 0x0f, 0x01, FIXED, 0xef, PLEX86_FOUND_PKRU },
	{ "REX2 CPUID", 0xd5, 0x80, REX2, 0xa2, PLEX86_FOUND_REX2 },
	{ "REX2 RDTSC", 0xd5, 0x80, REX2, 0x31, PLEX86_FOUND_REX2 },
	{ "REX2 RDPMC", 0xd5, 0x80, REX2, 0x33, PLEX86_FOUND_REX2 },
	{ "REX2 SYSCALL", 0xd5, 0xff, REX2, 0x05, PLEX86_FOUND_REX2 },
	{ "REX2 SYSENTER", 0xd5, 0x88, REX2, 0x34, PLEX86_FOUND_REX2 },
	{ "REX2 LAR", 0xd5, 0x81, REX2, 0x02, PLEX86_FOUND_REX2 },
	{ "REX2 LSL", 0xd5, 0xc0, REX2, 0x03, PLEX86_FOUND_REX2 },
	{ "REX2 group 6", 0xd5, 0x84, REX2, 0x00, PLEX86_FOUND_REX2 },
	{ "REX2 group 7", 0xd5, 0x90, REX2, 0x01, PLEX86_FOUND_REX2 },
	{ "REX2 group 15", 0xd5, 0xf0, REX2, 0xae, PLEX86_FOUND_REX2 },
	{ "REX2 group 9", 0xd5, 0x80, REX2, 0xc7, PLEX86_FOUND_REX2 },
};

#define NSEQ (sizeof(sequences) / sizeof(sequences[0]))

/* Length of @s if it begins the @left bytes at @p, or 0. */
static unsigned int matches(const struct sequence *s, const uint8_t *p, size_t left)
{
	if (s->form == REX2)
		return left >= 3 && p[0] == s->first && p[1] >= 0x80 && p[2] == s->third ? 3 : 0;
	if (left < 2 || p[0] != s->first || p[1] != s->second)
		return 0;
	if (s->form == TWO)
		return 2;
	if (left < 3)
		return 0;
	if (s->form == FIXED)
		return p[2] == s->third ? 3 : 0;
	if ((p[2] >> 3 & 7) != s->third)
		return 0;
	if (s->form == BOTH)
		return 3;
	return (s->form == REGISTER) == (p[2] >= 0xc0) ? 3 : 0;
}

static uint32_t reference(const uint8_t *p, size_t len, size_t across)
{
	uint32_t found = 0;
	size_t i;
	unsigned int k, n;

	for (i = 0; i < len; i++)
		for (k = 0; k < NSEQ; k++) {
			n = matches(&sequences[k], p + i, len - i);
			/* @across: only what begins before and ends behind it */
			if (n && (!across || (i < across && i + n > across)))
				found |= sequences[k].found;
		}
	return found;
}

static uint8_t third(const struct sequence *s)
{
	return s->form == FIXED || s->form == REX2 ? s->third : s->third << 3 | (s->form == REGISTER ? 0xc0 : 0);
}

static void each_sequence(void)
{
	static uint8_t two[2 * SIZE];
	unsigned int k, at;

	for (k = 0; k < NSEQ; k++) {
		const struct sequence *s = &sequences[k];
		unsigned int len = s->form == TWO ? 2 : 3, wrong = 0;
		uint8_t b[3] = { s->first, s->second, third(s) };

		for (at = 0; at < 2 * SIZE - 3; at++) {
			bool in_first = at + len <= SIZE, across = at < SIZE && !in_first;

			memset(two, 0x90, sizeof(two));
			memcpy(two + at, b, len);
			wrong += plex86_filter_scan(two, SIZE) != (in_first ? s->found : 0);
			wrong += plex86_filter_scan(two + SIZE, SIZE) != (at >= SIZE ? s->found : 0);
			if (across)
				wrong += plex86_filter_straddle(two, two + SIZE) != s->found;
		}
		tap_ok(!wrong, "%s at each offset of a page and across its end", s->name);
	}
}

static void every_modrm(void)
{
	unsigned int op, m, wrong = 0;

	for (op = 0; op < 256; op++)
		for (m = 0; m < 256; m++) {
			uint8_t b[3] = { 0x0f, op, m };

			wrong += plex86_filter_scan(b, 3) != reference(b, 3, 0);
			b[0] = 0xd5;
			wrong += plex86_filter_scan(b, 3) != reference(b, 3, 0);
		}
	is(wrong, 0, "all of 0F xx xx and D5 xx xx: what the manuals name, and nothing else");
}

static void random_bytes(void)
{
	static const uint8_t likely[] = { 0x0f, 0x0f, 0x01, 0xae, 0xc7, 0x00, 0xa2, 0x31, 0xcd, 0x80,
					  0xd0, 0xf9, 0x05, 0x34, 0x66, 0xd5 };
	static uint8_t two[2 * SIZE];
	unsigned int round, i, wrong = 0, missed = 0, extra = 0;
	uint32_t got, want;

	for (round = 0; round < 3000; round++) {
		unsigned int len = 1 + next() % (round % 2 ? 8 : SIZE);

		for (i = 0; i < sizeof(two); i++)
			two[i] = next() % 3 ? next() : likely[next() % sizeof(likely)];
		wrong += plex86_filter_scan(two, len) != reference(two, len, 0);
		got = plex86_filter_straddle(two, two + SIZE);
		want = reference(two + SIZE - 2, 4, 2);
		missed += (want & ~got) != 0;
		extra += (got & ~want) != 0;
	}
	is(wrong, 0, "random bytes of random length");
	is(missed, 0, "random pages' seams: nothing is missed");
	is(extra, 0, "random pages' seams: nothing that lies within one of them");
}

static bool is_prefix(uint8_t b, bool long64)
{
	return memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", b, 11) ||
	       (long64 && b >= 0x40 && b <= 0x4f);
}

/* All places by brute force; -1 as the header says. */
static int locate(const uint8_t *page, uint32_t mask, bool long64, uint16_t *at, int max)
{
	static uint8_t begins[SIZE];
	unsigned int k, n;
	int i, b, count = 0;

	memset(begins, 0, sizeof(begins));
	for (i = 0; i < SIZE; i++) {
		for (k = 0, n = 0; k < NSEQ; k++)
			if (sequences[k].found & mask)
				n |= matches(&sequences[k], page + i, SIZE - i);
		for (b = i; n; b--) {
			begins[b] = 1;
			if (!b)
				return -1;
			if (!is_prefix(page[b - 1], long64))
				break;
		}
	}
	for (i = 0; i < SIZE; i++)
		if (begins[i] && count++ < max)
			at[count - 1] = i;
	return count > max ? -1 : count;
}

static int compare(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void places(void)
{
	static uint8_t page[SIZE];
	uint16_t at[64], want[64];
	int n, m, round, i;
	unsigned int wrong = 0, minus = 0, some = 0;

	memset(page, 0x90, SIZE);
	memcpy(page + 100, "\xf2\x66\x48\x0f\xa2", 5);
	is(plex86_filter_locate(page, PLEX86_FOUND_CPUID, true, at, 4), 4, "three prefixes: four places");
	is(plex86_filter_locate(page, PLEX86_FOUND_CPUID, true, at, 3), -1, "which are more than three");
	is(plex86_filter_locate(page, PLEX86_FOUND_CPUID, false, at, 4), 1, "48 is no prefix in 32-bit code");
	is(at[0], 103, "at the instruction");
	is(plex86_filter_locate(page, PLEX86_FOUND_TSC, true, at, 4), 0, "not what is not asked for");
	memset(page, 0x90, SIZE);
	memcpy(page, "\x66\x0f\xa2", 3);
	is(plex86_filter_locate(page, PLEX86_FOUND_CPUID, true, at, 4), -1,
	   "one that may begin before the page");

	for (round = 0; round < 4000; round++) {
		uint32_t mask = next() & ~PLEX86_FOUND_DECODED;
		bool long64 = next() & 1;

		memset(page, 0x90, SIZE);
		for (i = next() % 4; i >= 0; i--) {
			const struct sequence *s = &sequences[next() % NSEQ];
			uint8_t b[6] = { 0x66, 0x44, 0xf3, s->first, s->second, third(s) };
			unsigned int skip = next() % 4, where = next() % (SIZE - 6);

			if (next() % 4 == 0)
				where = next() % 2 ? SIZE - 1 - next() % 6 : next() % 3;
			memcpy(page + where, b + skip, where + 6 - skip > SIZE ? SIZE - where : 6 - skip);
		}
		n = plex86_filter_locate(page, mask, long64, at, 8);
		m = locate(page, mask, long64, want, 8);
		minus += m < 0;
		some += m > 0;
		if (n > 0)
			qsort(at, n, sizeof(at[0]), compare);
		wrong += n != m || (n > 0 && memcmp(at, want, n * sizeof(at[0])));
	}
	is(wrong, 0, "random pages: the same places as by brute force");
	ok(minus > 100 && some > 1000);
}

static void masks(void)
{
	const uint32_t all = PLEX86_CAP_TRAP_CPUID | PLEX86_CAP_TRAP_TSC | PLEX86_CAP_TRAP_UMIP |
			     PLEX86_CAP_TRAP_SYSENTER | PLEX86_CAP_XCR0 | PLEX86_CAP_DESCRIPTORS |
			     PLEX86_CAP_SYSCALL_EXACT | PLEX86_CAP_SELECTORS;
	const uint32_t always = PLEX86_FOUND_HYPERCALL | PLEX86_FOUND_PKRU;
	const uint32_t strictly = always | PLEX86_FOUND_RDPID | PLEX86_FOUND_XCR0;
	const uint32_t intel = all & ~PLEX86_CAP_TRAP_SYSENTER;
	const uint32_t amd = intel | PLEX86_CAP_SYSENTER_UD;

	is(plex86_filter_mask(all, PLEX86_MODE_64, true, 0, false), always,
	   "an engine that traps all: hypercalls and RDPKRU remain");
	is(plex86_filter_mask(all, PLEX86_MODE_32, true, 0, false), always, "in 32-bit code too");
	is(plex86_filter_mask(all, PLEX86_MODE_64, true, 1, false), always | PLEX86_FOUND_RDPID,
	   "and RDPID where it does not read 0");
	is(plex86_filter_mask(all, PLEX86_MODE_64, true, 0, true), strictly,
	   "strict: RDPID, XGETBV and XSAVE too, which no engine has exactly");
	is(plex86_filter_mask(all, PLEX86_MODE_32, true, 1, true), strictly, "in 32-bit code too");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_CPUID, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_CPUID, "CPUID by TRAP_CPUID");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_TSC, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_TSC_64 | PLEX86_FOUND_RDPID,
	   "RDPID by TRAP_TSC, and RDTSC, but not within other instructions");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_TSC, PLEX86_MODE_COMPAT, true, 0, false),
	   always | PLEX86_FOUND_TSC_32 | PLEX86_FOUND_RDPID, "in 32-bit code");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_TSC, PLEX86_MODE_64, true, 0, true),
	   strictly | PLEX86_FOUND_TSC | PLEX86_FOUND_PMC, "strict: its bytes, and RDPMC's");
	is(plex86_filter_mask((all & ~PLEX86_CAP_TRAP_TSC) | PLEX86_CAP_TSC_SWITCH, PLEX86_MODE_64,
			      true, 0, false),
	   always | PLEX86_FOUND_TSC | PLEX86_FOUND_RDPID, "and where it can be made to trap");
	is(plex86_filter_mask((all & ~PLEX86_CAP_TRAP_TSC) | PLEX86_CAP_EXEC_ONLY, PLEX86_MODE_64,
			      true, 0, false),
	   always | PLEX86_FOUND_TSC | PLEX86_FOUND_RDPID, "or replaced in a copy");
	is(plex86_filter_mask(all & ~PLEX86_CAP_XCR0, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_XCR0, "XGETBV and XSAVE by XCR0");
	is(plex86_filter_mask(all, PLEX86_MODE_64, false, 0, false),
	   always | PLEX86_FOUND_FSGSBASE, "RDFSBASE by the guest's CR4");
	is(plex86_filter_mask(intel, PLEX86_MODE_COMPAT, true, 0, false),
	   always | PLEX86_FOUND_SYSENTER | PLEX86_FOUND_SYSCALL_INSN,
	   "32-bit SYSENTER by TRAP_SYSENTER, and SYSCALL, whoever the host says it is");
	is(plex86_filter_mask(amd, PLEX86_MODE_COMPAT, true, 0, false),
	   always | PLEX86_FOUND_SYSCALL_INSN, "on AMD SYSCALL, as an instruction");
	is(plex86_filter_mask(amd, PLEX86_MODE_32, true, 0, true), strictly | PLEX86_FOUND_SYSCALL,
	   "strict: its bytes");
	is(plex86_filter_mask(intel, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_SYSENTER, "64-bit SYSENTER too");
	is(plex86_filter_low(intel, true), 0, "but not SYSCALL, which 32-bit code does not have there");
	is(plex86_filter_mask(amd, PLEX86_MODE_64, true, 0, false), always,
	   "not on AMD, where it is #UD");
	is(plex86_filter_low(amd, false), PLEX86_FOUND_SYSCALL_INSN,
	   "but SYSCALL there, where a far jump may make it 32-bit code's");
	is(plex86_filter_low(amd, true), PLEX86_FOUND_SYSCALL, "strict: its bytes");
	is(plex86_filter_low(all | PLEX86_CAP_SYSENTER_UD, true), 0, "unless it traps");
	is(plex86_filter_mask(all | PLEX86_CAP_REX2, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_REX2, "REX2 where the host has it");
	is(plex86_filter_mask(all | PLEX86_CAP_LA57, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_FSGSBASE, "WRFSBASE where it takes 57 bits");
	is(plex86_filter_mask(all | PLEX86_CAP_BASES_LOST, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_FSGSBASE, "or is forgotten");
	is(plex86_filter_mask(all | PLEX86_CAP_INTN_TAKEN, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_INTN_64, "INT n where some are a hypervisor's");
	is(plex86_filter_mask(all | PLEX86_CAP_INTN_TAKEN, PLEX86_MODE_32, true, 0, true),
	   strictly | PLEX86_FOUND_INTN_32, "in 32-bit code, and with strict no more");
	is(plex86_filter_mask(all | PLEX86_CAP_NT_LOST, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_NT_64, "POPF where NT is lost");
	is(plex86_filter_mask(all | PLEX86_CAP_NT_LOST, PLEX86_MODE_COMPAT, true, 0, false),
	   always | PLEX86_FOUND_NT_32, "in 32-bit code");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_UMIP, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_UMIP_64, "SGDT by TRAP_UMIP, as an instruction");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_UMIP, PLEX86_MODE_COMPAT, true, 0, false),
	   always | PLEX86_FOUND_UMIP_32, "in 32-bit code");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_UMIP, PLEX86_MODE_64, true, 0, true),
	   strictly | PLEX86_FOUND_UMIP, "strict: its bytes");
	is(plex86_filter_mask(all & ~PLEX86_CAP_DESCRIPTORS, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_SELECTOR_64, "LAR by DESCRIPTORS, as an instruction");
	is(plex86_filter_mask(all & ~PLEX86_CAP_DESCRIPTORS, PLEX86_MODE_32, true, 0, false),
	   always | PLEX86_FOUND_SELECTOR_32, "in 32-bit code");
	is(plex86_filter_mask(all & ~PLEX86_CAP_DESCRIPTORS, PLEX86_MODE_64, true, 0, true),
	   strictly | PLEX86_FOUND_SELECTOR, "strict: its bytes");
	is(plex86_filter_mask(all & ~PLEX86_CAP_SYSCALL_EXACT, PLEX86_MODE_64, true, 0, false),
	   always | PLEX86_FOUND_INT80_64, "INT 80 by SYSCALL_EXACT, as an instruction");
	is(plex86_filter_mask(all & ~PLEX86_CAP_SYSCALL_EXACT, PLEX86_MODE_COMPAT, true, 0, false),
	   always, "in 64-bit code only");
	is(plex86_filter_mask(all & ~PLEX86_CAP_SYSCALL_EXACT, PLEX86_MODE_COMPAT, true, 0, true),
	   strictly | PLEX86_FOUND_INT80, "strict: its bytes, everywhere in long mode");
	is(plex86_filter_bytes(PLEX86_FOUND_SELECTOR_64 | PLEX86_FOUND_CPUID),
	   PLEX86_FOUND_SELECTOR | PLEX86_FOUND_CPUID, "instructions have bytes");
	is(plex86_filter_bytes(PLEX86_FOUND_SEGMENT), PLEX86_FOUND_SEGMENT, "but for these");
}

static void bitscan(void)
{
	const uint32_t tz = PLEX86_CAP_TZCNT, lz = PLEX86_CAP_LZCNT;
	const uint32_t yes = PLEX86_FOUND_BITSCAN;

	is(plex86_filter_bitscan(tz | lz, true, true, true), 0, "TZCNT and LZCNT in both: exact");
	is(plex86_filter_bitscan(0, false, false, true), 0, "in neither");
	is(plex86_filter_bitscan(lz, true, true, false), yes, "the host has no TZCNT");
	is(plex86_filter_bitscan(tz, true, true, false), yes, "the host has no LZCNT");
	is(plex86_filter_bitscan(lz, false, true, false), 0, "nor has the model");
	is(plex86_filter_bitscan(tz | lz, false, true, false), 0, "the model has no TZCNT: not unless strict");
	is(plex86_filter_bitscan(tz | lz, false, true, true), yes, "strict");
	is(plex86_filter_bitscan(tz | lz, true, false, true), yes, "strict: the model has no LZCNT");
}

int main(void)
{
	each_sequence();
	every_modrm();
	random_bytes();
	places();
	masks();
	bitscan();
	return tap_done();
}
