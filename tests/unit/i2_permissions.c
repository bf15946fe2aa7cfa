/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I2: native code never has more rights than the guest's tables give: present,
 * user and accessed at all levels; written only with W at all levels and D set;
 * executed only without NX.  And no fewer, or nothing would run.
 */
#include <string.h>

#include "vm.h"

static const char *const names[] = { "32-bit", "PAE", "4-level", "5-level" };
static struct tables t;

static void begin(int mode)
{
	vm_init(3);
	tables_init(&t, mode);
	vm.tables = &t;
	vm.bare = true;
	vm.ticks_left = 1000;
}

static uint32_t need(enum act_kind kind)
{
	return kind == ACT_READ ? PLEX86_PROT_READ : kind == ACT_WRITE ? PLEX86_PROT_WRITE
								       : PLEX86_PROT_EXEC;
}

/* Native code can do it if and only if the tables allow it before anybody helps. */
static unsigned int try(enum act_kind kind, uint64_t la)
{
	uint64_t pa;
	bool allowed = tables_allow(&t, la, &pa) & need(kind);

	vm.icount += 25000000;	/* no limits on changes between code and data */
	if (vm_native(kind, la) == allowed)
		return 0;
	tap_diag("access %d at %#llx: allowed %d, native %d", kind, (unsigned long long)la, allowed,
		 !allowed);
	return 1;
}

static uint64_t leaf_bits(unsigned int i, int mode)
{
	return (i & 1 ? P_P : 0) | (i & 2 ? P_W : 0) | (i & 4 ? P_U : 0) | (i & 8 ? P_A : 0) |
	       (i & 16 ? P_D : 0) | (i & 32 && mode != PAGING_32 ? P_NX : 0);
}

/* Each combination of bits in the leaf at @level, under each change of an entry above. */
static void matrix(int mode, unsigned int leaf)
{
	static const uint64_t lost[] = { 0, P_P, P_W, P_U, P_A, P_NX };
	const uint64_t la = UINT64_C(0x40000000) + (leaf == 1 ? 0x7000 : 0);
	unsigned int top = top_table(mode), level, b, i, wrong = 0, native;
	enum act_kind kind;

	begin(mode);
	vm_core(2, false);
	tables_map_large(&t, la, leaf == 1 ? frame_alloc() : 0,
			 P_USER, leaf);
	tables_load_cr3(&t);
	for (level = leaf; level <= top; level++)
		for (b = 0; b < (mode == PAGING_32 ? 5 : 6); b++) {
			uint64_t up = level > leaf ? tables_entry(&t, la, level, false) : 0;
			uint64_t was = up ? tables_entry_read(&t, up) : 0;
			uint64_t at = tables_entry(&t, la, leaf, false);
			uint64_t e = tables_entry_read(&t, at) & UINT64_C(0xffffffffff080);

			if (!up && lost[b])
				continue;
			if (up)
				tables_entry_write(&t, up, was ^ lost[b]);
			for (i = 0; i < 64; i++)
				for (kind = ACT_READ; kind <= ACT_EXEC; kind++) {
					tables_entry_write(&t, at, e | leaf_bits(i, mode));
					/* Data and code lie behind 1 MiB, where RAM is plain. */
					wrong += try(kind, la + (leaf == 1 ? 8 : 0x180008));
				}
			if (up)
				tables_entry_write(&t, up, was);
		}
	native = vm.native_acts;
	vm_close();
	tap_ok(!wrong && native > 10 && vm_is_clean(), "%s: all bits of a level %u leaf and above",
	       names[mode], leaf);
}

/* A right that goes while it is mapped goes at once, and comes back. */
static void taken_away(int mode)
{
	static const uint64_t bits[] = { P_P, P_W, P_U, P_A, P_D, P_NX };
	const uint64_t la = 0x40007000;
	unsigned int level, i, wrong = 0;
	enum act_kind kind;

	begin(mode);
	vm_core(2, false);
	tables_map(&t, la, frame_alloc(), P_USER);
	tables_load_cr3(&t);
	for (level = 1; level <= top_table(mode); level++)
		for (i = 0; i < (mode == PAGING_32 ? 5 : 6); i++) {
			uint64_t at = tables_entry(&t, la, level, false), e = tables_entry_read(&t, at);

			for (kind = ACT_READ; kind <= ACT_EXEC; kind++) {
				tables_entry_write(&t, at, e);
				wrong += try(kind, la);
				tables_entry_write(&t, at, e ^ bits[i]);
				wrong += try(kind, la);
				tables_entry_write(&t, at, e);
				wrong += try(kind, la);
			}
		}
	vm_close();
	tap_ok(!wrong && vm_is_clean(), "%s: each bit taken away and given back", names[mode]);
}

