/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest programs of the conformance suite, in the order of the tests that use
 * them.  Each ends in the instruction that must trap; where something runs
 * before that, a second label ..._trap says where it is.  Both blobs are copied
 * into guest memory, so everything is position independent.
 *
 * Registers on entry as init_cpu64() and init_cpu32() set them unless a test says
 * otherwise.
 */
	.macro	prog name
	.globl	\name
	.hidden	\name
\name:
	.endm

	.section .rodata.guest, "a", @progbits
	.balign	64

/* ------------------------------------------------------------- 64-bit */
	.code64
prog guest64_start

/* Instructions that trap, one by one, with all registers as they came. */
prog g64_syscall
	syscall
prog g64_int80
	int	$0x80
prog g64_int3
	int3
prog g64_cd03
	.byte	0xcd, 0x03
prog g64_cd04
	.byte	0xcd, 0x04
prog g64_icebp
	.byte	0xf1
prog g64_icebp_twice
	.byte	0xf1, 0xf1
prog g64_hlt
	hlt
prog g64_cli
	cli
prog g64_sti
	sti
prog g64_in
	inb	%dx, %al
prog g64_out
	outb	%al, $0x80
prog g64_insb
	insb
prog g64_rdmsr
	rdmsr
prog g64_wrmsr
	wrmsr
prog g64_mov_cr
	mov	%cr0, %rax
prog g64_mov_dr
	mov	%dr7, %rax
prog g64_lgdt
	lgdt	(%rsp)
prog g64_ltr
	ltr	%ax
prog g64_invlpg
	invlpg	(%rsp)
prog g64_wbinvd
	wbinvd
prog g64_clts
	clts
prog g64_xsetbv
	xsetbv
prog g64_swapgs
	swapgs
prog g64_sysret
	sysretq
prog g64_ud2
	ud2
prog g64_push_es			/* no such instruction in 64-bit mode */
	.byte	0x06
prog g64_far_jmp_bad			/* to a selector that is in no table */
	ljmp	*(%rsp)
prog g64_div0
	divl	(%rsp)			/* the stack is zero */
prog g64_load_noncanonical
	mov	(%rax), %rax
prog g64_push_noncanonical
	push	%rax
prog g64_jmp_rax
	jmp	*%rax
prog g64_call_rax
	call	*%rax
prog g64_load_rax
	mov	(%rax), %rcx
prog g64_store_rax
	mov	%rcx, (%rax)
prog g64_load_unaligned
	mov	1(%rsp), %rcx
prog g64_movaps_unaligned
	movaps	1(%rsp), %xmm0
prog g64_rep_movsb
	rep movsb
	hlt
prog g64_int_ff
	int	$0xff
prog g64_iret_kernel			/* to CS 0x10: not a ring 3 segment */
	push	$0x18
	push	%rsp
	pushf
	push	$0x10
	push	$0
prog g64_iret_kernel_trap
	iretq

/* TF by POPF: the trap comes after the instruction that follows it. */
prog g64_popf_tf
	pushf
	orl	$0x100, (%rsp)
	popf
	lea	1(%rbx), %rbx
prog g64_popf_tf_trap
	nop
	hlt

/* An exception of the x87, pending until the next waiting instruction. */
prog g64_mf
	fldcw	(%rsp)			/* the stack is zero: nothing is masked */
	fldz
	fld1
	fdiv	%st(1), %st
prog g64_mf_trap
	fwait
	hlt

/* One of SSE. */
prog g64_xm
	ldmxcsr	(%rsp)
	pxor	%xmm0, %xmm0
prog g64_xm_trap
	divss	%xmm0, %xmm0
	hlt

/* All GPRs, flags, memory: a little work, then a trap. */
prog g64_work
	add	%rax, %rbx
	xchg	%rcx, %rdx
	lea	5(%rsi, %rdi, 2), %r8
	mov	%r9, (%rsp)
	mov	(%rsp), %r10
	bts	$63, %r15
	std
	stc
prog g64_work_trap
	syscall

/* FS and GS base: read through, then written natively. */
prog g64_segs_read
	mov	%fs:0, %rax
	mov	%gs:8, %rbx
	hlt
prog g64_wrbase
	wrfsbase %rax
	wrgsbase %rbx
	hlt
prog g64_load_wrbase
	mov	$0x2b, %ecx
	mov	%ecx, %fs
	mov	%ecx, %gs
	wrfsbase %rax
	wrgsbase %rbx
prog g64_load_wrbase_trap
	hlt
prog g64_load_ds
	mov	$0x2b, %eax
	mov	%eax, %ds
prog g64_load_ds_trap
	hlt

/* Toggle EFLAGS.ID, as programs did to find CPUID. */
prog g64_toggle_id
	pushf
	xorl	$0x200000, (%rsp)
	popf
prog g64_toggle_id_trap
	hlt

/* Vector work: every register of the component, in a way that a test can redo. */
prog g64_xmm_rotate
	movdqa	%xmm0, %xmm15
	paddb	%xmm1, %xmm0
	hlt
