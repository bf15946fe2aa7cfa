// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Vector registers around a run: they are in the calling thread's while the
 * module runs guest code.  Hosts without XSAVE have the legacy area alone, which
 * FXSAVE writes.
 */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#define LEAF_XSTATE	0xd
#define XSTATE_BV	512		/* offset of that word in an image */
#define LEGACY		((uint64_t)(PLEX86_X_X87 | PLEX86_X_SSE))

int drv_vec_init(struct plex86_engine *engine)
{
	struct plex86_xstate_leaf leaf[PLEX86_XSTATE_NCOMP] = { 0 };
	uint32_t i, eax, ebx, ecx, edx;
	size_t size;

	engine->has_xsave = engine->info.caps & PLEX86_HOST_XSAVE;
	for (i = 2; engine->has_xsave && i < PLEX86_XSTATE_NCOMP; i++) {
		__cpuid_count(LEAF_XSTATE, i, eax, ebx, ecx, edx);
		leaf[i].size = eax;
		leaf[i].offset = ebx;
	}
	if (plex86_xstate_layout_init(&engine->layout, engine->info.xcr0, leaf, 0))
		return -ENOTSUP;
	/* PKRU is the thread's own: it guards our memory, not the guest's. */
	engine->load_mask = engine->layout.xcr0 & ~(uint64_t)PLEX86_X_PKRU;
	size = (engine->layout.size + 63) & ~(size_t)63;
	if (size < PLEX86_XSTATE_MIN + 64)
		size = PLEX86_XSTATE_MIN + 64;
	engine->image = aligned_alloc(64, size);
	if (!engine->image)
		return -ENOMEM;
	memset(engine->image, 0, size);
	return 0;
}

static uint64_t get_bv(const void *image)
{
	uint64_t bv;

	memcpy(&bv, (const char *)image + XSTATE_BV, sizeof(bv));
	return bv;
}

static void set_bv(void *image, uint64_t bv)
{
	memcpy((char *)image + XSTATE_BV, &bv, sizeof(bv));
}

long drv_vec_enter(struct plex86_engine *engine, struct plex86_run *run,
		   struct plex86_vec *vec, bool same)
{
	uint64_t enabled = (run->cpu.xcr0 | LEGACY) & engine->load_mask;
	void *image = engine->image;
	long ret;

	if (!same || !engine->image_valid)
		plex86_xstate_from_vec(&engine->layout, vec, enabled, image, engine->layout.size);
	if (engine->has_xsave) {
		/* What is not stored keeps its bit: it must not come back later. */
		set_bv(image, get_bv(image) & enabled);
		ret = drv_enter_xsave(engine->vcpu, PLEX86_VCPU_RUN, run, image,
				      engine->load_mask, enabled);
	} else {
		ret = drv_enter_fxsave(engine->vcpu, PLEX86_VCPU_RUN, run, image);
		set_bv(image, LEGACY);
	}
	engine->image_valid = !ret && run->reason != PLEX86_RUN_REFUSED;
	if (engine->image_valid)
		plex86_xstate_to_vec(&engine->layout, image, enabled, vec);
	return ret;
}
