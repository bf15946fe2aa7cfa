/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin/policy.c on recorded bursts, and the simulator (bench/sim.h) that replays
 * them.  The simulator's own arithmetic is checked on traces that are short enough to
 * price by hand; the policy is held to bounds on those in bench/traces, on hosts with
 * quick, usual and slow round trips.
 */
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "bench/sim.h"
#include "tests/tap.h"

static char path[] = "/tmp/plex86-sim.XXXXXX";
static const char *why;

static bool near(double got, double want)
{
	if (fabs(got - want) < 0.001 * want + 0.01)
		return true;
	tap_diag("got %g, want %g", got, want);
	return false;
}

static bool read_text(struct sim_trace *t, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		return false;
	return sim_read(t, path, &why);
}

static struct sim_result run_text(const struct sim_params *p, const char *text)
{
	struct sim_result r = { 0 };
	struct sim_trace t;

	tap_ok(read_text(&t, text), "a trace is read: %s", why ? why : "yes");
	if (!why)
		sim_run(p, &t, &r);
	sim_free(&t);
	return r;
}

static void reading(void)
{
	struct sim_trace t;

	ok(read_text(&t, "1* 400000 50 s 0\n2 40ff 0 f 100\n1 400032 7 i 9\n1* 1 2 s 3\n2 7fff 1 s 0\n"));
	is(t.nbursts, 5, "five bursts");
	is(t.processes, 3, "of three processes");
	is(t.bursts[0].rip, 0x400000, "RIP");
	is(t.bursts[0].length, 50, "length");
	is(t.bursts[0].process, t.bursts[2].process, "the same process goes on");
	is(t.bursts[0].resume, 0x400032, "and it is known where");
	is(t.bursts[2].resume, 0, "a process that ends does not");
	ok(t.bursts[3].process != t.bursts[2].process);
	is(t.bursts[1].resume, 0x7fff, "another root in between changes nothing");
	is(t.bursts[1].gap, 100, "gap");
	is(t.bursts[2].end, 'i', "end");
	sim_free(&t);

	ok(!read_text(&t, ""));
	ok(!read_text(&t, "1 400000 50 s\n"));
	ok(!read_text(&t, "1 400000 50 x 0\n"));
	ok(!read_text(&t, "70000 400000 50 s 0\n"));
	ok(!read_text(&t, "1 400000 50 s 0 1\n"));
	ok(!sim_read(&t, "/nonexistent", &why));
	ok(!sim_read(&t, "/nonexistent.xz", &why));
}

static void setting(void)
{
	struct sim_params p = sim_defaults;
	const char *meaning;
	double value;
	unsigned int i;

	ok(sim_set(&p, "trip=123.5") && p.trip == 123.5);
	ok(sim_set(&p, "trap=7") && p.trap == 7);
	ok(!sim_set(&p, "trip"));
	ok(!sim_set(&p, "trip="));
	ok(!sim_set(&p, "trip=1x"));
	ok(!sim_set(&p, "tri=1"));
	ok(!sim_set(&p, "insn=0"));
	ok(!sim_set(&p, "trip=-1"));
	for (i = 0; sim_param(i, &meaning, &value); i++)
		;
	is(i, sizeof(p) / sizeof(double), "each parameter has a name");
}

static void prices(void)
{
	struct sim_params p = {
		.trip = 1000, .slice = 200, .cold = 100, .insn = 2, .native = 0.5, .space = 500,
		.ips = 1e9,
	};
	struct sim_result r;

	/* 99,999 natively; the system call itself is for Bochs. */
	r = run_text(&p, "1 400000 100000 s 0\n");
	ok(near(r.emulate, 200000));
	ok(near(r.native, 500 + 1300 + 49999.5 + 2));
	ok(near(r.optimum, r.native));
	p.space = 1e6;
	r = run_text(&p, "1 400000 100000 s 0\n");
	ok(near(r.optimum, r.emulate));

	/* What is short is better emulated, what is long is not. */
	p.space = 500;
	r = run_text(&p, "1 400000 100 s 0\n1 400000 100000 f 0\n2 400000 10 s 0\n");
	ok(near(r.native, 2 * 500 + 3 * 1300 + 49.5 + 2 + 50000 + 4.5 + 2));
	ok(near(r.optimum, 500 + 200 + 1300 + 50000 + 20));

	/* 10,000 times 9 natively and one in Bochs. */
	p.trap = 9;
	r = run_text(&p, "1 400000 100000 f 0\n");
	ok(near(r.native, 500 + 10000 * (1300 + 4.5 + 2)));
}

