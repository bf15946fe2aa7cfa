/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ram.h"

int plex86_ram_init(struct plex86_ram *ram, void *host, uint64_t host_size,
		    uint64_t guest_size, uint64_t block_size)
{
	memset(ram, 0, sizeof(*ram));
	if (block_size < PLEX86_PAGE_SIZE || (block_size & (block_size - 1)) ||
	    (guest_size & (block_size - 1)))
		return -EINVAL;
	ram->host = host;
	ram->host_size = host_size;
	ram->guest_size = guest_size;
	ram->block_shift = __builtin_ctzll(block_size);
	ram->nblocks = guest_size >> ram->block_shift;
	ram->block = malloc(ram->nblocks * sizeof(*ram->block));
	if (!ram->block)
		return -ENOMEM;
	memset(ram->block, 0xff, ram->nblocks * sizeof(*ram->block));
	return 0;
}

void plex86_ram_fini(struct plex86_ram *ram)
{
	free(ram->block);
	memset(ram, 0, sizeof(*ram));
}

int plex86_ram_set_block(struct plex86_ram *ram, uint64_t n, const void *host_addr)
{
	uint64_t off = (uint64_t)((const uint8_t *)host_addr - ram->host);
	uint64_t size = UINT64_C(1) << ram->block_shift;

	if (n >= ram->nblocks || off > ram->host_size || ram->host_size - off < size ||
	    (off & ~PLEX86_PAGE_MASK))
		return -EINVAL;
	ram->block[n] = off;
	return 0;
}

static bool offset_of(const struct plex86_ram *ram, uint64_t pa, uint64_t *off)
{
	uint64_t base;

	if (pa >= ram->guest_size)
		return false;
	if (pa >= PLEX86_RAM_HOLE_START && pa < PLEX86_RAM_HOLE_END)
		return false;
	base = ram->block[pa >> ram->block_shift];
	if (base == PLEX86_RAM_NOWHERE)
		return false;
	*off = base + (pa & ((UINT64_C(1) << ram->block_shift) - 1));
	return true;
}

bool plex86_ram_offset(const struct plex86_ram *ram, plex86_gpa_t gpa, plex86_ramoff_t *off)
{
	return offset_of(ram, gpa.pa & PLEX86_PAGE_MASK, &off->off);
}

void *plex86_ram_host(const struct plex86_ram *ram, plex86_gpa_t gpa, uint64_t len)
{
	uint64_t off;

	if (len > PLEX86_PAGE_SIZE || (gpa.pa & ~PLEX86_PAGE_MASK) > PLEX86_PAGE_SIZE - len)
		return NULL;
	return offset_of(ram, gpa.pa, &off) ? ram->host + off : NULL;
}
