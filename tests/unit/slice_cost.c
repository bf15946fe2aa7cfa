/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin/slice_cost.c, plan.c: what the policy is told of runs into a page for Bochs.
 * Time that is noise must not pass for profit.
 */
#include "plugin/slice.h"

#include "vm.h"

#define CODE	UINT64_C(0x400000)
#define FOREIGN	(CODE + PAGE)
#define DATA	UINT64_C(0x10000000)
#define TRIP	10000

static struct tables t;

/* How long the next run takes, ns. */
static uint64_t ran_ns;

/* Does the next run end by a system call? */
static bool kernel;

/* Does an instruction run over into the page for Bochs, on an engine that does not say what a fault was? */
static bool over;

/* Code at CODE that calls into the page for Bochs, or the kernel. */
static int calls(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
		 struct plex86_exit *x)
{
	(void)s;
	(void)budget_ns;
	x->ran_ns = ran_ns;
	x->reason = kernel ? PLEX86_EXIT_TRAP : PLEX86_EXIT_PAGE;
	if (kernel)
		return 0;
	cpu->rip = over ? FOREIGN - 2 : FOREIGN;
	x->addr = FOREIGN;
	x->access = over ? 0 : PLEX86_ACCESS_KNOWN | PLEX86_ACCESS_EXEC;
	return 0;
}

static void begin(void)
{
	uint64_t frame[2];
	unsigned int i, j;

	vm_init(3);
	tables_init(&t, PAGING_LONG);
	vm.tables = &t;
	vm.bare = true;
	kernel = false;
	vm.ticks_left = UINT32_MAX;
	for (i = 0; i < 2; i++) {
		frame[i] = frame_alloc();
		for (j = 0; j < PAGE; j += 8)	/* NOPs, and CPUID too often for traps */
			bochs_write(frame[i] + j, i ? UINT64_C(0xa20f9090a20f9090) :
						      UINT64_C(0x9090909090909090), 8);
		tables_map(&t, CODE + i * PAGE, frame[i], P_USER);
	}
	engine.caps.round_trip_ns = TRIP;
	engine.caps.trip_ran_ns = TRIP;
	vm_core(2, false);
	engine.script = calls;
}

static void call(uint64_t took)
{
	ran_ns = took;
	vm.cpu.rip = CODE;
	if (vm_slice_only() != PLEX86_STEP)
		complain("Bochs should execute what is in the other page");
}

static const struct plex86_account *account(void)
{
	return vm.core->policy.now;
}

static void end(const char *name)
{
	vm_close();
	tap_ok(vm_is_clean(), "%s", name);
}

/* What the page's laps are known to be once Bochs has counted one of @insns instructions. */
static void lap(uint64_t insns)
{
	struct plex86_wait wait;
	bool surely = true;

	if (!vm.core->lap.most)
		return;
	plex86_core_plan(vm.core, vm_place(t.cr3, FOREIGN, vm.icount += 2, UINT32_MAX), &wait);
	surely &= wait.leave_page && wait.surely;
	plex86_core_plan(vm.core, vm_place(t.cr3, CODE, vm.icount += 2, UINT32_MAX), &wait);
	surely &= wait.leave_page && wait.surely;
	plex86_core_plan(vm.core, vm_place(t.cr3, FOREIGN, vm.icount += insns, UINT32_MAX), &wait);
	if (!surely || wait.surely)
		complain("Bochs must notice each page while it counts, and not after");
}

/* Whatever the time was that they took: short laps earn little. */
static void noise(const char *name)
{
	unsigned int i, bad = 0;

	for (i = 0; i < 400; i++) {
		call(i % 4 ? 6 * TRIP : TRIP);
		lap(500);
		bad += i >= 200 && !account()->wait;
	}
	is(bad, 0, "each of them is a loss");
	ok(account()->strikes >= 5);
	ok(vm.core->stuck && vm.core->stuck_rip == FOREIGN);
	end(name);
}

/* Code that does something before it calls. */
static void work(void)
{
	unsigned int i;

	begin();
	for (i = 0; i < 100; i++) {
		call(5 * TRIP + i % 4 * 1000);
		lap(100 * vm.core->policy.break_even);
	}
	is(account()->strikes, 0, "what takes long, and is a long way, is believed");
	ok(account()->credit > 0);
	end("runs that are worth it earn what they took");

	begin();
	call(TRIP);
	for (i = 0; i < 200; i++) {
		call(2 * TRIP);
		lap(2 * vm.core->policy.break_even);
	}
	is(account()->strikes, 0, "a shorter way, too");
	ok(account()->credit > 0);
	end("short runs that are worth it");
}

/*
 * Bursts that all take the same are not what a trip takes, as a timer tick cuts one off early now
 * and then.
 */
static void steady(void)
{
	unsigned int i;

	begin();
	kernel = true;
	for (i = 0; i < 10000; i++) {
		ran_ns = i % 130 == 129 ? TRIP + i % 7 * 3000 : 3 * TRIP;
		vm.cpu.rip = CODE;
		vm_slice_only();
	}
	is(account()->strikes, 0, "each has earned what it took");
	ok(account()->credit > 0);
	end("bursts of one length");
}

