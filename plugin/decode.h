/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long instructions are, for code that is walked through by the page: Zydis knows, and
 * is asked once for each opcode and ModRM byte.
 */
#ifndef PLEX86_DECODE_H
#define PLEX86_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest instruction in bytes (SDM vol. 2, 2.3.11). */
#define PLEX86_MAX_INSN 15

/*
 * The length in bytes of the instruction at @p in 64-bit code (@long64) or 32-bit code, of which
 * @left bytes (1 or more) are there.  More than @left: it goes on behind.  0: there is none, or
 * one that user code executes only to end by it (I/O, HLT, CLI, STI, privileged ones).
 */
size_t plex86_decode_length(const uint8_t *p, size_t left, bool long64);

#endif /* PLEX86_DECODE_H */
