/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bench that the conformance tests stand on: guest memory, a space, a known
 * CPU state, and checks of the one promise that every exit makes, that the state
 * is the one before the instruction that trapped.
 *
 * No test knows which engine it tests; where engines may differ, the capability
 * that says so decides.
 */
#ifndef PLEX86_CONFORMANCE_H
#define PLEX86_CONFORMANCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <plex86/engine.h>

#include "../../accel-driver/common/xstate.h"

/* TAP for a program of several files; tap.h counts per file. */
bool report(bool pass, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void skip(const char *name, const char *why);
int finish(void);		/* prints the plan; the exit status for main() */

/* Guest memory, offsets. */
#define RAM_SIZE	(UINT64_C(16) << 20)
#define RAM_CODE64	UINT64_C(0x100000)
#define RAM_CODE32	UINT64_C(0x120000)
#define RAM_PATCH	UINT64_C(0x140000)	/* code that tests write themselves */
#define RAM_DATA	UINT64_C(0x200000)
#define RAM_STACK	UINT64_C(0x300000)

/* Where it is mapped in a space that fresh_space() makes; the same in all modes. */
#define VA_CODE64	UINT64_C(0x00400000)
#define VA_CODE32	UINT64_C(0x08048000)
#define VA_PATCH	UINT64_C(0x10000000)
#define VA_DATA		UINT64_C(0x20000000)
#define VA_STACK	UINT64_C(0x30000000)
#define CODE_PAGES	4
#define PATCH_PAGES	2
#define DATA_PAGES	16
#define STACK_PAGES	2
#define STACK_TOP	(VA_STACK + STACK_PAGES * PLEX86_PAGE_SIZE - 256)

#define PAGE(n)		((n) * PLEX86_PAGE_SIZE)

#define FOREVER		UINT64_C(10000000000)	/* ns; no test needs this long */

#define R	PLEX86_PROT_READ
#define RW	(PLEX86_PROT_READ | PLEX86_PROT_WRITE)
#define RX	(PLEX86_PROT_READ | PLEX86_PROT_EXEC)
#define RWX	(PLEX86_PROT_READ | PLEX86_PROT_WRITE | PLEX86_PROT_EXEC)

#define FLAG_CF		UINT64_C(0x00001)
#define FLAG_ZF		UINT64_C(0x00040)
#define FLAG_TF		UINT64_C(0x00100)
#define FLAG_IF		UINT64_C(0x00200)
#define FLAG_DF		UINT64_C(0x00400)
#define FLAG_OF		UINT64_C(0x00800)
#define FLAG_NT		UINT64_C(0x04000)
#define FLAG_RF		UINT64_C(0x10000)
#define FLAG_AC		UINT64_C(0x40000)
#define FLAG_ID		UINT64_C(0x200000)

#define ANY_VECTOR	PLEX86_VECTOR_UNKNOWN

/* The engine under test. */
extern const struct plex86_engine_ops *ops;
extern struct plex86_engine *engine;
extern const struct plex86_caps *caps;
extern uint8_t *ram;
extern int ram_fd;

/* Set up and tear down; open_engine() returns false with a TAP line already out. */
bool open_engine(const struct plex86_engine_ops *candidate, uint32_t max_spaces);
void close_engine(void);

/* The same for a program that tests one engine: does not return where it can't be had. */
void open_or_skip(const struct plex86_engine_ops *candidate, uint32_t max_spaces);

/* A space with code, patch area, data and stack mapped, all of it reset. */
struct plex86_space *fresh_space(void);
void reset_ram(void);
int map_pages(struct plex86_space *s, uint64_t va, uint64_t off, uint64_t pages, uint32_t prot);
int unmap_pages(struct plex86_space *s, uint64_t va, uint64_t pages);

/* Linux-like user state with a different value in every register. */
void init_cpu64(struct plex86_cpu *cpu, uint64_t rip);
void init_cpu32(struct plex86_cpu *cpu, uint64_t rip);
void init_vec(struct plex86_vec *vec, uint64_t seed, uint64_t components);

/* Flags that can't be entered with, as this host loses them. */
static inline uint64_t flags_lost(void)
{
	return caps->flags & PLEX86_CAP_NT_LOST ? FLAG_NT : 0;
}

/* One run and everything it touches. */
struct trial {
	struct plex86_cpu cpu, before;
	struct plex86_vec vec, vec_before;
	struct plex86_exit exit;
	int err;
};

/* 32-bit code at @at in guest.S, as a 32-bit system or a 64-bit one (PLEX86_MODE_COMPAT) runs it. */
void init_trial32(struct trial *t, const uint8_t *at, uint32_t mode);

/* Remember the state, run.  @flags as of run(). */
void run_trial(struct plex86_space *s, struct trial *t, uint32_t flags, uint64_t budget_ns);

/* Same, but a DEADLINE that other load caused is taken for what it is: run on. */
void run_to_trap(struct plex86_space *s, struct trial *t);

/* Which registers an instruction may have changed, beyond none. */
#define MAY_RAX		(1u << 0)
#define MAY_RCX		(1u << 1)
#define MAY_R11		(1u << 11)
#define MAY_RSP		(1u << PLEX86_RSP)
#define MAY_FLAGS	(1u << 16)
#define MAY_VEC		(1u << 17)
#define MAY_BASES	(1u << 18)

/* Checks without a TAP line: true, or false after a diagnostic. */
bool same_state(const struct trial *t, uint64_t rip, uint32_t may);
bool is_trap(const struct trial *t, uint32_t vector);
bool is_page(const struct trial *t, uint64_t addr);
bool is_reason(const struct trial *t, uint32_t reason);

/* guest.S: programs, and how far they are from the start of their blob. */
extern const uint8_t guest64_start[], guest64_end[], guest32_start[], guest32_end[];
#define AT64(sym)	(VA_CODE64 + (uint64_t)((sym) - guest64_start))
#define AT32(sym)	(VA_CODE32 + (uint64_t)((sym) - guest32_start))

/* The groups, in the order they run. */
void test_arguments(void);
void test_exits64(void);
void test_registers(void);
void test_vectors(void);
void test_maps(void);
void test_spaces(void);
void test_time(void);
void test_compat(void);
void test_compat_segs(struct plex86_space *s);	/* a part of that */
void test_segments(void);
void test_descriptors(void);
void test_traps(void);
void test_hostile(void);

#endif /* PLEX86_CONFORMANCE_H */
