/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User programs that write code.  Each is copied to where its test wants it,
 * so all are position-independent; the test passes addresses in registers.
 */
#include "regs.h"

#define PREFIX code_
#include "program.h"

	.section .user, "a"

/*
 * A compiler in small: bx = page to write code to, by way of di (the same
 * page or another name of it), dx = rounds.  Each round writes
 * "mov $round, %eax; ret", calls it and adds up in si.
 */
	PROGRAM	jit
1:	loop	1b
	xor	%esi, %esi
2:	movb	$0xb8, (_di)
	mov	%edx, 1(_di)
	movb	$0xc3, 5(_di)
	call	*_bx
	add	%eax, %esi
	dec	%edx
	jnz	2b
	finish
	PROGRAM_END jit

/* Each round at the next of 64 places in the page. */
	PROGRAM	jit_places
1:	loop	1b
	xor	%esi, %esi
2:	mov	%edx, %eax
	and	$63, %eax
	shl	$5, %eax
	lea	(_bx, _ax), _bp
	movb	$0xb8, (_bp)
	mov	%edx, 1(_bp)
	movb	$0xc3, 5(_bp)
	call	*_bp
	add	%eax, %esi
	dec	%edx
	jnz	2b
	finish
	PROGRAM_END jit_places

/* Writes into the instruction that comes next, no jump between: dx rounds. */
	PROGRAM	self_modifying
1:	loop	1b
	xor	%esi, %esi
	call	2f
2:	pop	_bx
	add	$3f - 2b, _bx
4:	mov	%edx, 1(_bx)
3:	mov	$0, %eax
	add	%eax, %esi
	dec	%edx
	jnz	4b
	finish
	PROGRAM_END self_modifying

/* A loop that counts in a word of its own page: dx rounds, the word at bx. */
	PROGRAM	data_in_code
1:	loop	1b
2:	incl	(_bx)
	lock xaddl %esi, 4(_bx)
	dec	%edx
	jnz	2b
	finish
	PROGRAM_END data_in_code

/* Pushes and calls with the stack in the page of the code: dx rounds. */
	PROGRAM	stack_in_code
1:	loop	1b
	xor	%esi, %esi
2:	push	_dx
	call	3f
	pop	_ax
	add	%eax, %esi
	dec	%edx
	jnz	2b
	finish
3:	ret
	PROGRAM_END stack_in_code

/* Overwrites the loop it runs in by REP MOVS from si, di and dx bytes. */
	PROGRAM	copies_over_itself
1:	loop	1b
	xor	%eax, %eax
	mov	_dx, _cx
	rep	movsb
	.fill	32, 1, 0x90		/* NOPs, until INC EAX comes here */
	finish
	PROGRAM_END copies_over_itself

/* Patches a call in a hot loop between two targets: dx rounds, sum in si. */
	PROGRAM	patched_call
1:	loop	1b
	xor	%esi, %esi
	call	2f
2:	pop	_bx			/* = 2b */
3:	mov	%edx, %eax
	and	$1, %eax
	neg	%eax
	and	$6f - 5f, %eax
	add	$5f - 4f, %eax
	mov	%al, 4f - 2b - 4(_bx)
	.byte	0xe8
	.long	5f - 4f
4:	dec	%edx
	jnz	3b
	finish
5:	add	$1, %esi
	ret
6:	add	$0x10000, %esi
	ret
	PROGRAM_END patched_call

/* Code for a disk: it lies in the image on a sector of its own. */
	.balign	512
	.globl	code_on_disk
code_on_disk:
	mov	$0x600dd15c, %eax
	ret
	.balign	512
	.globl	code_on_disk2
code_on_disk2:
	mov	$0x600dd000, %eax
	ret
/* And a part of a page table, with entries of either size. */
	.balign	512
	.globl	table_on_disk
table_on_disk:
	.rept	64
	.long	TABLE_FRAME_PA | 7, 0		/* present, writable, user */
	.endr
