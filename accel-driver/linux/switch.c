// SPDX-License-Identifier: GPL-2.0
/*
 * What surrounds the nexus on the host's side of one entry: the state that must
 * differ while guest code runs and that C code can set, in the order in which
 * it is cheap.  All functions run with interrupts off and preemption disabled
 * from plex86_switch_begin() to plex86_switch_end(), so that no other task ever
 * sees the changed MSRs, and host interrupts are served with the host's.
 */
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/thread_info.h>
#include <asm/desc.h>
#include <asm/debugreg.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include "compat.h"
#include "plex86.h"

/*
 * Process-context identifiers for spaces, per CPU, by space number.  Linux 6.x
 * uses 1-6 and 0x801-0x806; PCID 0 it never uses without a flush.
 */
#define PCID_FIRST	0x7f0
#define PCID_COUNT	8
#define CR3_KEEP	BIT_ULL(63)	/* do not flush this PCID */

struct pcid_use {
	u64 space;
	u64 flushed;
};

static DEFINE_PER_CPU(struct pcid_use, pcid_use[PCID_COUNT]);
static DEFINE_PER_CPU(u64, last_vm);

static struct pcid_use *use_of(const struct plex86_space *s)
{
	return this_cpu_ptr(&pcid_use[s->id % PCID_COUNT]);
}

static u64 guest_cr3(const struct plex86_space *s)
{
	u64 cr3 = __sme_pa(s->top);
	struct pcid_use *use;

	if (!plex86_host.pcid)
		return cr3;
	use = use_of(s);
	cr3 |= PCID_FIRST + s->id % PCID_COUNT;
	if (use->space == s->id && use->flushed == s->flushed)
		return cr3 | CR3_KEEP;
	/* Nobody's, until note_flush(): an entry may fault when CR3 is loaded already. */
	use->space = 0;
	return cr3;
}

/* The guest's CR3 was loaded without CR3_KEEP: what another space left is gone. */
static void note_flush(struct nexus *nx, const struct plex86_space *s)
{
	struct pcid_use *use = use_of(s);

	use->space = s->id;
	use->flushed = s->flushed;
	nx->guest_cr3 |= CR3_KEEP;
}

static u64 host_cr3(u64 host_cr4)
{
	return __read_cr3() | (host_cr4 & X86_CR4_PCIDE ? CR3_KEEP : 0);
}

/* Copies of what is fixed for a host CPU, made when the thread comes to it. */
static void note_cpu(struct nexus *nx)
{
	struct desc_ptr gdtr;
	u64 *tss;

	native_store_gdt(&gdtr);
	nx->host_gdtr = gdtr;
	store_idt(&nx->host_idtr);
	store_tr(nx->host_tr);
	tss = (u64 *)(gdtr.address + GDT_ENTRY_TSS * 8);
	nx->host_tss[0] = (tss[0] & ~(0xffull << 40)) | ((u64)NX_TSS_AVAILABLE << 40);
	nx->host_tss[1] = tss[1];
}

/* Copy n of the space's descriptors; what was there before beyond them goes. */
static void copy_descriptors(u64 *to, const u64 *from, unsigned int n, unsigned int *had)
{
	memcpy(to, from, n * sizeof(u64));
	if (*had > n)
		memset(to + n, 0, (*had - n) * sizeof(u64));
	*had = n;
}

static void load_descriptors(struct plex86_vcpu *v, struct plex86_space *s)
{
	struct nexus *nx = v->nx;
	u64 code = nx->gdt[NX_GDT_CODE];

	copy_descriptors(nx->gdt, s->descriptors, s->ngdt, &v->ngdt);
	copy_descriptors(nx->ldt_table, s->descriptors + NX_GDT_GUEST, s->nldt, &v->nldt);
	nx->gdt[NX_GDT_CODE] = code;
	nx->slot8[0] = s->ngdt > NX_GDT_HOST_TSS ? s->descriptors[NX_GDT_HOST_TSS] : 0;
	nx->slot8[1] = s->ngdt > NX_GDT_HOST_TSS + 1 ? s->descriptors[NX_GDT_HOST_TSS + 1] : 0;
	nx->ldt = s->nldt ? NX_GDT_LDT * 8 : 0;
	v->generation = s->generation;
}

