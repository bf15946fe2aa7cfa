/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trap cases: page faults of every kind, alignment, x87 and SSE exceptions. */
#include "trapcase.h"

#ifdef USER64
#define LOAD_PTR(value, reg) movabs $value, reg
#else
#define LOAD_PTR(value, reg) mov $value, reg
#endif

#ifdef COMPAT
#define TOP 0x100000000			/* of what it can address */
#else
#define TOP USER_TOP
#endif

/* ---- data ---- */
	TRAP	pf_read_hole, 14, 4, 0, U_NP + 8
1:	mov	U_NP + 8, %eax
	END

	TRAP	pf_write_hole, 14, 6, 0, U_NP + 8
1:	mov	%eax, U_NP + 8
	END

	TRAP	pf_rmw_hole, 14, 6, 0, U_NP
1:	addl	$1, U_NP
	END

	TRAP	pf_write_readonly, 14, 7, 0, U_RO + 4
	mov	U_RO, %ebx
1:	mov	%eax, U_RO + 4
	END

	TRAP	pf_rmw_readonly, 14, 7, 0, U_RO
1:	incl	U_RO
	END

	TRAP	pf_cmpxchg_readonly, 14, 7, 0, U_RO
	mov	$1, %eax		/* would not store: writes all the same */
1:	lock cmpxchg %ebx, U_RO
	END

	TRAP	pf_cmpxchg8b_readonly, 14, 7, 0, U_RO
1:	lock cmpxchg8b U_RO
	END

	TRAP	pf_write_code, 14, 7, 0, U_CODE
1:	movb	$0xc3, U_CODE
	END

	TRAP	pf_read_kernel_page, 14, 5, 0, U_KERN
1:	mov	U_KERN, %eax
	END

	TRAP	pf_write_kernel_page, 14, 7, 0, U_KERN
1:	mov	%eax, U_KERN
	END

#ifndef COMPAT
	TRAP	pf_read_kernel_half, 14, 5, 0, PHYSMAP + KERNEL_PA
	LOAD_PTR(PHYSMAP + KERNEL_PA, _bx)
1:	mov	(_bx), %eax
	END

	TRAP	pf_write_kernel_half, 14, 7, 0, PHYSMAP + KERNEL_PA
	LOAD_PTR(PHYSMAP + KERNEL_PA, _bx)
1:	movl	$0, (_bx)
	END
#endif

	TRAP	pf_read_top, 14, 4, 0, TOP + -4
	LOAD_PTR(TOP - 4, _bx)
1:	mov	(_bx), %eax
	END

	TRAP	pf_read_zero, 14, 4, 0, 0
1:	mov	(_cx), %eax
	END

	TRAP	pf_rsvd_read, 14, 0xd, F_NX, U_RSVD
1:	mov	U_RSVD, %eax
	END

	TRAP	pf_rsvd_write, 14, 0xf, F_NX, U_RSVD
1:	mov	%eax, U_RSVD
	END

/* ---- across a page boundary: nothing may be written in part ---- */
	TRAP	pf_cross_write, 14, 6, 0, U_EDGE + 0x1000
1:	movl	$-1, U_EDGE + 0xffe
	END

	TRAP	pf_cross_read, 14, 4, 0, U_EDGE + 0x1000
1:	mov	U_EDGE + 0xffd, %eax
	END

	TRAP	pf_cross_from_hole, 14, 6, 0, U_RW_RO + -2
1:	mov	%eax, U_RW_RO - 2
	END

	TRAP	pf_cross_to_readonly, 14, 7, 0, U_RW_RO + 0x1000
1:	mov	%eax, U_RW_RO + 0xffe
	END

	TRAP	pf_cross_sse, 14, 6, 0, U_EDGE + 0x1000
1:	movups	%xmm0, U_EDGE + 0xff8
	END

	TRAP	pf_cross_avx, 14, 6, F_AVX, U_EDGE + 0x1000
1:	vmovups	%ymm0, U_EDGE + 0xfe8
	END

	TRAP	pf_gather, 14, 4, F_AVX2, U_NP		/* its first element is there; of 128 bits CPUs differ */
	vpcmpeqd %ymm2, %ymm2, %ymm2
	mov	$U_NP - U_DATA, %eax
	vmovd	%eax, %xmm1
	vpslldq	$4, %ymm1, %ymm1
	mov	$U_DATA, %eax
