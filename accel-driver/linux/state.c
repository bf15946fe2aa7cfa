// SPDX-License-Identifier: GPL-2.0
/*
 * Guest registers between struct plex86_cpu, which user space fills, and the
 * nexus, which loads and stores them: what is refused, and what is changed on
 * the way so that no state can hurt the host.
 */
#include <linux/stddef.h>
#include <asm/processor-flags.h>
#include "plex86.h"

/* RFLAGS that ring 3 may have; IF is always on, IOPL 0. */
#define FLAGS_USER	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_OF | \
			 X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_AC | X86_EFLAGS_ID)
#define FLAGS_REFUSED	(X86_EFLAGS_IOPL | X86_EFLAGS_VM | X86_EFLAGS_VIF | X86_EFLAGS_VIP)
#define DR7_ENABLE	0xffull		/* L0 G0 .. L3 G3 */
#define DR7_FIELDS	0xffff0000ull	/* R/W and LEN */
#define DR7_FIXED	0x700ull	/* exact breakpoints, and the bit that is always 1 */
#define DESC_LONG	BIT_ULL(53)	/* L: 64-bit code */
#define DESC_BIG	BIT_ULL(54)	/* D/B: 32-bit code or stack */

static bool sel_ok(u64 sel)
{
	return (sel & 3) == 3;
}

static bool xcr0_ok(u64 x)
{
	u64 avx512 = x & PLEX86_X_AVX512;

	return !(x & ~plex86_host.xcr0) && x & PLEX86_X_X87 &&
	       (!(x & PLEX86_X_AVX) || x & PLEX86_X_SSE) &&
	       (!avx512 || (avx512 == PLEX86_X_AVX512 && x & PLEX86_X_AVX));
}

/* Why not to enter with this state: PLEX86_WHY_*, or 0. */
u32 plex86_state_refused(const struct plex86_cpu *cpu)
{
	if (cpu->mode < PLEX86_MODE_64 || cpu->mode > PLEX86_MODE_32)
		return PLEX86_WHY_MODE;
	if (!(cpu->rflags & X86_EFLAGS_IF) || cpu->rflags & FLAGS_REFUSED)
		return PLEX86_WHY_FLAGS;
	if (!sel_ok(cpu->seg[PLEX86_CS].sel) || !sel_ok(cpu->seg[PLEX86_SS].sel))
		return PLEX86_WHY_SELECTOR;
	if (cpu->cr4 & X86_CR4_OSXSAVE && !xcr0_ok(cpu->xcr0))
		return PLEX86_WHY_XCR0;
	if (cpu->cr4 & X86_CR4_PKE)
		return PLEX86_WHY_PKE;
	return 0;
}

/* Breakpoints on user addresses only: the nexus must never hit one. */
static u64 usable_dr7(const struct plex86_cpu *cpu)
{
	u64 dr7 = cpu->dr7 & (DR7_FIELDS | DR7_ENABLE);
	int i;

	for (i = 0; i < 4; i++)
		if (cpu->dr[i] >= PLEX86_VA_LIMIT - 8 ||
		    (dr7 >> (16 + 4 * i) & 3) == 2)	/* I/O: ring 3 has none */
			dr7 &= ~(3ull << (2 * i));
	return dr7 & DR7_ENABLE ? dr7 | DR7_FIXED : 0;
}

/* The descriptor that a selector names, 0 if none. */
static u64 descriptor(const struct nexus *nx, u16 sel)
{
	unsigned int slot = sel >> 3;

	if (sel & 4)
		return slot < NX_LDT_SLOTS ? nx->ldt_table[slot] : 0;
	if (slot == NX_GDT_HOST_TSS || slot == NX_GDT_HOST_TSS + 1)
		return nx->slot8[slot - NX_GDT_HOST_TSS];
	return slot < NX_GDT_GUEST ? nx->gdt[slot] : 0;
}

/* plex86_cpu -> what the nexus will load */
void plex86_state_import(struct plex86_vcpu *v)
{
	struct plex86_entry *entry = &v->loop.entry;
	const struct plex86_cpu *cpu = &v->loop.run.cpu;
	struct nexus *nx = v->nx;
	struct nexus_frame *f = &nx->frame;
	int i;

	for (i = 0; i < PLEX86_NGPR; i++)
		f->gpr[i] = cpu->gpr[i];
	f->rip = cpu->rip;
	f->cs = cpu->seg[PLEX86_CS].sel;
	f->rflags = (cpu->rflags & FLAGS_USER) | X86_EFLAGS_IF | X86_EFLAGS_FIXED;
	f->rsp = cpu->gpr[PLEX86_RSP];
	f->ss = cpu->seg[PLEX86_SS].sel;
	nx->sel[0] = cpu->seg[PLEX86_DS].sel;
	nx->sel[1] = cpu->seg[PLEX86_ES].sel;
	nx->sel[2] = cpu->seg[PLEX86_FS].sel;
	nx->sel[3] = cpu->seg[PLEX86_GS].sel;
	nx->fs_base = cpu->seg[PLEX86_FS].base;
	nx->gs_base = cpu->seg[PLEX86_GS].base;

	entry->guest_cr4 = cpu->cr4;
	entry->xcr0 = cpu->xcr0;
	entry->cr0_ts = cpu->cr0 & (X86_CR0_TS | X86_CR0_EM);
	entry->dr7 = cpu->dr7 & DR7_ENABLE ? usable_dr7(cpu) : 0;
	for (i = 0; i < 4; i++)
		entry->dr[i] = cpu->dr[i];
}

/* What the nexus stored -> plex86_cpu */
void plex86_state_export(struct plex86_vcpu *v, const struct nexus_frame *f)
{
	struct plex86_cpu *cpu = &v->loop.run.cpu;
	struct nexus *nx = v->nx;
	int i;

	for (i = 0; i < PLEX86_NGPR; i++)
		cpu->gpr[i] = f->gpr[i];
	cpu->gpr[PLEX86_RSP] = f->rsp;
	if (!(descriptor(nx, f->cs) & DESC_LONG))	/* the rest is the alias's */
		cpu->gpr[PLEX86_RSP] = (u32)f->rsp;
	cpu->rip = f->rip;
	/* The CPU sets RF in what a fault pushes; what guest code sets (IRET) says nothing without breakpoints. */
	cpu->rflags = f->rflags & ~X86_EFLAGS_RF;
	cpu->seg[PLEX86_CS].sel = f->cs;
	cpu->seg[PLEX86_SS].sel = f->ss;
	cpu->seg[PLEX86_DS].sel = nx->sel[0];
	cpu->seg[PLEX86_ES].sel = nx->sel[1];
	cpu->seg[PLEX86_FS].sel = nx->sel[2];
	cpu->seg[PLEX86_GS].sel = nx->sel[3];
	cpu->seg[PLEX86_FS].base = nx->fs_base;
	cpu->seg[PLEX86_GS].base = nx->gs_base;
}

/*
 * Where the nexus pops the guest's registers: the frame, or with a 16-bit stack
 * an alias of it.  Then IRETQ leaves the upper half of ESP as it was in the
 * nexus, so the alias's address has the guest's bits there.
 */
void plex86_state_choose_stack(struct plex86_vcpu *v)
{
	struct nexus *nx = v->nx;

	if (likely(descriptor(nx, nx->frame.ss) & DESC_BIG))
		nx->entry_rsp = (unsigned long)&nx->frame;
	else
		nx->entry_rsp = plex86_alias(v->index, nx->frame.rsp) |
				offsetof(struct nexus, frame);
}
