# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A floppy's boot sector: says that it runs on Bochs's debug port, then switches
# the machine off.  0xe9 prints a character (iodev/unmapped.cc); the word
# "Shutdown" on port 0x8900 ends Bochs.
	.code16
	.globl	_start
_start:
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	$message, %si
	movw	$0xe9, %dx
1:	lodsb
	testb	%al, %al
	jz	2f
	outb	%al, %dx
	jmp	1b
2:	movw	$shutdown, %si
	movw	$0x8900, %dx
3:	lodsb
	testb	%al, %al
	jz	4f
	outb	%al, %dx
	jmp	3b
4:	hlt
	jmp	4b

message:
	.asciz	"boot sector reached\n"
shutdown:
	.asciz	"Shutdown"

	.org	510
	.word	0xaa55
