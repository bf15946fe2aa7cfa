// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mapping, unmapping, replacing, protecting: what guest code then sees. */
#include "harness.h"
#include "maps.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_store_rdi); PROG(g64_store_rdi_trap); PROG(g64_load_rdi); PROG(g64_load_rdi_trap);
PROG(g64_sum_pages); PROG(g64_sum_pages_trap); PROG(g64_hlt);

/* Run @at with RDI = @va, RSI = @value. */
static void touch(struct plex86_space *s, struct trial *t, const uint8_t *at, uint64_t va,
		  uint64_t value)
{
	init_cpu64(&t->cpu, AT64(at));
	plex86_vec_init(&t->vec);
	t->cpu.gpr[PLEX86_RDI] = va;
	t->cpu.gpr[PLEX86_RSI] = value;
	run_to_trap(s, t);
}

bool can_load(struct plex86_space *s, uint64_t va, uint64_t want)
{
	struct trial t;

	touch(s, &t, g64_load_rdi, va, 0);
	return is_trap(&t, 13) && t.cpu.rip == AT64(g64_load_rdi_trap) &&
	       t.cpu.gpr[PLEX86_RDX] == want;
}

bool cant_load(struct plex86_space *s, uint64_t va)
{
	struct trial t;

	touch(s, &t, g64_load_rdi, va, 0);
	return is_page(&t, va) & same_state(&t, AT64(g64_load_rdi), 0);
}

static bool can_store(struct plex86_space *s, uint64_t va)
{
	static uint64_t value = 1000;
	struct trial t;

	touch(s, &t, g64_store_rdi, va, ++value);
	return is_trap(&t, 13) && t.cpu.rip == AT64(g64_store_rdi_trap) &&
	       t.cpu.gpr[PLEX86_RDX] == value;
}

static bool cant_store(struct plex86_space *s, uint64_t va)
{
	struct trial t;

	touch(s, &t, g64_store_rdi, va, 1);
	return is_page(&t, va) & same_state(&t, AT64(g64_store_rdi), 0);
}

static bool can_exec(struct plex86_space *s, uint64_t va)
{
	struct trial t;

	touch(s, &t, g64_hlt, 0, 0);
	t.cpu.rip = va;
	run_to_trap(s, &t);
	return is_trap(&t, 13) & same_state(&t, va, 0);
}

static bool cant_exec(struct plex86_space *s, uint64_t va)
{
	struct trial t;

	touch(s, &t, g64_hlt, 0, 0);
	t.cpu.rip = va;
	run_to_trap(s, &t);
	return is_page(&t, va) & same_state(&t, va, 0);
}

void number_pages(void)
{
	uint64_t i;

	for (i = 0; i < DATA_PAGES; i++) {
		memcpy(ram + RAM_DATA + PAGE(i), &i, 8);
		memset(ram + RAM_DATA + PAGE(i) + 8, 0xf4, 8);
	}
}

static void test_basic(struct plex86_space *s)
{
	number_pages();
	report(cant_load(s, VA_TEST), "nothing is there before it is mapped");
	report(!map_pages(s, VA_TEST, RAM_DATA + PAGE(3), 1, R) && can_load(s, VA_TEST, 3),
	       "a mapped page shows its RAM page");
	report(cant_load(s, VA_TEST + PAGE(1)) && cant_load(s, VA_TEST - 8),
	       "and its neighbours stay absent");
	report(!map_pages(s, VA_TEST, RAM_DATA + PAGE(5), 1, R) && can_load(s, VA_TEST, 5),
	       "mapping over a page replaces it");
	report(!unmap_pages(s, VA_TEST, 1) && cant_load(s, VA_TEST), "an unmapped page is gone");
	report(!unmap_pages(s, VA_TEST, 1000) && cant_load(s, VA_TEST),
	       "unmapping absent pages is fine");
}

