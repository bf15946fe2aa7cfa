/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest whose CPU has more than the engine (plugin/beyond.h): its code runs natively, and
 * what the engine can't load is untouched, or the guest's code is left to Bochs.
 */
#include <string.h>

#include "plugin/beyond.h"
#include "vm.h"

#define CODE	UINT64_C(0x400000)
#define DATA	UINT64_C(0x600000)
#define CR4_OSXSAVE (1u << 18)
#define CR4_PKE	(1u << 22)
#define CR4_CET	(1u << 23)

static struct tables t;
static uint64_t code, data;

static void begin(void)
{
	vm_init(3);
	tables_init(&t, PAGING_LONG);
	vm.tables = &t;
	vm.bare = true;
	vm.ticks_left = 1000;
	code = frame_alloc();
	data = frame_alloc();
	memset(vm_host(code), 0x90, PAGE);
	tables_map(&t, CODE, code, P_USER);
	tables_map(&t, DATA, data, P_USER);
	vm.more_cr4 = CR4_OSXSAVE;
	vm.more_xcr0 = PLEX86_X_AVX512;
	vm.vec.valid = 7 | PLEX86_X_AVX512;
	memset(vm.vec.opmask, 0x11, sizeof(vm.vec.opmask));
	memset(vm.vec.hi16_zmm, 0x22, sizeof(vm.vec.hi16_zmm));
}

/* As an engine does: what it does not know is in its initial state when it returns. */
static void clear_unknown(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
			  struct plex86_exit *x)
{
	(void)s;
	(void)cpu;
	(void)x;
	memset(vec->opmask, 0xee, sizeof(vec->opmask));
	memset(vec->hi16_zmm, 0xee, sizeof(vec->hi16_zmm));
	memset(vec->zmm_hi256, 0xee, sizeof(vec->zmm_hi256));
	vec->valid &= engine.caps.xcr0;
}

static void held_back(void)
{
	struct plex86_vec was;

	begin();
	engine.harm = clear_unknown;
	vm_core(2, false);
	was = vm.vec;
	vm_do(ACT_EXEC, CODE);
	vm_do(ACT_EXEC, CODE + 16);
	vm_do(ACT_EXEC, CODE + 32);
	ok(engine.runs > 0 && vm.native_acts > 0);
	ok(!memcmp(&was, &vm.vec, sizeof(was)));
	is(vm.cpu.xcr0, 7 | PLEX86_X_AVX512, "XCR0 is the guest's again");

	/* VEX instructions zero what is up there; so nothing may be. */
	vm.vec.zmm_hi256[15][31] = 1;
	was = vm.vec;
	engine.runs = 0;
	vm_do(ACT_EXEC, CODE);
	is(engine.runs, 0, "ZMM in use: left to Bochs");
	ok(!memcmp(&was, &vm.vec, sizeof(was)));
	vm.vec.zmm_hi256[15][31] = 0;
	vm_do(ACT_EXEC, CODE);
	ok(engine.runs > 0);
	vm_close();
	tap_ok(vm_is_clean(), "nothing was broken");

	/* Without AVX in the host nothing can zero them. */
	begin();
	engine.caps.xcr0 = 3;
	engine.harm = clear_unknown;
	vm.vec.zmm_hi256[0][0] = 1;
	memset(vm.vec.ymm_hi, 0x33, sizeof(vm.vec.ymm_hi));
	vm_core(2, false);
	was = vm.vec;
	vm_do(ACT_EXEC, CODE);
	vm_do(ACT_EXEC, CODE + 16);
	ok(engine.runs > 0);
	ok(!memcmp(&was, &vm.vec, sizeof(was)));
	vm_close();
	tap_ok(vm_is_clean(), "an engine without AVX");
}

/* XGETBV and XSAVE would show that something is missing. */
static void seen(void)
{
	unsigned int more;

	for (more = 0; more < 2; more++) {
		begin();
		if (!more) {
			vm.more_xcr0 = 0;
			vm.vec.valid = 7;
		}
		engine.caps.flags |= PLEX86_CAP_XCR0;
		engine.caps.max_traps = 0;
		bochs_write(code + 100, 0xd0010f, 3);
		vm.unchecked = true;	/* the check does not know of PLEX86_CAP_XCR0 */
		vm_core(2, false);
		vm_do(ACT_EXEC, CODE);
		vm_do(ACT_EXEC, CODE);
		vm_do(ACT_READ, DATA);
		vm_do(ACT_READ, DATA);
		tap_ok((engine_prot(CODE) & PLEX86_PROT_EXEC) == (more ? 0 : PLEX86_PROT_EXEC), "XGETBV %s",
		       more ? "is kept off" : "may run");
		vm_close();
	}
}

