/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* User programs of the time tests: loops that only a timer ends, and clocks. */
#include "regs.h"

#define PREFIX time_
#include "program.h"

	.section .user, "a"

	PROGRAM	jump
1:	jmp	1b
	PROGRAM_END jump

	PROGRAM	memory
1:	incl	U_DATA
	mov	U_DATA, %eax
	jmp	1b
	PROGRAM_END memory

	PROGRAM	string			/* over and over the same 4 KiB */
1:	mov	$U_DATA, %edi
	mov	$1024, %ecx
	rep	stosl
	jmp	1b
	PROGRAM_END string

	PROGRAM	calls
1:	call	2f
	jmp	1b
2:	push	_ax
	pop	_ax
	ret
	PROGRAM_END calls

	PROGRAM	cpuid
1:	xor	%eax, %eax
	cpuid
	jmp	1b
	PROGRAM_END cpuid

	PROGRAM	x87
	fninit
	fldpi
1:	fsqrt
	jmp	1b
	PROGRAM_END x87

	PROGRAM	lock
1:	lock incl U_DATA
	jmp	1b
	PROGRAM_END lock

	PROGRAM	io			/* a port that the bitmap allows */
1:	in	$0xe9, %al
	jmp	1b
	PROGRAM_END io

	PROGRAM	mov_ss			/* bx: its own selector */
1:	mov	%ebx, %ss
	in	$0xe9, %al
	jmp	1b
	PROGRAM_END mov_ss

	PROGRAM	umwait			/* 200 times: a store between UMONITOR and UMWAIT */
	mov	$200, %esi
1:	mov	$U_DATA, %eax
	.byte	0xf3, 0x0f, 0xae, 0xf0		/* umonitor %eax, or %rax */
	mov	$300000, %ecx
2:	loop	2b
	movb	$1, U_DATA
	mov	$-1, %edx
	mov	$-1, %eax
	xor	%ecx, %ecx
	.byte	0xf2, 0x0f, 0xae, 0xf1		/* umwait %ecx */
	dec	%esi
	jnz	1b
	finish
	PROGRAM_END umwait

	PROGRAM	tsc_order		/* dx rounds; bx counts steps backwards */
	mov	%edx, %ebp
	xor	%ebx, %ebx
	xor	%esi, %esi
	xor	%edi, %edi
1:	rdtsc
	cmp	%edi, %edx
	jb	2f
	ja	3f
	cmp	%esi, %eax
	jae	3f
2:	inc	%ebx
3:	mov	%eax, %esi
	mov	%edx, %edi
	dec	%ebp
	jnz	1b
	finish
	PROGRAM_END tsc_order

	PROGRAM	rdtsc
	rdtsc
	finish
	PROGRAM_END rdtsc

	PROGRAM	rdtscp
	rdtscp
	finish
	PROGRAM_END rdtscp

	PROGRAM	cli_then_sti		/* IOPL 3: a tick that came in between is taken after STI */
	cli
	mov	_dx, _cx
1:	loop	1b
	mov	$1, %esi
	sti
2:	jmp	2b
	PROGRAM_END cli_then_sti

	PROGRAM	spin_forever		/* with all registers in use */
1:	add	$1, %eax
	add	%eax, %ebx
	xor	%ebx, %edx
	paddd	%xmm1, %xmm0
	jmp	1b
	PROGRAM_END spin_forever
