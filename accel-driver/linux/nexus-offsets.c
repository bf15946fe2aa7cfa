// SPDX-License-Identifier: GPL-2.0
/* Compiled to assembler only: the numbers in nexus_asm.S, taken from the C layout. */
#include <linux/kbuild.h>
#include "nexus.h"

#define NX(sym, member) OFFSET(NX_##sym, nexus, member)
#define FROM_VECTOR(member) \
	(offsetof(struct nexus_frame, member) - offsetof(struct nexus_frame, vector))

static void __used nexus_offsets(void)
{
	NX(SELF, self);
	NX(HOST_RSP, host_rsp);
	NX(HOST_CR3, host_cr3);
	NX(HOST_CR4, host_cr4);
	NX(GUEST_CR3, guest_cr3);
	NX(GUEST_CR4, guest_cr4);
	NX(ENTRY_RSP, entry_rsp);
	NX(HOST_FS_BASE, host_fs_base);
	NX(HOST_GS_BASE, host_gs_base);
	NX(FS_BASE, fs_base);
	NX(GS_BASE, gs_base);
	NX(HOST_SEL, host_sel);
	NX(SEL, sel);
	NX(HOST_LDT, host_ldt);
	NX(HOST_TR, host_tr);
	NX(LDT, ldt);
	NX(HOST_IDTR, host_idtr);
	NX(HOST_GDTR, host_gdtr);
	NX(IDTR, idtr);
	NX(GDTR, gdtr);
	NX(HOST_TSS, host_tss);
	NX(SLOT8, slot8);
	NX(CR2, cr2);
	NX(SPEC_CTRL, spec_ctrl);
	NX(HAS_FSGSBASE, has_fsgsbase);
	NX(CLEAR_BUFFERS, clear_buffers);
	NX(VERW_SEL, verw_sel);
	NX(PENDING, pending);
	NX(ABORT, abort);
	NX(DB_SEEN, db_seen);
	NX(ABORT_VECTOR, abort_vector);
	NX(ABORT_ERROR, abort_error);
	NX(ABORT_RIP, abort_rip);
	NX(NMI_COMMIT, nmi_commit);
	NX(NMI_NEXUS, nmi_nexus);
	NX(NMI_MIXED, nmi_mixed);
	NX(FRAME, frame);
	DEFINE(NX_GDT_HOST_TSS_AT, offsetof(struct nexus, gdt[NX_GDT_HOST_TSS]));
	DEFINE(NX_TSS_TYPE_AT, offsetof(struct nexus, gdt[NX_GDT_TSS]) + 5);
	DEFINE(NX_SEL_TSS, NX_GDT_TSS * 8);

	DEFINE(FRAME_WORDS, sizeof(struct nexus_frame) / 8);
	/* Offsets from the vector on, as a stub leaves the stack. */
	DEFINE(EV_RIP, FROM_VECTOR(rip));
	DEFINE(EV_CS, FROM_VECTOR(cs));
	DEFINE(EV_RFLAGS, FROM_VECTOR(rflags));
	DEFINE(EV_RSP, FROM_VECTOR(rsp));

	DEFINE(NX_STUB_SIZE, NX_STUB_SIZE);
	DEFINE(NX_ABORT_FAULT, NX_ABORT_FAULT);
	DEFINE(NX_ABORT_RETRY, NX_ABORT_RETRY);
	DEFINE(NX_PENDING_NMI, NX_PENDING_NMI);
	DEFINE(NX_PENDING_MC, NX_PENDING_MC);
	DEFINE(NX_ERROR_CODE_VECTORS, NX_ERROR_CODE_VECTORS);
	DEFINE(NX_TSS_AVAILABLE, NX_TSS_AVAILABLE);
	DEFINE(NX_HOST_CS, __KERNEL_CS);
	DEFINE(NX_HOST_DS, __KERNEL_DS);
}
