/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* User programs of tests_straddle.c, which call what lies over two pages at bx. */
#include "regs.h"

#define PREFIX straddle_
#include "program.h"

	.section .user, "a"

	PROGRAM	once			/* with eax = edx = si */
	mov	_bx, _bp
	mov	%esi, %eax
	mov	%esi, %edx
	xor	%ecx, %ecx
	call	*_bp
	finish
	PROGRAM_END once

/* The same over and over: eax to (di), then one more in 4(di), until 8(di) is not 0. */
	PROGRAM	forever
	mov	_bx, _bp
1:	mov	%esi, %eax
	mov	%esi, %edx
	xor	%ecx, %ecx
	call	*_bp
	mov	%eax, (_di)
	incl	4(_di)
	mov	$20, %ecx
2:	loop	2b
	cmpl	$0, 8(_di)
	je	1b
	finish
	PROGRAM_END forever
