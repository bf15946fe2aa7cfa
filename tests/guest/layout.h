/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers that C and the assembler share: where things lie in memory, the
 * selectors, and the offsets of struct uctx (asserted in run.c).
 */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

/* Physical memory. */
#define BOOT_PA		0x7c00		/* boot sector, with the parameters near its end */
#define BOOT_PARAM	0x1d0		/* offset of struct boot_param in the boot sector */
#define LOAD_PA		0x10000		/* the boot sector reads the kernel to here ... */
#define KERNEL_PA	0x200000	/* ... and copies it to here: address bit 20 clear, for the A20 test */
#define RAM_SIZE	0x04000000	/* what the tests count on: 64 MiB */
#define FRAMES_PA	0x00800000	/* first frame of the allocator */
#define TABLE_FRAME_PA	0x02e00000	/* what the page table on the disk maps */

/* Kernel half: all RAM, then the local APIC. */
#ifdef __x86_64__
#define PHYSMAP		0xffffffff80000000
#define USER_TOP	0x00007ffffffff000
#else
#define PHYSMAP		0xc0000000
#define USER_TOP	0xc0000000
#endif
#define LAPIC_PA	0xfee00000
#define LAPIC_VA	(PHYSMAP + 0x10000000)

/* User half, the same in every environment. */
#define U_CODE		0x10000000	/* prologue, then the test's own code */
#define U_BLOB		0x10000010	/* the test's own code */
#define U_CODE_PAGES	4
#define U_DATA		0x10100000
#define U_DATA_PAGES	4
#define U_STACK		0x10200000	/* lowest page of the stack */
#define U_STACK_PAGES	4
#define U_STACK_TOP	(U_STACK + U_STACK_PAGES * 0x1000)
#define U_AGENT		0x10300000	/* agent.S */

/* Pages with something special about them, for the trap tests. */
#define U_RO		0x20000000	/* read-only, then a hole */
#define U_NP		0x20001000
#define U_EDGE		0x20005000	/* writable, then a hole */
#define U_RW_RO		0x20008000	/* writable, then read-only */
#define U_NX		0x2000b000	/* writable, not executable where the tables can say so */
#define U_KERN		0x2000d000	/* supervisor page in the user half */
#define U_RSVD		0x2000f000	/* present, with a reserved bit set */
#define U_TEST		0x30000000	/* free for the test at hand */

/*
 * Selectors; the order is what SYSCALL, SYSRET, SYSENTER and SYSEXIT want.  In long mode
 * the user's are those of Linux: an engine that can have no others runs them under strict=1.
 */
#ifdef __x86_64__
#define SEL_FIRST	0x10
#define SEL_XONLY	0x83		/* user code, execute only */
#define SEL_RODATA	0x7b		/* user data, read-only, expand-down: Linux's for RDPID's kind */
#else
#define SEL_FIRST	0x08
#define SEL_XONLY	0x73
#define SEL_RODATA	0x7b
#endif
#define SEL_KCODE	SEL_FIRST
#define SEL_KDATA	(SEL_FIRST + 0x08)
#define SEL_UCODE32	(SEL_FIRST + 0x13)
#define SEL_UDATA	(SEL_FIRST + 0x1b)
#define SEL_UCODE64	(SEL_FIRST + 0x23)
#define SEL_UDATA2	(SEL_FIRST + 0x2b)		/* SYSEXIT to 64-bit code takes this one */
#define SEL_TSS		(SEL_FIRST + 0x30)		/* 16 bytes in long mode */
#define SEL_LDT		(SEL_FIRST + 0x40)		/* the same */
#define SEL_TEST	(SEL_FIRST + 0x50)		/* first of the slots that tests fill */
#define GDT_SLOTS	64
#ifdef __x86_64__
#define SEL_UCODE	SEL_UCODE64
#else
#define SEL_UCODE	SEL_UCODE32
#endif

/* Slots that the trap tests count on (desc.c fills them). */
#define SEL_NP_DATA	(SEL_FIRST + 0x53)		/* user data, not present */
#define SEL_NP_CODE	(SEL_FIRST + 0x5b)		/* user code, not present */
#define SEL_DATA0	(SEL_FIRST + 0x60)		/* data with DPL 0 */
/* Two more are SEL_XONLY and SEL_RODATA, above. */
#define SEL_CONF	(SEL_FIRST + 0x7b)		/* conforming code with DPL 0 */
#define SEL_GATE	(SEL_FIRST + 0x83)		/* call gate to ring 0; 16 bytes in long mode */
#define SEL_NPGATE	(SEL_FIRST + 0x93)		/* the same, not present */
#define SEL_FREE	(SEL_FIRST + 0xa0)		/* first slot that no table above names */

/* Vectors. */
#define VEC_IRQ		0x20		/* PIC, 16 vectors */
#define VEC_LAPIC	0x30		/* local APIC timer */
#define VEC_SPURIOUS	0x3f
#define VEC_INT80	0x80

/* regs.h, finish */
#define FINISH_0		0x0f
#define FINISH_1		0xb9
#define FINISH_2		0xed
#define VEC_SYSCALL	0x100		/* not vectors of the IDT: */
#define VEC_SYSENTER	0x101
#define VEC_GATE	0x102
#define VEC_BAD_FRAME	0x103		/* IRET could not go to where u says */

/* struct uctx */
#ifdef __x86_64__
#define CTX_CS		(18 * 8)
#define CTX_TOP		(22 * 8)
#define TSS_SP0		4
#else
#define CTX_CS		(15 * 4)
#define CTX_TOP		(19 * 4)
#define TSS_SP0		4
#endif

#endif /* GUEST_LAYOUT_H */
