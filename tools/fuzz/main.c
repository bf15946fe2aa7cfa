/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of the fuzzer; tools/fuzz.sh runs it between two runs of Bochs. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "plugin/insn.h"
#include "table.h"

static const char usage_text[] =
"usage: fuzzer [options] make OUT            cases FIRST ... FIRST+COUNT-1 of a seed\n"
"       fuzzer [options] compare A B OUT     two runs of the same cases; what differs, by\n"
"                                            prefixes, goes to OUT; prints how many do\n"
"       fuzzer [options] explain A B P Q     and two runs of what compare made\n"
"       fuzzer [options] isolate A B P Q OUT for a third executor: what is to blame\n"
"       fuzzer resume R OUT                  what is left to do after its run of that\n"
"       fuzzer [options] explain A B P Q R S T\n"
"                                            T: its run of P; what these say as B does is\n"
"                                            not B's own doing\n"
"       fuzzer [options] spoil FILE N BIT    changes the N-th record, for tests\n"
"       fuzzer [options] spoil FILE LIST BIT|result|other\n"
"                                            of all cases that are one of these instructions:\n"
"                                            the register it writes, a vector one that it does\n"
"                                            not name; prints how many\n"
"  -k KIND   code64, compat, code32, compat16, code16\n"
"  -r        random bytes instead of instructions\n"
"  -5        with AVX-512\n"
"  -m MODEL  of the guest's CPU, for the table\n"
"  -q        on QEMU's CPU: without what it dies of\n"
"  -s SEED -f FIRST -n COUNT\n"
"  -i LIST   make: only these instructions, named as in the table\n"
"  -1        make: one in each case\n"
"  -t FILE   table of known differences\n"
"  -w FILE   explain: B once more, and again; what differs in none and not in Q came once only\n"
"  -a        explain: show also what is explained\n";

#define AGAIN_MAX	16

static struct maker maker;
static uint32_t first, count = BLOCK_CASES;
static const char *table_path;
static bool show_all;
static const char *again_path[AGAIN_MAX];	/* -w */
static struct case_file again[AGAIN_MAX];
static int agains;

static void usage(void)
{
	fputs(usage_text, stderr);
	exit(2);
}

static uint64_t number(const char *s)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(s, &end, 0);
	if (errno || end == s || *end)
		usage();
	return v;
}

static const struct {
	const char *name;
	int bits;
	bool kernel64;
} kinds[] = {
	{ "code64", 64, true }, { "compat", 32, true }, { "code32", 32, false },
	{ "compat16", 16, true }, { "code16", 16, false },
};

static void kind(const char *s)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(s, kinds[i].name)) {
			maker.kind.code16 = kinds[i].bits == 16;
			maker.kind.code32 = kinds[i].bits < 64;
			maker.kind.kernel64 = kinds[i].kernel64;
			return;
		}
	usage();
}

static int do_make(const char *path)
{
	uint32_t block = first / BLOCK_CASES;
	struct case_file f;

	if (!count || (first + count - 1) / BLOCK_CASES != block) {
		fprintf(stderr, "fuzzer: cases of one file must be of one block of %u\n", BLOCK_CASES);
		return 2;
	}
	file_begin(&maker, &f, block, count);
	for (uint32_t i = 0; i < count; i++)
		make_case(&maker, first + i, &f.cases[i]);
	return file_write(&f, path) ? 0 : 2;
}

static void must_read(struct case_file *f, const char *path)
{
	if (!file_read(f, path))
		exit(2);
}

/* The kernel writes a record's number last of all: a run that stopped has none there. */
static void must_be_complete(const struct case_file *f, const char *path)
{
	for (uint32_t i = 0; i < f->head.cases; i++)
		if (file_record(f, i)->id != f->cases[i].id) {
			fprintf(stderr, "fuzzer: %s has no record of its case %u\n", path, i);
			exit(2);
		}
}

static void must_be_the_same(const struct case_file *f, const char *a, const struct case_file *g,
			     const char *b)
{
	if (f->head.cases == g->head.cases &&
	    !memcmp(f->cases, g->cases, f->head.cases * sizeof(*f->cases)))
		return;
	fprintf(stderr, "fuzzer: %s and %s are not of the same cases\n", a, b);
	exit(2);
}

static int do_compare(const char *a, const char *b, const char *out)
{
	struct case_file f, g, o;
	uint32_t n;

	must_read(&f, a);
	must_read(&g, b);
	must_be_complete(&f, a);
	must_be_complete(&g, b);
	must_be_the_same(&f, a, &g, b);
	n = narrow(&f, &g, &maker.kind, &o);
	printf("%u\n", n);
	return file_write(&o, out) ? 0 : 2;
}

