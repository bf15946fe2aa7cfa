// SPDX-License-Identifier: GPL-2.0
/*
 * What this host is: which of its features the switch uses, what must differ
 * while guest code runs, and which hosts are refused.  A host that has something
 * that the switch was not written for is refused with a sentence, not tried.
 */
/* Sentences in the log begin with the module's name. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cc_platform.h>
#include <linux/cpu.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/trapnr.h>
#include "compat.h"
#include "plex86.h"

struct plex86_host plex86_host __ro_after_init;

static int __init refused(const char *why)
{
	pr_err("not loaded: %s\n", why);
	return -EOPNOTSUPP;
}

static int __init refuse_host(void)
{
	unsigned long cs, tr;

	/* Xen PV, PVM.  There STR may be a fault. */
	savesegment(cs, cs);
	if (cs & SEGMENT_RPL_MASK)
		return refused("this kernel runs in ring 3 itself, under Xen PV or PVM; use the process engine");
	store_tr(tr);
	if (plex86_cr4() & PLEX86_CR4_FRED)
		return refused("this kernel uses FRED, which ignores the IDT; boot with fred=off");
	if (cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT))
		return refused("in a confidential VM (SEV, TDX) use the process engine");
	if (!boot_cpu_has(X86_FEATURE_NX))
		return refused("the CPU has no NX, or it is off; enable it in the firmware");
	if (plex86_kernel_tracks_call_depth())	/* its UNTRAIN_RET writes by GS, the guest's then */
		return refused("this kernel tracks call depth (retbleed=stuff); boot with retbleed=auto");
	if (tr != GDT_ENTRY_TSS * 8)
		return refused("the host's task register is not where Linux puts it");
	if (__KERNEL_CS != NX_GDT_CODE * 8 || GDT_ENTRY_TSS != NX_GDT_HOST_TSS)
		return refused("this kernel's GDT layout is unknown");
	return 0;
}

/*
 * A user shadow stack would be live while the guest runs its own returns; it is
 * switched off with CR4.CET, but a task that uses one has never been tested.
 */
int plex86_host_refuses_task(void)
{
	u64 cet = 0;

	if (plex86_cr4() & PLEX86_CR4_CET) {
		/* The task's own: like vector registers, the MSR may hold another's still. */
		local_irq_disable();
		if (test_thread_flag(TIF_NEED_FPU_LOAD))
			switch_fpu_return();
		rdmsrl_safe(PLEX86_MSR_U_CET, &cet);
		local_irq_enable();
	}
	if (!cet)
		return 0;
	pr_info_ratelimited("refused %s (%d): it has a user shadow stack; run it without one\n",
			    current->comm, task_pid_nr(current));
	return -EOPNOTSUPP;
}

static bool may_be_stale(unsigned long sel)
{
	return sel > SEGMENT_RPL_MASK &&
	       (sel & (SEGMENT_TI_MASK | SEGMENT_RPL_MASK)) != USER_RPL;
}

/*
 * Linux leaves a selector in a register when its LDT entry goes away, or its TLS entry if the
 * RPL is not 3 (do_set_thread_area(); user code may load a segment with any).  To load it
 * again, as the switch does on the way back, would fault.
 */
bool plex86_task_has_stale(void)
{
	unsigned long ds, es, fs, gs;

	savesegment(ds, ds);
	savesegment(es, es);
	savesegment(fs, fs);
	savesegment(gs, gs);
	return may_be_stale(ds) || may_be_stale(es) || may_be_stale(fs) || may_be_stale(gs);
}

static void __init add_msr(u32 msr, u64 clear, u64 set)
{
	plex86_host.msr[plex86_host.nmsr].msr = msr;
	plex86_host.msr[plex86_host.nmsr].clear = clear;
	plex86_host.msr[plex86_host.nmsr].set = set;
	plex86_host.nmsr++;
}

