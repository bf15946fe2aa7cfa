/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the core asks of the emulator, as plain C, so that unit tests can stand
 * in for Bochs.  Called from the simulation thread only.
 */
#ifndef PLEX86_HOST_H
#define PLEX86_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plex86/addr.h>
#include <plex86/cpu.h>

/* PANIC stops the simulation, unless the user has said that a panic does not. */
enum plex86_log_level { PLEX86_LOG_DEBUG, PLEX86_LOG_INFO, PLEX86_LOG_ERROR, PLEX86_LOG_PANIC };

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

	/*
	 * The page that the kernel would find at @la now; nothing faults, no bit is
	 * set.  False: none.  Only for engines with CAP_DESCRIPTORS.
	 */
	bool (*translate)(plex86_gva_t la, plex86_gpa_t *gpa);

	/*
	 * Forget how @la was translated, as a CPU may at any time: the next access there
	 * walks the tables, and sets their A bits.
	 */
	void (*walk_again)(plex86_gva_t la);

	/* Would Bochs read and write the page @gpa in the RAM at @host directly? (I6) */
	bool (*is_plain_ram)(plex86_gpa_t gpa, const void *host);

	void (*log)(enum plex86_log_level level, const char *message);

	/* Verify mode: the vector state as it is now. */
	void (*read_vec)(struct plex86_vec *vec);

	/*
	 * Verify mode: the instruction that begins with the 15 bytes at @code,
	 * which are at linear address @la, as text: lower case, Intel's syntax.
	 * Mode and code segment are those of @cpu.
	 */
	void (*disassemble)(const struct plex86_cpu *cpu, uint64_t la, const uint8_t *code,
			    char *text, size_t len);
};

#endif /* PLEX86_HOST_H */
