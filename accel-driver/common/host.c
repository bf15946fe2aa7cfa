// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cpuid.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include <plex86/engine.h>

#include "host.h"

#define CPUID1_ECX_OSXSAVE	(1u << 27)
#define FXSAVE_MXCSR_MASK	28
#define MXCSR_MASK_OLD		0xffbfu
#define XCR0_APX	(UINT64_C(1) << 19)
#define BEYOND_48_BITS	((void *)(UINT64_C(1) << 48))

static bool has_apx(void)
{
	uint32_t a, b, c, d, lo, hi;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & CPUID1_ECX_OSXSAVE))
		return false;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (lo | (uint64_t)hi << 32) & XCR0_APX;
}

/*
 * CR4.LA57 can't be read here, and CPUID says only what the CPU could do.  But Linux gives
 * addresses beyond 47 bits to who asks for one, if it can (Documentation/arch/x86/x86_64/
 * 5level-paging.rst).
 */
static bool has_five_levels(void)
{
	const size_t len = PLEX86_PAGE_SIZE;
	void *p = mmap(BEYOND_48_BITS, len, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, len);
	return (uint64_t)(uintptr_t)p >> 47;
}

/* Executed, as the CPUID of a virtual machine may hide them.  BSF leaves its result for 0. */
static bool has_tzcnt(void)
{
	uint64_t n = 7;

	__asm__("rep bsfq %1, %0" : "+r"(n) : "r"(UINT64_C(0)) : "cc");
	return n == 64;
}

/* BSR says 0 for 1. */
static bool has_lzcnt(void)
{
	uint64_t n;

	__asm__("rep bsrq %1, %0" : "=r"(n) : "r"(UINT64_C(1)) : "cc");
	return n == 63;
}

uint32_t plex86_host_caps(void)
{
	uint32_t caps = 0;

	if (has_apx())
		caps |= PLEX86_CAP_REX2;
	if (has_tzcnt())
		caps |= PLEX86_CAP_TZCNT;
	if (has_lzcnt())
		caps |= PLEX86_CAP_LZCNT;
	if (has_five_levels())
		caps |= PLEX86_CAP_LA57;
	return caps;
}

uint32_t plex86_host_mxcsr_mask(void)
{
	uint8_t image[512] __attribute__((aligned(16)));
	uint32_t mask;

	memset(image, 0, sizeof(image));
	__asm__ volatile("fxsave %0" : "+m"(image));
	memcpy(&mask, image + FXSAVE_MXCSR_MASK, sizeof(mask));
	return mask ? mask : MXCSR_MASK_OLD;
}
