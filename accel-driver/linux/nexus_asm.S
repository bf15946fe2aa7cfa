/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world switch.  nexus_enter() leaves the host for guest user code; the
 * first exception or interrupt of any kind comes back through a stub and
 * returns from nexus_enter().  Interrupts are off from call to return.
 *
 * NMIs and machine checks can't be kept off, so order is everything: our IDT is
 * loaded first and given back last, which makes it the envelope of all states
 * in between (host GDT or ours, host TSS or ours, host CR3 or ours).  Its gates
 * are good in each of them: the code selector is valid in both GDTs, the stack
 * numbers (IST) of NMI and machine check are good in both TSSs, and our TSS is
 * never current without a CR3 that maps its stacks.
 *
 * All memory that is touched under the guest's CR3 is this text, the IDT and
 * struct nexus.  RBX points to the latter wherever a comment does not say else.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/unwind_hints.h>
#include <asm/trapnr.h>
#include "nexus-offsets.h"

#define RETURN_STACK_ENTRIES 32	/* no CPU without SMEP predicts more; the kernel's own filling has as many */

	.section .text.nexus, "ax", @progbits
	.balign	4096, 0xcc
	.globl nexus_text
nexus_text:
	ANNOTATE_NOENDBR

/* void nexus_enter(struct nexus *): see above; clobbers as any C function */
	.globl nexus_enter
	.type nexus_enter, @function
	STACK_FRAME_NON_STANDARD nexus_enter	/* all up to nexus_text_end */
nexus_enter:
	/* 1. Save what C expects to keep, and where the stack is. */
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	pushfq
	mov	%rdi, %rbx
	mov	%rsp, NX_HOST_RSP(%rbx)

	/* 2. Save the host's segments and bases. */
	mov	%ds, NX_HOST_SEL+0(%rbx)
	mov	%es, NX_HOST_SEL+2(%rbx)
	mov	%fs, NX_HOST_SEL+4(%rbx)
	mov	%gs, NX_HOST_SEL+6(%rbx)
	sldt	NX_HOST_LDT(%rbx)
	testl	$1, NX_HAS_FSGSBASE(%rbx)
	jz	1f
	rdfsbase %rax
	rdgsbase %rdx
	mov	%rax, NX_HOST_FS_BASE(%rbx)
	mov	%rdx, NX_HOST_GS_BASE(%rbx)
	jmp	2f
1:	mov	$MSR_FS_BASE, %ecx
	rdmsr
	mov	%eax, NX_HOST_FS_BASE(%rbx)
	mov	%edx, NX_HOST_FS_BASE+4(%rbx)
	mov	$MSR_GS_BASE, %ecx
	rdmsr
	mov	%eax, NX_HOST_GS_BASE(%rbx)
	mov	%edx, NX_HOST_GS_BASE+4(%rbx)
2:
	/* 3. Our IDT: from here on every event is ours. */
	lidt	NX_IDTR(%rbx)

	/* 4. Our GDT with the guest's descriptors; our TSS, for our stacks. */
	mov	NX_SLOT8(%rbx), %rax
	mov	NX_SLOT8+8(%rbx), %rdx
	mov	%rax, NX_GDT_HOST_TSS_AT(%rbx)
	mov	%rdx, NX_GDT_HOST_TSS_AT+8(%rbx)
	lgdt	NX_GDTR(%rbx)
	movb	$NX_TSS_AVAILABLE, NX_TSS_TYPE_AT(%rbx)
	mov	$NX_SEL_TSS, %eax
	ltr	%ax

	/* 5. LDT and data segments; null to null needs no load (64-bit code). */
	mov	NX_LDT(%rbx), %ax
	mov	%eax, %edx
	or	NX_HOST_LDT(%rbx), %dx
	jz	1f
	lldt	%ax
1:	mov	NX_SEL(%rbx), %rax
	or	NX_HOST_SEL(%rbx), %rax
	jz	2f
	mov	NX_SEL+0(%rbx), %ds
	mov	NX_SEL+2(%rbx), %es
	mov	NX_SEL+4(%rbx), %fs
	mov	NX_SEL+6(%rbx), %gs
2:
	/* 6. The bases after the selectors, which overwrite them. */
	testl	$1, NX_HAS_FSGSBASE(%rbx)
	jz	1f
	mov	NX_FS_BASE(%rbx), %rax
	mov	NX_GS_BASE(%rbx), %rdx
	wrfsbase %rax
	wrgsbase %rdx
	jmp	2f
