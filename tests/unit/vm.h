/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine for the core to work on, small enough to check completely: RAM, a
 * stand-in for Bochs (bochs.c), one for an engine (engine.c), a guest kernel's
 * page tables (tables.c), a program, and the checks (check.c).  There is one
 * machine at a time, because what the core calls has no context pointer.
 *
 * The program is a list of acts that does not depend on time.  So the same
 * program in the same machine without a core must leave every byte of RAM and
 * every register the same: accessed and dirty bits included.
 */
#ifndef PLEX86_TESTS_UNIT_VM_H
#define PLEX86_TESTS_UNIT_VM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <plex86/cpu.h>
#include <plex86/engine.h>

#include "plugin/core.h"
#include "tests/tap.h"

#define VM_RAM		(UINT64_C(4) << 20)
#define VM_FRAMES	(VM_RAM >> 12)
#define VM_BLOCK	UINT64_C(0x10000)
#define VM_OBJECT	(VM_RAM + 4 * VM_BLOCK)	/* RAM is a part of the object, in disorder */
#define VM_SCRATCH	(PLEX86_VERIFY_BYTES + PLEX86_COPIES_BYTES)	/* behind it */

#define PAGE		UINT64_C(4096)

#define LONGEST		6	/* bytes of an instruction of the program */

/* ---- Page tables, as the guest's kernel and a reference see them (tables.c) ---- */

#define P_P		(UINT64_C(1) << 0)
#define P_W		(UINT64_C(1) << 1)
#define P_U		(UINT64_C(1) << 2)
#define P_A		(UINT64_C(1) << 5)
#define P_D		(UINT64_C(1) << 6)
#define P_PS		(UINT64_C(1) << 7)
#define P_PAT		(UINT64_C(1) << 12)	/* of a large page */
#define P_NX		(UINT64_C(1) << 63)
#define P_USER		(P_P | P_W | P_U | P_A | P_D)

enum { PAGING_32, PAGING_PAE, PAGING_LONG, PAGING_LONG5 };	/* LONG5: five levels */

/* The highest level of tables in memory; PAE's third are registers. */
static inline unsigned int top_table(int mode)
{
	return mode < PAGING_LONG ? 2 : mode == PAGING_LONG ? 4 : 5;
}

struct tables {
	int mode;
	uint64_t cr3;
	uint64_t pdpte[4];	/* loaded with CR3 */
	bool pse, nxe, huge1g;
	unsigned int phys_bits;
};

/* What the tables say about one linear address, by the book. */
struct translation {
	bool present;		/* at all levels */
	bool reserved;		/* a reserved bit is set: #PF */
	bool write, user, exec;	/* at all levels */
	bool accessed;		/* at all levels */
	bool dirty;		/* in the leaf */
	bool pse36;		/* a 4 MiB page with an address above 4 GiB */
	uint64_t pa;
	unsigned int n;		/* entries read: */
	uint64_t entry_at[5];	/* where they are, ~0 for a cached PDPTE */
};

void tables_translate(const struct tables *t, uint64_t la, struct translation *out);

/* PLEX86_PROT_* that native code may have at @la at the most (I2). */
uint32_t tables_allow(const struct tables *t, uint64_t la, uint64_t *pa);

/* New empty tables; frames from the kernel's pool. */
void tables_init(struct tables *t, int mode);
void tables_free(struct tables *t);
void tables_load_cr3(struct tables *t);

/*
 * Address of the entry of @level for @la.  Missing tables on the way are made,
 * all rights in them, if @make; else 0.  Levels as in walk.h.
 */
uint64_t tables_entry(struct tables *t, uint64_t la, unsigned int level, bool make);

/* Writes a 4 KiB mapping, or a large one with @level > 1. */
void tables_map(struct tables *t, uint64_t la, uint64_t pa, uint64_t bits);
void tables_map_large(struct tables *t, uint64_t la, uint64_t pa, uint64_t bits, unsigned int level);
void tables_entry_write(const struct tables *t, uint64_t at, uint64_t entry);
uint64_t tables_entry_read(const struct tables *t, uint64_t at);

/* The kernel's page frames; guest-physical addresses.  0: none left. */
void frames_init(void);
uint64_t frame_alloc(void);
void frame_free(uint64_t pa);

/* ---- The program ---- */

enum act_kind {
	ACT_READ,	/* 8 bytes at .la */
	ACT_WRITE,	/* 8 bytes at .la, a value that depends on all before */
	ACT_EXEC,	/* jump to .la and execute what is there */
	ACT_CALL,	/* the kernel, with .arg */
	ACT_BOTH,	/* 8 bytes at .la, then 8 at .arg: the first are there though the second fault, as with PUSHA */
};

struct act {
	enum act_kind kind;
	uint64_t la, arg;
};

/* CPU registers that the program uses. */
#define REG_NEXT	PLEX86_RAX	/* number of the next act */
#define REG_HASH	PLEX86_RBX	/* of everything it has seen */

