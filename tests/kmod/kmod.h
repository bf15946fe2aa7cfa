/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of plex86.ko share: a VM with one space, one vCPU and three
 * pages of RAM (code, data, stack) at fixed guest addresses, by ioctl alone.
 */
#ifndef PLEX86_TESTS_KMOD_H
#define PLEX86_TESTS_KMOD_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <plex86/uapi.h>

#define PAGE		4096ull
#define CODE		0x08048000ull	/* guest addresses */
#define DATA		0x08050000ull
#define STACK		0x08060000ull
#define NPAGES		64		/* of RAM */
#define MAX_BUDGET	UINT64_C(10000000000)

/* Descriptors of an ordinary kernel: flat, DPL 3, accessed. */
#define D_CODE64	0x00affb000000ffffull
#define D_CODE32	0x00cffb000000ffffull
#define D_DATA32	0x00cff3000000ffffull
#define SEL_CODE32	0x23
#define SEL_DATA	0x2b
#define SEL_CODE64	0x33
#define NGDT		32

struct machine {
	int dev, vm, space, vcpu;
	unsigned char *ram, *code, *data, *stack;
	uint64_t gdt[NGDT], ldt[16];
	struct plex86_run run;
};

#define BYTES(...) (const unsigned char[]){ __VA_ARGS__ }, \
		   sizeof((const unsigned char[]){ __VA_ARGS__ })

__attribute__((unused))
static long call(int fd, unsigned long cmd, void *arg)
{
	long ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

__attribute__((unused))
static long map(struct machine *m, uint64_t gva, uint64_t off, uint64_t npages, uint32_t prot)
{
	struct plex86_op op = {
		.kind = PLEX86_OP_MAP, .prot = prot, .gva = gva, .off = off, .npages = npages,
	};
	struct plex86_apply a = { .size = sizeof(a), .n = 1, .ops = (uintptr_t)&op };

	return call(m->space, PLEX86_SPACE_APPLY, &a);
}

__attribute__((unused))
static long unmap(struct machine *m, uint64_t gva, uint64_t npages)
{
	struct plex86_op op = { .kind = PLEX86_OP_UNMAP, .gva = gva, .npages = npages };
	struct plex86_apply a = { .size = sizeof(a), .n = 1, .ops = (uintptr_t)&op };

	return call(m->space, PLEX86_SPACE_APPLY, &a);
}

__attribute__((unused))
static long set_tables(struct machine *m)
{
	struct plex86_descriptors d = {
		.size = sizeof(d), .ngdt = NGDT, .nldt = 16,
		.gdt = (uintptr_t)m->gdt, .ldt = (uintptr_t)m->ldt,
	};

	return call(m->space, PLEX86_SPACE_DESCRIPTORS, &d);
}

/* Returns 0, or the negative errno of the step that failed. */
__attribute__((unused))
static long machine_open(struct machine *m)
{
	struct plex86_ram ram = { .size = sizeof(ram), .bytes = NPAGES * PAGE };
	long ret;

	memset(m, 0, sizeof(*m));
	m->dev = open("/dev/plex86", O_RDWR | O_CLOEXEC);
	if (m->dev < 0)
		return -errno;
	m->ram = mmap(NULL, NPAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	m->code = m->ram;
	m->data = m->ram + PAGE;
	m->stack = m->ram + 2 * PAGE;
	m->vm = call(m->dev, PLEX86_VM_CREATE, NULL);
	if (m->vm < 0)
		return m->vm;
	ram.addr = (uintptr_t)m->ram;
	ret = call(m->vm, PLEX86_VM_ADD_RAM, &ram);
	if (ret)
		return ret;
	m->space = call(m->vm, PLEX86_SPACE_CREATE, NULL);
	if (m->space < 0)
		return m->space;
	m->vcpu = call(m->vm, PLEX86_VCPU_CREATE, NULL);
	if (m->vcpu < 0)
		return m->vcpu;
	m->gdt[SEL_CODE32 >> 3] = D_CODE32;
	m->gdt[SEL_DATA >> 3] = D_DATA32;
	m->gdt[SEL_CODE64 >> 3] = D_CODE64;
	ret = set_tables(m);
	if (!ret)
		ret = map(m, CODE, 0, 1, PLEX86_PAGE_READ | PLEX86_PAGE_EXEC);
	if (!ret)
		ret = map(m, DATA, PAGE, 1, PLEX86_PAGE_READ | PLEX86_PAGE_WRITE);
	if (!ret)
		ret = map(m, STACK, 2 * PAGE, 1, PLEX86_PAGE_READ | PLEX86_PAGE_WRITE);
	return ret;
}

__attribute__((unused))
static void machine_close(struct machine *m)
{
	close(m->vcpu);
	close(m->space);
	close(m->vm);
	close(m->dev);
	munmap(m->ram, NPAGES * PAGE);
}

/* Put code in place and set registers for it; 64-bit, or 32-bit flat. */
__attribute__((unused))
static void load(struct machine *m, int bits, const unsigned char *code, size_t n)
{
	struct plex86_cpu *cpu = &m->run.cpu;
	int i;

	memset(m->code, 0x90, PAGE);
	memcpy(m->code, code, n);
	memset(&m->run, 0, sizeof(m->run));
	m->run.size = sizeof(m->run);
	m->run.space = m->space;
	m->run.budget_ns = MAX_BUDGET;
	cpu->mode = bits == 64 ? PLEX86_MODE_64 : PLEX86_MODE_COMPAT;
	cpu->rip = CODE;
	cpu->rflags = 0x202;
	cpu->gpr[PLEX86_RSP] = STACK + 0x800;
	for (i = 0; i < PLEX86_NSEG; i++)
		cpu->seg[i].sel = bits == 64 ? 0 : SEL_DATA;
	cpu->seg[PLEX86_CS].sel = bits == 64 ? SEL_CODE64 : SEL_CODE32;
	cpu->seg[PLEX86_SS].sel = SEL_DATA;
	cpu->cr0 = 0x80050033;
	cpu->cr4 = 0x6b0;		/* OSFXSR, OSXMMEXCPT, PGE, PAE, PSE */
	cpu->efer = 0xd01;
}

__attribute__((unused))
static long go(struct machine *m)
{
	return call(m->vcpu, PLEX86_VCPU_RUN, &m->run);
}

#endif /* PLEX86_TESTS_KMOD_H */
