/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User programs of the gate tests: both ends of calls, interrupts and returns between
 * privilege levels.  The inner end writes down what the CPU has put on its stack.
 * load_blob() puts the spinning prologue before the outer ones.
 */
#include "regs.h"

#define PREFIX ring_
#include "program.h"

	.section .user, "a"

/* To di: dx words from the stack (long words of the mode), then cs, ss and sp. */
	.macro	write_down
	mov	_sp, _si
	mov	_dx, _cx
	cld
#ifdef __x86_64__
	rep	movsq
#else
	rep	movsl %ss:(%esi), %es:(%edi)
#endif
	mov	%cs, %ecx
	mov	_cx, (_di)
	mov	%ss, %ecx
	mov	_cx, WORD(_di)
	mov	_sp, 2 * WORD(_di)
	.endm

/* What ring 3 may not keep (ax), and what it may (bx, bp). */
	.macro	load_segments
	mov	%eax, %es
	mov	%ebx, %fs
	mov	%ebp, %gs
	.endm

	PROGRAM	call			/* by the far pointer at U_DATA */
	lcall	*U_DATA
	finish
	PROGRAM_END call

	PROGRAM	call_then_es
	lcall	*U_DATA
	mov	%es:U_DATA, %ecx
	finish
	PROGRAM_END call_then_es

/* The test writes into the last two bytes how many bytes of parameters to release. */
	PROGRAM	inner
	write_down
	load_segments
#ifdef __x86_64__
	lretq	$0
#else
	lret	$0
#endif
	PROGRAM_END inner

#ifndef __x86_64__
	PROGRAM	inner16			/* the frame is one of 16-bit words */
	write_down
	load_segments
	lretw	$0
	PROGRAM_END inner16
#endif

/* An interrupt's other end: bx bytes of error code to drop, ax bytes of code to skip. */
	PROGRAM	inner_int
	write_down
	pushf
	pop	3 * WORD(_di)
	add	_bx, _sp
	add	_ax, (_sp)
#ifdef __x86_64__
	iretq
#else
	iret
#endif
	PROGRAM_END inner_int

#define OUTWARD_BYTES	32

	PROGRAM	outward			/* to dx:si with the stack ax:bx, dropping bytes there */
	push	_ax
	push	_bx
	sub	$OUTWARD_BYTES, _sp
	push	_dx
	push	_si
#ifdef __x86_64__
	lretq	$OUTWARD_BYTES
#else
	lret	$OUTWARD_BYTES
#endif
	PROGRAM_END outward

	PROGRAM	iret_outward		/* the same, with the flags bp */
	push	_ax
	push	_bx
	push	_bp
	push	_dx
	push	_si
#ifdef __x86_64__
	iretq
#else
	iret
#endif
	PROGRAM_END iret_outward

#ifndef __x86_64__
	PROGRAM	iret_outward16
	pushw	%ax
	pushw	%bx
	pushw	%bp
	pushw	%dx
	pushw	%si
	iretw
	PROGRAM_END iret_outward16
#endif

	PROGRAM	int80
	finish
	PROGRAM_END int80

	PROGRAM	int81			/* each of these is two bytes and then the end */
	int	$0x81
	finish
	PROGRAM_END int81

	PROGRAM	ud2			/* finish would be another #UD */
	ud2
	int	$VEC_INT80
	PROGRAM_END ud2

	PROGRAM	divide
	div	%ecx
	finish
	PROGRAM_END divide

	PROGRAM	load
	mov	(_si), %eax
	finish
	PROGRAM_END load

	PROGRAM	closed_int		/* the kernel lets nobody in by this gate */
	int	$0x82
	finish
	PROGRAM_END closed_int

/* What a ring may: the flags at the end are in bx.  In ring 1 and 2 pages are the supervisor's. */
	PROGRAM	cli
	cli
	pushf
	pop	_bx
	finish
	PROGRAM_END cli

	PROGRAM	out
	out	%al, %dx
	finish
	PROGRAM_END out

	PROGRAM	popf			/* ax */
	push	_ax
	popf
	pushf
	pop	_bx
	finish
	PROGRAM_END popf

	PROGRAM	hlt
	hlt
	PROGRAM_END hlt

	PROGRAM	read_cr0
	mov	%cr0, _ax
	PROGRAM_END read_cr0

	PROGRAM	store
	mov	%eax, (_si)
	finish
	PROGRAM_END store
