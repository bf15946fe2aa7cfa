/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copies.h"
#include "patch.h"

void plex86_copies_init(struct plex86_copies *c, void *ram, uint64_t off)
{
	c->host = (uint8_t *)ram + off;
	c->off = off;
}

static uint8_t *bytes_of(const struct plex86_copies *c, const struct plex86_copy *copy)
{
	return c->host + (copy - c->copy) * PLEX86_PAGE_SIZE;
}

struct plex86_copy *plex86_copy_find(struct plex86_copies *c, uint32_t frame)
{
	unsigned int i;

	for (i = 0; i < c->top; i++)
		if (c->copy[i].uses && c->copy[i].frame == frame)
			return &c->copy[i];
	return NULL;
}

static struct plex86_copy *unused(struct plex86_copies *c)
{
	unsigned int i;

	for (i = 0; i < c->top; i++)
		if (!c->copy[i].uses)
			return &c->copy[i];
	return c->top < PLEX86_COPIES ? &c->copy[c->top++] : NULL;
}

bool plex86_copy_has_room(struct plex86_copies *c, uint32_t frame)
{
	return c->host && (plex86_copy_find(c, frame) || c->top < PLEX86_COPIES || unused(c));
}

struct plex86_copy *plex86_copy_make(struct plex86_copies *c, uint32_t frame, const uint8_t *code,
				     uint32_t mask, bool long_mode)
{
	struct plex86_copy *copy = plex86_copy_find(c, frame);

	if (!c->host)
		return NULL;
	if (copy)
		return (mask & ~copy->mask) || (long_mode && !copy->long_mode) ? NULL : copy;
	copy = unused(c);
	if (!copy || plex86_patch_page(code, mask, long_mode, bytes_of(c, copy)) < 0)
		return NULL;
	copy->frame = frame;
	copy->mask = mask;
	copy->long_mode = long_mode;
	return copy;
}

plex86_ramoff_t plex86_copy_offset(const struct plex86_copies *c, const struct plex86_copy *copy)
{
	return (plex86_ramoff_t){ c->off + (copy - c->copy) * PLEX86_PAGE_SIZE };
}

bool plex86_copy_traps(const struct plex86_copies *c, const struct plex86_copy *copy,
		       const uint8_t *code, unsigned int offset)
{
	return bytes_of(c, copy)[offset] != code[offset];
}
