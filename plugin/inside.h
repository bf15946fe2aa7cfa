/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are bytes of code certainly a part of another instruction?  Where one that they could be would do
 * harm, a guess (streams.h) is not enough: they are an instruction unless
 *
 * - decoding from before has come upon nothing but what compilers make for a while, and then to an
 *   instruction that contains them, and that not right behind a RET or JMP where a function could begin;
 * - and no other way has come to lie with an opcode at them: from none of as many bytes in a row as an
 *   instruction can have, one of which begins one, nor from the targets of jumps and calls on the way.
 *
 * What remains is code that jumps there, and code that comes right behind data, not at a multiple
 * of 16 and not as the target of a jump near by.
 */
#ifndef PLEX86_INSIDE_H
#define PLEX86_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes at @place of @len bytes of code, whose first is at a multiple of 16. */
bool plex86_is_inside(const uint8_t *code, size_t len, bool long64, size_t place);

#endif /* PLEX86_INSIDE_H */
