/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest operating system that does everything to its page tables that a guest
 * may do, at random, while a program reads, writes and executes at random.  The
 * core is never allowed a mapping that breaks a rule (check.c), and in the end
 * RAM, tables and registers are those of Bochs alone.
 *
 *   model [SEED [ACTS]]	to repeat or prolong what failed
 */
#include <stdlib.h>
#include <string.h>

#include "vm.h"

#define PROCESSES	8	/* for three spaces */
#define DATA_FRAMES	40
#define CODE_FRAMES	10

#define CODE	UINT64_C(0x00400000)
#define DATA	UINT64_C(0x10000000)
#define LARGE	UINT64_C(0x20000000)
#define SELF	UINT64_C(0x30000000)	/* the tables that map DATA, as user data */
#define NCODE	16
#define NDATA	64

static struct tables process[PROCESSES];
static uint64_t data[DATA_FRAMES], code[CODE_FRAMES];
static struct rng guest;	/* all that the guest decides */
static int mode;
static bool copies;	/* of code, by an engine with PLEX86_CAP_EXEC_ONLY */

static uint64_t page_bits(void)
{
	uint64_t bits = P_USER;

	if (rng_below(&guest, 4) == 0)
		bits &= ~P_D;
	if (rng_below(&guest, 8) == 0)
		bits &= ~P_A;
	if (rng_below(&guest, 4) == 0)
		bits &= ~P_W;
	if (rng_below(&guest, 16) == 0)
		bits &= ~P_U;
	if (rng_below(&guest, 16) == 0)
		bits &= ~P_P;
	if (mode != PAGING_32 && rng_below(&guest, 3) == 0)
		bits |= P_NX;
	return bits;
}

/* Bytes without findings, and now and then a page with some. */
static void random_page(uint8_t *page)
{
	static const uint8_t op[][3] = {
		{ 0x0f, 0xa2, 0x90 }, { 0x0f, 0x31, 0x90 }, { 0x0f, 0x01, 0xd0 }, { 0x0f, 0xc7, 0xf8 },
	};
	uint64_t v;
	unsigned int i, n = 0;

	for (i = 0; i < PAGE; i += 8) {
		v = rng_next(&guest) | UINT64_C(0x1010101010101010);
		memcpy(page + i, &v, 8);
	}
	if (rng_below(&guest, 5) == 0)
		n = 1 + rng_below(&guest, 6);
	while (n--) {
		i = rng_below(&guest, PAGE - 2);
		memcpy(page + i, op[rng_below(&guest, 4)], 3);
		if (i && rng_below(&guest, 2))
			page[i - 1] = rng_below(&guest, 2) ? 0x66 : 0x48;
	}
	/* The page's ends, to make a whole with another page's. */
	if (rng_below(&guest, 4) == 0)
		page[PAGE - 1] = 0x0f;
	if (rng_below(&guest, 4) == 0)
		page[0] = 0xa2;
}

static uint64_t any_frame(void)
{
	uint32_t i = rng_below(&guest, DATA_FRAMES + CODE_FRAMES);

	return i < DATA_FRAMES ? data[i] : code[i - DATA_FRAMES];
}

static void map_some(struct tables *t)
{
	unsigned int i;

	for (i = 0; i < NCODE; i++)
		tables_map(t, CODE + i * PAGE, code[rng_below(&guest, CODE_FRAMES)],
			   (page_bits() | P_P | P_U | P_A) & ~(P_NX | P_W));
	for (i = 0; i < NDATA; i++)
		tables_map(t, DATA + i * PAGE, data[rng_below(&guest, DATA_FRAMES)], page_bits());
	tables_map(t, SELF, tables_entry(t, DATA, 1, true) & ~(PAGE - 1), P_USER);
}

static void new_process(struct tables *t)
{
	tables_init(t, mode);
	map_some(t);
	tables_load_cr3(t);
}

/* Nobody maps the data frame @old any more; @new takes its place. */
static void replace_frame(uint64_t old, uint64_t new)
{
	unsigned int p, i;

	for (p = 0; p < PROCESSES; p++)
		for (i = 0; i < NDATA + NCODE; i++) {
			struct tables *t = &process[p];
			uint64_t la = i < NDATA ? DATA + i * PAGE : CODE + (i - NDATA) * PAGE;
			uint64_t at = tables_entry(t, la, 1, false);
			uint64_t e = at ? tables_entry_read(t, at) : 0;
			uint64_t mask = UINT64_C(0xffffffffff000);

			if ((e & mask) == old)
				tables_entry_write(t, at, (e & ~mask) | new);
		}
}

