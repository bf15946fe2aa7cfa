/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trap cases: segment loads, returns, privileged instructions, I/O, fast system calls. */
#include "trapcase.h"

/* ---- segment loads ---- */
	.macro	LOADSEG name, sel, seg, vec, err
	TRAP	load_\name, \vec, \err
	mov	$\sel, %eax
1:	mov	%eax, %\seg
	END
	.endm
	LOADSEG	np_ds, SEL_NP_DATA, ds, 11, SEL_NP_DATA & ~3
	LOADSEG	np_es, SEL_NP_DATA, es, 11, SEL_NP_DATA & ~3
	LOADSEG	np_gs, SEL_NP_DATA, gs, 11, SEL_NP_DATA & ~3
	LOADSEG	np_ss, SEL_NP_DATA, ss, 12, SEL_NP_DATA & ~3
	LOADSEG	dpl0_ds, SEL_DATA0 | 3, ds, 13, SEL_DATA0
	LOADSEG	rpl_ss, SEL_UDATA & ~3, ss, 13, SEL_UDATA & ~3
	LOADSEG	xonly_ds, SEL_XONLY, ds, 13, SEL_XONLY & ~3
	LOADSEG	readonly_ss, SEL_RODATA, ss, 13, SEL_RODATA & ~3
	LOADSEG	code_ss, SEL_UCODE32, ss, 13, SEL_UCODE32 & ~3
	LOADSEG	tss_ds, SEL_TSS, ds, 13, SEL_TSS
	LOADSEG	beyond_gdt, 0xfffb, fs, 13, 0xfff8
	LOADSEG	no_ldt, 0x0f, es, 13, 0x0c
	LOADSEG	null_ss, 0, ss, 13, 0

	DONE	load_readonly_ds
	mov	$SEL_RODATA, %eax
	mov	%eax, %es
	mov	%es, %ebx
	mov	$SEL_UDATA, %eax
	mov	%eax, %es
	ENDDONE

	DONE	load_null_es
	mov	%ecx, %es
	mov	%es, %ebx
	mov	$SEL_UDATA, %eax
	mov	%eax, %es
	ENDDONE

	TRAP	lret_np_code, 11, SEL_NP_CODE & ~3
	push	$SEL_NP_CODE
	push	$U_BLOB
#ifdef USER64
1:	lretq
#else
1:	lret
#endif
	END

	TRAP	lret_kernel, 13, SEL_KCODE
	push	$SEL_KCODE
	push	$U_BLOB
#ifdef USER64
1:	lretq
#else
1:	lret
#endif
	END

	TRAP	lret_null, 13, 0
	push	$3
	push	$U_BLOB
#ifdef USER64
1:	lretq
#else
1:	lret
#endif
	END

	TRAP	iret_kernel, 13, SEL_KCODE
	push	$SEL_KDATA
	push	$U_DATA
	pushf
	push	$SEL_KCODE
	push	$U_BLOB
#ifdef USER64
1:	iretq
#else
1:	iret
#endif
	END

	DONE	iret_user			/* to the next line, with carry and AC set */
	mov	_sp, _bx
	push	$SEL_UDATA
	push	_bx
	pushf
	orl	$0x40001, (_sp)
	push	$USER_CS
#ifdef USER64
	lea	2f(%rip), %rax
	push	%rax
	iretq
#else
	call	3f
3:	addl	$2f - 3b, (%esp)
	iret
#endif
2:	pushf
	pop	_dx
	ENDDONE

/* ---- privileged instructions ---- */
	.macro	PRIV name, insn:vararg
	TRAP	priv_\name, 13
1:	\insn
	END
	.endm
	PRIV	hlt, hlt
	PRIV	cli, cli
	PRIV	sti, sti
	PRIV	lgdt, lgdt U_DATA
	PRIV	lidt, lidt U_DATA
	PRIV	lldt, lldt %ax
	PRIV	ltr, ltr %ax
	PRIV	lmsw, lmsw %ax
	PRIV	clts, clts
	PRIV	read_cr0, mov %cr0, _ax
	PRIV	read_cr3, mov %cr3, _ax
	PRIV	write_cr4, mov _ax, %cr4
	PRIV	read_dr0, mov %dr0, _ax
	PRIV	write_dr7, mov _ax, %dr7
	PRIV	invd, invd
	PRIV	wbinvd, wbinvd
	PRIV	invlpg, invlpg U_DATA
	PRIV	rdmsr, rdmsr
	PRIV	wrmsr, wrmsr
	PRIV	rdpmc, rdpmc
	PRIV	sysexit, .byte 0x0f, 0x35
	PRIV	in_byte, inb $0x60, %al
	PRIV	in_dx, inw %dx, %ax
	PRIV	out_byte, outb %al, $0x80
	PRIV	out_dx, outl %eax, %dx
	PRIV	insb, insb
	PRIV	outsl, outsl
	PRIV	xsetbv, xsetbv
#ifdef USER64
	PRIV	swapgs, swapgs
	PRIV	sysret, sysretq
#endif

	TRAP	rdtsc_tsd, 13, 0, F_TSD
1:	rdtsc
	END

	TRAP	xgetbv_5, 13
	mov	$5, %ecx
1:	xgetbv
	END

	TRAP	insn_too_long, 13
1:	.fill	15, 1, 0x66
	nop
	END

	DONE	insn_15_bytes
	.fill	14, 1, 0x66
	nop
	ENDDONE

/* ---- I/O by bitmap and by IOPL; flags that need IOPL ---- */
	DONE	io_bitmap_allows, F_IOPB
	in	$0xe9, %al
	ENDDONE

	TRAP	io_bitmap_half, 13, 0, F_IOPB	/* only the first of the two ports */
	nop
1:	in	$0xe9, %ax
	END

	DONE	io_iopl3, F_IOPL3
	in	$0xe9, %al
	ENDDONE

	DONE	iopl3_cli, F_IOPL3
	cli
	pushf
	pop	_dx
	mov	$1000, %ecx
2:	loop	2b
	sti
	pushf
	pop	_bx
	ENDDONE

	DONE	iopl3_cli_stays, F_IOPL3
	cli
	mov	$1000, %ecx
2:	loop	2b
	ENDDONE

	DONE	iopl3_popf, F_IOPL3
	push	$0x3002			/* IF off, IOPL stays */
	popf
	pushf
	pop	_dx
	ENDDONE

	DONE	popf_keeps_if_iopl
	push	$0x3002
	popf
	pushf
	pop	_dx
	ENDDONE

	DONE	popf_all
	push	$0x244ad7		/* ID, AC, DF and the arithmetic ones */
	popf
	pushf
	pop	_dx
	ENDDONE

	DONE	popf_nt
	pushf
	orl	$0x4000, (_sp)
	popf
	pushf
	pop	_dx
	ENDDONE

/* ---- fast system calls ---- */
#ifdef USER64
	TRAP	syscall, VEC_SYSCALL
	syscall
1:
	END

	TRAP	syscall_tf, VEC_SYSCALL
	set_tf
	syscall
1:
	END
#else
	DONE	salc_and_bcd
	stc
	.byte	0xd6			/* SALC */
	mov	$0x38, %al
	add	$0x45, %al
	daa
	add	$1, %dl			/* DAA leaves OF undefined */
	ENDDONE
#endif

	TRAPAT	sysenter, VEC_SYSENTER, 0, 0, F_ABS
	sysenter
	END
