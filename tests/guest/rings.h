/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Segments, stacks and gates of the rings that no other test uses.  They must be gone
 * when a test ends: those of group 32 go through all selectors.
 */
#ifndef GUEST_RINGS_H
#define GUEST_RINGS_H

#include "tk.h"

/* Slots, with the ring as RPL. */
#define SEL_CODE(r)	(SEL_FREE + 0x20 + 0x10 * (r) + (r))
#define SEL_DATA(r)	(SEL_FREE + 0x28 + 0x10 * (r) + (r))
#define SEL_CALL	((SEL_FREE + 0x60) | 3)	/* call gate; 16 bytes in long mode */
#define SEL_ODD		(SEL_FREE + 0x70)	/* what the case at hand wants, for any ring */
#define SEL_LAST	(SEL_FREE + 0x78)

#define INNER		((ulong)U_TEST)		/* code of the inner end */
#define INNER_STACK	((ulong)U_TEST + 0x4000)	/* a page for each ring */
#define INNER_TOP(r)	(INNER_STACK + ((r) + 1) * PAGE)
#define RECORD		((ulong)U_DATA + 0x100)		/* what the inner end writes down */

#define SP		((ulong)U_STACK_TOP - 256)	/* of whoever is outside */
#define SP16		0x2000			/* the same in a segment that begins at U_STACK */

#define GATE_32		12
#define GATE_16		4
#define GATE_INT	14
#define GATE_TRAP	15
#define GATE_DPL(d)	(0x80 | (d) << 5)

#define CODE_TYPE(r)	((BITS64 ? 0xa09b : 0xc09b) | (r) << 5)
#define DATA_TYPE(r)	(0xc093 | (r) << 5)

static inline void rings_begin(void)
{
	for (u32 r = 0; r < 4; r++) {
		gdt_set(SEL_CODE(r), seg_desc(0, 0xfffff, CODE_TYPE(r)));
		gdt_set(SEL_DATA(r), seg_desc(0, 0xfffff, DATA_TYPE(r)));
	}
	if (!user_pa(INNER)) {
		map_new(cur, INNER, 1, P_URO);
		map_new(cur, INNER_STACK, 4, P_URW | P_NX);
	}
	set_ring_stack(1, SEL_DATA(1), INNER_TOP(1));
	set_ring_stack(2, SEL_DATA(2), INNER_TOP(2));
}

static inline void rings_end(void)
{
	for (u16 sel = SEL_CODE(0); sel <= SEL_LAST; sel += 8)
		gdt_set(sel, 0);
	set_ring_stack(1, 0, 0);
	set_ring_stack(2, 0, 0);
}

/* Who calls, with registers that the inner end wants: see rings.S. */
static inline void caller(u32 ring, u32 words)
{
	u.cs = ring == 3 ? SEL_UCODE : SEL_CODE(ring);
	u.ss = ring == 3 ? SEL_UDATA : SEL_DATA(ring);
	u.sp = SP;
	u.ds = u.es = SEL_UDATA;
	u.fs = u.gs = 0;
	u.dx = words;
	u.di = RECORD;
	u.flags = FL_IF | 2;
}

static inline ulong rec(u32 i)
{
	ulong v;

	user_read(RECORD + i * sizeof(v), &v, sizeof(v));
	return v;
}

static inline void say_end(void)
{
	say(" vec=%x err=%x ip=%X cs=%x ss=%x es=%x fs=%x gs=%x flags=%x%s \n", (u32)u.vec,
	    (u32)u.err, (u64)u.ip, (u32)u.cs, (u32)u.ss, (u32)(u16)u.es, (u32)(u16)u.fs,
	    (u32)(u16)u.gs, (u32)u.flags & FL_SHOWN & ~FL_RF, u.flags & FL_RF ? " rf" : "");
}

#endif /* GUEST_RINGS_H */