1:	mov	$MSR_FS_BASE, %ecx
	mov	NX_FS_BASE(%rbx), %eax
	mov	NX_FS_BASE+4(%rbx), %edx
	wrmsr
	mov	$MSR_GS_BASE, %ecx
	mov	NX_GS_BASE(%rbx), %eax
	mov	NX_GS_BASE+4(%rbx), %edx
	wrmsr
2:
	/* 7. The guest's control bits, then its address space. */
	mov	NX_GUEST_CR4(%rbx), %rax
	cmp	NX_HOST_CR4(%rbx), %rax
	je	1f
	mov	%rax, %cr4
1:	mov	NX_GUEST_CR3(%rbx), %rax
	mov	%rax, %cr3

	/*
	 * 8. Commit.  An NMI up to here was noted; one from here to the IRETQ
	 * (nexus_commit .. nexus_committed) makes its stub give the entry up,
	 * so that none waits while the guest runs.
	 */
nexus_commit:
	testl	$-1, NX_PENDING(%rbx)
	jnz	nexus_give_up
	testl	$1, NX_CLEAR_BUFFERS(%rbx)
	jz	1f
	verw	NX_VERW_SEL(%rbx)
1:	mov	NX_ENTRY_RSP(%rbx), %rsp
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rbx			/* RBX is the guest's from here */
	lea	8(%rsp), %rsp
	pop	%rbp
	pop	%rsi
	pop	%rdi
	pop	%r8
	pop	%r9
	pop	%r10
	pop	%r11
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	lea	16(%rsp), %rsp		/* vector, error code */
nexus_iretq:
	iretq
	.globl nexus_committed
nexus_committed:
	ANNOTATE_NOENDBR	/* an address to compare with */
	ud2

nexus_give_up:
	movl	$NX_ABORT_RETRY, NX_ABORT(%rbx)
	jmp	nexus_to_host

/*
 * All stubs come here: vector, error code and the CPU's frame are on the stack,
 * RBX is not ours.
 */
	.balign 16
nexus_event:
	cmpl	$NX_HOST_CS, EV_CS(%rsp)
	je	nexus_inside

	/* 1. From the guest: complete the frame. */
nexus_from_guest:
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%r11
	push	%r10
	push	%r9
	push	%r8
	push	%rdi
	push	%rsi
	push	%rbp
	push	%rsp			/* keeps the place */
	push	%rbx
	push	%rdx
	push	%rcx
	push	%rax
	cld
	mov	%rsp, %rbx
	and	$-4096, %rbx
	mov	NX_SELF(%rbx), %rbx

	/* 2. NMI, machine check and double fault came on their own stacks. */
	lea	NX_FRAME(%rbx), %rdi
	cmp	%rdi, %rsp
	je	1f
	mov	%rsp, %rsi
	mov	$FRAME_WORDS, %ecx
	rep movsq
1:
	/* 3. What the next event would overwrite. */
	mov	%cr2, %rax
	mov	%rax, NX_CR2(%rbx)
	mov	%ds, NX_SEL+0(%rbx)
	mov	%es, NX_SEL+2(%rbx)
	mov	%fs, NX_SEL+4(%rbx)
	mov	%gs, NX_SEL+6(%rbx)

	/* 4. CR4 with the host's FSGSBASE first, then the guest's bases. */
	mov	NX_HOST_CR4(%rbx), %rax
	cmp	NX_GUEST_CR4(%rbx), %rax
	je	1f
	mov	%rax, %cr4
1:	testl	$1, NX_HAS_FSGSBASE(%rbx)
	jz	1f
	rdfsbase %rax
	rdgsbase %rdx
	mov	%rax, NX_FS_BASE(%rbx)
	mov	%rdx, NX_GS_BASE(%rbx)
	jmp	nexus_to_host
1:	mov	$MSR_FS_BASE, %ecx
	rdmsr
	mov	%eax, NX_FS_BASE(%rbx)
	mov	%edx, NX_FS_BASE+4(%rbx)
	mov	$MSR_GS_BASE, %ecx
	rdmsr
	mov	%eax, NX_GS_BASE(%rbx)
	mov	%edx, NX_GS_BASE+4(%rbx)

/*
 * Back to the host from any mixture of states behind our IDT.
 */