static void set_msrs(struct plex86_vcpu *v)
{
	unsigned int i;

	for (i = 0; i < plex86_host.nmsr; i++) {
		u64 old, want;

		rdmsrl(plex86_host.msr[i].msr, old);
		want = (old & ~plex86_host.msr[i].clear) | plex86_host.msr[i].set;
		if (want == old)
			continue;
		wrmsrl(plex86_host.msr[i].msr, want);
		v->saved_msr[i] = old;
		v->msr_changed |= 1u << i;
	}
}

static void restore_msrs(struct plex86_vcpu *v)
{
	unsigned int i;

	for (i = 0; v->msr_changed; i++) {
		if (v->msr_changed & (1u << i))
			wrmsrl(plex86_host.msr[i].msr, v->saved_msr[i]);
		v->msr_changed &= ~(1u << i);
	}
}

/* What only the host's own code changes: once per stay, and when such code has run. */
static void note_host(struct plex86_vcpu *v)
{
	struct nexus *nx = v->nx;

	if (plex86_host.ibrs)		/* the task's own bits are in it */
		rdmsrl(MSR_IA32_SPEC_CTRL, nx->spec_ctrl);

	/* The guest's vector registers are this thread's: have them in the CPU. */
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	nx->host_cr4 = plex86_cr4();
	nx->host_cr3 = host_cr3(nx->host_cr4);
	v->host_debug = hw_breakpoint_active();
}

/*
 * On CPUs where a VM's branch history reaches others (VMSCAPE) the kernel has a barrier on the way
 * to user mode, which this thread does not pass if KVM's had the CPU within an ioctl.
 */
static bool other_ran(struct plex86_vcpu *v)
{
	unsigned long switches = current->nvcsw + current->nivcsw;
	bool any = switches != v->switches;

	v->switches = switches;
	return any && plex86_cpu_needs_exit_ibpb();
}

/* Once per stay on a CPU with preemption off: what interrupts don't undo. */
void plex86_switch_begin(struct plex86_vcpu *v, struct plex86_space *s)
{
	int cpu = smp_processor_id();

	if (v->cpu != cpu) {
		note_cpu(v->nx);
		v->cpu = cpu;
	}
	v->nx->guest_cr3 = guest_cr3(s);
	if (v->generation != s->generation)
		load_descriptors(v, s);
	if (this_cpu_read(last_vm) != v->vm_id || other_ran(v)) {
		/* Another guest's branch history must not steer this one. */
		if (boot_cpu_has(X86_FEATURE_IBPB))
			wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
		this_cpu_write(last_vm, v->vm_id);
	}
	set_msrs(v);
	note_host(v);
}

void plex86_switch_end(struct plex86_vcpu *v)
{
	/*
	 * The guest's events left SS null, as all that come from user mode do.
	 * System calls must not end so: see X86_BUG_SYSRET_SS_ATTRS.
	 */
	loadsegment(ss, __KERNEL_DS);
	restore_msrs(v);
}

static void load_debug(const struct plex86_entry *e)
{
	set_debugreg(e->dr[0], 0);
	set_debugreg(e->dr[1], 1);
	set_debugreg(e->dr[2], 2);
	set_debugreg(e->dr[3], 3);
	set_debugreg(DR6_RESERVED, 6);
	set_debugreg(e->dr7, 7);
}

/*
 * One entry.  On return the nexus holds the guest's state and what ended it:
 * frame.vector, or .abort.  Host events that came are not served yet.
 */