static void test_protection(struct plex86_space *s)
{
	static const struct {
		uint32_t prot;
		const char *name;
	} prot[] = { { R, "R" }, { RW, "RW" }, { RX, "RX" }, { RWX, "RWX" },
		     { PLEX86_PROT_WRITE, "W, which implies R" },
		     { PLEX86_PROT_EXEC, "X" }, { R, "R again" } };
	unsigned int i;
	bool good;

	/* One page through all of them, so this tests changes as well. */
	for (i = 0; i < sizeof(prot) / sizeof(prot[0]); i++) {
		number_pages();
		good = !map_pages(s, VA_TEST, RAM_DATA + PAGE(2), 1, prot[i].prot);
		good &= prot[i].prot == PLEX86_PROT_EXEC && caps->flags & PLEX86_CAP_EXEC_ONLY ?
			cant_load(s, VA_TEST) : can_load(s, VA_TEST, 2);
		good &= prot[i].prot & PLEX86_PROT_EXEC ? can_exec(s, VA_TEST + 8) :
			cant_exec(s, VA_TEST + 8);
		good &= prot[i].prot & PLEX86_PROT_WRITE ? can_store(s, VA_TEST) :
			cant_store(s, VA_TEST);
		report(good, "protection %s is enforced", prot[i].name);
	}
	unmap_pages(s, VA_TEST, 1);
}

/* Code that nobody can read, whatever else the engine has done since. */
static void test_exec_only(struct plex86_space *s)
{
	struct plex86_space *other;
	struct trial t;
	bool good;

	if (!(caps->flags & PLEX86_CAP_EXEC_ONLY)) {
		skip("pages that can only be executed", "this engine has none on this host");
		return;
	}
	number_pages();
	good = !map_pages(s, VA_TEST, RAM_DATA + PAGE(6), 2, PLEX86_PROT_EXEC);
	good &= can_exec(s, VA_TEST + 8) && cant_load(s, VA_TEST) && cant_store(s, VA_TEST);
	good &= can_exec(s, VA_TEST + PAGE(1) + 8) && cant_load(s, VA_TEST + PAGE(1));
	report(good, "a page that can only be executed can't be read");

	good = !map_pages(s, VA_TEST + PAGE(3), RAM_DATA + PAGE(6), 1, R);
	good &= can_load(s, VA_TEST + PAGE(3), 6) && cant_load(s, VA_TEST);
	report(good, "but elsewhere the same page can");

	/* Another space, vector registers of another kind, and back. */
	other = fresh_space();
	number_pages();
	good = !map_pages(other, VA_TEST, RAM_DATA + PAGE(7), 1, R) && can_load(other, VA_TEST, 7);
	good &= cant_load(s, VA_TEST);
	good &= !map_pages(other, VA_TEST, RAM_DATA + PAGE(7), 1, PLEX86_PROT_EXEC);
	good &= cant_load(other, VA_TEST) && can_exec(other, VA_TEST + 8) && cant_load(s, VA_TEST);
	init_cpu64(&t.cpu, AT64(g64_load_rdi));
	t.cpu.gpr[PLEX86_RDI] = VA_TEST;
	init_vec(&t.vec, 5, caps->xcr0);
	run_to_trap(other, &t);
	good &= is_page(&t, VA_TEST) & same_state(&t, AT64(g64_load_rdi), 0);
	ops->space_destroy(other);
	good &= cant_load(s, VA_TEST) && can_exec(s, VA_TEST + 8);
	report(good, "nor after other spaces and other registers");

	good = !map_pages(s, VA_TEST, RAM_DATA + PAGE(6), 1, RX) && can_load(s, VA_TEST, 6) &&
	       can_exec(s, VA_TEST + 8) && cant_load(s, VA_TEST + PAGE(1));
	good &= !unmap_pages(s, VA_TEST, 8) && cant_load(s, VA_TEST) &&
		!map_pages(s, VA_TEST, RAM_DATA + PAGE(6), 1, R) && can_load(s, VA_TEST, 6);
	report(good, "until it is mapped otherwise");
	unmap_pages(s, VA_TEST, 8);
}