nexus_to_host:
	/* 1. CR3 first: with it, the host's stack exists. */
	mov	NX_HOST_CR3(%rbx), %rax
	mov	%rax, %cr3
	mov	NX_HOST_RSP(%rbx), %rsp
	/* CR4 is the host's already, but where an entry was given up: reading it is cheap. */
	mov	NX_HOST_CR4(%rbx), %rax
	mov	%cr4, %rdx
	cmp	%rdx, %rax
	je	1f
	mov	%rax, %cr4
1:
	/* 2. Branch history and predictors, before the first RET or indirect jump. */
	UNTRAIN_RET
	PLEX86_CLEAR_BRANCH_HISTORY
	mov	NX_SPEC_CTRL(%rbx), %rax
	test	%rax, %rax
	jz	1f
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
1:
	/* 3. The host's TSS, by a copy of its descriptor in its slot of our GDT. */
	mov	NX_HOST_TSS(%rbx), %rax
	mov	NX_HOST_TSS+8(%rbx), %rdx
	mov	%rax, NX_GDT_HOST_TSS_AT(%rbx)
	mov	%rdx, NX_GDT_HOST_TSS_AT+8(%rbx)
	ltr	NX_HOST_TR(%rbx)

	/* 4. The host's GDT and segments; SS stays null until plex86_switch_end(). */
	lgdt	NX_HOST_GDTR(%rbx)
nexus_host_segments:
	mov	NX_HOST_LDT(%rbx), %ax
	mov	%eax, %edx
	or	NX_LDT(%rbx), %dx
	jz	1f
	lldt	%ax
1:	mov	NX_SEL(%rbx), %rax
	or	NX_HOST_SEL(%rbx), %rax
	jz	2f
	mov	NX_HOST_SEL+0(%rbx), %ds
	mov	NX_HOST_SEL+2(%rbx), %es
	mov	NX_HOST_SEL+4(%rbx), %fs
	mov	NX_HOST_SEL+6(%rbx), %gs
nexus_host_segments_end:
2:	testl	$1, NX_HAS_FSGSBASE(%rbx)
	jz	1f
	mov	NX_HOST_FS_BASE(%rbx), %rax
	mov	NX_HOST_GS_BASE(%rbx), %rdx
	wrfsbase %rax
	wrgsbase %rdx
	jmp	2f
1:	mov	$MSR_FS_BASE, %ecx
	mov	NX_HOST_FS_BASE(%rbx), %eax
	mov	NX_HOST_FS_BASE+4(%rbx), %edx
	wrmsr
	mov	$MSR_GS_BASE, %ecx
	mov	NX_HOST_GS_BASE(%rbx), %eax
	mov	NX_HOST_GS_BASE+4(%rbx), %edx
	wrmsr
2:
	/*
	 * 5. Calls that nobody returns to, so that none of our RETs is predicted to go where guest
	 * code called from; with SMEP the CPU executes nothing there.
	 */
	ALTERNATIVE "", "jmp nexus_return_stack_filled", X86_FEATURE_SMEP
	mov	$RETURN_STACK_ENTRIES/2, %eax
1:	ANNOTATE_INTRA_FUNCTION_CALL
	call	2f
	int3
2:	ANNOTATE_INTRA_FUNCTION_CALL
	call	3f
	int3
3:	add	$16, %rsp
	dec	%eax
	jnz	1b
	lfence
nexus_return_stack_filled:

	/* 6. The IDT last: from here on events are the host's again. */
	lidt	NX_HOST_IDTR(%rbx)
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	RET

/*
 * An event while in the nexus itself: NMI, machine check, a #DB that a MOV SS
 * carried over the ring change, or the CPU's refusal of guest state.
 */
nexus_inside:
	/* Virtual-8086 selectors can look like ours (QEMU lets IRET go there), but RIP can't. */
	testl	$X86_EFLAGS_VM, EV_RFLAGS(%rsp)
	jz	1f
	cmpq	$0, EV_RIP(%rsp)
	jge	nexus_from_guest
1:
	push	%rax
	push	%rcx
	push	%rbx

	/*
	 * 1. Find the nexus: in RBX with the host's TSS, and before the commit
	 * window or in a host helper that nexus_to_host calls (both below it);
	 * else the stack is in it, or in its alias.
	 */
	str	%ax
	cmp	$NX_SEL_TSS, %ax
	jne	1f
	lea	nexus_commit(%rip), %rcx
	cmp	%rcx, 24+EV_RIP(%rsp)
	jb	2f
	mov	%rsp, %rbx
	and	$-4096, %rbx
	mov	NX_SELF(%rbx), %rbx
	jmp	2f
