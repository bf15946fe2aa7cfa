/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <plex86/engine.h>

#include "filter.h"
#include "insn.h"

/* Group 15, 0F AE: memory forms XSAVE /4, XRSTOR /5, XSAVEOPT /6; register forms xxBASE. */
static uint32_t group15(uint8_t modrm)
{
	unsigned int reg = (modrm >> 3) & 7;

	if (modrm >= 0xc0)
		return reg <= 3 ? PLEX86_FOUND_FSGSBASE : 0;
	return reg >= 4 && reg <= 6 ? PLEX86_FOUND_XCR0 : 0;
}

/* Group 9, 0F C7: memory forms XRSTORS /3, XSAVEC /4, XSAVES /5; register form RDPID /7. */
static uint32_t group9(uint8_t modrm)
{
	unsigned int reg = (modrm >> 3) & 7;

	if (modrm >= 0xc0)
		return reg == 7 ? PLEX86_FOUND_RDPID : 0;
	return reg >= 3 && reg <= 5 ? PLEX86_FOUND_XCR0 : 0;
}

/* Group 7, 0F 01: fixed bytes in the register forms, descriptor-table stores in memory. */
static uint32_t group7(uint8_t modrm)
{
	unsigned int reg = (modrm >> 3) & 7;

	switch (modrm) {
	case 0xc1: case 0xd4: case 0xd9: return PLEX86_FOUND_HYPERCALL;
	case 0xd0:		return PLEX86_FOUND_XCR0;
	case 0xee: case 0xef:	return PLEX86_FOUND_PKRU;
	case 0xf9: case 0xfd:	return PLEX86_FOUND_TSC;
	}
	if (reg == 4)		/* SMSW has both forms */
		return PLEX86_FOUND_UMIP;
	return modrm < 0xc0 && reg <= 1 ? PLEX86_FOUND_UMIP : 0;
}

/* Group 6, 0F 00: SLDT /0, STR /1, VERR /4, VERW /5. */
static uint32_t group6(uint8_t modrm)
{
	unsigned int reg = (modrm >> 3) & 7;

	if (reg <= 1)
		return PLEX86_FOUND_UMIP;
	return reg == 4 || reg == 5 ? PLEX86_FOUND_SELECTOR : 0;
}

static uint32_t after_0f(const uint8_t *p, size_t left)
{
	if (left < 1)
		return 0;
	switch (p[0]) {
	case 0xa2:		return PLEX86_FOUND_CPUID;
	case 0x31:		return PLEX86_FOUND_TSC;
	case 0x33:		return PLEX86_FOUND_PMC;
	case 0x05:		return PLEX86_FOUND_SYSCALL;
	case 0x34:		return PLEX86_FOUND_SYSENTER;
	case 0xbc: case 0xbd:	return PLEX86_FOUND_BITSCAN;
	case 0x02: case 0x03:	return PLEX86_FOUND_SELECTOR;
	case 0x00:		return left > 1 ? group6(p[1]) : 0;
	case 0x01:		return left > 1 ? group7(p[1]) : 0;
	case 0xae:		return left > 1 ? group15(p[1]) : 0;
	case 0xc7:		return left > 1 ? group9(p[1]) : 0;
	}
	return 0;
}

/* REX2 with M0: the next byte is an opcode of the map that 0F leads to (Intel APX, 3.1.2.1). */
static uint32_t after_rex2(const uint8_t *p, size_t left)
{
	if (left < 2 || !(p[0] & 0x80))
		return 0;
	/* Groups as a whole: it is rare. */
	if (p[1] == 0x00 || p[1] == 0x01 || p[1] == 0xae || p[1] == 0xc7)
		return PLEX86_FOUND_REX2;
	/* A host with APX has TZCNT and LZCNT. */
	return after_0f(p + 1, 1) & ~PLEX86_FOUND_BITSCAN ? PLEX86_FOUND_REX2 : 0;
}

uint32_t plex86_filter_at(const uint8_t *p, size_t left)
{
	switch (p[0]) {
	case 0x0f:	return after_0f(p + 1, left - 1);
	case 0xd5:	return after_rex2(p + 1, left - 1);
	case 0xcd:	return left > 1 && p[1] == 0x80 ? PLEX86_FOUND_INT80 : 0;
	}
	return 0;
}

uint32_t plex86_filter_scan(const uint8_t *code, size_t len)
{
	static const uint8_t first[] = { 0x0f, 0xcd, 0xd5 };
	const uint8_t *end = code + len, *p;
	uint32_t found = 0;
	unsigned int i;

	for (i = 0; i < sizeof(first); i++)
		for (p = code; (p = memchr(p, first[i], end - p)); p++)
			found |= plex86_filter_at(p, end - p);
	return found;
}

int plex86_filter_begins(const uint8_t *code, int at, bool long64, uint16_t *begins, int n,
			 int max)
{
	for (;; at--) {
		if (n == max || !at)
			return -1;
		begins[n++] = at;
		if (!plex86_is_prefix(code[at - 1], long64))
			return n;
	}
}

