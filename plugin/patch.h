/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A page of code with sensitive instructions, made safe to execute: a copy in
 * which every place where one could begin is a one-byte instruction that traps.
 *
 * Bytes that are replaced may be part of other instructions too, which would then
 * do something else.  So each instruction that would contain a replaced byte,
 * wherever code may be entered, is replaced by a trap itself; what is left does
 * exactly what the original does, and the rest traps before it does anything.
 * That the copy differs where it is read is the engine's business: it can only be
 * executed (PLEX86_CAP_EXEC_ONLY).
 */
#ifndef PLEX86_PATCH_H
#define PLEX86_PATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/addr.h>

/* HLT: in user mode #GP with RIP at it, in code of every width. */
#define PLEX86_PATCH_TRAP	0xf4

/*
 * Writes the page at @code to @copy, with traps for all findings in @mask (what
 * plex86_filter_bytes() makes of them) that begin and end in it; of those that are
 * PLEX86_FOUND_UNSCANNED where they seem to be instructions, but for the page's first bytes.
 * @long_mode: 64-bit code may run there too.  Returns the number of bytes that are
 * traps, or -1 if an instruction that begins before the page could contain one, or
 * if there is no end of them.
 */
int plex86_patch_page(const uint8_t *code, uint32_t mask, bool long_mode, uint8_t *copy);

#endif /* PLEX86_PATCH_H */
