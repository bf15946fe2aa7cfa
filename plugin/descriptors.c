/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "descriptors.h"
#include "shadow.h"

#define D_LIMIT		UINT64_C(0x000f00000000ffff)
#define D_ACCESSED	(UINT64_C(1) << 40)
#define D_CONFORMING	(UINT64_C(1) << 42)
#define D_CODE		(UINT64_C(1) << 43)
#define D_SEGMENT	(UINT64_C(1) << 44)	/* not a gate or a system segment */
#define D_DPL3		(UINT64_C(3) << 45)
#define D_PRESENT	(UINT64_C(1) << 47)
#define D_LONG		(UINT64_C(1) << 53)
#define D_GRANULAR	(UINT64_C(1) << 55)

#define TI_LDT		4u

/* Of what PLEX86_SEG_* and a descriptor's bits 40 to 55 have in common: all that accesses go by. */
#define ATTR_USED	((0xffu & ~PLEX86_SEG_ACCESSED) | PLEX86_SEG_L | PLEX86_SEG_DB)

/* System types that LAR refuses in all modes: 0, 8, 10, 13 are reserved. */
#define TYPES_RESERVED	0x2501u

/* One of the guest's, which is aligned; 0 where there is none. */
static uint64_t read_slot(const struct plex86_world *w, const struct plex86_table *t, uint16_t sel)
{
	plex86_gva_t la = { t->base + (sel & ~7u) };
	plex86_gpa_t gpa;
	uint64_t d;
	void *p;

	if ((sel | 7u) >= t->bytes || (la.la & 7) || !w->host->translate(la, &gpa))
		return 0;
	gpa.pa = (gpa.pa & PLEX86_PAGE_MASK) | (la.la & ~PLEX86_PAGE_MASK);
	p = plex86_ram_host(w->ram, gpa, sizeof(d));
	if (!p)
		return 0;
	memcpy(&d, p, sizeof(d));
	return d;
}

