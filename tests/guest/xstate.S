/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* User programs of tests_xstate.c. */
#include "regs.h"

#define PREFIX xs_
#include "program.h"

#ifdef __x86_64__
#define ZMM_LAST 31
#define YMM_LAST 15
#else
#define ZMM_LAST 7
#define YMM_LAST 7
#endif

	.altmacro
	.macro	shift reg, op, from, to
	\op	%\reg\from, %\reg\to
	.endm
	.macro	rotate reg, op, last
	i = 0
	.rept	\last
	shift	\reg, \op, %(i + 1), %i
	i = i + 1
	.endr
	.endm

	.section .user, "a"

	PROGRAM	end
	finish
	PROGRAM_END end

/* Each register gets its neighbour's value, dx times; bx: 128 bytes. */
	PROGRAM	rotate512
1:	vmovdqu64 %zmm0, (_bx)
	kmovq	%k0, 64(_bx)
	rotate	zmm, vmovdqa64, ZMM_LAST
	rotate	k, kmovq, 7
	kmovq	64(_bx), %k7
#ifdef __x86_64__
	vmovdqu64 (_bx), %zmm31
#else
	vmovdqu64 (_bx), %zmm7
#endif
	dec	%edx
	jnz	1b
	finish
	PROGRAM_END rotate512

	PROGRAM	rotate256
1:	vmovdqu	%ymm0, (_bx)
	rotate	ymm, vmovdqa, YMM_LAST
#ifdef __x86_64__
	vmovdqu	(_bx), %ymm15
#else
	vmovdqu	(_bx), %ymm7
#endif
	dec	%edx
	jnz	1b
	finish
	PROGRAM_END rotate256

	PROGRAM	mix512			/* dx rounds, all of it in integers */
1:	vpaddd	%zmm1, %zmm0, %zmm2{%k1}
	vpternlogd $0x96, %zmm2, %zmm3, %zmm4
	vprolvd	%zmm1, %zmm4, %zmm5{%k2}{z}
	valignq	$3, %zmm5, %zmm6, %zmm0
	vpermq	$0x4e, %zmm0, %zmm1
	vpcmpud	$1, %zmm4, %zmm1, %k3
	kxorw	%k3, %k1, %k1
	korw	%k1, %k2, %k4
	knotw	%k4, %k2
	vpmulld	%zmm4, %zmm1, %zmm7
	vpxord	%zmm7, %zmm6, %zmm6
	vpblendmd %zmm6, %zmm3, %zmm3{%k3}
#ifdef __x86_64__
	vpaddq	%zmm3, %zmm16, %zmm17
	vpxorq	%zmm17, %zmm31, %zmm16
	vmovdqa64 %zmm17, %zmm31{%k1}
#endif
	dec	%edx
	jnz	1b
	finish
	PROGRAM_END mix512

#ifdef __x86_64__
	PROGRAM	evex_x			/* EVEX.X, where ModRM.rm is a general register */
	.byte	0x62, 0xb1, 0x7d, 0x08, 0x6e, 0xcb	/* vmovd %ebx, %xmm1 */
	vmovd	%xmm1, %esi
	.byte	0x62, 0xb1, 0x7d, 0x08, 0x7e, 0xca	/* vmovd %xmm1, %edx */
	finish
	PROGRAM_END evex_x

	PROGRAM	evex_r			/* EVEX.R', where ModRM.reg is one */
	.byte	0x62, 0xe1, 0x7f, 0x08, 0x2d, 0xe0	/* vcvtsd2si %xmm0, %esp: "register 20" */
	finish
	PROGRAM_END evex_r
#endif

	PROGRAM	sse_and_back		/* dx rounds that change nothing in the end */
1:	paddd	%xmm1, %xmm0
	pxor	%xmm0, %xmm7
	pxor	%xmm0, %xmm7
	psubd	%xmm1, %xmm0
	fxch
	fxch
	dec	%edx
	jnz	1b
	finish
	PROGRAM_END sse_and_back

	PROGRAM	zero_upper		/* dx rounds, then what XINUSE says, to si */
1:	vaddps	%ymm0, %ymm1, %ymm2
	vzeroupper
	dec	%edx
	jnz	1b
	mov	$1, %ecx
	xgetbv
	mov	%eax, %esi
	finish
	PROGRAM_END zero_upper

	.macro	MASKED name, insn	/* components si, area bx */
	PROGRAM	\name
	mov	%esi, %eax
	xor	%edx, %edx
	\insn	(_bx)
	finish
	PROGRAM_END \name
	.endm
	MASKED	xsave, xsave
	MASKED	xsaveopt, xsaveopt
	MASKED	xsavec, xsavec
	MASKED	xrstor, xrstor

	PROGRAM	xinuse
	mov	$1, %ecx
	xgetbv
	finish
	PROGRAM_END xinuse
