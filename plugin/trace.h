/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes down the bursts of user code of a run that is emulated as a whole, for
 * those who tune the policy: bench/policy-sim replays them.  A text file, one line
 * for each burst (the run of user instructions between two kernel entries):
 *
 *	ROOT[*] RIP LENGTH END GAP
 *
 * ROOT    a small number for the value of CR3; with a star: at the beginning of
 *         the burst all general registers but the stack pointer were 0, as after exec
 * RIP     where the burst began, hexadecimal
 * LENGTH  its instructions; the one that trapped counts if it was executed
 * END     s and RAX, decimal: a system call or another instruction that enters the
 *         kernel; f: a fault; i: an interrupt (and the few faults that Bochs calls
 *         benign, such as an undefined instruction)
 * GAP     instructions of kernel code before the burst
 *
 * and from time to time a line "# SECONDS" of host time since the file was opened.
 */
#ifndef PLEX86_TRACE_H
#define PLEX86_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct plex86_trace;

enum plex86_trace_end {
	PLEX86_TRACE_SYSCALL,
	PLEX86_TRACE_FAULT,
	PLEX86_TRACE_INTERRUPT,
};

/* Makes @path anew.  0, or a negative errno. */
int plex86_trace_open(struct plex86_trace **trace, const char *path);

/* The first instruction boundary in user mode.  @fresh: see above, the star. */
void plex86_trace_begin(struct plex86_trace *trace, uint64_t cr3, uint64_t rip, uint64_t icount,
			bool fresh);

/* User mode was left.  Without a beginning the burst was empty, and is no line. */
void plex86_trace_end(struct plex86_trace *trace, enum plex86_trace_end end, uint64_t rax,
		      uint64_t icount);

/* 0, or a negative errno if not all could be written.  NULL is allowed. */
int plex86_trace_close(struct plex86_trace *trace);

#ifdef __cplusplus
}
#endif

#endif /* PLEX86_TRACE_H */
