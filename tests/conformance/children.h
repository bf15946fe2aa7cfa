/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the process engine's children, and looks at them from outside. */
#ifndef PLEX86_CONFORMANCE_CHILDREN_H
#define PLEX86_CONFORMANCE_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Children of @parent, at most @max of them; returns how many. */
unsigned int children_of(pid_t parent, pid_t *pid, unsigned int max);

/* Is there a process of that process group, which all processes of an engine have from its first? */
bool is_anybody_of(pid_t group);

/*
 * The processes of the only engine that is open, or 0: the first, which is parked,
 * and the one that containers are cloned from.
 */
pid_t find_parked(void);
pid_t find_zygote(void);

/* The container of the only space that exists, or 0. */
pid_t find_container(void);

/* What @it returns, done in a process of its own that has @seconds; -signal, if that ended it. */
int in_fork(int (*it)(void), unsigned int seconds);

/* Files in a directory; the name of one of them. */
unsigned int count_entries(const char *path, char last[64]);

/* Lines of a file of /proc/self, 0 if it can't be read. */
unsigned int count_lines(const char *name);

/*
 * What system calls of @pid would have changed: mappings, descriptors, directory,
 * identity, children.  Text of less than @size bytes; false: something can't be told.
 */
bool describe_process(pid_t pid, char *text, size_t size);

#endif /* PLEX86_CONFORMANCE_CHILDREN_H */
