/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* User programs with instructions that tell user code about the machine. */
#include "regs.h"

#define PREFIX sens_
#include "program.h"

	.section .user, "a"

	PROGRAM	cpuid			/* leaf si, subleaf di */
	mov	%esi, %eax
	mov	%edi, %ecx
	cpuid
	finish
	PROGRAM_END cpuid

	PROGRAM	cpuid_hidden		/* the bytes lie within another instruction */
	xor	%eax, %eax
	jmp	1f + 1
1:	mov	$0x90c3a20f, %edi	/* ... 0f a2 c3: CPUID; then "finish" comes by RET */
	PROGRAM_END cpuid_hidden

	PROGRAM	cpuid_prefixed
	xor	%eax, %eax
	.byte	0x66, 0x3e
	cpuid
	finish
	PROGRAM_END cpuid_prefixed

	PROGRAM	cpuid_written		/* writes CPUID; RET to bx and calls it */
	movb	$0x0f, (_bx)
	movb	$0xa2, 1(_bx)
	movb	$0xc3, 2(_bx)
	mov	_bx, _si
	xor	%eax, %eax
	call	*_si
	finish
	PROGRAM_END cpuid_written

	PROGRAM	call_leaf0		/* calls bx with eax = 0 */
	mov	_bx, _si
	xor	%eax, %eax
	call	*_si
	finish
	PROGRAM_END call_leaf0

	PROGRAM	xgetbv			/* of register si */
	mov	%esi, %ecx
	xgetbv
	finish
	PROGRAM_END xgetbv

	PROGRAM	tables			/* SGDT, SIDT, SLDT, STR, SMSW to bx */
	sgdt	(_bx)
	sidt	16(_bx)
	sldt	32(_bx)
	str	34(_bx)
	smsw	36(_bx)
	sldt	%eax
	str	%edx
	smsw	%esi
	ud2
	PROGRAM_END tables

	PROGRAM	lar			/* selector dx: result to ax (old: bx), ZF to si */
	mov	%ebx, %eax
	lar	%edx, %eax
	mov	$0, %esi
	jnz	1f
	inc	%esi
1:	finish
	PROGRAM_END lar

	PROGRAM	lsl
	mov	%ebx, %eax
	lsl	%edx, %eax
	mov	$0, %esi
	jnz	1f
	inc	%esi
1:	finish
	PROGRAM_END lsl

	PROGRAM	verr_verw		/* si: bit 0 readable, bit 1 writable */
	mov	$0, %esi
	verr	%dx
	jnz	1f
	or	$1, %esi
1:	verw	%dx
	jnz	1f
	or	$2, %esi
1:	finish
	PROGRAM_END verr_verw

	PROGRAM	read_selectors
	mov	%cs, %eax
	mov	%ss, %ebx
	mov	%ds, %edx
	mov	%es, %esi
	mov	%fs, %edi
	mov	%gs, %ebp
	push	%fs
	pop	_cx
	shl	$16, %ecx
	push	%gs
	or	(_sp), %ecx
	pop	_bp
	mov	%cs, U_DATA
	mov	%ss, U_DATA + 2
	finish
	PROGRAM_END read_selectors

	.macro	PUSHED seg		/* to be called: the selector to ax, by a 16-bit push to dx */
	PROGRAM	push_\seg
	xor	%eax, %eax
	push	_ax
	pop	_ax			/* the push need not write all of its slot */
	push	%\seg
	pop	_ax
	pushw	%\seg
	pop	%dx
	ret
	PROGRAM_END push_\seg
	.endm
#ifndef __x86_64__
	PUSHED	cs
	PUSHED	ss
	PUSHED	ds
	PUSHED	es
#endif
	PUSHED	fs
	PUSHED	gs

	PROGRAM	xsave			/* everything, to bx (64-aligned) */
	mov	$-1, %eax
	mov	$-1, %edx
	xsave	(_bx)
	finish
	PROGRAM_END xsave

	PROGRAM	xsaveopt
	mov	$-1, %eax
	mov	$-1, %edx
	xsaveopt (_bx)
	finish
	PROGRAM_END xsaveopt

	PROGRAM	xsavec
	mov	$-1, %eax
	mov	$-1, %edx
	xsavec	(_bx)
	finish
	PROGRAM_END xsavec

	PROGRAM	xrstor			/* everything that is in use, from bx */
	mov	$-1, %eax
	mov	$-1, %edx
	xrstor	(_bx)
	finish
	PROGRAM_END xrstor

	PROGRAM	rdpid
	.byte	0xf3, 0x0f, 0xc7, 0xf8		/* rdpid _ax */
	finish
	PROGRAM_END rdpid

	PROGRAM	rdpmc			/* counter si */
	mov	%esi, %ecx
	rdpmc
	finish
	PROGRAM_END rdpmc

	PROGRAM	vaddps
	vaddps	%ymm0, %ymm1, %ymm2
	finish
	PROGRAM_END vaddps

	PROGRAM	addps
	addps	%xmm0, %xmm1
	finish
	PROGRAM_END addps

	PROGRAM	divps_by_zero		/* with #Z unmasked */
	push	$0x1d80
	ldmxcsr	(_sp)
	pop	_ax
	pcmpeqd	%xmm1, %xmm1
	psrld	$25, %xmm1
	pslld	$23, %xmm1
	xorps	%xmm0, %xmm0
	divps	%xmm0, %xmm1
	finish
	PROGRAM_END divps_by_zero

	PROGRAM	fld1
	fld1
	finish
	PROGRAM_END fld1

#ifdef __x86_64__
	PROGRAM	fsgsbase
	rdfsbase %rsi
	wrgsbase %rbx
	rdgsbase %rdx
	finish
	PROGRAM_END fsgsbase

	PROGRAM	write_bases		/* from bx and si */
	wrfsbase %rbx
	wrgsbase %rsi
	finish
	PROGRAM_END write_bases

	PROGRAM	load_and_write_bases	/* the same, behind loads from dx */
	mov	%edx, %fs
	mov	%edx, %gs
	wrfsbase %rbx
	wrgsbase %rsi
	finish
	PROGRAM_END load_and_write_bases
#endif
