// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * run(): one ioctl with everything in place around it.
 */
#include <errno.h>
#include <string.h>

#include "driver.h"

_Static_assert((int)PLEX86_RUN_TRAP == (int)PLEX86_EXIT_TRAP, "reasons");
_Static_assert((int)PLEX86_RUN_PAGE == (int)PLEX86_EXIT_PAGE, "reasons");
_Static_assert((int)PLEX86_RUN_DEADLINE == (int)PLEX86_EXIT_DEADLINE, "reasons");
_Static_assert((int)PLEX86_RUN_KICK == (int)PLEX86_EXIT_KICK, "reasons");
_Static_assert((int)PLEX86_RUN_REFUSED == (int)PLEX86_EXIT_REFUSED, "reasons");
_Static_assert((int)PLEX86_RUN_BROKEN == (int)PLEX86_EXIT_BROKEN, "reasons");

#define PF_WRITE	(1u << 1)	/* page fault error code */
#define PF_FETCH	(1u << 4)
#define ERROR_IDT	(1u << 1)	/* error code of a selector or gate */
#define VECTOR_BP	3
#define VECTOR_OF	4
#define VECTOR_GP	13
#define VECTOR_DB	1
#define FLAG_TF		0x100u
#define DR6_BUS_LOCK	0x800u		/* clear: a bus lock, which traps behind itself */
#define DR6_BS		0x4000u		/* single step */
#define DR7_ENABLED	0xffu
#define DR7_FIXED	0x400u
#define CR0_EM		4u
#define CR0_TS		8u

static const char *const refusals[] = {
	[PLEX86_WHY_MODE] = "the CPU mode is not one of user code's",
	[PLEX86_WHY_FLAGS] = "RFLAGS has IF clear, or IOPL, VM, VIF or VIP set",
	[PLEX86_WHY_SELECTOR] = "CS or SS has a privilege level other than 3",
	[PLEX86_WHY_XCR0] = "XCR0 names components that the host does not have",
	[PLEX86_WHY_PKE] = "protection keys are on",
	[PLEX86_WHY_LOAD] = "the CPU refused a segment, a base or RIP",
};

/* What the module can run, but an engine must not: the trap would be lost. */
static const char *refuse(const struct plex86_cpu *cpu)
{
	if (cpu->rflags & FLAG_TF)
		return "the trap flag is set";
	/* A data breakpoint traps after its instruction, which can't be taken back. */
	if (cpu->dr7 & DR7_ENABLED)
		return "a breakpoint is armed";
	if (cpu->cr0 & (CR0_TS | CR0_EM))
		return "CR0.TS or CR0.EM is set";
	return NULL;
}

int drv_set_traps(struct plex86_space *space, const plex86_gva_t *addrs, unsigned int n)
{
	unsigned int i;

	if (!space || (n && !addrs) || n > DRV_NTRAPS)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (addrs[i].la >= space->engine->caps.va_limit)
			return -EINVAL;
	for (i = 0; i < n; i++)
		space->trap[i] = addrs[i].la;
	space->ntraps = n;
	return 0;
}

/* The traps of the space as instruction breakpoints; the guest's own are refused. */
static void arm_traps(const struct plex86_space *space, struct plex86_cpu *cpu)
{
	unsigned int i;

	cpu->dr7 = DR7_FIXED;
	for (i = 0; i < space->ntraps; i++) {
		cpu->dr[i] = space->trap[i];
		cpu->dr7 |= 1u << (2 * i);
	}
}

/* Was it one of the breakpoints, by DR6?  That may have other bits of what is not enabled. */
static bool at_trap(const struct plex86_space *space, uint64_t rip, uint64_t dr6)
{
	unsigned int i;

	for (i = 0; i < space->ntraps; i++)
		if (dr6 & (1u << i) && space->trap[i] == rip)
			return true;
	return false;
}

/*
 * All gates of the module's IDT are closed to INT n, so that RIP stays at the
 * instruction; INT3 and INTO, which have vectors of their own, are told apart by
 * the error code.  Vector 1 is kept for a single step; a trap of set_traps() is
 * no event of the guest's, and ICEBP, which no gate is closed to, is to be executed.
 */
static void name_vector(const struct plex86_space *space, struct plex86_cpu *cpu,
			struct plex86_exit *exit)
{
	uint32_t n = exit->error_code >> space->engine->int_shift;

