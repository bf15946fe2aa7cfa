/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A difference as a file that a person can read and a program can run again:
 * docs/verify.md has the format.  Register images are those of plex86/cpu.h,
 * byte for byte; lines that begin with # are for people.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "verify.h"

#define MAGIC "plex86-case 1"

/* Pages in a case at the most: 8 KiB of text for each. */
#define MAX_PAGES 4096

/* Instructions before and behind the end that are shown. */
#define SHOWN 24

/* ---- Writing ---- */

static void put_hex(FILE *f, const char *key, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = data;
	size_t i;

	fprintf(f, "%s ", key);
	for (i = 0; i < len; i++) {
		putc_unlocked(digits[b[i] >> 4], f);
		putc_unlocked(digits[b[i] & 15], f);
	}
	putc('\n', f);
}

static void put_page(FILE *f, const char *key, const uint8_t *data)
{
	static const uint8_t zero[PLEX86_PAGE_SIZE];

	if (!memcmp(data, zero, sizeof(zero)))
		fprintf(f, "%s zero\n", key);
	else
		put_hex(f, key, data, PLEX86_PAGE_SIZE);
}

static const struct plex86_private *private_of(const struct plex86_verify *v, const uint8_t *shared)
{
	uint32_t i;

	for (i = 0; i < v->npages; i++)
		if (v->page[i].shared == shared)
			return &v->page[i];
	return NULL;
}

/* Every page that native code could reach: what it read can't be told apart. */
static unsigned int put_pages(FILE *f, struct plex86_verify *v, const struct plex86_node *n,
			      unsigned int room)
{
	unsigned int i, done = 0;

	for (i = 0; i < n->entries && done < room; i++) {
		const struct plex86_private *p;
		plex86_gpa_t gpa;
		uint8_t *shared;

		if (n->level > 1) {
			if (n->child[i] != PLEX86_NONE)
				done += put_pages(f, v, v->world->nodes[n->child[i]], room - done);
			continue;
		}
		if (!n->prot[i])
			continue;
		gpa.pa = (uint64_t)n->frame[i] << PLEX86_PAGE_SHIFT;
		shared = plex86_ram_host(v->world->ram, gpa, PLEX86_PAGE_SIZE);
		p = private_of(v, shared);
		fprintf(f, "page %016" PRIx64 " %u\n",
			n->base + ((uint64_t)i << PLEX86_PAGE_SHIFT), n->prot[i]);
		if (p) {
			put_page(f, "start", v->before + (p->copy - v->world->ram->host - v->scratch));
			put_page(f, "native", p->copy);
			put_page(f, "bochs", shared);
		} else {
			put_page(f, "start", shared);
		}
		done++;
	}
	return done;
}

static void put_instruction(FILE *f, const struct plex86_verify *v, uint64_t la, const char *mark)
{
	uint8_t code[15 + 1] = { 0 };
	char text[128] = "(not mapped)";

	if (plex86_verify_code(v, la, code, 15))
		v->host->disassemble(&v->last, la, code, text, sizeof(text));
	fprintf(f, "#%s\t%016" PRIx64 " %s\n", mark, la, text);
}

static void put_code(FILE *f, const struct plex86_verify *v)
{
	uint64_t i, first = v->ntrace > SHOWN ? v->ntrace - SHOWN : 0;

	fprintf(f, "# The last instructions that Bochs executed:\n");
	for (i = first; i < v->ntrace; i++)
		put_instruction(f, v, v->trace[i & (PLEX86_VERIFY_TRACE - 1)].la, "");
	fprintf(f, "# Where native code stopped:\n");
	put_instruction(f, v, plex86_code_address(&v->end).la, "->");
}

