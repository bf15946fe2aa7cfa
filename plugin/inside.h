/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are bytes of code certainly a part of another instruction?  Where one that they could be would do
 * harm, a guess (streams.h) is not enough: they are an instruction unless
 *
 * - decoding from before, from several places, has come upon nothing but what programs have for a
 *   while, and then to an instruction that contains them;
 * - and none of these, nor from any place where functions and loops begin, that is at each multiple of 16,
 *   nor from the targets of jumps and calls on the way, has come to lie with an opcode at them.
 *
 * What remains is code that jumps there, and code that comes right behind data, not at a multiple
 * of 16 and not as the target of a jump near by.
 */
#ifndef PLEX86_INSIDE_H
#define PLEX86_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The byte at @place of @len bytes of code, whose first is at a multiple of 16. */
bool plex86_is_inside(const uint8_t *code, size_t len, bool long64, size_t place);

#endif /* PLEX86_INSIDE_H */
