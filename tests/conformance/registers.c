// SPDX-License-Identifier: LGPL-2.1-or-later
/* General registers, flags, FS and GS base: in, out, and across refused entries. */
#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_hlt); PROG(g64_work); PROG(g64_work_trap); PROG(g64_segs_read); PROG(g64_wrbase);
PROG(g64_load_wrbase); PROG(g64_load_wrbase_trap);
PROG(g64_load_ds); PROG(g64_load_ds_trap); PROG(g64_toggle_id); PROG(g64_toggle_id_trap);
PROG(g64_cpuid); PROG(g64_cpuid_next); PROG(g64_rdtsc); PROG(g64_rdtsc_next);
PROG(g64_rdtscp); PROG(g64_rdtscp_next); PROG(g64_sgdt); PROG(g64_sgdt_next);
PROG(g64_smsw); PROG(g64_smsw_next);

static void init_trial(struct trial *t, uint64_t rip)
{
	init_cpu64(&t->cpu, rip);
	init_vec(&t->vec, 5, caps->xcr0);
}

static void test_work(struct plex86_space *s)
{
	uint32_t lost = caps->flags & PLEX86_CAP_SYSCALL_EXACT ? 0 : MAY_RCX | MAY_R11;
	const uint64_t *b;
	uint64_t want[PLEX86_NGPR];
	struct trial t;
	unsigned int i;
	bool good;

	init_trial(&t, AT64(g64_work));
	run_to_trap(s, &t);
	b = t.before.gpr;
	memcpy(want, b, sizeof(want));
	want[PLEX86_RBX] = b[PLEX86_RBX] + b[PLEX86_RAX];
	want[PLEX86_RCX] = b[PLEX86_RDX];
	want[PLEX86_RDX] = b[PLEX86_RCX];
	want[PLEX86_R8] = b[PLEX86_RSI] + 2 * b[PLEX86_RDI] + 5;
	want[PLEX86_R10] = b[PLEX86_R9];
	want[PLEX86_R15] = b[PLEX86_R15] | UINT64_C(1) << 63;
	good = is_trap(&t, ANY_VECTOR) && t.cpu.rip == AT64(g64_work_trap);
	for (i = 0; i < PLEX86_NGPR; i++)
		if (!(lost >> i & 1))
			good &= t.cpu.gpr[i] == want[i];
	good &= (t.cpu.rflags & (FLAG_DF | FLAG_CF)) == (FLAG_DF | FLAG_CF);
	good &= !memcmp(ram + RAM_STACK + (STACK_TOP - VA_STACK), &b[PLEX86_R9], 8);
	report(good, "64-bit: what instructions did to all registers and memory comes back");
}