void plex86_switch(struct plex86_vcpu *v, struct plex86_space *s, struct plex86_entry *e)
{
	struct nexus *nx = v->nx;
	u64 host_xcr0 = 0;
	u32 pkru = 0;
	u64 cr0 = 0;

	nx->guest_cr4 = (nx->host_cr4 & nx->cr4_keep) | nx->cr4_on | (e->guest_cr4 & nx->cr4_guest);
	nx->abort = 0;
	nx->pending = 0;

	if (e->guest_cr4 & nx->guest_cr4 & X86_CR4_OSXSAVE) {
		host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
		if (host_xcr0 != e->xcr0)
			xsetbv(XCR_XFEATURE_ENABLED_MASK, e->xcr0);
	}
	if (e->cr0_ts) {
		cr0 = read_cr0();
		write_cr0(cr0 | X86_CR0_TS);
	}
	if (v->host_debug)
		set_debugreg(0UL, 7);
	if (e->dr7)
		load_debug(e);

	/* It goes for all user pages in ring 0 too, and here nobody touches any. */
	if (s->exec_only) {
		nx->guest_cr4 |= X86_CR4_PKE;
		pkru = rdpkru();
		wrpkru(PLEX86_GUEST_PKRU);
	}

	plex86_clear_divider();
	nexus_enter(nx);

	if (s->exec_only)
		wrpkru(pkru);

	/* An entry that the CPU refused may not have come as far as CR3. */
	if (nx->guest_cr3 & X86_CR3_PCID_MASK && !(nx->guest_cr3 & CR3_KEEP) &&
	    nx->abort != NX_ABORT_FAULT)
		note_flush(nx, s);
	if (e->dr7 || nx->frame.vector == X86_TRAP_DB) {
		get_debugreg(e->dr6, 6);
		set_debugreg(DR6_RESERVED, 6);
		set_debugreg(0UL, 7);
	}
	if (v->host_debug)
		hw_breakpoint_restore();
	if (e->cr0_ts)
		write_cr0(cr0);
	if (host_xcr0 && host_xcr0 != e->xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, host_xcr0);
}

/*
 * Serve what the host got while the guest ran: the IDT is the host's again, so
 * NMI and machine check are raised by instruction; an interrupt, which the CPU
 * has acknowledged, by a call of its handler.  Returns whether there was one,
 * and the guest goes on.
 */
bool plex86_switch_serve_host(struct plex86_vcpu *v)
{
	struct nexus *nx = v->nx;
	/* A fault behind guest code: what had ended that may be an interrupt, which waits for its handler. */
	bool behind = nx->abort == NX_ABORT_FAULT && nx->abort_rip >= (unsigned long)nexus_committed;
	u64 vector = nx->abort && !behind ? 0 : nx->frame.vector;
	bool mc = nx->pending & NX_PENDING_MC || vector == X86_TRAP_MC;
	bool nmi = nx->pending & NX_PENDING_NMI || vector == X86_TRAP_NMI;
	bool irq = vector >= FIRST_EXTERNAL_VECTOR;
	gate_desc *gate;

	if (likely(!mc && !nmi && !irq))
		return nx->abort == NX_ABORT_RETRY;
	v->loop.run.host_nmis += mc + nmi;
	v->loop.run.host_irqs += irq;
	/*
	 * Such code may write these MSRs, or read one and keep what it read: KVM's first VM does
	 * both by an interrupt (EFER.SVME; TSC_AUX, which KVM takes for the host's from then on).
	 */
	restore_msrs(v);
	if (mc)
		asm volatile("int $18");
	if (nmi)
		asm volatile("int $2");
	if (irq) {
		gate = (gate_desc *)nx->host_idtr.address + vector;
		nexus_call_gate(gate_offset(gate));
	}
	set_msrs(v);
	note_host(v);
	/* One that was noted in the nexus is not what ended the run. */
	return !behind && (irq || nx->abort == NX_ABORT_RETRY || vector == X86_TRAP_NMI ||
			   vector == X86_TRAP_MC);
}
