/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* User programs with protection keys, which are 64-bit kernels' only. */
#include "regs.h"

#ifdef __x86_64__
#define PREFIX pkey_
#include "program.h"

	.section .user, "a"

	PROGRAM	rdpkru			/* ecx from si */
	mov	%esi, %ecx
	mov	$0x77777777, %edx
	rdpkru
	finish
	PROGRAM_END rdpkru

	PROGRAM	wrpkru			/* eax from bx, ecx from si, edx from di */
	mov	%ebx, %eax
	mov	%esi, %ecx
	mov	%edi, %edx
	wrpkru
	finish
	PROGRAM_END wrpkru

/* As with pkey_set(): opens with r8, stores to bx, closes with r9; dx times, then once closed. */
	PROGRAM	open_and_close
	mov	%edx, %esi
	xor	%ecx, %ecx
1:	mov	%r8d, %eax
	xor	%edx, %edx
	wrpkru
	incl	(%rbx)
	mov	%r9d, %eax
	wrpkru
	dec	%esi
	jnz	1b
	.globl	pkey_closed_store
pkey_closed_store:
	mov	%r8d, (%rbx)
	finish
	PROGRAM_END open_and_close

	PROGRAM	store_over_pages	/* 8 bytes to bx */
	mov	%rax, (%rbx)
	finish
	PROGRAM_END store_over_pages

	PROGRAM	push
	push	%rax
	pop	%rdx
	finish
	PROGRAM_END push

	PROGRAM	xsave_pkru		/* component 9, to bx */
	mov	$0x200, %eax
	xor	%edx, %edx
	xsave	(%rbx)
	finish
	PROGRAM_END xsave_pkru

	PROGRAM	xrstor_pkru		/* from bx, then a load from bp */
	mov	$0x200, %eax
	xor	%edx, %edx
	xrstor	(%rbx)
	mov	(%rbp), %eax
	finish
	PROGRAM_END xrstor_pkru
#endif
