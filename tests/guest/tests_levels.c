/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Coherency of mappings (I3, I4) when it is an entry of an upper level that changes: a
 * directory, a pointer to directories, an entry of the root.
 */
#include "pages.h"

/* What an entry of this level maps. */
static ulong span_of(int level)
{
	return (ulong)1 << (12 + (level - 1) * mode->bits);
}

/* An address, below whose entry of this level neither the program nor its stack is. */
static ulong under(int level)
{
	return level > 2 ? span_of(level) : VA;
}

/* PAE's four top entries have no rights, and are read when CR3 is loaded only. */
static bool is_cached(int level)
{
	return mode->levels == 3 && level == 3;
}

static void expect_value(ulong va, u32 want)
{
	u32 v = 0;

	expect(u_load(va, &v) && v == want);
}

static void expect_fault(ulong va, u32 err)
{
	expect(!u_load(va, NULL) && u.vec == 14 && u.err == err && trap_cr2 == va);
}

/* What @e, the entry of @va, gives and denies; @change puts another in its place. */
static void rights(ulong va, int level, u64 e, void (*change)(ulong va, int level, u64 e))
{
	if (is_cached(level))
		return;
	change(va, level, e & ~P_W);
	expect(u_load(va, NULL));
	expect(!u_store(va, 5) && u.err == 7);
	change(va, level, e);
	expect(u_store(va, 0x10c3));		/* RET */
	change(va, level, e & ~P_U);
	expect_fault(va, 5);
	change(va, level, e);
	expect(u_call(va, NULL));
	if (mode->nx) {
		change(va, level, e | P_NX);
		expect(!u_call(va, NULL) && u.err == 0x15);
		expect_value(va, 0x10c3);
		change(va, level, e);
		expect(u_call(va, NULL));
	}
	change(va, level, e & ~A);
	expect_value(va, 0x10c3);
	expect(entry_get(cur, va, level) & A);
}

static struct space *awake, *asleep;

/* By the other space, while the one at hand sleeps. */
static void change_asleep(ulong va, int level, u64 e)
{
	use(asleep);
	u_spin();
	entry_set(awake, va, level, e);
	use(awake);
}

static void changed_asleep(int level)
{
	ulong va = under(level), other = va + span_of(level);
	u64 e, fresh;

	awake = cur;
	asleep = twin();
	map(cur, va, new_filled(0x100), P_URW);
	u_store(va, 0x111);
	e = entry_get(cur, va, level);
	change_asleep(va, level, 0);		/* all of it is gone */
	expect_fault(va, 4);
	use(asleep);
	map(awake, va, new_filled(0x300), P_URW);	/* new tables */
	use(awake);
	fresh = entry_get(cur, va, level);
	expect((fresh & P_ADDR) != (e & P_ADDR));
	expect_value(va, 0x300);
	change_asleep(va, level, e);		/* the old ones again, */
	expect_value(va, 0x111);
	change_asleep(other, level, fresh);	/* the new ones elsewhere, */
	expect_value(other, 0x300);
	change_asleep(other, level, e);		/* the old ones there, too, */
	expect_value(other, 0x111);
	u_store(other, 0x222);
	expect_value(va, 0x222);
	change_asleep(va, level, 0);		/* and there alone */
	expect_fault(va, 4);
	expect_value(other, 0x222);
	change_asleep(va, level, e);
	rights(va, level, e, change_asleep);
}

/* As an operating system does it: INVLPG is for all levels of one page's entries. */
static void change_awake(ulong va, int level, u64 e)
{
	entry_set(cur, va, level, e);
	if (is_cached(level))
		set_cr3(cur->root);
	else
		invlpg(va);
}

static void changed_awake(int level)
{
	ulong va = under(level), other = va + span_of(level);
	u64 e, fresh;

	map(cur, other, new_filled(0x300), P_URW);
	map(cur, va, new_filled(0x100), P_URW);
	map(cur, va + PAGE, new_filled(0x200), P_URW);
	u_store(va, 0x111);
	u_store(va + PAGE, 0x211);
	expect_value(other, 0x300);
	e = entry_get(cur, va, level);
	fresh = entry_get(cur, other, level);
	change_awake(va, level, 0);
	expect_fault(va, 4);
	set_cr3(cur->root);
	expect_fault(va + PAGE, 4);
	entry_set(cur, va, level, e);		/* what was not there needs no INVLPG */
	if (is_cached(level))
		set_cr3(cur->root);
	expect_value(va, 0x111);
	expect_value(va + PAGE, 0x211);
	change_awake(va, level, fresh);
	expect_value(va, 0x300);
	u_store(va, 0x301);
	expect_value(other, 0x301);
	change_awake(va, level, e);
	expect_value(va, 0x111);
	rights(va, level, e, change_awake);
	set_cr3(cur->root);
	expect_value(va + PAGE, 0x211);
}

/* All tables below an entry belong to two spaces: each sees what is done by the other. */
static void shared(int level)
{
	struct space *a = cur, *b = twin();
	ulong va = under(level);

	map(a, va, new_filled(0x100), P_URW);
	u_store(va, 0x111);
	entry_set(b, va, level, entry_get(a, va, level));
	use(b);
	expect_value(va, 0x111);
	for (int l = level - 1; l; l--) {
		u64 e = entry_get(b, va, l);

		change_awake(va, l, 0);
		expect_fault(va, 4);
		use(a);
		expect_fault(va, 4);
		change_awake(va, l, e & ~P_W);
		expect_value(va, 0x111);
		use(b);
		expect(!u_store(va, 1) && u.err == 7);
		change_awake(va, l, e);
		expect(u_store(va, 0x111));
		use(a);
		expect(u_store(va, 0x111));
		use(b);
	}
}

#define LEVEL(n)								\
static void level##n##_changed_asleep(void) { changed_asleep(n); }		\
static void level##n##_changed_awake(void) { changed_awake(n); }		\
static void level##n##_shared(void) { shared(n); }

LEVEL(2)
LEVEL(3)
#ifdef __x86_64__
LEVEL(4)
#endif

void tests_levels(void)
{
	static const struct test t[] = {
		{ "level2_changed_asleep", ENV_ALL, level2_changed_asleep },
		{ "level2_changed_awake", ENV_ALL, level2_changed_awake },
		{ "level2_shared", ENV_ALL, level2_shared },
		{ "level3_changed_asleep", ENV_PAE | ENV_LONG, level3_changed_asleep },
		{ "level3_changed_awake", ENV_PAE | ENV_LONG, level3_changed_awake },
		{ "level3_shared", ENV_PAE | ENV_LONG, level3_shared },
#ifdef __x86_64__
		{ "level4_changed_asleep", ENV_LONG, level4_changed_asleep },
		{ "level4_changed_awake", ENV_LONG, level4_changed_awake },
		{ "level4_shared", ENV_LONG, level4_shared },
#endif
	};

	run_tests("page", t, ARRAY_SIZE(t));
}