1:	vpgatherdd %ymm2, (_ax,%ymm1), %ymm0
	END

	TRAP	pf_rep_movs, 14, 6, 0, U_EDGE + 0x1000
	mov	$U_DATA, %esi
	mov	$U_EDGE + 0xff9, %edi
	mov	$100, %ecx
1:	rep movsb
	END

	TRAP	pf_rep_stos_down, 14, 6, 0, U_RW_RO + -4
	std
	mov	$U_RW_RO + 64, %edi
	mov	$100, %ecx
1:	rep stosl
	END

	TRAP	pf_rep_scas, 14, 4, 0, U_EDGE + 0x1000
	mov	$U_EDGE + 0xf00, %edi
	mov	$0x1000, %ecx
	xor	%eax, %eax
	cmp	$0x90, %al		/* as each NOP there: whose flags a fault leaves is the CPU's choice */
1:	repne scasb
	END

/* ---- stack ---- */
	TRAP	pf_push, 14, 6, 0, U_STACK + -WORD
	mov	$U_STACK, %esp
1:	push	_ax
	END

	TRAP	pf_call, 14, 6, 0, U_STACK + -WORD
	mov	$U_STACK, %esp
1:	call	2f
2:	nop
	END

	TRAP	pf_pop, 14, 4, 0, U_STACK_TOP
	mov	$U_STACK_TOP, %esp
1:	pop	_ax
	END

	TRAP	pf_ret, 14, 4, 0, U_STACK_TOP
	mov	$U_STACK_TOP, %esp
1:	ret
	END

	TRAP	pf_enter, 14, 6, 0, U_STACK + -WORD
	mov	$U_STACK, %esp
1:	enter	$16, $0
	END

#ifndef USER64				/* its first stores are made */
	TRAP	pf_pusha, 14, 6, 0, U_STACK + -4
	mov	$U_STACK + 12, %esp
1:	pusha
	END
#endif

/* ---- fetch ---- */
	TRAPAT	pf_jump_hole, 14, U_NP, 4, F_FETCH | F_ABS, U_NP
	mov	$U_NP, %eax
	jmp	*_ax
	END

	TRAPAT	pf_run_off_page, 14, U_EDGE + 0x1000, 4, F_FETCH | F_ABS, U_EDGE + 0x1000
	mov	$U_EDGE + 0xff0, %eax
	jmp	*_ax
	END

	TRAPAT	pf_straddle, 14, U_EDGE + 0xffd, 4, F_FETCH | F_ABS, U_EDGE + 0x1000
	movb	$0xb8, U_EDGE + 0xffd		/* mov $imm32, %eax */
	mov	$U_EDGE + 0xff0, %eax
	jmp	*_ax
	END

	TRAPAT	pf_jump_kernel_page, 14, U_KERN, 5, F_FETCH | F_ABS, U_KERN
	mov	$U_KERN, %eax
	jmp	*_ax
	END

#ifndef COMPAT
	TRAPAT	pf_jump_kernel_half, 14, PHYSMAP + KERNEL_PA, 5, F_FETCH | F_ABS, PHYSMAP + KERNEL_PA
	LOAD_PTR(PHYSMAP + KERNEL_PA, _bx)
	jmp	*_bx
	END
#endif

	TRAPAT	pf_nx, 14, U_NX, 5, F_FETCH | F_ABS | F_NX, U_NX
	mov	$U_NX, %eax
	call	*_ax
	END

	DONE	no_nx, F_NO_NX
	mov	$U_NX, %eax
	call	*_ax
	ENDDONE

	TRAPAT	pf_jump_zero, 14, 0, 4, F_FETCH | F_ABS, 0
	jmp	*_cx
	END

/* ---- addresses that are none ---- */
#ifdef USER64
	TRAP	gp_noncanonical_read, 13, 0, F_L4
	movabs	$0x0000800000000000, %rbx
1:	mov	(%rbx), %eax
	END

	TRAP	gp_noncanonical_write, 13, 0, F_L4
	movabs	$0x8000000000000000, %rbx
1:	mov	%eax, (%rbx)
	END

	TRAP	ss_noncanonical_push, 12, 0, F_L4
	movabs	$0x0000900000000000, %rsp
1:	push	%rax
	END

	TRAP	ss_noncanonical_bp, 12, 0, F_L4
	movabs	$0x0000900000000000, %rbp
1:	mov	(%rbp), %eax
	END

	TRAP	gp_noncanonical_jump, 13, 0, F_L4
	movabs	$0x0000900000000000, %rbx
1:	jmp	*%rbx
	END

	TRAP	gp_noncanonical_ret, 13, 0, F_L4
	movabs	$0xffff000000000000, %rbx
	push	%rbx
