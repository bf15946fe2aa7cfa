/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entry from the boot sector, 64-bit kernel: builds the first page tables
 * and goes from flat protected mode to long mode in the high half.
 */
#include "layout.h"

#define CR0_PE_MP_NE_WP_PG	0x80010023
#define CR0_PG		0x80000000
#define BOOT_CODE32	0x18
#define CR4_PAE		0x20
#define MSR_EFER	0xc0000080
#define EFER_LME_NXE	0x900
#define TABLE		0x03		/* present, writable */
#define LARGE		0x83		/* present, writable, 2 MiB */
#define LARGE_SIZE	0x200000

	.section .start, "ax"
	.globl	_start
	.code32
_start:
	/* 1. Clear .bss. */
	mov	$(bss_start - PHYSMAP), %edi
	mov	$(bss_end - PHYSMAP), %ecx
	sub	%edi, %ecx
	shr	$2, %ecx
	xor	%eax, %eax
	cld
	rep	stosl

	/* 2. All RAM by 2 MiB pages, at its own address and at PHYSMAP. */
	mov	$(boot_pd - PHYSMAP), %edi
	mov	$LARGE, %eax
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$LARGE_SIZE, %eax
	cmp	$RAM_SIZE, %eax
	jb	1b
	movl	$(boot_pdpt - PHYSMAP + TABLE), boot_dir - PHYSMAP
	movl	$(boot_pdpt - PHYSMAP + TABLE), boot_dir - PHYSMAP + 511 * 8
	movl	$(boot_pd - PHYSMAP + TABLE), boot_pdpt - PHYSMAP
	movl	$(boot_pd - PHYSMAP + TABLE), boot_pdpt - PHYSMAP + 510 * 8

	/* 3. Long mode on; a far jump to 64-bit code, then to the high half. */
	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$(boot_dir - PHYSMAP), %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME_NXE, %eax
	wrmsr
	mov	$CR0_PE_MP_NE_WP_PG, %eax
	mov	%eax, %cr0
	lgdt	boot_gdtr - PHYSMAP
	ljmp	$SEL_KCODE, $(low64 - PHYSMAP)
	.code64
low64:
	mov	$high, %rax
	jmp	*%rax
high:
	xor	%eax, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$boot_stack_top, %rsp
	call	kmain
0:	cli
	hlt
	jmp	0b

/*
 * void switch_paging(u64 cr3, u64 cr4): both the old and the new tables map this code at its
 * physical address too.  How many levels there are can change only outside of long mode.
 */
	.globl	switch_paging
switch_paging:
	/*
	 * 1. To 32-bit code at the physical address, by a table of descriptors that is there.
	 * What is beyond 32 bits of a register may be lost meanwhile.
	 */
	.irp	reg, rbx, rbp, r12, r13, r14, r15
	push	%\reg
	.endr
	pushf
	cli
	mov	%rsp, old_rsp(%rip)
	sgdt	old_gdtr(%rip)
	lgdt	boot_gdtr(%rip)
	push	$BOOT_CODE32
	push	$(1f - PHYSMAP)
	lretq
	.code32
	/* 2. Out of long mode, and in again. */
1:	mov	%cr0, %eax
	and	$~CR0_PG, %eax
	mov	%eax, %cr0
	mov	%esi, %cr4
	mov	%edi, %cr3
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	ljmp	$SEL_KCODE, $(2f - PHYSMAP)
	.code64
	/* 3. Back to the high half, with the descriptors that there were. */
2:	mov	$3f, %rax
	jmp	*%rax
3:	lgdt	old_gdtr(%rip)
	mov	old_rsp(%rip), %rsp
	popf
	.irp	reg, r15, r14, r13, r12, rbp, rbx
	pop	%\reg
	.endr
	ret

	.balign	8
boot_gdt:
	.quad	0, 0
	.quad	0x00af9b000000ffff	/* SEL_KCODE */
	.quad	0x00cf9b000000ffff	/* BOOT_CODE32 */
boot_gdtr:
	.word	boot_gdtr - boot_gdt - 1
	.quad	boot_gdt - PHYSMAP
old_gdtr:
	.skip	10
	.balign	8
old_rsp:
	.quad	0

	.bss
	.balign	4096
	.globl	boot_dir
boot_dir:
	.skip	4096
boot_pdpt:
	.skip	4096
boot_pd:
	.skip	4096
	.skip	16384
boot_stack_top:
