/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User programs of tests_ferr.c: one instruction each, at "mark", of those that control bits
 * switch off, or behind a division by zero that x87 or SSE does not mask.  bx: a buffer.
 */
#include "regs.h"

#define PREFIX ferr_
#include "program.h"

	.macro	ONE name, insn:vararg
	PROGRAM	\name
	MARK	\name
	\insn
	finish
	PROGRAM_END \name
	.endm

/* x87 with an unmasked #Z pending, or (with the last word 0) not. */
	.macro	PENDING name, insn:vararg
	PROGRAM	\name
	fninit
	push	$0x37b
	fldcw	(_sp)
	pop	_ax
	fldz
	fld1
	fdiv	%st(1), %st
	mov	$1, %esi
	MARK	\name
	\insn
	mov	$2, %esi
	nop
	nop
	finish
	PROGRAM_END \name
	.endm

/* An SSE exception: MXCSR from dx, operands from the buffer. */
	.macro	RAISE name, insn:vararg
	PROGRAM	\name
	push	_dx
	ldmxcsr	(_sp)
	pop	_ax
	movups	(_bx), %xmm0
	movups	16(_bx), %xmm1
	MARK	\name
	\insn
	finish
	PROGRAM_END \name
	.endm

	.section .user, "a"

	ONE	wait, fwait
	ONE	fld1, fld1
	ONE	fnstsw, fnstsw %ax
	ONE	fninit, fninit
	ONE	paddb, paddb %mm0, %mm1
	ONE	emms, emms
	ONE	addps, addps %xmm0, %xmm1
	ONE	movdqa, movdqa %xmm0, %xmm1
	ONE	pshufb, pshufb %xmm0, %xmm1
	ONE	stmxcsr, stmxcsr (_bx)
	ONE	fxsave, fxsave (_bx)
	ONE	movnti, movnti %eax, (_bx)
	ONE	sfence, sfence
	ONE	prefetch, prefetcht0 (_bx)
	ONE	popcnt, popcnt %eax, %eax
	ONE	xsave, xsave (_bx)
	ONE	vaddps, vaddps %xmm0, %xmm1, %xmm2
	ONE	vzeroupper, vzeroupper
	ONE	vaddps512, vaddps %zmm0, %zmm1, %zmm2
	ONE	kmovw, kmovw %k1, %k2

	PENDING	p_wait, fwait
	PENDING	p_fld1, fld1
	PENDING	p_fldcw, fldcw -WORD(_sp)
	PENDING	p_ffree, ffree %st(5)
	PENDING	p_paddb, paddb %mm0, %mm1
	PENDING	p_emms, emms
	PENDING	p_fnclex, fnclex
	PENDING	p_fninit, fninit
	PENDING	p_fnstsw, fnstsw %ax
	PENDING	p_fnstcw, fnstcw (_bx)
	PENDING	p_fnstenv, fnstenv (_bx)
	PENDING	p_fnsave, fnsave (_bx)
	PENDING	p_fxsave, fxsave (_bx)
	PENDING	p_addps, addps %xmm0, %xmm1

	RAISE	divss, divss %xmm0, %xmm1
	RAISE	divps, divps %xmm0, %xmm1
	RAISE	sqrtsd, sqrtsd %xmm1, %xmm2
	RAISE	cvttss2si, cvttss2si 16(_bx), %ecx
	RAISE	comiss, comiss %xmm0, %xmm1
	RAISE	vdivps, vdivps %xmm0, %xmm1, %xmm2
