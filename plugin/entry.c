/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "beyond.h"
#include "entry.h"

#define FL_TF		(1u << 8)
#define FL_IF		(1u << 9)
#define FL_IOPL		(3u << 12)
#define FL_NT		(1u << 14)
#define FL_VM		(1u << 17)
#define FL_AC		(1u << 18)

#define CR0_PE		(1u << 0)
#define CR0_EM		(1u << 2)
#define CR0_TS		(1u << 3)
#define CR0_NE		(1u << 5)
#define CR0_AM		(1u << 18)

#define CR4_PVI		(1u << 1)
#define CR4_OSFXSR	(1u << 9)
#define CR4_PKE		(1u << 22)
#define CR4_CET		(1u << 23)
#define CR4_UINTR	(1u << 25)

#define EFER_SCE	(1u << 0)

#define DR7_ENABLED	0xffu

static const char *const names[PLEX86_REFUSALS] = {
	[PLEX86_OK] = "ok",
	[PLEX86_REFUSE_NOT_USER] = "not-user",
	[PLEX86_REFUSE_VM86] = "virtual-8086",
	[PLEX86_REFUSE_TRAP_FLAG] = "trap-flag",
	[PLEX86_REFUSE_IOPL] = "iopl-3",
	[PLEX86_REFUSE_VIRTUAL_IF] = "virtual-if",
	[PLEX86_REFUSE_A20] = "a20-off",
	[PLEX86_REFUSE_SMM] = "smm",
	[PLEX86_REFUSE_NESTED] = "nested-guest",
	[PLEX86_REFUSE_INHIBITED] = "inhibited",
	[PLEX86_REFUSE_MONITOR] = "monitor",
	[PLEX86_REFUSE_BREAKPOINT] = "breakpoint",
	[PLEX86_REFUSE_FPU_OFF] = "fpu-off",
	[PLEX86_REFUSE_SSE_OFF] = "sse-off",
	[PLEX86_REFUSE_XCR0] = "xcr0",
	[PLEX86_REFUSE_SYSCALL_OFF] = "syscall-off",
	[PLEX86_REFUSE_ALIGNMENT] = "alignment-check",
	[PLEX86_REFUSE_FEATURE] = "cpu-feature",
	[PLEX86_REFUSE_PAGING] = "paging-mode",
	[PLEX86_REFUSE_COMPAT] = "32-bit-code",
	[PLEX86_REFUSE_UPPER_HALF] = "upper-half",
	[PLEX86_REFUSE_SEGMENTS] = "segments",
	[PLEX86_REFUSE_SELECTORS] = "selectors",
	[PLEX86_REFUSE_ENGINE] = "engine",
};

const char *plex86_refusal_name(enum plex86_refusal r)
{
	return (unsigned int)r < PLEX86_REFUSALS ? names[r] : "unknown";
}

static bool flat(const struct plex86_seg *s)
{
	return !(s->attr & PLEX86_SEG_NULL) && s->base == 0 && s->limit == UINT32_MAX &&
	       ((s->attr & PLEX86_SEG_CODE) || !(s->attr & PLEX86_SEG_EXPAND_DOWN));
}

bool plex86_flat_stack(const struct plex86_cpu *cpu)
{
	const struct plex86_seg *ss = &cpu->seg[PLEX86_SS];

	return flat(ss) && (ss->attr & PLEX86_SEG_DB);
}

static bool flat_segments(const struct plex86_cpu *cpu)
{
	const struct plex86_seg *s = cpu->seg;

	if (cpu->mode == PLEX86_MODE_64)
		return true;	/* bases are ignored but for FS and GS */
	return flat(&s[PLEX86_CS]) && (s[PLEX86_CS].attr & PLEX86_SEG_DB) &&
	       !(s[PLEX86_CS].attr & PLEX86_SEG_EXPAND_DOWN) &&		/* conforming */
	       (s[PLEX86_CS].attr & PLEX86_SEG_WRITE) &&		/* readable */
	       plex86_flat_stack(cpu) &&
	       flat(&s[PLEX86_DS]) && (s[PLEX86_DS].attr & PLEX86_SEG_WRITE) &&
	       flat(&s[PLEX86_ES]) && (s[PLEX86_ES].attr & PLEX86_SEG_WRITE);
}

/* The selectors that Linux gives to user code on x86-64 (asm/segment.h). */
#define LINUX_CS32	0x23
#define LINUX_DS	0x2b
#define LINUX_CS64	0x33
#define LINUX_TLS(n)	(0x63 + 8 * (n))

static bool tls(uint16_t sel)
{
	return sel == LINUX_TLS(0) || sel == LINUX_TLS(1) || sel == LINUX_TLS(2);
}

/* As accel-driver/process/segs.c has it: flat ones are all the same to it. */
static bool thread_selector(const struct plex86_seg *s, bool long64)
{
	if (long64)
		return !s->sel || s->sel == LINUX_DS;	/* the base is a register of its own */
	if (s->attr & PLEX86_SEG_NULL)
		return !s->sel;
	if (s->base || s->limit != UINT32_MAX)
		return tls(s->sel) && (s->attr & PLEX86_SEG_DB);
	return s->sel == LINUX_DS;
}

static bool thread_selectors(const struct plex86_cpu *cpu)
{
	const struct plex86_seg *fs = &cpu->seg[PLEX86_FS], *gs = &cpu->seg[PLEX86_GS];
	bool long64 = cpu->mode == PLEX86_MODE_64;

	return thread_selector(fs, long64) && thread_selector(gs, long64) &&
	       !(tls(fs->sel) && fs->sel == gs->sel);
}

/*
 * An engine that can have no selectors but the host's shows these to a guest that
 * uses the same ones exactly.
 */
