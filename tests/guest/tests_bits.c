/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Accessed and dirty bits (I2): they tell exactly what user code did, no
 * matter how eagerly pages were mapped or how often the kernel clears them.
 */
#include "pages.h"

static void accessed_dirty(void)
{
	map_new(cur, VA, 1, P_URW);
	expect(bits(VA) == 0);
	u_load(VA, NULL);
	say_bits(VA);
	expect(bits(VA) == A);
	u_store(VA + 8, 1);
	say_bits(VA);
	expect(bits(VA) == (A | D));
	clear_bits(VA, A | D);
	u_spin();
	expect(bits(VA) == 0);
	u_load(VA + 8, NULL);
	expect(bits(VA) == A);
	u_load(VA + 12, NULL);
	expect(bits(VA) == A);
	u_rmw(VA + 8, 1);
	expect(bits(VA) == (A | D));
	clear_bits(VA, D);
	u_load(VA, NULL);
	expect(bits(VA) == A);
	u_store(VA, 2);
	expect(bits(VA) == (A | D));
	clear_bits(VA, A);
	u_store(VA, 3);
	expect(bits(VA) == (A | D));
	say_bits(VA);
}

/* Clears A and D again and again while the user goes on reading and writing. */
static void accessed_dirty_rounds(void)
{
	u32 v = 0;

	map_new(cur, VA, 1, P_URW);
	for (u32 i = 0; i < 10; i++) {
		u_store(VA + 4 * i, i);
		expect(bits(VA) == (A | D));
		clear_bits(VA, A | D);
		u_load(VA + 4 * i, &v);
		expect(v == i && bits(VA) == A);
		clear_bits(VA, A);
	}
}

static void fetch_sets_accessed(void)
{
	map_new(cur, VA, 1, P_URO);
	memset(phys(user_pa(VA)), 0xc3, PAGE);
	u_call(VA + 0x100, NULL);
	expect(bits(VA) == A);
	clear_bits(VA, A);
	u_spin();
	expect(bits(VA) == 0);
	u_call(VA, NULL);
	expect(bits(VA) == A);
}

static void failed_store_is_not_dirty(void)
{
	map_new(cur, VA, 1, P_URO);
	expect(!u_store(VA, 1));
	expect(!(bits(VA) & D));
	expect(!u_rmw(VA, 1));
	expect(!(bits(VA) & D));
	say_bits(VA);
	expect(u_load(VA, NULL));
	expect(bits(VA) == A);
}

/* Pages that nobody touched must not look touched, however eagerly they were mapped. */
static void neighbours(void)
{
	map_new(cur, VA, 64, P_URW);
	for (u32 i = 0; i < 64; i += 5) {
		if (i & 1)
			u_store(VA + i * PAGE, i);
		else
			u_load(VA + i * PAGE, NULL);
	}
	for (u32 i = 0; i < 64; i++)
		expect(bits(VA + i * PAGE) == (i % 5 ? 0 : i & 1 ? A | D : A));
}

/* The neighbours have A set already, by the kernel: prefault them, they stay clean. */
static void neighbours_accessed(void)
{
	map_new(cur, VA, 32, P_URW | A);
	u_load(VA + 3 * PAGE, NULL);
	u_store(VA + 4 * PAGE, 1);
	for (u32 i = 0; i < 32; i++)
		expect(bits(VA + i * PAGE) == (i == 4 ? A | D : A));
	u_store(VA + 5 * PAGE, 1);
	expect(bits(VA + 5 * PAGE) == (A | D));
	expect(bits(VA + 6 * PAGE) == A);
}

static void upper_levels_accessed(void)
{
	map_new(cur, VA, 1, P_URW);
	expect(!(entry_get(cur, VA, 2) & A));
	u_load(VA, NULL);
	expect(entry_get(cur, VA, 2) & A);
}

void tests_bits(void)
{
	static const struct test t[] = {
		{ "accessed_dirty", ENV_ALL, accessed_dirty },
		{ "accessed_dirty_rounds", ENV_ALL, accessed_dirty_rounds },
		{ "fetch_sets_accessed", ENV_ALL, fetch_sets_accessed },
		{ "failed_store_is_not_dirty", ENV_ALL, failed_store_is_not_dirty },
		{ "neighbours", ENV_ALL, neighbours },
		{ "neighbours_accessed", ENV_ALL, neighbours_accessed },
		{ "upper_levels_accessed", ENV_ALL, upper_levels_accessed },
	};

	run_tests("page", t, ARRAY_SIZE(t));
}
