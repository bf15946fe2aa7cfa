// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * set_descriptors(): user code finds the guest's own descriptors, those that it
 * may load, and no others; what it has loaded must be what they say.
 */
#include <errno.h>

#include "harness.h"

#define D_CODE64	UINT64_C(0x00affb000000ffff)
#define D_CODE32	UINT64_C(0x00cffb000000ffff)
#define D_DATA		UINT64_C(0x00cff3000000ffff)
#define D_RODATA	UINT64_C(0x0040f10000000123)	/* limit in bytes */
#define D_XONLY		UINT64_C(0x00cff9000000ffff)
#define D_DOWN		UINT64_C(0x0040f70000000fff)
#define D_FRESH		UINT64_C(0x00cff2000000ffff)	/* not accessed */
#define D_ABSENT	UINT64_C(0x00cf73000000ffff)
#define D_KERNEL	UINT64_C(0x00cf93000000ffff)
#define D_GATE		UINT64_C(0x0000ec0000100000)
#define D_LAR		0xf0ff00u	/* bits of the upper word that LAR gives */

enum { GDT_CODE32 = 4, GDT_DATA, GDT_CODE64, GDT_FIRST, NGDT = 32, NLDT = 8 };

static uint64_t gdt[NGDT], ldt[NLDT];

static void usual_tables(void)
{
	memset(gdt, 0, sizeof(gdt));
	memset(ldt, 0, sizeof(ldt));
	gdt[GDT_CODE32] = D_CODE32;
	gdt[GDT_DATA] = D_DATA;
	gdt[GDT_CODE64] = D_CODE64;
}

static int give(struct plex86_space *s)
{
	return ops->set_descriptors(s, gdt, NGDT, ldt, NLDT);
}

/* An instruction with CX = @sel, then ZF to DL and HLT; RAX was 0xabcdef01. */
static void look(struct plex86_space *s, struct trial *t, const uint8_t op[3], uint16_t sel)
{
	memcpy(ram + RAM_PATCH, op, 3);
	memcpy(ram + RAM_PATCH + 3, (const uint8_t[]){ 0x0f, 0x94, 0xc2, 0xf4 }, 4);
	init_cpu64(&t->cpu, VA_PATCH);
	init_vec(&t->vec, 3, caps->xcr0);
	t->cpu.gpr[PLEX86_RCX] = sel;
	t->cpu.gpr[PLEX86_RAX] = 0xabcdef01;
	t->cpu.gpr[PLEX86_RDX] = 0x5500;
	run_to_trap(s, t);
}

#define LAR	(const uint8_t[]){ 0x0f, 0x02, 0xc1 }
#define LSL	(const uint8_t[]){ 0x0f, 0x03, 0xc1 }
#define VERR	(const uint8_t[]){ 0x0f, 0x00, 0xe1 }
#define VERW	(const uint8_t[]){ 0x0f, 0x00, 0xe9 }

/* What the four instructions say of a selector; limit -1: not valid. */
static bool seen_as(struct plex86_space *s, uint16_t sel, uint64_t d, int64_t limit, bool read,
		    bool write)
{
	struct trial t;
	bool valid = limit >= 0, good;

	look(s, &t, LAR, sel);
	good = is_trap(&t, 13) & same_state(&t, VA_PATCH + 6, MAY_RAX | 1u << PLEX86_RDX | MAY_FLAGS);
	good &= (t.cpu.gpr[PLEX86_RDX] & 1) == valid;
	good &= valid ? (t.cpu.gpr[PLEX86_RAX] & D_LAR) == (d >> 32 & D_LAR) :
			t.cpu.gpr[PLEX86_RAX] == 0xabcdef01;
	if (!good)
		note("LAR %#x: RAX %#llx", sel, (unsigned long long)t.cpu.gpr[PLEX86_RAX]);
	look(s, &t, LSL, sel);
	good &= is_trap(&t, 13) && (t.cpu.gpr[PLEX86_RDX] & 1) == valid &&
		t.cpu.gpr[PLEX86_RAX] == (valid ? (uint64_t)limit : 0xabcdef01);
	if (!good)
		note("LSL %#x: RAX %#llx", sel, (unsigned long long)t.cpu.gpr[PLEX86_RAX]);
	look(s, &t, VERR, sel);
	good &= is_trap(&t, 13) && (t.cpu.gpr[PLEX86_RDX] & 1) == read;
	look(s, &t, VERW, sel);
	return good && is_trap(&t, 13) && (t.cpu.gpr[PLEX86_RDX] & 1) == write;
}

