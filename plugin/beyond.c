/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "beyond.h"

#define LEGACY_MXCSR	24
#define CR4_OSXSAVE	(UINT64_C(1) << 18)
#define CR4_PKE		(UINT64_C(1) << 22)
#define CR4_CET		(UINT64_C(1) << 23)

uint64_t plex86_beyond(const struct plex86_cpu *cpu, const struct plex86_caps *caps)
{
	return cpu->cr4 & CR4_OSXSAVE ? cpu->xcr0 & ~caps->xcr0 : 0;
}

bool plex86_beyond_idle(uint64_t beyond, const struct plex86_vec *vec,
			const struct plex86_caps *caps)
{
	const uint8_t *upper = vec->zmm_hi256[0];
	size_t i;

	if (!(beyond & vec->valid & PLEX86_X_ZMM_HI256) || !(caps->xcr0 & PLEX86_X_AVX))
		return true;
	for (i = 0; i < sizeof(vec->zmm_hi256); i++)
		if (upper[i])
			return false;
	return true;
}

bool plex86_mxcsr_loads(const struct plex86_vec *vec, const struct plex86_caps *caps)
{
	uint32_t mxcsr;

	memcpy(&mxcsr, vec->legacy + LEGACY_MXCSR, sizeof(mxcsr));
	return !(mxcsr & ~caps->mxcsr_mask);
}

void plex86_beyond_hold(struct plex86_beyond *b, struct plex86_cpu *cpu, struct plex86_vec *vec,
			const struct plex86_caps *caps)
{
	b->components = plex86_beyond(cpu, caps);
	b->cr4 = cpu->cr4;
	b->xcr0 = cpu->xcr0;
	cpu->xcr0 &= ~b->components;
	/* CET is off in user mode; pages with a key but 0, and its instructions, are Bochs's. */
	cpu->cr4 &= ~(CR4_CET | CR4_PKE);
	if (!b->components)
		return;
	b->vec = *vec;
	vec->valid &= ~b->components;
}

void plex86_beyond_return(const struct plex86_beyond *b, struct plex86_cpu *cpu,
			  struct plex86_vec *vec)
{
	cpu->cr4 = b->cr4;
	cpu->xcr0 = b->xcr0;
	if (b->components & PLEX86_X_AVX)
		memcpy(vec->ymm_hi, b->vec.ymm_hi, sizeof(vec->ymm_hi));
	if (b->components & PLEX86_X_OPMASK)
		memcpy(vec->opmask, b->vec.opmask, sizeof(vec->opmask));
	if (b->components & PLEX86_X_ZMM_HI256)
		memcpy(vec->zmm_hi256, b->vec.zmm_hi256, sizeof(vec->zmm_hi256));
	if (b->components & PLEX86_X_HI16_ZMM)
		memcpy(vec->hi16_zmm, b->vec.hi16_zmm, sizeof(vec->hi16_zmm));
	if (b->components & PLEX86_X_PKRU)
		vec->pkru = b->vec.pkru;
	if (b->components)
		vec->valid |= b->vec.valid & b->components;
}