1:	incl	NX_NMI_MIXED(%rbx)
2:
	/* 2. What is it? */
	cmpb	$X86_TRAP_NMI, 24(%rsp)
	je	nexus_inside_nmi
	cmpb	$X86_TRAP_MC, 24(%rsp)
	je	nexus_inside_mc
	cmpb	$X86_TRAP_DB, 24(%rsp)
	je	nexus_inside_db
	/*
	 * A fault (the stack is not needed any more).  At a load of the host's selectors: that
	 * segment has gone, and null it shall be, as by Linux's own loads.  Not again from the
	 * beginning, as with the host's GDT its TSS is busy.
	 */
	lea	nexus_host_segments(%rip), %rax
	cmp	%rax, 24+EV_RIP(%rsp)
	jb	1f
	lea	nexus_host_segments_end(%rip), %rax
	cmp	%rax, 24+EV_RIP(%rsp)
	jae	1f
	movq	$0, NX_HOST_SEL(%rbx)
	mov	NX_HOST_RSP(%rbx), %rsp
	jmp	nexus_host_segments
	/* Else at one of the guest's: it was not entered, or nexus_committed tells. */
1:	mov	24(%rsp), %rax
	mov	%rax, NX_ABORT_VECTOR(%rbx)
	mov	32(%rsp), %rax
	mov	%rax, NX_ABORT_ERROR(%rbx)
	mov	24+EV_RIP(%rsp), %rax
	mov	%rax, NX_ABORT_RIP(%rbx)
	movl	$NX_ABORT_FAULT, NX_ABORT(%rbx)
	jmp	nexus_to_host

nexus_inside_db:
	xor	%eax, %eax
	mov	%rax, %dr7
	incl	NX_DB_SEEN(%rbx)
	jmp	nexus_resume
nexus_inside_mc:
	orl	$NX_PENDING_MC, NX_PENDING(%rbx)
	jmp	1f
nexus_inside_nmi:
	orl	$NX_PENDING_NMI, NX_PENDING(%rbx)
1:	incl	NX_NMI_NEXUS(%rbx)
	/* 3. In the commit window: give the entry up; its frame is untouched. */
	lea	nexus_commit(%rip), %rax
	cmp	%rax, 24+EV_RIP(%rsp)
	jb	nexus_resume
	lea	nexus_committed(%rip), %rax
	cmp	%rax, 24+EV_RIP(%rsp)
	jae	nexus_resume
	incl	NX_NMI_COMMIT(%rbx)
	jmp	nexus_give_up

	/*
	 * 4. Go on where it struck, without IRET, so that NMIs stay blocked
	 * until the host's own handler has run: RIP, RFLAGS and RAX go below
	 * the interrupted stack pointer and are popped there.
	 */
nexus_resume:
	pop	%rbx
	pop	%rcx
	mov	8+EV_RSP(%rsp), %rax
	push	8+EV_RIP(%rsp)
	pop	-8(%rax)
	push	8+EV_RFLAGS(%rsp)
	pop	-16(%rax)
	push	(%rsp)
	pop	-24(%rax)
	lea	-24(%rax), %rsp
	pop	%rax
	popfq
	ANNOTATE_UNRET_SAFE	/* the thunk is not mapped here, and the CPU came by interrupt */
	ret
	int3

/* One stub per vector: vector and error code (a zero where the CPU has none). */
	.balign NX_STUB_SIZE
	.globl nexus_stubs
nexus_stubs:
	.set	vector, 0
	.rept	256
	.balign	NX_STUB_SIZE
	endbr64
	.if vector >= 32 || !((NX_ERROR_CODE_VECTORS >> (vector & 31)) & 1)
	push	$0
	.endif
	pushq	$vector
	jmp	nexus_event
	.set	vector, vector + 1
	.endr
	ANNOTATE_NOENDBR
	.size	nexus_enter, . - nexus_enter
	.balign	4096, 0xcc
	.globl nexus_text_end
nexus_text_end:

/*
 * void nexus_call_gate(unsigned long handler): what the CPU does for an
 * interrupt that it has acknowledged already, as it was for the guest.
 */
	.text
	.globl nexus_call_gate
	.type nexus_call_gate, @function
nexus_call_gate:
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	push	$NX_HOST_DS
	push	%rbp
	pushfq
	push	$NX_HOST_CS
	CALL_NOSPEC rdi
	mov	%rbp, %rsp
	pop	%rbp
	RET
	.size	nexus_call_gate, . - nexus_call_gate

	.section .note.GNU-stack, "", @progbits