static bool unseen(struct plex86_space *s, uint16_t sel)
{
	return seen_as(s, sel, 0, -1, false, false);
}

static void test_looking(struct plex86_space *s)
{
	unsigned int sel;
	bool good = true;

	usual_tables();
	gdt[GDT_FIRST] = D_RODATA;
	gdt[GDT_FIRST + 1] = D_XONLY;
	gdt[GDT_FIRST + 2] = D_DOWN;
	gdt[GDT_FIRST + 3] = D_FRESH;
	gdt[GDT_FIRST + 4] = D_ABSENT;
	gdt[GDT_FIRST + 5] = D_KERNEL;
	gdt[GDT_FIRST + 6] = D_GATE;
	ldt[0] = D_DATA;
	ldt[7] = D_RODATA;
	report(!give(s), "descriptors: tables are taken");
	report(seen_as(s, 0x2b, D_DATA, 0xffffffff, true, true), "descriptors: LAR, LSL, VERR, VERW of data");
	report(seen_as(s, 0x28, D_DATA, 0xffffffff, true, true), "descriptors: the same with RPL 0");
	report(seen_as(s, 0x33, D_CODE64, 0xffffffff, true, false), "descriptors: of 64-bit code");
	report(seen_as(s, 0x23, D_CODE32, 0xffffffff, true, false), "descriptors: of 32-bit code");
	report(seen_as(s, 0x3b, D_RODATA, 0x123, true, false), "descriptors: of read-only data");
	report(seen_as(s, 0x43, D_XONLY, 0xffffffff, false, false), "descriptors: of execute-only code");
	report(seen_as(s, 0x4b, D_DOWN, 0xfff, true, true), "descriptors: of an expand-down segment");
	report(seen_as(s, 0x07, D_DATA, 0xffffffff, true, true), "descriptors: in the LDT, the first");
	report(seen_as(s, 0x3f, D_RODATA, 0x123, true, false), "descriptors: in the LDT, the last");
	report(unseen(s, 0x53) & unseen(s, 0x5b) & unseen(s, 0x63) & unseen(s, 0x6b),
	       "descriptors: what user code can't load as it is, it does not see");
	/* The engine's own descriptors, and behind the guest's tables. */
	for (sel = 0x73; sel < 0x10000; sel += sel < 0x500 ? 8 : 0x1f8)
		good &= unseen(s, sel);
	for (sel = 0x47; sel < 0x10000; sel += sel < 0x500 ? 8 : 0x1f8)
		good &= unseen(s, sel);
	good &= unseen(s, 0) & unseen(s, 3) & unseen(s, 0x10) & unseen(s, 0x13);
	report(good, "descriptors: there is nothing else");
}

static void load_es(struct plex86_space *s, struct trial *t, uint16_t sel)
{
	look(s, t, (const uint8_t[]){ 0x8e, 0xc1, 0x90 }, sel);
}

/* Loads ES; 64-bit code takes any data or readable code. */
static bool loads(struct plex86_space *s, uint16_t sel, uint16_t attr, uint32_t limit)
{
	const struct plex86_seg *es;
	struct trial t;

	load_es(s, &t, sel);
	es = &t.cpu.seg[PLEX86_ES];
	return is_trap(&t, 13) && t.cpu.rip == VA_PATCH + 6 && es->sel == sel && es->attr == attr &&
	       es->limit == limit && es->base == 0;
}

static bool traps(struct plex86_space *s, uint16_t sel)
{
	struct trial t;

	load_es(s, &t, sel);
	return is_trap(&t, ANY_VECTOR) & same_state(&t, VA_PATCH, 0);
}

static void test_loading(struct plex86_space *s)
{
	report(loads(s, 0x2b, 0xc0f3, 0xffffffff) & loads(s, 0x3b, 0x40f1, 0x123) &
	       loads(s, 0x07, 0xc0f3, 0xffffffff) & loads(s, 0x3f, 0x40f1, 0x123),
	       "descriptors: data can be loaded, and the hidden part comes back");
	report(traps(s, 0x43) & traps(s, 0x5b) & traps(s, 0x63) & traps(s, 0x6b) & traps(s, 0x73) &
	       traps(s, 0x47) & traps(s, 0xfffb), "descriptors: everything else traps, state exact");
	report(traps(s, 0x53), "descriptors: a segment that was not accessed yet traps");
	gdt[GDT_FIRST + 3] = D_FRESH | UINT64_C(1) << 40;
	report(!give(s) && loads(s, 0x53, 0xc0f3, 0xffffffff), "descriptors: once it was, it loads");
	gdt[GDT_FIRST + 3] = 0;
	report(!give(s) && traps(s, 0x53) && unseen(s, 0x53), "descriptors: and when it is gone, it does not");
	/* The guest's own accessed bits are the guest's. */
	report(gdt[GDT_FIRST + 4] == D_ABSENT && gdt[GDT_DATA] == D_DATA,
	       "descriptors: the tables that were given are only read");
}

static void test_registers_differ(struct plex86_space *s)
{
	struct trial t;

	usual_tables();
	give(s);
	init_cpu64(&t.cpu, VA_PATCH);
	init_vec(&t.vec, 3, caps->xcr0);
	t.cpu.seg[PLEX86_SS].attr ^= PLEX86_SEG_DB;
	run_trial(s, &t, 0, FOREVER);
	report(is_reason(&t, PLEX86_EXIT_REFUSED) && !memcmp(&t.cpu, &t.before, sizeof(t.cpu)),
	       "descriptors: a register that differs from its descriptor: REFUSED");
	gdt[GDT_DATA] = 0;
	give(s);
	init_cpu64(&t.cpu, VA_PATCH);
	run_trial(s, &t, 0, FOREVER);
	report(is_reason(&t, PLEX86_EXIT_REFUSED), "descriptors: one whose descriptor is gone: REFUSED");
}

static void test_separate(struct plex86_space *s)
{
	struct plex86_space *other = fresh_space();

	usual_tables();
	gdt[20] = D_RODATA;
	give(s);
	gdt[20] = D_DOWN;
	give(other);
	report(seen_as(s, 0xa3, D_RODATA, 0x123, true, false) &
	       seen_as(other, 0xa3, D_DOWN, 0xfff, true, true) &
	       seen_as(s, 0xa3, D_RODATA, 0x123, true, false), "descriptors: each space has its own");
	report(!ops->set_descriptors(other, gdt, 8, NULL, 0) && unseen(other, 0xa3),
	       "descriptors: shorter tables");
	report(ops->set_descriptors(NULL, gdt, 1, ldt, 1) == -EINVAL &&
	       ops->set_descriptors(s, NULL, 1, ldt, 1) == -EINVAL &&
	       ops->set_descriptors(s, gdt, 1, NULL, 1) == -EINVAL, "descriptors: nonsense: -EINVAL");
	ops->space_destroy(other);
}

void test_descriptors(void)
{
	struct plex86_space *s;

	if (!(caps->flags & PLEX86_CAP_DESCRIPTORS)) {
		skip("descriptors", "the engine runs code under the host's tables");
		return;
	}
	s = fresh_space();
	test_looking(s);
	test_loading(s);
	test_registers_differ(s);
	test_separate(s);
	ops->space_destroy(s);
}
