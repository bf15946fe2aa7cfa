/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way to ring 3 and back, 32-bit kernel.  TSS.esp0 points at the end of
 * a struct uctx, so the CPU itself stores the frame where it belongs, and
 * running user code is a function call that returns at the next trap.
 */
#include "layout.h"

#define CTX_FLAGS	(CTX_CS + 4)
#define FLAGS_VM_HIGH	2		/* EFLAGS.VM, in byte 2 */

	.text
/* void run_user(struct uctx *): by IRET, also to virtual-8086 mode. */
	.globl	run_user
run_user:
	push	%ebp
	push	%ebx
	push	%esi
	push	%edi
	mov	20(%esp), %eax
	mov	%esp, kstack
	mov	%eax, %esp
	pop	%es
	pop	%ds
	pop	%fs
	pop	%gs
	popa
	add	$8, %esp
	.globl	user_iret
user_iret:
	iret

/* Where ktrap() sends us when that IRET could not go to user mode. */
	.globl	user_iret_failed
user_iret_failed:
	mov	$SEL_KDATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	jmp	back

/* void run_user_sysexit(struct uctx *): ip from edx, sp from ecx. */
	.globl	run_user_sysexit
run_user_sysexit:
	push	%ebp
	push	%ebx
	push	%esi
	push	%edi
	mov	20(%esp), %eax
	mov	%esp, kstack
	mov	%eax, %esp
	pop	%es
	pop	%ds
	pop	%fs
	pop	%gs
	popa
	sti
	sysexit

/* Only the entry from user mode by SYSRET is 64-bit in this kernel. */
	.globl	run_user_sysret
run_user_sysret:
	ud2

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

/* SYSENTER keeps nothing of the user: zero stands for what is unknown. */
	.balign	16
	.globl	sysenter_entry
sysenter_entry:
	mov	%ss:cur_top, %esp
	push	$SEL_UDATA
	push	$0
	pushf
	push	$SEL_UCODE
	push	$0
	push	$0
	push	$VEC_SYSENTER
	jmp	common

	.globl	syscall_entry
syscall_entry:
	ud2

/* A call gate pushes no flags: put them between cs and sp. */
	.balign	16
	.globl	gate_entry
gate_entry:
	pushf
	cli
	push	%eax
	mov	4(%esp), %eax
	xchg	%eax, 12(%esp)
	xchg	%eax, 8(%esp)
	mov	%eax, 4(%esp)
	pop	%eax
	push	$0
	push	$VEC_GATE
	jmp	common

/* 2. The rest of the frame; then back to whoever called run_user. */
common:
	pusha
	push	%gs
	push	%fs
	push	%ds
	push	%es
	mov	$SEL_KDATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	cld
	testb	$FLAGS_VM_HIGH, CTX_FLAGS + 2(%esp)
	jnz	1f
	testb	$3, CTX_CS(%esp)
	jz	from_kernel
1:
back:	mov	kstack, %esp
	pop	%edi
	pop	%esi
	pop	%ebx
	pop	%ebp
	ret

/* 3. A trap of the kernel itself: ktrap() knows whether it was expected. */
from_kernel:
	push	%esp
	call	ktrap
	add	$4, %esp
	pop	%es
	pop	%ds
	pop	%fs
	pop	%gs
	popa
	add	$8, %esp
	iret

/* int ktry(void (*fn)(void)): 0, or 1 + the vector of the trap that ended it. */
	.globl	ktry
ktry:
	push	%ebp
	push	%ebx
	push	%esi
	push	%edi
	mov	%esp, try_sp
	call	*20(%esp)
	xor	%eax, %eax
	jmp	1f
	.globl	ktry_recover
ktry_recover:
	mov	try_sp, %esp
	mov	try_vec, %eax
	inc	%eax
1:	movl	$0, try_sp
	pop	%edi
	pop	%esi
	pop	%ebx
	pop	%ebp
	ret

	.bss
	.balign	8
kstack:	.skip	4
	.globl	try_sp, try_vec, cur_top
try_sp:	.skip	4
try_vec: .skip	4
cur_top: .skip	4
