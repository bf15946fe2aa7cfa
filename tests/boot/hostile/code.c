/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instructions of the kernel's and of hypervisors, selectors, addresses. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "hostile.h"

#define CODE(...) { sizeof((const uint8_t[]){ __VA_ARGS__ }), { __VA_ARGS__ } }

/* EAX is -1, EBX, ESI and EDI are LOW, which can be written. */
static const struct {
	uint8_t n, code[10];
} instructions[] = {
	CODE(0xf4),				/* HLT */
	CODE(0xfa), CODE(0xfb),			/* CLI, STI */
	CODE(0xe4, 0x80), CODE(0xe6, 0x80),	/* IN, OUT */
	CODE(0xec), CODE(0xee), CODE(0x6c), CODE(0x6e),
	CODE(0x0f, 0x20, 0xc0), CODE(0x0f, 0x22, 0xc0),	/* MOV CR0 */
	CODE(0x0f, 0x20, 0xd8), CODE(0x0f, 0x22, 0xd8),	/* MOV CR3 */
	CODE(0x0f, 0x20, 0xe0), CODE(0x0f, 0x22, 0xe0),	/* MOV CR4 */
	CODE(0x0f, 0x21, 0xc0), CODE(0x0f, 0x23, 0xf8),	/* MOV DR0, DR7 */
	CODE(0x0f, 0x24, 0xf0),			/* MOV TR6 */
	CODE(0x0f, 0x30), CODE(0x0f, 0x32),	/* WRMSR, RDMSR */
	CODE(0x0f, 0x33),			/* RDPMC */
	CODE(0x0f, 0x01, 0x13), CODE(0x0f, 0x01, 0x1b),	/* LGDT, LIDT */
	CODE(0x0f, 0x00, 0xd0), CODE(0x0f, 0x00, 0xd8),	/* LLDT, LTR */
	CODE(0x0f, 0x01, 0xf0),			/* LMSW */
	CODE(0x0f, 0x01, 0x3b),			/* INVLPG */
	CODE(0x0f, 0x06), CODE(0x0f, 0x08), CODE(0x0f, 0x09),	/* CLTS, INVD, WBINVD */
	CODE(0x0f, 0x07), CODE(0x0f, 0x35), CODE(0x0f, 0xaa),	/* SYSRET, SYSEXIT, RSM */
	CODE(0x0f, 0x01, 0xf8),			/* SWAPGS */
	CODE(0x0f, 0x01, 0xc1), CODE(0x0f, 0x01, 0xd9),	/* VMCALL, VMMCALL */
	CODE(0x0f, 0x01, 0xc2), CODE(0x0f, 0x01, 0xc3), CODE(0x0f, 0x01, 0xc4),	/* VMLAUNCH ... */
	CODE(0x0f, 0x78, 0xc8), CODE(0x0f, 0x79, 0xc8),	/* VMREAD, VMWRITE */
	CODE(0x0f, 0xc7, 0x33), CODE(0xf3, 0x0f, 0xc7, 0x33),	/* VMPTRLD, VMXON */
	CODE(0x0f, 0x01, 0xd4),			/* VMFUNC */
	CODE(0x0f, 0x01, 0xd8), CODE(0x0f, 0x01, 0xda), CODE(0x0f, 0x01, 0xdb),	/* VMRUN ... */
	CODE(0x0f, 0x01, 0xdc), CODE(0x0f, 0x01, 0xdd), CODE(0x0f, 0x01, 0xde), CODE(0x0f, 0x01, 0xdf),
	CODE(0x0f, 0x01, 0xc8), CODE(0x0f, 0x01, 0xc9),	/* MONITOR, MWAIT */
	CODE(0x0f, 0x01, 0xca), CODE(0x0f, 0x01, 0xcb),	/* CLAC, STAC */
	CODE(0x0f, 0x01, 0xd1),			/* XSETBV */
	CODE(0x0f, 0x37),			/* GETSEC */
	CODE(0x66, 0x0f, 0x38, 0x80, 0x03), CODE(0x66, 0x0f, 0x38, 0x82, 0x03),	/* INVEPT, INVPCID */
	CODE(0x0f, 0xc7, 0x2b), CODE(0x0f, 0xc7, 0x1b),	/* XSAVES, XRSTORS */
	CODE(0x0f, 0x01, 0xee), CODE(0x0f, 0x01, 0xef),	/* RDPKRU, WRPKRU */
	CODE(0xf1), CODE(0xcc), CODE(0xce),	/* INT1, INT3, INTO */
	CODE(0x0f, 0x0b), CODE(0x0f, 0xb9, 0xc0), CODE(0x0f, 0xff, 0xc0),	/* UD2, UD1, UD0 */
	CODE(0xcf), CODE(0xcb), CODE(0xca, 0, 0),	/* IRET, RETF */
	CODE(0x48, 0xcf), CODE(0x48, 0xcb),
	CODE(0xd6), CODE(0x62, 0xc0), CODE(0x8f, 0xc8), CODE(0xc4, 0xc0),
	CODE(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66),
	CODE(0xf0, 0x90), CODE(0xf0, 0x0f, 0x0b),	/* LOCK of what can't be locked */
};
#define INSTRUCTIONS (sizeof(instructions) / sizeof(instructions[0]))

