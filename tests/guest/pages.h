/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of mappings have in common. */
#ifndef GUEST_PAGES_H
#define GUEST_PAGES_H

#include "tk.h"

#define A	P_A
#define D	P_D
#define VA	((ulong)U_TEST)
#define VB	((ulong)U_TEST + 0x10000)
#define PCI_STDVGA 0x11111234u		/* of Bochs and QEMU */

static inline u64 bits(u64 va)
{
	return entry_get(cur, va, 1) & (A | D);
}

static inline void clear_bits(u64 va, u64 mask)
{
	entry_set(cur, va, 1, entry_get(cur, va, 1) & ~mask);
	invlpg(va);
}

static inline void say_bits(u64 va)
{
	u64 b = bits(va);

	say("  page %X: %s%s\n", va, b & A ? "A" : "-", b & D ? "D" : "-");
}

static inline void set_page(u64 va, u64 pa, u64 flags)
{
	map(cur, va, pa, flags);
	invlpg(va);
}

static inline void fill(u64 pa, u32 v)
{
	u32 *p = phys(pa);

	for (u32 i = 0; i < PAGE / 4; i++)
		p[i] = v + i;
}

static inline u64 new_filled(u32 v)
{
	u64 pa = frame();

	fill(pa, v);
	return pa;
}

/* Has the CPU model pages of 1 GiB?  In long mode, that is. */
static inline bool has_huge_pages(void)
{
	u32 r[4];

	cpuid(0x80000001, 0, r);
	if (!(r[3] & 1u << 26))
		say("  the CPU model has no 1 GiB pages\n");
	return r[3] & 1u << 26;
}

/* A second space with the same program and stack. */
static inline struct space *twin(void)
{
	struct space *s = space_new();

	map(s, U_AGENT, user_pa(U_AGENT), P_URO);
	map(s, U_STACK_TOP - PAGE, user_pa(U_STACK_TOP - PAGE), P_URW);
	return s;
}

#endif /* GUEST_PAGES_H */
