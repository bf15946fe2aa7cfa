/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest page tables: a kernel's way to make them, and a translation by the book
 * (SDM vol. 3, 4.3 to 4.5) to compare the core with.  Nothing of plugin/walk.c
 * is used here.
 */
#include <string.h>

#include "vm.h"

static uint64_t pool[VM_FRAMES];
static unsigned int npool;

void frames_init(void)
{
	uint64_t pa;

	npool = 0;
	for (pa = VM_RAM - PAGE; pa >= 0x10000; pa -= PAGE)
		if (pa < 0xa0000 || pa >= 0x100000)
			pool[npool++] = pa;
}

uint64_t frame_alloc(void)
{
	static const uint8_t zeros[PAGE];
	uint64_t pa;

	if (!npool)
		return 0;
	pa = pool[--npool];
	bochs_dma_page(pa, zeros);
	return pa;
}

/* Last in, first out: what held a table a moment ago is data next. */
void frame_free(uint64_t pa)
{
	pool[npool++] = pa;
}

static unsigned int entry_size(const struct tables *t)
{
	return t->mode == PAGING_32 ? 4 : 8;
}

static unsigned int levels(const struct tables *t)
{
	return t->mode == PAGING_PAE ? 3 : top_table(t->mode);
}

static unsigned int index_of(const struct tables *t, uint64_t la, unsigned int level)
{
	if (t->mode == PAGING_32)
		return level == 2 ? la >> 22 & 1023 : la >> 12 & 1023;
	if (t->mode == PAGING_PAE && level == 3)
		return la >> 30 & 3;
	return la >> (3 + 9 * level) & 511;
}

uint64_t tables_entry_read(const struct tables *t, uint64_t at)
{
	return bochs_read(at, entry_size(t));
}

void tables_entry_write(const struct tables *t, uint64_t at, uint64_t entry)
{
	bochs_write(at, entry, entry_size(t));
}

void tables_init(struct tables *t, int mode)
{
	memset(t, 0, sizeof(*t));
	t->mode = mode;
	t->cr3 = frame_alloc();
	t->phys_bits = 40;
	t->pse = t->huge1g = true;
	t->nxe = mode != PAGING_32;
}

void tables_load_cr3(struct tables *t)
{
	unsigned int i;

	for (i = 0; i < 4 && t->mode == PAGING_PAE; i++)
		t->pdpte[i] = bochs_read(t->cr3 + 8 * i, 8);
}

static void free_level(struct tables *t, uint64_t table, unsigned int level)
{
	unsigned int i, n = t->mode == PAGING_PAE && level == 3 ? 4 : PAGE / entry_size(t);

	for (i = 0; level > 1 && i < n; i++) {
		uint64_t e = tables_entry_read(t, table + i * entry_size(t));

		if ((e & P_P) && !(e & P_PS))
			free_level(t, e & UINT64_C(0xffffffffff000), level - 1);
	}
	frame_free(table);
}

void tables_free(struct tables *t)
{
	free_level(t, t->cr3, levels(t));
}

uint64_t tables_entry(struct tables *t, uint64_t la, unsigned int level, bool make)
{
	uint64_t table = t->cr3, at, e;
	unsigned int l;

	for (l = levels(t);; l--) {
		at = table + index_of(t, la, l) * entry_size(t);
		if (l == level)
			return at;
		e = tables_entry_read(t, at);
		if (!(e & P_P)) {
			if (!make)
				return 0;
			e = frame_alloc() | P_P;
			if (t->mode != PAGING_PAE || l != 3)
				e |= P_W | P_U | P_A;
			tables_entry_write(t, at, e);
			if (t->mode == PAGING_PAE && l == 3)
				tables_load_cr3(t);	/* a new PDPTE needs MOV CR3 */
		}
		table = e & (t->mode == PAGING_32 ? UINT64_C(0xfffff000) : UINT64_C(0xffffffffff000));
	}
}

void tables_map_large(struct tables *t, uint64_t la, uint64_t pa, uint64_t bits, unsigned int level)
{
	tables_entry_write(t, tables_entry(t, la, level, true), pa | bits | (level > 1 ? P_PS : 0));
}

void tables_map(struct tables *t, uint64_t la, uint64_t pa, uint64_t bits)
{
	tables_map_large(t, la, pa, bits, 1);
}

static void take(struct translation *o, const struct tables *t, uint64_t e)
{
	o->write = o->write && (e & P_W);
	o->user = o->user && (e & P_U);
	o->accessed = o->accessed && (e & P_A);
	if (t->nxe && (e & P_NX))
		o->exec = false;
}

/* 32-bit paging: table 4-3 and figure 4-4. */
static void translate_32(const struct tables *t, uint64_t la, struct translation *o)
{
	uint64_t at = (t->cr3 & 0xfffff000) + (la >> 22) * 4, e = bochs_read(at, 4);

	o->entry_at[o->n++] = at;
	if (!(e & P_P))
		return;
	take(o, t, e);
	if ((e & P_PS) && t->pse) {
		o->reserved = e >> 21 & 1;
		o->pse36 = e >> 13 & 0xff;
		o->pa = (e & 0xffc00000) | (e >> 13 & 0xff) << 32 | (la & 0x3fffff);
	} else {
		at = (e & 0xfffff000) + (la >> 12 & 1023) * 4;
		o->entry_at[o->n++] = at;
		e = bochs_read(at, 4);
		if (!(e & P_P))
			return;
		take(o, t, e);
		o->pa = (e & 0xfffff000) | (la & 4095);
	}
	o->dirty = e & P_D;
	o->present = true;
}

/* Entries of 8 bytes: reserved bits of tables 4-8 to 4-11 and 4-15 to 4-20. */
static bool reserved_8(const struct tables *t, unsigned int level, uint64_t e)
{
	unsigned int bit;

	for (bit = t->phys_bits; bit < 52; bit++)
		if (e >> bit & 1)
			return true;
	if (!t->nxe && (e & P_NX))
		return true;
	if (t->mode == PAGING_PAE && (e >> 52 & 0x7ff))
		return true;
	if (level >= 4)
		return e & P_PS;
	if (level == 1 || !(e & P_PS))
		return false;
	if (level == 3)
		return !t->huge1g || (e >> 13 & 0x1ffff);
	return e >> 13 & 0xff;
}

static void translate_8(const struct tables *t, uint64_t la, uint64_t table, unsigned int level,
			struct translation *o)
{
	uint64_t at, e, span;

	for (;; level--) {
		at = table + (la >> (3 + 9 * level) & 511) * 8;
		o->entry_at[o->n++] = at;
		e = bochs_read(at, 8);
		if (!(e & P_P))
			return;
		if (reserved_8(t, level, e)) {
			o->reserved = true;
			return;
		}
		take(o, t, e);
		if (level == 1 || (e & P_PS))
			break;
		table = e & UINT64_C(0xffffffffff000);
	}
	span = UINT64_C(1) << (3 + 9 * level);
	o->pa = (e & UINT64_C(0xffffffffff000) & ~(span - 1)) | (la & (span - 1));
	o->dirty = e & P_D;
	o->present = true;
}

static void translate_pae(const struct tables *t, uint64_t la, struct translation *o)
{
	uint64_t e = t->pdpte[la >> 30 & 3];
	unsigned int bit;

	o->entry_at[o->n++] = ~UINT64_C(0);
	if (!(e & P_P))
		return;
	for (bit = 1; bit < 64; bit++)
		if ((e >> bit & 1) && (bit <= 2 || (bit >= 5 && bit <= 8) || bit >= t->phys_bits)) {
			o->reserved = true;
			return;
		}
	translate_8(t, la, e & UINT64_C(0xffffffffff000), 2, o);
}

void tables_translate(const struct tables *t, uint64_t la, struct translation *o)
{
	memset(o, 0, sizeof(*o));
	o->write = o->user = o->exec = o->accessed = true;
	if (t->mode == PAGING_32)
		translate_32(t, la & UINT32_MAX, o);
	else if (t->mode == PAGING_PAE)
		translate_pae(t, la & UINT32_MAX, o);
	else if (t->mode == PAGING_LONG5 ? la >> 56 == 0 || la >> 56 == 0xff :
					   la >> 47 == 0 || la >> 47 == 0x1ffff)
		translate_8(t, la, t->cr3 & UINT64_C(0xffffffffff000), levels(t), o);
}

uint32_t tables_allow(const struct tables *t, uint64_t la, uint64_t *pa)
{
	struct translation o;

	tables_translate(t, la, &o);
	*pa = o.pa;
	if (!o.present || o.reserved || !o.user || !o.accessed)
		return 0;
	return PLEX86_PROT_READ | (o.write && o.dirty ? PLEX86_PROT_WRITE : 0) |
	       (o.exec ? PLEX86_PROT_EXEC : 0);
}
