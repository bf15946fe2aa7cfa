/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR LGPL-2.1-or-later */
/*
 * The register image that crosses every boundary of the accelerator: Bochs
 * glue -> core -> engine (and, for plex86.ko, user space -> kernel).  It is
 * the state that user code can read or write, plus the few control bits that
 * change what user code means.  One layout for all, so that nobody converts.
 *
 * Self-contained; compiles in the kernel, in C and in C++, 32- and 64-bit.
 */
#ifndef PLEX86_CPU_H
#define PLEX86_CPU_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/stddef.h>
#else
#include <stdint.h>
#include <stddef.h>
#endif

#ifdef __cplusplus
#define PLEX86_STATIC_ASSERT(cond, msg) static_assert(cond, msg)
#else
#define PLEX86_STATIC_ASSERT(cond, msg) _Static_assert(cond, msg)
#endif

/* Register numbers are the hardware's own (ModRM/REX order, SDM vol. 2, 2.1.5). */
enum plex86_gpr {
	PLEX86_RAX, PLEX86_RCX, PLEX86_RDX, PLEX86_RBX,
	PLEX86_RSP, PLEX86_RBP, PLEX86_RSI, PLEX86_RDI,
	PLEX86_R8, PLEX86_R9, PLEX86_R10, PLEX86_R11,
	PLEX86_R12, PLEX86_R13, PLEX86_R14, PLEX86_R15,
	PLEX86_NGPR
};

enum plex86_sreg {
	PLEX86_ES, PLEX86_CS, PLEX86_SS, PLEX86_DS, PLEX86_FS, PLEX86_GS,
	PLEX86_NSEG
};

/*
 * A segment register with its hidden part.  @attr is the second half of a
 * descriptor with the limit nibble taken out (SDM vol. 3, 3.4.5): bits 0-3
 * type, 4 S, 5-6 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G.  Bit 8 says that the
 * register holds a null selector and every access through it must fault
 * (64-bit mode: except as that mode ignores it).  Bit 9, from an engine only, says
 * that @base is not what the selector's descriptor has: it was written (WRFSBASE,
 * WRGSBASE) after the selector was loaded.
 */
struct plex86_seg {
	uint16_t sel;
	uint16_t attr;
	uint32_t limit;		/* last valid offset, bytes, already scaled by G */
	uint64_t base;
};

#define PLEX86_SEG_TYPE		0x000fu
#define PLEX86_SEG_ACCESSED	0x0001u
#define PLEX86_SEG_WRITE	0x0002u	/* data: writable; code: readable */
#define PLEX86_SEG_EXPAND_DOWN	0x0004u	/* data; code: conforming */
#define PLEX86_SEG_CODE		0x0008u
#define PLEX86_SEG_S		0x0010u
#define PLEX86_SEG_DPL_SHIFT	5
#define PLEX86_SEG_P		0x0080u
#define PLEX86_SEG_NULL		0x0100u
#define PLEX86_SEG_BASE		0x0200u
#define PLEX86_SEG_AVL		0x1000u
#define PLEX86_SEG_L		0x2000u
#define PLEX86_SEG_DB		0x4000u
#define PLEX86_SEG_G		0x8000u

/* What the code segment makes of an instruction; chosen by CS and EFER.LMA. */
enum plex86_mode {
	PLEX86_MODE_64 = 1,	/* long mode, CS.L = 1 */
	PLEX86_MODE_COMPAT = 2,	/* long mode, CS.L = 0 (16- or 32-bit by CS.D) */
	PLEX86_MODE_32 = 3,	/* protected mode without long mode */
};

struct plex86_cpu {
	uint64_t gpr[PLEX86_NGPR];
	uint64_t rip;
	uint64_t rflags;
	struct plex86_seg seg[PLEX86_NSEG];

	/* Read by an engine, never written by it. */
	uint64_t cr0;
	uint64_t cr4;
	uint64_t efer;
	uint64_t xcr0;
	uint64_t dr[4];
	uint64_t dr6;
	uint64_t dr7;
	uint32_t mode;		/* enum plex86_mode */
	uint32_t reserved;	/* zero */
};

PLEX86_STATIC_ASSERT(sizeof(struct plex86_seg) == 16, "plex86_seg ABI");
PLEX86_STATIC_ASSERT(offsetof(struct plex86_cpu, rip) == 128, "plex86_cpu ABI");
PLEX86_STATIC_ASSERT(offsetof(struct plex86_cpu, seg) == 144, "plex86_cpu ABI");
PLEX86_STATIC_ASSERT(offsetof(struct plex86_cpu, cr0) == 240, "plex86_cpu ABI");
PLEX86_STATIC_ASSERT(offsetof(struct plex86_cpu, dr7) == 312, "plex86_cpu ABI");
PLEX86_STATIC_ASSERT(sizeof(struct plex86_cpu) == 328, "plex86_cpu ABI");

/* XCR0 / XSTATE_BV component bits (SDM vol. 1, 13.1). */
#define PLEX86_X_X87		(1u << 0)
#define PLEX86_X_SSE		(1u << 1)
#define PLEX86_X_AVX		(1u << 2)
#define PLEX86_X_OPMASK		(1u << 5)
#define PLEX86_X_ZMM_HI256	(1u << 6)
#define PLEX86_X_HI16_ZMM	(1u << 7)
#define PLEX86_X_PKRU		(1u << 9)
#define PLEX86_X_AVX512		(PLEX86_X_OPMASK | PLEX86_X_ZMM_HI256 | PLEX86_X_HI16_ZMM)

/*
 * Vector and x87 state, by component and not by XSAVE offset: those offsets
 * differ between vendors (AMD puts the opmasks at 832, Intel at 1088).  A
 * component whose bit in @valid is clear is in its initial configuration, and
 * its bytes here mean nothing.
 *
 * @legacy is the first 512 bytes of FXSAVE64 (SDM vol. 1, 10.5.1): x87 with
 * the abridged tag word and ST in stack order, MXCSR, XMM0-15.
 */
struct plex86_vec {
	uint8_t legacy[512];
	uint8_t ymm_hi[16][16];		/* YMM0-15 bits 255:128 */
	uint64_t opmask[8];		/* k0-k7 */
	uint8_t zmm_hi256[16][32];	/* ZMM0-15 bits 511:256 */
	uint8_t hi16_zmm[16][64];	/* ZMM16-31 */
	uint64_t valid;			/* PLEX86_X_* */
	uint32_t pkru;
	uint32_t reserved;		/* zero */
};

PLEX86_STATIC_ASSERT(offsetof(struct plex86_vec, ymm_hi) == 512, "plex86_vec ABI");
PLEX86_STATIC_ASSERT(offsetof(struct plex86_vec, opmask) == 768, "plex86_vec ABI");
PLEX86_STATIC_ASSERT(offsetof(struct plex86_vec, zmm_hi256) == 832, "plex86_vec ABI");
PLEX86_STATIC_ASSERT(offsetof(struct plex86_vec, hi16_zmm) == 1344, "plex86_vec ABI");
PLEX86_STATIC_ASSERT(sizeof(struct plex86_vec) == 2384, "plex86_vec ABI");

#endif /* PLEX86_CPU_H */
