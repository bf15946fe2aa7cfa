/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I10: whatever an engine refuses, and whenever, the guest goes on in Bochs from
 * an exact state, the space is made again, and the user is told once.
 */
#include <stdlib.h>
#include <string.h>

#include "plugin/core_internal.h"
#include "vm.h"

#define CODE	UINT64_C(0x400000)
#define DATA	UINT64_C(0x40000000)
#define ACTS	400

static struct tables a, b;
static struct act act[ACTS];

static void kernel(uint64_t arg)
{
	struct tables *t = arg & 1 ? &a : &b;
	uint64_t at = tables_entry(t, DATA + (arg >> 1) % 16 * PAGE, 1, false);

	vm.tables = vm.tables == &a ? &b : &a;
	tables_entry_write(t, at, tables_entry_read(t, at) ^ P_A);
}

static void make_program(void)
{
	struct rng r = { 20 };
	unsigned int i, k;

	for (i = 0; i < ACTS; i++) {
		k = rng_below(&r, 20);
		act[i].kind = k < 9 ? ACT_READ : k < 16 ? ACT_WRITE : k < 19 ? ACT_EXEC : ACT_CALL;
		act[i].la = act[i].kind == ACT_EXEC ? CODE + rng_below(&r, 2 * PAGE)
						    : DATA + rng_below(&r, 16 * PAGE);
		act[i].arg = act[i].kind == ACT_CALL ? rng_next(&r) : 0;
	}
}

static void begin(bool native)
{
	struct tables *t;
	unsigned int i;

	vm_init(19);
	for (t = &a;; t = &b) {
		uint64_t code = frame_alloc();

		tables_init(t, PAGING_LONG);
		for (i = 0; i < 16; i++)
			tables_map(t, DATA + i * PAGE, frame_alloc(), P_USER);
		tables_map(t, CODE, code, P_USER & ~P_W);
		tables_map(t, CODE + PAGE, frame_alloc(), P_USER & ~P_W);
		bochs_write(code + 0x80, 0xa20f, 8);	/* traps are set, of both kinds */
		bochs_write(code + 0x180, 0x310f, 8);
		if (t == &b)
			break;
	}
	vm.tables = &a;
	vm.on_call = kernel;
	vm.cpu.rip = CODE + PAGE;
	vm.cpu.mode = PLEX86_MODE_64;
	engine.caps.flags &= ~PLEX86_CAP_TRAP_TSC;
	if (native)
		vm_core(2, false);
}

/* The whole program, with call number @at failing in the way @kind. */
static uint64_t play(uint64_t at, enum fail_kind kind, unsigned int *errors)
{
	uint64_t digest;

	begin(true);
	engine.fail_at = at;
	engine.fail_kind = kind;
	vm_run(act, ACTS);
	digest = vm_digest();
	*errors = vm.log_errors;
	vm_close();
	return digest;
}

static void each_call(void)
{
	static const char *const names[] = { "an error", "LOST", "REFUSED" };
	uint64_t digest, calls, at, wrong, unfailed, untold, unmade;
	unsigned int errors;
	enum fail_kind kind;

	begin(false);
	vm_run(act, ACTS);
	digest = vm_digest();
	vm_close();
	ok(play(0, FAIL_ERRNO, &errors) == digest);
	ok(!errors && vm.native_acts > ACTS / 2 && engine.trap_sets && engine.tsc_sets);
	calls = engine.calls;
	tap_diag("%llu calls of the engine", (unsigned long long)calls);

	for (kind = FAIL_ERRNO; kind <= FAIL_REFUSED; kind++) {
		wrong = unfailed = untold = unmade = 0;
		for (at = 1; at <= calls; at++) {
			uint64_t got = play(at, kind, &errors);

			if (got != digest || !vm_is_clean()) {
				tap_diag("failure of call %llu", (unsigned long long)at);
				wrong++;
			}
			unfailed += engine.failed != 1;
			untold += errors > 1;
			/* It ran natively again afterwards, but for the very last calls. */
			unmade += at < calls - 10 && vm.native_acts < ACTS / 3;
		}
		tap_ok(!wrong && !unfailed, "%s at each call in turn: the guest's state is exact",
		       names[kind]);
		is(untold, 0, "the user is told once at the most");
		is(unmade, 0, "and native code goes on");
	}
}

