/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest whose CPU has more registers than the engine can load: AVX-512 on a
 * host without, protection keys, AVX.  Its code runs natively all the same,
 * because instructions that need what the host lacks are #UD there, and Bochs
 * executes them; what it takes is that all others leave those registers alone:
 *
 * - Instructions with a VEX prefix zero the upper halves of ZMM registers.  So
 *   these must be zero, unless the host has no such instructions either.
 * - XSAVE and its like, and XGETBV, are kept off (PLEX86_FOUND_XCR0).
 * - PKRU must allow all by key 0, and pages with another key are Bochs's (walk.c);
 *   so native code can do what it wants with key 0, and runs with CR4.PKE off.
 */
#ifndef PLEX86_BEYOND_H
#define PLEX86_BEYOND_H

#include <stdbool.h>
#include <stdint.h>

#include <plex86/engine.h>

/* Components (PLEX86_X_*) that may be beyond an engine. */
#define PLEX86_BEYOND	(PLEX86_X_AVX | PLEX86_X_AVX512 | PLEX86_X_PKRU)

/* Those that the guest has enabled and the engine can't load. */
uint64_t plex86_beyond(const struct plex86_cpu *cpu, const struct plex86_caps *caps);

/* Can this vector state be run with @beyond of it held back? */
bool plex86_beyond_idle(uint64_t beyond, const struct plex86_vec *vec,
			const struct plex86_caps *caps);

/* Can MXCSR be loaded?  A model can have a bit that the host's CPU has not (17: misaligned SSE). */
bool plex86_mxcsr_loads(const struct plex86_vec *vec, const struct plex86_caps *caps);

/* What is held back while the engine runs. */
struct plex86_beyond {
	uint64_t components;
	uint64_t cr4, xcr0;
	struct plex86_vec vec;
};

/* Takes from @cpu and @vec what the engine must not see, and puts it back after the run. */
void plex86_beyond_hold(struct plex86_beyond *b, struct plex86_cpu *cpu, struct plex86_vec *vec,
			const struct plex86_caps *caps);
void plex86_beyond_return(const struct plex86_beyond *b, struct plex86_cpu *cpu,
			  struct plex86_vec *vec);

#endif /* PLEX86_BEYOND_H */