bool plex86_descriptors_linux(const struct plex86_world *w, const struct plex86_tables *now)
{
	/* arch/x86/kernel/cpu/common.c: gdt_page, setup_getcpu(). */
	static const struct { uint16_t sel; uint64_t descriptor, ignored; } slots[] = {
		{ 0x23, 0x00cffb000000ffff, 0 },
		{ 0x2b, 0x00cff3000000ffff, 0 },
		{ 0x33, 0x00affb000000ffff, 0 },
		{ 0x7b, 0x0040f50000000000, D_LIMIT },
	};
	unsigned int i;

	for (i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		if ((read_slot(w, &now->gdt, slots[i].sel) & ~slots[i].ignored) !=
		    slots[i].descriptor)
			return false;
	return true;
}

bool plex86_descriptor_holds(const struct plex86_world *w, const struct plex86_tables *now,
			     const struct plex86_seg *seg)
{
	const uint64_t d = read_slot(w, &now->gdt, seg->sel);
	uint32_t base = (d >> 16 & 0xffffff) | (d >> 56 << 24);
	uint32_t limit = (d & 0xffff) | (d >> 32 & 0xf0000);

	if (seg->attr & PLEX86_SEG_NULL)
		return true;
	if (d & D_GRANULAR)
		limit = limit << 12 | 0xfff;
	return !(seg->sel & TI_LDT) && base == seg->base && limit == seg->limit &&
	       !((d >> 40 ^ seg->attr) & ATTR_USED);
}

bool plex86_descriptor_visible(uint64_t d)
{
	if ((d & (D_SEGMENT | D_CODE | D_CONFORMING)) == (D_SEGMENT | D_CODE | D_CONFORMING))
		return true;
	if ((d & D_DPL3) != D_DPL3)
		return false;
	return (d & D_SEGMENT) || !(TYPES_RESERVED >> (d >> 40 & 15) & 1);
}

/*
 * Only what is accessed: loading another one would set the bit in the engine's
 * table and not in the guest's.  Outside of long mode L means nothing, but to
 * the CPU that the engine uses it would mean 64-bit code.
 */
bool plex86_descriptor_loadable(uint64_t d, bool long_mode)
{
	const uint64_t need = D_PRESENT | D_DPL3 | D_SEGMENT | D_ACCESSED;

	return (d & need) == need && (long_mode || !(d & D_CODE) || !(d & D_LONG));
}

int plex86_descriptors_init(struct plex86_world *w)
{
	struct plex86_descriptors *d = &w->descriptors;

	if (!(w->caps->flags & PLEX86_CAP_DESCRIPTORS))
		return 0;
	d->gdt.max = w->caps->max_gdt;
	d->ldt.max = w->caps->max_ldt;
	d->gdt.entry = calloc(d->gdt.max + 1, sizeof(uint64_t));
	d->ldt.entry = calloc(d->ldt.max + 1, sizeof(uint64_t));
	if (!d->gdt.entry || !d->ldt.entry) {
		plex86_descriptors_fini(w);
		return -ENOMEM;
	}
	d->generation = 1;
	return 0;
}

void plex86_descriptors_fini(struct plex86_world *w)
{
	free(w->descriptors.gdt.entry);
	free(w->descriptors.ldt.entry);
	memset(&w->descriptors, 0, sizeof(w->descriptors));
}

static uint64_t linear(const struct plex86_descriptors *d, uint64_t la)
{
	return d->long_mode ? la : la & UINT32_MAX;
}

/* Where page @i of a table is now.  Its tables may map it elsewhere at any time. */
static uint64_t find_page(struct plex86_world *w, const struct plex86_table *t, unsigned int i)
{
	plex86_gva_t la = { linear(&w->descriptors, (t->base & PLEX86_PAGE_MASK) +
						    i * PLEX86_PAGE_SIZE) };
	plex86_gpa_t gpa;

	if (!w->host->translate(la, &gpa))
		return PLEX86_NOT_RAM;
	gpa.pa &= PLEX86_PAGE_MASK;
	return plex86_plain_page(w, gpa) ? gpa.pa : PLEX86_NOT_RAM;
}

static void unwatch(struct plex86_world *w, struct plex86_table_copy *c)
{
	unsigned int i;

	for (i = 0; i < c->pages; i++)
		if (c->page[i] != PLEX86_NOT_RAM)
			w->frames[c->page[i] >> PLEX86_PAGE_SHIFT].flags &=
				~PLEX86_FRAME_DESCRIPTORS;
}

/* True if the table is not where it was.  Pages that it left are watched no more. */
static bool follow(struct plex86_world *w, struct plex86_table_copy *c,
		   const struct plex86_table *now)
{
	const uint32_t most = PLEX86_TABLE_SLOTS * sizeof(uint64_t);
	struct plex86_table t = { .base = now->base, .bytes = now->bytes & ~7u };
	uint64_t page[PLEX86_TABLE_PAGES];
	unsigned int i, pages = 0;

	if (t.bytes > most)
		t.bytes = most;
	if (t.bytes)
		pages = ((t.base & ~PLEX86_PAGE_MASK) + t.bytes + PLEX86_PAGE_SIZE - 1) >>
			PLEX86_PAGE_SHIFT;
	for (i = 0; i < pages; i++)
		page[i] = find_page(w, &t, i);
	if (t.base == c->where.base && t.bytes == c->where.bytes &&
	    !memcmp(page, c->page, pages * sizeof(page[0])))
		return false;
	unwatch(w, c);
	c->where = t;
	c->pages = pages;
	memcpy(c->page, page, pages * sizeof(page[0]));
	return true;
}

/* Tell us of writes to bytes [from, to) of the page; native code may make none. */
static void watch(struct plex86_world *w, uint64_t pa, unsigned int from, unsigned int to)
{
	struct plex86_frame *f = &w->frames[pa >> PLEX86_PAGE_SHIFT];
	uint32_t lines = (UINT32_MAX << from / 128) & (UINT32_MAX >> (31 - (to - 1) / 128));

	if (!(f->flags & PLEX86_FRAME_DESCRIPTORS)) {
		f->flags |= PLEX86_FRAME_DESCRIPTORS;
		plex86_frame_revoke(w, pa >> PLEX86_PAGE_SHIFT, PLEX86_PROT_WRITE);
	}
	w->host->watch_writes((plex86_gpa_t){ pa }, lines);
}

static void watch_all(struct plex86_world *w, const struct plex86_table_copy *c)
{
	unsigned int begin = c->where.base & ~PLEX86_PAGE_MASK, end = begin + c->where.bytes, i;

	for (i = 0; i < c->pages; i++) {
		unsigned int at = i * PLEX86_PAGE_SIZE, from = begin > at ? begin - at : 0;
		unsigned int to = end - at < PLEX86_PAGE_SIZE ? end - at : PLEX86_PAGE_SIZE;

		if (c->page[i] != PLEX86_NOT_RAM)
			watch(w, c->page[i], from, to);
	}
}

/* Byte by byte, as a descriptor may begin in one page and end in the next. */
static bool read_entry(struct plex86_world *w, const struct plex86_table_copy *c, unsigned int slot,
		       uint64_t *d)
{
	unsigned int at = (c->where.base & ~PLEX86_PAGE_MASK) + slot * 8, i;

	*d = 0;
	for (i = 0; i < 8; i++, at++) {
		uint64_t page = c->page[at >> PLEX86_PAGE_SHIFT];
		plex86_gpa_t gpa = { page + (at & ~PLEX86_PAGE_MASK) };
		const uint8_t *host =
			page == PLEX86_NOT_RAM ? NULL : plex86_ram_host(w->ram, gpa, 1);

		if (!host)
			return false;
		*d |= (uint64_t)*host << (8 * i);
	}
	return true;
}

/* True if what the engine gets, or what it hides, has changed. */
static bool read_table(struct plex86_world *w, struct plex86_table_copy *c, bool gdt)
{
	bool long_mode = w->descriptors.long_mode, hidden = false, changed = false;
	unsigned int slots = c->where.bytes / 8, n = slots < c->max ? slots : c->max, i;
	uint64_t d;

	watch_all(w, c);
	for (i = 0; i < slots; i++) {
		if (!read_entry(w, c, i, &d))
			hidden = true;	/* LAR faults, or sees what is no RAM */
		if (gdt && !i)
			d = 0;
		if (plex86_descriptor_visible(d) &&
		    (i >= c->max || (gdt && i == w->caps->gdt_taken) ||
		     !plex86_descriptor_loadable(d, long_mode)))
			hidden = true;
		if (i < c->max && (i >= c->n || c->entry[i] != d)) {
			c->entry[i] = d;
			changed = true;
		}
	}
	changed |= n != c->n || hidden != c->hidden;
	c->n = n;
	c->hidden = hidden;
	return changed;
}

void plex86_descriptors_sync(struct plex86_world *w, const struct plex86_tables *now,
			     bool long_mode)
{
	struct plex86_descriptors *d = &w->descriptors;
	bool moved = d->long_mode != long_mode || d->dirty;

	if (!d->generation)
		return;
	d->long_mode = long_mode;
	moved |= follow(w, &d->gdt, &now->gdt);
	moved |= follow(w, &d->ldt, &now->ldt);
	if (!moved)
		return;
	d->dirty = false;
	w->stats.descriptors_read++;
	if (read_table(w, &d->gdt, true) | read_table(w, &d->ldt, false))
		d->generation++;
}

bool plex86_descriptors_hidden(const struct plex86_world *w)
{
	return w->descriptors.gdt.hidden || w->descriptors.ldt.hidden;
}
