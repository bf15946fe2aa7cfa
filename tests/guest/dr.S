/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User programs that run into debug registers.  "mark" is where the trap behind the
 * access leaves the instruction pointer; bx has the address.
 */
#include "regs.h"

#define PREFIX dr_
#include "program.h"

	.macro	ACCESS name, insn:vararg
	PROGRAM	\name
	\insn
	MARK	\name
	nop
	finish
	PROGRAM_END \name
	.endm

	.section .user, "a"

	ACCESS	store1, mov %al, (_bx)
	ACCESS	store2, mov %ax, (_bx)
	ACCESS	store4, mov %eax, (_bx)
	ACCESS	store8, movq %xmm0, (_bx)
	ACCESS	store16, movdqu %xmm0, (_bx)
	ACCESS	load1, mov (_bx), %al
	ACCESS	load2, mov (_bx), %ax
	ACCESS	load4, mov (_bx), %eax
	ACCESS	load8, movq (_bx), %xmm0
	ACCESS	load16, movdqu (_bx), %xmm0
	ACCESS	add4, lock addl %edx, (_bx)

	ACCESS	in1, in %dx, %al
	ACCESS	in2, in %dx, %ax
	ACCESS	in4, in %dx, %eax
	ACCESS	out1, out %al, %dx

	PROGRAM	prefixed		/* the mark is on the opcode, behind its prefix */
	.byte	0x3e
	MARK	prefixed
	.byte	0x8b, 0x03		/* mov (_bx), %eax */
	nop
	finish
	PROGRAM_END prefixed

	PROGRAM	rep_stos		/* to di, dx bytes */
	mov	_dx, _cx
	MARK	rep_stos
	rep	stosb
	nop
	finish
	PROGRAM_END rep_stos

	PROGRAM	mov_ss			/* from memory, then one instruction in its shadow */
	mov	(_bx), %ss
	inc	%esi
	MARK	mov_ss
	nop
	finish
	PROGRAM_END mov_ss

	PROGRAM	mov_ss_int		/* the shadow reaches into the kernel */
	mov	(_bx), %ss
	MARK	mov_ss_int
	int	$VEC_INT80
	PROGRAM_END mov_ss_int

	PROGRAM	mov_ss_exec
	mov	%edx, %ss
	MARK	mov_ss_exec
	inc	%esi
	nop
	finish
	PROGRAM_END mov_ss_exec

	PROGRAM	store_tf		/* with TF the kernel's */
	mov	%eax, (_bx)
	MARK	store_tf
	nop
	nop
	finish
	PROGRAM_END store_tf

	PROGRAM	count			/* counts at bx until there is nothing at si */
1:	incl	(_bx)
	MARK	count
	add	$1, %edx
	cmpl	$0, (_si)
	jne	1b
	finish
	PROGRAM_END count

	PROGRAM	read_dr7
	MARK	read_dr7
	mov	%dr7, _ax
	finish
	PROGRAM_END read_dr7
