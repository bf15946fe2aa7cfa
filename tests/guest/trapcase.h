/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A case of the trap table: user code and the trap that must end it, side by
 * side in the assembler source.  TRAP opens a case, END closes it; label 1 is
 * where the trap must leave the instruction pointer.  The 64-bit image has the
 * 32-bit cases too, for compatibility mode (-DCOMPAT).
 */
#ifndef GUEST_TRAPCASE_H
#define GUEST_TRAPCASE_H

#define F_AM		0x001	/* CR0.AM on */
#define F_TS		0x002	/* CR0.TS on */
#define F_IOPL3		0x004
#define F_IOPB		0x008	/* port 0xE9 is allowed by the I/O bitmap */
#define F_TSD		0x010	/* CR4.TSD on */
#define F_FETCH		0x020	/* error code bit 4, where the paging mode has NX */
#define F_ABS		0x040	/* the instruction pointer to expect is an address */
#define F_NX		0x080	/* only in modes with NX and reserved bits */
#define F_NO_NX		0x100	/* only in the others */
#define F_AVX		0x200	/* only with AVX */
#define F_PCE		0x400	/* CR4.PCE on */
#define F_CLOSED	0x800	/* the gates 3, 4 and 0x80 are not for user code */
#define F_ANY_RF	0x1000	/* CPUs differ in whether the trap pushes RF */
#define F_L4		0x2000	/* only with page tables of four levels */
#define F_AVX2		0x4000	/* only with AVX2 */

#ifdef __ASSEMBLER__
#include "regs.h"

#ifdef COMPAT
#define TRAPTAB .traptab_compat
	.code32
#else
#define TRAPTAB .traptab
#endif

	.macro	TRAPAT name, vec, at, err=0, flags=0, cr2=0
	.section .rodata.names, "a"
90:	.asciz	"\name"
	.section TRAPTAB, "a"
	.balign	8
	PTR	90b, u_\name, 99f, \vec, \err, \at, \flags, \cr2
	.section .user, "a"
u_\name:
	.endm

	.macro	TRAP name, vec, err=0, flags=0, cr2=0
	TRAPAT	"\name", "\vec", "1f-u_\name", "\err", "\flags", "\cr2"
	.endm

	.macro	END
99:
	.endm

	.macro	set_tf
	pushf
	orl	$0x100, (_sp)
	popf
	.endm

/* A program that comes to its end: what it has in its registers is the result. */
	.macro	DONE name, flags=0
	TRAP	"\name", VEC_INT80, 0, "\flags"
	.endm

	.macro	ENDDONE
	finish
1:
	END
	.endm

#else
struct trap_case {
	const char *name;
	const u8 *start, *end;
	ulong vec, err, at, flags, cr2;
};
extern const struct trap_case traptab_start[], traptab_end[];
extern const struct trap_case traptab_compat_start[], traptab_compat_end[];
#endif
#endif /* GUEST_TRAPCASE_H */
