/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User programs for ports and for the flags that need IOPL.  load_blob() puts the spinning
 * prologue before them; it leaves cx = 0, so the counts of REP are in bp.
 */
#include "regs.h"

#define PREFIX io_
#include "program.h"

	.macro	ONE name, insn:vararg	/* the instruction that may fault comes first */
	PROGRAM	\name
	\insn
	finish
	PROGRAM_END \name
	.endm

	.macro	REPEAT name, insn:vararg
	PROGRAM	\name
	mov	_bp, _cx
	rep	\insn
	finish
	PROGRAM_END \name
	.endm

	.macro	FLAGS name, insn:vararg	/* the flags afterwards: bx */
	PROGRAM	\name
	\insn
	pushf
	pop	_bx
	finish
	PROGRAM_END \name
	.endm

	.section .user, "a"
	ONE	in1, in %dx, %al
	ONE	in2, in %dx, %ax
	ONE	in4, in %dx, %eax
	ONE	out1, out %al, %dx
	ONE	out2, out %ax, %dx
	ONE	out4, out %eax, %dx
	ONE	ins1, insb
	ONE	ins2, insw
	ONE	ins4, insl
	ONE	outs1, outsb
	ONE	outs2, outsw
	ONE	outs4, outsl
	REPEAT	rep_ins1, insb
	REPEAT	rep_ins2, insw
	REPEAT	rep_ins4, insl
	REPEAT	rep_outs1, outsb
	REPEAT	rep_outs2, outsw
	REPEAT	rep_outs4, outsl
	ONE	in_imm, in $0xe9, %al
	ONE	out_imm, out %al, $0x80

	FLAGS	cli, cli
	FLAGS	sti, sti
	FLAGS	nothing, nop

	PROGRAM	popf			/* ax */
	push	_ax
	popf
	pushf
	pop	_bx
	finish
	PROGRAM_END popf

	PROGRAM	popf16			/* 16 bits of it */
	pushw	%ax
	popfw
	pushf
	pop	_bx
	finish
	PROGRAM_END popf16

	PROGRAM	iret			/* to si, with the flags ax */
#ifdef __x86_64__
	mov	%rsp, %rcx
	mov	%ss, %edx
	push	%rdx
	push	%rcx
#endif
	push	_ax
	mov	%cs, %edx
	push	_dx
	push	_si
#ifdef __x86_64__
	iretq
#else
	iret
#endif
	PROGRAM_END iret
