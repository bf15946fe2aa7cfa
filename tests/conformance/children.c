// SPDX-License-Identifier: LGPL-2.1-or-later
/* See children.h. */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "children.h"

struct family {
	int parent, group;
};

/* A zombie waits to be reaped: it's gone as far as we care, and of no family. */
static struct family family_of(pid_t pid)
{
	struct family f = { 0, 0 };
	char path[40], line[512], state, *after = NULL;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stat = fopen(path, "re");
	/* The name may hold anything, but ends at the last parenthesis. */
	if (stat && fgets(line, sizeof(line), stat))
		after = strrchr(line, ')');
	if (stat)
		fclose(stat);
	if (!after || sscanf(after + 1, " %c %d %d", &state, &f.parent, &f.group) != 3 || state == 'Z')
		return (struct family){ 0, 0 };
	return f;
}

/* Processes with that parent or group, whichever isn't 0. */
static unsigned int relatives(pid_t parent, pid_t group, pid_t *pid, unsigned int max)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned int n = 0;
	struct family f;

	while (proc && n < max && (entry = readdir(proc))) {
		pid[n] = atoi(entry->d_name);
		if (pid[n] <= 0)
			continue;
		f = family_of(pid[n]);
		if ((parent && f.parent == parent) || (group && f.group == group))
			n++;
	}
	if (proc)
		closedir(proc);
	return n;
}

unsigned int children_of(pid_t parent, pid_t *pid, unsigned int max)
{
	return relatives(parent, 0, pid, max);
}

bool is_anybody_of(pid_t group)
{
	pid_t pid;

	return relatives(0, group, &pid, 1);
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

int in_fork(int (*it)(void), unsigned int seconds)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(seconds);
		_exit(it());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -SIGKILL;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

unsigned int count_entries(const char *path, char last[64])
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int n = 0;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			n++;
			snprintf(last, 64, "%.63s", entry->d_name);
		}
	if (dir)
		closedir(dir);
	return n;
}

unsigned int count_lines(const char *name)
{
	char path[64];
	unsigned int n = 0;
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "/proc/self/%s", name);
	f = fopen(path, "re");
	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

struct text {
	char *at;
	size_t left;
	bool whole;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at, t->left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->left) {
		t->whole = false;
		return;
	}
	t->at += n;
	t->left -= (size_t)n;
}

/* Lines of /proc/@pid/@name that begin like one of @wanted, which is all of them if NULL. */
static void add_lines(struct text *t, pid_t pid, const char *name, const char *const *wanted)
{
	char path[64], line[512];
	unsigned int i;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	f = fopen(path, "re");
	if (!f)
		t->whole = false;
	while (f && fgets(line, sizeof(line), f)) {
		for (i = 0; wanted && wanted[i]; i++)
			if (!strncmp(line, wanted[i], strlen(wanted[i])))
				break;
		if (!wanted || wanted[i])
			add(t, "%s", line);
	}
	if (f)
		fclose(f);
}

static void add_link(struct text *t, pid_t pid, const char *name)
{
	char path[64], to[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%.40s", (int)pid, name);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		t->whole = false;
	to[n < 0 ? 0 : n] = 0;
	add(t, "%s %s\n", name, to);
}

static void add_descriptors(struct text *t, pid_t pid)
{
	char path[64], name[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		t->whole = false;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			snprintf(name, sizeof(name), "fd/%.40s", entry->d_name);
			add_link(t, pid, name);
		}
	if (dir)
		closedir(dir);
}

bool describe_process(pid_t pid, char *text, size_t size)
{
	static const char *const identity[] = { "Umask:", "Uid:", "Gid:", "Groups:", "Cap", "Seccomp:",
						"NoNewPrivs:", "Threads:", "SigBlk:", "SigIgn:", NULL };
	struct text t = { .at = text, .left = size, .whole = true };
	pid_t children[8];

	add_lines(&t, pid, "maps", NULL);
	add_descriptors(&t, pid);
	add_link(&t, pid, "cwd");
	add_link(&t, pid, "root");
	add_lines(&t, pid, "status", identity);
	add(&t, "%u children\n", children_of(pid, children, 8));
	return t.whole;
}
