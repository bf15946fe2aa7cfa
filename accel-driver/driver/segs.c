// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Segment registers are a selector and a hidden part; the CPU loads the hidden
 * part from a descriptor.  So the space's GDT and LDT must hold, at each
 * selector, exactly the descriptor that the guest's hidden part came from:
 *
 * - If the core gave the guest's tables, those are it; a register whose hidden
 *   part differs (the guest changed the table since) can't be entered.
 * - If it did not, the descriptors are made up from the registers, and the guest
 *   can load no other selector: that traps.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "driver.h"

#define ATTR_MASK	0xf0ffu
#define LOADABLE	(PLEX86_SEG_P | 3u << PLEX86_SEG_DPL_SHIFT | PLEX86_SEG_S | \
			 PLEX86_SEG_ACCESSED)

static unsigned int attr_of(uint64_t d)
{
	return d >> 40 & ATTR_MASK;
}

static uint32_t limit_of(uint64_t d)
{
	uint32_t limit = (d & 0xffff) | (d >> 32 & 0xf0000);

	return attr_of(d) & PLEX86_SEG_G ? limit << 12 | 0xfff : limit;
}

static uint32_t base_of(uint64_t d)
{
	return (d >> 16 & 0xffffff) | (d >> 56) << 24;
}

/* Returns 0 where no descriptor can say that. */
static uint64_t descriptor_of(const struct plex86_seg *seg, uint64_t base)
{
	uint64_t attr = seg->attr & ATTR_MASK;
	uint64_t limit = seg->limit;

	if (attr & PLEX86_SEG_G) {
		if ((limit & 0xfff) != 0xfff)
			return 0;
		limit >>= 12;
	}
	if (limit > 0xfffff || base >> 32)
		return 0;
	return (limit & 0xffff) | (base & 0xffffff) << 16 | attr << 40 |
	       (limit >> 16) << 48 | (base >> 24) << 56;
}

static bool is_null(uint16_t sel)
{
	return !(sel & ~3);
}

/* The place of a selector in the tables that the module has; NULL: none. */
static uint64_t *slot_of(struct plex86_space *space, uint16_t sel)
{
	unsigned int i = sel >> 3;

	if (sel & 4)
		return i < DRV_NLDT ? &space->ldt[i] : NULL;
	return i && i != DRV_OWN_SLOT && i < DRV_NGDT ? &space->gdt[i] : NULL;
}

/* Can user code load this as it is, and does it mean the same to this CPU? */
static bool usable(uint64_t d, uint32_t mode)
{
	unsigned int attr = attr_of(d);

	if ((attr & LOADABLE) != LOADABLE)
		return false;
	/* Without long mode, L is no bit: but here it would mean 64-bit code. */
	return mode != PLEX86_MODE_32 || !(attr & PLEX86_SEG_CODE) || !(attr & PLEX86_SEG_L);
}

static void filter(uint64_t *to, const uint64_t *from, unsigned int n, unsigned int max,
		   uint32_t mode)
{
	unsigned int i;

	for (i = 0; i < max; i++)
		to[i] = i < n && usable(from[i], mode) ? from[i] : 0;
}

static void refresh(struct plex86_space *space, uint32_t mode)
{
	filter(space->gdt, space->guest_gdt, space->guest_ngdt, DRV_NGDT, mode);
	filter(space->ldt, space->guest_ldt, space->guest_nldt, DRV_NLDT, mode);
	space->gdt[0] = 0;
	space->gdt[DRV_OWN_SLOT] = 0;
	space->filtered_for = mode;
	space->dirty = true;
}

/* FS and GS have their base loaded by itself. */
static bool base_matters(int i)
{
	return i != PLEX86_FS && i != PLEX86_GS;
}

static bool matches(uint64_t d, const struct plex86_seg *seg, bool with_base)
{
	return attr_of(d) == (seg->attr & ATTR_MASK) && limit_of(d) == seg->limit &&
	       (!with_base || base_of(d) == seg->base);
}

static const char *prepare_one(struct plex86_space *space, const struct plex86_cpu *cpu, int i,
			       uint32_t *placed)
{
	const struct plex86_seg *seg = &cpu->seg[i];
	uint64_t base, d, *slot;
	int other;

	if (is_null(seg->sel)) {
		if (i == PLEX86_CS || i == PLEX86_SS)
			return "CS or SS holds a null selector";
		if (seg->sel)
			return "the way back to user code makes a null selector with an RPL 0";
		if (!(seg->attr & PLEX86_SEG_NULL) && seg->attr & PLEX86_SEG_P &&
		    cpu->mode != PLEX86_MODE_64)
			return "a usable segment register holds a null selector";
		return NULL;
	}
	if (seg->attr & PLEX86_SEG_NULL)
		return "an unusable segment register holds a selector";
	slot = slot_of(space, seg->sel);
	if (!slot)
		return "a selector is in a place that the driver needs, or beyond its tables";
	if (matches(*slot, seg, base_matters(i)))
		return NULL;
	if (space->described)
		return "a segment register differs from its descriptor";

	base = base_matters(i) || !(seg->base >> 32) ? seg->base : 0;
	d = descriptor_of(seg, base);
	if (!d || !usable(d, cpu->mode))
		return "a segment register holds what no user descriptor can give";
	for (other = 0; other < i; other++)
		if (*placed & 1u << other && !((cpu->seg[other].sel ^ seg->sel) & ~3))
			return "two segment registers have one selector and differ";
	*slot = d;
	space->dirty = true;
	return NULL;
}

