/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of vector state have in common. */
#ifndef GUEST_XSTATE_H
#define GUEST_XSTATE_H

#include "tk.h"

#define X87		1u
#define SSE		2u
#define AVX		4u
#define AVX512		0xe0u
#define HI16		0x80u		/* only 64-bit code has it */

#define PROGRAM(name) extern const u8 xs_##name[], xs_##name##_end[]
#define LOAD(name) load_blob(xs_##name, xs_##name##_end)

static u8 before[FPU_AREA] __attribute__((aligned(64)));
static u8 after[FPU_AREA] __attribute__((aligned(64)));

static inline u64 usable(void)
{
	return BITS64 ? fpu_xcr0 : fpu_xcr0 & ~(u64)HI16;
}

static inline void expect_same(void)
{
	fpu_save(after);
	for (u32 i = 0; i < FPU_AREA; i += 4)
		if (memcmp(before + i, after + i, 4)) {
			say("  at %x: %x, was %x\n", i, *(u32 *)(after + i), *(u32 *)(before + i));
			break;
		}
	expect(!memcmp(before, after, FPU_AREA));
}

/* The subsets of what there is, each once. */
static inline bool next_subset(u64 *set)
{
	*set = (*set - usable()) & usable();
	return *set != 0;
}

#endif /* GUEST_XSTATE_H */