1:	ret
	END

	TRAP	gp_noncanonical_57_read, 13		/* with five levels neither are these any */
	movabs	$0x0100000000000000, %rbx
1:	mov	(%rbx), %eax
	END

	TRAP	ss_noncanonical_57_push, 12
	movabs	$0xfe00000000000000, %rsp
1:	push	%rax
	END
#else
	TRAP	gp_null_es, 13
	mov	%ecx, %es
1:	mov	%es:U_DATA, %eax
	END
#endif

/* ---- alignment ---- */
	.macro	set_ac
	pushf
	orl	$0x40000, (_sp)
	popf
	.endm

	TRAP	gp_movaps, 13
1:	movaps	U_DATA + 8, %xmm0
	END

	TRAP	ac_read, 17, 0, F_AM
	set_ac
1:	mov	U_DATA + 1, %eax
	END

	TRAP	ac_write_word, 17, 0, F_AM
	set_ac
1:	mov	%ax, U_DATA + 3
	END

	TRAP	ac_push, 17, 0, F_AM
	set_ac
	sub	$2, _sp
1:	push	_ax
	END

	TRAP	ac_double, 17, 0, F_AM
	set_ac
1:	fldl	U_DATA + 4
	END

	DONE	ac_aligned, F_AM
	set_ac
	mov	U_DATA + 4, %eax
	mov	%ax, U_DATA + 2
	movb	$1, U_DATA + 7
	ENDDONE

	DONE	ac_without_am
	set_ac
	mov	U_DATA + 1, %eax
	mov	%eax, U_DATA + 5
	ENDDONE

	TRAP	ac_before_pf, 17, 0, F_AM	/* alignment is looked at before paging */
	set_ac
1:	mov	U_NP + 1, %eax
	END

/* ---- x87 ---- */
	.macro	x87_unmask bits			/* the exceptions to let through */
	push	$0x37f & ~\bits
	fldcw	(_sp)
	pop	_ax
	.endm

	TRAP	mf_zero_divide, 16
	x87_unmask 4
	fldz
	fld1
	fdiv	%st(1), %st
	nop
1:	fwait
	END

	TRAP	mf_stack_overflow, 16
	x87_unmask 1
	.rept	9
	fldz
	.endr
1:	fldz
	END

	TRAP	mf_late_at_mmx, 16
	x87_unmask 4
	fldz
	fld1
	fdivp
	fnstsw	%ax				/* does not wait */
	and	$0x7f, %eax
1:	paddb	%mm0, %mm1
	END

	DONE	mf_masked
	fldz
	fld1
	fdiv	%st(1), %st
	fwait
	fnstsw	%ax
	ENDDONE

	DONE	mf_cleared
	x87_unmask 4
	fldz
	fld1
	fdiv	%st(1), %st
	fnclex
	fwait
	ENDDONE

/* ---- SSE ---- */
	.macro	sse_ones			/* xmm1 = 1.0 four times */
	pcmpeqd	%xmm1, %xmm1
	psrld	$25, %xmm1
	pslld	$23, %xmm1
	.endm
	.macro	load_mxcsr value
	push	$\value
	ldmxcsr	(_sp)
	pop	_ax
	.endm

	TRAP	xm_zero_divide, 19
	sse_ones
	xorps	%xmm0, %xmm0
	load_mxcsr 0x1d80
1:	divps	%xmm0, %xmm1
	END

	TRAP	xm_invalid_sd, 19
	load_mxcsr 0x1f00
	pcmpeqd	%xmm1, %xmm1			/* a NaN: COMISD takes even a quiet one ill */
1:	comisd	%xmm1, %xmm1
	END

	TRAP	xm_avx, 19, 0, F_AVX
	load_mxcsr 0x1d80
	vpcmpeqd %xmm1, %xmm1, %xmm1
	vpsrld	$25, %xmm1, %xmm1
	vpslld	$23, %xmm1, %xmm1
	vxorps	%xmm0, %xmm0, %xmm0
1:	vdivps	%ymm0, %ymm1, %ymm2
	END

	DONE	xm_masked
	sse_ones
	xorps	%xmm0, %xmm0
	load_mxcsr 0x1f80
	divps	%xmm0, %xmm1
	stmxcsr	U_DATA
	mov	U_DATA, %eax
	ENDDONE

	TRAP	gp_mxcsr_reserved, 13
	push	$-1
1:	ldmxcsr	(_sp)
	END
