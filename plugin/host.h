/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the core asks of the emulator, as plain C, so that unit tests can stand
 * in for Bochs.  Called from the simulation thread only.
 */
#ifndef PLEX86_HOST_H
#define PLEX86_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/addr.h>

enum plex86_log_level { PLEX86_LOG_DEBUG, PLEX86_LOG_INFO, PLEX86_LOG_ERROR };

struct plex86_host_ops {
	/*
	 * Have page_written() called before Bochs next writes to one of the
	 * 128-byte lines in @mask of the page @gpa.  One call per line.
	 */
	void (*watch_writes)(plex86_gpa_t gpa, uint32_t mask);

	/*
	 * Forget all traces that Bochs has decoded from the page @gpa.  Calls
	 * page_written() for the whole page before it returns if there were any.
	 */
	void (*forget_code)(plex86_gpa_t gpa);

	/* Would Bochs read and write the page @gpa in the RAM at @host directly? (I6) */
	bool (*is_plain_ram)(plex86_gpa_t gpa, const void *host);

	void (*log)(enum plex86_log_level level, const char *message);
};

#endif /* PLEX86_HOST_H */
