/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What time it is on the host. */
#ifndef PLEX86_NOW_H
#define PLEX86_NOW_H

#include <stdint.h>

/* Since some moment in the past, in ns. */
uint64_t plex86_now_ns(void);

/* CPU time of this thread, ns, so that a busy host does not look like a slow Bochs. */
uint64_t plex86_thread_ns(void);

#endif /* PLEX86_NOW_H */
