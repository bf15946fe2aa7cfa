/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pure reader of the guest's page tables.  It sets no bit and raises no
 * fault: Bochs does both, before anything is mapped natively, so that A and D
 * are always Bochs's work (I2).  Whatever looks doubtful (a reserved bit, a
 * table outside RAM) is reported as not mapped, and Bochs deals with it.
 */
#ifndef PLEX86_WALK_H
#define PLEX86_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/addr.h>
#include <plex86/cpu.h>

#include "ram.h"

/* SDM vol. 3, 4.1.1. */
enum plex86_paging_mode {
	PLEX86_PAGING_32 = 1,	/* two levels of 1024 4-byte entries */
	PLEX86_PAGING_PAE = 2,	/* four PDPTEs, two levels of 512 */
	PLEX86_PAGING_LONG = 3,	/* four levels of 512, or five */
};

/* All that decides what a page table means. */
struct plex86_paging {
	enum plex86_paging_mode mode;
	uint64_t root;		/* guest-physical address of the root table */
	uint64_t pdpte[4];	/* PAE: as the CPU has them cached since MOV CR3 */
	bool pse;		/* CR4.PSE: 4 MiB pages with 32-bit paging */
	bool nxe;		/* EFER.NXE */
	bool la57;		/* CR4.LA57: five levels */
	bool pke;		/* CR4.PKE: pages with a protection key but 0 are not for us */
	bool huge1g;		/* the CPU model has 1 GiB pages */
	unsigned int phys_bits;	/* MAXPHYADDR of the CPU model */
};

/* Fills @p from control registers; @pdpte matters for PAE only.  -ENOTSUP: no paging. */
int plex86_paging_from_cr(struct plex86_paging *p, uint64_t cr0, uint64_t cr3, uint64_t cr4,
			  uint64_t efer, const uint64_t pdpte[4]);

#define PLEX86_PTE_P	(UINT64_C(1) << 0)
#define PLEX86_PTE_W	(UINT64_C(1) << 1)
#define PLEX86_PTE_U	(UINT64_C(1) << 2)
#define PLEX86_PTE_A	(UINT64_C(1) << 5)
#define PLEX86_PTE_D	(UINT64_C(1) << 6)
#define PLEX86_PTE_PS	(UINT64_C(1) << 7)
#define PLEX86_PTE_NX	(UINT64_C(1) << 63)
#define PLEX86_PTE_KEY	(UINT64_C(15) << 59)
#define PLEX86_PTE_ADDR	UINT64_C(0x000ffffffffff000)
#define PLEX86_PAE_ROOT	UINT64_C(0x00000000ffffffe0)	/* in CR3 */

/* Levels: 1 = page table, 2 = page directory, 3 = PDPT, 4 = PML4, 5 = PML5. */
unsigned int plex86_paging_levels(const struct plex86_paging *p);

/* Number of entries of a table, and log2 of the bytes that one entry maps. */
unsigned int plex86_paging_entries(const struct plex86_paging *p, unsigned int level);
unsigned int plex86_paging_shift(const struct plex86_paging *p, unsigned int level);

/* log2 of the size of an entry in bytes: 2 or 3. */
unsigned int plex86_paging_entry_shift(const struct plex86_paging *p);

/*
 * Entry @index of the table at @table.  Reads guest RAM once.  Zero (not
 * present) where the table is not in RAM.  The PDPTEs of PAE come from the cache.
 */
uint64_t plex86_entry_read(const struct plex86_ram *ram, const struct plex86_paging *p,
			   unsigned int level, plex86_gpa_t table, unsigned int index);

/* True if the present entry @e of @level maps a page (and not a table). */
bool plex86_entry_is_leaf(const struct plex86_paging *p, unsigned int level, uint64_t e);

/* Guest-physical address of the table that entry @e leads to, or of the frame that it maps. */
uint64_t plex86_entry_address(const struct plex86_paging *p, uint64_t e);

/* True if user code may use the entry at all: present, user, A set, key 0, nothing reserved. */
bool plex86_entry_usable(const struct plex86_paging *p, unsigned int level, uint64_t e);

/* The frame that leaf @e of @level maps at offset @la within it. */
plex86_gpa_t plex86_entry_frame(const struct plex86_paging *p, unsigned int level, uint64_t e,
				plex86_gva_t la);

/*
 * How wide the code is that @cpu is in: 64, 32 or 16.  Not by its mode, which is that of
 * its entry: a far jump may have come since.
 */
static inline unsigned int plex86_code_bits(const struct plex86_cpu *cpu)
{
	const uint32_t attr = cpu->seg[PLEX86_CS].attr;

	if (cpu->mode != PLEX86_MODE_32 && (attr & PLEX86_SEG_L))
		return 64;
	return attr & PLEX86_SEG_DB ? 32 : 16;
}

/* Linear address of the instruction that @cpu is at. */
static inline plex86_gva_t plex86_code_address(const struct plex86_cpu *cpu)
{
	if (plex86_code_bits(cpu) == 64)
		return (plex86_gva_t){ cpu->rip };
	return (plex86_gva_t){ (cpu->seg[PLEX86_CS].base + cpu->rip) & UINT32_MAX };
}

/*
 * The linear addresses that user code can hold natively: 32 bits, or the lower canonical
 * half of four levels.  What five levels have beyond is Bochs's: few hosts could map it, and
 * Linux gives it only to programs that ask for it.
 */
bool plex86_gva_valid(const struct plex86_paging *p, plex86_gva_t la);

#endif /* PLEX86_WALK_H */
