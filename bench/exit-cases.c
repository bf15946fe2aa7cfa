// SPDX-License-Identifier: LGPL-2.1-or-later
/* The exits that are timed, one function or one line of a program each. */
#include "exits.h"

#define SPOT(n)		(VA_PATCH + 64 * (n))	/* program n */
#define VA_WALK		(VA_DATA + UINT64_C(0x1000000))
#define WALK_PAGES	64u
#define DEADLINE_NS	50000u

enum program { SYSCALL, INT80, HLT, UD2, INT3, LOAD, SPIN, NOP, WALK, PROGRAMS };

static const struct {
	uint8_t len, code[16];
} programs[PROGRAMS] = {
	[SYSCALL] = { 2, { 0x0f, 0x05 } },
	[INT80] = { 2, { 0xcd, 0x80 } },
	[HLT] = { 1, { 0xf4 } },
	[UD2] = { 2, { 0x0f, 0x0b } },
	[INT3] = { 1, { 0xcc } },
	[LOAD] = { 2, { 0x8a, 0x07 } },				/* mov (%rdi), %al */
	[SPIN] = { 2, { 0xeb, 0xfe } },
	[NOP] = { 2, { 0x90, 0xf4 } },
	/* mov (%rdi), %al; add $4096, %rdi; again */
	[WALK] = { 11, { 0x8a, 0x07, 0x48, 0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, 0xeb, 0xf5 } },
};

static struct plex86_space *space, *other;
static struct plex86_vec vec;
static uint8_t *touched;	/* a byte of it that is another one each time */

void cases_begin(void)
{
	unsigned int i;

	other = fresh_space();
	space = fresh_space();
	for (i = 0; i < PROGRAMS; i++)
		memcpy(ram + RAM_PATCH + 64 * i, programs[i].code, programs[i].len);
	init_vec(&vec, 1, PLEX86_X_X87 | PLEX86_X_SSE);
}

void cases_end(void)
{
	ops->space_destroy(space);
	ops->space_destroy(other);
}

static void broken(const char *what, uint64_t got)
{
	fprintf(stderr, "exit-costs: %s: %s (%llu)\n", ops->name, what, (unsigned long long)got);
	exit(1);
}

/* One round trip that must end as said. */
static void trip(struct plex86_space *s, struct plex86_cpu *cpu, uint32_t flags, uint64_t budget,
		 uint32_t reason, struct cost *cost)
{
	struct plex86_exit e = { 0 };
	int err = ops->run(s, cpu, &vec, flags, budget, &e);

	if (err)
		broken("run() failed", (uint64_t)-err);
	if (e.reason != reason)
		broken("an exit for another reason", e.reason);
	cost->inside_ns += e.ran_ns;
}

static bool trips(unsigned int rounds, struct cost *cost, enum program p, uint32_t flags,
		  uint32_t reason)
{
	struct plex86_cpu start, cpu;
	unsigned int i;

	if (p == INT80)
		init_cpu32(&start, SPOT(p));
	else
		init_cpu64(&start, SPOT(p));
	start.gpr[PLEX86_RDI] = VA_WALK;
	cpu = start;
	trip(space, &cpu, 0, FOREVER, reason, cost);	/* so that the last run was of this space */
	cost->inside_ns = 0;
	clock_start(cost);
	for (i = 0; i < rounds; i++) {
		cpu = start;
		if (touched)
			++*touched;
		trip(space, &cpu, flags, FOREVER, reason, cost);
	}
	clock_stop(cost);
	cost->count = rounds;
	return true;
}

static bool syscalls(unsigned int rounds, struct cost *cost)
{
	return trips(rounds, cost, SYSCALL, PLEX86_RUN_VEC_SAME, PLEX86_EXIT_TRAP);
}

static bool syscalls_sse(unsigned int rounds, struct cost *cost)
{
	bool did;

	touched = &vec.legacy[160];	/* XMM0 */
	did = trips(rounds, cost, SYSCALL, 0, PLEX86_EXIT_TRAP);
	touched = NULL;
	return did;
}

static bool syscalls_all(unsigned int rounds, struct cost *cost)
{
	bool did;

	if (!(caps->xcr0 & PLEX86_X_AVX))
		return false;
	init_vec(&vec, 1, caps->xcr0);
	touched = vec.ymm_hi[0];
	did = trips(rounds, cost, SYSCALL, 0, PLEX86_EXIT_TRAP);
	touched = NULL;
	init_vec(&vec, 1, PLEX86_X_X87 | PLEX86_X_SSE);
	return did;
}

