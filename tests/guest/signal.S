/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program and its signal handler, for tests_signal.c.  U_DATA: 0 the end is asked for, 4 how
 * often the handler ran, 8 what the x87 counted, 16 what SSE counted, 64 what memory counted.
 */
#include "regs.h"

	.section .user, "a"
	.balign	16
	.globl	sig_main, sig_main_done, sig_handler, sig_return, sig_end

/* eax is multiplied each round, esi counts rounds, as do st(0), xmm0 and a word of memory. */
sig_main:
1:	imul	$1664525, %eax, %eax
	add	$1013904223, %eax
	push	_ax
	call	2f
	pop	_cx
	cmp	%eax, %ecx
	jne	3f
	inc	%esi
	fld1
	faddp
	paddd	%xmm1, %xmm0
	incl	U_DATA + 64
	mov	$U_DATA + 1024, %edi
	mov	$64, %ecx
	rep	stosl
	cmp	%eax, U_DATA + 1024 + 252
	jne	3f
	cmpl	$0, U_DATA
	je	1b
	fistpl	U_DATA + 8
	movdqu	%xmm0, U_DATA + 16
sig_main_done:
	finish
2:	xor	%ecx, %ecx
	ret
3:	ud2

/* Leaves no register as it was; bx is the frame, where the word at dx (bp) gets one more. */
sig_handler:
	incl	U_DATA + 4
	fninit
	fldpi
	fldl2e
	pcmpeqd	%xmm0, %xmm0
	pxor	%xmm1, %xmm1
	mov	$0x5aa55aa5, %eax
	mov	%eax, %esi
	mov	%eax, %edi
1:	loop	1b
	incl	(_bx, _dx)
	push	_ax
	pop	_dx
	std
	stc
sig_return:
	finish
sig_end:
