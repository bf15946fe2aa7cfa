// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * I10 for the driver engine: what it says when it can't be had, and what is left
 * when a call of the module fails later on.  Run as root; children are nobody.
 */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <plex86/engine.h>

#include "accel-driver/common/xstate.h"
#include "tests/tap.h"

#define RAM	(UINT64_C(16) << 20)
#define PAGE	UINT64_C(4096)
#define CODE	UINT64_C(0x400000)
#define DEVICE	"/dev/plex86"
#define MANY	UINT64_C(1000)

static const struct plex86_engine_ops *const ops = &plex86_engine_driver;
static struct plex86_engine *engine;
static char why[PLEX86_WHY_LEN];
static int ram_fd;
static uint8_t *ram;

static int open_engine(void)
{
	struct plex86_engine_config config = { .ram_fd = ram_fd, .ram = ram, .ram_size = RAM, .max_spaces = 8 };

	why[0] = 0;
	return ops->open(&config, &engine, why);
}

static int become_nobody(void)
{
	return setgroups(0, NULL) || setgid(65534) || setuid(65534);
}

static void may_lock(uint64_t bytes)
{
	struct rlimit limit = { bytes, bytes };
	struct rlimit old;

	getrlimit(RLIMIT_MEMLOCK, &old);
	if (old.rlim_max > bytes)
		limit.rlim_max = old.rlim_max;	/* so that it can be raised again */
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

static int map(struct plex86_space *s, uint64_t gva, uint64_t npages, uint32_t prot, unsigned int *done)
{
	struct plex86_map_op op = { .kind = PLEX86_MAP, .prot = prot, .gva = { gva }, .npages = npages };

	return ops->apply(s, &op, 1, done);
}

/* HLT, at the beginning of RAM: a general protection fault. */
static bool runs(struct plex86_space *s)
{
	struct plex86_cpu cpu = { .rip = CODE, .rflags = 0x202, .mode = PLEX86_MODE_64, .xcr0 = 1 };
	struct plex86_exit exit;
	struct plex86_vec vec;
	int i, err;

	for (i = 0; i < PLEX86_NSEG; i++)
		cpu.seg[i].attr = PLEX86_SEG_NULL;
	cpu.seg[PLEX86_CS] = (struct plex86_seg){ .sel = 0x33, .attr = 0xa0fb, .limit = ~0u };
	cpu.seg[PLEX86_SS] = (struct plex86_seg){ .sel = 0x2b, .attr = 0xc0f3, .limit = ~0u };
	plex86_vec_init(&vec);
	err = ops->run(s, &cpu, &vec, 0, UINT64_C(1000000000), &exit);
	return !err && exit.reason == PLEX86_EXIT_TRAP && cpu.rip == CODE;
}

/* In a child, so that what it gives up is not missed later. */
static bool in_child(bool (*test)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		bool good = test();

		if (!good)
			tap_diag("%s", why);
		fflush(stdout);
		_exit(!good);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool not_permitted(void)
{
	may_lock(2 * RAM);
	return !become_nobody() && ops->probe(why) == -EACCES && strstr(why, DEVICE) && strstr(why, "group") &&
	       open_engine() == -EACCES && strstr(why, "group");
}

static bool limit_too_low(void)
{
	may_lock(RAM / 2);
	return !become_nobody() && !ops->probe(why) && open_engine() == -ENOMEM && strstr(why, "17 MiB") &&
	       strstr(why, "8 MiB") && strstr(why, "ulimit -l");
}

static bool limit_for_root(void)
{
	may_lock(PAGE);
	return !open_engine();		/* CAP_IPC_LOCK */
}

/* The limit is used up after the start: by another program, or because it was lowered. */
static bool limit_reached(void)
{
	const uint64_t gdt[7] = { [5] = UINT64_C(0x00cff3000000ffff), UINT64_C(0x00affb000000ffff) };
	struct plex86_space *s, *other;
	unsigned int done = 77;
	int i, err;
	bool good;

	may_lock(2 * RAM);
	if (become_nobody() || open_engine() || ops->space_create(engine, &s) ||
	    map(s, CODE, 1, PLEX86_PROT_READ | PLEX86_PROT_EXEC, NULL) || !runs(s))
		return false;
	may_lock(PAGE);
	good = map(s, CODE + PAGE, MANY, PLEX86_PROT_READ, &done) == -ENOMEM && done == 0;
	good &= ops->space_create(engine, &other) == -ENOMEM;
	good &= runs(s);			/* what there is goes on, ... */
	good &= !ops->set_descriptors(s, gdt, 7, NULL, 0) && runs(s);	/* and can be replaced */
	/* As often as one likes. */
	for (i = 0; i < 100; i++)
		good &= map(s, CODE + PAGE, MANY, PLEX86_PROT_READ, &done) == -ENOMEM;
	ops->space_destroy(s);
	may_lock(2 * RAM);
	err = ops->space_create(engine, &s);
	good &= !err && !map(s, CODE, MANY, PLEX86_PROT_READ | PLEX86_PROT_EXEC, NULL) && runs(s);
	ops->close(engine);
	return good;
}

static bool no_module(void)
{
	return ops->probe(why) == -ENOENT && strstr(why, "modprobe plex86");
}

static bool another_device(void)
{
	return ops->probe(why) == -ENOTTY && strstr(why, "does not answer");
}

/* The engine is its process's: a child of Bochs can't drive it, and breaks nothing. */
static struct plex86_space *parents;

static bool inherited(void)
{
	struct plex86_space *s;

	return map(parents, CODE + PAGE, 1, PLEX86_PROT_READ, NULL) == -EIO && !runs(parents) &&
	       ops->space_create(engine, &s) == -EIO;
}

int main(void)
{
	struct stat device;

	ram_fd = memfd_create("ram", MFD_CLOEXEC);
	if (ram_fd < 0 || ftruncate(ram_fd, RAM) || stat(DEVICE, &device)) {
		tap_ok(0, "memory, and a device");
		return tap_done();
	}
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);
	ram[0] = 0xf4;
	tap_ok(in_child(not_permitted), "no right to open the device: it says which group has it");
	chmod(DEVICE, 0666);
	tap_ok(in_child(limit_too_low), "too little memory may be locked: it says how much it takes");
	tap_ok(in_child(limit_reached), "no more may be locked: -ENOMEM, and what there is goes on");
	chmod(DEVICE, 0660);
	tap_ok(in_child(limit_for_root), "the limit does not bind CAP_IPC_LOCK");
	rename(DEVICE, "/dev/moved");
	tap_ok(in_child(no_module), "no device: it says how to load the module");
	mknod(DEVICE, S_IFCHR | 0600, makedev(1, 3));
	tap_ok(in_child(another_device), "another device of that name: it says so");
	unlink(DEVICE);
	rename("/dev/moved", DEVICE);
	tap_ok(!open_engine() && !ops->space_create(engine, &parents) &&
	       !map(parents, CODE, 1, PLEX86_PROT_READ | PLEX86_PROT_EXEC, NULL) && runs(parents),
	       "an engine");
	tap_ok(in_child(inherited), "a child's calls fail");
	tap_ok(runs(parents), "and its parent's don't");
	ops->close(engine);
	return tap_done();
}
