/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The virtual machine of verify.c and verify_half.c: two pages of code, many of data, and a wrong
 * engine's means to do harm.
 */
#ifndef VERIFY_VM_H
#define VERIFY_VM_H

#include <string.h>
#include <unistd.h>

#include "plugin/core_internal.h"
#include "plugin/verify.h"
#include "vm.h"

#define CODE	UINT64_C(0x400000)
#define DATA	UINT64_C(0x40000000)
#define PAGES	16
#define MANY	300
#define ACTS	400

static struct tables a;
static struct rng dice;
static const char *case_file;	/* each program has its own: they run side by side */

static inline void kernel(uint64_t arg)
{
	uint64_t at = tables_entry(&a, DATA + arg % PAGES * PAGE, 1, false);

	tables_entry_write(&a, at, tables_entry_read(&a, at) ^ P_A);
}

static inline void begin(bool native)
{
	unsigned int i;

	vm_init(22);
	tables_init(&a, PAGING_LONG);
	for (i = 0; i < MANY; i++)
		tables_map(&a, DATA + i * PAGE, frame_alloc(), P_USER);
	for (i = 0; i < 2; i++)
		tables_map(&a, CODE + i * PAGE, frame_alloc(), P_USER & ~P_W);
	vm.tables = &a;
	vm.on_call = kernel;
	vm.cpu.rip = CODE + PAGE;
	vm.cpu.mode = PLEX86_MODE_64;
	/* One x87 register in use, with TOP at 7; XMM0 and the like hold something. */
	vm.vec.valid = 7;
	vm.vec.legacy[0] = 0x7f;
	vm.vec.legacy[1] = 0x03;
	vm.vec.legacy[3] = 0x38;
	vm.vec.legacy[4] = 0x80;
	vm.vec.legacy[24] = 0x80;
	vm.vec.legacy[25] = 0x1f;
	memset(vm.vec.legacy + 32, 0x3f, 10);
	memset(vm.vec.legacy + 160, 0x42, 16);
	vm.verify = native;
	vm.case_file = case_file;
	if (native)
		vm_core(2, false);
	unlink(case_file);
}

static inline const struct plex86_verify_stats *stats(void)
{
	return &vm.core->verify->stats;
}

/* How harm is done, when (0: no more), and how often it was. */
static uint64_t when, harmed;
static bool (*how)(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec);

/* Bit @bit, modulo their number, of @n bytes. */
static inline bool flip(void *data, unsigned int n, uint64_t bit)
{
	((uint8_t *)data)[bit / 8 % n] ^= 1 << bit % 8;
	return true;
}

static inline uint8_t *some_copy(const struct plex86_space *s)
{
	size_t i, n = 0, pick;

	for (i = 0; i < s->n; i++)
		n += s->map[i].off >= VM_OBJECT;
	if (!n)
		return NULL;
	pick = rng_below(&dice, n);
	for (i = 0; s->map[i].off < VM_OBJECT || pick--; i++)
		;
	return vm.object + s->map[i].off;
}

static inline bool memory(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	uint8_t *page = some_copy(s);

	return page && flip(page, PAGE, rng_next(&dice) >> 20);
}

#endif /* VERIFY_VM_H */
