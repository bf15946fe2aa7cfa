/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The code page of a container; see stub.h.  Position independent, no stack, no
 * store.  The tracer enters at one of the labels by setting all registers, and gets
 * control back by the trap at the end.
 *
 * stub_batch:	RBX  first command		R12  how many, at least 1
 *		R15  the secret that the filter wants, in bits 63:32
 * stub_call:	the registers of one system call, and R12 = 1
 * stub_popf:	RSP  address of the flags to load
 *
 * Back by INT3 with R12 = 0 if all went well, by UD2 if a call failed: then RAX
 * is its -errno, and R12 counts the commands not done, it included.
 */
#include "stub.h"

	.section .rodata.plex86_stub, "a", @progbits
	.balign 64
	.globl stub_start, stub_batch, stub_call, stub_called, stub_popf
	.globl stub_icebp, stub_intn, stub_avx512, stub_avx, stub_end
	.hidden stub_start, stub_batch, stub_call, stub_called, stub_popf
	.hidden stub_icebp, stub_intn, stub_avx512, stub_avx, stub_end

stub_start:
stub_batch:
	/* 1. Load the arguments of the next command. */
	mov	STUB_CMD_NR(%rbx), %rax
	mov	STUB_CMD_RDI(%rbx), %rdi
	mov	STUB_CMD_RSI(%rbx), %rsi
	mov	STUB_CMD_RDX(%rbx), %rdx
	mov	STUB_CMD_R10(%rbx), %r10
	mov	STUB_CMD_R8(%rbx), %r8
	mov	STUB_CMD_R9(%rbx), %r9
	/* 2. No call of ours uses the upper half of R8: there goes the secret. */
	or	%r15, %r8
	/* 3. The only SYSCALL of the page; the filter knows its place in the page. */
stub_call:
	syscall
stub_called:
	/* 4. Failed? */
	cmp	$-STUB_MAX_ERRNO, %rax
	jae	1f
	/* 5. Next one, or back to the tracer. */
	add	$STUB_CMD_SIZE, %rbx
	dec	%r12
	jnz	stub_batch
	int3
1:	ud2

	/* Flags that ptrace can't set (EFLAGS.ID). */
stub_popf:
	popfq
	int3

	/* Where does RIP point when ICEBP traps?  Not the same on all hosts. */
stub_icebp:
	.byte	0xf1
	int3

	/* And when INT n does?  A fault leaves it on the instruction. */
stub_intn:
	int	$0x21
	int3

	/* Where are the components that the kernel was given?  See vec.c. */
stub_avx512:
	kmovw	%k3, %esi
	vmovq	%xmm17, %rbx
	vextracti64x4 $1, %zmm2, %ymm2
	vmovq	%xmm2, %rdx
stub_avx:
	vextractf128 $1, %ymm1, %xmm1
	vmovq	%xmm1, %rcx
	int3
stub_end:

	.section .note.GNU-stack, "", @progbits
