// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What only trying can tell: whether this host runs 32-bit code, has
 * modify_ldt(), lets low pages be mapped, and what a trap and a mapping cost.
 * Done once, at open(), in a space that is destroyed afterwards, and without
 * touching the guest's memory.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <accel-driver/common/host.h>

#include "process.h"

/* <asm/segment.h> has it for the kernel only. */
#define GDT_ENTRY_TLS_MIN	12

#define TRIPS	64
#define PAGES	64

/*
 * Nothing is mapped here in a new space, nor below, but anything can be: hosts that want
 * more for vm.mmap_min_addr are refused, as no guest's programs would be left.
 */
#define NOWHERE	UINT64_C(0x10000000)

static unsigned long sysctl_number(const char *path, unsigned long otherwise)
{
	FILE *f = fopen(path, "re");
	unsigned long n = otherwise;

	if (!f)
		return otherwise;
	if (fscanf(f, "%lu", &n) != 1)
		n = otherwise;
	fclose(f);
	return n;
}

/* decode.c looks at code; what it can't read it would take for something else. */
static int probe_read(struct plex86_space *s, char why[PLEX86_WHY_LEN])
{
	int err;

	errno = 0;
	if (ptrace(PTRACE_PEEKTEXT, s->pid, s->stub, 0) != -1 || !errno)
		return 0;
	err = -errno;
	process_why(why, "can't read a container's memory (%s): ptrace is restricted here",
		    strerror(-err));
	return err;
}

static int probe_icebp(struct plex86_space *s)
{
	struct user_regs_struct in;
	struct stop out;
	int err;

	process_try_regs(s->engine, s->stub + STUB_OFFSET(stub_icebp), &in);
	err = process_try(s, &in, &out);
	if (err)
		return err;
	s->engine->icebp_len = out.regs.rip == in.rip + 1;
	return 0;
}

/* decode.c counts on #GP by the IDT; with FRED, INT n may be an event behind itself. */
static int probe_intn(struct plex86_space *s, char why[PLEX86_WHY_LEN])
{
	struct user_regs_struct in;
	struct stop out;
	int err;

	process_try_regs(s->engine, s->stub + STUB_OFFSET(stub_intn), &in);
	err = process_try(s, &in, &out);
	if (err) {
		process_why(why, "a container process can't be run: %s", strerror(-err));
		return err;
	}
	if (process_stopped_at(&out, SIGSEGV, in.rip))
		return 0;
	process_why(why, "this host doesn't report INT n as a fault at the instruction (FRED?)");
	return -ENODEV;
}

static int probe_compat(struct plex86_space *s)
{
	struct user_regs_struct in;
	struct user_desc d;
	struct stop out;
	int err;

	/* All 64-bit kernels have the code segment, but not all let us set 32-bit TLS. */
	if (ptrace(PTRACE_GET_THREAD_AREA, s->pid, GDT_ENTRY_TLS_MIN, &d))
		return errno == ESRCH ? -ESRCH : 0;
	process_try_regs(s->engine, NOWHERE, &in);
	in.cs = 0x23;
	err = process_try(s, &in, &out);
	if (err)
		return err;
	if (process_stopped_at(&out, SIGSEGV, NOWHERE) && out.regs.cs == 0x23)
		s->engine->caps.flags |= PLEX86_CAP_COMPAT;
	return 0;
}

static int probe_ldt(struct plex86_space *s)
{
	struct user_desc d = { .entry_number = 0, .limit = 0xfff, .base_addr = 0x1000 };
	struct plex86_engine *e = s->engine;
	int64_t ret;

	/* A 16-bit data segment: the rarest kind. */
	memcpy(e->stub + STUB_SCRATCH, &d, sizeof(d));
	ret = inject_call(e, s->pid, s->stub, SYS_modify_ldt,
			  (const uint64_t[6]){ 0x11, s->stub + STUB_SCRATCH, sizeof(d) });
	memset(e->stub + STUB_SCRATCH, 0, sizeof(d));
	if ((int32_t)ret == -ESRCH)
		return -ESRCH;
	if (!(int32_t)ret)
		e->caps.flags |= PLEX86_CAP_SEGMENTS;
	return 0;
}

