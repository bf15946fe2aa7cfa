/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I8: what a slice costs the guest.  Ticks are charged for what ran, at least
 * one, and the budget that an engine gets ends at the next timer event.
 */
#include <string.h>

#include "plugin/core_internal.h"
#include "vm.h"

#define LA	UINT64_C(0x40000000)

static struct tables t;

/* What the engine reports, one run after the other. */
static struct report {
	uint32_t reason;
	uint64_t ran_ns, addr;
	uint32_t vector;	/* 0: unknown */
} reports[8];
static unsigned int nreports;
static uint64_t budgets[8];

static int scripted(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
		    struct plex86_exit *x)
{
	if (nreports == 8) {
		complain("more runs than expected");
		return -1;
	}
	budgets[nreports] = budget_ns;
	x->reason = reports[nreports].reason;
	x->vector = reports[nreports].vector ? reports[nreports].vector : PLEX86_VECTOR_UNKNOWN;
	x->ran_ns = reports[nreports].ran_ns;
	x->addr = reports[nreports].addr;
	x->access = PLEX86_ACCESS_KNOWN |
		    (x->addr && x->addr == (cpu->rip & -PAGE) ? PLEX86_ACCESS_EXEC : 0);
	cpu->gpr[PLEX86_R15]++;
	nreports++;
	return 0;
}

static void begin(uint64_t ips, uint64_t round_trip)
{
	struct plex86_core_config config;
	char why[PLEX86_WHY_LEN];
	unsigned int i;

	vm_init(17);
	tables_init(&t, PAGING_LONG);
	for (i = 0; i < 64; i++)
		tables_map(&t, LA + i * PAGE * 16, frame_alloc(), P_USER);
	vm.bare = true;
	vm.tables = &t;
	engine.caps.round_trip_ns = engine.caps.trip_ran_ns = round_trip;
	vm_core_config(&config);
	config.ips = ips;
	if (plex86_core_open(&config, &bochs_host_ops, &vm.core, why))
		complain("%s", why);
	for (i = 0; i < VM_RAM / VM_BLOCK; i++)
		plex86_core_set_block(vm.core, i, vm.object + vm.block[i]);
	engine.script = scripted;
}

static enum plex86_verdict slice(uint64_t ticks_left, struct report a, struct report b)
{
	vm.ticks_left = ticks_left;
	reports[0] = a;
	reports[1] = b;
	nreports = 0;
	return vm_slice_only();
}

static void end(const char *name)
{
	vm_close();
	tap_ok(vm_is_clean(), "%s", name);
}

/* Time until the next event is native time: of a slow guest's clock a few ticks are much. */
static void near_an_event(void)
{
	struct plex86_wait wait;
	unsigned int slow;

	for (slow = 0; slow < 2; slow++) {
		begin(slow ? 4000000 : 1000000000, 10000);
		plex86_core_user_mode(vm.core, t.cr3, vm.icount);
		vm.icount += 100000000;
		is(plex86_core_plan(vm.core, vm_place(t.cr3, LA, vm.icount, 400), &wait), slow,
		   "400 ticks before an event");
		end(slow ? "natively, where a tick is long" : "emulated, where it is short");
	}
}

static const struct report none;

static void one_run(void)
{
	begin(1000000000, 2000);
	is(slice(5000, (struct report){ PLEX86_EXIT_TRAP, 3500, 0, 0 }, none), PLEX86_STEP, "a trap");
	is(budgets[0], 5000, "the budget is the time to the next event");
	is(vm.slice.ticks, 1500, "charged: what ran without the round trip");
	slice(5000, (struct report){ PLEX86_EXIT_TRAP, 1999, 0, 0 }, none);
	is(vm.slice.ticks, 1, "less than a round trip: one tick");
	slice(5000, (struct report){ PLEX86_EXIT_TRAP, 0, 0, 0 }, none);
	is(vm.slice.ticks, 1, "no time at all: one tick");
	end("one run");

	begin(1000000000, 2000);
	is(slice(5000, (struct report){ PLEX86_EXIT_DEADLINE, 5100, 0, 0 }, none), PLEX86_RAN, "a deadline");
	is(vm.slice.ticks, 5000, "a deadline that has passed has passed");
	slice(5000, (struct report){ PLEX86_EXIT_DEADLINE, 9000, 0, 0 }, none);
	is(vm.slice.ticks, 7000, "late: no more than what ran");
	is(slice(5000, (struct report){ PLEX86_EXIT_KICK, 2100, 0, 0 }, none), PLEX86_RAN, "a kick");
	is(vm.slice.ticks, 100, "a kick is not a deadline");
	slice(0, (struct report){ PLEX86_EXIT_KICK, 100, 0, 0 }, none);
	ok(budgets[0] == 1 && vm.slice.ticks == 1);	/* an event is due already */
	slice(UINT64_MAX, (struct report){ PLEX86_EXIT_KICK, 100, 0, 0 }, none);
	is(budgets[0], UINT64_MAX, "no event at all");
	slice(5000, (struct report){ PLEX86_EXIT_KICK, UINT64_MAX, 0, 0 }, none);
	is(vm.slice.ticks, UINT32_MAX, "an absurd time does not wrap");
	end("one run and its end");
}

