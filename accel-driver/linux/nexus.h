/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The nexus: the only kernel memory that exists while guest code runs.  It is
 * the text of nexus_asm.S (shared, read-only), one IDT (shared, read-only) and, per
 * vCPU, struct nexus: registers, stacks, TSS, GDT and LDT.  All are mapped in
 * the guest's page tables at the host's own linear addresses, supervisor only,
 * in the upper half that guest user code can't reach.
 *
 * Offsets for the assembler come from nexus-offsets.c; there are none by hand.
 */
#ifndef PLEX86_NEXUS_H
#define PLEX86_NEXUS_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>
#include <asm/desc_defs.h>
#include <asm/page.h>
#include <asm/processor.h>

/*
 * GDT slots.  The code selector is the host's __KERNEL_CS, so that the nexus's
 * interrupt gates are valid under either GDT.  The host's TSS descriptor is
 * written to its own slot on the way back, so that TR gets the host's selector;
 * while the guest runs, the guest's descriptor stands there.
 */
#define NX_GDT_CODE	2
#define NX_GDT_HOST_TSS	8	/* and 9 */
#define NX_GDT_GUEST	120	/* the guest may have the slots below */
#define NX_GDT_DATA	120	/* what VERW names */
#define NX_GDT_LDT	122	/* and 123 */
#define NX_GDT_TSS	124	/* and 125 */
#define NX_GDT_SLOTS	126	/* as many as leave all hot data in one page */
#define NX_LDT_SLOTS	1536

#define NX_TSS_AVAILABLE	0x89	/* access byte: present, 64-bit TSS, not busy */
#define NX_ERROR_CODE_VECTORS	0x60227d00u	/* 8, 10-14, 17, 21, 29, 30 push one */

#define NX_PENDING_NMI	1	/* nexus.pending */
#define NX_PENDING_MC	2

#define NX_ABORT_FAULT	1	/* nexus.abort: the CPU refused to load guest state */
#define NX_ABORT_RETRY	2	/* given up for an NMI; the frame is untouched */

/*
 * Guest registers as pushed and popped by nexus_asm.S: in the order of
 * plex86_cpu.gpr, then what the CPU itself pushes.
 */
struct nexus_frame {
	u64 gpr[16];		/* [4], RSP's place, is not used: see rsp */
	u64 vector;
	u64 error_code;
	u64 rip, cs, rflags, rsp, ss;
};

struct nexus {
	struct nexus *self;	/* for code that came in through the alias */
	u64 host_rsp;
	u64 host_cr3;
	u64 host_cr4;
	u64 guest_cr3;
	u64 guest_cr4;
	u64 cr4_keep, cr4_on, cr4_guest;	/* of the host's, always on, of the guest's */
	u64 entry_rsp;		/* &frame, or its alias for 16-bit stacks */
	u64 host_fs_base, host_gs_base;
	u64 fs_base, gs_base;
	u16 host_sel[4];	/* DS, ES, FS, GS: one word to test */
	u16 sel[4];
	u16 host_ldt, host_tr;
	u16 ldt;		/* the guest's LDT selector in our GDT, or 0 */
	struct desc_ptr host_idtr __aligned(8);
	struct desc_ptr host_gdtr __aligned(8);
	struct desc_ptr idtr __aligned(8);
	struct desc_ptr gdtr __aligned(8);
	u64 host_tss[2];	/* the host's TSS descriptor, marked available */
	u64 slot8[2];		/* the guest's descriptors in that place */
	u64 cr2;
	u64 spec_ctrl;		/* to write after an exit, or 0 */
	u32 has_fsgsbase;
	u32 clear_buffers;	/* VERW before entry */
	u32 verw_sel;
	u32 pending;		/* NX_PENDING_* */
	u32 abort;		/* NX_ABORT_* */
	u32 db_seen;		/* #DBs taken by the nexus itself */
	u64 abort_vector, abort_error, abort_rip;
	u32 nmi_commit, nmi_nexus, nmi_mixed;	/* where NMIs struck */

	u64 gdt[NX_GDT_SLOTS] __aligned(16);
	u8 entry_stack[256];	/* for events in the nexus itself; grows down */
	u64 pad;		/* the CPU aligns its pushes to 16 bytes */
	struct nexus_frame frame;
	u8 ist_df[384] __aligned(16);
	u8 ist_nmi[384] __aligned(16);
	u8 ist_mc[384] __aligned(16);
	struct x86_hw_tss tss __aligned(128);

	u64 ldt_table[NX_LDT_SLOTS] __aligned(PAGE_SIZE);
};

static_assert(sizeof(struct nexus) == 4 * PAGE_SIZE);
static_assert(offsetof(struct nexus, ldt_table) == PAGE_SIZE);
static_assert(offsetofend(struct nexus, frame) % 16 == 0);
static_assert(offsetof(struct nexus, sel) == offsetof(struct nexus, host_sel) + 8);

/* nexus_asm.S */
extern char nexus_text[], nexus_text_end[], nexus_stubs[], nexus_committed[];
void nexus_enter(struct nexus *nx);
void nexus_call_gate(unsigned long handler);
#define NX_STUB_SIZE 16

#endif /* PLEX86_NEXUS_H */
