/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the trap table: each case must end in its trap, with everything exact. */
#include "tk.h"
#include "trapcase.h"

#define XCR0_AVX	4u
#define CPUID_7_AVX2	(1u << 5)	/* EBX */
#define PORT_LOG	0xe9

static const struct trap_case *tc;
static bool compat;		/* 32-bit code of the 64-bit image */

static u32 memory_hash(void)
{
	static const u32 pages[] = { U_DATA, U_EDGE, U_RW_RO, U_RW_RO + PAGE,
				     U_STACK + (U_STACK_PAGES - 1) * PAGE };
	u32 h = FNV_START;

	for (u32 i = 0; i < ARRAY_SIZE(pages); i++)
		h = fnv(h, phys(user_pa(pages[i])), PAGE);
	return h;
}

static void set_up(void)
{
	u32 i;

	load_blob(tc->start, tc->end);
	if (compat) {
		u.cs = SEL_UCODE32;
		u.ds = u.es = SEL_UDATA;
	}
	for (i = 0; i < 64; i++)
		user_put32(U_DATA + 4 * i, 0x01020304 * i);
	if (tc->flags & F_AM)
		set_cr0(get_cr0() | CR0_AM);
	if (tc->flags & F_TS)
		set_cr0(get_cr0() | CR0_TS);
	if (tc->flags & F_IOPL3)
		u.flags |= FL_IOPL3;
	if (tc->flags & F_TSD)
		set_cr4(get_cr4() | CR4_TSD);
	if (tc->flags & F_PCE)
		set_cr4(get_cr4() | CR4_PCE);
	iopb_allow(PORT_LOG, tc->flags & F_IOPB);
}

static void gates(bool closed)
{
	idt_dpl(3, closed ? 0 : 3);
	idt_dpl(4, closed ? 0 : 3);
	idt_dpl(VEC_INT80, closed ? 0 : 3);
}

/*
 * All that a case may touch, special pages too: then nothing is left that Bochs must do
 * before the instruction under test can run natively.
 */
static void touch_all(void)
{
	touch_pages(U_CODE, U_CODE_PAGES);
	touch_pages(U_DATA, U_DATA_PAGES);
	touch_pages(U_STACK, U_STACK_PAGES);
	touch_pages(U_RO, 1);
	touch_pages(U_EDGE, 1);
	touch_pages(U_RW_RO, 2);
	touch_pages(U_NX, 1);
	touch_pages(U_KERN, 1);
	touch_pages(U_RSVD, 1);
}

static void run_variant(bool touched)
{
	ulong at = tc->flags & F_ABS ? tc->at : U_BLOB + tc->at;
	ulong err = tc->err | (tc->flags & F_FETCH && mode->nx ? 0x10 : 0);

	set_up();
	if (touched)
		touch_all();
	gates(tc->flags & F_CLOSED);
	run();
	gates(false);
	say("  %s vec=%x err=%x ip=%X", touched ? "touched:" : "untouched:", (u32)u.vec, (u32)u.err,
	    (u64)u.ip);
	if (u.vec == 14)
		say(" cr2=%X", (u64)trap_cr2);
	if (u.vec == 1)
		say(" dr6=%x", (u32)trap_dr6);
	say(" flags=%x%s regs=%h fpu=%h mem=%h\n", (u32)u.flags & FL_SHOWN & ~FL_RF,
	    u.flags & FL_RF && !(tc->flags & F_ANY_RF) ? " rf" : "", ctx_hash(), fpu_hash(), memory_hash());
	expect(u.vec == tc->vec);
	expect(u.err == err);
	expect(u.ip == at);
	if (u.vec == 14)
		expect(trap_cr2 == tc->cr2);
	iopb_allow(PORT_LOG, false);
}

static void run_case(void)
{
	run_variant(true);
	test_begin();
	run_variant(false);
}

static bool has_avx2(void)
{
	u32 r[4];

	cpuid(0, 0, r);
	if (r[0] < 7)
		return false;
	cpuid(7, 0, r);
	return r[1] & CPUID_7_AVX2;
}

static void run_table(const char *group, const struct trap_case *end)
{
	for (; tc < end; tc++) {
		struct test t = { tc->name, ENV_ALL, run_case };

		if ((tc->flags & F_NX && !mode->nx) || (tc->flags & F_NO_NX && mode->nx) ||
		    (tc->flags & F_L4 && mode->levels != 4) ||
		    (tc->flags & (F_AVX | F_AVX2) && !(fpu_xcr0 & XCR0_AVX)) ||
		    (tc->flags & F_AVX2 && !has_avx2()))
			continue;
		run_tests(group, &t, 1);
	}
}

void tests_traps(void)
{
	tc = traptab_start;
	run_table("trap", traptab_end);
	tc = traptab_compat_start;
	compat = true;
	run_table("compat-trap", traptab_compat_end);
	compat = false;
}
