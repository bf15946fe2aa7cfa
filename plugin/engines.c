/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engines of this build, best first.  engine=auto takes the first that opens. */
#include <plex86/engine.h>

const struct plex86_engine_ops *const plex86_engines[] = {
	&plex86_engine_driver,
	&plex86_engine_process,
	NULL
};
