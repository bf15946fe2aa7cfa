/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugin/trace.c: what is told is what can be read back. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "plugin/trace.h"
#include "tests/tap.h"

static char path[] = "/tmp/plex86-trace.XXXXXX";

/* The file without its times; their number in *@marks. */
static const char *content(unsigned int *marks)
{
	static char text[4096];
	char line[200];
	FILE *f = fopen(path, "r");

	text[0] = 0;
	*marks = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (line[0] == '#')
			++*marks;
		else
			strncat(text, line, sizeof(text) - strlen(text) - 1);
	}
	if (f)
		fclose(f);
	return text;
}

static bool same(const char *got, const char *want)
{
	if (!strcmp(got, want))
		return true;
	tap_diag("got:\n%s# want:\n%s", got, want);
	return false;
}

int main(void)
{
	struct plex86_trace *t = NULL;
	unsigned int marks;
	int fd = mkstemp(path);

	ok(fd >= 0);
	close(fd);
	is(plex86_trace_open(&t, "/nonexistent/file"), -ENOENT, "a file that can't be made");
	is(plex86_trace_close(NULL), 0, "closing nothing");

	is(plex86_trace_open(&t, path), 0, "open");
	plex86_trace_begin(t, 0x1000, 0x400000, 100, true);
	plex86_trace_end(t, PLEX86_TRACE_SYSCALL, 39, 150);
	plex86_trace_end(t, PLEX86_TRACE_INTERRUPT, 0, 170);	/* never reached a boundary */
	plex86_trace_begin(t, 0x2000, 0x7fffdeadbeef, 250, false);
	plex86_trace_end(t, PLEX86_TRACE_FAULT, 1, 250);
	plex86_trace_begin(t, 0x10001000, 0x400032, 300, false);	/* the same place in the table */
	plex86_trace_end(t, PLEX86_TRACE_INTERRUPT, 2, UINT64_C(10000000300));
	plex86_trace_begin(t, 0x1000, 0x400032, UINT64_C(10000000400), false);
	plex86_trace_end(t, PLEX86_TRACE_SYSCALL, UINT64_MAX, UINT64_C(10000000401));
	is(plex86_trace_close(t), 0, "close");
	ok(same(content(&marks), "1* 400000 50 s39 100\n"
				 "2 7fffdeadbeef 0 f 100\n"
				 "3 400032 10000000000 i 50\n"
				 "1 400032 1 s18446744073709551615 100\n"));
	is(marks, 1, "a time at the beginning, and not for each burst");

	is(plex86_trace_open(&t, path), 0, "open for a guest that is reset");
	plex86_trace_begin(t, 0x1000, 0x400000, 1000, true);
	plex86_trace_end(t, PLEX86_TRACE_INTERRUPT, 0, 5);	/* in user mode */
	plex86_trace_begin(t, 0x1000, 0x400000, 1000, true);
	plex86_trace_end(t, PLEX86_TRACE_FAULT, 0, 1001);
	plex86_trace_begin(t, 0x1000, 0x400000, 10, true);	/* in its kernel */
	plex86_trace_end(t, PLEX86_TRACE_FAULT, 0, 20);
	is(plex86_trace_close(t), 0, "close");
	ok(same(content(&marks), "1* 400000 0 i 1000\n"
				 "1* 400000 1 f 995\n"
				 "1* 400000 10 f 0\n"));

	is(plex86_trace_open(&t, path), 0, "open again");
	is(plex86_trace_close(t), 0, "close");
	ok(same(content(&marks), ""));
	is(plex86_trace_open(&t, "/dev/full"), 0, "a disk that is full");
	plex86_trace_begin(t, 0x1000, 0x400000, 100, false);
	plex86_trace_end(t, PLEX86_TRACE_FAULT, 0, 150);
	ok(plex86_trace_close(t) < 0);
	unlink(path);
	return tap_done();
}