void hostile_code(void)
{
	uint8_t code[] = { 0xcd, 0 };

	group("instruction");
	for (unsigned int i = 0; i < INSTRUCTIONS; i++)
		result(i, try_bytes(instructions[i].code, instructions[i].n));
	group("int");
	for (unsigned int n = 0; n < 256; n++) {
		code[1] = n;
		result(n, try_bytes(code, sizeof(code)));
	}
}

/*
 * Of both tables, and more.  A 64-bit host has code and data of its own (0x23, 0x2b, 0x33, 0x7b)
 * where 32-bit Linux has none or others, and a process engine's container what stands for the
 * guest's segments with a base (0x63, 0x6b, 0x73).
 */
#define SELECTORS	0x108

/* Jumps and calls to each selector; there is UD2, whatever the mode. */
static void far_branches(const char *name, uint8_t modrm)
{
	const uint32_t pointer_at = LOW + 0x100;
	uint8_t code[] = { 0xff, modrm, 0x25, 0, 0, 0, 0 };
	const int n = sizeof(long) == 8 ? 7 : 6;

	if (n == 7)
		code[1] = modrm - 1;		/* by SIB: an address, not relative to RIP */
	memcpy(code + n - 4, &pointer_at, 4);
	memcpy((void *)(LOW + 0x200), "\x0f\x0b\x0f\x0b", 4);
	group(name);
	for (unsigned int s = 0; s < SELECTORS; s++) {
		const uint32_t target = LOW + 0x200;
		const uint16_t selector = s;

		memcpy((void *)LOW + 0x100, &target, 4);
		memcpy((void *)LOW + 0x104, &selector, 2);
		result(s, try_bytes(code, n));
	}
}

/* Where SELECTOR is to be in the code that returns to it, and TARGET, of 32 bits. */
#define SELECTOR	0x5e1ec708
#define TARGET		(LOW + 0x200)
#define LE32(v)		(v) & 0xff, (v) >> 8 & 0xff, (v) >> 16 & 0xff, (v) >> 24 & 0xff
#define PUSH(v)		0x68, LE32(v)

static void far_returns(const char *name, const uint8_t *with, int n)
{
	static const uint8_t wanted[] = { LE32(SELECTOR) };
	uint8_t code[32];
	uint8_t *at;

	memcpy(code, with, n);
	at = memmem(code, n, wanted, sizeof(wanted));
	memcpy((void *)TARGET, "\x0f\x0b\x0f\x0b", 4);
	group(name);
	for (unsigned int s = 0; s < SELECTORS; s++) {
		memcpy(at, &s, 4);
		result(s, try_bytes(code, n));
	}
}

void hostile_selectors(void)
{
#ifdef __x86_64__
	/* mov %rsp, %rcx; push $0x2b; push %rcx; pushf: Linux's SS */
	static const uint8_t lret[] = { PUSH(SELECTOR), PUSH(TARGET), 0x48, 0xcb };
	static const uint8_t iret[] = { 0x48, 0x89, 0xe1, 0x6a, 0x2b, 0x51, 0x9c, PUSH(SELECTOR),
					PUSH(TARGET), 0x48, 0xcf };
#else
	static const uint8_t lret[] = { PUSH(SELECTOR), PUSH(TARGET), 0xcb };
	static const uint8_t iret[] = { 0x9c, PUSH(SELECTOR), PUSH(TARGET), 0xcf };
#endif

	static const struct {
		const char *name;
		uint8_t code;		/* MOV %ax to it */
	} segments[] = {
		{ "es", 0xc0 }, { "ss", 0xd0 }, { "ds", 0xd8 }, { "fs", 0xe0 }, { "gs", 0xe8 },
	};

	far_branches("ljmp", 0x2d);
	far_branches("lcall", 0x1d);
	far_returns("lret", lret, sizeof(lret));
	far_returns("iret", iret, sizeof(iret));
	for (int i = 0; i < 5; i++) {
		group(segments[i].name);
		for (unsigned int s = 0; s < SELECTORS; s++) {
			/* mov $s, %eax; mov %eax, %sreg; UD2 then finds it loaded */
			uint8_t code[] = { 0xb8, s & 0xff, s >> 8, 0, 0, 0x8e, segments[i].code };

			result(s, try_bytes(code, sizeof(code)));
		}
	}
}

