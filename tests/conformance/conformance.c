// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The conformance suite: what include/plex86/engine.h promises, tried out.
 *
 *   conformance [engine]
 *
 * Without a name every engine of this build is tested, those that don't work on
 * this host being skipped with the reason they give.
 */
#include "harness.h"

static void test_engine(const struct plex86_engine_ops *candidate)
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
	test_arguments();
	test_exits64();
	test_registers();
	test_vectors();
	test_maps();
	test_spaces();
	test_time();
	test_compat();
	test_segments();
	test_descriptors();
	test_traps();
	test_hostile();
	close_engine();
}

int main(int argc, char **argv)
{
	bool found = false;
	unsigned int i;

	if (argc > 2) {
		fprintf(stderr, "Usage: %s [engine]\n", argv[0]);
		return 2;
	}
	for (i = 0; plex86_engines[i]; i++) {
		if (argc == 2 && strcmp(argv[1], plex86_engines[i]->name))
			continue;
		found = true;
		test_engine(plex86_engines[i]);
	}
	if (!found) {
		fprintf(stderr, "This build has no engine%s%s.\n", argc == 2 ? " named " : "",
			argc == 2 ? argv[1] : "");
		return 2;
	}
	return finish();
}
