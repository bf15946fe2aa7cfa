/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the process engine's children, for the tests that are about them. */
#ifndef PLEX86_CONFORMANCE_CHILDREN_H
#define PLEX86_CONFORMANCE_CHILDREN_H

#include <sys/types.h>

/* Children of @parent, at most @max of them; returns how many. */
unsigned int children_of(pid_t parent, pid_t *pid, unsigned int max);

/*
 * The processes of the only engine that is open, or 0: the first, which is parked,
 * and the one that containers are cloned from.
 */
pid_t find_parked(void);
pid_t find_zygote(void);

/* The container of the only space that exists, or 0. */
pid_t find_container(void);

#endif /* PLEX86_CONFORMANCE_CHILDREN_H */
