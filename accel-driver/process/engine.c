// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The process engine's table of operations, and its life from open() to close().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process.h"

/* asm/prctl.h, from Linux 6.4 and 6.6 on. */
#define ARCH_GET_UNTAG_MASK	0x4001
#define ARCH_SHSTK_STATUS	0x5005
#define ARCH_SHSTK_SHSTK	1ul

#define MEASURE_TRIES 4

void process_why(char why[PLEX86_WHY_LEN], const char *fmt, ...)
{
	va_list ap;

	if (!why)
		return;
	va_start(ap, fmt);
	vsnprintf(why, PLEX86_WHY_LEN, fmt, ap);
	va_end(ap);
}

static int check_config(const struct plex86_engine_config *c, char why[PLEX86_WHY_LEN])
{
	if (!c || c->flags || c->reserved || !c->max_spaces || c->max_spaces > 1u << 16) {
		process_why(why, "the engine was given a bad configuration");
		return -EINVAL;
	}
	if (c->ram_fd < 0 || !c->ram || !c->ram_size || c->ram_size & ~PLEX86_PAGE_MASK) {
		process_why(why, "the guest's memory must be a memfd of whole pages");
		return -EINVAL;
	}
	if (lseek(c->ram_fd, 0, SEEK_END) < (off_t)c->ram_size) {
		process_why(why, "the guest's memory object is smaller than the guest's memory");
		return -EINVAL;
	}
	return 0;
}

/*
 * Containers would inherit it: their RET would look at a stack that no guest has, and RDSSP,
 * which does nothing in Bochs, at the host's.
 */
static bool has_shadow_stack(void)
{
	unsigned long features = 0;

	return !syscall(SYS_arch_prctl, ARCH_SHSTK_STATUS, &features) &&
	       (features & ARCH_SHSTK_SHSTK);
}

/* Containers would inherit it: addresses that are not canonical would be as good as others (LAM). */
static bool has_tagged_addresses(void)
{
	unsigned long mask = ~0ul;

	return !syscall(SYS_arch_prctl, ARCH_GET_UNTAG_MASK, &mask) && mask != ~0ul;
}

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

/* Hosts may want to be told that it is no program (vm.memfd_noexec); older ones can't be. */
static int memory_object(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	return fd < 0 && errno == EINVAL ? memfd_create(name, MFD_CLOEXEC) : fd;
}

static int stub_open(struct plex86_engine *e, char why[PLEX86_WHY_LEN])
{
	int err;

	e->stub_fd = memory_object("plex86-stub");
	if (e->stub_fd < 0 || ftruncate(e->stub_fd, STUB_SIZE)) {
		err = -errno;
		process_why(why, "can't create a memfd: %s", strerror(-err));
		return err;
	}
	e->stub = mmap(NULL, STUB_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, e->stub_fd, 0);
	if (e->stub == MAP_FAILED) {
		err = -errno;
		e->stub = NULL;
		process_why(why, "can't map a memfd: %s", strerror(-err));
		return err;
	}
	memcpy(e->stub, stub_start, (size_t)STUB_OFFSET(stub_end));
	return 0;
}

static void process_close(struct plex86_engine *e)
{
	if (!e)
		return;
	while (e->spaces)
		space_destroy(e->spaces);
	process_reap(e, true);
	zygote_stop(e);
	deadline_close(e);
	if (e->stub)
		munmap(e->stub, STUB_SIZE);
	if (e->stub_fd >= 0)
		close(e->stub_fd);
	free(e->ximage);
	free(e->dying);
	free(e);
}

static int process_open(const struct plex86_engine_config *config,
			struct plex86_engine **engine, char why[PLEX86_WHY_LEN])
{
	struct plex86_engine *e;
	int err, tries;

	if (!engine)
		return -EINVAL;
	err = check_config(config, why);
	if (err)
		return err;
	if (has_shadow_stack()) {
		process_why(why, "this Bochs has a user shadow stack: run it without one "
			    "(GLIBC_TUNABLES)");
		return -ENOTSUP;
	}
	if (has_tagged_addresses()) {
		process_why(why, "this Bochs has linear address masking: run it without (GLIBC_TUNABLES)");
		return -ENOTSUP;
	}
	e = calloc(1, sizeof(*e));
	if (!e) {
		process_why(why, "out of memory");
		return -ENOMEM;
	}
	e->config = *config;
	e->stub_fd = -1;
	e->tracer = (pid_t)syscall(SYS_gettid);
	e->dying = calloc(config->max_spaces, sizeof(*e->dying));
	if (!e->dying || getrandom(&e->secret, sizeof(e->secret), 0) != sizeof(e->secret)) {
		process_why(why, "out of memory or of randomness");
		err = -ENOMEM;
		goto close_engine;
	}
	e->secret &= ~UINT64_C(0xffffffff);
	err = vec_init(e, why);
	if (!err)
		err = stub_open(e, why);
	if (!err)
		err = deadline_open(e, why);
	if (!err)
		err = zygote_start(e, why);
	/* Somebody may kill the very process that is being measured. */
	for (tries = 0; !err; tries++) {
		err = measure_host(e, why);
		if (err != -ESRCH || tries == MEASURE_TRIES)
			break;
		err = 0;
	}
	if (err)
		goto close_engine;
	*engine = e;
	return 0;

close_engine:
	process_close(e);
	return err;
}

/* The honest probe is to do it: a small engine, opened and closed. */
static int process_probe(char why[PLEX86_WHY_LEN])
{
	struct plex86_engine_config config = { .ram_size = PLEX86_PAGE_SIZE, .max_spaces = 1 };
	struct plex86_engine *e = NULL;
	int err;

	config.ram_fd = memory_object("plex86-probe");
	if (config.ram_fd < 0 || ftruncate(config.ram_fd, (off_t)config.ram_size)) {
		err = -errno;
		process_why(why, "memory can't be shared with other processes: memfd_create: %s",
			    strerror(-err));
		goto close_fd;
	}
	config.ram = mmap(NULL, config.ram_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  config.ram_fd, 0);
	if (config.ram == MAP_FAILED) {
		err = -errno;
		process_why(why, "memory can't be shared with other processes: mmap: %s",
			    strerror(-err));
		goto close_fd;
	}
	err = process_open(&config, &e, why);
	process_close(e);
	munmap(config.ram, config.ram_size);
close_fd:
	if (config.ram_fd >= 0)
		close(config.ram_fd);
	return err;
}

static const struct plex86_caps *process_caps(struct plex86_engine *e)
{
	return &e->caps;
}

static int process_space_create(struct plex86_engine *e, struct plex86_space **space)
{
	if (!e || !space)
		return -EINVAL;
	return space_create(e, space);
}

static void process_kick(struct plex86_engine *e)
{
	if (e)
		deadline_kick(e);
}

const struct plex86_engine_ops plex86_engine_process = {
	.name = "process",
	.probe = process_probe,
	.open = process_open,
	.close = process_close,
	.caps = process_caps,
	.space_create = process_space_create,
	.space_destroy = space_destroy,
	.apply = space_apply,
	.run = process_run,
	.kick = process_kick,
	.set_traps = space_set_traps,
	.trap_tsc = space_trap_tsc,
	.occupied = space_occupied,
};
