// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables that the CPU will walk while guest code runs.  Four or five
 * levels as on the host; user pages in the lower half only, the nexus in the
 * upper.  Every table is charged to the VM's owner like a pinned page, so that
 * RLIMIT_MEMLOCK bounds what scattered mappings can cost.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <asm/io.h>
#include "plex86.h"

#define ENTRIES		512
#define PA_MASK		0x000ffffffffff000ull

static unsigned int index_at(u64 va, int level)
{
	return (va >> (PAGE_SHIFT + 9 * (level - 1))) & (ENTRIES - 1);
}

/* Bytes that one entry of a table of this level covers. */
static u64 span(int level)
{
	return 1ull << (PAGE_SHIFT + 9 * (level - 1));
}

/* Tables are never high memory; the mask has the encryption bit in it. */
static u64 *below(u64 entry)
{
	return phys_to_virt(__sme_clr(entry) & PA_MASK);
}

static u64 table_entry(u64 *table)
{
	return __sme_set(__pa(table)) | _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED;
}

u64 *plex86_table_new(struct plex86_vm *vm)
{
	u64 *table;

	if (plex86_vm_charge(vm, 1))
		return NULL;
	table = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!table)
		plex86_vm_uncharge(vm, 1);
	return table;
}

void plex86_table_free(struct plex86_vm *vm, u64 *table)
{
	if (!table)
		return;
	free_page((unsigned long)table);
	plex86_vm_uncharge(vm, 1);
}

/* The table of level 1 for @va; NULL if it is not there and must not be made. */
static u64 *leaf_table(struct plex86_vm *vm, u64 *top, u64 va, bool make)
{
	u64 *table = top;
	int level;

	for (level = plex86_host.levels; level > 1; level--) {
		u64 *entry = &table[index_at(va, level)];

		if (!*entry) {
			u64 *fresh = make ? plex86_table_new(vm) : NULL;

			if (!fresh)
				return NULL;
			*entry = table_entry(fresh);
		}
		table = below(*entry);
	}
	return table;
}

/* Make all tables for a range, so that filling it in can't fail. */
int plex86_table_alloc(struct plex86_vm *vm, u64 *top, u64 va, u64 npages)
{
	u64 end = va + npages * PAGE_SIZE;

	for (va &= ~(span(2) - 1); va < end; va += span(2)) {
		if (!leaf_table(vm, top, va, true))
			return -ENOMEM;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* Where the entry for @va is; NULL without a table.  Good up to the next 2 MiB. */
u64 *plex86_table_slot(u64 *top, u64 va)
{
	u64 *table = leaf_table(NULL, top, va, false);

	return table ? &table[index_at(va, 1)] : NULL;
}

static void clear_level(u64 *table, int level, u64 va, u64 end)
{
	while (va < end) {
		u64 *entry = &table[index_at(va, level)];
		u64 next = min((va | (span(level) - 1)) + 1, end);

		if (level == 1)
			WRITE_ONCE(*entry, 0);
		else if (*entry)
			clear_level(below(*entry), level - 1, va, next);
		va = next;
	}
	if (level == 2)
		cond_resched();
}

/* Take the mappings of a range away; the tables stay. */
void plex86_table_clear(u64 *top, u64 va, u64 npages)
{
	clear_level(top, plex86_host.levels, va, va + npages * PAGE_SIZE);
}

static void free_level(struct plex86_vm *vm, u64 *table, int level, int first, int last)
{
	int i;

	for (i = first; i < last; i++) {
		if (!table[i])
			continue;
		if (level > 2)
			free_level(vm, below(table[i]), level - 1, 0, ENTRIES);
		plex86_table_free(vm, below(table[i]));
		table[i] = 0;
		cond_resched();
	}
}

/* Free the tables of the lower half: nothing is mapped there any more. */
void plex86_table_free_user(struct plex86_vm *vm, u64 *top)
{
	free_level(vm, top, plex86_host.levels, 0, ENTRIES / 2);
}

/*
 * Map the page of @entry once per 64 KiB in the 4 GiB window at @va.  All of
 * the window is one table of each level, entered again and again; the entries
 * must be taken out by the caller's cleanup before free_level() sees them twice.
 */
int plex86_table_alias(struct plex86_vm *vm, u64 *top, u64 va, u64 entry)
{
	u64 *table, *pd, *pt;
	int level, i;

	table = top;
	for (level = plex86_host.levels; level > 3; level--) {
		u64 *e = &table[index_at(va, level)];

		if (!*e) {
			u64 *fresh = plex86_table_new(vm);

			if (!fresh)
				return -ENOMEM;
			*e = table_entry(fresh);
		}
		table = below(*e);
	}
	pd = plex86_table_new(vm);
	pt = plex86_table_new(vm);
	if (!pd || !pt) {
		plex86_table_free(vm, pd);
		plex86_table_free(vm, pt);
		return -ENOMEM;
	}
	for (i = 0; i < ENTRIES; i += SZ_64K / PAGE_SIZE)
		pt[i] = entry;
	for (i = 0; i < ENTRIES; i++)
		pd[i] = table_entry(pt);
	for (i = 0; i < PLEX86_ALIAS_SIZE / SZ_1G; i++)
		table[index_at(va, 3) + i] = table_entry(pd);
	return 0;
}

/* Free all below @top, both halves; aliased tables are freed once. */
void plex86_table_free_all(struct plex86_vm *vm, u64 *top)
{
	int index;

	for (index = 0; index < PLEX86_MAX_VCPUS; index++) {
		u64 va = plex86_alias(index, 0);
		u64 *table = top;
		u64 *pd, *pt;
		int level, i;

		for (level = plex86_host.levels; level > 3 && table; level--) {
			u64 e = table[index_at(va, level)];

			table = e ? below(e) : NULL;
		}
		if (!table || !table[index_at(va, 3)])
			continue;
		pd = below(table[index_at(va, 3)]);
		pt = below(pd[0]);
		for (i = 0; i < PLEX86_ALIAS_SIZE / SZ_1G; i++)
			table[index_at(va, 3) + i] = 0;
		plex86_table_free(vm, pt);
		plex86_table_free(vm, pd);
	}
	free_level(vm, top, plex86_host.levels, 0, ENTRIES);
}
