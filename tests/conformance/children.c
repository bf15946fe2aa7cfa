// SPDX-License-Identifier: LGPL-2.1-or-later
/* See children.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "children.h"

static pid_t parent_of(pid_t pid, char *state)
{
	char path[40], line[512], *after;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	/* The name may hold anything, but ends at the last parenthesis. */
	if (fgets(line, sizeof(line), f)) {
		after = strrchr(line, ')');
		if (!after || sscanf(after + 1, " %c %d", state, &parent) != 2)
			parent = 0;
	}
	fclose(f);
	return parent;
}

unsigned int children_of(pid_t parent, pid_t *pid, unsigned int max)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned int n = 0;
	char state = 0;
	pid_t each;

	while (proc && n < max) {
		entry = readdir(proc);
		if (!entry)
			break;
		each = atoi(entry->d_name);
		/* A zombie waits to be reaped: it's gone as far as we care. */
		if (each > 0 && parent_of(each, &state) == parent && state != 'Z')
			pid[n++] = each;
	}
	if (proc)
		closedir(proc);
	return n;
}

pid_t find_parked(void)
{
	pid_t pid = 0;

	return children_of(getpid(), &pid, 1) == 1 ? pid : 0;
}

pid_t find_zygote(void)
{
	pid_t parked = find_parked(), pid = 0;

	return parked && children_of(parked, &pid, 1) == 1 ? pid : 0;
}

/* Those of earlier spaces may be dying still: wait until only one is left. */
pid_t find_container(void)
{
	const struct timespec wait = { 0, 1000000 };
	pid_t zygote = find_zygote(), pid[2] = { 0 };
	unsigned int tries;

	for (tries = 0; zygote && tries < 5000; tries++) {
		if (children_of(zygote, pid, 2) == 1)
			return pid[0];
		nanosleep(&wait, NULL);
	}
	return 0;
}
