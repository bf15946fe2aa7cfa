/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hand-over policy without Bochs and without an engine: recorded bursts of user
 * code (bench/traces) are replayed through the real plugin/policy.c, what it decides
 * is priced, and so are the simpler deciders that it has to beat.  bench/policy-sim
 * prints the result, tests/unit/policy_traces.c holds it to bounds.  docs/policy.md
 * has the cost model.
 */
#ifndef PLEX86_SIM_H
#define PLEX86_SIM_H

#include <stdbool.h>
#include <stdint.h>

/* What things take on the simulated host, in ns if nothing else is said. */
struct sim_params {
	double trip;		/* a round trip, as the engine has measured it */
	double slice;		/* what a slice costs besides: state out and in */
	double cold;		/* a run's loss by caches that the switch has emptied */
	double insn;		/* an instruction in Bochs */
	double belief;		/* what it is measured to take; 0: the same */
	double native;		/* an instruction natively */
	double ask;		/* to stop emulation and ask plan() */
	double space;		/* to make a space and fill it */
	double trap;		/* every so many native instructions one is for Bochs; 0: none */
	double ips;		/* ticks of guest time per second */
};

extern const struct sim_params sim_defaults;

/* Sets the parameter of "NAME=VALUE".  False: there is none, or that is no number. */
bool sim_set(struct sim_params *p, const char *assignment);

/* The @i'th parameter, for who lists them.  NULL: there are no more. */
const char *sim_param(unsigned int i, const char **meaning, double *value);

struct sim_burst {
	uint64_t rip, length;	/* of its beginning; in instructions */
	uint64_t gap;		/* instructions of the kernel before it */
	uint64_t resume;	/* where its process begins next; 0: never */
	uint32_t root;		/* below SIM_ROOTS */
	uint32_t process;	/* below .processes of the trace */
	bool fresh;		/* the first one of its process */
	char end;		/* s: system call, f: fault, i: interrupt */
};

#define SIM_ROOTS 65536

struct sim_trace {
	struct sim_burst *bursts;
	uint32_t nbursts, processes;
};

/*
 * Reads a trace as bench/traces/record makes it; a name that ends in .xz is
 * decompressed by xz.  False: *@why says why not, and no trace is there.
 */
bool sim_read(struct sim_trace *t, const char *path, const char **why);
void sim_free(struct sim_trace *t);

struct sim_result {
	uint64_t insns;
	double emulate;		/* ns, if Bochs does everything */
	double native;		/* if each burst goes native at its first instruction */
	double policy;
	double optimum;		/* of who knows all lengths, and which process is worth a space */
	uint32_t asked, trips, spaces;	/* of the policy */
};

void sim_run(const struct sim_params *p, const struct sim_trace *t, struct sim_result *r);

#endif /* PLEX86_SIM_H */
