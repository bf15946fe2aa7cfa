/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The few instructions of ours that exist in a container, and the table that
 * they work off.  Shared by C and by stub.S, so that no offset is written twice.
 *
 * The container sees code and table as one private-looking run of pages that it
 * can read and execute but not write; the tracer writes the table through its
 * own mapping of the same memory.  Guest 64-bit code doesn't know where that run
 * is (a random page), and finding it would gain nothing: every system call of
 * running guest code is swallowed by PTRACE_SYSEMU, and the filter (filter.c)
 * wants a secret that is only ever in the stub's registers.  SYSENTER alone could do
 * harm, as it destroys the registers: no code has it, and what the guest has a say in,
 * commands and descriptors, is there only while the stub runs.
 */
#ifndef PLEX86_PROCESS_STUB_H
#define PLEX86_PROCESS_STUB_H

/* Layout of the run, bytes from its start. */
#define STUB_CODE	0x0000
#define STUB_SCRATCH	0x1000	/* arguments in memory: descriptors, flags, BPF; code to try */
#define STUB_TABLE	0x2000
#define STUB_SIZE	0x6000
#define STUB_COMMANDS	256

/* One command: a system call.  stub.S uses the offsets, space.c asserts them. */
#define STUB_CMD_NR	0x00
#define STUB_CMD_RDI	0x08
#define STUB_CMD_RSI	0x10
#define STUB_CMD_RDX	0x18
#define STUB_CMD_R10	0x20
#define STUB_CMD_R8	0x28
#define STUB_CMD_R9	0x30
#define STUB_CMD_SIZE	0x40

/* The kernel returns -4095..-1 for failure. */
#define STUB_MAX_ERRNO	4095

#ifndef __ASSEMBLER__
#include <stdint.h>

struct stub_cmd {
	uint64_t nr;
	uint64_t arg[6];
	uint64_t unused;
};

/* Places in stub.S; only their distance from stub_start means anything. */
extern const char stub_start[], stub_batch[], stub_call[], stub_called[];
extern const char stub_popf[], stub_icebp[], stub_intn[], stub_avx512[], stub_avx[], stub_end[];

#define STUB_OFFSET(label) ((uint64_t)((label) - stub_start))
#endif

#endif /* PLEX86_PROCESS_STUB_H */
