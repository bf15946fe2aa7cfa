/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page filter: which instructions that no container of a given engine can
 * trap have their bytes in a page (I7).  Bytes, not instructions, as code can be
 * entered anywhere; but for PLEX86_FOUND_DECODED (filter_decode.c).  What becomes of a
 * page with a finding is shadow_code.c's affair.  Measured on 300,000 pages of Debian's
 * code: 0.6 % contain CPUID, XGETBV, VMMCALL or RDPID, 2.3 % RDTSC.
 */
#ifndef PLEX86_FILTER_H
#define PLEX86_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plex86/addr.h>
#include <plex86/cpu.h>

#define PLEX86_FOUND_CPUID	0x0001u	/* 0F A2 */
#define PLEX86_FOUND_TSC	0x0002u	/* RDTSC, RDTSCP, RDPRU: 0F 31, 0F 01 F9|FD; CR4.TSD
						 * forbids all three (APM vol. 3) */
#define PLEX86_FOUND_XCR0	0x0004u	/* XGETBV, XSAVE, XSAVEC, XSAVEOPT, XRSTOR */
#define PLEX86_FOUND_HYPERCALL	0x0008u	/* VMMCALL, VMCALL, VMFUNC: an outer hypervisor's */
#define PLEX86_FOUND_SYSENTER	0x0010u	/* 0F 34 */
#define PLEX86_FOUND_FSGSBASE	0x0020u	/* RDFSBASE ... WRGSBASE */
#define PLEX86_FOUND_UMIP	0x0040u	/* SGDT, SIDT, SMSW, SLDT, STR */
#define PLEX86_FOUND_SELECTOR	0x0080u	/* LAR, LSL, VERR, VERW */
#define PLEX86_FOUND_INT80	0x0100u	/* CD 80, which loses RAX[63:32] on some hosts */
#define PLEX86_FOUND_RDPID	0x0200u	/* 0F C7 F8+r */
#define PLEX86_FOUND_PKRU	0x0400u	/* RDPKRU, WRPKRU: 0F 01 EE, EF */
#define PLEX86_FOUND_SYSCALL	0x0800u	/* 0F 05 */
#define PLEX86_FOUND_REX2	0x1000u	/* any of these as D5 xx opcode: APX can spell them so */
#define PLEX86_FOUND_BITSCAN	0x2000u	/* 0F BC|BD: BSF, BSR and, behind F3, TZCNT, LZCNT */

/* SYSCALL's bytes, and it seems to be an instruction of its own. */
#define PLEX86_FOUND_SYSCALL_INSN 0x4000u
/* The same for SELECTOR's, UMIP's and INT80's, in 64- or in 32-bit code. */
#define PLEX86_FOUND_SELECTOR_64 0x8000u
#define PLEX86_FOUND_SELECTOR_32 0x10000u
#define PLEX86_FOUND_UMIP_64	0x20000u
#define PLEX86_FOUND_UMIP_32	0x40000u
#define PLEX86_FOUND_INT80_64	0x80000u
/* Reads and loads of segment registers and far transfers, whose bytes are everywhere. */
#define PLEX86_FOUND_SEGMENT_64	0x100000u
#define PLEX86_FOUND_SEGMENT_32	0x200000u
#define PLEX86_FOUND_SEGMENT	(PLEX86_FOUND_SEGMENT_64 | PLEX86_FOUND_SEGMENT_32)
/* INT n, all but INT 80H. */
#define PLEX86_FOUND_INTN_64	0x400000u
#define PLEX86_FOUND_INTN_32	0x800000u
#define PLEX86_FOUND_INTN	(PLEX86_FOUND_INTN_64 | PLEX86_FOUND_INTN_32)
/* What sets EFLAGS.NT: POPF, IRET. */
#define PLEX86_FOUND_NT_64	0x1000000u
#define PLEX86_FOUND_NT_32	0x2000000u
#define PLEX86_FOUND_NT		(PLEX86_FOUND_NT_64 | PLEX86_FOUND_NT_32)
/* Far CALL, JMP and RET of 64-bit code: what can take a stack segment to 32-bit code. */
#define PLEX86_FOUND_FAR_64	0x4000000u
/* TSC's bytes, unless they are certainly within other instructions. */
#define PLEX86_FOUND_TSC_64	0x8000000u
#define PLEX86_FOUND_TSC_32	0x10000000u

#define PLEX86_FOUND_PMC	0x20000000u	/* RDPMC, 0F 33: traps unless the host's administrator
						 * lets all programs read the counters */

/* Those that plex86_filter_scan() leaves out, as so many bytes would be meant. */
#define PLEX86_FOUND_UNSCANNED	(PLEX86_FOUND_SEGMENT | PLEX86_FOUND_FAR_64 | \
				 PLEX86_FOUND_INTN | PLEX86_FOUND_NT)

/* Bytes that the longest sequence needs; also how much of the next page matters. */
#define PLEX86_FILTER_TAIL	3