static void test_aliases(struct plex86_space *s)
{
	uint64_t word;
	bool good;

	number_pages();
	good = !map_pages(s, VA_TEST, RAM_DATA + PAGE(4), 1, RW);
	good &= !map_pages(s, VA_TEST + PAGE(9), RAM_DATA + PAGE(4), 1, R);
	good &= can_store(s, VA_TEST);
	memcpy(&word, ram + RAM_DATA + PAGE(4), 8);
	good &= can_load(s, VA_TEST + PAGE(9), word);
	report(good, "two addresses of one page show the same memory, as does the host");
	unmap_pages(s, VA_TEST, 10);
}

static void test_runs(struct plex86_space *s)
{
	struct trial t;
	bool good;

	number_pages();
	good = !map_pages(s, VA_TEST, RAM_DATA, DATA_PAGES, R);
	touch(s, &t, g64_sum_pages, VA_TEST, 0);
	t.cpu.rip = AT64(g64_sum_pages);
	t.cpu.gpr[PLEX86_RDI] = VA_TEST;
	t.cpu.gpr[PLEX86_RDX] = 0;
	t.cpu.gpr[PLEX86_RCX] = DATA_PAGES;
	run_to_trap(s, &t);
	good &= is_trap(&t, 13) && t.cpu.gpr[PLEX86_RDX] == DATA_PAGES * (DATA_PAGES - 1) / 2;
	report(good, "a run of pages is one operation");

	good = !unmap_pages(s, VA_TEST + PAGE(4), 2);
	good &= can_load(s, VA_TEST + PAGE(3), 3) && cant_load(s, VA_TEST + PAGE(4)) &&
		cant_load(s, VA_TEST + PAGE(5)) && can_load(s, VA_TEST + PAGE(6), 6);
	report(good, "a hole in a run");
	good = !map_pages(s, VA_TEST + PAGE(8), RAM_DATA + PAGE(8), 1, RW);
	good &= cant_store(s, VA_TEST + PAGE(7)) && can_store(s, VA_TEST + PAGE(8)) &&
		cant_store(s, VA_TEST + PAGE(9));
	report(good, "one page of a run made writable");
	unmap_pages(s, VA_TEST, DATA_PAGES);
}

/* Code that changes: written by the host side, then by the guest itself. */
static void test_code_changes(struct plex86_space *s)
{
	struct trial t;
	bool good = true;
	unsigned int i;

	map_pages(s, VA_PATCH, RAM_PATCH, 1, RX);
	for (i = 0; i < 8; i++) {
		ram[RAM_PATCH] = i & 1 ? 0xcc : 0xf4;
		touch(s, &t, g64_hlt, 0, 0);
		t.cpu.rip = VA_PATCH;
		run_to_trap(s, &t);
		good &= is_trap(&t, i & 1 ? 3 : 13) & same_state(&t, VA_PATCH, 0);
	}
	report(good, "code written by the host side is executed as written");

	map_pages(s, VA_PATCH, RAM_PATCH, 1, RWX);
	/* MOV BYTE [RIP+1], CCH; JMP +0; HLT -> INT3 */
	memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0xc6, 0x05, 0x02, 0, 0, 0, 0xcc, 0xeb, 0, 0xf4 },
	       10);
	touch(s, &t, g64_hlt, 0, 0);
	t.cpu.rip = VA_PATCH;
	run_to_trap(s, &t);
	report(is_trap(&t, 3) & same_state(&t, VA_PATCH + 9, 0),
	       "code that rewrites the next instruction runs it as rewritten");
}

void test_maps(void)
{
	struct plex86_space *s = fresh_space();

	test_basic(s);
	test_protection(s);
	test_exec_only(s);
	test_aliases(s);
	test_runs(s);
	test_many_at_once(s);
	test_code_changes(s);
	ops->space_destroy(s);
	test_map_limit();
}
