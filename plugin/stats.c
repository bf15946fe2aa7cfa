/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <unistd.h>

#include "now.h"
#include "stats.h"

static const char *const exit_names[] = {
	[PLEX86_EXIT_TRAP] = "trap", [PLEX86_EXIT_PAGE] = "page",
	[PLEX86_EXIT_DEADLINE] = "deadline", [PLEX86_EXIT_KICK] = "kick",
	[PLEX86_EXIT_REFUSED] = "refused", [PLEX86_EXIT_LOST] = "lost",
	[PLEX86_EXIT_BROKEN] = "broken",
};

static const char *emulated_name(unsigned int i)
{
	switch (i) {
	case PLEX86_BY_POLICY:	return "short-burst";
	case PLEX86_BY_FILTER:	return "code-page";
	case PLEX86_BY_TRAP:	return "trapping-code";
	}
	return plex86_refusal_name(i);
}

static void put(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static struct json_object *sub(struct json_object *o, const char *key)
{
	struct json_object *s = json_object_new_object();

	json_object_object_add(o, key, s);
	return s;
}

static void put_shadow(struct json_object *o, const struct plex86_shadow_stats *m)
{
	put(o, "pages_mapped", m->pages_mapped);
	put(o, "pages_unmapped", m->pages_unmapped);
	put(o, "pages_upgraded", m->pages_upgraded);
	put(o, "ranges_mapped", m->ranges_mapped);
	put(o, "ranges_unmapped", m->ranges_unmapped);
	put(o, "tables_watched", m->tables_watched);
	put(o, "table_lines_reread", m->lines_reread);
	put(o, "subtrees_dropped", m->subtrees_dropped);
	put(o, "spaces_created", m->spaces_created);
	put(o, "spaces_evicted", m->spaces_evicted);
	put(o, "spaces_lost", m->spaces_lost);
	put(o, "code_data_flips", m->flips);
	put(o, "code_data_flips_refused", m->flips_refused);
	put(o, "code_pages_scanned", m->pages_scanned);
	put(o, "code_pages_refused", m->filter_refused);
	put(o, "code_pages_with_traps", m->pages_trapped);
	put(o, "code_pages_copied", m->pages_copied);
	put(o, "code_copies_read", m->copies_read);
	put(o, "code_surprises", m->surprises);
	put(o, "spaces_with_tsc_traps", m->spaces_tsc);
	put(o, "descriptor_tables_read", m->descriptors_read);
	put(o, "descriptor_tables_given", m->descriptors_given);
}

static void put_verify(struct json_object *o, const struct plex86_verify_stats *v)
{
	struct json_object *part;
	unsigned int i;

	put(o, "slices", v->slices);
	put(o, "instructions", v->instructions);
	put(o, "pages", v->pages);
	put(o, "differences", v->differences);
	part = sub(o, "unverified");
	for (i = 0; i < PLEX86_UNVERIFIED; i++)
		put(part, plex86_unverified_name(i), v->unverified[i]);
	part = sub(o, "tolerated");
	for (i = 0; i < PLEX86_TOLERATED; i++)
		put(part, plex86_tolerated_name(i), v->tolerated[i]);
}

static struct json_object *build(const struct plex86_stats *s, const struct plex86_stats_context *c)
{
	struct json_object *o = json_object_new_object(), *sect;
	unsigned int i;

	put(o, "version", 1);
	json_object_object_add(o, "engine", json_object_new_string(c->engine));
	put(o, "wall_ns", plex86_now_ns() - s->opened_ns);

	sect = sub(o, "user");
	put(sect, "entries", s->user_entries);
	put(sect, "entries_asked", s->entries_asked);
	put(sect, "entries_native", s->entries_native);
	put(sect, "asked", s->asked);
	put(sect, "native_slices", s->slices);
	put(sect, "native_ns", s->native_ns);
	put(sect, "native_ticks", s->native_ticks);
	put(sect, "steps", s->steps);

	sect = sub(o, "emulated_instructions");
	for (i = 1; i < PLEX86_EMULATED; i++)
		put(sect, emulated_name(i), s->emulated[i]);

	sect = sub(o, "refusals");
	for (i = 1; i < PLEX86_REFUSALS; i++)
		put(sect, plex86_refusal_name(i), s->refused[i]);

	sect = sub(o, "exits");
	for (i = PLEX86_EXIT_TRAP; i < PLEX86_EXIT_REASONS; i++)
		put(sect, exit_names[i], s->exits[i]);

	sect = sub(o, "faults");
	put(sect, "mapped", s->faults_mapped);
	put(sect, "guest", s->faults_guest);
	put(sect, "stuck", s->faults_stuck);

	put_shadow(sub(o, "memory"), c->shadow);

	sect = sub(o, "cost");
	put(sect, "round_trip_ns", c->caps ? c->caps->round_trip_ns : 0);
	put(sect, "map_page_ns", c->caps ? c->caps->map_page_ns : 0);
	put(sect, "emulated_instruction_ps", c->insn_ps);
	put(sect, "break_even_instructions", c->break_even);
	put(o, "spaces", c->spaces);
	if (c->verify)
		put_verify(sub(o, "verify"), c->verify);
	return o;
}

int plex86_stats_write(const struct plex86_stats *s, const struct plex86_stats_context *c,
		       const char *path)
{
	struct json_object *o = build(s, c);
	char tmp[4096];
	int err = 0;

	if (!o)
		return -ENOMEM;
	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
		err = -ENAMETOOLONG;
	else if (json_object_to_file_ext(tmp, o, JSON_C_TO_STRING_PRETTY) < 0 ||
		 rename(tmp, path) < 0) {
		err = errno ? -errno : -EIO;
		unlink(tmp);
	}
	json_object_put(o);
	return err;
}

static void log_verify(const struct plex86_verify_stats *v,
		       void (*log)(enum plex86_log_level level, const char *message))
{
	char line[200];
	unsigned int i;

	snprintf(line, sizeof(line),
		 "verified: %" PRIu64 " slices, %" PRIu64 " instructions, %" PRIu64
		 " written pages; %" PRIu64 " differences", v->slices, v->instructions, v->pages,
		 v->differences);
	log(PLEX86_LOG_INFO, line);
	for (i = 0; i < PLEX86_UNVERIFIED; i++) {
		if (!v->unverified[i])
			continue;
		snprintf(line, sizeof(line), "slices that could not be verified, %s: %" PRIu64,
			 plex86_unverified_name(i), v->unverified[i]);
		log(PLEX86_LOG_INFO, line);
	}
	for (i = 0; i < PLEX86_TOLERATED; i++) {
		if (!v->tolerated[i])
			continue;
		snprintf(line, sizeof(line), "tolerated, %s: %" PRIu64, plex86_tolerated_name(i),
			 v->tolerated[i]);
		log(PLEX86_LOG_INFO, line);
	}
}

void plex86_stats_log(const struct plex86_stats *s, const struct plex86_stats_context *c,
		      void (*log)(enum plex86_log_level level, const char *message))
{
	char line[400];
	unsigned int i;

	snprintf(line, sizeof(line),
		 "engine %s: %" PRIu64 " native slices, %" PRIu64 ".%03" PRIu64 " s; %" PRIu64
		 " returns to user mode", c->engine, s->slices, s->native_ns / 1000000000,
		 s->native_ns / 1000000 % 1000, s->user_entries);
	log(PLEX86_LOG_INFO, line);
	snprintf(line, sizeof(line),
		 "exits: %" PRIu64 " trap, %" PRIu64 " page, %" PRIu64 " deadline, %" PRIu64
		 " kick, %" PRIu64 " refused, %" PRIu64 " lost, %" PRIu64
		 " broken; page faults: %" PRIu64 " mapped, %" PRIu64 " the guest's, %" PRIu64
		 " left to Bochs",
		 s->exits[PLEX86_EXIT_TRAP], s->exits[PLEX86_EXIT_PAGE],
		 s->exits[PLEX86_EXIT_DEADLINE], s->exits[PLEX86_EXIT_KICK],
		 s->exits[PLEX86_EXIT_REFUSED], s->exits[PLEX86_EXIT_LOST],
		 s->exits[PLEX86_EXIT_BROKEN], s->faults_mapped, s->faults_guest, s->faults_stuck);
	log(PLEX86_LOG_INFO, line);
	snprintf(line, sizeof(line),
		 "memory: %" PRIu64 " pages mapped in %" PRIu64 " ranges, %" PRIu64
		 " unmapped; spaces: %" PRIu64 " created, %" PRIu64 " evicted, %u alive",
		 c->shadow->pages_mapped, c->shadow->ranges_mapped, c->shadow->pages_unmapped,
		 c->shadow->spaces_created, c->shadow->spaces_evicted, c->spaces);
	log(PLEX86_LOG_INFO, line);
	snprintf(line, sizeof(line),
		 "cost: round trip %" PRIu64 " ns, break-even at %" PRIu64 " instructions",
		 c->caps ? c->caps->round_trip_ns : 0, c->break_even);
	log(PLEX86_LOG_INFO, line);
	for (i = 1; i < PLEX86_EMULATED; i++) {
		if (!s->emulated[i])
			continue;
		snprintf(line, sizeof(line), "user instructions emulated, %s: %" PRIu64,
			 emulated_name(i), s->emulated[i]);
		log(PLEX86_LOG_INFO, line);
	}
	if (c->verify)
		log_verify(c->verify, log);
}