/* The replay prices what the policy does: nothing, or the one thing that it can do. */
static void replayed(void)
{
	struct sim_params p = sim_defaults;
	struct sim_result r;

	r = run_text(&p, "1 400000 100 s 0\n1 400000 1000 i 0\n1 400000 10 f 0\n");
	is(r.trips, 0, "short bursts stay in Bochs");
	ok(near(r.policy, r.emulate));

	r = run_text(&p, "1 400000 1000000000 s 0\n");
	is(r.trips, 1, "a burst of seconds takes one round trip");
	is(r.spaces, 1, "and one space");
	ok(r.policy > r.native && r.policy < 1.05 * r.native);

	p.trap = 100;
	r = run_text(&p, "1 400000 100000000 s 0\n");
	ok(r.policy < 1.1 * r.emulate);
	ok(r.trips > 0);

	/* The one space is dead when another process has the root; that one is short. */
	p.trap = 0;
	r = run_text(&p, "1 400000 100000000 s 0\n1* 400000 20000 s 0\n");
	is(r.spaces, 1, "a new process has to earn its space");
}

/* --- Recorded bursts ------------------------------------------------------------ */

static const struct host {
	const char *name;
	double trip, space;
	double plain, regret, mean;	/* most of Bochs alone; of the optimum; in the mean */
} hosts[] = {
	{ "quick", 2000, 80000, 1.24, 1.40, 1.16 },
	{ "usual", 9000, 300000, 1.10, 1.35, 1.12 },
	{ "slow", 30000, 1000000, 1.21, 1.48, 1.21 },
};

static void recorded(const struct host *host, const char *folder, char names[][64], unsigned int n)
{
	struct sim_params p = sim_defaults;
	struct sim_result r;
	struct sim_trace t;
	double logs = 0;
	char file[2 * PATH_MAX];
	unsigned int i;

	p.trip = host->trip;
	p.space = host->space;
	for (i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", folder, names[i]);
		if (!tap_ok(sim_read(&t, file, &why), "%s can be read", names[i]))
			continue;
		sim_run(&p, &t, &r);
		tap_diag("%s, %s host: %.3f of Bochs alone, %.3f of the optimum", names[i], host->name,
			 r.policy / r.emulate, r.policy / r.optimum);
		tap_ok(r.policy <= host->plain * r.emulate, "%s: not much slower than Bochs, %s host",
		       names[i], host->name);
		tap_ok(r.policy <= host->regret * r.optimum, "%s: near the optimum, %s host", names[i],
		       host->name);
		ok(r.optimum <= r.policy && r.optimum <= r.emulate && r.optimum <= r.native);
		logs += log(r.policy / r.optimum);
		sim_free(&t);
	}
	tap_diag("%s host: %.3f of the optimum in the mean", host->name, exp(logs / n));
	tap_ok(exp(logs / n) <= host->mean, "near the optimum in the mean, %s host", host->name);
}

int main(void)
{
	const char *top = getenv("top_srcdir");
	static char names[64][64];
	struct dirent *e;
	unsigned int i, n = 0;
	char folder[PATH_MAX];
	int fd = mkstemp(path);
	DIR *dir;

	ok(fd >= 0);
	close(fd);
	reading();
	setting();
	prices();
	replayed();
	unlink(path);

	snprintf(folder, sizeof(folder), "%s/bench/traces", top ? top : ".");
	dir = opendir(folder);
	while (dir && (e = readdir(dir)) && n < 64)
		if (strstr(e->d_name, ".xz") && strlen(e->d_name) < sizeof(names[0]))
			strcpy(names[n++], e->d_name);
	if (dir)
		closedir(dir);
	tap_ok(n >= 10, "%u traces in %s", n, folder);
	for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		recorded(&hosts[i], folder, names, n);
	return tap_done();
}
