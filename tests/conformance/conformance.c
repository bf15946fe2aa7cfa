// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The conformance suite: what include/plex86/engine.h promises, tried out.
 *
 *   conformance [engine [part]]
 *
 * Without a name every engine of this build is tested, those that don't work on
 * this host being skipped with the reason they give.
 */
#include "harness.h"

static const struct {
	const char *name;
	void (*test)(void);
} parts[] = {
	{ "arguments", test_arguments }, { "exits64", test_exits64 }, { "registers", test_registers },
	{ "vectors", test_vectors }, { "maps", test_maps }, { "spaces", test_spaces },
	{ "time", test_time }, { "compat", test_compat }, { "segments", test_segments },
	{ "descriptors", test_descriptors }, { "traps", test_traps }, { "hostile", test_hostile },
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

static bool is_part(const char *name)
{
	for (unsigned int i = 0; i < PARTS; i++)
		if (!strcmp(name, parts[i].name))
			return true;
	return false;
}

static void test_engine(const struct plex86_engine_ops *candidate, const char *part)
{
	char why[PLEX86_WHY_LEN] = "no reason given";
	int err = candidate->probe(why);

	if (err) {
		skip(candidate->name, why);
		return;
	}
	if (!open_engine(candidate, 256))
		return;
	note("%s: caps %#x, XCR0 %#llx, round trip %llu ns, page %llu ns", candidate->name,
		 caps->flags, (unsigned long long)caps->xcr0,
		 (unsigned long long)caps->round_trip_ns, (unsigned long long)caps->map_page_ns);
	for (unsigned int i = 0; i < PARTS; i++)
		if (!part || !strcmp(part, parts[i].name))
			parts[i].test();
	close_engine();
}

int main(int argc, char **argv)
{
	bool found = false;
	unsigned int i;

	if (argc > 3 || (argc == 3 && !is_part(argv[2]))) {
		fprintf(stderr, "Usage: %s [engine [part]]\n", argv[0]);
		return 2;
	}
	for (i = 0; plex86_engines[i]; i++) {
		if (argc > 1 && strcmp(argv[1], plex86_engines[i]->name))
			continue;
		found = true;
		test_engine(plex86_engines[i], argc == 3 ? argv[2] : NULL);
	}
	if (!found) {
		fprintf(stderr, "This build has no engine%s%s.\n", argc > 1 ? " named " : "",
			argc > 1 ? argv[1] : "");
		return 2;
	}
	return finish();
}
