/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The simulator's parameters, by name.  docs/policy.md says where the defaults come from. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sim.h"

const struct sim_params sim_defaults = {
	.trip = 9000,
	.slice = 1500,
	.cold = 2000,
	.insn = 3.0,
	.belief = 0,
	.native = 0.3,
	.ask = 100,
	.space = 300000,
	.trap = 0,
	.ips = 200e6,
};

static const struct {
	const char *name;
	size_t offset;
	const char *meaning;
	double least;
} params[] = {
	{ "trip", offsetof(struct sim_params, trip), "ns of a round trip, as the engine measured it", 0 },
	{ "slice", offsetof(struct sim_params, slice), "ns that a slice costs besides", 0 },
	{ "cold", offsetof(struct sim_params, cold), "ns that a run loses by cold caches", 0 },
	{ "insn", offsetof(struct sim_params, insn), "ns of an instruction in Bochs", 0.01 },
	{ "belief", offsetof(struct sim_params, belief),
	  "ns that the policy is told that it takes; 0: the truth", 0 },
	{ "native", offsetof(struct sim_params, native), "ns of an instruction natively", 0 },
	{ "ask", offsetof(struct sim_params, ask), "ns to stop emulation and ask the policy", 0 },
	{ "space", offsetof(struct sim_params, space), "ns to make a space and fill it", 0 },
	{ "trap", offsetof(struct sim_params, trap),
	  "one in so many instructions is for Bochs; 0: none", 0 },
	{ "ips", offsetof(struct sim_params, ips), "ticks of guest time per second", 1e6 },
};

static double *field(struct sim_params *p, unsigned int i)
{
	return (double *)((char *)p + params[i].offset);
}

bool sim_set(struct sim_params *p, const char *assignment)
{
	size_t len = strcspn(assignment, "=");
	char *end;
	double value;
	unsigned int i;

	if (!assignment[len] || !assignment[len + 1])
		return false;
	value = strtod(assignment + len + 1, &end);
	if (*end || !isfinite(value) || value > 1e12)
		return false;
	for (i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		if (strlen(params[i].name) != len || strncmp(params[i].name, assignment, len))
			continue;
		if (value < params[i].least)
			return false;
		*field(p, i) = value;
		return true;
	}
	return false;
}

const char *sim_param(unsigned int i, const char **meaning, double *value)
{
	struct sim_params defaults = sim_defaults;

	if (i >= sizeof(params) / sizeof(params[0]))
		return NULL;
	*meaning = params[i].meaning;
	*value = *field(&defaults, i);
	return params[i].name;
}
