/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which cases share pages.  What an engine can't trap hands the whole page to Bochs
 * (plugin/filter.h), and some thirty cases are in one: those with such bytes run
 * apart, or hardly any would run natively.
 */
#include <string.h>

#include <plex86/engine.h>

#include "plugin/filter.h"

#include "fuzz.h"

bool runs_apart(const struct maker *m, const struct fuzz_case *c)
{
	const bool code32 = m->kind.code32;
	const uint32_t caps = PLEX86_CAP_TRAP_TSC | PLEX86_CAP_INTN_TAKEN | PLEX86_CAP_NT_LOST;
	const uint32_t mask = plex86_filter_mask(caps, code32 ? PLEX86_MODE_32 : PLEX86_MODE_64,
						 true, 0, false) |
			      (code32 ? PLEX86_FOUND_SEGMENT_32 : PLEX86_FOUND_SEGMENT_64);
	uint8_t page[FUZZ_PAGE];
	uint32_t bytes;

	memset(page, FUZZ_FILLER, sizeof(page));
	memcpy(page + FUZZ_SLOT, c->code, c->len);
	bytes = plex86_filter_scan(page, sizeof(page));
	return (bytes & mask) || plex86_filter_decode(page, mask & PLEX86_FOUND_DECODED, bytes);
}
