/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "walk.h"

#define CR0_PG		(UINT64_C(1) << 31)
#define CR4_PSE		(UINT64_C(1) << 4)
#define CR4_PAE		(UINT64_C(1) << 5)
#define CR4_LA57	(UINT64_C(1) << 12)
#define CR4_PKE		(UINT64_C(1) << 22)
#define EFER_LMA	(UINT64_C(1) << 10)
#define EFER_NXE	(UINT64_C(1) << 11)

int plex86_paging_from_cr(struct plex86_paging *p, uint64_t cr0, uint64_t cr3, uint64_t cr4,
			  uint64_t efer, const uint64_t pdpte[4])
{
	memset(p, 0, sizeof(*p));
	p->nxe = efer & EFER_NXE;
	if (!(cr0 & CR0_PG))
		return -ENOTSUP;
	if (efer & EFER_LMA) {
		p->mode = PLEX86_PAGING_LONG;
		p->la57 = cr4 & CR4_LA57;
		p->root = cr3 & PLEX86_PTE_ADDR;
		p->pke = cr4 & CR4_PKE;
	} else if (cr4 & CR4_PAE) {
		p->mode = PLEX86_PAGING_PAE;
		p->root = cr3 & PLEX86_PAE_ROOT;
		memcpy(p->pdpte, pdpte, sizeof(p->pdpte));
	} else {
		p->mode = PLEX86_PAGING_32;
		p->root = cr3 & UINT64_C(0xfffff000);
		p->pse = cr4 & CR4_PSE;
		p->nxe = false;		/* no NX bit in 4-byte entries */
	}
	return 0;
}

unsigned int plex86_paging_levels(const struct plex86_paging *p)
{
	switch (p->mode) {
	case PLEX86_PAGING_32:	return 2;
	case PLEX86_PAGING_PAE:	return 3;
	default:		return p->la57 ? 5 : 4;
	}
}

unsigned int plex86_paging_entries(const struct plex86_paging *p, unsigned int level)
{
	if (p->mode == PLEX86_PAGING_32)
		return 1024;
	return p->mode == PLEX86_PAGING_PAE && level == 3 ? 4 : 512;
}

unsigned int plex86_paging_shift(const struct plex86_paging *p, unsigned int level)
{
	return 12 + (level - 1) * (p->mode == PLEX86_PAGING_32 ? 10 : 9);
}

unsigned int plex86_paging_entry_shift(const struct plex86_paging *p)
{
	return p->mode == PLEX86_PAGING_32 ? 2 : 3;
}

uint64_t plex86_entry_read(const struct plex86_ram *ram, const struct plex86_paging *p,
			   unsigned int level, plex86_gpa_t table, unsigned int index)
{
	plex86_gpa_t at = { table.pa + ((uint64_t)index << plex86_paging_entry_shift(p)) };

	if (p->mode == PLEX86_PAGING_PAE && level == 3)
		return p->pdpte[index];
	if (p->mode == PLEX86_PAGING_32) {
		const volatile uint32_t *e = plex86_ram_host(ram, at, sizeof(*e));

		return e ? *e : 0;
	} else {
		const volatile uint64_t *e = plex86_ram_host(ram, at, sizeof(*e));

		return e ? *e : 0;
	}
}

static bool pae_pdpte(const struct plex86_paging *p, unsigned int level)
{
	return p->mode == PLEX86_PAGING_PAE && level == 3;
}

bool plex86_entry_is_leaf(const struct plex86_paging *p, unsigned int level, uint64_t e)
{
	if (level == 1)
		return true;
	if (!(e & PLEX86_PTE_PS) || pae_pdpte(p, level))
		return false;
	return p->mode != PLEX86_PAGING_32 || p->pse;
}

/* Bits that must be zero (SDM vol. 3, tables 4-5 to 4-20). */
static uint64_t reserved_bits(const struct plex86_paging *p, unsigned int level, uint64_t e)
{
	uint64_t r = 0;

	if (p->mode == PLEX86_PAGING_32) {
		/*
		 * PSE-36 puts frame bits 39:32 into bits 20:13; no guest worth
		 * speeding up uses it, so any of them sends the page to Bochs.
		 */
		return level == 2 && plex86_entry_is_leaf(p, level, e) ? 0x3fe000 : 0;
	}
	r = PLEX86_PTE_ADDR & ~((UINT64_C(1) << p->phys_bits) - 1);
	if (pae_pdpte(p, level))
		return r | UINT64_C(0xfff00000000001e6);
	if (!p->nxe)
		r |= PLEX86_PTE_NX;
	if (p->mode == PLEX86_PAGING_PAE)
		r |= UINT64_C(0x7ff0000000000000);
	if (plex86_entry_is_leaf(p, level, e)) {
		if (level == 2)
			r |= 0x1fe000;
		if (level == 3)
			r |= p->huge1g ? 0x3fffe000 : PLEX86_PTE_PS;
	}
	if (level >= 4)
		r |= PLEX86_PTE_PS;
	return r;
}

bool plex86_entry_usable(const struct plex86_paging *p, unsigned int level, uint64_t e)
{
	uint64_t need = PLEX86_PTE_P | PLEX86_PTE_U | PLEX86_PTE_A;

	if (pae_pdpte(p, level))
		need = PLEX86_PTE_P;
	if (p->pke && plex86_entry_is_leaf(p, level, e) && (e & PLEX86_PTE_KEY))
		return false;
	return (e & need) == need && !(e & reserved_bits(p, level, e));
}

uint64_t plex86_entry_address(const struct plex86_paging *p, uint64_t e)
{
	return e & (p->mode == PLEX86_PAGING_32 ? UINT64_C(0xfffff000) : PLEX86_PTE_ADDR);
}

plex86_gpa_t plex86_entry_frame(const struct plex86_paging *p, unsigned int level, uint64_t e,
				plex86_gva_t la)
{
	uint64_t in = (UINT64_C(1) << plex86_paging_shift(p, level)) - 1;

	return (plex86_gpa_t){ (plex86_entry_address(p, e) & ~in) |
			       (la.la & in & PLEX86_PAGE_MASK) };
}

bool plex86_gva_valid(const struct plex86_paging *p, plex86_gva_t la)
{
	return la.la < (p->mode == PLEX86_PAGING_LONG ? UINT64_C(1) << 47 : UINT64_C(1) << 32);
}
