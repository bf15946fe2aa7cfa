/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The user program of the coherency tests: one operation per entry, called by
 * ops.c with operands in registers, ended by "finish".  Each spins for cx
 * rounds before the operation and for di rounds after it, so that an
 * accelerator which hands over long bursts has really taken over.  LOOP does
 * not touch the flags.
 */
#include "regs.h"

	.macro	entry name
	.balign	16
	.globl	agent_\name
agent_\name:
1:	loop	1b
	.endm

	.macro	leave_after_spin
	mov	_di, _cx
2:	loop	2b
	finish
	.endm

	.section .user, "a"
	.balign	16
	.globl	agent_start, agent_end
agent_start:
	entry	spin
	leave_after_spin

	entry	load
	mov	(_bx), %eax
	leave_after_spin

	entry	store
	mov	%edx, (_bx)
	leave_after_spin

	entry	rmw
	lock addl %edx, (_bx)
	leave_after_spin

	entry	call
	call	*_bx
	leave_after_spin

	entry	copy
	mov	_dx, _cx
	mov	_bx, _di
	rep	movsb
	mov	_bp, _di
	leave_after_spin
agent_end:
