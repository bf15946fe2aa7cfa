// SPDX-License-Identifier: LGPL-2.1-or-later
/* Several spaces: each its own, sharing only the pages they are told to share. */
#include <errno.h>

#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_load_rdi); PROG(g64_load_rdi_trap); PROG(g64_store_rdi); PROG(g64_store_rdi_trap);

#define VA_TEST	UINT64_C(0x6000000000)

static void touch(struct plex86_space *s, struct trial *t, const uint8_t *at, uint64_t va,
		  uint64_t value)
{
	init_cpu64(&t->cpu, AT64(at));
	plex86_vec_init(&t->vec);
	t->cpu.gpr[PLEX86_RDI] = va;
	t->cpu.gpr[PLEX86_RSI] = value;
	run_to_trap(s, t);
}

static bool sees(struct plex86_space *s, uint64_t va, uint64_t want)
{
	struct trial t;

	touch(s, &t, g64_load_rdi, va, 0);
	return is_trap(&t, 13) && t.cpu.gpr[PLEX86_RDX] == want;
}

static void test_isolation(void)
{
	struct plex86_space *a = fresh_space(), *b = fresh_space();
	struct trial t;

	map_pages(a, VA_TEST, RAM_DATA, 1, RW);
	touch(b, &t, g64_load_rdi, VA_TEST, 0);
	report(is_page(&t, VA_TEST), "a page mapped in one space isn't in another");
	map_pages(b, VA_TEST, RAM_DATA + PAGE(1), 1, RW);
	touch(a, &t, g64_store_rdi, VA_TEST, 111);
	touch(b, &t, g64_store_rdi, VA_TEST, 222);
	report(sees(a, VA_TEST, 111) && sees(b, VA_TEST, 222),
	       "one address, two spaces, two pages");
	map_pages(b, VA_TEST, RAM_DATA, 1, R);
	report(sees(b, VA_TEST, 111), "a page shared by two spaces shows the same memory");
	touch(b, &t, g64_store_rdi, VA_TEST, 1);
	report(is_page(&t, VA_TEST), "with each space's own protection");
	touch(a, &t, g64_store_rdi, VA_TEST, 333);
	report(sees(b, VA_TEST, 333), "and a store in one is seen in the other");
	unmap_pages(a, VA_TEST, 1);
	report(sees(b, VA_TEST, 333), "unmapping it in one leaves it in the other");
	ops->space_destroy(a);
	report(sees(b, VA_TEST, 333), "as does destroying the one");
	ops->space_destroy(b);
}

/* Operations queued for one space must not leak into another. */
static void test_interleaved(void)
{
	struct plex86_space *s[4];
	bool good = true;
	uint64_t word;
	unsigned int i, j;

	for (i = 0; i < 4; i++)
		s[i] = fresh_space();
	for (i = 0; i < DATA_PAGES; i++) {
		word = 500 + i;
		memcpy(ram + RAM_DATA + PAGE((uint64_t)i), &word, 8);
	}
	for (j = 0; j < 8; j++)
		for (i = 0; i < 4; i++)
			good &= !map_pages(s[i], VA_TEST + PAGE((uint64_t)j),
					   RAM_DATA + PAGE((uint64_t)((i * 3 + j) % DATA_PAGES)),
					   1, R);
	for (j = 0; j < 8; j++)
		for (i = 0; i < 4; i++)
			good &= sees(s[i], VA_TEST + PAGE((uint64_t)j),
				     500 + (i * 3 + j) % DATA_PAGES);
	report(good, "operations on four spaces, interleaved, each reach their own");
	for (i = 0; i < 4; i++)
		ops->space_destroy(s[i]);
}

static void test_many(void)
{
	enum { MANY = 200 };
	static struct plex86_space *s[MANY];
	bool good = true;
	uint64_t word;
	unsigned int i, n;

	reset_ram();
	for (n = 0; n < MANY; n++) {
		good &= !ops->space_create(engine, &s[n]);
		if (!good)
			break;
		good &= !map_pages(s[n], VA_CODE64, RAM_CODE64, CODE_PAGES, RX);
		good &= !map_pages(s[n], VA_TEST, RAM_DATA + PAGE((uint64_t)(n % DATA_PAGES)), 1, R);
	}
	for (i = 0; i < DATA_PAGES; i++) {
		word = 900 + i;
		memcpy(ram + RAM_DATA + PAGE((uint64_t)i), &word, 8);
	}
	for (i = 0; good && i < n; i++)
		good &= sees(s[(i * 37) % MANY], VA_TEST, 900 + (i * 37) % MANY % DATA_PAGES);
	report(good, "200 spaces at once, all working");
	for (i = 0; i < n; i++)
		ops->space_destroy(s[(i * 73) % n]);
	good = true;
	for (i = 0; i < 300 && good; i++) {
		good &= !ops->space_create(engine, &s[0]);
		if (good)
			ops->space_destroy(s[0]);
	}
	report(good, "300 spaces one after another");
}

static void test_limit(void)
{
	static struct plex86_space *s[300];
	unsigned int i, n;
	int err = 0;

	for (n = 0; n < 300; n++) {
		err = ops->space_create(engine, &s[n]);
		if (err)
			break;
	}
	report(n == 256 && err == -ENOSPC, "more spaces than announced: -ENOSPC");
	for (i = 0; i < n; i++)
		ops->space_destroy(s[i]);
}

void test_spaces(void)
{
	test_isolation();
	test_interleaved();
	test_many();
	test_limit();
}
