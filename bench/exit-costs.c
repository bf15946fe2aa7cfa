// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What each kind of exit costs, for every engine that works on this host, beside a
 * system call that does nothing.
 *
 *   exit-costs [JSON-FILE]
 *
 * Cases take turns, many short batches of each, and the table has medians: so what
 * else the host does weighs on all alike.  See docs/bench.md.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "exits.h"

#define BATCHES		15
#define ROUNDS		200
#define MAX_CASES	32

struct row {
	double wall, inside, own, switches;
};

static double null_ns;
static FILE *json;
static const char *separator = "";

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static uint64_t switches(void)
{
	struct rusage ru;

	getrusage(RUSAGE_THREAD, &ru);
	return ru.ru_nvcsw + ru.ru_nivcsw;
}

/* The wall's clock innermost: the others' own cost is not in it. */
void clock_start(struct cost *cost)
{
	cost->switches -= switches();
	cost->own_ns -= read_clock(CLOCK_THREAD_CPUTIME_ID);
	cost->wall_ns -= read_clock(CLOCK_MONOTONIC);
}

void clock_stop(struct cost *cost)
{
	cost->wall_ns += read_clock(CLOCK_MONOTONIC);
	cost->own_ns += read_clock(CLOCK_THREAD_CPUTIME_ID);
	cost->switches += switches();
}

static int by_wall(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->wall < y->wall ? -1 : x->wall > y->wall;
}

static void null_syscall(void)
{
	struct row row[BATCHES];
	unsigned int i, k;

	for (i = 0; i < BATCHES; i++) {
		struct cost cost = { 0 };

		clock_start(&cost);
		for (k = 0; k < 10 * ROUNDS; k++)
			syscall(SYS_getppid);
		clock_stop(&cost);
		row[i].wall = (double)cost.wall_ns / (10 * ROUNDS);
	}
	qsort(row, BATCHES, sizeof(row[0]), by_wall);
	null_ns = row[BATCHES / 2].wall;
}

static void print_row(const char *engine_name, const char *what, const struct row *r)
{
	printf("%-9s %-44s %9.0f %9.0f %9.0f %9.2f %8.1f\n", engine_name, what, r->wall, r->inside,
	       r->own, r->switches, r->wall / null_ns);
	if (!json)
		return;
	fprintf(json, "%s\n  {\"engine\": \"%s\", \"exit\": \"%s\", \"ns\": %.0f, \"inside_ns\": %.0f, "
		"\"own_cpu_ns\": %.0f, \"switches\": %.2f}", separator, engine_name, what, r->wall,
		r->inside, r->own, r->switches);
	separator = ",";
}

/* As the harness opens one, but without words on standard output. */
static bool open_quietly(const struct plex86_engine_ops *candidate, char why[PLEX86_WHY_LEN])
{
	struct plex86_engine_config config = { .ram_size = RAM_SIZE, .max_spaces = 16 };

	if (candidate->probe(why))
		return false;
	ops = candidate;
	ram_fd = memfd_create("guest", MFD_CLOEXEC);
	if (ram_fd < 0 || ftruncate(ram_fd, RAM_SIZE) ||
	    (ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0)) == MAP_FAILED) {
		fprintf(stderr, "exit-costs: guest memory: %s\n", strerror(errno));
		exit(1);
	}
	config.ram_fd = ram_fd;
	config.ram = ram;
	if (ops->open(&config, &engine, why))
		return false;
	caps = ops->caps(engine);
	return true;
}

static void measure_engine(void)
{
	static struct row rows[MAX_CASES][BATCHES];
	bool can[MAX_CASES];
	unsigned int batch, i;

	cases_begin();
	for (batch = 0; batch < BATCHES; batch++)
		for (i = 0; exit_cases[i].name; i++) {
			struct cost c = { 0 };
			struct row *r = &rows[i][batch];

			if (batch && !can[i])
				continue;
			can[i] = exit_cases[i].measure(ROUNDS, &c);
			if (!can[i] || !c.count)
				continue;
			r->wall = (double)c.wall_ns / c.count;
			r->inside = (double)c.inside_ns / c.count;
			r->own = (double)c.own_ns / c.count;
			r->switches = (double)c.switches / c.count;
		}
	for (i = 0; exit_cases[i].name; i++) {
		if (!can[i])
			continue;
		qsort(rows[i], BATCHES, sizeof(rows[i][0]), by_wall);
		print_row(ops->name, exit_cases[i].name, &rows[i][BATCHES / 2]);
	}
	cases_end();
}

int main(int argc, char **argv)
{
	char why[PLEX86_WHY_LEN];
	unsigned int i, measured = 0;

	if (argc > 2) {
		fprintf(stderr, "Usage: exit-costs [JSON-FILE]\n");
		return 2;
	}
	if (argc == 2 && !(json = fopen(argv[1], "w"))) {
		fprintf(stderr, "exit-costs: cannot write %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	null_syscall();
	if (json)
		fprintf(json, "{\"null_syscall_ns\": %.0f, \"costs\": [", null_ns);
	printf("%-9s %-44s %9s %9s %9s %9s %8s\n", "engine", "exit, and what goes with it", "ns",
	       "inside ns", "own CPU", "switches", "x null");
	printf("%-9s %-44s %9.0f\n", "-", "a system call that does nothing", null_ns);
	for (i = 0; plex86_engines[i]; i++) {
		if (!open_quietly(plex86_engines[i], why)) {
			printf("%-9s is not to be had here: %s\n", plex86_engines[i]->name, why);
			continue;
		}
		measure_engine();
		close_engine();
		measured++;
	}
	if (json) {
		fprintf(json, "\n]}\n");
		if (fclose(json)) {
			fprintf(stderr, "exit-costs: cannot write %s\n", argv[1]);
			return 1;
		}
	}
	if (!measured)
		printf("No engine works here.\n");
	return 0;
}