/* One side's view of memory.  Where a page's byte is in it is that side's business. */
struct cpu_view {
	bool (*page)(void *ctx, uint64_t la, uint32_t access, uint64_t *at);	/* false: fault */
	uint8_t (*fetch)(void *ctx, uint64_t at);
	uint8_t (*read)(void *ctx, uint64_t at);
	void (*write)(void *ctx, uint64_t at, uint64_t value, unsigned int len);
	void *ctx;
};

enum step {
	STEP_DONE, STEP_FAULT, STEP_CALL,
	STEP_SENSITIVE,		/* *access is an enum sensitive */
	STEP_END,
};

/* Executes the next act through @view; but for a jump's RIP and half of ACT_BOTH, nothing has changed unless STEP_DONE. */
enum step cpu_step(struct plex86_cpu *cpu, const struct cpu_view *view, uint64_t *fault,
		   uint32_t *access);

/* What CPUID and its like give: the guest's own answer. */
void cpu_answer(struct plex86_cpu *cpu);

uint64_t mix64(uint64_t h, uint64_t v);

/* A stream of random numbers (xorshift64*), one for each purpose. */
struct rng { uint64_t s; };
uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n);

/* ---- Bochs (bochs.c) ---- */

extern const struct plex86_host_ops bochs_host_ops;

/* Writes and reads by Bochs's CPU, walk or devices, through the stamps. */
void bochs_write(uint64_t pa, uint64_t value, unsigned int len);
uint64_t bochs_read(uint64_t pa, unsigned int len);
void bochs_dma_page(uint64_t pa, const void *data);	/* a whole page */
void bochs_flush_icache(void);

/* Makes a trace from the line at @pa, as executing there would. */
void bochs_decode(uint64_t pa);

/* A user access as Bochs makes it: A and D set; false: #PF at *@fault. */
bool bochs_access(uint64_t la, uint32_t access, uint64_t *pa);

/* Executes the next act.  A page fault goes to vm.on_fault, a call to vm.on_call. */
void bochs_step(void);

/* ---- The engine (engine.c) ---- */

struct mapping { uint64_t la, off; uint32_t prot; };

#define ENGINE_GDT	40	/* entries that it takes */
#define ENGINE_LDT	600

struct plex86_space {
	struct plex86_space *next;
	struct mapping *map;		/* sorted by .la */
	size_t n, max;
	uint64_t trap[PLEX86_MAX_TRAPS];
	unsigned int ntraps;
	bool tsc;			/* RDTSC traps */
	uint64_t slots[PLEX86_SLOTS / 64];	/* occupied() */
	bool dead;			/* failed or lost: may only be destroyed */
	bool ran;
	uint64_t cr3;			/* that it first ran with */
	uint64_t gdt[ENGINE_GDT], ldt[ENGINE_LDT];	/* set_descriptors() */
	unsigned int ngdt, nldt;
	bool described;
	const struct tables *tables;	/* that it last ran by */
	uint8_t table[VM_FRAMES];	/* frames of tables that its mappings came from when it last ran */
};

enum fail_kind { FAIL_ERRNO, FAIL_LOST, FAIL_REFUSED };

struct plex86_engine {
	struct plex86_caps caps;
	struct plex86_space *spaces;
	unsigned int nspaces, opened, closed;
	bool known;			/* faults say what kind of access it was */
	/* Calls of space_create, apply, set_traps, trap_tsc, occupied, set_descriptors and run; the one to fail, or a chance in 1000. */
	uint64_t calls, fail_at;
	enum fail_kind fail_kind;
	unsigned int fail_chance;
	bool fail_create;		/* space_create() never works */
	bool fail_apply;		/* apply() never works */
	bool fail_tsc;			/* trap_tsc() can't be had */
	unsigned int breakpoints_left;	/* by others on the host */
	uint64_t failed;		/* how often it did */
	/* Counts by kind. */
	uint64_t applies, ops, runs, acts, creates, destroys, trap_sets, tsc_sets,
		 describes;
	volatile bool kicked;
	/* Replaces the program: what the next run() reports.  NULL: run the program. */
	int (*script)(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
		      struct plex86_exit *exit);
	/* Called when the program has run, before the core sees what came of it. */
	void (*harm)(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
		     struct plex86_exit *exit);
};

extern struct plex86_engine engine;

/* What a space has at @la, NULL if nothing. */
const struct mapping *engine_find(const struct plex86_space *s, uint64_t la);

/* The native rights at @la in the space that ran last; 0: not mapped or no space. */
uint32_t engine_prot(uint64_t la);

/* ---- The machine ---- */

#define LOG_LINES 64
#define TICKS_RANDOM (UINT64_MAX - 1)

