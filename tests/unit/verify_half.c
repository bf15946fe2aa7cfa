/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verify mode where native code is at no boundary: instructions that fault half way, and what
 * QEMU's CPU does.  Another half, or the whole, is a difference all the same.
 */
#include "verify_vm.h"

/* At the fault that is the guest's own. */
static void harm_faults(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
			struct plex86_exit *x)
{
	if (when && x->reason == PLEX86_EXIT_PAGE && x->addr >= DATA + MANY * PAGE && how(s, cpu, vec)) {
		when = 0;
		harmed++;
	}
}

/* At the fault of an ACT_BOTH's second store to the third page. */
static void harm_second(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
			struct plex86_exit *x)
{
	if (when && x->reason == PLEX86_EXIT_PAGE && x->addr == DATA + 2 * PAGE && how(s, cpu, vec)) {
		when = 0;
		harmed++;
	}
}

/* An instruction too few, before a call. */
static void harm_undone(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
			struct plex86_exit *x)
{
	if (when && x->reason != PLEX86_EXIT_PAGE && cpu->gpr[REG_NEXT] == 2) {
		when = 0;
		cpu->gpr[REG_NEXT]--;
		harmed++;
	}
}

static bool last_bytes(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	uint8_t *page = some_copy(s);

	return page && flip(page + PAGE - 8, 8, rng_next(&dice) >> 20);
}

static bool first_bytes(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	uint8_t *page = some_copy(s);

	return page && flip(page, PAGE - 64, rng_next(&dice) >> 20);
}

/* An instruction that faults when it has stored a part: Bochs stores the same part, and then it is compared. */
static void half_way(void)
{
	static const struct act half[] = {
		{ ACT_WRITE, DATA + PAGE, 0 },
		{ ACT_BOTH, DATA + 16, DATA + MANY * PAGE },	/* nothing is there */
		{ ACT_BOTH, DATA + 2 * PAGE, DATA + 3 * PAGE },
	};
	uint64_t digest;

	begin(false);
	vm_run(half, 3);
	digest = vm_digest();
	vm_close();

	begin(true);
	vm_run(half, 3);
	ok(vm_digest() == digest);
	ok(!stats()->differences && stats()->slices > 1);
	is(stats()->tolerated[PLEX86_TOLERATED_HALF], 1, "a fault half way is the same, and counted");
	vm_close();

	/* When it faults, the first slice has written two pages and its half: one bit of that is wrong. */
	begin(true);
	how = memory;
	when = 1;
	harmed = 0;
	engine.harm = harm_faults;
	vm_run(half, 3);
	ok(harmed && vm_digest() == digest);
	is(stats()->differences, 1, "another half is a difference");
	is(stats()->tolerated[PLEX86_TOLERATED_HALF], 0, "and not taken for the same");
	vm_close();
	ok(vm_is_clean());
}