static int install(struct plex86_space *space)
{
	struct plex86_descriptors d = {
		.size = sizeof(d),
		.ngdt = DRV_NGDT,
		.nldt = DRV_NLDT,
		.gdt = (uintptr_t)space->gdt,
		.ldt = (uintptr_t)space->ldt,
	};

	while (d.ngdt && !space->gdt[d.ngdt - 1])
		d.ngdt--;
	while (d.nldt && !space->ldt[d.nldt - 1])
		d.nldt--;
	return ioctl(space->fd, PLEX86_SPACE_DESCRIPTORS, &d) < 0 ? -errno : 0;
}

const char *drv_segs_prepare(struct plex86_space *space, const struct plex86_cpu *cpu)
{
	static const int order[PLEX86_NSEG] = {
		/* those whose base matters first: FS and GS may share their slots */
		PLEX86_ES, PLEX86_CS, PLEX86_SS, PLEX86_DS, PLEX86_FS, PLEX86_GS,
	};
	uint32_t placed = 0;
	const char *why;
	int i;

	if (space->described && space->filtered_for != cpu->mode)
		refresh(space, cpu->mode);
	for (i = 0; i < PLEX86_NSEG; i++) {
		why = prepare_one(space, cpu, order[i], &placed);
		if (why)
			return why;
		if (!is_null(cpu->seg[order[i]].sel))
			placed |= 1u << order[i];
	}
	if (!(cpu->seg[PLEX86_CS].attr & PLEX86_SEG_L) != (cpu->mode != PLEX86_MODE_64))
		return "CS and the mode contradict each other";
	if (space->dirty) {
		if (install(space))
			return "the module did not take the descriptors";
		space->dirty = false;
	}
	return NULL;
}

void drv_segs_finish(const struct plex86_space *space, const struct plex86_cpu *ran,
		     struct plex86_cpu *cpu)
{
	int i;

	for (i = 0; i < PLEX86_NSEG; i++) {
		struct plex86_seg *seg = &cpu->seg[i];
		uint16_t sel = ran->seg[i].sel, was = seg->sel;

		if (sel != was) {
			const uint64_t *slot = slot_of((struct plex86_space *)space, sel);

			seg->sel = sel;
			seg->attr = slot && !is_null(sel) ? attr_of(*slot) : PLEX86_SEG_NULL;
			seg->limit = slot && !is_null(sel) ? limit_of(*slot) : 0;
			seg->base = slot && !is_null(sel) ? base_of(*slot) : 0;
		}
		if (base_matters(i))
			continue;
		if (seg->sel != was && !is_null(sel) && seg->base != ran->seg[i].base)
			seg->attr |= PLEX86_SEG_BASE;
		seg->base = ran->seg[i].base;
	}
}

int drv_set_descriptors(struct plex86_space *space, const uint64_t *gdt, unsigned int ngdt,
			const uint64_t *ldt, unsigned int nldt)
{
	if (!space || (ngdt && !gdt) || (nldt && !ldt))
		return -EINVAL;
	ngdt = ngdt < DRV_NGDT ? ngdt : DRV_NGDT;
	nldt = nldt < DRV_NLDT ? nldt : DRV_NLDT;
	/* A guest that switches tasks writes the same again and again. */
	if (space->described && ngdt == space->guest_ngdt && nldt == space->guest_nldt &&
	    (!ngdt || !memcmp(space->guest_gdt, gdt, ngdt * sizeof(*gdt))) &&
	    (!nldt || !memcmp(space->guest_ldt, ldt, nldt * sizeof(*ldt))))
		return 0;
	space->guest_ngdt = ngdt;
	space->guest_nldt = nldt;
	if (space->guest_ngdt)
		memcpy(space->guest_gdt, gdt, space->guest_ngdt * sizeof(*gdt));
	if (space->guest_nldt)
		memcpy(space->guest_ldt, ldt, space->guest_nldt * sizeof(*ldt));
	space->described = true;
	space->filtered_for = 0;
	return 0;
}
