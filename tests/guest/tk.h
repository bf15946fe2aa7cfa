/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The test kernel, in one page: a user program is a context and a space; it
 * runs until it traps; the test looks at what the trap left and says so in
 * the log.  The log has to be the same wherever the kernel runs, so nothing
 * that depends on time or on the place of a timer tick may be printed.
 */
#ifndef GUEST_TK_H
#define GUEST_TK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "layout.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef uintptr_t ulong;

#ifdef __x86_64__
#define BITS64 true
#else
#define BITS64 false
#endif

#define PAGE		0x1000u
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- user context (run.c, entry*.S) ---- */
struct uctx {
#ifdef __x86_64__
	ulong r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, bx, dx, cx, ax;
	ulong vec, err;
	ulong ip, cs, flags, sp, ss;
	u16 es, ds, fs, gs;
	ulong fs_base, gs_base;
#else
	ulong es, ds, fs, gs;
	ulong di, si, bp, unused_sp, bx, dx, cx, ax;
	ulong vec, err;
	ulong ip, cs, flags, sp, ss;
	ulong v_es, v_ds, v_fs, v_gs;		/* virtual-8086 mode only */
#endif
} __attribute__((aligned(16)));

enum run_how {
	RUN_IRET, RUN_SYSRET, RUN_SYSEXIT,
	RUN_SYSRET32, RUN_SYSEXIT32,		/* to compatibility mode */
};

/* The user program at hand; below it room for the frame of an IRET that fails. */
extern struct user_area {
	u8 spill[4096];
	struct uctx ctx;
} user_area;
#define u user_area.ctx
extern ulong trap_cr2;		/* CR2 and DR6 after the last trap */
extern ulong trap_dr6;
extern volatile ulong trap_db;	/* DR6 after the last #DB of the kernel's own */
extern u32 ticks;		/* PIT ticks since boot */
extern u32 lapic_ticks;
extern u32 spin;		/* how long user code spins before it acts, at least 1 */
extern bool spinning;		/* spin is more than that: say so in no line of the log */

#define FINISH	((ulong)(BITS64 ? 3 : 2))	/* bytes of regs.h's finish */

/* Runs u until it traps; timer ticks are taken and do not end it. Returns the vector. */
u32 run(void);
/* The same, and returns at the first timer tick too (VEC_IRQ, or VEC_LAPIC). */
u32 run_to_tick(void);
extern enum run_how run_how;
u32 ctx_hash(void);		/* registers and defined flags of u */
int ktry(void (*fn)(void));	/* 0, or 1 + vector of the trap that ended fn */
extern ulong cur_top;

/* ---- log (console.c) ---- */
void say(const char *fmt, ...);	/* %s %x %X (64 bits) %u %c */
void log_quiet(bool on);	/* drops what is said: it may differ between executors */
void finish(void) __attribute__((noreturn));
void panic(const char *fmt, ...) __attribute__((noreturn));
u32 fnv(u32 h, const void *p, u32 n);
#define FNV_START 0x811c9dc5u

/* A check that needs no other executor: an outcome that the manual fixes. */
extern u32 wrong, checks;
#define expect(cond) do {						\
		checks++;						\
		if (!(cond)) {						\
			wrong++;					\
			say("  WRONG: %s (%s)\n", #cond, __func__);	\
		}							\
	} while (0)

/* ---- tests (main.c) ---- */
#define ENV_P32	1u		/* 32-bit, 4 KiB pages only */
#define ENV_PSE	2u		/* 32-bit, 4 MiB pages */
#define ENV_PAE	4u
#define ENV_L4	8u		/* long mode, 4 levels */
#define ENV_L5	16u		/* long mode, 5 levels, where the CPU has them */
#define ENV_32	(ENV_P32 | ENV_PSE | ENV_PAE)
#define ENV_LONG (ENV_L4 | ENV_L5)
#define ENV_ALL	(ENV_32 | ENV_LONG)

#define GROUP_TRAPS	1u
#define GROUP_COHERENCY	2u
#define GROUP_TIME	4u
#define GROUP_SENSITIVE	8u
#define GROUP_SEGMENTS	16u
#define GROUP_HOSTILE	32u
#define GROUP_FUZZ	128u		/* the cases on the disk; not run by default */
#define GROUP_SERIAL	256u		/* somebody types at COM1; not run by default */
#define GROUP_TABLE	512u		/* of group 1 the trap table alone; not run by default */
#define GROUP_BOCHS_DIFFERS 64u		/* plain Bochs is known to be wrong; not run by default */