/* A and D are Bochs's: native code runs only behind them, so none is ever missing. */
static void accessed_and_dirty(int mode)
{
	const uint64_t la = 0x40000000;
	unsigned int i, wrong = 0;

	begin(mode);
	vm_core(2, false);
	for (i = 0; i < 64; i++)
		tables_map(&t, la + i * PAGE, frame_alloc(), P_P | P_U | P_W);
	tables_load_cr3(&t);
	for (i = 0; i < 64; i += 2)
		vm_do(i % 4 ? ACT_READ : ACT_WRITE, la + i * PAGE);
	for (i = 0; i < 64; i += 2)	/* and again, natively */
		vm_do(i % 4 ? ACT_READ : ACT_WRITE, la + i * PAGE + 8);
	for (i = 0; i < 64; i++) {
		uint64_t e = tables_entry_read(&t, tables_entry(&t, la + i * PAGE, 1, false));

		wrong += (e & (P_A | P_D)) != (i % 2 ? 0 : i % 4 ? P_A : P_A | P_D);
	}
	is(wrong, 0, "A and D are set where the program was, and nowhere else");
	ok(vm.native_acts >= 30);
	vm_close();
	tap_ok(vm_is_clean(), "%s: A and D", names[mode]);
}

/* RAM full of tables, and a kernel that changes them. */
static void random_tables(int mode)
{
	struct rng r = { 4711 + mode };
	unsigned int i, step;
	uint64_t pa, e, la = 0;

	begin(mode);
	for (pa = 0x300000; pa < 0x340000; pa += mode == PAGING_32 ? 4 : 8) {
		e = (0x300000 + (rng_next(&r) & 0x3f000)) | P_USER;
		if (rng_below(&r, 3) == 0)
			e = (0x200000 + (rng_next(&r) & 0x7f000)) | P_USER;
		if (rng_below(&r, 3) == 0)
			e ^= UINT64_C(1) << rng_below(&r, 9);
		bochs_write(pa, e, mode == PAGING_32 ? 4 : 8);
	}
	t.cr3 = 0x300000;
	tables_load_cr3(&t);
	for (i = 0; i < 4; i++)
		t.pdpte[i] = (t.pdpte[i] & 0xfffff000) | 1;
	vm_core(2, false);
	for (step = 0; step < 4000 && vm.complaints < 10; step++) {
		/* Each check looks at every mapping: a few thousand are enough. */
		if (step % 100 == 0)
			plex86_core_drop_all(vm.core);
		if (rng_below(&r, 3) == 0) {
			pa = 0x300000 + (rng_next(&r) & 0x3fff8);
			e = bochs_read(pa, mode == PAGING_32 ? 4 : 8);
			if (rng_below(&r, 2))
				e ^= UINT64_C(1) << rng_below(&r, 9);
			else
				e = ((0x200000 + (rng_next(&r) & 0x1ff000)) & 0x33f000) | P_USER;
			bochs_write(pa, e, mode == PAGING_32 ? 4 : 8);
		}
		if (rng_below(&r, 2))
			la = rng_next(&r) >> (mode >= PAGING_LONG ? 17 : 32);
		else
			la ^= (uint64_t)rng_below(&r, 16) << 12;
		if (rng_below(&r, 8) == 0)
			vm.icount += 25000000;
		vm_do(rng_below(&r, 3), la & ~UINT64_C(7));
	}
	tap_diag("%llu of %u accesses native", (unsigned long long)vm.native_acts, step);
	ok(vm.native_acts > step / 20);
	vm_close();
	tap_ok(vm_is_clean(), "%s: random tables, random writes to them", names[mode]);
}

int main(void)
{
	int mode;

	for (mode = PAGING_32; mode <= PAGING_LONG5; mode++) {
		matrix(mode, 1);
		matrix(mode, 2);
		if (mode >= PAGING_LONG)
			matrix(mode, 3);
		taken_away(mode);
		accessed_and_dirty(mode);
		random_tables(mode);
	}
	return tap_done();
}
