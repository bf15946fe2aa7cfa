// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the engine can do on this host, and what its trips cost here: the core
 * decides by it what to hand over, and when that pays.
 */
#include <cpuid.h>
#include <errno.h>
#include <time.h>

#include <accel-driver/common/host.h>

#include "driver.h"

#define MAX_BATCH	256
#define CPUID_HYPERVISOR	(1u << 31)
#define SIGNATURE_TCG	0x54474354u	/* "TCGT"CGTCGTCG */
#define MEASURE_RUNS	64
#define MEASURE_NS	UINT64_C(60000000000)	/* on a host that has no time for us */
#define MEASURE_PAGES	64

/*
 * INT n through a closed gate gives the error code n * 8 + 2; QEMU's emulation
 * gives n * 16 + 2 in long mode.
 */
unsigned int drv_int_error_shift(void)
{
	uint32_t eax, ebx, ecx, edx;

	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & CPUID_HYPERVISOR))
		return 3;
	__cpuid(0x40000000, eax, ebx, ecx, edx);
	return ebx == SIGNATURE_TCG ? 4 : 3;
}

/*
 * Bochs has Intel's places in XSAVE's standard format (cpu/crregs.h). AMD's CPUs with AVX-512 have
 * others: what one of both saves there, the other must not restore.
 */
static bool xsave_as_in_bochs(uint64_t xcr0)
{
	static const unsigned int place[] = { 1088, 1152, 1664 };	/* opmasks, ZMM, ZMM16 to 31 */
	unsigned int eax, ebx, ecx, edx;

	for (unsigned int i = 0; xcr0 & PLEX86_X_AVX512 && i < 3; i++)
		if (!__get_cpuid_count(0xd, 5 + i, &eax, &ebx, &ecx, &edx) || ebx != place[i])
			return false;
	return true;
}

void drv_fill_caps(struct plex86_engine *e)
{
	struct plex86_caps *caps = &e->caps;

	caps->flags = PLEX86_CAP_COMPAT | PLEX86_CAP_SEGMENTS | PLEX86_CAP_SELECTORS |
		      PLEX86_CAP_DESCRIPTORS | PLEX86_CAP_TRAP_TSC | PLEX86_CAP_TRAP_SYSENTER |
		      PLEX86_CAP_ERRORCODE | PLEX86_CAP_SYSCALL_EXACT | PLEX86_CAP_PREFIXES;
	caps->flags |= plex86_host_caps();
	caps->mxcsr_mask = plex86_host_mxcsr_mask();
	if (e->info.caps & PLEX86_HOST_UMIP)
		caps->flags |= PLEX86_CAP_TRAP_UMIP;
	if (e->info.caps & PLEX86_HOST_CPUID_FAULT)
		caps->flags |= PLEX86_CAP_TRAP_CPUID;
	if ((e->info.caps & PLEX86_HOST_XSAVE) && xsave_as_in_bochs(e->load_mask))
		caps->flags |= PLEX86_CAP_XCR0;
	if (e->info.caps & PLEX86_HOST_EXEC_ONLY)
		caps->flags |= PLEX86_CAP_EXEC_ONLY;
	caps->max_batch = MAX_BATCH;
	caps->max_traps = DRV_NTRAPS;
	caps->max_gdt = DRV_NGDT;
	caps->max_ldt = DRV_NLDT;
	caps->gdt_taken = DRV_OWN_SLOT;
	caps->xcr0 = e->load_mask;
	caps->va_limit = e->info.va_limit;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

/*
 * What a run to the first trap and a mapping cost here.  The run is of an empty
 * space: a page fault at once, and no guest memory touched.
 */
int drv_measure(struct plex86_engine *e)
{
	struct plex86_map_op map = { .kind = PLEX86_MAP, .prot = PLEX86_PROT_READ };
	struct plex86_cpu cpu = { .rflags = 0x202, .mode = PLEX86_MODE_64, .xcr0 = 1 };
	struct plex86_space *space;
	struct plex86_vec vec;
	struct plex86_exit exit;
	uint64_t best = UINT64_MAX, ran = UINT64_MAX;
	int ret, i;

	ret = drv_space_create(e, &space);
	if (ret)
		return ret;
	cpu.seg[PLEX86_CS] = (struct plex86_seg){ .sel = 0x33, .attr = 0xa0fb, .limit = ~0u };
	cpu.seg[PLEX86_SS] = (struct plex86_seg){ .sel = 0x2b, .attr = 0xc0f3, .limit = ~0u };
	cpu.seg[PLEX86_DS].attr = cpu.seg[PLEX86_ES].attr = PLEX86_SEG_NULL;
	cpu.seg[PLEX86_FS].attr = cpu.seg[PLEX86_GS].attr = PLEX86_SEG_NULL;
	plex86_vec_init(&vec);
	for (i = 0; i < MEASURE_RUNS && !ret; i++) {
		uint64_t t = now_ns();

		ret = drv_run(space, &cpu, &vec, 0, MEASURE_NS, &exit);
		if (!ret && exit.reason != PLEX86_EXIT_PAGE)
			ret = -EIO;
		t = now_ns() - t;
		if (i && t < best)
			best = t;
		if (i && exit.ran_ns < ran)
			ran = exit.ran_ns;
	}
	e->caps.round_trip_ns = best;
	e->caps.trip_ran_ns = ran;
	map.npages = MEASURE_PAGES;
	for (i = 0; i < 2 && !ret; i++) {	/* the second time without the pinning */
		uint64_t t = now_ns();

		if (drv_apply(space, &map, 1, NULL))
			break;			/* less RAM than that: not measured */
		e->caps.map_page_ns = (now_ns() - t) / MEASURE_PAGES;
	}
	drv_space_destroy(space);
	return ret;
}