bool plex86_linux_selectors(const struct plex86_cpu *cpu)
{
	const uint16_t cs = cpu->mode == PLEX86_MODE_64 ? LINUX_CS64 : LINUX_CS32;
	const uint16_t ds = cpu->seg[PLEX86_DS].sel, es = cpu->seg[PLEX86_ES].sel;

	return cpu->seg[PLEX86_CS].sel == cs && cpu->seg[PLEX86_SS].sel == LINUX_DS &&
	       (!ds || ds == LINUX_DS) && (!es || es == LINUX_DS) && thread_selectors(cpu);
}

static enum plex86_refusal check_flags(const struct plex86_cpu *cpu)
{
	if (cpu->rflags & FL_VM)
		return PLEX86_REFUSE_VM86;
	if (cpu->rflags & FL_TF)
		return PLEX86_REFUSE_TRAP_FLAG;
	if ((cpu->rflags & FL_IOPL) == FL_IOPL || !(cpu->rflags & FL_IF))
		return PLEX86_REFUSE_IOPL;
	/* The host has CR0.AM set: AC would fault where the guest's CR0 says no. */
	if ((cpu->rflags & FL_AC) && !(cpu->cr0 & CR0_AM))
		return PLEX86_REFUSE_ALIGNMENT;
	if (cpu->rflags & FL_NT)
		return PLEX86_REFUSE_FEATURE;
	return PLEX86_OK;
}

static enum plex86_refusal check_control(const struct plex86_cpu *cpu, const struct plex86_env *env,
					 const struct plex86_caps *caps)
{
	if (cpu->cr4 & CR4_PVI)
		return PLEX86_REFUSE_VIRTUAL_IF;
	if ((cpu->cr4 & CR4_UINTR) || ((cpu->cr4 & CR4_CET) && env->user_cet))
		return PLEX86_REFUSE_FEATURE;
	if ((cpu->cr4 & CR4_PKE) && env->key_0_denied)
		return PLEX86_REFUSE_FEATURE;
	/* A data breakpoint traps behind its instruction, which can't be taken back. */
	if (cpu->dr7 & DR7_ENABLED)
		return PLEX86_REFUSE_BREAKPOINT;
	/* #NM and the external-interrupt way of reporting x87 errors are Bochs's. */
	if ((cpu->cr0 & (CR0_EM | CR0_TS)) || !(cpu->cr0 & CR0_NE))
		return PLEX86_REFUSE_FPU_OFF;
	if (!(cpu->cr4 & CR4_OSFXSR))
		return PLEX86_REFUSE_SSE_OFF;
	if (plex86_beyond(cpu, caps) & ~(uint64_t)PLEX86_BEYOND)
		return PLEX86_REFUSE_XCR0;
	if (cpu->mode == PLEX86_MODE_64 && !(cpu->efer & EFER_SCE) &&
	    !(caps->flags & PLEX86_CAP_SYSCALL_EXACT))
		return PLEX86_REFUSE_SYSCALL_OFF;
	return PLEX86_OK;
}

enum plex86_refusal plex86_entry_check(const struct plex86_cpu *cpu, const struct plex86_env *env,
				       const struct plex86_caps *caps, bool strict)
{
	enum plex86_refusal r;

	if ((cpu->seg[PLEX86_CS].sel & 3) != 3 || !(cpu->cr0 & CR0_PE))
		return PLEX86_REFUSE_NOT_USER;
	if (env->a20_off)
		return PLEX86_REFUSE_A20;
	if (env->smm)
		return PLEX86_REFUSE_SMM;
	if (env->nested)
		return PLEX86_REFUSE_NESTED;
	if (env->inhibited)
		return PLEX86_REFUSE_INHIBITED;
	if (env->monitor)
		return PLEX86_REFUSE_MONITOR;
	r = check_flags(cpu);
	if (!r)
		r = check_control(cpu, env, caps);
	if (r)
		return r;
	if (cpu->mode != PLEX86_MODE_64 && !(caps->flags & PLEX86_CAP_COMPAT))
		return PLEX86_REFUSE_COMPAT;
	/* INT 0x80 would lose it.  32-bit code can't set it, and clears it with what it next loads. */
	if (cpu->mode != PLEX86_MODE_64 && cpu->gpr[PLEX86_RAX] >> 32 &&
	    !(caps->flags & PLEX86_CAP_SYSCALL_EXACT))
		return PLEX86_REFUSE_UPPER_HALF;
	if (!(caps->flags & PLEX86_CAP_SEGMENTS) && !flat_segments(cpu))
		return PLEX86_REFUSE_SEGMENTS;
	/*
	 * Code that has segments moves selectors about (PUSH DS, POP ES), and would find a
	 * stand-in under them: another segment, silently, once Bochs has loaded its register.
	 */
	if (!(caps->flags & PLEX86_CAP_SELECTORS) && !flat_segments(cpu))
		return PLEX86_REFUSE_SELECTORS;
	/* Vector instructions that the guest has not enabled would run on the host. */
	if (strict && !(caps->flags & PLEX86_CAP_XCR0) && (caps->xcr0 & ~cpu->xcr0))
		return PLEX86_REFUSE_XCR0;
	if (strict && !(caps->flags & PLEX86_CAP_SELECTORS) && !plex86_linux_selectors(cpu))
		return PLEX86_REFUSE_SELECTORS;
	return PLEX86_OK;
}

bool plex86_entry_holds(const struct plex86_seg *entered, const struct plex86_seg *now)
{
	unsigned int i;

	for (i = 0; i < PLEX86_NSEG; i++)
		if (entered[i].sel != now[i].sel || entered[i].attr != now[i].attr ||
		    entered[i].limit != now[i].limit)
			return false;
	return true;
}
