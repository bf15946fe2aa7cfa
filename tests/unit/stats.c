/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugin/stats.c: the file can be parsed, keeps its keys, and is replaced whole. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/stats.h"
#include "vm.h"

static char dir[] = "/tmp/plex86-stats-XXXXXX";
static char path[200], tmp[210];

static struct plex86_caps caps = { .round_trip_ns = 1234, .map_page_ns = 56 };
static struct plex86_shadow_stats shadow;
static struct plex86_stats stats;
static struct plex86_stats_context context = {
	.engine = "fake \"quoted\"", .caps = &caps, .shadow = &shadow, .insn_ps = 3000,
	.break_even = 411, .spaces = 2,
};

static struct json_object *get(struct json_object *o, const char *section, const char *key)
{
	struct json_object *s = o;

	if (section && !json_object_object_get_ex(o, section, &s))
		return NULL;
	return json_object_object_get_ex(s, key, &o) ? o : NULL;
}

static void value(struct json_object *o, const char *section, const char *key, uint64_t want)
{
	struct json_object *v = get(o, section, key);

	if (!tap_ok(v && json_object_is_type(v, json_type_int) && json_object_get_uint64(v) == want,
		    "%s.%s", section ? section : "", key))
		tap_diag("%s", v ? json_object_to_json_string(v) : "is not there");
}

/* Scripts and the demo's report read these. */
static const char *const keys[][24] = {
	{ NULL, "version", "engine", "wall_ns", "spaces" },
	{ "user", "entries", "entries_asked", "entries_native", "asked", "native_slices", "native_ns", "native_ticks", "steps" },
	{ "emulated_instructions", "short-burst", "code-page", "trapping-code", "segments",
	  "not-user", "engine", "32-bit-code", "upper-half", "fpu-off", "breakpoint" },
	{ "refusals", "not-user", "virtual-8086", "trap-flag", "segments", "selectors", "engine" },
	{ "exits", "trap", "page", "deadline", "kick", "refused", "lost" },
	{ "faults", "mapped", "guest", "stuck" },
	{ "memory", "pages_mapped", "pages_unmapped", "pages_upgraded", "ranges_mapped",
	  "ranges_unmapped", "tables_watched", "table_lines_reread", "subtrees_dropped",
	  "spaces_created", "spaces_evicted", "spaces_lost", "code_data_flips",
	  "code_data_flips_refused", "code_pages_scanned", "code_pages_refused",
	  "code_pages_with_traps", "code_pages_copied", "code_copies_read", "code_surprises", "spaces_with_tsc_traps" },
	{ "cost", "round_trip_ns", "map_page_ns", "emulated_instruction_ps",
	  "break_even_instructions" },
};

static void content(void)
{
	struct json_object *o;
	unsigned int i, k, missing = 0;

	stats.user_entries = UINT64_MAX;
	stats.slices = 7;
	stats.native_ns = UINT64_C(123456789012345);
	stats.exits[PLEX86_EXIT_PAGE] = 9;
	stats.exits[PLEX86_EXIT_LOST] = 1;
	stats.refused[PLEX86_REFUSE_SEGMENTS] = 5;
	stats.emulated[PLEX86_BY_FILTER] = 77;
	stats.emulated[PLEX86_REFUSE_SMM] = 78;
	stats.faults_stuck = 3;
	shadow.spaces_lost = 4;
	is(plex86_stats_write(&stats, &context, path), 0, "written");
	o = json_object_from_file(path);
	ok(o != NULL);
	if (!o)
		return;
	ok(!strcmp(json_object_get_string(get(o, NULL, "engine")), "fake \"quoted\""));
	value(o, NULL, "version", 1);
	value(o, NULL, "spaces", 2);
	value(o, "user", "entries", UINT64_MAX);
	value(o, "user", "native_slices", 7);
	value(o, "user", "native_ns", UINT64_C(123456789012345));
	value(o, "exits", "page", 9);
	value(o, "exits", "lost", 1);
	value(o, "refusals", "segments", 5);
	value(o, "emulated_instructions", "code-page", 77);
	value(o, "emulated_instructions", "smm", 78);
	value(o, "faults", "stuck", 3);
	value(o, "memory", "spaces_lost", 4);
	value(o, "cost", "round_trip_ns", 1234);
	value(o, "cost", "break_even_instructions", 411);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		for (k = 1; keys[i][k]; k++)
			if (!get(o, keys[i][0], keys[i][k])) {
				tap_diag("no %s", keys[i][k]);
				missing++;
			}
	is(missing, 0, "all keys are there");
	json_object_put(o);
	context.caps = NULL;
	is(plex86_stats_write(&stats, &context, path), 0, "without an engine");
	o = json_object_from_file(path);
	value(o, "cost", "round_trip_ns", 0);
	json_object_put(o);
	context.caps = &caps;
}

