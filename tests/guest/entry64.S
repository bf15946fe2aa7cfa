/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way to ring 3 and back, 64-bit kernel.  TSS.rsp0 points at the end of
 * a struct uctx, so the CPU itself stores the frame where it belongs, and
 * running user code is a function call that returns at the next trap.
 */
#include "layout.h"

	.macro	save_kernel
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, kstack(%rip)
	.endm

	.macro	restore_kernel
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	.endm

	.macro	pop_regs		/* all, and past vec and err */
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	.endm

	.text
/* void run_user(struct uctx *): by IRETQ. */
	.globl	run_user
run_user:
	save_kernel
	mov	%rdi, %rsp
	pop_regs
	.globl	user_iret
user_iret:
	iretq

/* Where ktrap() sends us when that IRET could not go to user mode. */
	.globl	user_iret_failed
user_iret_failed:
	jmp	back

/* void run_user_sysret(struct uctx *): ip from rcx, flags from r11. */
	.globl	run_user_sysret
run_user_sysret:
	save_kernel
	mov	%rdi, %rsp
	pop_regs
	mov	24(%rsp), %rsp		/* the frame's sp */
	sysretq

/* void run_user_sysexit(struct uctx *): ip from rdx, sp from rcx. */
	.globl	run_user_sysexit
run_user_sysexit:
	save_kernel
	mov	%rdi, %rsp
	pop_regs
	sti
	sysexitq

/* The same two to 32-bit code. */
	.globl	run_user_sysret32
run_user_sysret32:
	save_kernel
	mov	%rdi, %rsp
	pop_regs
	mov	24(%rsp), %rsp
	sysretl

	.globl	run_user_sysexit32
run_user_sysexit32:
	save_kernel
	mov	%rdi, %rsp
	pop_regs
	sti
	sysexitl

/* 1. Each vector: an error code if the CPU pushed none, then the number. */
	.balign	16
	.globl	stubs
stubs:
	vec = 0
	.rept	256
	.balign	16
	.if	(vec == 8) || (vec >= 10 && vec <= 14) || (vec == 17) || (vec == 21)
	.else
	push	$0
	.endif
	push	$vec
	jmp	common
	vec = vec + 1
	.endr

/* SYSCALL: no stack switch; ip is in rcx, the flags are in r11. */
	.balign	16
	.globl	syscall_entry
syscall_entry:
	mov	%rsp, user_sp(%rip)
	mov	cur_top(%rip), %rsp
	push	$SEL_UDATA
	push	user_sp(%rip)
	push	%r11
	push	$SEL_UCODE
	push	%rcx
	push	$0
	push	$VEC_SYSCALL
	jmp	common

/* The same from compatibility mode (AMD). */
	.balign	16
	.globl	syscall32_entry
syscall32_entry:
	mov	%rsp, user_sp(%rip)
	mov	cur_top(%rip), %rsp
	push	$SEL_UDATA
	push	user_sp(%rip)
	push	%r11
	push	$SEL_UCODE32
	push	%rcx
	push	$0
	push	$VEC_SYSCALL
	jmp	common

/* SYSENTER keeps nothing of the user: zero stands for what is unknown. */
	.balign	16
	.globl	sysenter_entry
sysenter_entry:
	mov	cur_top(%rip), %rsp
	push	$SEL_UDATA
	push	$0
	pushf
	push	$SEL_UCODE
	push	$0
	push	$0
	push	$VEC_SYSENTER
	jmp	common

/* A call gate pushes no flags: put them between cs and sp. */
	.balign	16
	.globl	gate_entry
gate_entry:
	pushf
	cli
	push	%rax
	mov	8(%rsp), %rax
	xchg	%rax, 24(%rsp)
	xchg	%rax, 16(%rsp)
	mov	%rax, 8(%rsp)
	pop	%rax
	push	$0
	push	$VEC_GATE
	jmp	common

/* 2. The rest of the frame; then back to whoever called run_user. */
common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	testb	$3, CTX_CS(%rsp)
	jz	from_kernel
back:	mov	kstack(%rip), %rsp
	restore_kernel
	ret

/* 3. A trap of the kernel itself: ktrap() knows whether it was expected. */
from_kernel:
	mov	%rsp, %rdi
	call	ktrap
	pop_regs
	iretq

/* int ktry(void (*fn)(void)): 0, or 1 + the vector of the trap that ended it. */
	.globl	ktry
ktry:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, try_sp(%rip)
	call	*%rdi
	xor	%eax, %eax
	jmp	1f
	.globl	ktry_recover
ktry_recover:
	mov	try_sp(%rip), %rsp
	mov	try_vec(%rip), %eax
	inc	%eax
1:	movq	$0, try_sp(%rip)
	restore_kernel
	ret

	.bss
	.balign	8
kstack:	.skip	8
user_sp: .skip	8
	.globl	try_sp, try_vec, cur_top
try_sp:	.skip	8
try_vec: .skip	8
cur_top: .skip	8