struct tally {
	uint32_t differing, explained, vanished;
};

/* Some instruction of the case could begin at any of its bytes: which one explains? */
static const char *anywhere(const struct table *table, const struct narrowed *n)
{
	struct narrowed m = *n;
	const char *why = NULL;
	uint32_t at;

	if (narrowed_straight(n, &maker.kind))
		return NULL;
	for (at = 0; !why && at < n->origin->len; at++)
		if (narrowed_at(&m, &maker.kind, at))
			why = table_explains(table, &m, &maker.kind);
	return why;
}

/* Where only one of both stopped, and may, all the rest comes from that. */
static const char *one_stopped(const struct table *table, const struct narrowed *n)
{
	uint64_t ip = n->a->ip < n->b->ip ? n->a->ip : n->b->ip;
	struct narrowed m = *n;

	if (!n->diff.outcome || n->a->ip == n->b->ip || ip >= n->origin->len ||
	    !narrowed_at(&m, &maker.kind, ip))
		return NULL;
	memset(&m.diff, 0, sizeof(m.diff));
	m.diff.outcome = true;
	return table_explains(table, &m, &maker.kind);
}

/* What did not differ again: which instruction could have begun it the first time? */
static const char *any_of_all(const struct table *table, const struct narrowed *n)
{
	struct narrowed m = *n;
	const char *why;

	do
		why = table_explains(table, &m, &maker.kind);
	while (!why && narrowed_next(&m, &maker.kind));
	return why;
}

/* Are they only values that one instruction hands to the next?  An address is one. */
static bool data_only(const struct diff *d)
{
	return !d->outcome && !d->error && !d->dr6 && !d->selectors && !d->bases;
}

/* Is @n a branch on a flag that @m may leave as it likes? */
static bool branches_on(const struct table *table, const struct narrowed *n,
			const struct narrowed *m)
{
	struct narrowed q = *m;
	struct diff left;

	if (!n->decoded || n->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE || !n->insn.cpu_flags)
		return false;
	memset(&q.diff, 0, sizeof(q.diff));
	q.diff.flags = n->insn.cpu_flags->tested;
	return q.diff.flags && table_leaves(table, &q, &maker.kind, &left);
}

/* The same of those from behind @m up to @n: which one differed first is not known. */
static bool branch_follows(const struct table *table, const struct narrowed *n,
			   const struct narrowed *m)
{
	struct narrowed k = *m;

	while (k.insn_at < n->insn_at && narrowed_next(&k, &maker.kind))
		if (branches_on(table, &k, m))
			return true;
	return false;
}

/* Flags that instructions test, up to the one that differs. */
static uint64_t tested_flags(const struct narrowed *n)
{
	struct narrowed m = *n;
	uint64_t tested = 0;

	if (!narrowed_at(&m, &maker.kind, 0))
		return 0;
	m.c = n->c;
	do
		if (m.decoded && m.insn.cpu_flags)
			tested |= m.insn.cpu_flags->tested;
	while (m.insn_at < n->insn_at && narrowed_next(&m, &maker.kind));
	return tested;
}

/*
 * An instruction whose memory is touched for the first time traps, and Bochs executes it: it
 * differs only when it runs once more, in the next prefix.  So it does when all of its page was
 * Bochs's, for what another case in it has.  By then a later instruction may have got the value,
 * or have tested the flag.
 */
static const char *earlier(const struct table *table, const struct narrowed *n)
{
	struct narrowed m = *n;
	const char *why = NULL;
	struct diff left;

	if (!narrowed_at(&m, &maker.kind, 0))
		return NULL;
	m.c = n->c;
	m.diff.flags |= tested_flags(n);
	while (!why && m.insn_at < n->insn_at) {
		why = table_leaves(table, &m, &maker.kind, &left);
		if (!data_only(&left) && !branch_follows(table, n, &m))
			why = NULL;
		if (!narrowed_next(&m, &maker.kind))
			break;
	}
	return why;
}

static bool outside(const struct narrowed *n, const struct fuzz_record *r)
{
	return r->ip >= n->origin->len;
}

/*
 * A branch to a random place can find the code of other cases, whose undefined flags
 * show then.  Random bytes branch so all the time, and near by, where others are:
 * what came of it depends on those.
 */