/* vm.mmap_min_addr says where mappings may begin, and so does a security module: try. */
static int probe_first(struct plex86_space *s)
{
	struct plex86_engine *e = s->engine;
	int64_t ret;
	uint64_t va;

	for (va = 0; va < NOWHERE; va = va ? 2 * va : PLEX86_PAGE_SIZE) {
		ret = inject_call(e, s->pid, s->stub, SYS_mmap,
				  (const uint64_t[6]){ va, PLEX86_PAGE_SIZE, PROT_READ,
				  MAP_SHARED | MAP_FIXED, PROCESS_RAM_FD, 0 });
		if (ret == -ESRCH)
			return -ESRCH;
		if (ret == (int64_t)va) {
			e->caps.va_first = va;
			return 0;
		}
	}
	return -EPERM;
}

static void flat_cpu(struct plex86_cpu *cpu)
{
	const struct plex86_seg data = { .sel = 0x2b, .attr = 0xc0f3, .limit = 0xffffffff };
	unsigned int i;

	memset(cpu, 0, sizeof(*cpu));
	for (i = 0; i < PLEX86_NSEG; i++)
		cpu->seg[i] = data;
	cpu->seg[PLEX86_CS] = (struct plex86_seg){ .sel = 0x33, .attr = 0xa0fb,
						   .limit = 0xffffffff };
	cpu->rip = NOWHERE;
	cpu->rflags = 0x202;
	cpu->cr0 = 0x80010033;
	cpu->cr4 = 0x620;
	cpu->efer = 0xd01;
	cpu->xcr0 = 3;
	cpu->mode = PLEX86_MODE_64;
}

/* Has this host pages that can be executed and not read?  POPFQ tries to. */
static int probe_exec_only(struct plex86_space *s)
{
	const struct plex86_map_op map = { .kind = PLEX86_MAP, .prot = PLEX86_PROT_EXEC,
					   .gva = { NOWHERE }, .npages = 1 };
	const struct plex86_map_op all = { .kind = PLEX86_UNMAP_ALL };
	struct plex86_caps *caps = &s->engine->caps;
	struct plex86_exit exit;
	struct plex86_cpu cpu;
	struct plex86_vec vec;
	int err;

	if (!(s->engine->xlayout.xcr0 & PLEX86_X_PKRU))
		return 0;
	caps->flags |= PLEX86_CAP_EXEC_ONLY;
	flat_cpu(&cpu);
	cpu.rip = s->stub + STUB_OFFSET(stub_popf);
	cpu.gpr[PLEX86_RSP] = NOWHERE;
	plex86_vec_init(&vec);
	err = space_apply(s, &map, 1, NULL);
	if (!err)
		err = process_run(s, &cpu, &vec, 0, 1000000000, &exit);
	if (!err && exit.reason == PLEX86_EXIT_LOST)
		err = -ESRCH;
	/* What is reported of the stub is that it isn't there; but RIP moves on if it can be read. */
	if (!err && (exit.reason != PLEX86_EXIT_PAGE || cpu.rip != s->stub + STUB_OFFSET(stub_popf)))
		caps->flags &= ~PLEX86_CAP_EXEC_ONLY;
	return err ? err : space_apply(s, &all, 1, NULL);
}

/* Best of several: what the machine can do, not what else it was doing. */
static int measure_trips(struct plex86_space *s, uint64_t *trip_ns, uint64_t *ran_ns)
{
	struct plex86_cpu cpu;
	struct plex86_vec vec;
	struct plex86_exit exit;
	uint64_t start, took;
	unsigned int i;
	int err;

	*trip_ns = *ran_ns = UINT64_MAX;
	plex86_vec_init(&vec);
	for (i = 0; i < TRIPS; i++) {
		flat_cpu(&cpu);
		cpu.gpr[PLEX86_RAX] = i;	/* so that registers have to be set */
		start = process_now();
		err = process_run(s, &cpu, &vec, i ? PLEX86_RUN_VEC_SAME : 0, 1000000000, &exit);
		took = process_now() - start;
		if (err)
			return err;
		if (exit.reason != PLEX86_EXIT_PAGE)
			return exit.reason == PLEX86_EXIT_LOST ? -ESRCH : -EIO;
		if (took < *trip_ns)
			*trip_ns = took;
		if (exit.ran_ns < *ran_ns)
			*ran_ns = exit.ran_ns;
	}
	return 0;
}

