// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mapping, in quantity: batches, from the first page to the last, as many as there can be. */
#include <errno.h>
#include <stdlib.h>

#include "maps.h"

extern const uint8_t g64_spin[];

#define SPIN_NS 2000000

/* Random operations against a model, in batches of all sizes. */
static void test_batches(struct plex86_space *s)
{
	enum { WINDOW = 64, MAX = 700 };
	static struct plex86_map_op batch[MAX];
	int model[WINDOW], round, i;
	unsigned int n, done, k;
	bool good = true;

	number_pages();
	for (i = 0; i < WINDOW; i++)
		model[i] = -1;
	srand(20240607);
	for (round = 0; round < 24 && good; round++) {
		n = round < 20 ? (unsigned int)rand() % 60 : MAX - (unsigned int)round;
		for (k = 0; k < n; k++) {
			int at = rand() % WINDOW, page = rand() % DATA_PAGES;
			int len = 1 + rand() % 6;

			if (len > WINDOW - at)
				len = WINDOW - at;
			if (len > DATA_PAGES - page)
				len = DATA_PAGES - page;
			batch[k] = (struct plex86_map_op){
				.kind = rand() % 4 ? PLEX86_MAP : PLEX86_UNMAP, .prot = R,
				.gva = { VA_TEST + PAGE((uint64_t)at) },
				.off = { RAM_DATA + PAGE((uint64_t)page) },
				.npages = (uint64_t)len,
			};
			for (i = 0; i < len; i++)
				model[at + i] = batch[k].kind == PLEX86_MAP ? page + i : -1;
		}
		done = ~0u;
		good &= !ops->apply(s, batch, n, &done) && done == n;
		for (i = 0; i < WINDOW && good; i += 1 + rand() % 4)
			good &= model[i] < 0 ? cant_load(s, VA_TEST + PAGE((uint64_t)i)) :
				can_load(s, VA_TEST + PAGE((uint64_t)i), (uint64_t)model[i]);
	}
	report(good, "random batches of up to %d operations act in order", MAX);
}

static void test_unmap_all(struct plex86_space *s)
{
	const struct plex86_map_op all[] = {
		{ PLEX86_MAP, R, { VA_TEST + PAGE(70) }, { RAM_DATA }, 1 },
		{ .kind = PLEX86_UNMAP_ALL },
		{ PLEX86_MAP, RX, { VA_CODE64 }, { RAM_CODE64 }, CODE_PAGES },
		{ PLEX86_MAP, R, { VA_TEST + PAGE(71) }, { RAM_DATA + PAGE(1) }, 1 },
	};
	bool good;
	unsigned int i;

	number_pages();
	good = !ops->apply(s, all, 4, NULL);
	for (i = 0; i < 71; i++)
		good &= cant_load(s, VA_TEST + PAGE((uint64_t)i));
	good &= can_load(s, VA_TEST + PAGE(71), 1) && cant_load(s, VA_DATA);
	report(good, "UNMAP_ALL leaves nothing; operations after it in the batch count");
}

/* The whole user half can be used, and the engine's own place is found and moved. */
static void test_edges(struct plex86_space *s)
{
	const uint64_t top = caps->va_limit - PLEX86_PAGE_SIZE;
	uint64_t va, wide = UINT64_C(1) << 46;
	bool good = true;
	unsigned int bit;

	number_pages();
	report(!map_pages(s, top, RAM_DATA + PAGE(1), 1, R) && can_load(s, top, 1),
	       "the last page of the user half");
	for (bit = PLEX86_PAGE_SHIFT; bit < 47; bit++) {
		va = UINT64_C(1) << bit;
		if (va >= caps->va_limit)
			break;
		if (va < caps->va_first)
			continue;
		if (va == VA_CODE64)
			continue;	/* the program that looks is there */
		good &= !map_pages(s, va, RAM_DATA + PAGE(bit % DATA_PAGES), 1, R) &&
			can_load(s, va, bit % DATA_PAGES);
	}
	report(good, "pages at every power of two that can be mapped");
	if (caps->va_first)
		skip("page 0", "the host forbids it to this engine (va_first)");
	else
		report(!map_pages(s, 0, RAM_DATA + PAGE(7), 1, R) && can_load(s, 0, 7) &&
		       !unmap_pages(s, 0, 1), "page 0");
	good = !unmap_pages(s, wide, (caps->va_limit - wide) >> PLEX86_PAGE_SHIFT);
	good &= cant_load(s, top) && cant_load(s, wide);
	good &= can_load(s, UINT64_C(1) << 45, 45 % DATA_PAGES);
	report(good, "UNMAP of half of the user half");
}