int plex86_filter_locate(const uint8_t *code, uint32_t mask, bool long64, uint16_t *at, int max)
{
	const int size = (int)PLEX86_PAGE_SIZE;
	int n = 0, i;

	for (i = 0; i < size - 1 && n >= 0; i++) {
		int left = size - i < PLEX86_FILTER_TAIL ? size - i : PLEX86_FILTER_TAIL;

		if (plex86_filter_at(code + i, left) & mask)
			n = plex86_filter_begins(code, i, long64, at, n, max);
	}
	return n;
}

uint32_t plex86_filter_straddle(const uint8_t *a, const uint8_t *b)
{
	const size_t half = PLEX86_FILTER_TAIL - 1;
	uint8_t seam[2 * (PLEX86_FILTER_TAIL - 1)];

	memcpy(seam, a + PLEX86_PAGE_SIZE - half, half);
	memcpy(seam + half, b, half);
	/* Three bytes from the last but one, two or three from the last. */
	return (plex86_filter_at(seam, 3) & ~plex86_filter_at(seam, 2)) |
	       plex86_filter_at(seam + 1, 3);
}

uint32_t plex86_filter_mask(uint32_t caps, enum plex86_mode mode, bool fsgsbase, uint32_t tsc_aux,
			    bool strict)
{
	bool long64 = mode == PLEX86_MODE_64;
	uint32_t mask = PLEX86_FOUND_HYPERCALL | PLEX86_FOUND_PKRU;

	if (!(caps & PLEX86_CAP_TRAP_CPUID))
		mask |= PLEX86_FOUND_CPUID;
	if (!(caps & PLEX86_CAP_TRAP_TSC)) {
		mask |= PLEX86_FOUND_RDPID | (strict ? PLEX86_FOUND_PMC : 0);
		/* The bytes are in 2.3 % of pages, nearly always within other instructions. */
		mask |= strict || (caps & (PLEX86_CAP_TSC_SWITCH | PLEX86_CAP_EXEC_ONLY)) ?
			PLEX86_FOUND_TSC : long64 ? PLEX86_FOUND_TSC_64 : PLEX86_FOUND_TSC_32;
	}
	/* It can't trap: an engine with the control bits for the rest shows 0, in models without it too. */
	if (tsc_aux || strict)
		mask |= PLEX86_FOUND_RDPID;
	/* Strictly: which components are in use is the CPU's own account. */
	if (!(caps & PLEX86_CAP_XCR0) || strict)
		mask |= PLEX86_FOUND_XCR0;
	/* LA57: it would take bases that are #GP in Bochs, and that the guest's kernel can't load. */
	if (!fsgsbase || (caps & (PLEX86_CAP_LA57 | PLEX86_CAP_BASES_LOST)))
		mask |= PLEX86_FOUND_FSGSBASE;
	if (caps & PLEX86_CAP_REX2)
		mask |= PLEX86_FOUND_REX2;
	if (!(caps & PLEX86_CAP_TRAP_SYSENTER)) {
		if (!(caps & PLEX86_CAP_SYSENTER_UD))
			mask |= PLEX86_FOUND_SYSENTER;
		/* Intel's CPUs have none in 32-bit code, but a virtual host's may be another's. */
		if (!long64)
			mask |= strict ? PLEX86_FOUND_SYSCALL : PLEX86_FOUND_SYSCALL_INSN;
	}
	if (!(caps & PLEX86_CAP_TRAP_UMIP))
		mask |= strict ? PLEX86_FOUND_UMIP :
			long64 ? PLEX86_FOUND_UMIP_64 : PLEX86_FOUND_UMIP_32;
	if (!(caps & PLEX86_CAP_DESCRIPTORS))
		mask |= strict ? PLEX86_FOUND_SELECTOR :
			long64 ? PLEX86_FOUND_SELECTOR_64 : PLEX86_FOUND_SELECTOR_32;
	/* With strict also in 32-bit code that a far jump can make 64-bit code. */
	if (mode != PLEX86_MODE_32 && !(caps & PLEX86_CAP_SYSCALL_EXACT))
		mask |= strict ? PLEX86_FOUND_INT80 : long64 ? PLEX86_FOUND_INT80_64 : 0;
	if (caps & PLEX86_CAP_INTN_TAKEN)
		mask |= long64 ? PLEX86_FOUND_INTN_64 : PLEX86_FOUND_INTN_32;
	if (caps & PLEX86_CAP_NT_LOST)
		mask |= long64 ? PLEX86_FOUND_NT_64 : PLEX86_FOUND_NT_32;
	return mask;
}

uint32_t plex86_filter_bitscan(uint32_t caps, bool tzcnt, bool lzcnt, bool strict)
{
	bool host_tzcnt = caps & PLEX86_CAP_TZCNT, host_lzcnt = caps & PLEX86_CAP_LZCNT;

	if ((tzcnt && !host_tzcnt) || (lzcnt && !host_lzcnt))
		return PLEX86_FOUND_BITSCAN;
	return strict && (tzcnt != host_tzcnt || lzcnt != host_lzcnt) ? PLEX86_FOUND_BITSCAN : 0;
}

uint32_t plex86_filter_low(uint32_t caps, bool strict)
{
	if (!(caps & PLEX86_CAP_SYSENTER_UD) || (caps & PLEX86_CAP_TRAP_SYSENTER))
		return 0;
	return strict ? PLEX86_FOUND_SYSCALL : PLEX86_FOUND_SYSCALL_INSN;
}
