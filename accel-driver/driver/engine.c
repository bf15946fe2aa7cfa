// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The driver engine: opens /dev/plex86, says in a sentence why it can't, and
 * maps what it is told.  See docs/driver.md for what the module does.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver.h"

/* Operations go to the module as they are. */
_Static_assert(sizeof(struct plex86_map_op) == sizeof(struct plex86_op), "op layout");
_Static_assert(offsetof(struct plex86_map_op, prot) == offsetof(struct plex86_op, prot), "op");
_Static_assert(offsetof(struct plex86_map_op, gva) == offsetof(struct plex86_op, gva), "op");
_Static_assert(offsetof(struct plex86_map_op, off) == offsetof(struct plex86_op, off), "op");
_Static_assert(offsetof(struct plex86_map_op, npages) == offsetof(struct plex86_op, npages), "op");
_Static_assert((int)PLEX86_MAP == PLEX86_OP_MAP, "kinds");
_Static_assert((int)PLEX86_UNMAP == PLEX86_OP_UNMAP, "kinds");
_Static_assert((int)PLEX86_UNMAP_ALL == PLEX86_OP_UNMAP_ALL, "kinds");

static long call(int fd, unsigned long cmd, void *arg)
{
	long ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

static int say(char *why, int err, const char *sentence)
{
	snprintf(why, PLEX86_WHY_LEN, "%s", sentence);
	return err;
}

static int open_device(struct plex86_info *info, char *why)
{
	int dev = open(DRV_DEVICE, O_RDWR | O_CLOEXEC);
	long ret;

	if (dev < 0) {
		int err = -errno;

		if (err == -EACCES || err == -EPERM)
			return say(why, err, "you may not open " DRV_DEVICE
				   ": join its group (usually kvm) and log in again");
		if (err == -ENOENT || err == -ENXIO || err == -ENODEV)
			return say(why, err,
				   "there is no " DRV_DEVICE
				   ": load the module (modprobe plex86); the kernel log says so if "
				   "it refuses this host");
		snprintf(why, PLEX86_WHY_LEN, "opening " DRV_DEVICE ": %s", strerror(-err));
		return err;
	}
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	ret = call(dev, PLEX86_GET_INFO, info);
	if (ret) {
		close(dev);
		return say(why, ret, DRV_DEVICE " does not answer as this version expects: "
			   "load the module that was built with it");
	}
	return dev;
}

static int drv_probe(char why[PLEX86_WHY_LEN])
{
	struct plex86_info info;
	int dev = open_device(&info, why);

	if (dev < 0)
		return dev;
	close(dev);
	return 0;
}

static bool may_lock_any(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return !syscall(SYS_capget, &head, data) &&
	       data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK);
}

/* Guest RAM gets pinned as it is used: better to say now that it won't do. */
static int check_memlock(uint64_t ram_size, char *why)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur >= ram_size + ram_size / 16 || may_lock_any())
		return 0;
	snprintf(why, PLEX86_WHY_LEN,
		 "a guest with %llu MiB needs %llu MiB of locked memory, you may have %llu MiB: "
		 "raise memlock in /etc/security/limits.conf (ulimit -l shows it)",
		 (unsigned long long)(ram_size >> 20),
		 (unsigned long long)((ram_size + ram_size / 16) >> 20),
		 (unsigned long long)(limit.rlim_cur >> 20));
	return -ENOMEM;
}

int drv_space_create(struct plex86_engine *engine, struct plex86_space **space)
{
	struct plex86_space *s;
	long fd;

	if (!engine || !space)
		return -EINVAL;
	if (engine->nspaces == engine->max_spaces)
		return -ENOSPC;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	fd = call(engine->vm, PLEX86_SPACE_CREATE, NULL);
	if (fd < 0) {
		free(s);
		return fd;
	}
	s->fd = fd;
	s->engine = engine;
	s->next = engine->spaces;
	engine->spaces = s;
	engine->nspaces++;
	*space = s;
	return 0;
}

void drv_space_destroy(struct plex86_space *space)
{
	struct plex86_space **at;

	if (!space)
		return;
	for (at = &space->engine->spaces; *at != space; at = &(*at)->next)
		;
	*at = space->next;
	space->engine->nspaces--;
	close(space->fd);
	free(space);
}

int drv_apply(struct plex86_space *space, const struct plex86_map_op *ops, unsigned int n,
	      unsigned int *done)
{
	unsigned int max, did = 0;
	struct plex86_apply a = { .size = sizeof(a) };
	long ret = 0;

	if (done)
		*done = 0;
	if (!space || (n && !ops))
		return -EINVAL;
	max = space->engine->info.max_ops;
	while (did < n && !ret) {
		a.n = n - did < max ? n - did : max;
		a.ops = (uintptr_t)(ops + did);
		a.done = 0;
		ret = call(space->fd, PLEX86_SPACE_APPLY, &a);
		did += a.done;
	}
	if (done)
		*done = did;
	return ret;
}

static void drv_close(struct plex86_engine *engine)
{
	if (!engine)
		return;
	while (engine->spaces)
		drv_space_destroy(engine->spaces);
	if (engine->vcpu >= 0)
		close(engine->vcpu);
	if (engine->vm >= 0)
		close(engine->vm);
	if (engine->dev >= 0)
		close(engine->dev);
	free(engine->image);
	free(engine);
}

static int start(struct plex86_engine *e, const struct plex86_engine_config *config, char *why)
{
	struct plex86_ram ram = {
		.size = sizeof(ram), .addr = (uintptr_t)config->ram, .bytes = config->ram_size,
	};
	long ret;

	e->vm = call(e->dev, PLEX86_VM_CREATE, NULL);
	if (e->vm < 0)
		return say(why, e->vm,
			   "the module has no memory for a VM, or the limit on locked memory is "
			   "used up");
	ret = call(e->vm, PLEX86_VM_ADD_RAM, &ram);
	if (ret)
		return say(why, ret,
			   "the module does not take the guest's RAM: it must be page-aligned");
	e->vcpu = call(e->vm, PLEX86_VCPU_CREATE, NULL);
	if (e->vcpu == -EOPNOTSUPP)
		return say(why, e->vcpu,
			   "the module refuses this process; the kernel log says why");
	if (e->vcpu < 0)
		return say(why, e->vcpu,
			   "the module has no memory for a vCPU, or the limit on locked memory is "
			   "used up");
	ret = drv_vec_init(e);
	if (ret)
		return say(why, ret, "this CPU's XSAVE layout is not one that is known");
	drv_fill_caps(e);
	ret = drv_measure(e);
	if (ret)
		return say(why, ret,
			   "a first run by the module failed; the kernel log may say more");
	return 0;
}

/* Is the RAM what the configuration says?  The module sees only the mapping. */
static int check_config(const struct plex86_engine_config *config, char *why)
{
	struct stat object;

	if (config->flags || config->reserved)
		return say(why, -EINVAL, "unknown flags for the engine");
	if (!config->max_spaces)
		return say(why, -EINVAL, "the engine needs room for one space at least");
	if (!config->ram || !config->ram_size || config->ram_size % PLEX86_PAGE_SIZE)
		return say(why, -EINVAL,
			   "the guest's RAM must be one page at least, and whole pages");
	if (fstat(config->ram_fd, &object))
		return say(why, -errno, "the guest's RAM object is not an open descriptor");
	if (object.st_size < 0 || (uint64_t)object.st_size < config->ram_size)
		return say(why, -EINVAL, "the guest's RAM object is smaller than the RAM");
	return check_memlock(config->ram_size, why);
}

static int drv_open(const struct plex86_engine_config *config, struct plex86_engine **engine,
		    char why[PLEX86_WHY_LEN])
{
	struct plex86_engine *e;
	int ret;

	ret = check_config(config, why);
	if (ret)
		return ret;
	e = calloc(1, sizeof(*e));
	if (!e)
		return say(why, -ENOMEM, "out of memory");
	e->max_spaces = config->max_spaces;
	e->int_shift = drv_int_error_shift();
	e->vm = -1;
	e->vcpu = -1;
	e->dev = open_device(&e->info, why);
	ret = e->dev < 0 ? e->dev : start(e, config, why);
	if (ret) {
		drv_close(e);
		return ret;
	}
	*engine = e;
	return 0;
}

static const struct plex86_caps *drv_caps(struct plex86_engine *engine)
{
	return &engine->caps;
}

static void drv_kick(struct plex86_engine *engine)
{
	int saved = errno;

	atomic_store(&engine->kicked, true);
	ioctl(engine->vcpu, PLEX86_VCPU_KICK, 0);
	errno = saved;
}

const struct plex86_engine_ops plex86_engine_driver = {
	.name = "driver",
	.probe = drv_probe,
	.open = drv_open,
	.close = drv_close,
	.caps = drv_caps,
	.space_create = drv_space_create,
	.space_destroy = drv_space_destroy,
	.apply = drv_apply,
	.run = drv_run,
	.kick = drv_kick,
	.set_traps = drv_set_traps,
	.set_descriptors = drv_set_descriptors,
};