/* What a trip takes is known to a space that is new: others have learned it. */
static void inherited(void)
{
	unsigned int i;

	begin();
	kernel = true;
	for (i = 0; i < 1024; i++) {
		ran_ns = 2 * TRIP;
		vm.cpu.rip = CODE;
		vm_slice_only();
	}
	is(vm.core->world.trip.ns, 2 * TRIP, "learned");
	plex86_core_drop_all(vm.core);
	ran_ns = 3 * TRIP;
	vm.cpu.rip = CODE;
	vm_slice_only();
	is(vm.core->last->trip.ns, 2 * TRIP, "and kept");
	is(vm.slice.ticks, TRIP, "the rest is the guest's own");
	end("a new space");
}

/* Nor is it the guest's own that pages which were mapped a moment ago are cold. */
static void cold(void)
{
	const unsigned int pages = 16;
	uint64_t before, entry;
	unsigned int i;

	begin();
	engine.script = NULL;
	for (i = 0; i < pages; i++) {	/* not beside each other: each is an operation */
		tables_map(&t, DATA + 2 * i * PAGE, frame_alloc(), P_USER);
		ok(vm_native(ACT_WRITE, DATA + 2 * i * PAGE));
	}
	engine.script = calls;
	kernel = true;
	ran_ns = TRIP;
	vm.cpu.rip = CODE;
	vm_slice_only();
	ran_ns = TRIP + 2000 + pages * 500;
	before = account()->length;
	vm.cpu.rip = CODE;
	vm_slice_only();
	is(account()->length - before, pages * 500 * PLEX86_NATIVE_INSNS_PER_NS,
	   "what is beyond a trip and cold caches is the guest's own");
	for (i = 0; i < pages; i++) {
		entry = tables_entry(&t, DATA + 2 * i * PAGE, 1, false);
		tables_entry_write(&t, entry, tables_entry_read(&t, entry) & ~P_W);
	}
	before = account()->length;
	vm.cpu.rip = CODE;
	vm_slice_only();
	is(account()->length - before, 0, "but not if as many pages were write-protected before, by a fork()");
	end("a run behind changes of the page tables");
}

/* Nothing is counted once the kernel has been entered, nor in another process. */
static void interrupted(void)
{
	struct plex86_wait wait;

	begin();
	call(TRIP);
	ok(vm.core->lap.most);
	plex86_core_kernel_mode(vm.core, vm.icount);
	is(vm.core->lap.most, 0, "the kernel ends it");
	plex86_core_user_mode(vm.core, t.cr3, vm.icount);
	call(TRIP);
	ok(vm.core->lap.most);
	plex86_core_plan(vm.core, vm_place(t.cr3 + PAGE, FOREIGN, vm.icount, UINT32_MAX), &wait);
	is(vm.core->lap.most, 0, "another process ends it");
	ok(!wait.surely);
	end("laps that don't end");
}

/* The page is charged with what Bochs executes on its account. */
static void blame(void)
{
	const struct plex86_shadow *s;
	uint64_t before, after;
	unsigned int i;

	begin();
	for (i = 0; i < 20; i++)
		call(TRIP);
	s = vm.core->last;
	before = s->traps.hot[0].emulated;
	call(TRIP);
	after = s->traps.hot[0].emulated;
	is(s->traps.hot[0].la, FOREIGN, "the page is known");
	is(after - before, vm.core->policy.break_even + account()->wait,
	   "it is charged with a visit and with the wait");
	end("what a page's stops cost");
}

/* A process that no engine can run, in bursts that would pay: to find that out costs next to nothing. */
static void refused(void)
{
	struct plex86_wait wait;
	uint64_t begun, wasted = 0, left, n;
	unsigned int i;

	begin();
	vm.cpu.rip = CODE;
	vm.env.monitor = true;
	begun = vm.icount;
	for (i = 0; i < 2000; i++) {
		left = 2 * vm.core->policy.break_even;
		n = plex86_core_user_mode(vm.core, t.cr3, vm.icount);
		while (n < left) {
			left -= n;
			vm.icount += n;
			if (plex86_core_plan(vm.core, vm_place(t.cr3, CODE, vm.icount, UINT32_MAX), &wait)) {
				if (vm_slice_only() != PLEX86_EMULATE)
					complain("it should be refused");
				wasted += (uint64_t)(PLEX86_SLICE_NS / vm.core->policy.insn_ns);
				wait = vm.slice.wait;
			}
			n = wait.ticks;
		}
		vm.icount += left;
		plex86_core_kernel_mode(vm.core, vm.icount);
	}
	tap_diag("%.2f %% of the time was wasted", 100.0 * wasted / (vm.icount - begun));
	ok(wasted && wasted < (vm.icount - begun) / 50);
	end("a process that can't run natively");
}

int main(void)
{
	begin();
	noise("vain runs that take long earn nothing");
	begin();
	over = true;
	noise("vain runs up to an instruction that is in two pages");
	over = false;
	work();
	steady();
	inherited();
	cold();
	interrupted();
	blame();
	refused();
	return tap_done();
}
