/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of known differences (known): what the manuals leave open, what
 * docs/limits.md grants, and where Bochs is wrong.  An entry names instructions,
 * what of their result may differ, and under which condition; a difference is
 * explained if entries for its instruction cover all of it.
 */
#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

struct entry {
	char kind[16];
	char what[400];
	char fields[160];
	char conditions[160];
	char line[800];			/* kind and what, to name it */
};

struct table {
	struct entry *e;
	uint32_t n;
};

static void refuse(const char *path, unsigned int line, const char *why)
{
	fprintf(stderr, "%s:%u: %s\n", path, line, why);
	exit(2);
}

static bool known_kind(const char *k)
{
	static const char *const kinds[] = {
		"never", "rare", "undefined", "approximate", "choice", "limit", "bochs",
		"host",
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(k, kinds[i]))
			return true;
	return false;
}

/* "kind | instructions | fields | conditions"; a comment line, # ..., says why before it. */
static void parse(struct table *t, char *line, const char *path, unsigned int nr)
{
	char *part[4] = { "", "", "", "" }, *save = NULL, *p;
	struct entry *e;
	int n = 0;

	for (p = strtok_r(line, "|\n", &save); p && n < 4; p = strtok_r(NULL, "|\n", &save)) {
		while (isspace((unsigned char)*p))
			p++;
		for (size_t l = strlen(p); l && isspace((unsigned char)p[l - 1]);)
			p[--l] = 0;
		part[n++] = p;
	}
	if (n < 2 || !known_kind(part[0]))
		refuse(path, nr, "not an entry");
	t->e = realloc(t->e, (t->n + 1) * sizeof(*t->e));
	if (!t->e)
		exit(2);
	e = &t->e[t->n++];
	snprintf(e->kind, sizeof(e->kind), "%s", part[0]);
	snprintf(e->what, sizeof(e->what), "%s", part[1]);
	snprintf(e->fields, sizeof(e->fields), "%s", part[2]);
	snprintf(e->conditions, sizeof(e->conditions), "%s", part[3]);
	snprintf(e->line, sizeof(e->line), "%s: %s: %s%s%s", e->kind, e->what, e->fields,
		 *part[3] ? ", " : "", part[3]);
	if (n > 2 && !fields_known(e->fields))
		refuse(path, nr, "a field that there is not");
	if (n > 3 && !conditions_known(e->conditions))
		refuse(path, nr, "a condition that there is not");
}

struct table *table_read(const char *path)
{
	struct table *t = calloc(1, sizeof(*t));
	unsigned int nr = 0;
	char line[1024];
	FILE *f;

	if (!t || !path)
		return t;
	f = fopen(path, "r");
	if (!f) {
		perror(path);
		exit(2);
	}
	while (fgets(line, sizeof(line), f)) {
		nr++;
		if (line[0] != '#' && line[strspn(line, " \t\n")])
			parse(t, line, path, nr);
	}
	fclose(f);
	return t;
}

/* Each word of a comma list; false from @fn ends it. */
bool each_word(const char *list, bool (*fn)(const char *word, void *arg), void *arg)
{
	char copy[400], *save = NULL, *w;

	snprintf(copy, sizeof(copy), "%s", list);
	for (w = strtok_r(copy, ", ", &save); w; w = strtok_r(NULL, ", ", &save))
		if (!fn(w, arg))
			return false;
	return true;
}

static bool lower_match(const char *pattern, const char *name)
{
	char low[64];
	size_t i;

	for (i = 0; name && name[i] && i < sizeof(low) - 1; i++)
		low[i] = tolower((unsigned char)name[i]);
	low[i] = 0;
	return !fnmatch(pattern, low, 0);
}

/* Stops at the word that matches: a mnemonic, or isa=SET. */
static bool is_not(const char *word, void *arg)
{
	const ZydisDecodedInstruction *i = arg;

	if (!strncmp(word, "isa=", 4))
		return !lower_match(word + 4, ZydisISASetGetString(i->meta.isa_set));
	return !lower_match(word, ZydisMnemonicGetString(i->mnemonic));
}

bool insn_in(const char *list, const ZydisDecodedInstruction *i)
{
	return !each_word(list, is_not, (void *)i);
}

enum table_use table_use(const struct table *t, const ZydisDecodedInstruction *i,
			 const ZydisDecodedOperand *op, const struct kind *kind)
{
	enum table_use use = TABLE_MAKE;
	struct narrowed n;

	n.insn = *i;
	memcpy(n.operand, op, sizeof(n.operand));

	for (uint32_t k = 0; t && k < t->n; k++) {
		const struct entry *e = &t->e[k];
		bool never = !strcmp(e->kind, "never");

		if (!never && strcmp(e->kind, "rare"))
			continue;
		if (!insn_in(e->what, i) || !conditions_hold(e->conditions, &n, kind))
			continue;
		if (never)
			return TABLE_NEVER;
		use = TABLE_RARE;
	}
	return use;
}

const char *table_leaves(const struct table *t, const struct narrowed *n, const struct kind *k,
			 struct diff *left)
{
	const char *first = NULL;

	*left = n->diff;
	for (uint32_t i = 0; t && i < t->n; i++) {
		const struct entry *e = &t->e[i];

		if (!*e->fields)
			continue;
		if (n->decoded ? !insn_in(e->what, &n->insn) : strcmp(e->what, "undecodable"))
			continue;
		if (conditions_hold(e->conditions, n, k) && fields_take(e->fields, n, left) && !first)
			first = e->line;
	}
	return first;
}

const char *table_explains(const struct table *t, const struct narrowed *n, const struct kind *k)
{
	struct diff left;
	const char *first = table_leaves(t, n, k, &left);

	return diff_is_empty(&left) ? first : NULL;
}