static bool ran_elsewhere(const struct narrowed *n)
{
	struct diff d = n->diff;
	bool branches = n->decoded && n->insn.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;

	if (maker.kind.bytes)
		return !narrowed_straight(n, &maker.kind) && (outside(n, n->a) || outside(n, n->b));
	d.flags = 0;
	d.fsw = 0;
	return branches && diff_is_empty(&d);
}

/* Plain Bochs found no instruction there (VEX.W is reserved, say), the CPU one. */
static bool reserved_encoding(const struct narrowed *n)
{
	struct narrowed m = *n;
	uint8_t byte;

	/* Behind the code that was left there is an UD2, where the whole case may have a VEX. */
	if (n->a->vector != 6 || n->a->ip >= n->c->len || narrowed_at(&m, &maker.kind, n->a->ip))
		return false;
	byte = n->origin->code[n->a->ip];
	return byte == 0xc4 || byte == 0xc5;
}

/*
 * Both stopped at the same software interrupt, and native code says at its prefixes.  Code that jumps
 * to the opcode itself is rare, and the engine can't tell (docs/limits.md).
 */
static bool behind_prefixes(const struct narrowed *n)
{
	const uint8_t *code = n->origin->code;
	struct diff d = n->diff;
	uint64_t at = n->b->ip;

	d.outcome = false;
	if (narrowed_straight(n, &maker.kind) || !diff_is_empty(&d) || n->a->vector != n->b->vector ||
	    at >= n->a->ip || n->a->ip >= n->origin->len)
		return false;
	while (at < n->a->ip && plex86_is_prefix(code[at], !maker.kind.code32))
		at++;
	return at == n->a->ip && (code[at] == 0xcc || code[at] == 0xcd || code[at] == 0xce ||
				  code[at] == 0xf1);
}

/*
 * Does a branch of random bytes lead out of the case, to those beside it?  One behind the place where
 * it ended has not been taken.
 */
static bool branches_out(const struct narrowed *n)
{
	const uint64_t last = n->a->ip > n->b->ip ? n->a->ip : n->b->ip;
	struct narrowed m = *n;
	int64_t to;

	if (!maker.kind.bytes || !narrowed_at(&m, &maker.kind, 0))
		return false;
	do {
		if (!m.decoded || m.insn.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE ||
		    !m.insn.raw.imm[0].is_relative)
			continue;
		to = m.insn_at + m.insn.length + m.insn.raw.imm[0].value.s;
		if (to < 0 || to >= n->origin->len)
			return true;
	} while (narrowed_next(&m, &maker.kind) && m.insn_at < last);
	return false;
}

/*
 * Alone it does not differ, and among the others it did once and not again: whatever that was, no
 * instruction does it.  But a loop may or may not come to its end in time, and the page of a case
 * beside it, to which it branches, may be native once, and Bochs's then.
 */
static bool came_once(const struct narrowed *n)
{
	struct diff d;

	if (!n->vanished || n->a->vector == FUZZ_ENDLESS || n->b->vector == FUZZ_ENDLESS ||
	    branches_out(n))
		return false;
	for (int i = 0; i < agains; i++)
		if (n->record >= again[i].head.cases ||
		    !compare(n->a, file_record(&again[i], n->record), n->avx512, &d))
			return false;
	return agains;
}

static void judge(const struct narrowed *n, void *arg)
{
	static const struct table *table;
	struct tally *t = arg;
	const char *why;

	if (!table)
		table = table_read(table_path);
	if (diff_is_empty(&n->diff))
		return;
	why = n->vanished ? any_of_all(table, n) : table_explains(table, n, &maker.kind);
	if (!why)
		why = third_explains(table, n, &maker.kind);
	if (!why)
		why = one_stopped(table, n);
	if (!why)
		why = earlier(table, n);
	if (!why)
		why = anywhere(table, n);
	if (!why && ran_elsewhere(n))
		why = "neighbours: branches to random places";
	if (!why && behind_prefixes(n))
		why = "limit: a jump to a software interrupt, behind its prefixes";
	/* APM 4 and SDM 2 differ in what is reserved; docs/bochs-differences.md. */
	if (!why && reserved_encoding(n))
		why = "choice: VEX encodings that are reserved by Intel only";
	/*
	 * A loop of millions of rounds that only one of both came to the end of in time.  Instructions
	 * that are no random bytes make none.
	 */
	if (!why && (maker.kind.bytes || maker.kind.emulated) &&
	    (n->a->vector == FUZZ_ENDLESS || n->b->vector == FUZZ_ENDLESS))
		why = "time: too long for one of both";
	/* Random bytes branch into the cases beside them, which is not so when they run alone. */
	if (!why && n->vanished && maker.kind.bytes)
		why = "neighbours: random bytes: alone they do not differ";
	if (why && came_once(n))
		why = NULL;
	t->differing++;
	t->vanished += n->vanished;
	if (why) {
		t->explained++;
		printf("explained: %s\n", why);
	}
	if (!why || show_all)
		show(stdout, n, &maker.kind, maker.seed);
}

