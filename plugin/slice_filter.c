/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must not run in a slice's space: it depends on the engine, the guest's CPU model, the
 * mode that the code is in, and the guest's descriptor tables (I7).
 */
#include "filter.h"
#include "slice.h"

#define CR4_FSGSBASE	(1u << 16)

bool plex86_linux_tables(const struct plex86_run *run)
{
	const struct plex86_world *w = &run->core->world;
	const struct plex86_tables *now = &run->slice->tables;
	const struct plex86_cpu *cpu = run->cpu;

	return plex86_descriptors_linux(w, now) &&
	       (cpu->mode == PLEX86_MODE_64 ||
		(plex86_descriptor_holds(w, now, &cpu->seg[PLEX86_FS]) &&
		 plex86_descriptor_holds(w, now, &cpu->seg[PLEX86_GS])));
}

void plex86_slice_filter(struct plex86_run *run, bool long_mode)
{
	struct plex86_core *core = run->core;
	struct plex86_world *w = &core->world;
	const uint32_t caps = core->caps->flags;
	uint32_t filter, low = 0;

	plex86_descriptors_sync(w, &run->slice->tables, long_mode);
	filter = plex86_filter_mask(caps, run->cpu->mode, run->cpu->cr4 & CR4_FSGSBASE,
				    run->slice->env->tsc_aux, w->strict);
	filter |= plex86_filter_bitscan(caps, core->config.tzcnt, core->config.lzcnt, w->strict);
	if (plex86_descriptors_hidden(w))
		filter |= PLEX86_FOUND_SELECTOR;
	if (plex86_beyond(run->cpu, core->caps))
		filter |= PLEX86_FOUND_XCR0;
	if (run->cpu->mode == PLEX86_MODE_64)
		low = plex86_filter_low(caps, w->strict);
	/* Those of 64-bit Linux do the same under a Linux host. */
	if (!(caps & PLEX86_CAP_SELECTORS) &&
	    !(plex86_linux_selectors(run->cpu) &&
	      !(run->cpu->mode == PLEX86_MODE_64 && (caps & PLEX86_CAP_BASES_LOST)) &&
	      plex86_linux_tables(run)))
		filter |= run->cpu->mode == PLEX86_MODE_64 ? PLEX86_FOUND_SEGMENT_64 :
							     PLEX86_FOUND_SEGMENT_32;
	if (!(caps & PLEX86_CAP_SELECTORS) && run->cpu->mode == PLEX86_MODE_64 &&
	    !plex86_flat_stack(run->cpu))
		filter |= PLEX86_FOUND_FAR_64;
	plex86_shadow_filter(run->space, filter, low);
}