/* The finding of a sequence that begins right at @code, of which @left bytes (1 or more) count. */
uint32_t plex86_filter_at(const uint8_t *code, size_t left);

/* Findings in @len bytes at @code. */
uint32_t plex86_filter_scan(const uint8_t *code, size_t len);

/* Findings in sequences that begin in the page @a and end in the page @b behind it. */
uint32_t plex86_filter_straddle(const uint8_t *a, const uint8_t *b);

/* Findings that bytes don't tell, only instructions. */
#define PLEX86_FOUND_DECODED	(PLEX86_FOUND_UNSCANNED | PLEX86_FOUND_SYSCALL_INSN | \
				 PLEX86_FOUND_TSC_64 | PLEX86_FOUND_TSC_32 | \
				 PLEX86_FOUND_SELECTOR_64 | PLEX86_FOUND_SELECTOR_32 | \
				 PLEX86_FOUND_UMIP_64 | PLEX86_FOUND_UMIP_32 | \
				 PLEX86_FOUND_INT80_64)

/* Those among them that few programs have: a good guess will do.  The rest: in case of doubt. */
#define PLEX86_FOUND_GUESSED	(PLEX86_FOUND_DECODED & ~(PLEX86_FOUND_SYSCALL_INSN | \
							  PLEX86_FOUND_TSC_64 | PLEX86_FOUND_TSC_32))

/* The same findings as those of bytes, of which there may be more.  UNSCANNED ones stay what they are. */
uint32_t plex86_filter_bytes(uint32_t found);

/*
 * Which of @mask (PLEX86_FOUND_DECODED) the page at @code seems to have, but for its first
 * bytes.  @bytes is what plex86_filter_scan() found there.  Not part of that: it takes long.
 */
uint32_t plex86_filter_decode(const uint8_t *code, uint32_t mask, uint32_t bytes);

/*
 * The same for the first bytes, and for what begins with the last two of the page before,
 * @before, which says what they are, if it is not NULL.  But for PLEX86_FOUND_GUESSED nothing but
 * harmless bytes will do there.
 */
uint32_t plex86_filter_decode_early(const uint8_t *before, const uint8_t *code, uint32_t mask);

/*
 * Where instructions with a finding in @mask can begin in a page of code:
 * offsets into @at, at most @max.  A sequence that follows prefix bytes can also
 * begin with them.  Returns their number, or -1 if they are more or if one may
 * begin before the page.
 */
int plex86_filter_locate(const uint8_t *code, uint32_t mask, bool long64, uint16_t *at, int max);

/*
 * Where one instruction can begin whose opcode is at @at: there, and at prefixes before.  Adds
 * to the @n offsets that are in @begins; the same answer.
 */
int plex86_filter_begins(const uint8_t *code, int at, bool long64, uint16_t *begins, int n,
			 int max);

/*
 * Which of @mask (PLEX86_FOUND_DECODED) code meets first that begins at @at, where there is an
 * instruction for certain, before it leaves the page, or may: jumps are followed, conditional ones
 * not taken.  @where: where in the page that instruction begins.
 */
uint32_t plex86_filter_run(const uint8_t *code, size_t at, bool long64, uint32_t mask,
			   size_t *where);

/* plex86_filter_locate() for PLEX86_FOUND_GUESSED, but for a page's first bytes. */
int plex86_filter_decode_locate(const uint8_t *code, uint32_t mask, uint16_t *at, int max);

/*
 * Which findings forbid native execution, for an engine with @caps
 * (PLEX86_CAP_*), in @mode, with CR4.FSGSBASE as the guest has it.
 * @tsc_aux: what RDPID reads in the guest.
 * @strict: also what is merely inexact, and not dangerous.
 *
 * SYSENTER and SYSCALL are such that a host kernel takes them for its own and
 * destroys the registers: Intel's CPUs execute SYSENTER in every mode and SYSCALL
 * in 64-bit code only, where it traps well; AMD's execute SYSCALL in every mode and
 * SYSENTER in none of a 64-bit host's.  64-bit code can become 32-bit code by a far jump.
 * A virtual host may say that its CPU is another's, so 32-bit SYSCALL is forbidden on all.
 */
uint32_t plex86_filter_mask(uint32_t caps, enum plex86_mode mode, bool fsgsbase, uint32_t tsc_aux,
			    bool strict);

/*
 * The same for LZCNT and TZCNT, as the CPU model has them.  Without them a CPU executes BSR
 * and BSF (SDM vol. 2, LZCNT, TZCNT).  A host that has more than the model differs only where
 * programs use them without asking CPUID, as GCC's code does, whose result is the same.
 */
uint32_t plex86_filter_bitscan(uint32_t caps, bool tzcnt, bool lzcnt, bool strict);

/* What 64-bit code may not hold as well where 32-bit code can get at it: below 4 GiB. */
uint32_t plex86_filter_low(uint32_t caps, bool strict);

#endif /* PLEX86_FILTER_H */
