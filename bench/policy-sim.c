/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints what the hand-over policy would have cost on recorded bursts, beside Bochs
 * alone, native code always, and the best that any choice of bursts could give: so
 * that it can be tuned without booting anything.  See docs/policy.md.
 *
 *   policy-sim [NAME=VALUE...] TRACE...
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/sim.h"

static int usage(FILE *to)
{
	const char *name, *meaning;
	double value;
	unsigned int i;

	fprintf(to, "usage: policy-sim [NAME=VALUE...] TRACE...\n\n"
		    "Traces are in bench/traces.  What can be set, and what it is if it isn't:\n\n");
	for (i = 0; (name = sim_param(i, &meaning, &value)); i++)
		fprintf(to, "  %-8s %9.9g  %s\n", name, value, meaning);
	return to == stdout ? 0 : 2;
}

/* The file's name without folder and ending. */
static void print_name(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	printf("%-14.*s", (int)strcspn(name, "."), name);
}

/* Sums of logarithms, for geometric means. */
struct means {
	unsigned int n;
	double native, policy, optimum, regret;
};

static void print_row(const struct sim_trace *t, const struct sim_result *r, struct means *m)
{
	double native = r->native / r->emulate, policy = r->policy / r->emulate;
	double optimum = r->optimum / r->emulate, regret = r->policy / r->optimum;

	printf(" %7u %8.0f %9.2f %8.3f %8.3f %8.3f %8.2f %7u %7u %5u/%u\n", t->nbursts,
	       (double)r->insns / t->nbursts, r->emulate * 1e-6, native, policy, optimum, regret,
	       r->asked, r->trips, r->spaces, t->processes);
	m->n++;
	m->native += log(native);
	m->policy += log(policy);
	m->optimum += log(optimum);
	m->regret += log(regret);
}

static int simulate(const struct sim_params *p, char **paths, int n)
{
	struct means m = { 0 };
	struct sim_result r;
	struct sim_trace t;
	const char *why;
	int i;

	printf("%-14s %7s %8s %9s %8s %8s %8s %8s %7s %7s %s\n", "trace", "bursts", "mean", "Bochs ms",
	       "native", "policy", "optimum", "pol/opt", "asked", "trips", "spaces");
	for (i = 0; i < n; i++) {
		if (!sim_read(&t, paths[i], &why)) {
			fprintf(stderr, "policy-sim: %s: %s\n", paths[i], why);
			return 1;
		}
		sim_run(p, &t, &r);
		print_name(paths[i]);
		print_row(&t, &r, &m);
		sim_free(&t);
	}
	printf("%-14s %7s %8s %9s %8.3f %8.3f %8.3f %8.2f\n", "geometric mean", "", "", "",
	       exp(m.native / m.n), exp(m.policy / m.n), exp(m.optimum / m.n), exp(m.regret / m.n));
	printf("mean: instructions per burst.  native, policy, optimum: cost of all bursts, Bochs alone is 1.\n"
	       "spaces: made by the policy / processes that ran.\n");
	return 0;
}

int main(int argc, char **argv)
{
	struct sim_params p = sim_defaults;
	int i;

	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")))
		return usage(stdout);
	for (i = 1; i < argc && strchr(argv[i], '=') && !strchr(argv[i], '/'); i++) {
		if (!sim_set(&p, argv[i])) {
			fprintf(stderr, "policy-sim: %s can't be set\n\n", argv[i]);
			return usage(stderr);
		}
	}
	if (i == argc)
		return usage(stderr);
	return simulate(&p, argv + i, argc - i);
}
