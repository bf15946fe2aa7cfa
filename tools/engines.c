/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opens each engine of this build on this host and says what it found: whether
 * it works, else why not, what it can do, and what a round trip costs.  For
 * "quickstart doctor": a real attempt says more than a list of requirements.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <plex86/engine.h>

static const struct ability {
	uint32_t flag;
	const char *text;
} abilities[] = {
	{ PLEX86_CAP_COMPAT, "32-bit guests" },
	{ PLEX86_CAP_SEGMENTS | PLEX86_CAP_SELECTORS, "based and 16-bit segments" },
	{ PLEX86_CAP_DESCRIPTORS, "the guest's own descriptor tables" },
	{ PLEX86_CAP_TRAP_CPUID, "CPUID traps" },
	{ PLEX86_CAP_EXEC_ONLY, "code can be hidden, so that all pages run" },
	{ PLEX86_CAP_TRAP_TSC, "RDTSC traps" },
	{ PLEX86_CAP_TSC_SWITCH, "RDTSC can be made to trap" },
	{ PLEX86_CAP_TRAP_UMIP, "SGDT and its like trap" },
	{ PLEX86_CAP_TRAP_SYSENTER, "SYSENTER traps with exact state" },
	{ PLEX86_CAP_XCR0, "the guest's XCR0" },
	{ PLEX86_CAP_ERRORCODE, "error codes with traps" },
	{ PLEX86_CAP_PREFIXES, "INT n traps with RIP on its prefixes" },
	{ PLEX86_CAP_SYSCALL_EXACT, "64-bit SYSCALL traps with exact state" },
}, hindrances[] = {
	{ PLEX86_CAP_REX2, "the CPU decodes REX2" },
	{ PLEX86_CAP_LA57, "addresses have 57 bits" },
	{ PLEX86_CAP_INTN_TAKEN, "some INT n are a hypervisor's (PVM)" },
	{ PLEX86_CAP_NT_LOST, "EFLAGS.NT is lost (PVM)" },
	{ PLEX86_CAP_BASES_LOST, "FS and GS base go with selectors (old kernel, PVM)" },
};

static void print_flags(uint32_t flags, const struct ability *of, size_t n, const char *none)
{
	const char *separator = "";
	size_t i;

	for (i = 0; i < n; i++) {
		if ((flags & of[i].flag) != of[i].flag)
			continue;
		printf("%s%s", separator, of[i].text);
		separator = ", ";
	}
	printf("%s\n", *separator ? "" : none);
}

static void print_caps(const struct plex86_caps *caps)
{
	printf("  round trip %.1f us, mapping a page in a batch %.1f us\n",
	       (double)caps->round_trip_ns / 1000, (double)caps->map_page_ns / 1000);
	printf("  can do: ");
	print_flags(caps->flags, abilities, sizeof(abilities) / sizeof(abilities[0]),
		    "no more than 64-bit flat code");
	printf("  breakpoints: %u (a round trip takes %.1f us longer with them)\n", caps->max_traps,
	       caps->traps_extra_ns / 1000.0);
	if (caps->flags & PLEX86_CAP_TSC_SWITCH)
		printf("  RDTSC that traps: %.1f us longer\n", caps->tsc_extra_ns / 1000.0);
	printf("  hindrances: ");
	print_flags(caps->flags, hindrances, sizeof(hindrances) / sizeof(hindrances[0]), "none");
	printf("  addresses: from %#" PRIx64 " to %#" PRIx64 "\n", caps->va_first, caps->va_limit - 1);
	printf("  vector state: x87, SSE%s%s\n", caps->xcr0 & PLEX86_X_AVX ? ", AVX" : "",
	       (caps->xcr0 & PLEX86_X_AVX512) == PLEX86_X_AVX512 ? ", AVX-512" : "");
}

/* Opens @ops with a little RAM of its own.  True if it works here. */
static bool report(const struct plex86_engine_ops *ops)
{
	struct plex86_engine_config config = { .ram_fd = -1, .ram_size = 1 << 20, .max_spaces = 2 };
	char why[PLEX86_WHY_LEN] = "";
	struct plex86_engine *engine;
	int ret;

	ret = ops->probe(why);
	if (ret)
		goto refused;
	config.ram_fd = memfd_create("plex86-doctor", MFD_CLOEXEC);
	if (config.ram_fd < 0 || ftruncate(config.ram_fd, (off_t)config.ram_size)) {
		ret = -errno;
		snprintf(why, sizeof(why), "memfd_create() failed, so guest RAM can't be shared");
		goto refused;
	}
	config.ram = mmap(NULL, config.ram_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  config.ram_fd, 0);
	if (config.ram == MAP_FAILED) {
		ret = -errno;
		snprintf(why, sizeof(why), "mmap() of a memfd failed");
		goto refused;
	}
	ret = ops->open(&config, &engine, why);
	if (ret)
		goto refused;
	printf("engine %s: works here\n", ops->name);
	print_caps(ops->caps(engine));
	ops->close(engine);
	return true;

refused:
	printf("engine %s: not here: %s (%s)\n", ops->name, *why ? why : "no reason given",
	       strerror(-ret));
	return false;
}

int main(void)
{
	const struct plex86_engine_ops *const *ops;
	bool any = false;

	for (ops = plex86_engines; *ops; ops++)
		any |= report(*ops);
	return any ? EXIT_SUCCESS : EXIT_FAILURE;
}
