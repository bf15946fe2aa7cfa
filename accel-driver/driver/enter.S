/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's vector and x87 registers live in the calling thread while the
 * module runs guest code, so they must be loaded right before the system call
 * and stored right after: no compiler may put anything between.
 */
#include <sys/syscall.h>

	.text

/* What both variants begin and end with; the caller's RBX, R12-R14 are ours. */
	.macro	begin
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	sub	$24, %rsp
	fnstcw	(%rsp)			/* control words, which the ABI wants kept */
	stmxcsr	8(%rsp)
	mov	%rdx, %r13		/* run */
	mov	%rcx, %rbx		/* image */
	mov	%r8, %r12		/* what to load */
	mov	%r9, %r14		/* what to store */
	.endm

	.macro	call_module		/* EDI, RSI: descriptor, command */
	mov	%r13, %rdx
	mov	$SYS_ioctl, %eax
	syscall
	mov	%rax, %r13
	.endm

	.macro	finish
	fninit				/* forgets exceptions of the guest's that pend */
	fldcw	(%rsp)
	ldmxcsr	8(%rsp)
	mov	%r13, %rax
	add	$24, %rsp
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	ret
	.endm

/* long drv_enter_xsave(int fd, unsigned long command, struct plex86_run *run,
			void *image, uint64_t load, uint64_t store) */
	.globl	drv_enter_xsave
	.hidden	drv_enter_xsave
	.type	drv_enter_xsave, @function
drv_enter_xsave:
	begin
	mov	%r12d, %eax
	mov	%r12, %rdx
	shr	$32, %rdx
	xrstor64 (%rbx)
	/*
	 * Once more, of nothing: all counts as modified then.  XSAVEOPT of the guest's, at the
	 * address in its space that the image has in ours, would leave out what it has not
	 * changed (SDM vol. 1, 13.8, XMODIFIED).
	 */
	xor	%eax, %eax
	xor	%edx, %edx
	xrstor64 (%rbx)
	call_module
	mov	%r14d, %eax
	mov	%r14, %rdx
	shr	$32, %rdx
	xsave64	(%rbx)
	finish
	.size	drv_enter_xsave, . - drv_enter_xsave

/* long drv_enter_fxsave(int fd, unsigned long command, struct plex86_run *run, void *image) */
	.globl	drv_enter_fxsave
	.hidden	drv_enter_fxsave
	.type	drv_enter_fxsave, @function
drv_enter_fxsave:
	begin
	fxrstor64 (%rbx)
	call_module
	fxsave64 (%rbx)
	finish
	.size	drv_enter_fxsave, . - drv_enter_fxsave

	.section .note.GNU-stack, "", @progbits
