/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Three kinds of address that must not be mixed up, each a type of its own, so
 * that the compiler refuses what a reviewer might miss.  A host address is an
 * ordinary pointer; the one conversion from guest-physical to host is
 * plex86_ram_host() in plugin/ram.h, and it checks.
 */
#ifndef PLEX86_ADDR_H
#define PLEX86_ADDR_H

#include <stdint.h>

#define PLEX86_PAGE_SHIFT	12
#define PLEX86_PAGE_SIZE	(UINT64_C(1) << PLEX86_PAGE_SHIFT)
#define PLEX86_PAGE_MASK	(~(PLEX86_PAGE_SIZE - 1))

/* Guest-linear: what guest code uses, after segmentation. */
typedef struct plex86_gva { uint64_t la; } plex86_gva_t;

/* Guest-physical: what the guest's page tables hold. */
typedef struct plex86_gpa { uint64_t pa; } plex86_gpa_t;

/* Offset in the RAM object (memfd) that backs the guest's memory, bytes. */
typedef struct plex86_ramoff { uint64_t off; } plex86_ramoff_t;

#endif /* PLEX86_ADDR_H */
