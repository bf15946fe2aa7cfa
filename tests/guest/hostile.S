/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* User programs that try what they have no business with. */
#include "regs.h"

#define PREFIX hostile_
#include "program.h"

	.section .user, "a"

	PROGRAM	far_jump		/* by the pointer at U_DATA */
	ljmp	*U_DATA
	PROGRAM_END far_jump

	PROGRAM	far_call
	lcall	*U_DATA
	PROGRAM_END far_call

	PROGRAM	landing			/* the same in 64-, 32- and 16-bit code */
	int	$VEC_INT80
	PROGRAM_END landing

	PROGRAM	read
	mov	(_bx), %eax
	finish
	PROGRAM_END read

	PROGRAM	write
	mov	%eax, (_bx)
	finish
	PROGRAM_END write

	PROGRAM	jump
	jmp	*_bx
	PROGRAM_END jump

	PROGRAM	int80
	int	$VEC_INT80
	PROGRAM_END int80

	PROGRAM	syscall
	syscall
	int	$VEC_INT80
	PROGRAM_END syscall

	PROGRAM	sysenter
	sysenter
	int	$VEC_INT80
	PROGRAM_END sysenter

	/* One instruction each, for a table: name, bytes. */
	.macro	ONE name, bytes:vararg
	.section .rodata.names, "a"
90:	.asciz	"\name"
	.section .rodata.ones, "a"
	.balign	WORD
	PTR	90b, 91f, 92f
	.section .user, "a"
91:	.byte	\bytes
	finish
92:
	.endm

	.section .rodata.ones, "a"
	.balign	WORD
	.globl	hostile_ones
hostile_ones:
	ONE	vmcall, 0x0f, 0x01, 0xc1
	ONE	vmlaunch, 0x0f, 0x01, 0xc2
	ONE	vmresume, 0x0f, 0x01, 0xc3
	ONE	vmxoff, 0x0f, 0x01, 0xc4
	ONE	vmread, 0x0f, 0x78, 0xc8
	ONE	vmptrld, 0x0f, 0xc7, 0x33
	ONE	vmxon, 0xf3, 0x0f, 0xc7, 0x33
	ONE	vmfunc, 0x0f, 0x01, 0xd4
	ONE	vmrun, 0x0f, 0x01, 0xd8
	ONE	vmmcall, 0x0f, 0x01, 0xd9
	ONE	vmload, 0x0f, 0x01, 0xda
	ONE	vmsave, 0x0f, 0x01, 0xdb
	ONE	stgi, 0x0f, 0x01, 0xdc
	ONE	clgi, 0x0f, 0x01, 0xdd
	ONE	skinit, 0x0f, 0x01, 0xde
	ONE	invlpga, 0x0f, 0x01, 0xdf
	ONE	monitor, 0x0f, 0x01, 0xc8
	ONE	mwait, 0x0f, 0x01, 0xc9
	ONE	clac, 0x0f, 0x01, 0xca
	ONE	stac, 0x0f, 0x01, 0xcb
	ONE	getsec, 0x0f, 0x37
	ONE	invept, 0x66, 0x0f, 0x38, 0x80, 0x03
	ONE	invpcid, 0x66, 0x0f, 0x38, 0x82, 0x03
	ONE	xsaves, 0x0f, 0xc7, 0x2b
	ONE	xrstors, 0x0f, 0xc7, 0x1b
	ONE	rdpkru, 0x0f, 0x01, 0xee
	ONE	wrpkru, 0x0f, 0x01, 0xef
	ONE	mov_cr8, 0x44, 0x0f, 0x20, 0xc0
	ONE	loadall286, 0x0f, 0x05
	ONE	sysret, 0x0f, 0x07
	ONE	int_0, 0xcd, 0x00
	ONE	int_2, 0xcd, 0x02
	ONE	int_8, 0xcd, 0x08
	ONE	int_12, 0xcd, 0x12
	ONE	lmsw, 0x0f, 0x01, 0xf0
	ONE	mov_tr, 0x0f, 0x24, 0xf0
	ONE	ud2b, 0x0f, 0xb9, 0x00
	ONE	jmpe, 0x0f, 0xb8, 0x00
	.section .rodata.ones, "a"
	PTR	0, 0, 0