prog g64_avx_add
	vpaddb	%ymm1, %ymm0, %ymm0
	hlt
prog g64_avx512_add
	vpaddb	%zmm17, %zmm31, %zmm31
	kmovq	%rax, %k3
	hlt
prog g64_vzeroall
	vzeroall
	hlt

/* Endless loops. */
prog g64_spin
	jmp	g64_spin
prog g64_count				/* [RDI] follows RAX by at most one step */
	inc	%rax
	mov	%rax, (%rdi)
	jmp	g64_count

/* Count, with the relation spread over registers, flags and vectors as well. */
prog g64_relation
	inc	%rax
	lea	(%rax, %rax), %rbx
	movq	%rbx, %xmm3
	mov	%rax, (%rdi)
	jmp	g64_relation

/* Write to the address in RDI, read it back, trap. */
prog g64_store_rdi
	mov	%rsi, (%rdi)
	mov	(%rdi), %rdx
prog g64_store_rdi_trap
	hlt
prog g64_load_rdi
	mov	(%rdi), %rdx
prog g64_load_rdi_trap
	hlt
/* RCX pages from RDI, one word each, summed up in RDX. */
prog g64_sum_pages
	add	(%rdi), %rdx
	add	$4096, %rdi
	dec	%rcx
	jnz	g64_sum_pages
prog g64_sum_pages_trap
	hlt

/* Instructions that a test wants to trap, and others. */
prog g64_marks
	inc	%rax
prog g64_marks_1
	inc	%rax
	inc	%rax
prog g64_marks_2
	lea	(%rax, %rax), %rax
	inc	%rax
prog g64_marks_end
	hlt

/* Sensitive instructions, which trap where the engine says so. */
prog g64_cpuid
	cpuid
prog g64_cpuid_next
	hlt
prog g64_rdtsc
	rdtsc
prog g64_rdtsc_next
	hlt
prog g64_rdtscp
	rdtscp
prog g64_rdtscp_next
	hlt
prog g64_sgdt
	sgdt	-64(%rsp)
prog g64_sgdt_next
	hlt
prog g64_smsw
	smsw	%eax
prog g64_smsw_next
	hlt

/* A system call of the host's, if it got through: getpid, and the 32-bit one. */
prog g64_read_self
	mov	(%rdi), %al
	hlt

/* Far jump to compatibility code and back, as Wine does. */
prog g64_to_compat
	ljmp	*(%rdi)
prog g64_compat_part
	.code32
	inc	%eax
	int3
	.code64

prog guest64_end

/* ------------------------------------------------------------- 32-bit */
	.balign	64
	.code32
prog guest32_start
prog g32_int80
	int	$0x80
prog g32_int3
	int3
prog g32_cd03
	.byte	0xcd, 0x03
prog g32_hlt
	hlt
prog g32_cli
	cli
prog g32_in
	inb	%dx, %al
prog g32_ud2
	ud2
prog g32_icebp
	.byte	0xf1
prog g32_int20
	int	$0x20
prog g32_into
	into
prog g32_into_hlt			/* entered at the HLT too, with OF set */
	hlt
prog g32_bound
	bound	%eax, (%esp)		/* the stack is zero, EAX isn't */
prog g32_div0
	divl	(%esp)
prog g32_load
	mov	(%eax), %ecx
prog g32_store
	mov	%ecx, (%eax)
prog g32_jmp
	jmp	*%eax
prog g32_aam0
	aam	$0
prog g32_push_es_pop
	push	%es
	pop	%es
	hlt
prog g32_rep_movsb
	rep movsb
	hlt
prog g32_work
	add	%eax, %ebx
	xchg	%ecx, %edx
	lea	5(%esi, %edi, 2), %ebp
	push	%ebx
	std
prog g32_work_trap
	int	$0x80
prog g32_gs
	mov	%gs:0x14, %eax
prog g32_gs_store
	movl	$0x55aa, %gs:0x18
prog g32_gs_trap
	int	$0x80
prog g32_gs_reload			/* what it reads, it may load again */
	mov	%gs, %eax
	mov	%eax, %gs
prog g32_gs_reload_use
	mov	%gs:0x14, %ecx
prog g32_gs_reload_trap
	hlt
prog g32_null_fs
	mov	%fs:0, %eax
prog g32_spin
	jmp	g32_spin
prog g32_to_64				/* a far jump by which 32-bit code enters 64-bit mode */
	ljmp	*(%edi)
prog g32_to_64_part
	.code64
	mov	$0x1122334455667788, %r9
prog g32_to_64_trap
	hlt
	.code32
prog g32_load_ds			/* DS:EBX */
	mov	(%ebx), %eax
prog g32_load_ds_trap
	hlt
prog g32_load_es			/* ES:EBX */
	mov	%es:(%ebx), %eax
prog g32_load_es_trap
	hlt
prog g32_store_es
	mov	%eax, %es:(%ebx)
prog g32_store_es_trap
	hlt
prog guest32_end

/* 16-bit code, in the same blob so that one page holds it. */
	.section .note.GNU-stack, "", @progbits
