/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* User programs of the state tests; load_blob() puts the spinning prologue before them. */
#include "regs.h"

#define PREFIX state_
#include "program.h"

	.section .user, "a"

	PROGRAM	int80
	int	$VEC_INT80
	PROGRAM_END int80

	PROGRAM	quiet			/* ends where it can run natively to its end */
	finish
	PROGRAM_END quiet

#ifdef __x86_64__
	PROGRAM	syscall			/* far from U_CODE, so with its own prologue */
1:	loop	1b
	syscall
	PROGRAM_END syscall
#endif

	PROGRAM	ud2
	ud2
	PROGRAM_END ud2

	PROGRAM	pf
	mov	%eax, U_NP
	PROGRAM_END pf

	PROGRAM	de
	div	%ecx			/* the prologue left cx = 0 */
	PROGRAM_END de

	PROGRAM	push_pop		/* the flags from ax, then to dx */
	pushf
	andl	$~0x8d5, (_sp)
	or	_ax, (_sp)
	popf
	pushf
	pop	_dx
	finish
	PROGRAM_END push_pop

	PROGRAM	vector_mix		/* dx rounds */
1:	paddd	%xmm1, %xmm0
	pxor	%xmm2, %xmm1
	pmuludq	%xmm0, %xmm3
	pshufd	$0x93, %xmm4, %xmm5
	paddq	%xmm5, %xmm4
	psllq	$3, %xmm6
	punpcklbw %xmm7, %xmm6
	psubw	%xmm0, %xmm7
	cvtdq2ps %xmm0, %xmm2
	mulps	%xmm2, %xmm2
	sqrtps	%xmm2, %xmm2
	addpd	%xmm2, %xmm3
	dec	%edx
	jnz	1b
	finish
	PROGRAM_END vector_mix

	PROGRAM	vector_mix_avx
1:	vpaddd	%xmm1, %xmm0, %xmm2
	vpermilps $0x1b, %ymm2, %ymm3
	vperm2f128 $1, %ymm3, %ymm0, %ymm4
	vxorps	%ymm4, %ymm1, %ymm1
	vinsertf128 $1, %xmm1, %ymm0, %ymm5
	vblendps $0x5a, %ymm5, %ymm6, %ymm6
	vorps	%ymm6, %ymm7, %ymm7
	vshufps	$0x4e, %ymm7, %ymm1, %ymm0
	dec	%edx
	jnz	1b
	finish
	PROGRAM_END vector_mix_avx

	PROGRAM	x87_mix
	fninit
	fld1
	fldpi
1:	fadd	%st(1), %st
	fmul	%st, %st(1)
	fsqrt
	fxch
	fsqrt
	fld	%st(1)
	fdivp	%st, %st(1)
	fld1
	faddp
	dec	%edx
	jnz	1b
	fldl2t
	fldlg2
	finish
	PROGRAM_END x87_mix

	PROGRAM	yielder			/* ax += si, and x87 and SSE accumulators; forever */
	xor	%eax, %eax
	fninit
	fldz
	pxor	%xmm0, %xmm0
	pcmpeqd	%xmm1, %xmm1
	psrld	$31, %xmm1
	mov	$1, %ecx
1:	loop	1b
	add	%esi, %eax
	fld1
	faddp
	paddd	%xmm1, %xmm0
	finish
	jmp	1b
	PROGRAM_END yielder

	PROGRAM	steps
	finish		/* here the kernel sets TF */
	mov	$5, %ecx
1:	push	_cx
	call	2f
	pop	_cx
	loop	1b
	mov	$U_DATA, %edi
	mov	$4, %ecx
	cld
	rep	stosb
	pushf
	popf
	mov	%ss, %eax
	mov	%eax, %ss
	nop
	jmp	3f
	ud2
2:	xchg	%eax, %edx
	cmp	%eax, %edx
	je	1f
	nop
1:	ret
3:	finish
	PROGRAM_END steps