#ifdef __x86_64__
/* The system call instructions of 32-bit code, in 32-bit code that a far jump leads to. */
static const uint8_t entries[][2] = { { 0x0f, 0x05 }, { 0x0f, 0x34 }, { 0xcd, 0x80 } };

static long enter_as_32(unsigned long which)
{
	/* mov $1000000, %ecx; 1: dec %ecx; jnz 1b; ljmp *0x100(%rdi): long enough to go native */
	static const uint8_t loop[] = { 0xb9, 0x40, 0x42, 0x0f, 0, 0xff, 0xc9, 0x75, 0xfc,
					0xff, 0xaf, 0, 1, 0, 0 };
	/* mov $1, %eax; mov $42, %ebx: exit(42); and a stack, for those that look at it */
	static const uint8_t leave[] = { 0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0xbc, 0, 8, 1, 0 };
	const struct { uint32_t offset; uint16_t selector; } to = { LOW + 0x200, 0x23 };
	uint8_t *code = (uint8_t *)LOW;

	memcpy(code, loop, sizeof(loop));
	memcpy(code + 0x100, &to, 6);
	memcpy(code + 0x200, leave, sizeof(leave));
	memcpy(code + 0x200 + sizeof(leave), entries[which], 2);
	memcpy(code + 0x200 + sizeof(leave) + 2, "\x0f\x0b", 2);
	asm volatile("call *%0" : : "r"(code), "D"(code) : "ecx", "memory", "cc");
	return 0;
}

void hostile_entries(void)
{
	group("far jump, system call");
	for (unsigned int i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		result(i, status_outcome(try_in_child(enter_as_32, i)));
	group("sysenter");
	result(0, try_bytes(entries[1], 2));
}
#endif

static long read_it(unsigned long at)
{
	(void)*(volatile uint8_t *)at;
	return 0;
}

/* Changes nothing of what can be written. */
static long write_it(unsigned long at)
{
	asm volatile("lock orb $0, (%0)" : : "r"(at) : "memory", "cc");
	return 0;
}

static long jump_to_it(unsigned long at)
{
	asm volatile("call *%0" : : "r"(at), "D"(0l), "S"(0l)
		     : "eax", "ecx", "edx", "memory", "cc");
	return 0;
}

/* Code of this program's own is not called. */
static bool is_mapped(unsigned long at)
{
	unsigned char unused[1];

	return mincore((void *)(at & ~4095ul), 1, unused) == 0;
}

static unsigned long address(unsigned int i)
{
	static uint64_t seed = 88172645463325252ull;
	const unsigned int bits = 8 * sizeof(long);

	if (i < 4 * bits)
		return (i & 2 ? -(1ul << i / 4) : 1ul << i / 4) - (i & 1);
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed >> (seed >> 58) % bits;
}

static void addresses(const char *name, long (*fn)(unsigned long at), bool mapped_too)
{
	group(name);
	for (unsigned int i = 0; i < 700; i++) {
		unsigned long at = address(i);

		if (mapped_too || !is_mapped(at))
			result(i, try(fn, at, at));
	}
	/* Each megabyte of the lower 4 GiB, where 32-bit programs live. */
	for (unsigned int i = 0; i < 4096; i++) {
		unsigned long at = (unsigned long)i << 20 | 0xff8;

		if (mapped_too || !is_mapped(at))
			result(1 << 20 | i, try(fn, at, at));
	}
#ifdef __x86_64__
	/* The page of system calls that are emulated, and what is around it. */
	for (unsigned int i = 0; i < 12; i++) {
		unsigned long at = 0xffffffffff5ffc00ul + 0x400 * i;

		result(2 << 20 | i, try(fn, at, at));
	}
#endif
}

void hostile_addresses(void)
{
	addresses("read", read_it, true);
	addresses("write", write_it, true);
	addresses("jump", jump_to_it, false);
}