/* A bit of an entry that points to a table, of this process or of one that sleeps. */
static void change_upper(struct tables *t)
{
	static const uint64_t bits[] = { P_W, P_U, P_A, P_P, P_NX };
	unsigned int level = 2 + rng_below(&guest, top_table(mode) - 1);
	uint64_t at = tables_entry(t, rng_below(&guest, 3) ? DATA : CODE, level, false);
	uint64_t bit = bits[rng_below(&guest, mode == PAGING_32 ? 4 : 5)], e;

	if (!at)
		return;
	e = tables_entry_read(t, at);
	/* Taken away one time, back the next: or everything would soon be gone. */
	if (e & (bit == P_NX ? 0 : bit))
		e ^= rng_below(&guest, 3) ? 0 : bit;
	else
		e = (e | P_P | P_W | P_U | P_A) & ~P_NX;
	if (e >> 12)
		tables_entry_write(t, at, e);
}

static void change_page(struct tables *t)
{
	uint64_t la = rng_below(&guest, 4) ? DATA + rng_below(&guest, NDATA) * PAGE
					   : CODE + rng_below(&guest, NCODE) * PAGE;

	/* The address may be lost above (change_upper); then there is a new table. */
	tables_map(t, la, any_frame(), page_bits());
}

static void clear_bits(struct tables *t)
{
	uint64_t from = rng_below(&guest, NDATA), i, at, e;

	for (i = from; i < NDATA && i < from + 8; i++) {
		at = tables_entry(t, DATA + i * PAGE, 1, false);
		if (!at)
			return;
		e = tables_entry_read(t, at);
		tables_entry_write(t, at, e & ~(rng_below(&guest, 2) ? P_A : P_D));
	}
}

static void switch_to(struct tables *t)
{
	vm.tables = t;
	tables_load_cr3(t);
}

static void kernel(uint64_t arg)
{
	struct tables *t = rng_below(&guest, 3) ? vm.tables : &process[rng_below(&guest, PROCESSES)];
	static uint8_t bytes[PAGE];
	uint64_t pa = any_frame(), old;
	uint32_t i;

	switch (arg % 16) {
	case 0: case 1: case 2:
		switch_to(&process[rng_below(&guest, PROCESSES)]);
		break;
	case 3: case 4:
		change_page(t);
		break;
	case 5:
		clear_bits(t);
		break;
	case 6:
		change_upper(t);
		break;
	case 7:		/* exit and fork: tables become data or other tables */
		if (rng_below(&guest, 4))
			break;
		tables_free(t);
		new_process(t);
		switch_to(t);
		break;
	case 8:		/* a device writes */
		random_page(bytes);
		bochs_dma_page(pa, bytes);
		break;
	case 9:		/* the kernel writes */
		for (i = rng_below(&guest, 6); i; i--)
			bochs_write(pa + 8 * rng_below(&guest, 512),
				    rng_next(&guest) | UINT64_C(0x1010101010101010), 8);
		break;
	case 10:	/* a frame for another one */
		i = rng_below(&guest, DATA_FRAMES);
		old = data[i];
		data[i] = frame_alloc();
		replace_frame(old, data[i]);
		frame_free(old);
		break;
	case 11:	/* a large page over everything that there is, tables too */
		tables_map_large(t, LARGE, mode == PAGING_32 ? 0 : rng_below(&guest, 2) << 21,
				 rng_below(&guest, 4) ? (P_USER & ~P_W) | (mode == PAGING_32 ? 0 : P_NX) : 0,
				 2);
		break;
	case 12:	/* the kernel executes there, or in any case reads it as code */
		bochs_decode(pa + rng_below(&guest, PAGE));
		break;
	case 13:
		if (rng_below(&guest, 20) == 0)
			bochs_flush_icache();
		break;
	case 14:	/* 32-bit code in long mode, and back */
		if (mode >= PAGING_LONG)
			vm.cpu.mode = vm.cpu.mode == PLEX86_MODE_64 ? PLEX86_MODE_COMPAT
								   : PLEX86_MODE_64;
		break;
	case 15:
		tables_map(t, SELF, tables_entry(t, DATA, 1, true) & ~(PAGE - 1), P_USER);
		break;
	}
}

/* Entries above the page as they should be. */
static void repair_upper(struct tables *t, uint64_t la)
{
	unsigned int level;

	for (level = top_table(mode); level > 1; level--) {
		uint64_t at = tables_entry(t, la, level, true), e = tables_entry_read(t, at);
		uint64_t good = (e | P_P | P_W | P_U) & ~P_NX;

		if (e >> 12 && e != good)
			tables_entry_write(t, at, good);
	}
}

static bool page_fault(uint64_t la, uint32_t access)
{
	uint64_t a = rng_below(&guest, 2) ? P_A | P_D : 0;

	if (rng_below(&guest, 8) == 0)
		return false;
	la &= ~(PAGE - 1);
	repair_upper(vm.tables, la);
	if (la >= DATA && la < DATA + NDATA * PAGE)
		tables_map(vm.tables, la, any_frame(), P_P | P_U | P_W | a);
	else if (la >= CODE && la < CODE + NCODE * PAGE)
		tables_map(vm.tables, la, code[rng_below(&guest, CODE_FRAMES)], P_P | P_U | a);
	else if (la != SELF)
		return false;
	return rng_below(&guest, 8);
}

