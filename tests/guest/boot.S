/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Boot sector of a floppy or a hard disk: reads the kernel by the BIOS, track
 * by track, switches to protected mode, copies the kernel to 2 MiB and jumps
 * there.  SECTORS (on the assembler's command line) is the kernel's size.
 *
 * The parameters at BOOT_PARAM are patched into the image by run-guest.
 */
#include "layout.h"

#define BOUNCE	0x8000			/* one track, 63 sectors at most; does not cross a 64 KiB boundary */
#define PM_CODE	0x08
#define PM_DATA	0x10

	.code16
	.section .text
	.globl	boot
boot:
	/* 1. Known segments and a stack below the boot sector. */
	cli
	ljmp	$0, $start
start:
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$BOOT_PA, %sp
	cld
	mov	%dl, drive
	sti

	/* 2. The drive's sectors per track and heads. */
	mov	$0x08, %ah
	int	$0x13
	jc	failed
	and	$63, %cl
	mov	%cl, spt
	inc	%dh
	mov	%dh, heads
	xor	%di, %di
	mov	%di, %es

	/* 3. Sectors lba .. SECTORS, as many at a time as the track has left. */
next:
	mov	lba, %ax
	xor	%dx, %dx
	mov	spt, %cx
	div	%cx			/* ax = track, dx = sector in it */
	sub	%dx, %cx		/* cx = sectors left in the track */
	mov	%cl, count
	mov	%dl, %cl
	inc	%cl			/* sectors count from 1 */
	divb	heads			/* al = cylinder, ah = head */
	mov	%al, %ch
	mov	%ah, %dh
	mov	drive, %dl
	mov	$BOUNCE, %bx
	mov	$0x02, %ah
	mov	count, %al
	int	$0x13
	jnc	read_ok
	xor	%ah, %ah		/* a drive that spins up may fail at first: reset, again */
	mov	drive, %dl
	int	$0x13
	decb	tries
	jnz	next
failed:
	mov	$'D', %al
	out	%al, $0xe9
	hlt

	/* 4. From the bounce buffer to its place. */
read_ok:
	mov	dest, %es
	xor	%di, %di
	mov	$BOUNCE, %si
	movzbw	count, %cx
	mov	%cx, %ax
	shl	$8, %cx			/* words */
	rep	movsw
	xor	%cx, %cx
	mov	%cx, %es
	add	%ax, lba
	shl	$5, %ax			/* paragraphs */
	add	%ax, dest
	cmpw	$SECTORS, lba
	jbe	next

	/* 5. Text cursor and motor are of no more use; A20 on, protected mode. */
	cli
	xor	%al, %al
	mov	$0x3f2, %dx
	out	%al, %dx
	in	$0x92, %al
	or	$2, %al
	and	$0xfe, %al
	out	%al, $0x92
	lgdt	gdtr
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmp	$PM_CODE, $protected

	.code32
protected:
	mov	$PM_DATA, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$LOAD_PA, %esi
	mov	$KERNEL_PA, %edi
	mov	$(SECTORS * 512 / 4), %ecx
	rep	movsl
	mov	$KERNEL_PA, %eax
	jmp	*%eax

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* flat code */
	.quad	0x00cf93000000ffff	/* flat data */
gdtr:
	.word	gdtr - gdt - 1
	.long	gdt
lba:	.word	1			/* sector 0 is this one */
dest:	.word	LOAD_PA >> 4
spt:	.word	0
heads:	.byte	0
drive:	.byte	0
count:	.byte	0
tries:	.byte	5

	.org	BOOT_PARAM		/* struct boot_param, defaults */
	.ascii	"TKP1"
	.long	0xffffffff		/* environments */
	.long	0x3f			/* groups of tests */
	.long	200000			/* spin */
	.long	1			/* seed */
	.long	2000			/* random programs */
	.org	0x1fe
	.word	0xaa55
