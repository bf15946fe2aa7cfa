/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * User programs of the segment and virtual-8086 tests.  32- and 16-bit code in
 * both images: the 64-bit kernel runs the former in compatibility mode.
 */
#include "regs.h"

#define PREFIX seg_
#include "program.h"

	.section .user, "a"
	.code32

	PROGRAM	basic32
1:	loop	1b
	inc	%eax			/* 0x40, a REX prefix in 64-bit code */
	mov	%eax, U_DATA
	push	%eax
	pop	%ebx
	call	2f
2:	pop	%edx
	sub	$2b - seg_basic32, %edx
	mov	$-4, %esi
	add	$8, %esi
	int	$VEC_INT80
	PROGRAM_END basic32

	PROGRAM	load			/* from ds:si */
1:	loop	1b
	mov	(%esi), %eax
	int	$VEC_INT80
	PROGRAM_END load

	PROGRAM	load_es			/* from es:si */
1:	loop	1b
	mov	%es:(%esi), %eax
	int	$VEC_INT80
	PROGRAM_END load_es

	PROGRAM	store			/* to ds:si */
1:	loop	1b
	mov	%eax, (%esi)
	int	$VEC_INT80
	PROGRAM_END store

	PROGRAM	load_fs
1:	loop	1b
	mov	%fs:(%esi), %eax
	int	$VEC_INT80
	PROGRAM_END load_fs

	PROGRAM	load_gs
1:	loop	1b
	mov	%gs:(%esi), %eax
	int	$VEC_INT80
	PROGRAM_END load_gs

	PROGRAM	store_fs
1:	loop	1b
	mov	%eax, %fs:(%esi)
	int	$VEC_INT80
	PROGRAM_END store_fs

	PROGRAM	load_bp			/* from ss:bp */
1:	loop	1b
	mov	(%ebp), %eax
	int	$VEC_INT80
	PROGRAM_END load_bp

	PROGRAM	push
1:	loop	1b
	push	%eax
	int	$VEC_INT80
	PROGRAM_END push

	PROGRAM	pop
1:	loop	1b
	pop	%eax
	int	$VEC_INT80
	PROGRAM_END pop

	PROGRAM	load_es_by_selector	/* es = dx, then from es:si */
1:	loop	1b
	mov	%edx, %es
	mov	%es:(%esi), %eax
	int	$VEC_INT80
	PROGRAM_END load_es_by_selector

	PROGRAM	far_call		/* by the pointer at U_DATA */
1:	loop	1b
	lcall	*U_DATA
	int	$VEC_INT80
	PROGRAM_END far_call

	PROGRAM	far_jump
1:	loop	1b
	ljmp	*U_DATA
	PROGRAM_END far_jump

	PROGRAM	far_target		/* what the two above go to */
	mov	%cs, %eax
	lret
	PROGRAM_END far_target

	PROGRAM	run_off			/* ends where its segment ends */
1:	loop	1b
	nop
	nop
	PROGRAM_END run_off

	PROGRAM	spin_int80
1:	loop	1b
	int	$VEC_INT80
	PROGRAM_END spin_int80

#ifdef __x86_64__
	PROGRAM	to_64_and_back		/* compatibility mode, 64-bit, compatibility mode */
1:	loop	1b
	call	2f
2:	pop	%ebx
	add	$3f - 2b, %ebx
	push	$SEL_UCODE64
	push	%ebx
	lret
	.code64
3:	movabs	$0x123456789abcdef0, %r9
	mov	%r9, %rax
	shr	$32, %rax
	inc	%r10
	lea	4f(%rip), %rdx
	push	$SEL_UCODE32
	push	%rdx
	lretq
	.code32
4:	inc	%eax
	mov	%cs, %esi
	int	$VEC_INT80
	PROGRAM_END to_64_and_back

	.code64
	.code32
	PROGRAM	syscall32		/* these two in compatibility mode */
1:	loop	1b
	syscall
	int	$VEC_INT80
	PROGRAM_END syscall32

	PROGRAM	sysenter32
1:	loop	1b
	sysenter
	int	$VEC_INT80
	PROGRAM_END sysenter32

	PROGRAM	spin_by_bp		/* where cx has something else to say */
	mov	%ebp, %ecx
1:	loop	1b
	int	$VEC_INT80
	PROGRAM_END spin_by_bp

	.code64
	PROGRAM	sysenter64
1:	loop	1b
	sysenter
	finish
	PROGRAM_END sysenter64

	PROGRAM	widths			/* rounds (edi): a page of 32-bit code (si), one of 64-bit code */
1:	loop	1b
2:	lea	2b(%rip), %r9
	push	$SEL_UCODE32
	push	%rsi
	lretq
	PROGRAM_END widths

	.code32
	PROGRAM	widths32
	inc	%eax			/* a REX prefix in 64-bit code */
	inc	%eax
	add	$0x1000, %esi
	push	$SEL_UCODE64
	push	%esi
	lret
	PROGRAM_END widths32

	.code64
	PROGRAM	widths64
	inc	%r8d			/* begins with what is an instruction in 32-bit code */
	add	$0x1000, %esi
	dec	%edi
	jz	1f
	jmp	*%r9
1:	finish
	PROGRAM_END widths64

	PROGRAM	load_segs64		/* in 64-bit code ds has no base, fs has */
1:	loop	1b
	mov	(%rsi), %eax
	mov	%fs:(%rdi), %edx
	finish
	PROGRAM_END load_segs64

	PROGRAM	far_call64
1:	loop	1b
	lcall	*U_DATA
	finish
	PROGRAM_END far_call64
#else
	PROGRAM	load_pointers		/* LES, LFS, LSS from si */
1:	loop	1b
	les	(%esi), %eax
	lfs	8(%esi), %edx
	mov	%esp, %ebx
	lss	16(%esi), %esp
	push	%edx
	pop	%edi
	mov	%ebx, %esp
	mov	%es, %ebx
	mov	%fs, %ebp
	int	$VEC_INT80
	PROGRAM_END load_pointers
#endif

	.code16
	PROGRAM	code16			/* 16-bit segment: 64 KiB, base wherever */
1:	addr32 loop 1b
	mov	$0xfff0, %ax
	add	$0x20, %ax		/* 16 bits: carries out */
	adc	$0, %dx
	push	%ax
	pop	%bx
	mov	$10, %cx
2:	add	%cx, %dx
	loop	2b
	call	3f
	movl	$0x12345678, %esi
	int	$VEC_INT80
3:	mov	%sp, %di
	ret
	PROGRAM_END code16

	/* ---- virtual-8086 mode: bp is the spin count ---- */
	PROGRAM	v86_basic
1:	dec	%ebp
	jnz	1b
	mov	$0x2000, %ax
	mov	%ax, %ds
	mov	$0x2001, %ax
	mov	%ax, %es
	movw	$0x1234, 0x10
	movw	%es:0, %bx		/* the same place by another segment */
	push	%bx
	push	%ds
	pop	%fs
	pop	%dx
	mov	$5, %cx
	mov	$0x100, %di
	mov	$0xabcd, %ax
	cld
	rep	stosw
	call	2f
	int	$VEC_INT80
2:	mov	%fs, %si
	ret
	PROGRAM_END v86_basic

	.macro	V86 name, insn:vararg	/* one instruction, then INT 0x80 */
	PROGRAM	v86_\name
1:	dec	%ebp
	jnz	1b
	\insn
	int	$VEC_INT80
	PROGRAM_END v86_\name
	.endm
	V86	nothing, nop
	V86	cli, cli
	V86	sti, sti
	V86	pushf, pushf
	V86	popf, popf
	V86	iret, iret
	V86	hlt, hlt
	V86	in, in $0xe9, %al
	V86	int3, int3
	V86	int21, int $0x21
	V86	ud2, ud2
	V86	div0, div %ch
	V86	mov_cr, mov %cr0, %eax
	V86	lgdt, lgdt 0
	V86	lar, lar %ax, %ax
	V86	read_word_at_end, mov 0xffff, %ax
	V86	read_beyond, addr32 mov 0x12345, %ax
	V86	read_hole, mov %gs:0, %ax
	V86	read_above_1m, mov %gs:0x10, %ax
	V86	far_jump, ljmp $0x2000, $0x200
	V86	pushfl, pushfl
	V86	popfl, popfl
	V86	iretl, iretl
	V86	int3_long, .byte 0xcd, 3	/* INT n, where INT3 is another instruction */

	PROGRAM	v86_into
1:	dec	%ebp
	jnz	1b
	mov	$0x7f, %al
	inc	%al			/* overflows */
	into
	PROGRAM_END v86_into

	PROGRAM	v86_forever
1:	jmp	1b
	PROGRAM_END v86_forever