	if (exit->vector == VECTOR_DB && !(exit->addr & DR6_BS)) {
		exit->vector = PLEX86_VECTOR_UNKNOWN;
		if (exit->addr & DR6_BUS_LOCK && !at_trap(space, cpu->rip, exit->addr))
			cpu->rip = cpu->mode == PLEX86_MODE_64 ? cpu->rip - 1 :
								 (uint32_t)(cpu->rip - 1);
	}
	if (exit->vector != VECTOR_GP || !(exit->error_code & ERROR_IDT) ||
	    (n != VECTOR_BP && n != VECTOR_OF))
		return;
	exit->vector = n;
	exit->error_code = 0;
}

static void fill_exit(const struct plex86_run *run, struct plex86_exit *exit)
{
	exit->reason = run->reason;
	exit->vector = run->vector;
	exit->error_code = run->error_code;
	exit->addr = run->addr;		/* CR2, or DR6 with vector 1 */
	exit->ran_ns = run->ran_ns;
	if (run->reason == PLEX86_RUN_PAGE) {
		exit->access = PLEX86_ACCESS_KNOWN;
		if (run->error_code & PF_WRITE)
			exit->access |= PLEX86_ACCESS_WRITE;
		if (run->error_code & PF_FETCH)
			exit->access |= PLEX86_ACCESS_EXEC;
	} else if (run->reason == PLEX86_RUN_REFUSED) {
		exit->why = run->why < sizeof(refusals) / sizeof(*refusals) && refusals[run->why] ?
			    refusals[run->why] : "the module refused this state";
	} else if (run->reason == PLEX86_RUN_BROKEN) {
		exit->why = "a fault of the host's on the way out of guest code (see the kernel log; perf "
			    "with PEBS?)";
	}
}

/*
 * The module also returns for a signal of the process's own, and after a second:
 * neither is the caller's kick or deadline.  Goes on, or gives the right reason.
 */
static bool again(struct plex86_engine *e, struct plex86_run *run, uint64_t ran_ns,
		  uint64_t budget_ns)
{
	if (run->reason != PLEX86_RUN_KICK && run->reason != PLEX86_RUN_DEADLINE)
		return false;
	if (atomic_exchange(&e->kicked, false)) {
		run->reason = PLEX86_RUN_KICK;
		return false;
	}
	run->reason = PLEX86_RUN_DEADLINE;
	return ran_ns < budget_ns;
}

int drv_run(struct plex86_space *space, struct plex86_cpu *cpu, struct plex86_vec *vec,
	    uint32_t flags, uint64_t budget_ns, struct plex86_exit *exit)
{
	struct plex86_engine *e;
	struct plex86_run run;
	uint64_t ran_ns = 0;
	long ret;

	if (!space || !cpu || !vec || !exit || flags & ~PLEX86_RUN_VEC_SAME || cpu->reserved)
		return -EINVAL;
	e = space->engine;
	memset(exit, 0, sizeof(*exit));
	exit->why = refuse(cpu);
	if (!exit->why)
		exit->why = drv_segs_prepare(space, cpu);
	if (exit->why) {
		exit->reason = PLEX86_EXIT_REFUSED;
		return 0;
	}
	memset(&run, 0, offsetof(struct plex86_run, cpu));
	run.size = sizeof(run);
	run.space = space->fd;
	run.cpu = *cpu;
	arm_traps(space, &run.cpu);
	do {
		run.budget_ns = budget_ns - ran_ns;
		ret = drv_vec_enter(e, &run, vec, flags & PLEX86_RUN_VEC_SAME);
		if (ret < 0)
			break;
		ran_ns += run.ran_ns;
		flags |= PLEX86_RUN_VEC_SAME;
	} while (again(e, &run, ran_ns, budget_ns));
	/* An error or a refusal after some slices: what they did stands; the next run reports it. */
	if (ret < 0 && !ran_ns)
		return ret;
	if (ret < 0 || (run.reason == PLEX86_RUN_REFUSED && ran_ns))
		run.reason = PLEX86_RUN_DEADLINE;
	fill_exit(&run, exit);
	exit->ran_ns = ran_ns;
	if (run.reason == PLEX86_RUN_REFUSED || run.reason == PLEX86_RUN_BROKEN)
		return 0;
	name_vector(space, &run.cpu, exit);
	memcpy(cpu->gpr, run.cpu.gpr, sizeof(cpu->gpr));
	cpu->rip = run.cpu.rip;
	cpu->rflags = run.cpu.rflags;
	drv_segs_finish(space, &run.cpu, cpu);
	return 0;
}
