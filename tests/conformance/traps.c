// SPDX-License-Identifier: LGPL-2.1-or-later
/* set_traps(), trap_tsc(): single instructions that must trap in pages that otherwise run. */
#include <errno.h>

#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_marks); PROG(g64_marks_1); PROG(g64_marks_2); PROG(g64_marks_end); PROG(g64_syscall);
PROG(g64_rdtsc); PROG(g64_rdtsc_next); PROG(g64_rdtscp);

static void start(struct trial *t, uint64_t rip)
{
	init_cpu64(&t->cpu, rip);
	init_vec(&t->vec, 4, caps->xcr0);
	t->cpu.gpr[PLEX86_RAX] = 10;
}

static bool stops_at(struct plex86_space *s, struct trial *t, uint64_t rip, uint64_t rax)
{
	run_to_trap(s, t);
	return is_trap(t, ANY_VECTOR) & same_state(t, rip, MAY_RAX | MAY_FLAGS) &&
	       t->exit.vector != 1 && t->cpu.gpr[PLEX86_RAX] == rax;
}

static void test_set(struct plex86_space *s)
{
	const plex86_gva_t at[] = { { AT64(g64_marks_1) }, { AT64(g64_marks_2) } };
	struct trial t;
	bool good;

	report(!ops->set_traps(s, at, 2), "traps: two are accepted");
	start(&t, AT64(g64_marks));
	report(stops_at(s, &t, at[0].la, 11), "traps: TRAP before the first, not #DB");
	report(stops_at(s, &t, at[0].la, 11), "traps: and again, if it is entered there");
	t.cpu.rip = AT64(g64_marks_1) + 3;
	report(stops_at(s, &t, at[1].la, 12), "traps: TRAP before the second");
	start(&t, AT64(g64_marks_2) + 4);
	report(stops_at(s, &t, AT64(g64_marks_end), 11), "traps: other instructions run");

	/* Mapping and system calls in between must not disturb them. */
	good = true;
	for (unsigned int i = 0; i < 20; i++) {
		map_pages(s, UINT64_C(0x60000000) + PAGE((uint64_t)i), RAM_DATA, 1, R);
		start(&t, AT64(g64_syscall));
		run_to_trap(s, &t);
		good &= is_trap(&t, ANY_VECTOR);
		start(&t, AT64(g64_marks));
		good &= stops_at(s, &t, at[0].la, 11);
	}
	report(good, "traps: they stay through other slices and mappings");

	report(!ops->set_traps(s, &at[1], 1), "traps: one instead of two");
	start(&t, AT64(g64_marks));
	report(stops_at(s, &t, at[1].la, 13), "traps: the old one is gone");
	report(!ops->set_traps(s, NULL, 0), "traps: none");
	start(&t, AT64(g64_marks));
	report(stops_at(s, &t, AT64(g64_marks_end), 27), "traps: nothing traps");
}

static void test_separate(struct plex86_space *s)
{
	const plex86_gva_t at = { AT64(g64_marks_1) };
	struct plex86_space *other;
	struct trial t;

	ops->set_traps(s, &at, 1);
	other = fresh_space();
	start(&t, AT64(g64_marks));
	report(stops_at(other, &t, AT64(g64_marks_end), 27), "traps: another space has none");
	start(&t, AT64(g64_marks));
	report(stops_at(s, &t, at.la, 11), "traps: the one still has its own");
	ops->set_traps(s, NULL, 0);
	ops->space_destroy(other);
}

static void test_bad(struct plex86_space *s)
{
	plex86_gva_t at[PLEX86_MAX_TRAPS + 1] = { { 0 } };
	unsigned int i;

	for (i = 0; i <= PLEX86_MAX_TRAPS; i++)
		at[i].la = AT64(g64_marks) + i;
	report(!ops->set_traps(s, at, caps->max_traps), "traps: as many as announced");
	report(ops->set_traps(s, at, PLEX86_MAX_TRAPS + 1) == -EINVAL, "traps: too many: -EINVAL");
	report(ops->set_traps(s, NULL, 1) == -EINVAL, "traps: no addresses: -EINVAL");
	report(ops->set_traps(NULL, at, 1) == -EINVAL, "traps: no space: -EINVAL");
	at[0].la = UINT64_C(0xffff800000000000);
	report(ops->set_traps(s, at, 1) == -EINVAL, "traps: the upper half: -EINVAL");
	ops->set_traps(s, NULL, 0);
}

/* What is accepted must have an effect: a host may say yes and do nothing. */
static void test_tsc(void)
{
	struct plex86_space *s = fresh_space();
	const uint64_t at[] = { AT64(g64_rdtsc), AT64(g64_rdtscp) };
	struct trial t;
	bool good = true;
	unsigned int i;

	if (caps->flags & PLEX86_CAP_TRAP_TSC || !ops->trap_tsc || ops->trap_tsc(s, true)) {
		skip("traps: RDTSC and RDTSCP", caps->flags & PLEX86_CAP_TRAP_TSC ?
		     "they always trap" : "this host does not make them trap");
	} else {
		for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
			start(&t, at[i]);
			run_to_trap(s, &t);
			good &= is_trap(&t, ANY_VECTOR) & same_state(&t, at[i], 0);
		}
		report(good, "traps: RDTSC and RDTSCP, where trap_tsc() is accepted");
		ops->trap_tsc(s, false);
		start(&t, at[0]);
		run_to_trap(s, &t);
		report(t.cpu.rip == AT64(g64_rdtsc_next), "traps: and they run when it is over");
	}
	ops->space_destroy(s);
}

void test_traps(void)
{
	struct plex86_space *s;

	test_tsc();
	if (!caps->max_traps) {
		skip("traps", "the engine has none here");
		return;
	}
	s = fresh_space();
	test_set(s);
	test_separate(s);
	test_bad(s);
	ops->space_destroy(s);
}