struct four {
	struct case_file f[4];
	struct runs cases, prefixes;
};

static void read_four(struct four *r, char **path)
{
	for (int i = 0; i < 4; i++) {
		must_read(&r->f[i], path[i]);
		must_be_complete(&r->f[i], path[i]);
	}
	r->cases = (struct runs){ &r->f[0], &r->f[1] };
	r->prefixes = (struct runs){ &r->f[2], &r->f[3] };
}

/* Two lines of code for scripts: what was explained and by what; the sum at the end. */
static int do_explain(char **path, bool with_third)
{
	static struct tally t;
	struct case_file f[3];
	struct third third = { &f[0], &f[1], &f[2] };
	struct four r;

	read_four(&r, path);
	for (int i = 0; i < agains; i++) {
		must_read(&again[i], again_path[i]);
		must_be_complete(&again[i], again_path[i]);
	}
	for (int i = 0; with_third && i < 3; i++) {
		must_read(&f[i], path[4 + i]);
		must_be_complete(&f[i], path[4 + i]);
	}
	if (with_third)
		must_be_the_same(&f[2], path[6], &r.f[2], path[2]);
	narrowed_each(&r.cases, &r.prefixes, with_third ? &third : NULL, &maker.kind, judge, &t);
	printf("sum: %u %u %u\n", t.differing, t.explained, t.vanished);
	return 0;
}

static int do_isolate(char **path, const char *out)
{
	struct case_file o;
	struct four r;

	read_four(&r, path);
	isolate(&r.cases, &r.prefixes, &maker.kind, &o);
	return file_write(&o, out) ? 0 : 2;
}

static int do_resume(const char *path, const char *out)
{
	struct case_file f, o;

	must_read(&f, path);
	must_be_complete(&f, path);
	resume(&f, &o);
	return file_write(&o, out) ? 0 : 2;
}

static int do_spoil(const char *path, const char *which, const char *where)
{
	struct case_file f;

	must_read(&f, path);
	if (!isdigit((unsigned char)*which))
		printf("%u\n", spoil(&f, which, where, &maker.kind));
	else if (!spoil_record(&f, number(which), number(where)))
		usage();
	return file_write(&f, path) ? 0 : 2;
}

int main(int argc, char **argv)
{
	int o;

	kind("code64");
	maker.kind.model = "";
	maker.seed = 1;
	while ((o = getopt(argc, argv, "k:r5qm:s:f:n:i:1t:w:a")) != -1) {
		switch (o) {
		case 'k': kind(optarg); break;
		case 'r': maker.kind.bytes = true; break;
		case '5': maker.kind.avx512 = true; break;
		case 'm': maker.kind.model = optarg; break;
		case 'q': maker.kind.emulated = true; break;
		case 's': maker.seed = number(optarg); break;
		case 'f': first = number(optarg); break;
		case 'n': count = number(optarg); break;
		case 'i': maker.only = optarg; break;
		case '1': maker.single = true; break;
		case 't': table_path = optarg; break;
		case 'w':
			if (agains == AGAIN_MAX)
				usage();
			again_path[agains++] = optarg;
			break;
		case 'a': show_all = true; break;
		default: usage();
		}
	}
	argv += optind;
	argc -= optind;
	if (argc < 2)
		usage();
	decoder_init(&maker.decoder, &maker.kind);
	if (!strcmp(argv[0], "make") && argc == 2) {
		maker.table = table_read(table_path);
		return do_make(argv[1]);
	}
	if (!strcmp(argv[0], "compare") && argc == 4)
		return do_compare(argv[1], argv[2], argv[3]);
	if (!strcmp(argv[0], "isolate") && argc == 6)
		return do_isolate(argv + 1, argv[5]);
	if (!strcmp(argv[0], "resume") && argc == 3)
		return do_resume(argv[1], argv[2]);
	if (!strcmp(argv[0], "explain") && (argc == 5 || argc == 8))
		return do_explain(argv + 1, argc == 8);
	if (!strcmp(argv[0], "spoil") && argc == 4)
		return do_spoil(argv[1], argv[2], argv[3]);
	usage();
	return 2;
}