static void put_memory(FILE *f, const struct plex86_verify *v)
{
	uint32_t i, j, shown;

	for (i = 0; i < v->npages; i++) {
		const struct plex86_private *p = &v->page[i];

		for (j = shown = 0; j < PLEX86_PAGE_SIZE && shown < 16; j++) {
			if (p->copy[j] == p->shared[j])
				continue;
			fprintf(f, "# memory %016" PRIx64 ": native %02x, bochs %02x\n",
				p->la.la + j, p->copy[j], p->shared[j]);
			shown++;
		}
	}
	if (v->stray)
		fprintf(f, "# memory: Bochs wrote to the page at physical %" PRIx64
			" behind RIP %016" PRIx64 ", native code did not\n", v->stray_gpa.pa,
			v->stray_rip);
}

/* How a line of two equal registers begins. */
#define SAME	"#   "

/* The part for people: to the case, and, where there is a difference, to the log. */
static char *report(const struct plex86_verify *v, const char *why, const struct plex86_cpu *bochs,
		    const struct plex86_vec *bochs_vec)
{
	char *text = NULL, *states = NULL, *s;
	size_t len, slen;
	FILE *f = open_memstream(&text, &len), *g = open_memstream(&states, &slen);

	if (!f || !g) {
		if (f)
			fclose(f);
		if (g)
			fclose(g);
		free(text);
		free(states);
		return NULL;
	}
	fprintf(f, "# %s\n# Bochs had executed %" PRIu64 " instructions; native code ran for %"
		PRIu64 " ns.\n", why, v->steps, v->ran_ns);
	put_code(f, v);
	put_memory(f, v);
	fprintf(f, "# Registers: native, Bochs (! where they differ)\n");
	plex86_compare_print(g, &v->end, &v->end_vec, bochs, bochs_vec);
	fclose(g);
	for (s = strtok(states, "\n"); s; s = strtok(NULL, "\n"))
		fprintf(f, "# %s\n", s);
	fclose(f);
	free(states);
	return text;
}

static void log_report(const struct plex86_verify *v, const char *text)
{
	char line[200];
	size_t len;

	for (; *text; text += len + !!text[len]) {
		len = strcspn(text, "\n");
		if (!strncmp(text, SAME, strlen(SAME)))
			continue;
		snprintf(line, sizeof(line), "verify: %.*s", (int)(len < 180 ? len : 180), text);
		v->host->log(PLEX86_LOG_ERROR, line);
	}
}

static void put_state(FILE *f, const char *name, const struct plex86_cpu *cpu,
		      const struct plex86_vec *vec)
{
	char key[32];

	snprintf(key, sizeof(key), "cpu %s", name);
	put_hex(f, key, cpu, sizeof(*cpu));
	snprintf(key, sizeof(key), "vec %s", name);
	put_hex(f, key, vec, sizeof(*vec));
}

int plex86_case_write(struct plex86_verify *v, const char *why, const struct plex86_cpu *bochs,
		      const struct plex86_vec *bochs_vec)
{
	char *text = report(v, why, bochs, bochs_vec);
	int err = 0;
	FILE *f;

	if (!text)
		return -ENOMEM;
	log_report(v, text);
	if (!v->case_file) {
		free(text);
		return 0;
	}
	f = fopen(v->case_file, "w");
	if (!f) {
		err = -errno;
		free(text);
		return err;
	}
	fprintf(f, "%s\n%s", MAGIC, text);
	fprintf(f, "engine %s\nwhy %s\nsteps %" PRIu64 "\n", v->engine, why, v->steps);
	put_state(f, "start", &v->start, &v->start_vec);
	put_state(f, "native", &v->end, &v->end_vec);
	put_state(f, "bochs", bochs, bochs_vec);
	if (v->space && v->space->root != PLEX86_NONE)
		put_pages(f, v, v->world->nodes[v->space->root], MAX_PAGES);
	if (ferror(f))
		err = -EIO;
	if (fclose(f) && !err)
		err = -errno;
	free(text);
	return err;
}

/* ---- Reading ---- */

static bool get_hex(const char *hex, void *data, size_t len)
{
	uint8_t *b = data;
	unsigned int byte;
	size_t i;

	if (strlen(hex) != 2 * len)
		return false;
	for (i = 0; i < len; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		b[i] = byte;
	}
	return true;
}