static bool int80s(unsigned int rounds, struct cost *cost)
{
	return (caps->flags & PLEX86_CAP_COMPAT) &&
	       trips(rounds, cost, INT80, PLEX86_RUN_VEC_SAME, PLEX86_EXIT_TRAP);
}

static bool hlts(unsigned int rounds, struct cost *cost)
{
	return trips(rounds, cost, HLT, PLEX86_RUN_VEC_SAME, PLEX86_EXIT_TRAP);
}

static bool ud2s(unsigned int rounds, struct cost *cost)
{
	return trips(rounds, cost, UD2, PLEX86_RUN_VEC_SAME, PLEX86_EXIT_TRAP);
}

static bool int3s(unsigned int rounds, struct cost *cost)
{
	return trips(rounds, cost, INT3, PLEX86_RUN_VEC_SAME, PLEX86_EXIT_TRAP);
}

static bool faults(unsigned int rounds, struct cost *cost)
{
	return trips(rounds, cost, LOAD, PLEX86_RUN_VEC_SAME, PLEX86_EXIT_PAGE);
}

static bool breakpoints(unsigned int rounds, struct cost *cost)
{
	const plex86_gva_t at = { SPOT(NOP) };

	if (!caps->max_traps || !ops->set_traps || ops->set_traps(space, &at, 1))
		return false;
	trips(rounds, cost, NOP, PLEX86_RUN_VEC_SAME, PLEX86_EXIT_TRAP);
	return !ops->set_traps(space, NULL, 0);
}

/* Two processes of the guest that take turns. */
static bool turns(unsigned int rounds, struct cost *cost)
{
	struct plex86_cpu start, cpu;
	unsigned int i;

	init_cpu64(&start, SPOT(SYSCALL));
	clock_start(cost);
	for (i = 0; i < rounds; i++) {
		cpu = start;
		trip(i % 2 ? other : space, &cpu, PLEX86_RUN_VEC_SAME, FOREVER, PLEX86_EXIT_TRAP, cost);
	}
	clock_stop(cost);
	cost->count = rounds;
	return true;
}

static bool kicks(unsigned int rounds, struct cost *cost)
{
	struct plex86_cpu start, cpu;
	unsigned int i;

	init_cpu64(&start, SPOT(SPIN));
	clock_start(cost);
	for (i = 0; i < rounds; i++) {
		cpu = start;
		ops->kick(engine);
		trip(space, &cpu, PLEX86_RUN_VEC_SAME, FOREVER, PLEX86_EXIT_KICK, cost);
	}
	clock_stop(cost);
	cost->count = rounds;
	return true;
}

/* An endless loop; what it takes longer than it was given. */
static bool deadlines(unsigned int rounds, struct cost *cost)
{
	struct plex86_cpu cpu;
	unsigned int i;

	rounds /= 4;
	init_cpu64(&cpu, SPOT(SPIN));
	clock_start(cost);
	for (i = 0; i < rounds; i++)
		trip(space, &cpu, PLEX86_RUN_VEC_SAME, DEADLINE_NS, PLEX86_EXIT_DEADLINE, cost);
	clock_stop(cost);
	cost->wall_ns -= cost->wall_ns < (uint64_t)rounds * DEADLINE_NS ? cost->wall_ns :
			 (uint64_t)rounds * DEADLINE_NS;
	cost->inside_ns = 0;
	cost->count = rounds;
	return true;
}

/* @n pages from the walk's page @first on, one operation each, none adjacent in RAM. */
static void map_walk(unsigned int first, unsigned int n)
{
	struct plex86_map_op op[WALK_PAGES];
	unsigned int i;
	int err;

	for (i = 0; i < n; i++)
		op[i] = (struct plex86_map_op){ PLEX86_MAP, R, { VA_WALK + PAGE(first + i) },
						{ RAM_DATA + PAGE(WALK_PAGES - 1 - first - i) }, 1 };
	err = ops->apply(space, op, n, NULL);
	if (err)
		broken("apply() failed", (uint64_t)-err);
}

