/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where instructions begin in a page of code, of which nothing says so: a good guess.
 *
 * Decoding begins some way before a place, from a few bytes in a row: most such streams soon fall
 * into step with the real one.  Code of a regular pattern can keep one out of step for long, but
 * then it comes upon something that no program has (IN, HLT, no instruction at all): a stream
 * that did so lately has no say, but if all did.
 *
 * Constants between functions have such things every few bytes.  So what is not known to be code by
 * what comes before it must look like code by what follows.
 */
#ifndef PLEX86_STREAMS_H
#define PLEX86_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far before a place decoding begins, and from how many bytes in a row. */
#define PLEX86_RUN_UP	256
#define PLEX86_STREAMS	4

/* Streams of instructions in the same code. */
struct plex86_streams {
	bool long64;
	const uint8_t *code;
	size_t len;
	unsigned int n;
	struct plex86_stream {
		size_t begin, end;	/* of the last instruction, or of a byte that is none */
		size_t since;		/* has been plausible */
		size_t straight;	/* the same, and has passed no RET or JMP */
		unsigned int say;
	} stream[PLEX86_STREAMS];
};

void plex86_streams_init(struct plex86_streams *s, bool long64, const uint8_t *code, size_t len);

/*
 * Is there an instruction whose opcode is at @place, behind those that were asked about before, as
 * one of the plausible streams says, or most, if there are none, and does it look like code?
 */
bool plex86_is_opcode(struct plex86_streams *s, size_t place);

#endif /* PLEX86_STREAMS_H */