/* "start HEX" into @what; the key has been looked at. */
static bool get_state(struct plex86_case *c, const char *name, const char *hex, bool cpu)
{
	static const char *const names[] = { "start", "native", "bochs" };
	struct plex86_cpu *cpus[] = { &c->start, &c->native, &c->bochs };
	struct plex86_vec *vecs[] = { &c->start_vec, &c->native_vec, &c->bochs_vec };
	unsigned int i;

	for (i = 0; i < 3; i++)
		if (!strcmp(name, names[i]))
			return cpu ? get_hex(hex, cpus[i], sizeof(*cpus[i]))
				   : get_hex(hex, vecs[i], sizeof(*vecs[i]));
	return false;
}

static bool get_page(struct plex86_case *c, const char *which, const char *hex)
{
	struct plex86_case_page *p = c->npages ? &c->page[c->npages - 1] : NULL;
	uint8_t **to;

	if (!p)
		return false;
	to = !strcmp(which, "start") ? &p->start : !strcmp(which, "native") ? &p->native : &p->bochs;
	if (*to || (to != &p->start && !p->start))
		return false;
	*to = calloc(1, PLEX86_PAGE_SIZE);
	return *to && (!strcmp(hex, "zero") || get_hex(hex, *to, PLEX86_PAGE_SIZE));
}

static bool new_page(struct plex86_case *c, const char *text)
{
	struct plex86_case_page *grown, *last = c->npages ? &c->page[c->npages - 1] : NULL;

	if ((last && !last->start) || c->npages == MAX_PAGES)
		return false;
	grown = realloc(c->page, (c->npages + 1) * sizeof(*grown));
	if (!grown)
		return false;
	c->page = grown;
	memset(&grown[c->npages], 0, sizeof(*grown));
	c->npages++;
	return sscanf(text, "%" SCNx64 " %" SCNu32, &grown[c->npages - 1].la.la,
		      &grown[c->npages - 1].prot) == 2;
}

static bool get_line(struct plex86_case *c, char *line)
{
	char *key = line, *rest = strchr(line, ' '), *more;

	if (line[0] == '#' || !line[0])
		return true;
	if (!rest)
		return false;
	*rest++ = 0;
	if (!strcmp(key, "engine"))
		return snprintf(c->engine, sizeof(c->engine), "%s", rest) > 0;
	if (!strcmp(key, "why"))
		return snprintf(c->why, sizeof(c->why), "%s", rest) > 0;
	if (!strcmp(key, "steps"))
		return sscanf(rest, "%" SCNu64, &c->steps) == 1;
	if (!strcmp(key, "page"))
		return new_page(c, rest);
	if (!strcmp(key, "start") || !strcmp(key, "native") || !strcmp(key, "bochs"))
		return get_page(c, key, rest);
	more = strchr(rest, ' ');
	if (!more || (strcmp(key, "cpu") && strcmp(key, "vec")))
		return false;
	*more++ = 0;
	return get_state(c, rest, more, !strcmp(key, "cpu"));
}

int plex86_case_read(const char *path, struct plex86_case **cp)
{
	struct plex86_case *c;
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	bool good, first = true;

	if (!f)
		return -errno;
	c = calloc(1, sizeof(*c));
	good = c;
	while (good && (len = getline(&line, &size, f)) > 0) {
		line[strcspn(line, "\n")] = 0;
		good = first ? !strcmp(line, MAGIC) : get_line(c, line);
		first = false;
	}
	free(line);
	fclose(f);
	if (!c)
		return -ENOMEM;
	if (!good || first || !c->start.mode || (c->npages && !c->page[c->npages - 1].start)) {
		plex86_case_free(c);
		return -EINVAL;
	}
	*cp = c;
	return 0;
}

void plex86_case_free(struct plex86_case *c)
{
	uint32_t i;

	if (!c)
		return;
	for (i = 0; i < c->npages; i++) {
		free(c->page[i].start);
		free(c->page[i].native);
		free(c->page[i].bochs);
	}
	free(c->page);
	free(c);
}