/* Faults through fresh pages; each maps @batch of them, and the code goes on. */
static bool walk(unsigned int rounds, struct cost *cost, unsigned int batch)
{
	struct plex86_cpu cpu;
	unsigned int done, page;

	for (done = 0; done < rounds; done += WALK_PAGES) {
		if (unmap_pages(space, VA_WALK, WALK_PAGES))
			broken("apply() failed", 0);
		init_cpu64(&cpu, SPOT(WALK));
		cpu.gpr[PLEX86_RDI] = VA_WALK;
		trip(space, &cpu, 0, FOREVER, PLEX86_EXIT_PAGE, cost);
		clock_start(cost);
		for (page = 0; page < WALK_PAGES; page += batch) {
			map_walk(page, batch);
			trip(space, &cpu, PLEX86_RUN_VEC_SAME, FOREVER, PLEX86_EXIT_PAGE, cost);
		}
		clock_stop(cost);
		cost->count += WALK_PAGES;
	}
	if (unmap_pages(space, VA_WALK, WALK_PAGES))
		broken("apply() failed", 0);
	cost->inside_ns = 0;
	return true;
}

static bool walk_1(unsigned int rounds, struct cost *cost)
{
	return walk(rounds, cost, 1);
}

static bool walk_16(unsigned int rounds, struct cost *cost)
{
	return walk(rounds, cost, 16);
}

static bool walk_64(unsigned int rounds, struct cost *cost)
{
	return walk(rounds, cost, 64);
}

/* One operation for 64 pages; the round trip makes a deferred one happen, and is in it. */
static bool run_of_64(unsigned int rounds, struct cost *cost)
{
	struct plex86_cpu start, cpu;
	unsigned int i;

	init_cpu64(&start, SPOT(SYSCALL));
	rounds /= 8;
	clock_start(cost);
	for (i = 0; i < rounds; i++) {
		cpu = start;
		if (i % 2 ? unmap_pages(space, VA_WALK, WALK_PAGES) :
		    map_pages(space, VA_WALK, RAM_DATA, WALK_PAGES, RW))
			broken("apply() failed", 0);
		trip(space, &cpu, PLEX86_RUN_VEC_SAME, FOREVER, PLEX86_EXIT_TRAP, cost);
	}
	clock_stop(cost);
	if (unmap_pages(space, VA_WALK, WALK_PAGES))
		broken("apply() failed", 0);
	cost->inside_ns = 0;
	cost->count = rounds;
	return true;
}

/* A space with a page of code, its first round trip, and its end. */
static bool new_space(unsigned int rounds, struct cost *cost)
{
	struct plex86_space *s;
	struct plex86_cpu cpu;
	unsigned int i;
	int err;

	rounds /= 20;
	clock_start(cost);
	for (i = 0; i < rounds; i++) {
		err = ops->space_create(engine, &s);
		if (!err)
			err = map_pages(s, VA_PATCH, RAM_PATCH, 1, RX);
		if (err)
			broken("no space can be made", (uint64_t)-err);
		init_cpu64(&cpu, SPOT(SYSCALL));
		trip(s, &cpu, 0, FOREVER, PLEX86_EXIT_TRAP, cost);
		ops->space_destroy(s);
	}
	clock_stop(cost);
	cost->inside_ns = 0;
	cost->count = rounds;
	return true;
}

const struct exit_case exit_cases[] = {
	{ "syscall", syscalls },
	{ "syscall, x87 and SSE state goes in", syscalls_sse },
	{ "syscall, all vector state goes in", syscalls_all },
	{ "syscall, two spaces in turn", turns },
	{ "int 0x80 in 32-bit code", int80s },
	{ "general protection fault (hlt)", hlts },
	{ "undefined instruction (ud2)", ud2s },
	{ "breakpoint instruction (int3)", int3s },
	{ "debug register on an instruction", breakpoints },
	{ "page fault, nothing is mapped", faults },
	{ "page fault, one page is mapped", walk_1 },
	{ "page fault, 16 pages are mapped, per page", walk_16 },
	{ "page fault, 64 pages are mapped, per page", walk_64 },
	{ "64 pages mapped or unmapped as one run, syscall", run_of_64 },
	{ "kick", kicks },
	{ "deadline, beyond the time that was given", deadlines },
	{ "a space made, one page, syscall, destroyed", new_space },
	{ NULL, NULL }
};
