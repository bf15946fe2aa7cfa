/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin/filter_decode.c: findings that are instructions, told from the same bytes in other
 * instructions, in constants and in patterns that keep decoding out of step.
 */
#include <string.h>

#include <plex86/addr.h>
#include <plex86/engine.h>

#include "plugin/filter.h"
#include "tests/tap.h"

#define SIZE 4096

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
	return tap_done();
}