/* Round trips as they are, with breakpoints, and with the time stamp counter trapped. */
static int measure_runs(struct plex86_space *s)
{
	static const plex86_gva_t elsewhere = { NOWHERE + PLEX86_PAGE_SIZE };
	struct plex86_caps *caps = &s->engine->caps;
	uint64_t with = 0, ran;
	int err;

	caps->traps_extra_ns = caps->tsc_extra_ns = 0;
	err = measure_trips(s, &caps->round_trip_ns, &caps->trip_ran_ns);
	caps->max_traps = traps_supported(s);
	if (!err && caps->max_traps) {
		err = space_set_traps(s, &elsewhere, 1);
		if (!err)
			err = measure_trips(s, &with, &ran);
		if (!err)
			err = space_set_traps(s, NULL, 0);
		caps->traps_extra_ns = with > caps->round_trip_ns ? with - caps->round_trip_ns : 0;
	}
	if (!err && !space_trap_tsc(s, true)) {
		err = measure_trips(s, &with, &ran);
		caps->tsc_extra_ns = with > caps->round_trip_ns ? with - caps->round_trip_ns : 0;
	}
	return err;
}

static int measure_maps(struct plex86_space *s)
{
	struct plex86_engine *e = s->engine;
	struct plex86_map_op op = { .kind = PLEX86_MAP, .prot = PLEX86_PROT_READ, .npages = 1 };
	const struct plex86_map_op all = { .kind = PLEX86_UNMAP_ALL };
	uint64_t start, took, best = UINT64_MAX;
	unsigned int i, round;
	int err = 0;

	for (round = 0; round < 4; round++) {
		start = process_now();
		/* Every other page, so that they can't be one mapping. */
		for (i = 0; i < PAGES && !err; i++) {
			op.gva.la = NOWHERE * 16 + i * 2 * PLEX86_PAGE_SIZE;
			err = space_apply(s, &op, 1, NULL);
		}
		if (!err)
			err = space_flush(s);
		took = (process_now() - start) / PAGES;
		if (took < best)
			best = took;
		if (!err)
			err = space_apply(s, &all, 1, NULL);
		if (!err)
			err = space_flush(s);
		if (err)
			return err;
	}
	e->caps.map_page_ns = best;
	return 0;
}

int measure_host(struct plex86_engine *e, char why[PLEX86_WHY_LEN])
{
	struct plex86_space *s;
	int err;

	e->vdso = (uint32_t)getauxval(AT_SYSINFO_EHDR);	/* they are forks of this process */
	e->caps.max_batch = STUB_COMMANDS / 2;
	e->caps.va_limit = PROCESS_VA_LIMIT;
	/* Leave some for the stub, and for a mapping that splits another. */
	e->caps.max_maps = sysctl_number("/proc/sys/vm/max_map_count", 65530) - 16;
	e->caps.xcr0 = e->xlayout.xcr0 & ~(uint64_t)PLEX86_X_PKRU;
	e->caps.flags = plex86_host_caps();	/* not what an earlier try has found out */
	e->caps.mxcsr_mask = plex86_host_mxcsr_mask();

	err = space_create(e, &s);
	if (err) {
		process_why(why, "can't create a container process: %s", strerror(-err));
		return err;
	}
	err = probe_read(s, why);
	if (!err)
		err = probe_intn(s, why);
	if (err)
		goto destroy;
	err = vec_probe(s);
	if (err) {
		if (err == -ENODEV)
			process_why(why, "this host has no XSAVE, which this engine needs");
		else if (err == -EINVAL)
			process_why(why, "the kernel's XSAVE image of a traced process isn't the CPU's");
		else
			process_why(why, "can't try a container process's vector state: %s", strerror(-err));
		goto destroy;
	}
	err = probe_icebp(s);
	if (!err)
		err = flaws_probe(s);
	if (!err)
		err = probe_compat(s);
	if (!err)
		err = probe_ldt(s);
	if (!err)
		err = probe_exec_only(s);
	if (!err)
		err = probe_first(s);
	if (!err)
		err = measure_runs(s);
	if (!err)
		err = measure_maps(s);
	if (!err)
		err = flaws_probe_sysenter(s);
	if (err)
		process_why(why, "a container process doesn't work as expected: %s",
			    strerror(-err));
destroy:
	space_destroy(s);
	process_reap(e, true);
	return err;
}
