/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * x87, SSE, AVX and AVX-512 registers.  The kernel never uses them, so the
 * user's stay in the CPU from one run to the next; a test loads a pattern and
 * looks at what is there afterwards.
 */
#include "tk.h"

#define CPUID_1_XSAVE	(1u << 26)
#define XCR0_WANTED	0xe7ull		/* x87, SSE, AVX, AVX-512 */
#define XCR0_AVX512	0xe0ull

/* FXSAVE image */
#define FX_FCW		0
#define FX_FSW		2
#define FX_FTW		4
#define FX_LAST_OP	6		/* fop, fip, fdp: not compared */
#define FX_LAST_OP_LEN	18
#define FX_MXCSR	24
#define FX_MXCSR_MASK	28
#define FX_ST		32
#define FX_XMM		160
#define FX_XMM_END	(FX_XMM + 16 * (BITS64 ? 16 : 8))
#define FX_SIZE		512
#define XS_HEADER_LEN	64
#define XS_YMM		576		/* upper halves, 16 bytes each */
#define XS_YMM_END	(XS_YMM + 16 * (BITS64 ? 16 : 8))
#define XS_AVX512	1088		/* opmasks, then the rest of ZMM */

u64 fpu_xcr0;			/* 0: no XSAVE */

static u8 area[FPU_AREA] __attribute__((aligned(64)));

void fpu_init(void)
{
	u32 r[4], lo, hi;

	cpuid(1, 0, r);
	if (!(r[2] & CPUID_1_XSAVE))
		return;
	set_cr4(get_cr4() | CR4_OSXSAVE);
	cpuid(0xd, 0, r);
	fpu_xcr0 = ((u64)r[3] << 32 | r[0]) & XCR0_WANTED;
	if ((fpu_xcr0 & XCR0_AVX512) != XCR0_AVX512)
		fpu_xcr0 &= ~XCR0_AVX512;
	lo = fpu_xcr0;
	hi = fpu_xcr0 >> 32;
	__asm__ volatile("xsetbv" : : "a"(lo), "d"(hi), "c"(0));
}

void fpu_load(const void *p)
{
	ulong cr0 = get_cr0();

	__asm__ volatile("clts");
	if (fpu_xcr0)
		__asm__ volatile("xrstor (%0)" : : "r"(p), "a"(-1), "d"(-1) : "memory");
	else
		__asm__ volatile("fxrstor (%0)" : : "r"(p) : "memory");
	set_cr0(cr0);
}

/* Unused components are left as zeros, which is what their reset state is. */
void fpu_save(void *p)
{
	ulong cr0 = get_cr0();

	memset(p, 0, FPU_AREA);
	__asm__ volatile("clts");
	if (fpu_xcr0) {
		/*
		 * XSAVE leaves out what is in its reset state, but the XMM
		 * part and MXCSR have their say in FXSAVE, whole.
		 */
		__asm__ volatile("xsave (%0)" : : "r"(p), "a"(-1), "d"(-1) : "memory");
		memset((u8 *)p + FX_SIZE, 0, XS_HEADER_LEN);
	}
	__asm__ volatile("fxsave (%0)" : : "r"(p) : "memory");
	memset((u8 *)p + FX_LAST_OP, 0, FX_LAST_OP_LEN);
	memset((u8 *)p + FX_MXCSR_MASK, 0, 4);
	/* The rest of the legacy area belongs to nobody. */
	memset((u8 *)p + FX_XMM_END, 0, FX_SIZE - FX_XMM_END);
	for (int i = 0; i < 8; i++)
		memset((u8 *)p + FX_ST + 16 * i + 10, 0, 6);
	set_cr0(cr0);
}

/* Components as XSAVE numbers them; those that are left out get their initial state. */
void fpu_pattern_of(u32 seed, u64 components)
{
	u32 x = seed * 2654435761u | 1;

	components &= fpu_xcr0 ? fpu_xcr0 : 3;
	memset(area, 0, sizeof(area));
	for (u32 i = 0; i < sizeof(area); i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		if (i < FX_XMM_END || (i >= XS_YMM && i < XS_YMM_END) || i >= XS_AVX512)
			area[i] = x >> 8;
	}
	memset(area, 0, FX_ST);
	area[FX_FCW] = 0x7f;
	area[FX_FCW + 1] = 0x03 | (seed & 0x0c);	/* all masked, 64-bit precision */
	area[FX_FSW + 1] = seed << 3 & 0x38;		/* top of stack */
	area[FX_FTW] = seed ? ~(seed >> 1) : 0;
	area[FX_MXCSR] = 0x80;
	area[FX_MXCSR + 1] = 0x1f | (components & 2 ? seed & 0x60 : 0);
	for (int i = 0; i < 8; i++) {			/* normal numbers near 1 */
		area[FX_ST + 16 * i + 7] |= 0x80;
		area[FX_ST + 16 * i + 8] = 0xff;
		area[FX_ST + 16 * i + 9] = 0x3f;
		memset(area + FX_ST + 16 * i + 10, 0, 6);
	}
	if (fpu_xcr0)
		area[FX_SIZE] = components;
	fpu_load(area);
}

void fpu_pattern(u32 seed)
{
	fpu_pattern_of(seed, 7);
}

u32 fpu_hash(void)
{
	static u8 seen[FPU_AREA] __attribute__((aligned(64)));

	fpu_save(seen);
	return fnv(FNV_START, seen, sizeof(seen));
}
