/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time: endless user loops are preempted by every timer, clocks run forwards.
 * When a tick comes is nobody's business here.
 */
#include "tk.h"

#define PROGRAM(name) extern const u8 time_##name[], time_##name##_end[]
PROGRAM(jump);
PROGRAM(memory);
PROGRAM(string);
PROGRAM(calls);
PROGRAM(cpuid);
PROGRAM(x87);
PROGRAM(lock);
PROGRAM(io);
PROGRAM(mov_ss);
PROGRAM(umwait);
PROGRAM(tsc_order);
PROGRAM(rdtsc);
PROGRAM(rdtscp);
PROGRAM(cli_then_sti);
PROGRAM(spin_forever);
#define LOAD(name) load_blob(time_##name, time_##name##_end)

#define MSR_TSC_AUX	0xc0000103
#define CPUID_RDTSCP	(1u << 27)	/* 80000001, edx */
#define LAPIC_COUNT	50000u
#define CPUID_WAITPKG	(1u << 5)	/* 7, ecx */

#define COM1		0x3f8
#define COM1_VECTOR	(VEC_IRQ + 4)

static const struct loop {
	const char *name;
	const u8 *start, *end;
} loops[] = {
	{ "jump", time_jump, time_jump_end },
	{ "memory", time_memory, time_memory_end },
	{ "string", time_string, time_string_end },
	{ "calls", time_calls, time_calls_end },
	{ "cpuid", time_cpuid, time_cpuid_end },
	{ "x87", time_x87, time_x87_end },
	{ "lock", time_lock, time_lock_end },
	{ "io", time_io, time_io_end },
};

/* Ten ticks, each of which leaves the program somewhere in its own code. */
static void preempted_by(u32 vec)
{
	for (u32 i = 0; i < ARRAY_SIZE(loops); i++) {
		const struct loop *l = &loops[i];
		bool in_loop = true;
		u32 n = 0;

		load_blob(l->start, l->end);
		iopb_allow(0xe9, true);
		while (n < 10) {
			u32 v = run_to_tick();

			if (v == VEC_IRQ + 7 || v == VEC_SPURIOUS)
				continue;
			if (v != vec)
				break;
			in_loop &= u.ip >= U_CODE && u.ip < U_BLOB + (ulong)(l->end - l->start);
			n++;
		}
		iopb_allow(0xe9, false);
		say("  %s: preempted: %s\n", l->name, n == 10 ? "yes" : "no");
		expect(n == 10 && in_loop);
	}
}

static void preempted_by_pit(void)
{
	preempted_by(VEC_IRQ);
}

static void preempted_by_local_apic(void)
{
	outb(0x21, 0xff);			/* no PIT now */
	lapic_timer(LAPIC_COUNT);
	preempted_by(VEC_LAPIC);
	lapic_timer(0);
	u_spin();				/* takes a tick that is still on its way */
	outb(0x21, 0xfe);
}

/* Both at once, and the program's arithmetic is right between any two of them. */
static void both_timers(void)
{
	u32 a0, l0;

	LOAD(spin_forever);
	fpu_pattern(3);
	lapic_timer(LAPIC_COUNT);
	a0 = ticks;
	l0 = lapic_ticks;
	while (ticks - a0 < 5 || lapic_ticks - l0 < 5) {
		u32 v = run_to_tick();

		if (v != VEC_IRQ && v != VEC_LAPIC && v != VEC_IRQ + 7 && v != VEC_SPURIOUS)
			break;
	}
	lapic_timer(0);
	u_spin();
	say("  both came: %s\n", ticks - a0 >= 5 && lapic_ticks - l0 >= 5 ? "yes" : "no");
	expect(ticks - a0 >= 5 && lapic_ticks - l0 >= 5);
}

static void tick_after_sti(void)
{
	LOAD(cli_then_sti);
	pit_hz(8000);
	u.flags |= FL_IOPL3;
	u.dx = 400000;
	u.si = 0;
	/* Ticks may come in the prologue, before CLI. */
	do
		run_to_tick();
	while (u.vec == VEC_IRQ && u.si == 0);
	say("  vec=%x after STI: %s\n", (u32)u.vec, u.si == 1 ? "yes" : "no");
	expect(u.vec == VEC_IRQ && u.si == 1 && (u.flags & FL_IF));
	pit_hz(1000);
}