static char *slurp(const char *name)
{
	static char text[100];
	FILE *f = fopen(name, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = 0;
	if (f)
		fclose(f);
	return text;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	fputs(text, f);
	fclose(f);
}

static void replaced(void)
{
	struct stat before, after;
	struct rlimit unlimited, little = { 100, RLIM_INFINITY };
	FILE *f;
	int err;

	/* Who has the old file open goes on reading the old file. */
	put(path, "old");
	stat(path, &before);
	f = fopen(path, "r");
	is(plex86_stats_write(&stats, &context, path), 0, "over an old file");
	stat(path, &after);
	ok(before.st_ino != after.st_ino && fgetc(f) == 'o');
	fclose(f);
	ok(access(tmp, F_OK));

	/* The disk is full half way: the old file stays, and no other. */
	put(path, "old");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &unlimited);
	little.rlim_max = unlimited.rlim_max;
	setrlimit(RLIMIT_FSIZE, &little);
	err = plex86_stats_write(&stats, &context, path);
	setrlimit(RLIMIT_FSIZE, &unlimited);
	ok(err < 0);
	ok(!strcmp(slurp(path), "old"));
	ok(access(tmp, F_OK));
}

static void unwritable(void)
{
	static char longer[5000];
	char name[300];

	snprintf(name, sizeof(name), "%s/no/such/folder", dir);
	is(plex86_stats_write(&stats, &context, name), -ENOENT, "a folder that is not there");
	snprintf(name, sizeof(name), "%s/file", path);
	is(plex86_stats_write(&stats, &context, name), -ENOTDIR, "a folder that is a file");
	is(plex86_stats_write(&stats, &context, ""), 0 - ENOENT, "no name at all");
	memset(longer, 'x', sizeof(longer) - 1);
	is(plex86_stats_write(&stats, &context, longer), -ENAMETOOLONG, "a name that is too long");
	snprintf(name, sizeof(name), "%s/folder", dir);
	mkdir(name, 0700);
	ok(plex86_stats_write(&stats, &context, name) < 0);
	rmdir(name);
	snprintf(name, sizeof(name), "%s/folder.tmp", dir);
	ok(access(name, F_OK));		/* nothing is left lying about */
	unlink(name);
	unlink(".tmp");
}

/* Through the core: the file at close, a sentence if it can't be. */
static void from_the_core(void)
{
	struct plex86_core_config config;
	char why[PLEX86_WHY_LEN];
	struct json_object *o;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		unlink(path);
		vm_init(1);
		vm_core_config(&config);
		config.stats_file = i ? "/no/such/folder/x" : path;
		ok(!plex86_core_open(&config, &bochs_host_ops, &vm.core, why));
		plex86_core_user_mode(vm.core, 0x1000, 0);
		plex86_core_request_stats(vm.core);
		plex86_core_answer(vm.core);
		plex86_core_kernel_mode(vm.core, 25);
		if (!i)
			ok(!access(path, F_OK));	/* on request, while it runs */
		vm_close();
		is(vm.log_errors, i ? 2 : 0, "errors in the log, one each time");
	}
	o = json_object_from_file(path);
	ok(!o);
	ok(strstr(vm.log[vm.log_count - 1], "/no/such/folder/x"));

	vm_init(1);
	vm_core_config(&config);
	config.stats_file = path;
	ok(!plex86_core_open(&config, &bochs_host_ops, &vm.core, why));
	plex86_core_user_mode(vm.core, 0x1000, 0);
	plex86_core_kernel_mode(vm.core, 25);
	vm_close();
	o = json_object_from_file(path);
	value(o, "user", "entries", 1);
	value(o, "emulated_instructions", "short-burst", 25);
	json_object_put(o);
	ok(vm.log_count >= 4 && strstr(vm.log[0], "engine fake"));
}

/* For tests: natively at once and always, but not without an engine. */
static void eager(void)
{
	struct plex86_core_config config;
	char why[PLEX86_WHY_LEN];
	struct json_object *o;
	struct plex86_wait wait;

	for (unsigned int with = 0; with < 2; with++) {
		vm_init(1);
		vm_core_config(&config);
		config.stats_file = path;
		config.eager = true;
		if (!with)
			config.engine = "none";
		ok(!plex86_core_open(&config, &bochs_host_ops, &vm.core, why));
		for (unsigned int i = 0; i < 3; i++) {
			is(!plex86_core_user_mode(vm.core, 0x1000, 100 * i), with,
			   "asks at once if there is an engine");
			is(plex86_core_plan(vm.core, vm_place(0x1000, 0, 100 * i + 1, 1000000), &wait), with,
			   "and then goes native");
			plex86_core_plan(vm.core, vm_place(0x1000, 0, 100 * i + 2, 1000000), &wait);
			plex86_core_kernel_mode(vm.core, 100 * i + 3);
		}
		plex86_core_user_mode(vm.core, 0x1000, 1000);
		vm_close();
	}
	o = json_object_from_file(path);
	value(o, "user", "entries", 4);
	value(o, "user", "entries_asked", 3);
	value(o, "user", "entries_native", 0);
	json_object_put(o);
}

int main(void)
{
	if (!mkdtemp(dir)) {
		printf("Bail out! no folder in /tmp\n");
		return 1;
	}
	snprintf(path, sizeof(path), "%s/stats.json", dir);
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	content();
	replaced();
	unwritable();
	from_the_core();
	eager();
	unlink(path);
	unlink(tmp);
	rmdir(dir);
	return tap_done();
}