/* What a trip takes is learned: the least of short runs, in both directions. */
static void learned_trip(void)
{
	unsigned int i;

	begin(1000000000, 2000);
	slice(50000, (struct report){ PLEX86_EXIT_TRAP, 1500, 0, 0 }, none);
	slice(50000, (struct report){ PLEX86_EXIT_TRAP, 2500, 0, 0 }, none);
	is(vm.slice.ticks, 1000, "a shorter one counts at once");
	for (i = 0; i < 2 * 1024; i++)
		slice(50000, (struct report){ PLEX86_EXIT_TRAP, i % 2 ? 2400 : 40000, 0, 0 }, none);
	slice(50000, (struct report){ PLEX86_EXIT_TRAP, 2500, 0, 0 }, none);
	is(vm.slice.ticks, 100, "longer ones after a while, and not those that really ran");
	end("the length of a trip");
}

/* #UD is dearer than other traps, and the guest's clock must know by how much. */
static void undefined(void)
{
	struct report ud = { PLEX86_EXIT_TRAP, 7000, 0, PLEX86_VECTOR_UD };
	unsigned int i;

	begin(1000000000, 1000);
	for (i = 0; i < 200; i++) {
		slice(50000, ud, none);
		slice(50000, (struct report){ PLEX86_EXIT_TRAP, 1000, 0, 0 }, none);
	}
	slice(50000, ud, none);
	is(vm.slice.ticks, 1, "#UD: seven times the usual trip is learned");
	ud.ran_ns = 12000;
	slice(50000, ud, none);
	is(vm.slice.ticks, 5000, "and what ran beyond is charged");
	slice(50000, (struct report){ PLEX86_EXIT_TRAP, 3000, 0, 0 }, none);
	is(vm.slice.ticks, 2000, "other traps are as they were");
	end("the length of a trip that ends by #UD");
}

/* Time that a device cuts short is charged later, before anything else. */
static void unspent_time(void)
{
	const struct report late = { PLEX86_EXIT_DEADLINE, 8100, 0, 0 };

	begin(1000000000, 100);
	slice(5000, late, none);
	is(vm.slice.ticks, 8000, "3000 ticks too late");
	plex86_core_unspent(vm.core, 2900);
	slice(5000, (struct report){ PLEX86_EXIT_DEADLINE, 2200, 0, 0 }, none);
	is(budgets[0], 2100, "the budget is what the debt leaves of the time to the next event");
	is(vm.slice.ticks, 5000, "both are charged");
	slice(5000, late, none);
	plex86_core_unspent(vm.core, 6000);
	is(slice(5000, late, none), PLEX86_RAN, "a debt beyond the next event");
	is(nreports, 0, "leaves no time to run");
	is(vm.slice.ticks, 5000, "but time passes");
	is(vm.core->policy.start, vm.slice.icount + 5000, "for the policy too");
	slice(5000, (struct report){ PLEX86_EXIT_KICK, 1100, 0, 0 }, none);
	is(vm.slice.ticks, 2000, "then the rest, and no more");
	slice(5000, (struct report){ PLEX86_EXIT_KICK, 1100, 0, 0 }, none);
	is(vm.slice.ticks, 1000, "it is paid once");
	end("time that is charged later");
}

static void several_runs(void)
{
	const struct report trap = { PLEX86_EXIT_TRAP, 1300, 0, 0 };

	begin(1000000000, 1000);
	/* A page that the tables allow: mapped, and on. */
	is(slice(5000, (struct report){ PLEX86_EXIT_PAGE, 3000, LA, 0 }, trap), PLEX86_STEP, "a page, then a trap");
	is(nreports, 2, "two runs in one slice");
	is(budgets[1], 3000, "the second gets what the first left");
	is(vm.slice.ticks, 2300, "both are charged");
	is(slice(5000, (struct report){ PLEX86_EXIT_PAGE, 6000, LA + 16 * PAGE, 0 }, trap), PLEX86_STEP,
	   "a page when the time is over");
	is(nreports, 1, "no second run: Bochs does one instruction, then the event comes");
	is(vm.slice.ticks, 5000, "what ran is charged");
	slice(5000, (struct report){ PLEX86_EXIT_PAGE, 5999, LA + 32 * PAGE, 0 }, trap);
	is(nreports, 2, "a tick is left: run");
	is(budgets[1], 1, "for as long");
	end("several runs");
}