void test_many_at_once(struct plex86_space *s)
{
	test_batches(s);
	test_unmap_all(s);
	test_edges(s);
}

/* One-page mappings, scattered, from number *@mapped on; the first error ends it. */
static int scatter(struct plex86_space *s, uint64_t *mapped, uint64_t want)
{
	struct plex86_map_op op[64];
	unsigned int i;
	int err = 0;

	while (*mapped < want && !err) {
		for (i = 0; i < 64; i++, ++*mapped)
			op[i] = (struct plex86_map_op){ PLEX86_MAP, R,
				{ VA_TEST + PAGE(*mapped * 2) },
				{ RAM_DATA + PAGE(*mapped % DATA_PAGES) }, 1 };
		err = ops->apply(s, op, 64, NULL);
	}
	return err;
}

/* Of a space that the core would give up: a run fails and changes nothing, or is as ever. */
static bool run_is_sound(const struct trial *t)
{
	if (t->err)
		return !memcmp(&t->cpu, &t->before, sizeof(t->cpu)) &&
		       !memcmp(&t->vec, &t->vec_before, sizeof(t->vec));
	return is_reason(t, PLEX86_EXIT_DEADLINE) & same_state(t, AT64(g64_spin), 0);
}

static bool is_full(int err)
{
	return err == -ENOMEM || err == -ENOSPC;
}

/*
 * With a program that changes no register: an engine may spare itself writing what the
 * space has, unless something else has run there since.
 */
static void test_limit(struct plex86_space *s, uint64_t mapped)
{
	struct trial t;
	bool good;
	int err;

	init_cpu64(&t.cpu, AT64(g64_spin));
	init_vec(&t.vec, 9, caps->xcr0);
	run_trial(s, &t, 0, SPIN_NS);
	good = !t.err && run_is_sound(&t);
	err = scatter(s, &mapped, caps->max_maps + 4096);
	run_trial(s, &t, PLEX86_RUN_VEC_SAME, SPIN_NS);
	report(is_full(err) || (!err && is_full(t.err)),
	       "more mappings than there can be: -ENOMEM or -ENOSPC");
	good &= run_is_sound(&t);
	/* An error that was deferred has been told by now. */
	run_trial(s, &t, 0, SPIN_NS);
	report(good & run_is_sound(&t), "and a run after that is exact, or changes nothing");
	if (!t.err)
		report(can_load(s, VA_TEST, 0), "with the mappings from before");
}

/* Thousands of one-page mappings; then, if there is a limit, a clean error. */
void test_map_limit(void)
{
	struct plex86_space *s = fresh_space();
	uint64_t mapped = 0;
	int err;

	number_pages();
	err = scatter(s, &mapped, 8192);
	report(!err && can_load(s, VA_TEST + PAGE((mapped - 1) * 2), (mapped - 1) % DATA_PAGES) &&
	       can_load(s, VA_TEST, 0), "8192 scattered pages");
	if (!caps->max_maps || caps->max_maps > 200000)
		skip("more mappings than there can be", "no limit worth trying");
	else
		test_limit(s, mapped);
	ops->space_destroy(s);
	s = fresh_space();
	number_pages();
	report(can_load(s, VA_DATA, 0), "and the next space works");
	ops->space_destroy(s);
}
