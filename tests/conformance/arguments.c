// SPDX-License-Identifier: LGPL-2.1-or-later
/* Arguments that an engine must refuse, and that a refusal changes nothing. */
#include <errno.h>

#include "harness.h"

extern const uint8_t g64_hlt[];

static void test_open(void)
{
	struct plex86_engine_config good = { .ram_fd = ram_fd, .ram = ram, .ram_size = RAM_SIZE,
					     .max_spaces = 4 };
	struct plex86_engine_config bad[6] = { good, good, good, good, good, good };
	static const char *const what[6] = { "memory of half a page", "no memory", "flags",
					     "a closed descriptor", "no spaces",
					     "memory beyond the object's end" };
	char why[PLEX86_WHY_LEN];
	struct plex86_engine *e;
	unsigned int i;
	int err;

	bad[0].ram_size -= 2048;
	bad[1].ram_size = 0;
	bad[2].flags = 1;
	bad[3].ram_fd = -1;
	bad[4].max_spaces = 0;
	bad[5].ram_size *= 2;
	for (i = 0; i < 6; i++) {
		why[0] = 0;
		e = NULL;
		err = ops->open(&bad[i], &e, why);
		report(err < 0 && !e && why[0], "open() refuses %s, and says why", what[i]);
		if (!err)
			ops->close(e);
	}
	ops->close(NULL);
	report(1, "close(NULL)");
}

static void test_apply(struct plex86_space *s)
{
	const struct plex86_map_op good = { PLEX86_MAP, R, { VA_DATA }, { RAM_DATA }, 1 };
	static const struct {
		const char *name;
		struct plex86_map_op op;
	} bad[] = {
		{ "an unknown kind", { 77, R, { VA_DATA }, { RAM_DATA }, 1 } },
		{ "kind 0", { 0, R, { VA_DATA }, { RAM_DATA }, 1 } },
		{ "no protection", { PLEX86_MAP, 0, { VA_DATA }, { RAM_DATA }, 1 } },
		{ "unknown protection bits", { PLEX86_MAP, 0x11, { VA_DATA }, { RAM_DATA }, 1 } },
		{ "no pages", { PLEX86_MAP, R, { VA_DATA }, { RAM_DATA }, 0 } },
		{ "a misaligned address", { PLEX86_MAP, R, { VA_DATA + 8 }, { RAM_DATA }, 1 } },
		{ "a misaligned offset", { PLEX86_MAP, R, { VA_DATA }, { RAM_DATA + 8 }, 1 } },
		{ "an offset behind RAM", { PLEX86_MAP, R, { VA_DATA }, { RAM_SIZE }, 1 } },
		{ "a run over RAM's end",
		  { PLEX86_MAP, R, { VA_DATA }, { RAM_SIZE - PAGE(1) }, 2 } },
		{ "a run that wraps",
		  { PLEX86_MAP, R, { VA_DATA }, { RAM_DATA }, UINT64_C(1) << 52 } },
		{ "an offset that wraps",
		  { PLEX86_MAP, R, { VA_DATA }, { UINT64_C(0xfffffffffffff000) }, 2 } },
		{ "the upper half",
		  { PLEX86_MAP, R, { UINT64_C(0xffff800000000000) }, { RAM_DATA }, 1 } },
		{ "a non-canonical address",
		  { PLEX86_MAP, R, { UINT64_C(0x900000000000) }, { RAM_DATA }, 1 } },
		{ "unmapping the upper half",
		  { PLEX86_UNMAP, 0, { UINT64_C(0xffff800000000000) }, { 0 }, 1 } },
		{ "a misaligned unmap", { PLEX86_UNMAP, 0, { VA_DATA + 1 }, { 0 }, 1 } },
		{ "unmapping across the limit",
		  { PLEX86_UNMAP, 0, { VA_DATA }, { 0 }, UINT64_C(1) << 40 } },
	};
	struct plex86_map_op batch[3];
	unsigned int i, done;
	struct trial t;
	int err;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		batch[0] = good;
		batch[1] = bad[i].op;
		batch[2] = good;
		done = ~0u;
		err = ops->apply(s, batch, 3, &done);
		report(err == -EINVAL && done == 1, "apply() refuses %s, keeps what came before",
		       bad[i].name);
	}
	report(!ops->apply(s, NULL, 0, NULL), "apply() of nothing");
	report(ops->apply(s, NULL, 1, NULL) == -EINVAL, "apply() refuses no operations");
	report(ops->apply(NULL, &good, 1, NULL) == -EINVAL, "apply() refuses no space");

	init_cpu64(&t.cpu, AT64(g64_hlt));
	plex86_vec_init(&t.vec);
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT64(g64_hlt), 0), "and the space still works");
}

static void test_run(struct plex86_space *s)
{
	struct plex86_exit exit;
	struct plex86_cpu cpu, was;
	struct plex86_vec vec;

	init_cpu64(&cpu, AT64(g64_hlt));
	was = cpu;
	plex86_vec_init(&vec);
	report(ops->run(NULL, &cpu, &vec, 0, FOREVER, &exit) == -EINVAL, "run() refuses no space");
	report(ops->run(s, NULL, &vec, 0, FOREVER, &exit) == -EINVAL, "run() refuses no CPU");
	report(ops->run(s, &cpu, NULL, 0, FOREVER, &exit) == -EINVAL,
	       "run() refuses no vector state");
	report(ops->run(s, &cpu, &vec, 0, FOREVER, NULL) == -EINVAL, "run() refuses no exit");
	report(ops->run(s, &cpu, &vec, 0x80, FOREVER, &exit) == -EINVAL,
	       "run() refuses unknown flags");
	cpu.reserved = was.reserved = 1;
	report(ops->run(s, &cpu, &vec, 0, FOREVER, &exit) == -EINVAL,
	       "run() refuses reserved fields in use");
	cpu.reserved = was.reserved = 0;
	cpu.mode = was.mode = 9;
	report(!ops->run(s, &cpu, &vec, 0, FOREVER, &exit) &&
	       exit.reason == PLEX86_EXIT_REFUSED && exit.why, "run() refuses an unknown mode");
	report(!memcmp(&cpu, &was, sizeof(cpu)), "none of which changed the CPU");
}

void test_arguments(void)
{
	struct plex86_space *s = fresh_space(), *none = NULL;

	test_open();
	report(ops->space_create(NULL, &none) == -EINVAL && !none, "space_create() refuses no engine");
	ops->space_destroy(NULL);
	report(1, "space_destroy(NULL)");
	test_apply(s);
	test_run(s);
	ops->space_destroy(s);
}
