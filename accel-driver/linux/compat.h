/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one place that knows kernels apart.  By what a header offers (Kbuild
 * looks and sets PLEX86_HAVE_*, or the name is a macro), never by version.
 */
#ifndef PLEX86_COMPAT_H
#define PLEX86_COMPAT_H

#include <linux/cpu.h>
#include <linux/hrtimer.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/special_insns.h>

/* Linux 6.16 has renamed the accessors, and left wrappers for most of them. */
#ifdef PLEX86_HAVE_RDMSRQ
#undef rdmsrl_safe
#define rdmsrl_safe rdmsrq_safe
#endif

/* Numbers from the manuals, for kernels that do not name them. */
#define PLEX86_CR4_CET		BIT(23)
#define PLEX86_CR4_FRED		BIT(32)
#define PLEX86_MSR_U_CET	0x6a0
#define PLEX86_CPUID_USER_DIS	BIT(17)		/* CPUID 8000_0021h EAX */
#define PLEX86_HWCR_CPUID_USER_DIS BIT_ULL(35)

static inline unsigned long plex86_cr4(void)
{
	return __read_cr4();
}

/* Kernels with broadcast TLB flushes hand out PCIDs from the whole range. */
static inline bool plex86_kernel_uses_all_pcids(void)
{
#ifdef X86_FEATURE_INVLPGB
	return boot_cpu_has(X86_FEATURE_INVLPGB);
#else
	return false;
#endif
}

/* Does the kernel clear CPU buffers by VERW when it returns to user mode? */
static inline bool plex86_cpu_needs_verw(void)
{
#ifdef X86_FEATURE_CLEAR_CPU_BUF
	return boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF);
#else
	bool bug = boot_cpu_has_bug(X86_BUG_MDS) || boot_cpu_has_bug(X86_BUG_TAA);

#ifdef X86_BUG_MMIO_STALE_DATA
	bug = bug || boot_cpu_has_bug(X86_BUG_MMIO_STALE_DATA);
#endif
	return bug && !cpu_mitigations_off();
#endif
}

static inline bool plex86_kernel_uses_ibrs(void)
{
#ifdef X86_FEATURE_KERNEL_IBRS
	return boot_cpu_has(X86_FEATURE_KERNEL_IBRS);
#else
	return false;
#endif
}

/* Does the kernel issue an IBPB on the way to user mode if a VM has run (VMSCAPE)? */
static inline bool plex86_cpu_needs_exit_ibpb(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	return boot_cpu_has(X86_FEATURE_IBPB_EXIT_TO_USER);
#else
	return false;
#endif
}

/* Zen 1: #DE may let user code see the quotient of the last division in speculation (DIV0). */
static inline void plex86_clear_divider(void)
{
#ifdef X86_BUG_DIV0
	unsigned long quotient = 0, remainder = 0;

	if (boot_cpu_has_bug(X86_BUG_DIV0))
		asm volatile("div %2" : "+a"(quotient), "+d"(remainder) : "r"(1ul) : "cc");
#endif
}

/* Call-depth tracking counts returns in per-CPU memory, so they need the kernel's GS base. */
static inline bool plex86_kernel_tracks_call_depth(void)
{
#ifdef X86_FEATURE_CALL_DEPTH
	return boot_cpu_has(X86_FEATURE_CALL_DEPTH);
#else
	return false;
#endif
}

static inline void plex86_timer_init(struct hrtimer *timer,
				     enum hrtimer_restart (*fn)(struct hrtimer *))
{
#ifdef PLEX86_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	timer->function = fn;
#endif
}

#endif /* PLEX86_COMPAT_H */
