/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trap cases: exceptions of instructions, software interrupts, privilege. */
#include "trapcase.h"

/* ---- #DE ---- */
	TRAP	de_zero, 0
	mov	$1, %eax
1:	div	%ecx			/* the prologue left cx = 0 */
	END

	TRAP	de_too_big, 0
	mov	$1, %ebx
	mov	$1, %edx
1:	div	%ebx
	END

	TRAP	de_idiv_min, 0
	mov	$0x80000000, %eax
	cltd
	mov	$-1, %ebx
1:	idiv	%ebx
	END

	TRAP	de_byte, 0
	mov	$0x1000, %eax
	mov	$1, %bl
1:	div	%bl
	END

/* ---- #DB by TF, and what is near it ---- */
	.macro	set_tf
	pushf
	orl	$0x100, (_sp)
	popf
	.endm

	TRAP	tf_one_step, 1
	set_tf
	nop
1:	nop
	END

	TRAP	tf_rep, 1
	cld
	mov	$U_DATA, %esi
	mov	$U_DATA + 64, %edi
	mov	$4, %ecx
	set_tf
1:	rep movsb
	END

	TRAP	tf_mov_ss, 1
	mov	%ss, %eax
	set_tf
	mov	%eax, %ss		/* holds the trap back by one instruction */
	nop
1:	nop
	nop
	END

	TRAP	tf_int80, VEC_INT80
	set_tf
	int	$VEC_INT80
1:
	END

	TRAP	tf_popf_clears, 1
	pushf
	set_tf
	popf
1:	nop
	END

	TRAP	tf_branch, 1
	set_tf
	jmp	1f
	nop
1:	nop
	END

	TRAP	tf_fault_first, 14, 4, 0, U_NP
	set_tf
1:	mov	U_NP, %eax
	END

	TRAP	icebp, 1
	.byte	0xf1
1:
	END

/* ---- software interrupts ---- */
	TRAP	int3, 3
	int3
1:
	END

	TRAP	int_3_long, 3
	.byte	0xcd, 3
1:
	END

	TRAP	int_4, 4
	.byte	0xcd, 4
1:
	END

	TRAP	int_0_denied, 13, 0x02
1:	int	$0
	END

	TRAP	int_1_denied, 13, 0x0a
1:	int	$1
	END

	TRAP	int_14_denied, 13, 0x72
1:	int	$14
	END

	TRAP	int_20_denied, 13, 0x102	/* the timer's vector */
1:	int	$0x20
	END

	TRAP	int_ff_denied, 13, 0x7fa
1:	int	$0xff
	END

	DONE	int_80
	ENDDONE

#ifndef __x86_64__
	TRAP	into, 4
	mov	$0x7f, %al
	inc	%al
	into
1:
	END

	DONE	into_not
	into
	ENDDONE

	TRAP	bound, 5
	push	$10
	push	$5
	mov	$20, %eax
1:	bound	%eax, (%esp)
	END

	DONE	bound_not
	push	$10
	push	$5
	mov	$7, %eax
	bound	%eax, (%esp)
	ENDDONE

	TRAP	aam_zero, 0
1:	.byte	0xd4, 0
	END
#endif

/* ---- #UD ---- */
	TRAP	ud2, 6
1:	ud2
	END

	TRAP	ud1, 6
1:	.byte	0x0f, 0xb9, 0xc0
	END

	TRAP	ud0, 6
1:	.byte	0x0f, 0xff, 0xc0
	END

	TRAP	ud_lock_nop, 6
1:	.byte	0xf0, 0x90
	END

	TRAP	ud_lock_load, 6
1:	.byte	0xf0, 0x8b, 0x03
	END

	TRAP	ud_lock_reg, 6
1:	.byte	0xf0, 0x01, 0xc0
	END

	TRAP	ud_mov_cs, 6
1:	.byte	0x8e, 0xc8
	END

	TRAP	ud_rsm, 6
1:	.byte	0x0f, 0xaa
	END

	TRAP	ud_grp8, 6
1:	.byte	0x0f, 0xba, 0xc0, 1
	END

	TRAP	ud_lea_reg, 6
1:	.byte	0x8d, 0xc0
	END

#ifdef __x86_64__
	.macro	GONE64 name, bytes:vararg	/* opcodes that 64-bit mode took away */
	TRAP	ud64_\name, 6
1:	.byte	\bytes
	END
	.endm
	GONE64	push_es, 0x06
	GONE64	pop_ds, 0x1f
	GONE64	daa, 0x27
	GONE64	aaa, 0x37
	GONE64	pusha, 0x60
	GONE64	popa, 0x61
	GONE64	grp1_82, 0x82, 0xc0, 0
	GONE64	call_far, 0x9a, 0, 0, 0, 0, 0x1b, 0
	GONE64	les, 0xc4, 0x00, 0, 0, 0
	GONE64	into, 0xce
	GONE64	aam, 0xd4, 10
	GONE64	salc, 0xd6
	GONE64	jmp_far, 0xea, 0, 0, 0, 0, 0x1b, 0
#endif

/* ---- #NM ---- */
	TRAP	nm_x87, 7, 0, F_TS
1:	fld1
	END

	TRAP	nm_fwait, 7, 0, F_TS
1:	fwait
	END

	TRAP	nm_mmx, 7, 0, F_TS
1:	paddb	%mm0, %mm1
	END

	TRAP	nm_sse, 7, 0, F_TS
1:	movaps	%xmm0, %xmm1
	END

	TRAP	nm_avx, 7, 0, F_TS | F_AVX
1:	vaddps	%ymm0, %ymm1, %ymm2
	END

	TRAP	nm_not_prefetch, VEC_INT80, 0, F_TS	/* these do not touch the FPU */
	sfence
	prefetcht0 U_DATA
	movnti	%eax, U_DATA
	int	$VEC_INT80
1:
	END

/* ---- segment loads ---- */
	.macro	LOADSEG name, sel, seg, vec, err
	TRAP	load_\name, \vec, \err
	mov	$\sel, %eax
1:	mov	%eax, %\seg
	END
	.endm
	LOADSEG	np_ds, SEL_NP_DATA, ds, 11, 0x58
	LOADSEG	np_es, SEL_NP_DATA, es, 11, 0x58
	LOADSEG	np_gs, SEL_NP_DATA, gs, 11, 0x58
	LOADSEG	np_ss, SEL_NP_DATA, ss, 12, 0x58
	LOADSEG	dpl0_ds, SEL_DATA0 | 3, ds, 13, 0x68
	LOADSEG	rpl_ss, SEL_UDATA & ~3, ss, 13, 0x20
	LOADSEG	xonly_ds, SEL_XONLY, ds, 13, 0x70
	LOADSEG	readonly_ss, SEL_RODATA, ss, 13, 0x78
	LOADSEG	code_ss, SEL_UCODE32, ss, 13, 0x18
	LOADSEG	tss_ds, SEL_TSS, ds, 13, 0x38
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

	TRAP	lret_np_code, 11, 0x60
	push	$SEL_NP_CODE
	push	$U_BLOB
#ifdef __x86_64__
1:	lretq
#else
1:	lret
#endif
	END

	TRAP	lret_kernel, 13, SEL_KCODE
	push	$SEL_KCODE
	push	$U_BLOB
#ifdef __x86_64__
1:	lretq
#else
1:	lret
#endif
	END

	TRAP	lret_null, 13, 0
	push	$3
	push	$U_BLOB
#ifdef __x86_64__
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
#ifdef __x86_64__
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
	push	$SEL_UCODE
#ifdef __x86_64__
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
#ifdef __x86_64__
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
#ifdef __x86_64__
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