/* Again and again. */
static void all_the_time(void)
{
	enum fail_kind kind;
	uint64_t digest;
	unsigned int i;

	begin(false);
	for (i = 0; i < 20; i++)
		vm_run(act, ACTS);
	digest = vm_digest();
	vm_close();
	for (kind = FAIL_ERRNO; kind <= FAIL_REFUSED; kind++) {
		begin(true);
		engine.fail_chance = 200;
		engine.fail_kind = kind;
		for (i = 0; i < 20; i++) {
			vm_run(act, ACTS);
			vm.icount += UINT64_C(400000000);	/* earlier ones are forgotten */
		}
		ok(vm_digest() == digest);
		ok(engine.failed > 50);
		tap_diag("%llu failures, %u lines in the log", (unsigned long long)engine.failed,
			 vm.log_count);
		/* A few different things happened; each is told once. */
		ok(vm.log_count <= 6);
		vm_close();
		ok(vm_is_clean());
	}
}

/*
 * Spaces that can be made, but not filled, as when no more memory may be locked:
 * the guest is not held up by making them, and comes back when there is memory.
 */
static uint64_t creates_in(unsigned int times)
{
	uint64_t before = engine.creates;

	while (times--)
		vm_run(act, ACTS);
	return engine.creates - before;
}

static void thrashing(void)
{
	uint64_t first, later;
	unsigned int i;

	begin(true);
	engine.fail_apply = true;
	first = creates_in(50);
	later = creates_in(50);
	tap_diag("%llu spaces, then %llu", (unsigned long long)first, (unsigned long long)later);
	ok(first >= 3 && first < 20 && later < 3 && !vm.native_acts);
	is(vm.log_errors, 1, "line about it");
	/* For hours: it is told once more, and that was it. */
	for (i = 0; i < 100; i++) {
		vm.icount = vm.icount + UINT64_C(400000000);
		creates_in(1);
	}
	ok(vm.log_errors <= 2);
	/* Memory is there again. */
	engine.fail_apply = false;
	vm.icount += UINT64_C(400000000);
	creates_in(2);
	ok(vm.native_acts > ACTS / 2);
	/* Long after, the first loss is the first of its kind. */
	vm.icount += UINT64_C(4000000000);
	engine.fail_at = engine.calls + 1;
	creates_in(1);
	vm.native_acts = 0;
	creates_in(1);
	ok(vm.native_acts > ACTS / 2);
	vm_close();
	ok(vm_is_clean());
}

static void no_space_at_all(void)
{
	uint64_t digest, first, later;

	begin(false);
	vm_run(act, ACTS);
	digest = vm_digest();
	vm_close();
	begin(true);
	engine.fail_create = true;
	vm_run(act, ACTS);
	ok(vm_digest() == digest && !vm.native_acts);
	ok(vm.log_count == 1 && strstr(vm.log[0], "no space can be made"));
	/* It is tried less and less often. */
	creates_in(50);
	first = vm.core->stats.refused[PLEX86_REFUSE_ENGINE];
	creates_in(50);
	later = vm.core->stats.refused[PLEX86_REFUSE_ENGINE] - first;
	tap_diag("%llu tries, then %llu", (unsigned long long)first, (unsigned long long)later);
	ok(first >= 3 && first < 20 && later < 3);
	/* Memory is there again. */
	vm.icount += UINT64_C(400000000);
	engine.fail_create = false;
	vm_run(act, ACTS);
	ok(vm.native_acts > ACTS / 2);
	vm_close();
	ok(vm_is_clean());
}

/* Without room for another space, one that is there goes. */
static int runs;

static int count_and_run(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
			 struct plex86_exit *x)
{
	runs++;
	x->reason = PLEX86_EXIT_KICK;
	return 0;
}