/* MSRs that make ring-3 instructions trap or say nothing; ring 0 does not mind. */
static void __init find_msrs(void)
{
	u64 value;
	bool amd = boot_cpu_data.x86_vendor == X86_VENDOR_AMD ||
		   boot_cpu_data.x86_vendor == X86_VENDOR_HYGON;

	add_msr(MSR_EFER, EFER_SCE, 0);			/* SYSCALL: #UD */
	/* AMD: #UD in long mode anyway; emulators are less strict. */
	if (!amd || boot_cpu_has(X86_FEATURE_HYPERVISOR))
		add_msr(MSR_IA32_SYSENTER_CS, ~0ull, 0);	/* SYSENTER: #GP */
	if (boot_cpu_has(X86_FEATURE_RDPID))		/* which can't be made to trap */
		add_msr(MSR_TSC_AUX, ~0ull, 0);		/* a guest's CPU 0 says 0 */
	if (boot_cpu_data.x86_vendor == X86_VENDOR_INTEL &&
	    !rdmsrl_safe(MSR_PLATFORM_INFO, &value) && value & MSR_PLATFORM_INFO_CPUID_FAULT &&
	    !rdmsrl_safe(MSR_MISC_FEATURES_ENABLES, &value)) {
		add_msr(MSR_MISC_FEATURES_ENABLES, 0, MSR_MISC_FEATURES_ENABLES_CPUID_FAULT);
		plex86_host.caps |= PLEX86_HOST_CPUID_FAULT;
	} else if (amd && cpuid_eax(0x80000000) >= 0x80000021 &&
		   cpuid_eax(0x80000021) & PLEX86_CPUID_USER_DIS) {
		add_msr(MSR_K7_HWCR, 0, PLEX86_HWCR_CPUID_USER_DIS);
		plex86_host.caps |= PLEX86_HOST_CPUID_FAULT;
	}
}

static void __init find_features(void)
{
	u64 follow = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_DE;

	if (boot_cpu_has(X86_FEATURE_OSXSAVE)) {
		plex86_host.caps |= PLEX86_HOST_XSAVE;
		plex86_host.xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK) &
			(PLEX86_X_X87 | PLEX86_X_SSE | PLEX86_X_AVX | PLEX86_X_AVX512);
		follow |= X86_CR4_OSXSAVE;
	} else {
		plex86_host.xcr0 = PLEX86_X_X87 | PLEX86_X_SSE;
	}
	if (plex86_cr4() & X86_CR4_FSGSBASE) {
		plex86_host.caps |= PLEX86_HOST_FSGSBASE;
		follow |= X86_CR4_FSGSBASE;
	}
	plex86_host.cr4_on = X86_CR4_TSD;
	if (boot_cpu_has(X86_FEATURE_UMIP)) {
		plex86_host.caps |= PLEX86_HOST_UMIP;
		plex86_host.cr4_on |= X86_CR4_UMIP;
	}
	if (plex86_cr4() & X86_CR4_PKE)
		plex86_host.caps |= PLEX86_HOST_EXEC_ONLY;
	plex86_host.cr4_guest = follow;
	plex86_host.cr4_off = follow | X86_CR4_PCE | X86_CR4_VME | X86_CR4_PVI |
			      X86_CR4_PKE | PLEX86_CR4_CET;
	plex86_host.levels = plex86_cr4() & X86_CR4_LA57 ? 5 : 4;
	if (plex86_cr4() & X86_CR4_PCIDE) {
		plex86_host.pcid = !plex86_kernel_uses_all_pcids();
		plex86_host.caps |= plex86_host.pcid ? PLEX86_HOST_PCID : 0;
	}
	plex86_host.clear_buffers = plex86_cpu_needs_verw();
	plex86_host.ibrs = plex86_kernel_uses_ibrs();
}

/* Every gate leads to its stub; none may be called by INT n, so those are #GP. */
static void __init fill_idt(gate_desc *idt)
{
	int v;

	for (v = 0; v < 256; v++) {
		unsigned long at = (unsigned long)nexus_stubs + v * NX_STUB_SIZE;

		idt[v].offset_low = at;
		idt[v].offset_middle = at >> 16;
		idt[v].offset_high = at >> 32;
		idt[v].segment = __KERNEL_CS;
		idt[v].bits.type = GATE_INTERRUPT;
		idt[v].bits.p = 1;
	}
	/* The host's numbers, so that the gates are good with its TSS too. */
	idt[X86_TRAP_DF].bits.ist = IST_INDEX_DF + 1;
	idt[X86_TRAP_NMI].bits.ist = IST_INDEX_NMI + 1;
	idt[X86_TRAP_MC].bits.ist = IST_INDEX_MCE + 1;
}

/* Returns 0, or a negative errno after a sentence in the log. */
int __init plex86_host_init(void)
{
	int ret = refuse_host();

	if (ret)
		return ret;
	find_msrs();
	find_features();
	plex86_host.idt = (gate_desc *)get_zeroed_page(GFP_KERNEL);
	if (!plex86_host.idt)
		return -ENOMEM;
	fill_idt(plex86_host.idt);
	return 0;
}

void plex86_host_exit(void)
{
	free_page((unsigned long)plex86_host.idt);
}
