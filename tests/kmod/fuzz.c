// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Random calls on random objects with structures that are mostly right: what
 * matters is that the host survives it and nothing is left behind.
 *
 *   fuzz SECONDS [SEED]
 */
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "kmod.h"
#include "../tap.h"

#define MAX_FDS 48

static int fds[MAX_FDS];
static unsigned int nfds;
static uint64_t state;
static unsigned char *ram;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t below(uint64_t n)
{
	return rnd() % n;
}

/* A number that programs get wrong. */
static uint64_t number(void)
{
	static const uint64_t edges[] = {
		0, 1, 2, 4095, 4096, 0x7fffffff, 0xffffffff, 1ull << 32, 1ull << 47,
		(1ull << 47) - 4096, 1ull << 63, ~0ull, 0xffff800000000000ull,
		0xffffffff81000000ull, 0xfffffffffffff000ull, CODE, DATA, STACK,
	};

	switch (below(3)) {
	case 0: return edges[below(sizeof(edges) / sizeof(*edges))];
	case 1: return below(64) * PAGE;
	default: return rnd() >> below(64);
	}
}

static void keep(long fd)
{
	unsigned int at;

	if (fd < 0)
		return;
	if (nfds < MAX_FDS) {
		fds[nfds++] = fd;
		return;
	}
	at = below(nfds);
	close(fds[at]);
	fds[at] = fd;
}

static int any_fd(void)
{
	return below(40) ? fds[below(nfds)] : (int)number();
}

static void spoil(void *p, size_t n)
{
	if (below(3))
		return;
	((unsigned char *)p)[below(n)] ^= 1u << below(8);
}

static void fuzz_ram(int fd)
{
	struct plex86_ram r = { .size = sizeof(r), .offset = number(), .bytes = number(),
				.addr = below(4) ? (uintptr_t)ram + below(16) * PAGE : number() };

	spoil(&r, sizeof(r));
	ioctl(fd, PLEX86_VM_ADD_RAM, &r);
}

static void fuzz_apply(int fd)
{
	struct plex86_op op[8];
	struct plex86_apply a = { .size = sizeof(a), .n = below(9), .ops = (uintptr_t)op };
	unsigned int i;

	for (i = 0; i < 8; i++) {
		op[i] = (struct plex86_op){
			.kind = 1 + below(3) % 3, .prot = 1 + below(7),
			.gva = below(3) ? CODE + below(64) * PAGE : number() & ~(PAGE - 1),
			.off = below(64) * PAGE, .npages = below(3) ? 1 + below(16) : number(),
		};
		if (op[i].kind == PLEX86_OP_UNMAP_ALL && below(8))
			op[i].kind = PLEX86_OP_MAP;
		if (!below(8))
			spoil(&op[i], sizeof(op[i]));
	}
	spoil(&a, sizeof(a));
	ioctl(fd, PLEX86_SPACE_APPLY, &a);
}

static void fuzz_descriptors(int fd)
{
	uint64_t gdt[128] = { 0 }, ldt[32] = { 0 };
	struct plex86_descriptors d = { .size = sizeof(d), .ngdt = 32, .nldt = below(32),
					.gdt = (uintptr_t)gdt, .ldt = (uintptr_t)ldt };
	unsigned int i;

	for (i = 3; i < 32; i++) {
		gdt[i] = (rnd() & ~0xf10000000000ull) | 0xf10000000000ull;
		ldt[i] = (rnd() & ~0xf10000000000ull) | 0xf10000000000ull;
	}
	gdt[SEL_CODE32 >> 3] = D_CODE32;
	gdt[SEL_DATA >> 3] = D_DATA32;
	gdt[SEL_CODE64 >> 3] = D_CODE64;
	if (!below(4))
		gdt[below(32)] = rnd();
	spoil(&d, sizeof(d));
	ioctl(fd, PLEX86_SPACE_DESCRIPTORS, &d);
}

static void fuzz_run(int fd)
{
	struct plex86_run r = { .size = sizeof(r), .space = any_fd(), .budget_ns = below(3000000),
				.repeat = below(3) };
	struct plex86_cpu *cpu = &r.cpu;
	unsigned int i;
	int bits64 = below(2);

	for (i = 0; i < 16; i++)
		cpu->gpr[i] = number();
	cpu->rip = CODE + below(PAGE);
	cpu->rflags = 0x202 | (rnd() & 0x254dd5);
	for (i = 0; i < PLEX86_NSEG; i++)
		cpu->seg[i].sel = below(2) ? SEL_DATA : below(4) ? below(256) | 3 : rnd();
	cpu->seg[PLEX86_CS].sel = bits64 ? SEL_CODE64 : SEL_CODE32;
	cpu->seg[PLEX86_SS].sel = SEL_DATA;
	if (!below(8))
		cpu->seg[below(6)].sel = rnd();
	cpu->seg[PLEX86_FS].base = number();
	cpu->seg[PLEX86_GS].base = number();
	cpu->mode = bits64 ? PLEX86_MODE_64 : PLEX86_MODE_COMPAT;
	cpu->cr0 = below(8) ? 0x80050033 : rnd();
	cpu->cr4 = below(4) ? 0x6b0 | below(2) << 16 | below(2) << 18 : rnd() & ~(1ull << 22);
	cpu->xcr0 = below(4) ? 7u >> below(2) : rnd();
	for (i = 0; i < 4; i++)
		cpu->dr[i] = number();
	cpu->dr7 = below(4) ? 0x400 : rnd();
	if (!below(8))
		cpu->rip = number();
	spoil(&r, sizeof(r));
	ioctl(fd, PLEX86_VCPU_RUN, &r);
}

static void one(void)
{
	int fd = any_fd();

	switch (below(12)) {
	case 0: keep(open("/dev/plex86", O_RDWR)); break;
	case 1: keep(ioctl(fd, PLEX86_VM_CREATE, 0)); break;
	case 2: fuzz_ram(fd); break;
	case 3: keep(ioctl(fd, PLEX86_SPACE_CREATE, 0)); break;
	case 4: keep(ioctl(fd, PLEX86_VCPU_CREATE, 0)); break;
	case 5: fuzz_descriptors(fd); break;
	case 6: fuzz_apply(fd); break;
	case 7: ioctl(fd, _IO(PLEX86_IOC, below(0x40)), number()); break;
	case 8: ioctl(fd, PLEX86_VCPU_KICK, 0); break;
	default: fuzz_run(fd);
	}
}

static void nothing(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 5;
	struct itimerval timer = { { 0, 7000 }, { 0, 7000 } };
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL) ^ getpid();
	unsigned long calls = 0, ran = 0;
	struct machine m;
	time_t end;
	int i;

	state = seed * 0x9e3779b97f4a7c15ull | 1;
	tap_diag("seed %llu", (unsigned long long)seed);
	if (machine_open(&m)) {
		tap_ok(0, "a machine");
		return tap_done();
	}
	ram = m.ram;
	for (i = 0; i < (int)(NPAGES * PAGE); i++)
		ram[i] = rnd() >> 13;
	keep(m.dev);
	keep(m.vm);
	keep(m.space);
	keep(m.vcpu);
	signal(SIGALRM, nothing);
	setitimer(ITIMER_REAL, &timer, NULL);
	end = time(NULL) + (time_t)seconds;
	while (time(NULL) < end)
		for (i = 0; i < 200; i++, calls++)
			one();
	memset(&timer, 0, sizeof(timer));
	setitimer(ITIMER_REAL, &timer, NULL);
	while (nfds)
		close(fds[--nfds]);
	munmap(ram, NPAGES * PAGE);
	/* The host is sound: a fresh machine works. */
	if (machine_open(&m) == 0)
		for (i = 0; i < 100; i++) {
			load(&m, 64, BYTES(0x0f, 0x0b));
			ran += !go(&m) && m.run.reason == PLEX86_RUN_TRAP && m.run.vector == 6;
		}
	tap_diag("%lu calls", calls);
	is(ran, 100, "after the fuzzing a fresh machine works");
	machine_close(&m);
	return tap_done();
}