struct vm {
	struct plex86_core *core;	/* NULL: Bochs alone */
	uint8_t *object;		/* what RAM is a part of */
	uint64_t block[VM_RAM / VM_BLOCK];	/* offset of each */
	uint64_t at[VM_OBJECT / VM_BLOCK];	/* the reverse; number + 1 */
	uint32_t stamp[VM_FRAMES];	/* lines to be told of */
	uint32_t decoded[VM_FRAMES];	/* lines that Bochs has traces from ... */
	uint8_t (*trace)[PAGE];		/* ... made of these bytes */
	bool device[VM_FRAMES];		/* not plain RAM */

	struct tables *tables;		/* CR3 */
	struct plex86_cpu cpu;
	struct plex86_vec vec;
	uint64_t more_xcr0, more_cr4;	/* than the engine can load */
	uint64_t less_cr4;		/* than usual */
	struct plex86_env env;
	const struct act *act;
	uint64_t nacts;
	bool bare;			/* reading and writing need no code */
	uint64_t within;	/* here are RDTSC's bytes within another instruction */
	bool verify;			/* vm_core() starts the core in verify mode */
	const char *case_file;
	const char *(*disassemble)(uint64_t la);	/* NULL: all are "mov eax, ebx" */
	unsigned int walks_again;	/* calls of walk_again() */
	bool unchecked;			/* no checks before native code runs: only for speed */
	bool (*on_fault)(uint64_t la, uint32_t access);	/* true: try again */
	void (*on_call)(uint64_t arg);
	uint64_t faults;		/* guest page faults that were not resolved */

	uint64_t icount;
	uint64_t ticks_left;		/* for the next slice */
	uint32_t populate;		/* of the core's configuration, for vm_core() */
	struct rng rng;			/* what does not change the guest: slices, engine */
	struct plex86_space *last;	/* the space that ran last */
	uint64_t slices, native_acts, emulated_acts;
	enum plex86_verdict verdict;	/* of the last slice */
	struct plex86_slice slice;

	unsigned int complaints;	/* broken rules; the first few are printed */
	unsigned int log_count, log_errors, log_panics;
	char log[LOG_LINES][256];
};

extern struct vm vm;

/* A page of zeros at first; all RAM; the fake engine with all capabilities and no failures. */
void vm_init(uint64_t seed);

/* Starts the core with room for @spaces.  After changes to engine.caps. */
void vm_core(unsigned int spaces, bool strict);
void vm_core_config(struct plex86_core_config *config);
void vm_close(void);

/* After vm_close(): nothing left in the engine, no complaint? */
bool vm_is_clean(void);

/* Runs a program to its end. */
void vm_run(const struct act *act, uint64_t n);

/* The same, with one act. */
void vm_do(enum act_kind kind, uint64_t la);

/* Gives the core one slice of the present program; Bochs does what it says. */
enum plex86_verdict vm_slice(void);

/* One slice, replayed if there is something to replay, and no emulation afterwards. */
enum plex86_verdict vm_slice_only(void);

/* One act in a slice and without Bochs's help: could native code do it? */
bool vm_native(enum act_kind kind, uint64_t la);

/* Where to ask plex86_core_plan(): Bochs is at @rip and fetched from there. */
#define vm_place(root, at_rip, at_icount, left)                                        \
	(&(struct plex86_place){ .cr3 = (root), .rip = (at_rip), .fetched = (at_rip), \
				 .icount = (at_icount), .ticks_left = (left) })

/* Host address of guest-physical @pa in RAM; NULL: not RAM. */
uint8_t *vm_host(uint64_t pa);

/* Guest-physical address of offset @off in the object; ~0 if no block is there. */
uint64_t vm_frame_of_offset(uint64_t off);

/* A hash of guest RAM and the registers. */
uint64_t vm_digest(void);

__attribute__((format(printf, 1, 2)))
void complain(const char *fmt, ...);

/* Entry @i of a descriptor table, by the book; false: not in RAM. */
bool vm_descriptor(const struct plex86_table *t, unsigned int i, uint64_t *d);

/* Called when a space is about to run: every rule that concerns it (check.c). */
void check_space(struct plex86_space *s);

/*
 * Do the @left bytes at @op begin with an instruction that must not get the
 * host's answer?  FORBIDDEN is what the fake engine never traps by itself.
 */
enum sensitive {
	HARMLESS,
	FORBIDDEN,	/* CPUID, VMCALL, VMMCALL; XGETBV, memory forms of XSAVE and its like without CAP_XCR0 */
	READS_TSC,	/* RDTSC, RDTSCP: traps with CAP_TRAP_TSC, and in spaces with trap_tsc() */
	READS_PID,	/* RDPID: reads 0 with CAP_TRAP_TSC, which may be right */
};

enum sensitive sensitive_kind(const uint8_t *op, unsigned int left);

/* Does the engine end run() at such an instruction, in the space @s? */
bool engine_traps(const struct plex86_space *s, enum sensitive kind);

#endif /* PLEX86_TESTS_UNIT_VM_H */