/* Flag patterns in and out unchanged. */
static void test_flags(struct plex86_space *s)
{
	static const uint64_t bits[] = { 0x1, 0x4, 0x10, 0x40, 0x80, 0x400, 0x800, 0x4000, 0x40000,
					 0x200000 };
	uint64_t rip = AT64(g64_hlt), all = 0;
	bool good = true;
	struct trial t;
	unsigned int i;

	for (i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		all |= bits[i];
	all &= ~flags_lost();
	for (i = 0; i <= sizeof(bits) / sizeof(bits[0]); i++) {
		init_trial(&t, rip);
		t.cpu.rflags |= i < sizeof(bits) / sizeof(bits[0]) ? bits[i] & all : all;
		run_to_trap(s, &t);
		if (!(is_trap(&t, 13) & same_state(&t, rip, 0))) {
			note("flags %#llx", (unsigned long long)t.before.rflags);
			good = false;
		}
	}
	report(good, "64-bit: CF PF AF ZF SF DF OF NT AC ID, each and all: kept");

	init_trial(&t, AT64(g64_toggle_id));
	run_to_trap(s, &t);
	good = is_trap(&t, 13) && t.cpu.rip == AT64(g64_toggle_id_trap) && t.cpu.rflags & FLAG_ID;
	/* And it must not stick where the guest's CPU has it clear again. */
	init_trial(&t, AT64(g64_toggle_id));
	run_to_trap(s, &t);
	good &= is_trap(&t, 13) && t.cpu.rflags & FLAG_ID;
	report(good, "64-bit: EFLAGS.ID follows the guest's CPU");
}

static void test_bases(struct plex86_space *s)
{
	struct plex86_space *other = fresh_space();
	uint64_t word;
	struct trial t;
	bool good;

	word = UINT64_C(0xfeedface12345678);
	memcpy(ram + RAM_DATA + 0x100, &word, 8);
	word = ~word;
	memcpy(ram + RAM_DATA + 0x208, &word, 8);
	init_trial(&t, AT64(g64_segs_read));
	run_to_trap(s, &t);
	report(is_trap(&t, 13) && t.cpu.gpr[PLEX86_RAX] == ~word &&
	       t.cpu.gpr[PLEX86_RBX] == word &&
	       t.cpu.seg[PLEX86_FS].base == t.before.seg[PLEX86_FS].base &&
	       t.cpu.seg[PLEX86_GS].base == t.before.seg[PLEX86_GS].base,
	       "64-bit: loads through FS and GS base");

	init_trial(&t, AT64(g64_wrbase));
	t.cpu.gpr[PLEX86_RAX] = 0x12345678;
	t.cpu.gpr[PLEX86_RBX] = UINT64_C(0x7ffffffff000) - 8;
	run_to_trap(s, &t);
	if (!t.err && t.exit.vector == 6)
		skip("64-bit: WRFSBASE, WRGSBASE come back", "this CPU doesn't have them");
	else if (caps->flags & PLEX86_CAP_BASES_LOST)
		skip("64-bit: WRFSBASE, WRGSBASE come back", "not on this host (BASES_LOST)");
	else
		report(is_trap(&t, 13) &&
		       t.cpu.seg[PLEX86_FS].base == t.before.gpr[PLEX86_RAX] &&
		       t.cpu.seg[PLEX86_GS].base == t.before.gpr[PLEX86_RBX],
		       "64-bit: WRFSBASE, WRGSBASE come back");

	/* After the selector's own. */
	init_trial(&t, AT64(g64_load_wrbase));
	t.cpu.gpr[PLEX86_RAX] = 0x12345678;
	t.cpu.gpr[PLEX86_RBX] = UINT64_C(0x7ffffffff000) - 8;
	run_to_trap(s, &t);
	if (t.exit.vector == 6 || (caps->flags & PLEX86_CAP_BASES_LOST))
		skip("64-bit: WRFSBASE, WRGSBASE behind a load", "not on this host");
	else if (t.cpu.rip == AT64(g64_load_wrbase) + 5)
		report(is_trap(&t, 13), "64-bit: WRFSBASE, WRGSBASE behind a load: that traps");
	else
		report(is_trap(&t, 13) && t.cpu.rip == AT64(g64_load_wrbase_trap) &&
		       t.cpu.seg[PLEX86_FS].sel == 0x2b && t.cpu.seg[PLEX86_GS].sel == 0x2b &&
		       t.cpu.seg[PLEX86_FS].attr & t.cpu.seg[PLEX86_GS].attr & PLEX86_SEG_BASE &&
		       t.cpu.seg[PLEX86_FS].base == t.before.gpr[PLEX86_RAX] &&
		       t.cpu.seg[PLEX86_GS].base == t.before.gpr[PLEX86_RBX],
		       "64-bit: WRFSBASE, WRGSBASE behind a load");

	/* The bases are the CPU's, not the space's. */
	good = true;
	init_trial(&t, AT64(g64_segs_read));
	run_to_trap(other, &t);
	good &= is_trap(&t, 13) && t.cpu.gpr[PLEX86_RAX] == ~word;
	t.cpu.rip = AT64(g64_segs_read);
	t.cpu.seg[PLEX86_FS].base = VA_DATA + 0x208;
	run_to_trap(s, &t);
	good &= is_trap(&t, 13) && t.cpu.gpr[PLEX86_RAX] == word;
	report(good, "64-bit: FS base follows the CPU from space to space");
	ops->space_destroy(other);
}

static void test_selectors(struct plex86_space *s)
{
	struct trial t;

	init_trial(&t, AT64(g64_load_ds));
	run_to_trap(s, &t);
	report(is_trap(&t, ANY_VECTOR) &&
	       ((t.cpu.rip == AT64(g64_load_ds_trap) && t.cpu.seg[PLEX86_DS].sel == 0x2b &&
		 (t.cpu.seg[PLEX86_DS].attr & 0xfa) == 0xf2) || t.cpu.rip == AT64(g64_load_ds) + 5),
	       "64-bit: a selector that user code loads comes back with its descriptor, or traps");

	/* Other systems' selectors, flat: run, and come back as they were. */
	init_trial(&t, AT64(g64_hlt));
	t.cpu.seg[PLEX86_CS].sel = 0x43;
	t.cpu.seg[PLEX86_SS].sel = 0x3b;
	t.cpu.seg[PLEX86_DS] = t.cpu.seg[PLEX86_ES] = t.cpu.seg[PLEX86_SS];
	run_to_trap(s, &t);
	report(t.exit.reason == PLEX86_EXIT_REFUSED ||
	       (is_trap(&t, 13) && same_state(&t, AT64(g64_hlt), 0)),
	       "64-bit: selectors of another system: kept, or refused");
}

/*
 * State that the host would run differently must not be entered, and not changed.  Some of it
 * only the host's control registers make different: engines that have others, and so the
 * capability .runs, may run it.  An engine where TSD is set all the time has a CR4 of its own.
 */
#define OWN_CONTROL PLEX86_CAP_TRAP_TSC

struct refusal {
	const char *name;
	uint64_t rflags_set, rflags_clear, cr0_set, cr0_clear, cr4_set, efer_clear;
	uint32_t runs;
};

static const struct refusal refused[] = {
	{ .name = "EFLAGS.TF", .rflags_set = FLAG_TF },
	{ .name = "EFLAGS.VM", .rflags_set = 1 << 17 },
	{ .name = "EFLAGS.RF", .rflags_set = FLAG_RF, .runs = OWN_CONTROL },
	{ .name = "EFLAGS.VIF", .rflags_set = 1 << 19 },
	{ .name = "EFLAGS.VIP", .rflags_set = 1 << 20 },
	{ .name = "IOPL 1", .rflags_set = 1 << 12 },
	{ .name = "IOPL 2", .rflags_set = 2 << 12 },
	{ .name = "IOPL 3", .rflags_set = 3 << 12 },
	{ .name = "EFLAGS.IF clear", .rflags_clear = FLAG_IF },
	{ .name = "EFLAGS.AC without CR0.AM", .rflags_set = FLAG_AC, .cr0_clear = 1 << 18,
	  .runs = OWN_CONTROL },
	{ .name = "CR0.TS", .cr0_set = 1 << 3 },
	{ .name = "CR0.EM", .cr0_set = 1 << 2 },
	{ .name = "CR0.PE clear", .cr0_clear = 1 << 0, .runs = OWN_CONTROL },
	{ .name = "CR0.PG clear", .cr0_clear = UINT64_C(1) << 31, .runs = OWN_CONTROL },
	{ .name = "CR4.TSD", .cr4_set = 1 << 2, .runs = OWN_CONTROL },
	{ .name = "CR4.PKE", .cr4_set = 1 << 22 },
	{ .name = "CR4.CET", .cr4_set = 1 << 23, .runs = OWN_CONTROL },
	{ .name = "CR4.UINTR", .cr4_set = 1 << 25, .runs = OWN_CONTROL },
	{ .name = "64-bit code without EFER.LMA", .efer_clear = 1 << 10, .runs = OWN_CONTROL },
};

static bool is_refused(const struct trial *t)
{
	return is_reason(t, PLEX86_EXIT_REFUSED) && t->exit.why && *t->exit.why &&
	       !memcmp(&t->cpu, &t->before, sizeof(t->cpu)) &&
	       !memcmp(&t->vec, &t->vec_before, sizeof(t->vec));
}

/* Of what it runs, RF ends with the next instruction. */
static bool is_run(const struct trial *t)
{
	return is_trap(t, 13) && same_state(t, AT64(g64_hlt), MAY_FLAGS) &&
	       !((t->cpu.rflags ^ t->before.rflags) & ~FLAG_RF);
}

static void test_refusals(struct plex86_space *s)
{
	const struct refusal *r;
	struct trial t;

	for (r = refused; r < refused + sizeof(refused) / sizeof(refused[0]); r++) {
		init_trial(&t, AT64(g64_hlt));
		t.cpu.rflags = (t.cpu.rflags | r->rflags_set) & ~r->rflags_clear;
		t.cpu.cr0 = (t.cpu.cr0 | r->cr0_set) & ~r->cr0_clear;
		t.cpu.cr4 |= r->cr4_set;
		t.cpu.efer &= ~r->efer_clear;
		run_trial(s, &t, 0, FOREVER);
		if (caps->flags & r->runs && !t.err && t.exit.reason != PLEX86_EXIT_REFUSED)
			report(is_run(&t), "runs on control registers of the engine's: %s", r->name);
		else
			report(is_refused(&t), "refused, with a reason, nothing changed: %s", r->name);
	}

	init_trial(&t, AT64(g64_hlt));
	t.cpu.rflags |= FLAG_NT;
	run_trial(s, &t, 0, FOREVER);
	report(is_reason(&t, flags_lost() ? PLEX86_EXIT_REFUSED : PLEX86_EXIT_TRAP) &&
	       t.cpu.rflags & FLAG_NT, "EFLAGS.NT: kept or, as the capability says, refused");
	init_trial(&t, AT64(g64_hlt));
	t.cpu.dr7 |= 1;
	t.cpu.dr[0] = AT64(g64_hlt);
	run_trial(s, &t, 0, FOREVER);
	report(is_refused(&t), "refused, with a reason, nothing changed: an armed breakpoint");
	init_trial(&t, AT64(g64_hlt));
	t.cpu.efer &= ~UINT64_C(1);
	run_trial(s, &t, 0, FOREVER);
	report(caps->flags & PLEX86_CAP_SYSCALL_EXACT ? is_run(&t) : is_refused(&t),
	       "EFER.SCE clear: as the capability says");
	init_trial(&t, AT64(g64_hlt));
	run_to_trap(s, &t);
	report(is_run(&t), "and without all that it runs");
}

/* Instructions that tell of the host: they trap exactly where the engine says so. */
static void test_sensitive(struct plex86_space *s)
{
	static const struct {
		const char *name;
		const uint8_t *at, *next;
		uint32_t cap;
	} sensitive[] = {
		{ "CPUID", g64_cpuid, g64_cpuid_next, PLEX86_CAP_TRAP_CPUID },
		{ "RDTSC", g64_rdtsc, g64_rdtsc_next, PLEX86_CAP_TRAP_TSC },
		{ "RDTSCP", g64_rdtscp, g64_rdtscp_next, PLEX86_CAP_TRAP_TSC },
		{ "SGDT", g64_sgdt, g64_sgdt_next, PLEX86_CAP_TRAP_UMIP },
		{ "SMSW", g64_smsw, g64_smsw_next, PLEX86_CAP_TRAP_UMIP },
	};
	struct trial t;
	unsigned int i;
	bool traps;

	for (i = 0; i < sizeof(sensitive) / sizeof(sensitive[0]); i++) {
		traps = caps->flags & sensitive[i].cap;
		init_trial(&t, AT64(sensitive[i].at));
		run_to_trap(s, &t);
		/* Without the capability it may run; a CPU without the instruction traps. */
		report(is_trap(&t, ANY_VECTOR) &&
		       (t.cpu.rip == AT64(sensitive[i].at) ||
			(!traps && t.cpu.rip == AT64(sensitive[i].next))),
		       "%s %s", sensitive[i].name, traps ? "traps" : "runs or traps (no capability)");
	}
}

void test_registers(void)
{
	struct plex86_space *s = fresh_space();

	test_work(s);
	test_flags(s);
	test_bases(s);
	test_selectors(s);
	test_refusals(s);
	test_sensitive(s);
	ops->space_destroy(s);
}
