/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "now.h"
#include "trace.h"

#define ROOTS 65536		/* numbers for so many values of CR3; then they repeat */
#define MARK_NS 50000000u	/* a time in the file so often */

struct plex86_trace {
	FILE *file;
	uint64_t opened_ns, mark_ns;

	bool begun, fresh;
	uint64_t cr3, rip, begin;
	uint64_t last;		/* instruction count at the end of the last burst */

	uint32_t nroots;
	struct { uint64_t cr3; uint32_t number; } roots[ROOTS];
};

int plex86_trace_open(struct plex86_trace **trace, const char *path)
{
	struct plex86_trace *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->file = fopen(path, "we");
	if (!t->file) {
		err = -errno;
		free(t);
		return err;
	}
	t->opened_ns = plex86_now_ns();
	*trace = t;
	return 0;
}

static uint32_t number(struct plex86_trace *t, uint64_t cr3)
{
	uint64_t h = cr3 >> 12;
	uint32_t i;

	for (i = 0; i < ROOTS; i++) {
		uint32_t at = (h + i) % ROOTS;

		if (t->roots[at].number && t->roots[at].cr3 != cr3)
			continue;
		if (!t->roots[at].number) {
			t->roots[at].cr3 = cr3;
			t->roots[at].number = ++t->nroots;
		}
		return t->roots[at].number;
	}
	return h % ROOTS + 1;
}

void plex86_trace_begin(struct plex86_trace *t, uint64_t cr3, uint64_t rip, uint64_t icount,
			bool fresh)
{
	t->begun = true;
	t->cr3 = cr3;
	t->rip = rip;
	t->begin = icount;
	t->fresh = fresh;
}

static void mark_time(struct plex86_trace *t)
{
	uint64_t now = plex86_now_ns() - t->opened_ns;

	if (t->mark_ns && now - t->mark_ns < MARK_NS)
		return;
	fprintf(t->file, "# %.3f\n", (double)now * 1e-9);
	t->mark_ns = now;
}

/* A guest that was reset counts its instructions from 0 again. */
static uint64_t since(uint64_t then, uint64_t icount)
{
	return icount > then ? icount - then : 0;
}

void plex86_trace_end(struct plex86_trace *t, enum plex86_trace_end end, uint64_t rax,
		      uint64_t icount)
{
	if (!t->begun)
		return;
	t->begun = false;
	mark_time(t);
	fprintf(t->file, "%" PRIu32 "%s %" PRIx64 " %" PRIu64 " ", number(t, t->cr3),
		t->fresh ? "*" : "", t->rip, since(t->begin, icount));
	if (end == PLEX86_TRACE_SYSCALL)
		fprintf(t->file, "s%" PRIu64, rax);
	else
		fputc(end == PLEX86_TRACE_FAULT ? 'f' : 'i', t->file);
	fprintf(t->file, " %" PRIu64 "\n", since(t->last, t->begin));
	t->last = icount;
}

int plex86_trace_close(struct plex86_trace *t)
{
	int err = 0;

	if (!t)
		return 0;
	if (ferror(t->file))
		err = -EIO;
	if (fclose(t->file) && !err)
		err = errno ? -errno : -EIO;
	free(t);
	return err;
}