static void keys(void)
{
	const uint64_t key = UINT64_C(5) << 59;

	begin();
	vm.more_xcr0 = PLEX86_X_PKRU;
	vm.vec.valid = 7;
	vm.more_cr4 |= CR4_PKE | CR4_CET;
	tables_map(&t, DATA + PAGE, data, P_USER | key);
	vm_core(2, false);
	vm_do(ACT_READ, DATA);
	vm_do(ACT_READ, DATA);
	ok(engine_prot(DATA) & PLEX86_PROT_READ);
	vm_do(ACT_READ, DATA + PAGE);
	vm_do(ACT_READ, DATA + PAGE);
	vm_do(ACT_READ, DATA);
	is(engine_prot(DATA + PAGE), 0, "a page with a key is left to Bochs");
	is(vm.cpu.cr4 & (CR4_PKE | CR4_CET), CR4_PKE | CR4_CET, "CR4 is the guest's again");

	/* The same tables, and keys mean nothing any more: another space. */
	vm.more_cr4 &= ~CR4_PKE;
	vm_do(ACT_READ, DATA + PAGE);
	vm_do(ACT_READ, DATA + PAGE);
	vm_do(ACT_READ, DATA + PAGE);
	ok(engine_prot(DATA + PAGE) & PLEX86_PROT_READ);
	vm_close();
	tap_ok(vm_is_clean(), "protection keys");
}

/* One instruction that the host lacks comes with others: not natively at once. */
static int undefined(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
		     struct plex86_exit *x)
{
	(void)s;
	(void)cpu;
	(void)budget_ns;
	x->reason = PLEX86_EXIT_TRAP;
	x->vector = PLEX86_VECTOR_UD;
	return 0;
}

/* A bit of MXCSR that a model of AMD's has: loading it would be a fault of the engine's. */
static void misaligned_sse(void)
{
	struct plex86_vec was;

	begin();
	engine.caps.mxcsr_mask = 0xffff;
	vm_core(2, false);
	vm.vec.legacy[26] |= 2;
	was = vm.vec;
	vm_do(ACT_EXEC, CODE);
	is(engine.runs, 0, "MXCSR.MM: left to Bochs");
	ok(!memcmp(&was, &vm.vec, sizeof(was)));
	vm.vec.legacy[26] &= ~2;
	vm_do(ACT_EXEC, CODE);
	ok(engine.runs > 0);
	vm_close();
	tap_ok(vm_is_clean(), "MXCSR");

	begin();
	engine.caps.mxcsr_mask = 0x2ffff;
	vm_core(2, false);
	vm.vec.legacy[26] |= 2;
	vm_do(ACT_EXEC, CODE);
	ok(engine.runs > 0);
	vm_close();
	tap_ok(vm_is_clean(), "and where the host has it, it runs");
}

static void packs(void)
{
	struct plex86_wait wait;

	begin();
	engine.script = undefined;
	vm_core(2, false);
	vm_do(ACT_READ, DATA);
	vm_do(ACT_READ, DATA);
	ok(engine.runs > 0);
	vm.icount += 1000000;	/* a burst that is worth it */
	/* An event is near: not before it, whatever else. */
	ok(!plex86_core_plan(vm.core, vm_place(t.cr3, CODE, vm.icount, 10), &wait));
	is(wait.ticks, 11, "ask behind the event");
	ok(!plex86_core_plan(vm.core, vm_place(t.cr3, CODE, vm.icount, 1000000), &wait));
	ok(wait.leave_page && wait.ticks > 0);
	vm.icount += wait.ticks;
	ok(plex86_core_plan(vm.core, vm_place(t.cr3, CODE, vm.icount, 1000000), &wait));
	/* The guest's kernel was called in between: that was another burst. */
	vm_do(ACT_READ, DATA);
	plex86_core_kernel_mode(vm.core, vm.icount);
	plex86_core_user_mode(vm.core, t.cr3, vm.icount);
	vm.icount += 100000000;
	ok(plex86_core_plan(vm.core, vm_place(t.cr3, CODE, vm.icount, 1000000), &wait));
	vm_close();
	tap_ok(vm_is_clean(), "#UD: Bochs goes on to the end of the page, or for a while");
}

int main(void)
{
	held_back();
	seen();
	keys();
	misaligned_sse();
	packs();
	return tap_done();
}
