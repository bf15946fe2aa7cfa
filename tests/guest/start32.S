/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entry from the boot sector, 32-bit kernel: protected mode, flat, no paging.
 * Also the way from one paging mode to another, which must go through
 * "paging off" and so needs code that runs at its physical address.
 */
#include "layout.h"

#define CR0_PE_MP_NE_WP_PG	0x80010023
#define CR0_PG		0x80000000
#define CR4_PSE		0x10
#define PDE_LARGE	0x83		/* present, writable, 4 MiB */
#define LARGE_SIZE	0x400000

	.section .start, "ax"
	.globl	_start
_start:
	/* 1. Clear .bss, which holds the first page directory and the stack. */
	mov	$(bss_start - PHYSMAP), %edi
	mov	$(bss_end - PHYSMAP), %ecx
	sub	%edi, %ecx
	shr	$2, %ecx
	xor	%eax, %eax
	cld
	rep	stosl

	/* 2. All RAM by 4 MiB pages, at its own address and at PHYSMAP. */
	mov	$(boot_dir - PHYSMAP), %edi
	mov	$PDE_LARGE, %eax
1:	mov	%eax, (%edi)
	mov	%eax, (PHYSMAP >> 20)(%edi)
	add	$4, %edi
	add	$LARGE_SIZE, %eax
	cmp	$RAM_SIZE, %eax
	jb	1b

	/* 3. Paging on, to the high half. */
	mov	%cr4, %eax
	or	$CR4_PSE, %eax
	mov	%eax, %cr4
	mov	$(boot_dir - PHYSMAP), %eax
	mov	%eax, %cr3
	mov	$CR0_PE_MP_NE_WP_PG, %eax
	mov	%eax, %cr0
	mov	$high, %eax
	jmp	*%eax
high:
	mov	$boot_stack_top, %esp
	call	kmain
0:	cli
	hlt
	jmp	0b

/*
 * void switch_paging(u32 cr3, u32 cr4): both the old and the new tables map
 * this code at its physical address too.
 */
	.globl	switch_paging
switch_paging:
	mov	4(%esp), %ecx
	mov	8(%esp), %edx
	mov	$(1f - PHYSMAP), %eax
	jmp	*%eax
1:	mov	%cr0, %eax
	and	$~CR0_PG, %eax
	mov	%eax, %cr0
	mov	%edx, %cr4
	mov	%ecx, %cr3
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	mov	$2f, %eax
	jmp	*%eax
2:	ret

	.bss
	.balign	4096
	.globl	boot_dir
boot_dir:
	.skip	4096
	.skip	16384
boot_stack_top:
