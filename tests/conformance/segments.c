// SPDX-License-Identifier: LGPL-2.1-or-later
/* Segments that aren't flat: base, limit, direction, rights, 16-bit code. */
#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g32_load_ds); PROG(g32_load_ds_trap); PROG(g32_load_es); PROG(g32_load_es_trap);
PROG(g32_store_es); PROG(g32_store_es_trap); PROG(g32_hlt); PROG(g32_int3); PROG(g32_into);

#define DATA32		0x40f3	/* writable, 32-bit, limit in bytes */
#define DATA32_RO	0x40f1
#define DATA32_DOWN	0x40f7
#define CODE32		0x40fb
#define CODE16		0x00fb
#define STACK16		0x00f3

static void init_trial(struct trial *t, const uint8_t *at)
{
	init_cpu32(&t->cpu, AT32(at));
	init_vec(&t->vec, 6, PLEX86_X_X87 | PLEX86_X_SSE);
}

static struct plex86_seg seg(uint16_t attr, uint64_t base, uint32_t limit)
{
	return (struct plex86_seg){ .sel = 0x0f, .attr = attr, .base = base, .limit = limit };
}

static void test_data(struct plex86_space *s)
{
	uint32_t word = 0xabcd1234;
	struct trial t;

	memcpy(ram + RAM_DATA + 0x340, &word, 4);
	init_trial(&t, g32_load_ds);
	t.cpu.seg[PLEX86_DS] = seg(DATA32, VA_DATA + 0x300, 0xfff);
	t.cpu.gpr[PLEX86_RBX] = 0x40;
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT32(g32_load_ds_trap), MAY_RAX) &&
	       t.cpu.gpr[PLEX86_RAX] == word, "DS with a base");

	t.cpu = t.before;
	t.cpu.gpr[PLEX86_RBX] = 0xffd;	/* the last byte is beyond the limit */
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT32(g32_load_ds), 0),
	       "a load beyond the limit: TRAP, state exact");

	init_trial(&t, g32_store_es);
	t.cpu.seg[PLEX86_ES] = seg(DATA32_RO, 0, 0xffff);
	t.cpu.gpr[PLEX86_RBX] = 0x40;
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT32(g32_store_es), 0),
	       "a store to a read-only segment: TRAP, state exact");

	memcpy(ram + RAM_DATA + 0x1040, &word, 4);
	init_trial(&t, g32_load_es);
	t.cpu.seg[PLEX86_ES] = seg(DATA32_DOWN, VA_DATA, 0xfff);
	t.cpu.gpr[PLEX86_RBX] = 0x1040;
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT32(g32_load_es_trap), MAY_RAX) &&
	       t.cpu.gpr[PLEX86_RAX] == word, "an expand-down segment, above its limit");
	t.cpu = t.before;
	t.cpu.gpr[PLEX86_RBX] = 0x40;
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT32(g32_load_es), 0), "and below it: TRAP");
}

static void test_code(struct plex86_space *s)
{
	const uint64_t base = VA_CODE32 - 0x1000;
	struct trial t;

	init_trial(&t, g32_int3);
	t.cpu.seg[PLEX86_CS] = seg(CODE32, base, 0xfffff);
	t.cpu.rip = AT32(g32_int3) - base;
	run_to_trap(s, &t);
	report(is_trap(&t, 3) & same_state(&t, t.before.rip, 0),
	       "CS with a base: INT3: TRAP at it");
	init_trial(&t, g32_into);
	t.cpu.seg[PLEX86_CS] = seg(CODE32, base, 0xfffff);
	t.cpu.rip = AT32(g32_into) - base;
	t.cpu.rflags |= FLAG_OF;
	run_to_trap(s, &t);
	report(is_trap(&t, 4) & same_state(&t, t.before.rip, 0),
	       "CS with a base: INTO: TRAP at it");

	/* 16-bit: MOV AX, 1234H; ADD BX, AX; PUSH BX; HLT */
	memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0xb8, 0x34, 0x12, 0x01, 0xc3, 0x53, 0xf4 }, 7);
	init_trial(&t, g32_hlt);
	t.cpu.seg[PLEX86_CS] = seg(CODE16, VA_PATCH, 0xffff);
	t.cpu.seg[PLEX86_SS] = seg(STACK16, VA_STACK, 0x1fff);
	t.cpu.rip = 0;
	t.cpu.gpr[PLEX86_RBX] = 0x55550001;
	t.cpu.gpr[PLEX86_RSP] = 0x1000;
	run_to_trap(s, &t);
	report(is_trap(&t, 13) && t.cpu.rip == 6 && t.cpu.gpr[PLEX86_RBX] == 0x55551235 &&
	       t.cpu.gpr[PLEX86_RSP] == 0xffe && ram[RAM_STACK + 0xffe] == 0x35 &&
	       ram[RAM_STACK + 0xfff] == 0x12 &&
	       !memcmp(t.cpu.seg, t.before.seg, sizeof(t.cpu.seg)),
	       "16-bit code on a 16-bit stack");
}

/* 64-bit: MOV EAX, GS; HLT.  Which null selector it is can be read, so it matters. */
static void test_null(struct plex86_space *s)
{
	struct trial t;
	uint16_t sel;

	for (sel = 0; sel < 4; sel++) {
		memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0x8c, 0xe8, 0xf4 }, 3);
		init_cpu64(&t.cpu, VA_PATCH);
		init_vec(&t.vec, 6, PLEX86_X_X87 | PLEX86_X_SSE);
		t.cpu.seg[PLEX86_GS] = (struct plex86_seg){ .sel = sel, .attr = PLEX86_SEG_NULL };
		run_trial(s, &t, 0, FOREVER);
		report(is_reason(&t, PLEX86_EXIT_REFUSED) ?
		       t.exit.why && !memcmp(&t.cpu, &t.before, sizeof(t.cpu)) :
		       is_trap(&t, 13) && t.cpu.gpr[PLEX86_RAX] == sel &&
		       t.cpu.seg[PLEX86_GS].sel == sel,
		       "null selector %u in GS: refused, or read as it is", sel);
	}
}

void test_segments(void)
{
	struct plex86_space *s = fresh_space();
	struct trial t;

	test_null(s);
	if (!(caps->flags & PLEX86_CAP_COMPAT)) {
		skip("segments", "the engine runs no 32-bit code here");
	} else if (!(caps->flags & PLEX86_CAP_SEGMENTS)) {
		init_trial(&t, g32_load_ds);
		t.cpu.seg[PLEX86_DS] = seg(DATA32, VA_DATA, 0xfff);
		run_trial(s, &t, 0, FOREVER);
		report(is_reason(&t, PLEX86_EXIT_REFUSED) &&
		       !memcmp(&t.cpu, &t.before, sizeof(t.cpu)), "other segments are refused");
		skip("segments that aren't flat", "the engine has none (no CAP_SEGMENTS)");
	} else {
		test_data(s);
		test_code(s);
	}
	ops->space_destroy(s);
}
