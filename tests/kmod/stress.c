// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Switches by the million under load, all results checked: processes with a VM
 * each, half of them with a guest that spins on data in vector registers until
 * its deadline, half with one that traps at once, beside plain processes, on all
 * CPUs.  NMIs may be injected from outside meanwhile (tests/kmod/inject).
 *
 *   stress SECONDS [PROCESSES [trap|frozen]]
 *
 * trap: none of them spins; frozen: something freezes processes meanwhile, which looks
 * to them like a signal.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "kmod.h"
#include "../tap.h"

struct count {
	unsigned long switches, irqs, nmis, wrong;
};

static bool frozen;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void add(struct count *c, const struct plex86_run *r)
{
	c->irqs += r->host_irqs;
	c->nmis += r->host_nmis;
	c->switches += r->host_irqs + 1;
}

/* inc rax; movq xmm1, rax; movq rcx, xmm1; cmp rax, rcx; je; ud2 */
static void spin(struct machine *m, struct count *c)
{
	uint64_t seed = c->switches * 0x10001;

	load(m, 64, BYTES(0x48, 0xff, 0xc0, 0x66, 0x48, 0x0f, 0x6e, 0xc8, 0x66, 0x48, 0x0f, 0x7e,
			  0xc9, 0x48, 0x39, 0xc8, 0x74, 0xee, 0x0f, 0x0b));
	m->run.cpu.gpr[PLEX86_RBX] = seed;
	m->run.cpu.gpr[PLEX86_R15] = ~seed;
	m->run.budget_ns = 5000000;
	if (go(m) ||
	    (m->run.reason != PLEX86_RUN_DEADLINE && !(frozen && m->run.reason == PLEX86_RUN_KICK)) ||
	    m->run.cpu.gpr[PLEX86_RBX] != seed ||
	    m->run.cpu.gpr[PLEX86_R15] != ~seed || m->run.cpu.gpr[PLEX86_RSP] != STACK + 0x800)
		c->wrong++;
	add(c, &m->run);
}

/* A page fault, an invalid opcode, 32-bit code, code with its own LDT: in turn. */
static void trap(struct machine *m, struct count *c)
{
	const uint32_t n = 500;
	unsigned int kind = c->switches / n % 4, vector = 6;

	switch (kind) {
	case 0:
		load(m, 64, BYTES(0x48, 0x8b, 0x04, 0x25, 0, 0, 0x20, 0));
		vector = 14;
		break;
	case 1:
		load(m, 64, BYTES(0x0f, 0x0b));
		m->run.cpu.seg[PLEX86_GS].base = DATA + c->switches;
		break;
	case 2:
		load(m, 32, BYTES(0x0f, 0x0b));
		m->run.cpu.seg[PLEX86_GS].sel = 0x0f;
		break;
	default:
		load(m, 64, BYTES(0x0f, 0x31));
		m->run.cpu.cr4 |= 1 << 16;
		vector = 13;
	}
	m->run.cpu.gpr[PLEX86_R9] = c->switches;
	m->run.budget_ns = 1000000000;
	m->run.repeat = n;
	if (go(m) || m->run.cpu.rip != CODE || m->run.cpu.gpr[PLEX86_R9] != c->switches ||
	    m->run.cpu.seg[PLEX86_GS].sel != (kind == 2 ? 0x0f : 0) ||
	    (kind == 1 && m->run.cpu.seg[PLEX86_GS].base != DATA + c->switches) ||
	    (m->run.reason != PLEX86_RUN_KICK && m->run.reason != PLEX86_RUN_DEADLINE &&
	     m->run.vector != vector))
		c->wrong++;
	add(c, &m->run);
	c->switches += n - 1;
}

static void worker(int index, double end, int out)
{
	struct count c = { 0 };
	struct machine m;

	if (machine_open(&m)) {
		c.wrong = 1;
	} else {
		m.ldt[1] = D_DATA32;
		c.wrong += set_tables(&m) != 0;
		while (now() < end)
			(index & 1 ? trap : spin)(&m, &c);
		machine_close(&m);
	}
	if (write(out, &c, sizeof(c)) != sizeof(c))
		_exit(1);
	_exit(0);
}

/* The host's own work must go on, with its registers as they were. */
static void bystander(double end, int out)
{
	struct count c = { 0 };
	volatile double x = 1;
	unsigned long i;

	while (now() < end) {
		for (i = 0, x = 1; i < 100000; i++)
			x = x * 1.0000001 + 1e-9;
		if (x < 1.01 || x > 1.011)
			c.wrong++;
		c.wrong += getppid() == 0;
	}
	if (write(out, &c, sizeof(c)) != sizeof(c))
		_exit(1);
	_exit(0);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 5, end = now() + seconds;
	int processes = argc > 2 ? atoi(argv[2]) : 4, traps = argc > 3 && !strcmp(argv[3], "trap");
	struct count total = { 0 }, c;
	int pipes[2], i, died = 0, status, reports = 0;

	frozen = argc > 3 && !strcmp(argv[3], "frozen");
	if (pipe(pipes))
		return 1;
	for (i = 0; i < processes + 2; i++) {
		if (fork())
			continue;
		if (i < processes)
			worker(i | traps, end, pipes[1]);
		bystander(end, pipes[1]);
	}
	close(pipes[1]);
	while (read(pipes[0], &c, sizeof(c)) == sizeof(c)) {
		total.switches += c.switches;
		total.irqs += c.irqs;
		total.nmis += c.nmis;
		total.wrong += c.wrong;
		reports++;
	}
	while (wait(&status) > 0)
		died += status != 0;
	tap_diag("%lu switches, %lu host interrupts and %lu NMIs in them", total.switches,
		 total.irqs, total.nmis);
	is(died, 0, "no process died");
	is(reports, processes + 2, "all reported");
	is(total.wrong, 0, "no wrong result");
	ok(total.switches > 1000);
	return tap_done();
}
