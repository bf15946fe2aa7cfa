/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a round trip through plex86.ko costs on this machine: the whole ioctl
 * (enter the kernel, switch to the guest, first trap, switch back, return) and
 * the part inside the kernel, beside a system call and an ioctl that do
 * nothing.  For reports from real hardware: docs/driver.md has an estimate, this
 * checks it.
 *
 *   roundtrip [rounds]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <plex86/uapi.h>

#define BATCHES		25
#define CODE		0x400000
#define CODE64		0x00affb000000ffffull
#define DATA		0x00cff3000000ffffull
#define SEL_CODE64	0x33
#define SEL_DATA	0x2b

struct cost {
	double ns, cycles;
};

static int vcpu, device;
static unsigned int rounds = 1000;
static struct plex86_run run;

static void die(const char *what)
{
	fprintf(stderr, "roundtrip: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static uint64_t tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static void one_syscall(void)
{
	syscall(SYS_getppid);
}

static void one_ioctl(void)
{
	ioctl(device, _IO(PLEX86_IOC, 0xff));	/* unknown: -ENOTTY */
}

static void set_state(uint32_t repeat)
{
	memset(&run.cpu, 0, sizeof(run.cpu));
	run.cpu.mode = PLEX86_MODE_64;
	run.cpu.rip = CODE;
	run.cpu.rflags = 0x202;
	run.cpu.seg[PLEX86_CS].sel = SEL_CODE64;
	run.cpu.seg[PLEX86_SS].sel = SEL_DATA;
	run.cpu.cr4 = 0x600;
	run.repeat = repeat;
}

static void enter(void)
{
	if (ioctl(vcpu, PLEX86_VCPU_RUN, &run))
		die("running");
}

static void one_trip(void)
{
	run.cpu.rip = CODE;
	enter();
	if (run.reason != PLEX86_RUN_TRAP) {
		if (run.reason == PLEX86_RUN_KICK)
			return;
		fprintf(stderr, "roundtrip: unexpected exit, reason %u, vector %u\n", run.reason,
			run.vector);
		exit(1);
	}
}

static int by_ns(const void *a, const void *b)
{
	const struct cost *x = a, *y = b;

	return x->ns < y->ns ? -1 : x->ns > y->ns;
}

static struct cost outside(void (*one)(void))
{
	uint64_t cycles = tsc();
	double t = now();
	struct cost c;
	unsigned int i;

	for (i = 0; i < rounds; i++)
		one();
	c.ns = (now() - t) / rounds;
	c.cycles = (double)(tsc() - cycles) / rounds;
	return c;
}

static struct cost null_syscall(void)
{
	return outside(one_syscall);
}

static struct cost null_ioctl(void)
{
	return outside(one_ioctl);
}

static struct cost whole_trip(void)
{
	set_state(0);
	return outside(one_trip);
}

static struct cost inside(void)
{
	struct cost c;

	do {				/* a signal or the deadline: once more */
		set_state(rounds);
		enter();
	} while (run.reason != PLEX86_RUN_TRAP);
	c.ns = (double)run.ran_ns / rounds;
	c.cycles = (double)run.cycles / rounds;
	return c;
}

static const struct {
	const char *name;
	struct cost (*measure)(void);
} kinds[] = {
	{ "a null system call (getppid)", null_syscall },
	{ "a null ioctl (unknown command)", null_ioctl },
	{ "a round trip, the whole ioctl", whole_trip },
	{ "a round trip, inside the kernel", inside },
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

static void setup(void)
{
	unsigned char *ram = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct plex86_ram range = { .size = sizeof(range), .addr = (uintptr_t)ram, .bytes = 4096 };
	struct plex86_op op = { .kind = PLEX86_OP_MAP, .prot = PLEX86_PAGE_EXEC, .gva = CODE, .npages = 1 };
	struct plex86_apply apply = { .size = sizeof(apply), .n = 1, .ops = (uintptr_t)&op };
	uint64_t gdt[8] = { [SEL_CODE64 >> 3] = CODE64, [SEL_DATA >> 3] = DATA };
	struct plex86_descriptors tables = { .size = sizeof(tables), .ngdt = 8, .gdt = (uintptr_t)gdt };
	int vm, space;

	if (ram == MAP_FAILED)
		die("memory");
	ram[0] = 0x0f;			/* UD2: the shortest way back */
	ram[1] = 0x0b;
	device = open("/dev/plex86", O_RDWR);
	if (device < 0)
		die("/dev/plex86 (is the module loaded?)");
	vm = ioctl(device, PLEX86_VM_CREATE, 0);
	if (vm < 0 || ioctl(vm, PLEX86_VM_ADD_RAM, &range))
		die("making a VM");
	space = ioctl(vm, PLEX86_SPACE_CREATE, 0);
	vcpu = ioctl(vm, PLEX86_VCPU_CREATE, 0);
	if (space < 0 || vcpu < 0 || ioctl(space, PLEX86_SPACE_DESCRIPTORS, &tables) ||
	    ioctl(space, PLEX86_SPACE_APPLY, &apply))
		die("making a space");
	run.size = sizeof(run);
	run.space = space;
	run.budget_ns = UINT64_C(1000000000);
}

int main(int argc, char **argv)
{
	static struct cost cost[KINDS][BATCHES];
	unsigned int batch, kind;

	if (argc > 2 || (argc == 2 && (rounds = strtoul(argv[1], NULL, 0)) == 0)) {
		fprintf(stderr, "Usage: roundtrip [rounds per batch, 1 or more]\n");
		return 2;
	}
	setup();
	/* In turn, and the median: so the host's other work weighs on all alike. */
	for (batch = 0; batch < BATCHES; batch++)
		for (kind = 0; kind < KINDS; kind++)
			cost[kind][batch] = kinds[kind].measure();
	for (kind = 0; kind < KINDS; kind++) {
		struct cost *c = cost[kind];

		qsort(c, BATCHES, sizeof(*c), by_ns);
		printf("%-34s %10.0f ns %10.0f cycles %8.1f x\n", kinds[kind].name,
		       c[BATCHES / 2].ns, c[BATCHES / 2].cycles,
		       c[BATCHES / 2].ns / cost[0][BATCHES / 2].ns);
	}
	return 0;
}
