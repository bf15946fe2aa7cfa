/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin/walk.c against a translation by the book (tables.c): each bit at each
 * level, and random tables in every paging mode.
 */
#include <errno.h>
#include <string.h>

#include "plugin/walk.h"
#include "vm.h"

static struct plex86_ram ram;

static struct plex86_paging paging_of(const struct tables *t)
{
	static const enum plex86_paging_mode modes[] = {
		PLEX86_PAGING_32, PLEX86_PAGING_PAE, PLEX86_PAGING_LONG, PLEX86_PAGING_LONG,
	};
	struct plex86_paging p = {
		.mode = modes[t->mode], .root = t->cr3, .pse = t->pse, .nxe = t->nxe,
		.huge1g = t->huge1g, .phys_bits = t->phys_bits, .la57 = t->mode == PAGING_LONG5,
	};

	memcpy(p.pdpte, t->pdpte, sizeof(p.pdpte));
	return p;
}

/* A walk made of the pieces, as the shadow tree makes it. */
static uint32_t allow(const struct tables *t, uint64_t la, uint64_t *pa)
{
	struct plex86_paging p = paging_of(t);
	unsigned int level = plex86_paging_levels(&p);
	plex86_gpa_t table = { p.root };
	uint32_t rights = PLEX86_PROT_READ | PLEX86_PROT_WRITE | PLEX86_PROT_EXEC;
	uint64_t e;

	if (!plex86_gva_valid(&p, (plex86_gva_t){ la }))
		return 0;
	for (;; level--) {
		bool pdpte = p.mode == PLEX86_PAGING_PAE && level == 3;
		unsigned int i = (la >> plex86_paging_shift(&p, level)) &
				 (plex86_paging_entries(&p, level) - 1);

		e = plex86_entry_read(&ram, &p, level, table, i);
		if (!plex86_entry_usable(&p, level, e))
			return 0;
		if (!pdpte && !(e & PLEX86_PTE_W))
			rights &= ~PLEX86_PROT_WRITE;
		if (!pdpte && p.nxe && (e & PLEX86_PTE_NX))
			rights &= ~PLEX86_PROT_EXEC;
		if (plex86_entry_is_leaf(&p, level, e))
			break;
		table.pa = e & PLEX86_PTE_ADDR;
	}
	if (!(e & PLEX86_PTE_D))
		rights &= ~PLEX86_PROT_WRITE;
	*pa = plex86_entry_frame(&p, level, e, (plex86_gva_t){ la }).pa;
	return rights;
}

/* The walker leaves PSE-36 addresses to Bochs; besides, both say the same. */
static bool agree(const struct tables *t, uint64_t la)
{
	uint64_t pa = 0, want_pa;
	uint32_t got = allow(t, la, &pa), want = tables_allow(t, la, &want_pa);
	struct translation o;

	tables_translate(t, la, &o);
	if (o.pse36 && want)
		return !got;
	return got == want && (!got || pa == (want_pa & ~(PAGE - 1)));
}

static const char *const names[] = { "32-bit", "PAE", "4-level", "5-level" };

static void each_bit(int mode)
{
	const uint64_t la = 0x12345000;
	unsigned int level, levels = mode == PAGING_32 ? 2 : mode + 2, bit, top, wrong = 0, mapped = 0;
	struct tables t;
	uint64_t frame, at, e;

	frames_init();
	tables_init(&t, mode);
	frame = frame_alloc();
	tables_map(&t, la, frame, P_USER);
	tables_load_cr3(&t);
	ok(agree(&t, la) && allow(&t, la, &e) == 7 && e == frame);

	for (level = 1; level <= levels; level++) {
		unsigned int setting;

		at = tables_entry(&t, la, level, false);
		e = tables_entry_read(&t, at);
		top = mode == PAGING_32 ? 32 : 64;
		for (setting = 0; setting < 16; setting++) {
			t.nxe = (setting & 1) && mode != PAGING_32;
			t.pse = setting & 2;
			t.huge1g = setting & 4;
			t.phys_bits = setting & 8 ? 36 : 52;
			for (bit = 0; bit < top; bit++) {
				tables_entry_write(&t, at, e ^ UINT64_C(1) << bit);
				tables_load_cr3(&t);
				wrong += !agree(&t, la);
				mapped += tables_allow(&t, la, &frame) != 0;
			}
		}
		tables_entry_write(&t, at, e);
		tables_load_cr3(&t);
	}
	tap_ok(!wrong && mapped > 100, "%s: each bit of each level, with NXE, PSE, 1 GiB pages on and off",
	       names[mode]);

	/* What leads out of RAM, or into the hole. */
	t.phys_bits = 40;
	t.pse = t.huge1g = true;
	for (level = 2; level <= levels; level++) {
		at = tables_entry(&t, la, level, false);
		e = tables_entry_read(&t, at);
		tables_entry_write(&t, at, (e & 0xfff) | VM_RAM);
		tables_load_cr3(&t);
		wrong += allow(&t, la, &frame) != 0;
		tables_entry_write(&t, at, (e & 0xfff) | 0xa0000);
		tables_load_cr3(&t);
		wrong += allow(&t, la, &frame) != 0;
		tables_entry_write(&t, at, e);
		tables_load_cr3(&t);
	}
	t.cr3 = VM_RAM + 4096;
	if (mode != PAGING_PAE)
		wrong += allow(&t, la, &frame) != 0;
	tap_ok(!wrong, "%s: tables outside RAM map nothing", names[mode]);
}

