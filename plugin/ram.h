/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a guest-physical address is in the memory object that Bochs's guest RAM
 * was allocated from.  Bochs hands out RAM in blocks, in first-touch order, so
 * guest-physical and offset differ; and some guest-physical addresses below the
 * end of RAM are not RAM (I6).  This is the only place that knows either.
 */
#ifndef PLEX86_RAM_H
#define PLEX86_RAM_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/addr.h>

struct plex86_ram {
	uint8_t *host;		/* the memory object in this process */
	uint64_t host_size;	/* bytes of it that are guest RAM or may become so */
	uint64_t guest_size;	/* end of guest RAM, guest-physical, bytes */
	unsigned int block_shift;
	uint64_t *block;	/* offset of each block, or PLEX86_RAM_NOWHERE */
	uint64_t nblocks;
};

#define PLEX86_RAM_NOWHERE UINT64_MAX

/*
 * Video memory, option ROMs, BIOS and whatever PAM makes of them; their RAM
 * shadow is not worth the trouble of following the chipset's registers.
 */
#define PLEX86_RAM_HOLE_START	UINT64_C(0xa0000)
#define PLEX86_RAM_HOLE_END	UINT64_C(0x100000)

/*
 * Prepares a map of @guest_size bytes in blocks of @block_size (a power of two,
 * at least a page), all nowhere.  @host is borrowed.  0 or -ENOMEM, -EINVAL.
 */
int plex86_ram_init(struct plex86_ram *ram, void *host, uint64_t host_size,
		    uint64_t guest_size, uint64_t block_size);
void plex86_ram_fini(struct plex86_ram *ram);

/* Block number @n lies at @host_addr.  -EINVAL if that is outside the object. */
int plex86_ram_set_block(struct plex86_ram *ram, uint64_t n, const void *host_addr);

/* True, with *@off set, if the page of @gpa is RAM that may be mapped natively. */
bool plex86_ram_offset(const struct plex86_ram *ram, plex86_gpa_t gpa, plex86_ramoff_t *off);

/*
 * The checked conversion from guest-physical to host: a pointer to @len bytes
 * that lie in one page of RAM, or NULL.
 */
void *plex86_ram_host(const struct plex86_ram *ram, plex86_gpa_t gpa, uint64_t len);

#endif /* PLEX86_RAM_H */
