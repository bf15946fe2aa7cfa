/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this host's CPU does in silence, whatever runs user code on it: no engine can
 * make these instructions trap, so the core has to know.
 */
#ifndef PLEX86_COMMON_HOST_H
#define PLEX86_COMMON_HOST_H

#include <stdint.h>

/* Of PLEX86_CAP_*: REX2, TZCNT, LZCNT, LA57. */
uint32_t plex86_host_caps(void);

/* Bits that MXCSR can have (SDM vol. 1, 11.6.6). */
uint32_t plex86_host_mxcsr_mask(void);

#endif /* PLEX86_COMMON_HOST_H */