/* Nothing comes between MOV SS and the instruction behind it, whoever executes them. */
static void no_tick_behind_mov_ss(void)
{
	u32 n = 0, between = 0;

	LOAD(mov_ss);
	u.bx = SEL_UDATA;
	iopb_allow(0xe9, true);
	pit_hz(8000);
	while (n < 200) {
		u32 v = run_to_tick();

		if (v == VEC_IRQ + 7 || v == VEC_SPURIOUS)
			continue;
		if (v != VEC_IRQ)
			break;
		between += u.ip == U_BLOB + 2;
		n++;
	}
	pit_hz(1000);
	iopb_allow(0xe9, false);
	expect(n == 200);
	expect(between == 0);
}

static void tsc_goes_forwards(void)
{
	u64 before = rdtsc(), last;

	LOAD(tsc_order);
	u.dx = 20000;
	expect(run() == VEC_INT80);
	say("  steps back: %u\n", (u32)u.bx);
	expect(u.bx == 0);
	/* And it is the guest's. */
	last = (u64)(u32)u.di << 32 | (u32)u.si;
	expect(before < last && last < rdtsc());
}

/* The kernel's clock and the user's are one. */
static void tsc_user_between_kernel(void)
{
	for (u32 i = 0; i < 10; i++) {
		u64 t0, t1, t2;

		LOAD(rdtsc);
		t0 = rdtsc();
		expect(run() == VEC_INT80);
		t2 = rdtsc();
		t1 = (u64)(u32)u.dx << 32 | (u32)u.ax;
		expect(t0 < t1 && t1 < t2);
	}
}

static void rdtscp_aux(void)
{
	u32 r[4];

	cpuid(0x80000001, 0, r);
	if (!(r[3] & CPUID_RDTSCP)) {
		say("  the CPU model has no RDTSCP\n");
		return;
	}
	for (u32 i = 0; i < 3; i++) {
		wrmsr(MSR_TSC_AUX, 0x12340 + i);
		LOAD(rdtscp);
		expect(run() == VEC_INT80);
		expect(u.cx == 0x12340 + i);
	}
	wrmsr(MSR_TSC_AUX, 0);
}

/* User code spins; the TSC must have gone on by then, and not have jumped back. */
static void tsc_over_user_time(void)
{
	u64 t0 = rdtsc(), t1;

	u_spin();
	t1 = rdtsc();
	expect(t1 > t0);
	u_spin();
	expect(rdtsc() > t1);
}

/* TSC from one tick to the next, the mean of 20 that are too far apart for any to be lost. */
static u32 between_ticks(u32 vec)
{
	u32 n = 0, t0 = 0;

	LOAD(spin_forever);
	for (;;) {
		if (run_to_tick() != vec)
			continue;
		if (!n++)
			t0 = (u32)rdtsc();
		else if (n > 20)
			return ((u32)rdtsc() - t0) / 20;
	}
}

/* While programs spin for @spin of the TSC a tick is due each @period: do all come? */
static bool all_counted(const char *name, const u32 *count, u32 spin, u32 period)
{
	u64 t0, t1;
	u32 n, want;
	bool all;

	LOAD(spin_forever);
	run_to_tick();
	t0 = rdtsc();
	n = *count;
	do {
		run_to_tick();
		t1 = rdtsc();
	} while (t1 - t0 < spin);
	n = *count - n;
	want = (u32)(t1 - t0) / period;
	all = n + n / 50 + 2 >= want;
	say("  %s: %s\n", name, all ? "yes" : "no");
	if (!all)
		say("  %u of %u\n", n, want);
	return all;
}

/* As many ticks come as are due, however many: kernels tell the time by them. */
static void no_tick_is_lost(void)
{
	static const struct { const char *name; u32 hz; } pit[] = {
		{ "PIT, 1 kHz", 1000 }, { "PIT, 8 kHz", 8000 }, { "PIT, 20 kHz", 20000 },
	};
	u32 second;

	pit_hz(100);
	second = 100 * between_ticks(VEC_IRQ);
	for (u32 i = 0; i < ARRAY_SIZE(pit); i++) {
		pit_hz(pit[i].hz);
		expect(all_counted(pit[i].name, &ticks, second / 2, second / pit[i].hz));
	}
	pit_hz(1000);
}

