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
	const uint32_t intel = all & ~PLEX86_CAP_TRAP_SYSENTER;
	const uint32_t amd = intel | PLEX86_CAP_SYSENTER_UD;

	is(plex86_filter_mask(all, PLEX86_MODE_64, true, true), always,
	   "an engine that traps all: hypercalls and RDPKRU remain");
	is(plex86_filter_mask(all, PLEX86_MODE_32, true, true), always, "in 32-bit code too");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_CPUID, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_CPUID, "CPUID by TRAP_CPUID");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_TSC, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_TSC_64 | PLEX86_FOUND_RDPID,
	   "RDPID by TRAP_TSC, and RDTSC, but not within other instructions");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_TSC, PLEX86_MODE_COMPAT, true, false),
	   always | PLEX86_FOUND_TSC_32 | PLEX86_FOUND_RDPID, "in 32-bit code");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_TSC, PLEX86_MODE_64, true, true),
	   always | PLEX86_FOUND_TSC | PLEX86_FOUND_RDPID, "strict: its bytes");
	is(plex86_filter_mask((all & ~PLEX86_CAP_TRAP_TSC) | PLEX86_CAP_TSC_SWITCH, PLEX86_MODE_64,
			      true, false),
	   always | PLEX86_FOUND_TSC | PLEX86_FOUND_RDPID, "and where it can be made to trap");
	is(plex86_filter_mask((all & ~PLEX86_CAP_TRAP_TSC) | PLEX86_CAP_EXEC_ONLY, PLEX86_MODE_64,
			      true, false),
	   always | PLEX86_FOUND_TSC | PLEX86_FOUND_RDPID, "or replaced in a copy");
	is(plex86_filter_mask(all & ~PLEX86_CAP_XCR0, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_XCR0, "XGETBV by XCR0");
	is(plex86_filter_mask(all, PLEX86_MODE_64, false, false),
	   always | PLEX86_FOUND_FSGSBASE, "RDFSBASE by the guest's CR4");
	is(plex86_filter_mask(intel, PLEX86_MODE_COMPAT, true, false),
	   always | PLEX86_FOUND_SYSENTER | PLEX86_FOUND_SYSCALL_INSN,
	   "32-bit SYSENTER by TRAP_SYSENTER, and SYSCALL, whoever the host says it is");
	is(plex86_filter_mask(amd, PLEX86_MODE_COMPAT, true, false),
	   always | PLEX86_FOUND_SYSCALL_INSN, "on AMD SYSCALL, as an instruction");
	is(plex86_filter_mask(amd, PLEX86_MODE_32, true, true), always | PLEX86_FOUND_SYSCALL,
	   "strict: its bytes");
	is(plex86_filter_mask(intel, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_SYSENTER, "64-bit SYSENTER too");
	is(plex86_filter_low(intel, true), 0, "but not SYSCALL, which 32-bit code does not have there");
	is(plex86_filter_mask(amd, PLEX86_MODE_64, true, false), always,
	   "not on AMD, where it is #UD");
	is(plex86_filter_low(amd, false), PLEX86_FOUND_SYSCALL_INSN,
	   "but SYSCALL there, where a far jump may make it 32-bit code's");
	is(plex86_filter_low(amd, true), PLEX86_FOUND_SYSCALL, "strict: its bytes");
	is(plex86_filter_low(all | PLEX86_CAP_SYSENTER_UD, true), 0, "unless it traps");
	is(plex86_filter_mask(all | PLEX86_CAP_REX2, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_REX2, "REX2 where the host has it");
	is(plex86_filter_mask(all | PLEX86_CAP_LA57, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_FSGSBASE, "WRFSBASE where it takes 57 bits");
	is(plex86_filter_mask(all | PLEX86_CAP_BASES_LOST, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_FSGSBASE, "or is forgotten");
	is(plex86_filter_mask(all | PLEX86_CAP_INTN_TAKEN, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_INTN_64, "INT n where some are a hypervisor's");
	is(plex86_filter_mask(all | PLEX86_CAP_INTN_TAKEN, PLEX86_MODE_32, true, true),
	   always | PLEX86_FOUND_INTN_32, "in 32-bit code, and with strict no more");
	is(plex86_filter_mask(all | PLEX86_CAP_NT_LOST, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_NT_64, "POPF where NT is lost");
	is(plex86_filter_mask(all | PLEX86_CAP_NT_LOST, PLEX86_MODE_COMPAT, true, false),
	   always | PLEX86_FOUND_NT_32, "in 32-bit code");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_UMIP, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_UMIP_64, "SGDT by TRAP_UMIP, as an instruction");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_UMIP, PLEX86_MODE_COMPAT, true, false),
	   always | PLEX86_FOUND_UMIP_32, "in 32-bit code");
	is(plex86_filter_mask(all & ~PLEX86_CAP_TRAP_UMIP, PLEX86_MODE_64, true, true),
	   always | PLEX86_FOUND_UMIP, "strict: its bytes");
	is(plex86_filter_mask(all & ~PLEX86_CAP_DESCRIPTORS, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_SELECTOR_64, "LAR by DESCRIPTORS, as an instruction");
	is(plex86_filter_mask(all & ~PLEX86_CAP_DESCRIPTORS, PLEX86_MODE_32, true, false),
	   always | PLEX86_FOUND_SELECTOR_32, "in 32-bit code");
	is(plex86_filter_mask(all & ~PLEX86_CAP_DESCRIPTORS, PLEX86_MODE_64, true, true),
	   always | PLEX86_FOUND_SELECTOR, "strict: its bytes");
	is(plex86_filter_mask(all & ~PLEX86_CAP_SYSCALL_EXACT, PLEX86_MODE_64, true, false),
	   always | PLEX86_FOUND_INT80_64, "INT 80 by SYSCALL_EXACT, as an instruction");
	is(plex86_filter_mask(all & ~PLEX86_CAP_SYSCALL_EXACT, PLEX86_MODE_COMPAT, true, false),
	   always, "in 64-bit code only");
	is(plex86_filter_mask(all & ~PLEX86_CAP_SYSCALL_EXACT, PLEX86_MODE_COMPAT, true, true),
	   always | PLEX86_FOUND_INT80, "strict: its bytes, everywhere in long mode");
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

/* Bytes that are a finding, or not, by what instruction they are. */
struct decoded {
	const char *code;
	int len;
	bool found;
	const char *what;
};

/* Each of @n cases in three places, behind the @len bytes @before. */
static void decode(uint32_t finding, const struct decoded *cases, unsigned int n,
		   const char *before, unsigned int len)
{
	static uint8_t page[SIZE];
	unsigned int i, at;

	for (i = 0; i < n; i++) {
		for (at = 200; at < 4000; at += 1234) {
			memset(page, 0x90, sizeof(page));
			memcpy(page + at - len, before, len);
			memcpy(page + at, cases[i].code, cases[i].len);
			tap_ok(!!plex86_filter_decode(page, finding, ~0u) == cases[i].found, "%s", cases[i].what);
		}
	}
}

static bool decoded(const uint8_t *page)
{
	return plex86_filter_decode(page, PLEX86_FOUND_SEGMENT_32, 0);
}

static bool early(const uint8_t *before, const uint8_t *page)
{
	return plex86_filter_decode_early(before, page, PLEX86_FOUND_SEGMENT_32);
}

/* What a page begins with is what the page before it says that it is. */
static void early_reads(void)
{
	static uint8_t page[SIZE], before[SIZE];

	memset(before, 0x90, sizeof(before));
	memset(page, 0x90, sizeof(page));
	ok(!early(before, page));
	ok(!early(NULL, page));
	memcpy(page + 1, "\x8c\xe8", 2);
	ok(!decoded(page));
	ok(early(NULL, page));		/* who knows what it belongs to */
	ok(early(before, page));
	memcpy(before + 4095, "\x0f", 1);	/* jl: the displacement has E8 */
	memcpy(page, "\x8c\xe8\x00\x00\x00", 5);
	ok(!early(before, page));
	ok(!early(NULL, page));			/* what follows is no code then */
	memcpy(before + 4094, "\x66\x90", 2);
	ok(early(before, page));
	memset(page, 0x90, sizeof(page));
	memcpy(page + 62, "\x65\x8c\x25\x00\x00\x00\x00", 7);	/* the last that is early */
	ok(!decoded(page));
	ok(early(before, page));
	memset(page, 0x90, sizeof(page));
	memcpy(page + 64, "\x0f\xa0", 2);
	ok(decoded(page));
	ok(!early(before, page));

	/* The headers of a program fill their page with zeros: no instruction reaches out of them. */
	memset(before, 0, sizeof(before));
	memcpy(page, "\x53\x83\xec\x08\xe8\x17\x02\x00\x00", 9);
	ok(!early(before, page));
	before[4093] = 0x90;			/* an odd number of them */
	ok(!early(before, page));
	memcpy(page, "\x53\x83\xec\x08\x17", 5);
	ok(early(before, page));
}

/* The round constants of SHA-512 stand behind its code: the first 16 of them. */
static void constants(void)
{
	static const uint64_t k[] = {
		0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
		0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
		0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
		0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
	};
	static uint8_t page[SIZE];
	unsigned int at, after, wrong = 0, missed = 0;

	for (at = 1024; at < 1056; at++) {
		memset(page, 0x90, sizeof(page));
		page[at - 1] = 0xc3;
		memcpy(page + at, k, sizeof(k));
		wrong += decoded(page);
		/* Code behind them, but for what the last of them seem to go on in, and before. */
		for (after = 6; after < 40; after += 3) {
			memcpy(page + at + sizeof(k) + after, "\x8e\xe8", 2);
			missed += !decoded(page);
			memcpy(page + at + sizeof(k) + after, "\x90\x90", 2);
		}
		memcpy(page + at - 100, "\x1f", 1);
		missed += !decoded(page);
	}
	is(wrong, 0, "constants are not taken for uses of segments");
	is(missed, 0, "and hide none");
}

/* Code of a regular pattern keeps some streams out of step, but they are not plausible. */
static void patterns(void)
{
	/* movzbl 0x487(%esi),%eax; cmp %al,0x487(%ebx); jne */
	static const uint8_t period[] = {
		0x0f, 0xb6, 0x86, 0x87, 0x04, 0x00, 0x00, 0x38, 0x83, 0x87, 0x04, 0x00, 0x00,
		0x0f, 0x85, 0x9f, 0xe5, 0xff, 0xff,
	};
	static uint8_t page[SIZE];
	unsigned int i, n = 100 * sizeof(period);

	memset(page, 0x90, sizeof(page));
	for (i = 0; i < n; i++)
		page[i] = period[i % sizeof(period)];
	page[n - 4] = 0x8c;
	ok(!decoded(page));
	memcpy(page + n, "\x8c\xe8", 2);
	ok(decoded(page));
	/* Behind data of which no stream is plausible, it is believed; or what most say. */
	memset(page, 0xf4, n);
	memcpy(page + n, "\xb8\x00\x0f\x05\x00", 5);
	ok(plex86_filter_decode(page, PLEX86_FOUND_SYSCALL_INSN, PLEX86_FOUND_SYSCALL));
	memcpy(page + n, "\x0f\x8c\xe8\x00\x00\x00", 6);
	ok(!decoded(page));
	memcpy(page + n, "\x8c\xe8\x90\x90\x90\x90", 6);
	ok(decoded(page));
	/* Code may end in a compiler's trap, behind which is no code. */
	memcpy(page + n, "\x0f\x02\xc2\x90\x90\x90\x06\x17\x0e", 9);
	ok(!plex86_filter_decode(page, PLEX86_FOUND_SELECTOR_64, PLEX86_FOUND_SELECTOR));
	memcpy(page + n + 3, "\x0f\x0b", 2);
	ok(plex86_filter_decode(page, PLEX86_FOUND_SELECTOR_64, PLEX86_FOUND_SELECTOR));
	memcpy(page + n + 3, "\x0f\xb9\xed", 3);
	ok(plex86_filter_decode(page, PLEX86_FOUND_SELECTOR_64, PLEX86_FOUND_SELECTOR));
	/* Behind HLT it is believed for a while. */
	memset(page, 0x90, n);
	page[n - 70] = 0xf4;
	memcpy(page + n, "\xb8\x00\x0f\x05\x00", 5);
	ok(!plex86_filter_decode(page, PLEX86_FOUND_SYSCALL_INSN, PLEX86_FOUND_SYSCALL));
	page[n - 9] = 0xf4;
	ok(plex86_filter_decode(page, PLEX86_FOUND_SYSCALL_INSN, PLEX86_FOUND_SYSCALL));
}

/* Uses of segment registers are found; the same bytes inside other instructions are not. */
static void segments(void)
{
	static const struct decoded in32[] = {
		{ "\x8c\xe8", 2, true, "mov %gs,%eax" },
		{ "\x66\x8c\xe0", 3, true, "mov %fs,%ax" },
		{ "\x8c\x6d\x08", 3, true, "mov %gs,8(%ebp)" },
		{ "\x8c\xd8", 2, true, "mov %ds,%eax" },
		{ "\x8e\xe8", 2, true, "mov %eax,%gs" },
		{ "\x0f\xa8", 2, true, "push %gs" },
		{ "\x0f\xa0", 2, true, "push %fs" },
		{ "\x0f\xa1", 2, true, "pop %fs" },
		{ "\x0f\xa9", 2, true, "pop %gs" },
		{ "\x1e", 1, true, "push %ds" },
		{ "\x66\x07", 2, true, "popw %es" },
		{ "\x06\x0e\x16\x1f\x17", 5, true, "push, pop" },
		{ "\xc5\x45\x08", 3, true, "lds 8(%ebp),%eax" },
		{ "\xc4\x45\x08", 3, true, "les 8(%ebp),%eax" },
		{ "\x0f\xb2\x00", 3, true, "lss (%eax),%eax" },
		{ "\x0f\xb4\x00", 3, true, "lfs (%eax),%eax" },
		{ "\x0f\xb5\x00", 3, true, "lgs (%eax),%eax" },
		{ "\x9a\x01\x02\x03\x04\x33\x00", 7, true, "lcall" },
		{ "\xea\x01\x02\x03\x04\x33\x00", 7, true, "ljmp" },
		{ "\xff\x18", 2, true, "lcall *(%eax)" },
		{ "\xff\x6d\x08", 3, true, "ljmp *8(%ebp)" },
		{ "\xca\x04\x00", 3, true, "lret $4" },
		{ "\xcb", 1, true, "lret" },
		{ "\xcf", 1, true, "iret" },
		{ "\x0f\x8c\xe8\x00\x00\x00", 6, false, "jl" },
		{ "\x89\x45\x8c\x68\x00\x00\x00\x00", 8, false, "mov %eax,-116(%ebp); push" },
		{ "\xb8\x00\x8c\xe8\x00", 5, false, "mov $imm,%eax" },
		{ "\x65\xa1\x14\x00\x00\x00", 6, false, "mov %gs:20,%eax" },
		{ "\x83\xc4\x10\x5b\xc3", 5, false, "add $16,%esp; pop; ret" },
		{ "\xe8\x12\xff\xff\xff\x5b", 6, false, "call; pop %ebx" },
		{ "\x89\x06\x8b\x1e\x8b\x16", 6, false, "mov %eax,(%esi) and its kind" },
		{ "\xc5\xf8\x77", 3, false, "vzeroupper" },
		{ "\xc4\xe2\x7d\x18\x00", 5, false, "vbroadcastss (%eax),%ymm0" },
		{ "\xff\xd0\xff\x10\xff\x20", 6, false, "near calls and jumps" },
	};
	static const struct decoded in64[] = {
		{ "\x8c\xd8", 2, true, "mov %ds,%eax" },
		{ "\x48\x8c\xc8", 3, true, "mov %cs,%rax" },
		{ "\x8e\xe8", 2, true, "mov %eax,%gs" },
		{ "\x0f\xa8", 2, true, "push %gs" },
		{ "\x48\xff\x28", 3, true, "rex.w ljmp *(%rax)" },
		{ "\x48\xcb", 2, true, "lretq" },
		{ "\x48\xcf", 2, true, "iretq" },
		{ "\x48\x0f\xb5\x00", 4, true, "lgs (%rax),%rax" },
		{ "\xc5\xf8\x77", 3, false, "vzeroupper" },
		{ "\xc4\xe2\x7d\x18\x00", 5, false, "vbroadcastss (%rax),%ymm0" },
		{ "\x64\x48\x8b\x04\x25\x00\x00\x00\x00", 9, false, "mov %fs:0,%rax" },
		{ "\x0f\x8c\xe8\x00\x00\x00", 6, false, "jl" },
		{ "\x89\x06\x8b\x1e\x8b\x16", 6, false, "mov %eax,(%rsi) and its kind" },
	};
	static uint8_t page[SIZE], before[SIZE];
	uint16_t at[4];

	/* Something with longer instructions before it. */
	decode(PLEX86_FOUND_SEGMENT_32, in32, sizeof(in32) / sizeof(in32[0]),
	       "\x81\xc4\x00\x01\x00\x00\xb9\x01\x02\x03\x04\x41", 12);
	decode(PLEX86_FOUND_SEGMENT_64, in64, sizeof(in64) / sizeof(in64[0]),
	       "\x48\x81\xc4\x00\x01\x00\x00\xb9\x01\x02\x03\x04", 12);
	memset(page, 0x90, sizeof(page));
	memcpy(page + 4093, "\x0f\x8c\x21", 3);
	ok(!decoded(page));		/* a jump at the end */
	page[4093] = page[4094] = 0x90;
	page[4095] = 0xc5;		/* the next page says what it is */
	ok(!decoded(page));
	memset(before, 0x90, sizeof(before));
	memcpy(before, "\x45", 1);
	ok(early(page, before));
	memcpy(before, "\xf8", 1);
	ok(!early(page, before));
	page[4095] = 0xcb;
	ok(decoded(page));
	is(plex86_filter_decode_locate(page, PLEX86_FOUND_SEGMENT_32, at, 4), 1, "the last byte");

	memset(page, 0x90, sizeof(page));
	memcpy(page + 300, "\x66\x8c\xe0", 3);
	memcpy(page + 2000, "\x1e", 1);
	is(plex86_filter_decode_locate(page, PLEX86_FOUND_SEGMENT_32, at, 4), 3, "with prefix and without");
	ok(at[0] == 301 && at[1] == 300 && at[2] == 2000);
	is(plex86_filter_decode_locate(page, PLEX86_FOUND_SEGMENT_32, at, 2), -1, "more than there is room for");
	is(plex86_filter_decode_locate(page, PLEX86_FOUND_SEGMENT, at, 4), -1, "in both modes");
	is(plex86_filter_decode_locate(page, PLEX86_FOUND_SEGMENT_64, at, 4), 2, "in 64-bit code there is no PUSH DS");
}

/* LAR and SGDT, each with its kind, INT 0x80, other INT n, and what loads EFLAGS.NT. */
static void tables(void)
{
	static const struct decoded lar[] = {
		{ "\x0f\x02\xc1", 3, true, "lar" },
		{ "\x0f\x03\xc0", 3, true, "lsl" },
		{ "\x0f\x00\xe0", 3, true, "verr" },
		{ "\x0f\x00\x28", 3, true, "verw" },
		{ "\x0f\x00\xc8", 3, false, "str" },
		{ "\xb8\x0f\x02\x00\x00", 5, false, "mov $0x20f,%eax" },
		{ "\x0f\x84\x0f\x03\x00\x00", 6, false, "je" },
		{ "\x83\xe0\x0f\x03\xc1", 5, false, "and $15,%eax; add %ecx,%eax" },
	};
	static const struct decoded sgdt[] = {
		{ "\x0f\x01\x00", 3, true, "sgdt" },
		{ "\x0f\x01\x08", 3, true, "sidt" },
		{ "\x0f\x01\xe0", 3, true, "smsw" },
		{ "\x0f\x00\xc0", 3, true, "sldt" },
		{ "\x66\x0f\x00\xc8", 4, true, "str" },
		{ "\x0f\x01\xf9", 3, false, "rdtscp" },
		{ "\xb8\x0f\x00\x00\x00", 5, false, "mov $15,%eax" },
		{ "\x83\xe0\x0f\x01\xc8", 5, false, "and $15,%eax; add %ecx,%eax" },
	};
	static const struct decoded int80[] = {
		{ "\xcd\x80", 2, true, "int $0x80" },
		{ "\xcd\x81", 2, false, "int $0x81" },
		{ "\x00\xcd\x80\xc1\x00", 5, false, "add; add" },
		{ "\xb8\xcd\x80\x00\x00", 5, false, "mov $0x80cd,%eax" },
	};
	static const struct decoded intn[] = {
		{ "\xcd\x1a", 2, true, "int $0x1a" },
		{ "\xcd\x03", 2, true, "int $3, the long one" },
		{ "\xcd\x80", 2, false, "int $0x80, which has its own" },
		{ "\xb8\xcd\x1a\x00\x00", 5, false, "mov $0x1acd,%eax" },
		{ "\x83\xc0\xcd\x83\xc2\xcd", 6, false, "add $-51" },
	};
	static const struct decoded far[] = {
		{ "\x48\xff\x28", 3, true, "rex.w ljmp *(%rax)" },
		{ "\xff\x18", 2, true, "lcall *(%rax)" },
		{ "\x48\xcb", 2, true, "lretq" },
		{ "\xca\x08\x00", 3, true, "lret $8" },
		{ "\x48\xcf", 2, false, "iretq, which loads SS" },
		{ "\x8e\xe8", 2, false, "mov %eax,%gs" },
		{ "\xff\xd0\xff\x10\xff\x20", 6, false, "near calls and jumps" },
	};
	static const struct decoded nt[] = {
		{ "\x9d", 1, true, "popf" },
		{ "\x66\x9d", 2, true, "popfw" },
		{ "\xcf", 1, true, "iret" },
		{ "\x9c", 1, false, "pushf" },
		{ "\x0f\x9d\xc0", 3, false, "setge %al" },
		{ "\x83\xc0\x9d\x01\xcf", 5, false, "add $-99; add %ecx,%edi" },
	};
	static const char *const run_up = "\x48\x81\xc4\x00\x01\x00\x00\xb9\x01\x02\x03\x04";

	decode(PLEX86_FOUND_INTN_64, intn, sizeof(intn) / sizeof(intn[0]), run_up, 12);
	decode(PLEX86_FOUND_INTN_32, intn, sizeof(intn) / sizeof(intn[0]), run_up, 12);
	decode(PLEX86_FOUND_FAR_64, far, sizeof(far) / sizeof(far[0]), run_up, 12);
	decode(PLEX86_FOUND_NT_64, nt, sizeof(nt) / sizeof(nt[0]), run_up, 12);
	decode(PLEX86_FOUND_NT_32, nt, sizeof(nt) / sizeof(nt[0]), run_up, 12);
	decode(PLEX86_FOUND_SELECTOR_64, lar, sizeof(lar) / sizeof(lar[0]), run_up, 12);
	decode(PLEX86_FOUND_SELECTOR_32, lar, sizeof(lar) / sizeof(lar[0]), run_up, 12);
	decode(PLEX86_FOUND_UMIP_64, sgdt, sizeof(sgdt) / sizeof(sgdt[0]), run_up, 12);
	decode(PLEX86_FOUND_UMIP_32, sgdt, sizeof(sgdt) / sizeof(sgdt[0]), run_up, 12);
	decode(PLEX86_FOUND_INT80_64, int80, sizeof(int80) / sizeof(int80[0]), run_up, 12);
}

/* SYSCALL is found as an instruction, and not in what compilers have around it. */
static void syscalls(void)
{
	static const struct decoded cases[] = {
		{ "\x0f\x05", 2, true, "syscall" },
		{ "\x48\x0f\x05", 3, true, "rex.w syscall" },
		{ "\x66\x0f\x05", 3, true, "data16 syscall" },
		{ "\xb8\x0c\x00\x00\x00\x0f\x05\x48\x3d\x00\xf0\xff\xff", 13, true, "a glibc wrapper" },
		{ "\x48\xb9\x01\x02\x03\x04\x05\x06\x07\xb8\x0f\x05", 12, true, "behind movabs" },
		{ "\xc4\x41\x7d\x6f\xc0\x0f\x05", 7, true, "behind vmovdqa %ymm8,%ymm8" },
		{ "\xc5\x79\x7e\xc8\x0f\x05", 6, true, "behind vmovd %xmm9,%eax" },
		{ "\x67\x8b\x86\x01\x02\x03\x04\x0f\x05", 9, true, "behind mov 67305985(%esi),%eax" },
		{ "\xe8\x12\x0f\x05\x00", 5, false, "call" },
		{ "\x0f\x84\x0f\x05\x00\x00", 6, false, "je" },
		{ "\x48\x8b\x05\x33\x0f\x05\x00", 7, false, "mov 331571(%rip),%rax" },
		{ "\xbf\x0f\x05\x00\x00", 5, false, "mov $0x50f,%edi" },
		{ "\x83\x3d\x0f\x05\x00\x00\x0f", 7, false, "cmpl $15,1295(%rip)" },
		{ "\x0f\x10\x05\x0f\x05\x00\x00", 7, false, "movups 1295(%rip),%xmm0" },
	};

	/* push %rbp; mov %rsp,%rbp; mov 8(%rax),%rdi; test %rdi,%rdi */
	decode(PLEX86_FOUND_SYSCALL_INSN, cases, sizeof(cases) / sizeof(cases[0]),
	       "\x55\x48\x89\xe5\x48\x8b\x78\x08\x48\x85\xff", 11);
}

/* The same for RDTSC and its kind. */
static void tsc(void)
{
	static const struct decoded cases[] = {
		{ "\x0f\x31", 2, true, "rdtsc" },
		{ "\x66\x0f\x31", 3, true, "data16 rdtsc" },
		{ "\x0f\xae\xe8\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0", 12, true, "a clock" },
		{ "\x0f\x01\xf9", 3, true, "rdtscp" },
		{ "\x0f\x01\xfd", 3, true, "rdpru" },
		{ "\x0f\x01\xf8", 3, false, "swapgs" },
		{ "\xe6\x80\x0f\x31", 4, true, "out %al,$0x80; rdtsc" },
		{ "\xd5\x10\x01\xc8\x0f\x31", 6, true, "behind REX2, which nobody knows" },
		{ "\xc3\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08\x07\x06\x05\x04\x03\x02\x01\x00\x0f\x31", 19,
		  true, "behind constants" },
		{ "\xe8\x08\x00\x00\x00" "CPUTIME\x00\x0f\x31", 15, true, "behind a string, called" },
		{ "\xeb\x01\xb8\x0f\x31\x90\x90\x90", 8, true, "jmp .+3; .byte 0xb8" },
		{ "\xf2\xe9\x01\x00\x00\x00\xb8\x0f\x31\x90\x90\x90", 12, true, "bnd jmp; .byte 0xb8" },
		{ "\x8b\x0f\x31\xc0", 4, false, "mov (%rdi),%ecx; xor %eax,%eax" },
		{ "\xb8\x0f\x31\x00\x00", 5, false, "mov $0x310f,%eax" },
		{ "\x0f\x84\x0f\x31\x00\x00", 6, false, "je" },
		{ "\x83\xe0\x0f\x01\xf9", 5, false, "and $15,%eax; add %edi,%ecx" },
	};
	static const uint8_t constants[] = { 0xf4, 0xec, 0xf4, 0xe4, 0xf4, 0xec, 0xf4, 0xf4 };
	/* mov 0x1bc(%rsi),%eax; cmp %eax,0x1bc(%rdi); jne */
	static const char compares[] = "\x8b\x86\xbc\x01\x00\x00\x39\x87\xbc\x01\x00\x00\x75\x10";
	static uint8_t page[SIZE];
	unsigned int i, shift, found = 0;

	decode(PLEX86_FOUND_TSC_64, cases, sizeof(cases) / sizeof(cases[0]),
	       "\x55\x48\x89\xe5\x48\x8b\x78\x08\x48\x85\xff", 11);
	decode(PLEX86_FOUND_TSC_32, cases, sizeof(cases) / sizeof(cases[0]),
	       "\x55\x89\xe5\x8b\x78\x08\x85\xff", 8);
	/* A pattern that keeps decoding out of step, if it did not begin at the right byte: a compiler's. */
	for (shift = 0; shift < sizeof(compares) - 1; shift++) {
		memset(page, 0x90, SIZE);
		for (i = 1000 + shift; i + sizeof(compares) < 3000; i += sizeof(compares) - 1)
			memcpy(page + i, compares, sizeof(compares) - 1);
		memcpy(page + i, "\x0f\x31", 2);
		found += !!plex86_filter_decode(page, PLEX86_FOUND_TSC_64, PLEX86_FOUND_TSC);
	}
	is(found, shift, "behind a pattern");
	/* Where a function can begin behind data. */
	memset(page, 0x90, SIZE);
	memcpy(page + 992, "\xc3\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\xb8\x0f\x31", 18);
	ok(plex86_filter_decode(page, PLEX86_FOUND_TSC_64, PLEX86_FOUND_TSC));
	/* Too many to look at. */
	for (i = 0; i + 5 < SIZE; i += 5)
		memcpy(page + i, "\xb8\x0f\x31\x00\x00", 5);
	ok(plex86_filter_decode(page, PLEX86_FOUND_TSC_64, PLEX86_FOUND_TSC));
	/* In case of doubt it is one: whatever comes behind data, or first in a page. */
	for (i = 0; i < SIZE; i++)
		page[i] = constants[i % sizeof(constants)];
	memcpy(page + 1000, "\x8b\x0f\x31\xc0", 4);
	ok(plex86_filter_decode(page, PLEX86_FOUND_TSC_64, PLEX86_FOUND_TSC));
	memset(page, 0x90, SIZE);
	memcpy(page, "\x8b\x0f\x31\xc0", 4);
	ok(plex86_filter_decode_early(NULL, page, PLEX86_FOUND_TSC_64));
}

int main(void)
{
	segments();
	tables();
	early_reads();
	constants();
	patterns();
	syscalls();
	tsc();
	each_sequence();
	every_modrm();
	random_bytes();
	places();
	masks();
	bitscan();
	return tap_done();
}
