/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What guest code sees of a mapping, for the tests of maps. */
#ifndef PLEX86_CONFORMANCE_MAPS_H
#define PLEX86_CONFORMANCE_MAPS_H

#include "harness.h"

#define VA_TEST	UINT64_C(0x7000000000)

/* Word 0 of each data page is its number, word 1 an HLT. */
void number_pages(void);

/* A load from @va gives @want; it faults there and changes nothing. */
bool can_load(struct plex86_space *s, uint64_t va, uint64_t want);
bool cant_load(struct plex86_space *s, uint64_t va);

/* maps_many.c */
void test_many_at_once(struct plex86_space *s);
void test_map_limit(void);

#endif /* PLEX86_CONFORMANCE_MAPS_H */
