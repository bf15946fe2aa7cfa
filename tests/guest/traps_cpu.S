/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trap cases: exceptions of instructions, TF, software interrupts, #NM. */
#include "trapcase.h"

/* ---- #DE ---- */
	TRAP	de_zero, 0
	mov	$1, %eax
1:	div	%ecx			/* the prologue left cx = 0 */
	END

	TRAP	de_too_big, 0
	mov	$1, %ebx
	mov	$1, %edx
1:	div	%ebx
	END

	TRAP	de_idiv_min, 0
	mov	$0x80000000, %eax
	cltd
	mov	$-1, %ebx
1:	idiv	%ebx
	END

	TRAP	de_byte, 0
	mov	$0x1000, %eax
	mov	$1, %bl
1:	div	%bl
	END

/* ---- #DB by TF, and what is near it ---- */
	TRAP	tf_one_step, 1
	set_tf
	nop
1:	nop
	END

	TRAP	tf_rep, 1, 0, F_ANY_RF
	cld
	mov	$U_DATA, %esi
	mov	$U_DATA + 64, %edi
	mov	$4, %ecx
	set_tf
1:	rep movsb
	END

	TRAP	tf_mov_ss, 1
	mov	%ss, %eax
	set_tf
	mov	%eax, %ss		/* holds the trap back by one instruction */
	nop
1:	nop
	nop
	END

	TRAP	tf_int80, VEC_INT80
	set_tf
	int	$VEC_INT80
1:
	END

	TRAP	tf_popf_clears, 1
	pushf
	set_tf
	popf
1:	nop
	END

	TRAP	tf_branch, 1
	set_tf
	jmp	1f
	nop
1:	nop
	END

	TRAP	tf_fault_first, 14, 4, 0, U_NP
	set_tf
1:	mov	U_NP, %eax
	END

	TRAP	icebp, 1
	.byte	0xf1
1:
	END

/* ---- software interrupts ---- */
	TRAP	int3, 3
	int3
1:
	END

	TRAP	int_3_long, 3
	.byte	0xcd, 3
1:
	END

	TRAP	int_4, 4
	.byte	0xcd, 4
1:
	END

	TRAP	int_0_denied, 13, 0x02
1:	int	$0
	END

	TRAP	int_1_denied, 13, 0x0a
1:	int	$1
	END

	TRAP	int_14_denied, 13, 0x72
1:	int	$14
	END

	TRAP	int_20_denied, 13, 0x102	/* the timer's vector */
1:	int	$0x20
	END

	TRAP	int_ff_denied, 13, 0x7fa
1:	int	$0xff
	END

	TRAP	int_80, VEC_INT80
	int	$VEC_INT80
1:
	END

/* Refused by the gate they are faults, of the instruction with its prefixes. */
	TRAP	int3_closed, 13, 0x1a, F_CLOSED
1:	int3
	END

	TRAP	int3_closed_prefix, 13, 0x1a, F_CLOSED
	nop
1:	.byte	0x66, 0xcc
	END

	TRAP	int_3_closed_prefixes, 13, 0x1a, F_CLOSED
1:	.byte	0x3e, 0x65, 0xcd, 3
	END

	TRAP	int_4_closed_prefix, 13, 0x22, F_CLOSED
	xor	%ebx, %ebx
1:	.byte	0xf3, 0xcd, 4
	END

	TRAP	int_80_closed, 13, 0x402, F_CLOSED
	mov	$0x66662e2e, %eax		/* its last byte looks like a prefix */
1:	int	$0x80
	END

	TRAP	int_80_closed_prefix, 13, 0x402, F_CLOSED
	mov	$0x2e2e, %ax
1:	.byte	0x3e, 0x66, 0xcd, 0x80
	END

#ifndef USER64
	TRAP	into, 4
	mov	$0x7f, %al
	inc	%al
	into
1:
	END

	DONE	into_not
	into
	ENDDONE

	TRAP	into_closed_prefix, 13, 0x22, F_CLOSED
	mov	$0x7f, %al
	inc	%al
1:	.byte	0x3e
	into
	END

	TRAP	bound, 5
	push	$10
	push	$5
	mov	$20, %eax
1:	bound	%eax, (%esp)
	END

	DONE	bound_not
	push	$10
	push	$5
	mov	$7, %eax
	bound	%eax, (%esp)
	ENDDONE

	TRAP	aam_zero, 0
1:	.byte	0xd4, 0
	END
#endif

/* ---- #UD ---- */
	TRAP	ud2, 6
1:	ud2
	END

	TRAP	ud1, 6
1:	.byte	0x0f, 0xb9, 0xc0
	END

	TRAP	ud0, 6
1:	.byte	0x0f, 0xff, 0xc0
	END

	TRAP	ud_lock_nop, 6
1:	.byte	0xf0, 0x90
	END

	TRAP	ud_lock_load, 6
1:	.byte	0xf0, 0x8b, 0x03
	END

	TRAP	ud_lock_reg, 6
1:	.byte	0xf0, 0x01, 0xc0
	END

	TRAP	ud_mov_cs, 6
1:	.byte	0x8e, 0xc8
	END

	TRAP	ud_rsm, 6
1:	.byte	0x0f, 0xaa
	END

	TRAP	ud_grp8, 6
1:	.byte	0x0f, 0xba, 0xc0, 1
	END

	TRAP	ud_lea_reg, 6
1:	.byte	0x8d, 0xc0
	END

#ifdef USER64
	.macro	GONE64 name, bytes:vararg	/* opcodes that 64-bit mode took away */
	TRAP	ud64_\name, 6
1:	.byte	\bytes
	END
	.endm
	GONE64	push_es, 0x06
	GONE64	pop_ds, 0x1f
	GONE64	daa, 0x27
	GONE64	aaa, 0x37
	GONE64	pusha, 0x60
	GONE64	popa, 0x61
	GONE64	grp1_82, 0x82, 0xc0, 0
	GONE64	call_far, 0x9a, 0, 0, 0, 0, 0x1b, 0
	GONE64	les, 0xc4, 0x00, 0, 0, 0
	GONE64	into, 0xce
	GONE64	aam, 0xd4, 10
	GONE64	salc, 0xd6
	GONE64	jmp_far, 0xea, 0, 0, 0, 0, 0x1b, 0
#endif

/* ---- #NM ---- */
	TRAP	nm_x87, 7, 0, F_TS
1:	fld1
	END

	TRAP	nm_fwait, 7, 0, F_TS
1:	fwait
	END

	TRAP	nm_mmx, 7, 0, F_TS
1:	paddb	%mm0, %mm1
	END

	TRAP	nm_sse, 7, 0, F_TS
1:	movaps	%xmm0, %xmm1
	END

	TRAP	nm_avx, 7, 0, F_TS | F_AVX
1:	vaddps	%ymm0, %ymm1, %ymm2
	END

	TRAP	nm_not_prefetch, VEC_INT80, 0, F_TS	/* these do not touch the FPU */
	sfence
	prefetcht0 U_DATA
	movnti	%eax, U_DATA
	finish
1:
	END