struct test {
	const char *name;
	u32 envs;
	void (*fn)(void);
};
/* Runs each test without and with spinning, in every environment it is for. */
void run_tests(const char *group, const struct test *t, u32 n);
void test_begin(void);		/* fresh space, registers and FPU; run_tests() calls it */
void tests_traps(void);
void tests_state(void);
void tests_debug(void);
void tests_dr(void);
void tests_dr_code(void);
void tests_dr_bochs_differs(void);
void tests_ferr(void);
void tests_ferr_irq13(void);
void tests_ferr_bochs_differs(void);
void tests_xstate(void);
void tests_xstate_limits(void);
void tests_xsave(void);
void tests_xsave_bochs_differs(void);
void tests_bits(void);
void tests_pages(void);
void tests_levels(void);
void tests_places(void);
void tests_video(void);
void tests_control(void);
void tests_pkey(void);
void tests_pkey_bochs_differs(void);
void tests_code(void);
void tests_jit(void);
void tests_code_bochs_differs(void);
void tests_time(void);
void tests_signal(void);
void tests_serial(void);
void tests_sensitive(void);
void tests_selectors(void);
void tests_straddle(void);
void tests_segments(void);
void tests_gates(void);
void tests_outward(void);
void tests_rings(void);
void tests_fastcalls(void);
void tests_fastcalls_bochs_differs(void);
void tests_io(void);
void tests_vme(void);
void tests_vme_bochs_differs(void);
void tests_v86(void);
void tests_hostile(void);
void tests_fuzz(void);
u32 kernel_sum(void);		/* of the kernel's text: whoever wrote to it is caught by this sum */

struct boot_param {
	char magic[4];
	u32 envs, groups, spin, seed, programs;
};
extern struct boot_param param;
u32 rnd(void);			/* xorshift, from param.seed */
extern u32 rnd_state;

/* ---- paging (mmu.c) ---- */
#define P_P	1ull
#define P_W	2ull
#define P_U	4ull
#define P_PCD	0x10ull
#define P_A	0x20ull
#define P_D	0x40ull
#define P_PS	0x80ull
#define P_G	0x100ull
#define P_NX	(1ull << 63)
#define P_ADDR	0x000ffffffffff000ull
#define P_URW	(P_P | P_W | P_U)
#define P_URO	(P_P | P_U)

struct paging {
	const char *name;
	u32 env;
	u8 levels, bits, entry_size;
	bool nx;		/* also: reserved high bits exist */
	u32 large;		/* bytes of a page of level 2, 0 when there are none */
	u32 cr4;
};
extern const struct paging *mode;
struct space { u64 root; };
extern struct space *cur;	/* space in use */

void mmu_init(void);
void mmu_set_mode(const struct paging *m);
bool mmu_has(const struct paging *m);	/* has this CPU that mode? */
extern const struct paging modes[];
extern const u32 n_modes;
void frames_reset(void);	/* all frames that tests took are free again */
extern u32 frames_skipped;	/* how many to leave out then, so that roots of tables differ */
u64 frame(void);		/* a zeroed frame */
void frame_free(u64 pa);
struct space *space_new(void);
void use(struct space *s);	/* loads CR3 */
void map(struct space *s, u64 va, u64 pa, u64 flags);		/* 4 KiB */
void map_level(struct space *s, u64 va, u64 pa, u64 flags, int level);
u64 map_new(struct space *s, u64 va, u32 pages, u64 flags);	/* fresh frames; the first one */
void touch_pages(u64 va, u32 pages);	/* cur's pages are accessed and dirty from now on, at all levels */
u64 entry_get(struct space *s, u64 va, int level);
void entry_set(struct space *s, u64 va, int level, u64 e);	/* no INVLPG */
u64 entry_pa(struct space *s, u64 va, int level, bool make);	/* where the entry is, or 0 */
static inline void *phys(u64 pa) { return (void *)(ulong)(PHYSMAP + (ulong)pa); }
u64 user_pa(u64 va);		/* through cur's tables; 0 when not mapped */
void user_write(u64 va, const void *p, u32 n);	/* by the kernel's own mapping */
void user_read(u64 va, void *p, u32 n);
u32 user_get32(u64 va);
void user_put32(u64 va, u32 v);

/* ---- descriptors (desc.c) ---- */
void desc_init(void);
void gdt_reset(void);
void gdt_set(u16 sel, u64 descriptor);
u64 gdt_get(u16 sel);
void gdt_set_gate(u16 sel, u16 cs, ulong target, u8 type_attr, u8 params);
void idt_set_gate(u8 vec, u16 cs, ulong target, u8 type_attr);	/* idt_dpl() ends it */
void set_ring_stack(u32 ring, u16 ss, ulong sp);	/* in long mode there is no ss */
void set_sp0(ulong top);
void tss_limit(u32 limit);
void redirect(u8 vec, bool yes);	/* INT vec goes to virtual-8086 mode's own handler */
void iopb_allow(u16 port, bool yes);
void iopb_place(int off, u32 bytes);	/* off bytes from its place, so many before the limit */
void iopb_reset(void);
u64 seg_desc(u32 base, u32 limit, u16 attr);	/* attr: access byte, flags << 12 */
void idt_dpl(u8 vec, u8 dpl);
extern u8 iopb_last;

/* ---- devices (dev.c) ---- */
void dev_init(void);
void pit_hz(u32 hz);
void eoi(u32 vec);
void lapic_timer(u32 count);	/* periodic; 0 stops it */
bool disk_sectors(bool write, u32 lba, void *buf, u32 sectors);
bool disk_read_pio(u32 lba, void *to);	/* one sector */
bool disk_read_dma(u32 lba, u64 to_pa);
u32 disk_lba(const void *of_kernel);		/* where on the disk a part of the kernel, aligned to a sector, lies */
void a20(bool on);
u32 pci_find(u32 id);		/* device number of device << 16 | vendor on bus 0, or -1 */
u32 pci_bar(u32 dev, u32 pa);	/* moves its first memory BAR; where it was */

/* ---- FPU and vector state (fpu.c) ---- */
void fpu_init(void);
void fpu_pattern(u32 seed);	/* loads registers with a pattern: x87, SSE, AVX */
void fpu_pattern_of(u32 seed, u64 components);	/* the others are in their initial state then */
u32 fpu_hash(void);		/* of the registers, without the last-instruction pointers */
void fpu_save(void *area);	/* FPU_AREA bytes, 64-aligned; registers only, no header state */
void fpu_load(const void *area);
#define FPU_AREA 4096
extern u64 fpu_xcr0;

/* ---- user operations (agent.S, ops.c) ---- */
bool u_load(ulong va, u32 *val);	/* each says in the log what happened */
bool u_store(ulong va, u32 val);
bool u_store_entry(ulong va, u32 entry);
bool u_rmw(ulong va, u32 add);
bool u_call(ulong va, ulong *ax);	/* calls code at va; its result in ax */
bool u_copy(ulong to, ulong from, u32 n);
bool u_spin(void);
extern const u8 agent_start[], agent_end[];
void load_blob(const u8 *start, const u8 *end);	/* to U_BLOB; u.ip at the prologue */

/* ---- the CPU ---- */
static inline void outb(u16 p, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p)); }
static inline void outw(u16 p, u16 v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(p)); }
static inline void outl(u16 p, u32 v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(p)); }
static inline u8 inb(u16 p) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline u16 inw(u16 p) { u16 v; __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static inline u32 inl(u16 p) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p)); return v; }
#define CR_ACCESS(n)									\
static inline ulong get_cr##n(void)							\
{ ulong v; __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v)); return v; }		\
static inline void set_cr##n(ulong v)							\
{ __asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory"); }
CR_ACCESS(0) CR_ACCESS(2) CR_ACCESS(3) CR_ACCESS(4)
#define DR_ACCESS(n)									\
static inline ulong get_dr##n(void)							\
{ ulong v; __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v)); return v; }		\
static inline void set_dr##n(ulong v)							\
{ __asm__ volatile("mov %0, %%dr" #n : : "r"(v)); }
DR_ACCESS(0) DR_ACCESS(1) DR_ACCESS(2) DR_ACCESS(3) DR_ACCESS(6) DR_ACCESS(7)
static inline void invlpg(ulong va) { __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory"); }
static inline u64 rdmsr(u32 n)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n));
	return (u64)hi << 32 | lo;
}
static inline void wrmsr(u32 n, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(n), "a"((u32)v), "d"((u32)(v >> 32)));
}
static inline void cpuid(u32 leaf, u32 sub, u32 r[4])
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(leaf), "c"(sub));
}
static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

#define CR0_MP	2u
#define CR0_TS	8u
#define CR0_WP	0x10000u
#define CR0_AM	0x40000u
#define CR4_VME	1u
#define CR4_PVI	2u
#define CR4_TSD	4u
#define CR4_DE	8u
#define CR4_PSE	0x10u
#define CR4_PAE	0x20u
#define CR4_PGE	0x80u
#define CR4_PCE	0x100u
#define CR4_OSFXSR	0x200u
#define CR4_OSXMM	0x400u
#define CR4_LA57	0x1000u
#define CR4_OSXSAVE	0x40000u
#define FL_CF	1u
#define FL_TF	0x100u
#define FL_IF	0x200u
#define FL_DF	0x400u
#define FL_IOPL3 0x3000u
#define FL_NT	0x4000u
#define FL_RF	0x10000u
#define FL_VM	0x20000u
#define FL_AC	0x40000u
#define FL_VIF	0x80000u
#define FL_VIP	0x100000u
#define FL_ID	0x200000u
/* What CTX hash and log show of the flags: all that exist. */
#define FL_SHOWN 0x003f7fd5u

void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif /* GUEST_TK_H */
