/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The third opinion.  On the emulated host native code does what QEMU's CPU does, right
 * or wrong, and the engine is to blame only for what that CPU does not do without it.
 * Three runs on it say what it does: of the instruction alone; that, and Bochs after a
 * fault, which is the engine's way; and of the instruction after those before it, as
 * QEMU keeps flags that nobody has asked for yet in another form.
 */
#include <string.h>

#include "table.h"

/* The second does as @r in all that is @left; how both ended must be the same in any case. */
static bool agrees(const struct table *t, const struct narrowed *n, const struct kind *k,
		   const struct fuzz_record *r, const struct diff *left)
{
	struct narrowed m = *n;
	struct diff d;

	m.a = r;
	compare(r, n->b, k->avx512, &m.diff);
	/* Bochs came after this fault, and memory is too much to begin with: its hash is the same. */
	if (r->changes > FUZZ_CHANGES && !m.diff.memory && left->memory && !left->outcome)
		m.diff.outcome = false;
	/* What the manuals leave open need not be the same twice, nor FIP and FDP in memory. */
	table_leaves(t, &m, k, &d);
	return !d.outcome && !diffs_overlap(left, &d);
}

const char *third_explains(const struct table *t, const struct narrowed *n, const struct kind *k)
{
	static char why[64];
	struct diff left;

	table_leaves(t, n, k, &left);
	for (int i = 0; i < 3; i++) {
		if (!n->third[i] || !agrees(t, n, k, n->third[i], &left))
			continue;
		snprintf(why, sizeof(why), "host: QEMU's CPU does the same by itself: %s",
			 n->decoded ? ZydisISASetGetString(n->insn.meta.isa_set) : "undecodable");
		return why;
	}
	return NULL;
}
