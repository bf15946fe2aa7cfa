// SPDX-License-Identifier: GPL-2.0
/*
 * Making the block that a vCPU leaves in the guest's address space.  It belongs
 * to the VM, not to the vCPU: spaces have it mapped as long as they live, so it
 * is used again by the next vCPU rather than freed.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/desc.h>
#include <asm/io.h>
#include "plex86.h"

#define DATA	(_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_NX)

/* A 16-byte system descriptor (TSS, LDT). */
static void system_descriptor(u64 *slot, u64 base, u32 limit, u8 access)
{
	slot[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | (u64)access << 40 |
		  (u64)(limit >> 16 & 15) << 48 | (base >> 24 & 0xff) << 56;
	slot[1] = base >> 32;
}

static void fill(struct nexus *nx)
{
	memset(nx, 0, sizeof(*nx));
	nx->self = nx;
	nx->has_fsgsbase = !!(plex86_host.caps & PLEX86_HOST_FSGSBASE);
	nx->clear_buffers = plex86_host.clear_buffers;
	nx->verw_sel = NX_GDT_DATA * 8;
	/* Here, and not read from there: a page less that each switch touches. */
	nx->cr4_keep = ~plex86_host.cr4_off;
	nx->cr4_on = plex86_host.cr4_on;
	nx->cr4_guest = plex86_host.cr4_guest;

	nx->gdt[NX_GDT_CODE] = 0x00af9b000000ffffull;	/* ring 0, 64-bit code */
	nx->gdt[NX_GDT_DATA] = 0x00cf93000000ffffull;	/* ring 0, data */
	system_descriptor(&nx->gdt[NX_GDT_LDT], (unsigned long)nx->ldt_table,
			  sizeof(nx->ldt_table) - 1, 0x82);
	system_descriptor(&nx->gdt[NX_GDT_TSS], (unsigned long)&nx->tss,
			  sizeof(nx->tss) - 1, NX_TSS_AVAILABLE);

	nx->tss.sp0 = (unsigned long)(&nx->frame + 1);
	nx->tss.ist[IST_INDEX_DF] = (unsigned long)nx->ist_df + sizeof(nx->ist_df);
	nx->tss.ist[IST_INDEX_NMI] = (unsigned long)nx->ist_nmi + sizeof(nx->ist_nmi);
	nx->tss.ist[IST_INDEX_MCE] = (unsigned long)nx->ist_mc + sizeof(nx->ist_mc);
	nx->tss.io_bitmap_base = sizeof(nx->tss);	/* beyond the limit: no I/O */

	nx->gdtr.address = (unsigned long)nx->gdt;
	nx->gdtr.size = sizeof(nx->gdt) - 1;
	nx->idtr.address = (unsigned long)plex86_host.idt;
	nx->idtr.size = PAGE_SIZE - 1;
}

static int map(struct plex86_vm *vm, struct nexus *nx, int index)
{
	u64 va = (unsigned long)nx;
	struct plex86_space *s;
	int i, ret;

	for (i = 0; i < sizeof(*nx) >> PAGE_SHIFT; i++, va += PAGE_SIZE) {
		ret = plex86_table_alloc(vm, vm->upper, va, 1);
		if (ret)
			return ret;
		*plex86_table_slot(vm->upper, va) = __sme_set(__pa(va)) | DATA;
	}
	ret = plex86_table_alias(vm, vm->upper, plex86_alias(index, 0), __sme_set(__pa(nx)) | DATA);
	if (ret)
		return ret;
	/* Spaces that exist share the tables, but have top entries of their own. */
	list_for_each_entry(s, &vm->spaces, link)
		for (i = 256; i < 512; i++)
			WRITE_ONCE(s->top[i], vm->upper[i]);
	return 0;
}

/* The nexus of place @index, new or left by a vCPU that is gone; vm->lock held. */
struct nexus *plex86_nexus_new(struct plex86_vm *vm, int index)
{
	struct nexus *nx = vm->nexus[index];
	const long pages = sizeof(*nx) >> PAGE_SHIFT;

	if (!nx) {
		if (plex86_vm_charge(vm, pages))
			return NULL;
		nx = (struct nexus *)__get_free_pages(GFP_KERNEL_ACCOUNT, get_order(sizeof(*nx)));
		if (!nx) {
			plex86_vm_uncharge(vm, pages);
			return NULL;
		}
		vm->nexus[index] = nx;
		fill(nx);
		if (map(vm, nx, index)) {
			/*
			 * The entries that were made stay, and so must the block:
			 * it goes with the VM, and this place is not used.
			 */
			vm->nexus_used |= 1u << index;
			return NULL;
		}
	}
	fill(nx);
	return nx;
}