static void write_program(struct act *act, unsigned int n, struct rng *r)
{
	uint64_t base = DATA;
	unsigned int i, k;

	for (i = 0; i < n; i++) {
		struct act *a = &act[i];

		k = rng_below(r, 100);
		a->arg = 0;
		if (rng_below(r, 40) == 0)
			base = DATA + rng_below(r, NDATA) * PAGE;
		a->la = base + rng_below(r, 4 * PAGE);
		if (a->la >= DATA + NDATA * PAGE)
			a->la -= 4 * PAGE;
		if (k < 45) {
			a->kind = ACT_READ;
			if (k < 5)
				a->la = LARGE + rng_below(r, 2u << 20);
			else if (k < 8)
				a->la = SELF + 8 * rng_below(r, 512);
		} else if (k < 78) {
			a->kind = ACT_WRITE;
			if (k == 45) {	/* a page table entry, written in user mode */
				a->la = SELF + 8 * rng_below(r, 32);
				a->arg = (0x100 + rng_below(r, 0x300)) * PAGE | P_P | P_U |
					 (rng_below(r, 2) ? P_A : 0);
			}
		} else if (k < 95) {
			a->kind = ACT_EXEC;
			if (k < 94 || i % 4)
				a->la = CODE + rng_below(r, NCODE * PAGE);
		} else {
			a->kind = ACT_CALL;
			a->arg = rng_next(r);
		}
	}
}

static uint64_t play(const struct act *act, unsigned int n, uint64_t seed, bool native)
{
	uint8_t bytes[PAGE];
	unsigned int i;
	uint64_t digest;

	vm_init(seed);
	guest.s = seed + 1;
	for (i = 0; i < DATA_FRAMES; i++)
		data[i] = frame_alloc();
	for (i = 0; i < CODE_FRAMES; i++) {
		code[i] = frame_alloc();
		random_page(bytes);
		bochs_dma_page(code[i], bytes);
	}
	for (i = 0; i < PROCESSES; i++)
		new_process(&process[i]);
	vm.tables = &process[0];
	vm.on_fault = page_fault;
	vm.on_call = kernel;
	vm.cpu.mode = mode >= PAGING_LONG ? PLEX86_MODE_64 : PLEX86_MODE_32;
	vm.cpu.rip = CODE;
	if (native) {
		engine.known = seed & 1;
		engine.fail_chance = 3;
		if (seed & 2) {
			engine.caps.flags &= ~PLEX86_CAP_TRAP_TSC;
			engine.fail_tsc = seed & 4;
		}
		if (copies)
			engine.caps.flags |= PLEX86_CAP_EXEC_ONLY;
		vm.populate = seed & 8 ? 4096 : 0;
		vm_core(3, false);
	}
	vm.act = act;
	vm.nacts = n;
	while (vm.cpu.gpr[REG_NEXT] < n && vm.complaints < 20) {
		if (!native) {
			bochs_step();
			continue;
		}
		engine.fail_kind = rng_below(&vm.rng, 3);
		if (rng_below(&vm.rng, 50) == 0)
			plex86_core_kick(vm.core);
		if (rng_below(&vm.rng, 500) == 0)
			plex86_core_drop_all(vm.core);
		if (rng_below(&vm.rng, 10) == 0)
			vm.icount += 25000000;
		vm_slice();
	}
	digest = vm_digest();
	if (native)
		tap_diag("%llu of %u acts native, %llu slices, %llu runs, %llu operations, %llu spaces, %llu failures",
			 (unsigned long long)vm.native_acts, n, (unsigned long long)vm.slices,
			 (unsigned long long)engine.runs, (unsigned long long)engine.ops,
			 (unsigned long long)engine.creates, (unsigned long long)engine.failed);
	vm_close();
	return digest;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "32-bit", "PAE", "4-level", "5-level" };
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1, digest;
	unsigned int n = argc > 2 ? atoi(argv[2]) : 20000;
	struct act *act = calloc(n, sizeof(*act));
	unsigned int i;
	struct rng r;

	for (i = 0; i < 2 * (PAGING_LONG5 + 1); i++) {
		mode = i / 2;
		copies = i % 2;
		r.s = seed + mode * 77 + 1;
		write_program(act, n, &r);
		digest = play(act, n, seed, false);
		tap_ok(play(act, n, seed, true) == digest, "%s: the guest's state is that of Bochs alone%s",
		       names[mode], copies ? ", copies of code" : "");
		tap_ok(vm_is_clean(), "every rule was kept, nothing is left");
		tap_ok(vm.native_acts > n / 10, "a good part ran natively");
		tap_ok(engine.creates > 10 && engine.failed, "spaces were evicted, and the engine failed");
	}
	free(act);
	return tap_done();
}
