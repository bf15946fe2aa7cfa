/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Traces of bursts: from text to an array. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/sim.h"

/* @pid: of xz, if it is needed; otherwise 0. */
static FILE *open_trace(const char *path, pid_t *pid)
{
	size_t len = strlen(path);
	int fds[2];

	*pid = 0;
	if (len < 3 || strcmp(path + len - 3, ".xz"))
		return fopen(path, "re");
	if (access(path, R_OK) || pipe(fds))
		return NULL;
	*pid = fork();
	if (!*pid) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execlp("xz", "xz", "-dc", "--", path, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	return fdopen(fds[0], "r");
}

static bool close_trace(FILE *f, pid_t pid)
{
	bool good = !ferror(f);
	int status = 0;

	fclose(f);
	if (pid && (waitpid(pid, &status, 0) != pid || status))
		return false;
	return good;
}

static bool parse(struct sim_burst *b, const char *line)
{
	char star[2] = "";
	int used = 0;

	memset(b, 0, sizeof(*b));
	if (sscanf(line, "%" SCNu32 "%1[*]", &b->root, star) < 1 || b->root >= SIM_ROOTS)
		return false;
	b->fresh = star[0];
	line = strchr(line, ' ');
	return line &&
	       sscanf(line, " %" SCNx64 " %" SCNu64 " %c %" SCNu64 " %n", &b->rip, &b->length,
		      &b->end, &b->gap, &used) == 4 &&
	       !line[used] && strchr("sfi", b->end);
}

static bool append(struct sim_trace *t, const struct sim_burst *b)
{
	struct sim_burst *grown;

	/* A power of two is full. */
	if (!(t->nbursts & (t->nbursts - 1))) {
		grown = realloc(t->bursts, (t->nbursts ? 2 * (size_t)t->nbursts : 1) * sizeof(*b));
		if (!grown)
			return false;
		t->bursts = grown;
	}
	t->bursts[t->nbursts++] = *b;
	return true;
}

/* Which process each burst is of, and where that goes on after it. */
static bool connect(struct sim_trace *t)
{
	struct { uint32_t process, last; bool used; } *roots = calloc(SIM_ROOTS, sizeof(*roots));
	uint32_t i;

	if (!roots)
		return false;
	for (i = 0; i < t->nbursts; i++) {
		struct sim_burst *b = &t->bursts[i];

		if (!roots[b->root].used || b->fresh)
			roots[b->root].process = t->processes++;
		else
			t->bursts[roots[b->root].last].resume = b->rip;
		b->process = roots[b->root].process;
		roots[b->root].used = true;
		roots[b->root].last = i;
	}
	free(roots);
	return true;
}

bool sim_read(struct sim_trace *t, const char *path, const char **why)
{
	struct sim_burst b;
	char line[200];
	pid_t pid;
	FILE *f;

	memset(t, 0, sizeof(*t));
	*why = "it can't be read";
	f = open_trace(path, &pid);
	if (!f)
		return false;
	*why = NULL;
	while (!*why && fgets(line, sizeof(line), f)) {
		if (!parse(&b, line))
			*why = "it is not a trace of bursts";
		else if (!append(t, &b))
			*why = "there is not enough memory";
	}
	if (!close_trace(f, pid) && !*why)
		*why = "it can't be read, or not be decompressed";
	if (!*why && !t->nbursts)
		*why = "it is empty";
	if (!*why && !connect(t))
		*why = "there is not enough memory";
	if (*why)
		sim_free(t);
	return !*why;
}

void sim_free(struct sim_trace *t)
{
	free(t->bursts);
	memset(t, 0, sizeof(*t));
}