/* QEMU's CPU does a part of a store that faults, at the end of a page. */
static void tcg(void)
{
	static const struct act store[] = {
		{ ACT_WRITE, DATA + PAGE, 0 },
		{ ACT_READ, DATA + MANY * PAGE, 0 },	/* nothing is there */
	};
	static const struct {
		bool tcg;
		bool (*how)(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec);
		bool same;
		const char *name;
	} t[] = {
		{ true, last_bytes, true, "the beginning of a store, and it faults: QEMU's CPU" },
		{ false, last_bytes, false, "not on another" },
		{ true, first_bytes, false, "nor elsewhere in the page" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(t) / sizeof(*t); i++) {
		begin(true);
		vm.core->verify->tcg = t[i].tcg;
		how = t[i].how;
		when = 1;
		harmed = 0;
		engine.harm = harm_faults;
		vm_run(store, 2);
		is(stats()->differences, !t[i].same, t[i].name);
		ok(harmed && stats()->tolerated[PLEX86_TOLERATED_HALF] == t[i].same);
		vm_close();
	}
	ok(vm_is_clean());
}

/* It stops at a string instruction that is done. */
static void tcg_string(void)
{
	static const struct {
		const char *code;
		bool tcg;
		uint64_t rcx;
		enum plex86_mode mode;
		unsigned int steps;
	} t[] = {
		{ "\xf3\xa4", true, 0, PLEX86_MODE_64, 2 },
		{ "\xf3\xa4", false, 0, PLEX86_MODE_64, 0 },
		{ "\xf3\xa4", true, 1, PLEX86_MODE_64, 0 },
		{ "\xf3\xa4", true, UINT64_C(1) << 32, PLEX86_MODE_64, 0 },
		{ "\x67\xf3\xa4", true, UINT64_C(1) << 32, PLEX86_MODE_64, 3 },
		{ "\xf2\x48\xaf", true, 0, PLEX86_MODE_64, 3 },
		{ "\xf3\xa8", true, 0, PLEX86_MODE_64, 0 },
		{ "\xa4\xf3", true, 0, PLEX86_MODE_64, 0 },
		{ "\xf3\xab", true, 0x10000, PLEX86_MODE_COMPAT, 2 },	/* 16-bit code: CS.D is 0 */
		{ "\x67\xf3\xab", true, 0x10000, PLEX86_MODE_COMPAT, 0 },
	};
	static const struct act write = { ACT_WRITE, DATA, 0 };
	struct plex86_verify *v;
	struct translation to;
	unsigned int i, k;

	begin(true);
	v = vm.core->verify;
	vm_run(&write, 1);
	tables_translate(&a, CODE, &to);
	for (i = 0; i < sizeof(t) / sizeof(*t); i++) {
		for (k = 0; k < 3; k++)
			bochs_write(to.pa + k, (uint8_t)t[i].code[k], 1);
		v->tcg = t[i].tcg;
		v->end = vm.cpu;
		v->end.rip = CODE;
		v->end.mode = t[i].mode;
		v->end.seg[PLEX86_CS].attr = t[i].mode == PLEX86_MODE_64 ? PLEX86_SEG_L : 0;
		v->end.gpr[PLEX86_RCX] = t[i].rcx;
		plex86_half_end(v);
		is(v->end.rip - CODE, t[i].steps, "a string instruction that is done");
	}
	vm_close();
}

static void clean(uint64_t la)
{
	uint64_t at = tables_entry(&a, la, 1, false);

	tables_entry_write(&a, at, tables_entry_read(&a, at) & ~P_D);
}

/* The same where only native code faults: the other page is not dirty yet, so Bochs executes it, as a whole. */
static void half_way_alone(void)
{
	static const struct act half[] = {
		{ ACT_WRITE, DATA + PAGE + 64, 0 },
		{ ACT_BOTH, DATA + PAGE + 16, DATA + 2 * PAGE },
		{ ACT_WRITE, DATA + PAGE + 32, 0 },
	};
	static const struct act whole[][3] = {
		{
			{ ACT_WRITE, DATA + PAGE + 64, 0 },
			{ ACT_WRITE, DATA + PAGE + 16, 0 },
			{ ACT_CALL, 0, 0 },
		}, {
			{ ACT_WRITE, DATA + PAGE + 64, 0 },
			{ ACT_WRITE, DATA + 2 * PAGE - 8, 0 },	/* as of one that goes on behind it */
			{ ACT_CALL, 0, 0 },
		},
	};
	uint64_t digest;
	unsigned int wrong;

	begin(false);
	clean(DATA + 2 * PAGE);
	vm_run(half, 3);
	digest = vm_digest();
	vm_close();

	for (wrong = 0; wrong < 2; wrong++) {
		begin(true);
		clean(DATA + 2 * PAGE);
		how = memory;
		when = wrong;
		harmed = 0;
		engine.harm = harm_second;
		vm_run(half, 3);
		ok(vm_digest() == digest && harmed == wrong);
		is(stats()->differences, wrong, wrong ? "another half is a difference" :
							"native code alone faults half way: the same");
		is(stats()->tolerated[PLEX86_TOLERATED_HALF], !wrong, "and counted");
		vm_close();
	}

	/* What is done as a whole, and reported as not done. */
	for (wrong = 0; wrong < 4; wrong++) {
		begin(true);
		vm.bare = true;			/* else REG_HASH would tell */
		vm.core->verify->tcg = wrong & 1;
		when = 1;
		harmed = 0;
		engine.harm = harm_undone;
		vm_run(whole[wrong / 2], 3);
		ok(harmed);
		is(stats()->differences, wrong < 3, "the whole is not a half, but at the end of a page on QEMU's CPU");
		vm_close();
	}
	ok(vm_is_clean());
}

int main(void)
{
	case_file = "verify-half-unit.case";
	half_way();
	half_way_alone();
	tcg();
	tcg_string();
	return tap_done();
}