/* RAM full of entries that are likely to be good, pointing anywhere. */
static void random_tables(int mode, struct rng *r)
{
	unsigned int i, round, wrong = 0, kinds[8] = { 0 }, large = 0;
	uint64_t pa, e, la;
	struct tables t;

	for (round = 0; round < 60; round++) {
		for (pa = 0x200000; pa < VM_RAM; pa += mode == PAGING_32 ? 4 : 8) {
			e = (0x200000 + (rng_next(r) & 0x1ff000)) | P_USER;
			for (i = rng_below(r, 3); i; i--)
				e ^= UINT64_C(1) << rng_below(r, rng_below(r, 4) ? 9 : 64);
			if (rng_below(r, 6) == 0)
				e |= P_PS;
			if (rng_below(r, 2) && (e & P_PS))
				e &= ~UINT64_C(0x3fffe000);
			if (rng_below(r, 40) == 0)
				e ^= P_NX;
			bochs_write(pa, e, mode == PAGING_32 ? 4 : 8);
		}
		memset(&t, 0, sizeof(t));
		t.mode = mode;
		t.cr3 = 0x200000 + (rng_next(r) & 0x1ff000);
		t.pse = rng_below(r, 3);
		t.nxe = mode != PAGING_32 && rng_below(r, 3);
		t.huge1g = rng_below(r, 3);
		t.phys_bits = 36 + rng_below(r, 17);
		tables_load_cr3(&t);
		for (i = 0; i < 4; i++)	/* or hardly any PDPTE would do */
			if (rng_below(r, 3))
				t.pdpte[i] &= UINT64_C(0xffffff000) | 1;
		for (i = 0; i < 3000; i++) {
			struct translation o;

			la = rng_next(r) >> (mode >= PAGING_LONG ? 17 : 32);
			wrong += !agree(&t, la);
			kinds[tables_allow(&t, la, &pa)]++;
			tables_translate(&t, la, &o);
			large += o.present && o.n < (mode == PAGING_32 ? 2 : (unsigned int)mode + 2);
		}
	}
	tap_ok(!wrong && kinds[0] && kinds[5] && kinds[7] && (mode == PAGING_32 || kinds[3]) && large,
	       "%s: random tables (%u mapped, %u in large pages)", names[mode],
	       180000 - kinds[0], large);
}

static void control_registers(void)
{
	const uint64_t pg = 1u << 31, pse = 1u << 4, pae = 1u << 5, la57 = 1u << 12;
	const uint64_t lma = 1u << 10, nxe = 1u << 11, pdpte[4] = { 1, 2, 3, 4 };
	struct plex86_paging p;

	is(plex86_paging_from_cr(&p, 0, 0x1000, pae, 0, pdpte), -ENOTSUP, "no paging");
	is(plex86_paging_from_cr(&p, pg, 0x1000, pae | la57, lma, pdpte), 0, "5 levels");
	ok(p.mode == PLEX86_PAGING_LONG && plex86_paging_levels(&p) == 5);
	ok(plex86_gva_valid(&p, (plex86_gva_t){ (UINT64_C(1) << 47) - 1 }));
	ok(!plex86_gva_valid(&p, (plex86_gva_t){ UINT64_C(1) << 47 }));
	is(plex86_paging_from_cr(&p, pg, 0xabcd5fff, 0, nxe, pdpte), 0, "32-bit");
	ok(p.mode == PLEX86_PAGING_32 && p.root == 0xabcd5000 && !p.pse && !p.nxe);
	plex86_paging_from_cr(&p, pg, 0x1000, pse, 0, pdpte);
	ok(p.pse);
	plex86_paging_from_cr(&p, pg, UINT64_C(0xffffffffabcd5fff), pae, nxe, pdpte);
	ok(p.mode == PLEX86_PAGING_PAE && p.root == 0xabcd5fe0 && p.nxe && p.pdpte[3] == 4);
	plex86_paging_from_cr(&p, pg, UINT64_C(0x800ffffffffff018), pae, lma, pdpte);
	ok(p.mode == PLEX86_PAGING_LONG && p.root == UINT64_C(0xffffffffff000) && !p.nxe);
	is(plex86_paging_levels(&p), 4, "4 levels");
	ok(plex86_gva_valid(&p, (plex86_gva_t){ (UINT64_C(1) << 47) - 1 }));
	ok(!plex86_gva_valid(&p, (plex86_gva_t){ UINT64_C(1) << 47 }));
	p.mode = PLEX86_PAGING_32;
	ok(plex86_gva_valid(&p, (plex86_gva_t){ UINT32_MAX }));
	ok(!plex86_gva_valid(&p, (plex86_gva_t){ UINT64_C(1) << 32 }));
}

int main(void)
{
	struct rng r = { 12345 };
	uint64_t i;
	int mode;

	vm_init(1);
	plex86_ram_init(&ram, vm.object, VM_OBJECT, VM_RAM, VM_BLOCK);
	for (i = 0; i < VM_RAM / VM_BLOCK; i++)
		plex86_ram_set_block(&ram, i, vm.object + vm.block[i]);
	control_registers();
	for (mode = PAGING_32; mode <= PAGING_LONG5; mode++) {
		each_bit(mode);
		random_tables(mode, &r);
	}
	plex86_ram_fini(&ram);
	vm_close();
	return tap_done();
}
