// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which guest states must not be entered because the host would execute them
 * differently.  Only what can be seen in the registers and can't be expressed;
 * what depends on the code to be run is listed in process.h.
 */
#define _GNU_SOURCE
#include "process.h"

#define FLAGS_TF	(UINT64_C(1) << 8)
#define FLAGS_IF	(UINT64_C(1) << 9)
#define FLAGS_IOPL	(UINT64_C(3) << 12)
#define FLAGS_NT	(UINT64_C(1) << 14)
#define FLAGS_RF	(UINT64_C(1) << 16)
#define FLAGS_VM	(UINT64_C(1) << 17)
#define FLAGS_AC	(UINT64_C(1) << 18)
#define FLAGS_VIF_VIP	(UINT64_C(3) << 19)

#define CR0_PE		(UINT64_C(1) << 0)
#define CR0_EM		(UINT64_C(1) << 2)
#define CR0_TS		(UINT64_C(1) << 3)
#define CR0_AM		(UINT64_C(1) << 18)
#define CR0_PG		(UINT64_C(1) << 31)
#define CR4_TSD		(UINT64_C(1) << 2)
#define CR4_PKE		(UINT64_C(1) << 22)
#define CR4_CET		(UINT64_C(1) << 23)
#define CR4_UINTR	(UINT64_C(1) << 25)
#define EFER_SCE	(UINT64_C(1) << 0)
#define EFER_LMA	(UINT64_C(1) << 10)
#define DR7_ENABLED	UINT64_C(0xff)

static const char *refuse_flags(const struct plex86_engine *e, const struct plex86_cpu *cpu)
{
	if (cpu->rflags & FLAGS_VM)
		return "virtual-8086 mode";
	if (cpu->rflags & FLAGS_TF)
		return "EFLAGS.TF is set";
	if (cpu->rflags & FLAGS_RF)
		return "EFLAGS.RF is set";
	if (cpu->rflags & FLAGS_IOPL)
		return "IOPL isn't 0";
	if (!(cpu->rflags & FLAGS_IF))
		return "EFLAGS.IF is clear";
	if (cpu->rflags & FLAGS_VIF_VIP)
		return "EFLAGS.VIF or VIP is set";
	if (cpu->rflags & FLAGS_AC && !(cpu->cr0 & CR0_AM))
		return "EFLAGS.AC is set and CR0.AM isn't, but the host's is";
	if (cpu->rflags & FLAGS_NT && e->caps.flags & PLEX86_CAP_NT_LOST)
		return "EFLAGS.NT is set, and this host loses it";
	return NULL;
}

static const char *refuse_control(const struct plex86_cpu *cpu)
{
	if (!(cpu->cr0 & CR0_PE) || !(cpu->cr0 & CR0_PG))
		return "paging is off";
	if (cpu->cr0 & CR0_TS)
		return "CR0.TS is set";
	if (cpu->cr0 & CR0_EM)
		return "CR0.EM is set";
	if (cpu->cr4 & CR4_TSD)
		return "CR4.TSD is set";
	if (cpu->cr4 & CR4_PKE)
		return "CR4.PKE is set";
	if (cpu->cr4 & CR4_CET)
		return "CR4.CET is set";
	if (cpu->cr4 & CR4_UINTR)
		return "CR4.UINTR is set";
	if (cpu->dr7 & DR7_ENABLED)
		return "a breakpoint register is armed";
	return NULL;
}

static const char bad_base[] = "FS or GS base is outside the user half";

static const char *refuse64(const struct plex86_cpu *cpu)
{
	const uint64_t limit = PROCESS_VA_LIMIT;
	const uint64_t upper = UINT64_C(0xffff800000000000);

	if (!(cpu->efer & EFER_LMA))
		return "64-bit code without EFER.LMA";
	if (!(cpu->efer & EFER_SCE))
		return "EFER.SCE is clear: SYSCALL would lose RCX and R11";
	if (cpu->seg[PLEX86_FS].base >= limit || cpu->seg[PLEX86_GS].base >= limit)
		return bad_base;
	if (cpu->rip > limit && cpu->rip < upper)
		return "RIP isn't canonical";
	return NULL;
}

static const char *refuse32(const struct plex86_engine *e, const struct plex86_cpu *cpu)
{
	bool lma = cpu->efer & EFER_LMA;

	if (!(e->caps.flags & PLEX86_CAP_COMPAT))
		return "this host runs no 32-bit code";
	if (lma != (cpu->mode == PLEX86_MODE_COMPAT))
		return "mode and EFER.LMA contradict each other";
	if (cpu->rip >> 32)
		return "RIP is beyond 4 GiB in 32-bit code";
	if (cpu->seg[PLEX86_FS].base >= PROCESS_VA_LIMIT || cpu->seg[PLEX86_GS].base >= PROCESS_VA_LIMIT)
		return bad_base;
	if (cpu->gpr[PLEX86_RAX] >> 32)
		return "RAX has an upper half, which INT 0x80 loses in 32-bit code";
	return NULL;
}

const char *entry_refuse(const struct plex86_engine *e, const struct plex86_cpu *cpu)
{
	const char *why;

	why = refuse_flags(e, cpu);
	if (!why)
		why = refuse_control(cpu);
	if (why)
		return why;
	if (!(cpu->seg[PLEX86_CS].attr & PLEX86_SEG_L) == (cpu->mode == PLEX86_MODE_64))
		return "mode and CS.L contradict each other";
	switch (cpu->mode) {
	case PLEX86_MODE_64:
		return refuse64(cpu);
	case PLEX86_MODE_COMPAT:
	case PLEX86_MODE_32:
		return refuse32(e, cpu);
	default:
		return "unknown mode";
	}
}