static void no_lapic_tick_is_lost(void)
{
	u32 period;

	outb(0x21, 0xff);			/* no PIT now */
	lapic_timer(20 * LAPIC_COUNT);
	period = between_ticks(VEC_LAPIC) / 400;
	lapic_timer(LAPIC_COUNT / 20);
	expect(all_counted("local APIC", &lapic_ticks, period * 10000, period));
	lapic_timer(0);
	u_spin();				/* takes a tick that is still on its way */
	outb(0x21, 0xfe);
}

/* What comes in by a serial line while a program computes (tests/boot/serial.t sends it). */
static void serial_input(void)
{
	enum { DATA = COM1, IER, FCR, LCR, MCR, LSR };
	u32 got = 0, lost = 0, over = 0, n;
	u8 last = 0, status;

	outb(LCR, 0x80);			/* 115200 8N1, interrupts at 8 bytes: as Linux */
	outb(DATA, 1);
	outb(IER, 0);
	outb(LCR, 3);
	outb(FCR, 0x87);
	outb(MCR, 0x0b);
	outb(IER, 5);
	while (inb(LSR) & 1)
		inb(DATA);
	inb(FCR);
	pit_hz(100);
	outb(0x21, 0xee);
	LOAD(spin_forever);
	for (n = 0; n < 600 && got < 4096; n++) {
		if (run_to_tick() != COM1_VECTOR)
			continue;
		n = 0;
		while ((status = inb(LSR)) & 3) {
			over += !!(status & 2);
			if (status & 1) {
				u8 b = inb(DATA);

				/* The sender counts from 32 to 95. */
				if (got++)
					lost += (b - last - 1u) & 63;
				last = b;
			}
		}
		inb(FCR);
		eoi(COM1_VECTOR);
	}
	outb(IER, 0);
	outb(0x21, 0xfe);
	pit_hz(1000);
	say("  %s, %u lost, %u overruns\n", got ? "input" : "no input", lost, over);
	expect(lost == 0 && over == 0);
}

/* A program waits for its own store, which was made before: only Bochs sees that. */
static void store_before_umwait(void)
{
	u32 r[4], a0;

	cpuid(7, 0, r);
	if (!(r[2] & CPUID_WAITPKG)) {
		say("  the CPU model has no UMWAIT\n");
		return;
	}
	pit_hz(50);
	LOAD(umwait);
	a0 = ticks;
	expect(run() == VEC_INT80);
	say("  %s\n", ticks - a0 < 100 ? "it did not wait" : "it waited for ticks");
	expect(ticks - a0 < 100);
	pit_hz(1000);
}

void tests_time(void)
{
	static const struct test t[] = {
		{ "store_before_umwait", ENV_ALL, store_before_umwait },
		{ "preempted_by_pit", ENV_ALL, preempted_by_pit },
		{ "preempted_by_local_apic", ENV_ALL, preempted_by_local_apic },
		{ "both_timers", ENV_ALL, both_timers },
		{ "tick_after_sti", ENV_ALL, tick_after_sti },
		{ "no_tick_behind_mov_ss", ENV_ALL, no_tick_behind_mov_ss },
		{ "tsc_goes_forwards", ENV_ALL, tsc_goes_forwards },
		{ "tsc_user_between_kernel", ENV_ALL, tsc_user_between_kernel },
		{ "tsc_over_user_time", ENV_ALL, tsc_over_user_time },
		{ "rdtscp_aux", ENV_ALL, rdtscp_aux },
		{ "no_tick_is_lost", ENV_ALL, no_tick_is_lost },
		{ "no_lapic_tick_is_lost", ENV_LONG, no_lapic_tick_is_lost },
	};

	run_tests("time", t, ARRAY_SIZE(t));
}

void tests_serial(void)
{
	static const struct test t[] = {
		{ "serial_input", ENV_LONG, serial_input },
	};

	run_tests("serial", t, ARRAY_SIZE(t));
}
