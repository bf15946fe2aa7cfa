/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For assembler that is the same program in 32- and 64-bit mode: _ax is the
 * full register, WORD its size, PTR the directive for a pointer of the kernel's,
 * and the markers of user code.  With -DCOMPAT the 64-bit image's is 32-bit code.
 */
#ifndef GUEST_REGS_H
#define GUEST_REGS_H

#include "layout.h"

#ifdef __x86_64__
#define PTR .quad
#else
#define PTR .long
#endif

#if defined(__x86_64__) && !defined(COMPAT)
#define USER64
#endif

#ifdef USER64
#define _ax %rax
#define _bx %rbx
#define _cx %rcx
#define _dx %rdx
#define _si %rsi
#define _di %rdi
#define _bp %rbp
#define _sp %rsp
#define WORD 8
#define USER_CS SEL_UCODE64
#else
#define _ax %eax
#define _bx %ebx
#define _cx %ecx
#define _dx %edx
#define _si %esi
#define _di %edi
#define _bp %ebp
#define _sp %esp
#define WORD 4
#define USER_CS SEL_UCODE32
#endif

/*
 * The end of a program, for run() as good as INT 0x80, which keeps its page from running natively
 * where the host has it for itself: in 64-bit code it is an UD1 that nobody else has.
 */
	.macro	finish
#ifdef __x86_64__
	.byte	FINISH_0, FINISH_1, FINISH_2		/* ud1 %ebp, %ebp */
#else
	int	$VEC_INT80
#endif
	.endm

#endif /* GUEST_REGS_H */