static void little_room(void)
{
	begin(true);
	engine.script = count_and_run;
	vm_slice_only();
	vm.tables = &b;
	engine.fail_at = engine.calls + 1;	/* the second space_create() */
	vm_slice_only();
	is(runs, 2, "it ran");
	is(engine.nspaces, 1, "in place of the first");
	ok(engine.failed == 1 && engine.destroys == 1);
	vm_close();
	ok(vm_is_clean());
}

/* Two refusals by turns, and a lost space among them, do not fill the log. */
static void told_once(void)
{
	unsigned int i, refusals, losses;

	begin(true);
	for (i = 0; i < 100; i++) {
		vm.env.smm = i % 3 == 1;
		engine.fail_at = i % 3 == 0 ? engine.calls + 1 : 0;
		engine.fail_kind = i % 2 ? FAIL_REFUSED : FAIL_LOST;
		vm.act = act;
		vm.nacts = ACTS;
		vm.cpu.gpr[REG_NEXT] = i;
		vm_slice_only();
	}
	for (i = refusals = losses = 0; i < vm.log_count && i < LOG_LINES; i++) {
		refusals += !!strstr(vm.log[i], "left to Bochs");
		losses += !!strstr(vm.log[i], "was lost (");
	}
	tap_diag("%u lines: %u of refusals, %u of losses", vm.log_count, refusals, losses);
	ok(vm.log_count <= 5 && losses <= 1 && refusals >= 1);
	vm_close();
	ok(vm_is_clean());
}

/* How many acts of the program run natively in it. */
static uint64_t one_slice(void)
{
	uint64_t before = vm.native_acts;

	vm.act = act;
	vm.nacts = ACTS;
	vm.cpu.gpr[REG_NEXT] = 0;
	vm_slice_only();
	return vm.native_acts - before;
}

/* The time without spaces after losses ends with a reset, which takes the clock back. */
static void lost_and_reset(void)
{
	unsigned int i;

	begin(true);
	vm.icount = UINT64_C(1) << 40;
	engine.fail_kind = FAIL_LOST;
	for (i = 0; i < 40; i++) {
		engine.fail_at = engine.calls + 1 + i % 3;
		one_slice();
		vm.icount += 1000;
	}
	engine.fail_at = 0;
	ok(vm.core->world.stats.spaces_lost > 1 && vm.core->spare_until > vm.icount);
	is(one_slice(), 0, "no time for spaces");
	vm.icount = 0;
	bochs_flush_icache();
	plex86_core_drop_all(vm.core);
	ok(one_slice() > 0);
	vm_close();
	ok(vm_is_clean());
}

/* engine=none, and an engine that is not there. */
static void without_engine(void)
{
	struct plex86_core_config config;
	struct plex86_core *core = NULL;
	char why[PLEX86_WHY_LEN] = "";

	vm_init(21);
	vm_core_config(&config);
	config.engine = "driver";
	ok(plex86_core_open(&config, &bochs_host_ops, &core, why) < 0 && !core && why[0]);
	config.block_size = 5;
	why[0] = 0;
	ok(plex86_core_open(&config, &bochs_host_ops, &core, why) < 0 && !core && why[0]);
	vm_close();

	begin(false);
	config.engine = "none";
	config.block_size = VM_BLOCK;
	config.ram = vm.object;
	ok(!plex86_core_open(&config, &bochs_host_ops, &vm.core, why));
	ok(!strcmp(plex86_core_engine_name(vm.core), "none"));
	vm_run(act, ACTS);
	plex86_core_drop_all(vm.core);
	plex86_core_kick(vm.core);
	is(vm.verdict, PLEX86_EMULATE, "engine=none: all is Bochs's");
	is(vm.native_acts, 0, "and nothing runs");
	vm_close();
	ok(vm_is_clean() && !engine.opened);
}

int main(void)
{
	make_program();
	each_call();
	all_the_time();
	thrashing();
	no_space_at_all();
	little_room();
	told_once();
	lost_and_reset();
	without_engine();
	return tap_done();
}