/* At any speed: deadlines pass, nothing is lost over many slices. */
static void long_run(uint64_t ips)
{
	struct rng r = { ips };
	uint64_t i, ns = 0, ticks = 0, late = 0, wrong = 0, left, ran;

	begin(ips, 0);
	for (i = 0; i < 20000; i++) {
		left = 1 + rng_below(&r, 100000);
		ran = 1 + 1000000000 / ips + rng_below(&r, 100000);
		slice(left, (struct report){ PLEX86_EXIT_KICK, ran, 0, 0 }, none);
		ns += ran;
		ticks += vm.slice.ticks;
		wrong += ticks != (unsigned __int128)ns * ips / 1000000000;
	}
	is(wrong, 0, "ticks are nanoseconds times speed, to the tick, all the time");
	for (i = 0; i < 20000; i++) {
		left = 1 + rng_below(&r, 100000);
		slice(left, (struct report){ PLEX86_EXIT_DEADLINE, 1, 0, 0 }, none);
		late += vm.slice.ticks < left || vm.slice.ticks > left + 1 + ips / 1000000000;
	}
	is(late, 0, "after a deadline the event is due, and the guest is not ahead of it");
	end("a long run");
}

/* An endless loop of page faults gets an end: events must come through. */
static int always_mapped(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
			 struct plex86_exit *x)
{
	nreports++;
	x->reason = PLEX86_EXIT_PAGE;
	x->addr = LA + (nreports % 1024) * 16 * PAGE;
	x->ran_ns = 0;
	x->access = PLEX86_ACCESS_KNOWN;
	return 0;
}

static void fault_storm(void)
{
	unsigned int i;

	begin(1000000000, 1000);
	engine.script = always_mapped;
	for (i = 0; i < 1024; i++)
		tables_map(&t, LA + i * PAGE * 16, 0x200000, P_USER);
	nreports = 0;
	vm.ticks_left = 1000000;
	vm_slice_only();
	ok(nreports >= 10 && nreports <= 100);
	tap_diag("%u runs", nreports);
	end("a storm of page faults ends");
}

/* An engine that faults on reading what it has: Bochs executes that, and time goes on. */
static int reads_in_vain(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
			 struct plex86_exit *x)
{
	x->reason = PLEX86_EXIT_PAGE;
	x->addr = LA;
	x->ran_ns = 0;
	x->access = PLEX86_ACCESS_KNOWN | (nreports++ ? 0 : PLEX86_ACCESS_EXEC);
	return 0;
}

static void fault_in_vain(uint64_t bits)
{
	begin(1000000000, 1000);
	tables_map(&t, LA, frame_alloc(), bits);
	engine.script = reads_in_vain;
	nreports = 0;
	vm.ticks_left = 1000000;
	is(vm_slice_only(), PLEX86_STEP, "code is mapped, but it can't be read: Bochs reads it");
	is(nreports, 2, "and nothing is tried again");
	end("a page fault that mapping does not help");
}

/* Behind MOV SS a CPU takes no interrupt, so Bochs has to execute one instruction first. */
static void behind_mov_ss(void)
{
	const struct report deadline = { PLEX86_EXIT_DEADLINE, 5100, 0, 0 };
	const struct report mapped = { PLEX86_EXIT_PAGE, 2100, LA, 0 };
	const struct report kick = { PLEX86_EXIT_KICK, 2100, 0, 0 };
	uint64_t code;

	begin(1000000000, 2000);
	code = frame_alloc();
	tables_map(&t, LA, code, P_USER);
	memcpy(vm_host(code), (const uint8_t[]){ 0x8e, 0xd0, 0x90 }, 3);
	vm.cpu.rip = LA + 2;
	is(slice(5000, mapped, kick), PLEX86_STEP, "a kick behind MOV SS, when its page was mapped");
	is(slice(5000, deadline, none), PLEX86_STEP, "a deadline there");
	vm.cpu.rip = LA + 3;
	is(slice(5000, deadline, none), PLEX86_STEP, "one instruction later: it is too near to tell");
	vm.cpu.rip = LA + 16;
	is(slice(5000, deadline, none), PLEX86_RAN, "a deadline elsewhere");
	end("behind MOV SS");
}

/* Ctrl-C: a kick before the run ends it at once. */
static void kicks(void)
{
	begin(1000000000, 100);
	engine.script = NULL;
	vm.bare = true;
	plex86_core_kick(vm.core);
	ok(!vm_native(ACT_READ, LA));
	is(vm.verdict, PLEX86_RAN, "a kick ends the slice, and events are looked at");
	ok(vm_native(ACT_READ, LA));
	end("kicks");
}

int main(void)
{
	one_run();
	learned_trip();
	undefined();
	unspent_time();
	several_runs();
	long_run(1000000000);
	long_run(15000000);
	long_run(333333333);
	long_run(3999999999);
	fault_storm();
	fault_in_vain(P_USER);
	fault_in_vain(P_USER & ~(uint64_t)P_W);
	kicks();
	behind_mov_ss();
	near_an_event();
	return tap_done();
}
