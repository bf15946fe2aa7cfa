/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the bytes before an instruction say.
 *
 * Where it begins, known by its opcode only.  INT n, INT3, INTO, ICEBP and
 * SYSCALL trap: an engine that runs under a host's kernel learns where they end, and puts RIP back
 * on the opcode.  Prefixes mean nothing to them, but if the guest's gate refuses, the
 * fault is that of the whole instruction.
 */
#ifndef PLEX86_INSN_H
#define PLEX86_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Can @b be a prefix, in 64-bit code (@long64) or other code? */
bool plex86_is_prefix(uint8_t b, bool long64);

/* Are the two bytes at @p UD2 or UD1: a compiler's trap, behind which may be anything? */
static inline bool plex86_is_trap(const uint8_t *p)
{
	return p[0] == 0x0f && (p[1] == 0x0b || p[1] == 0xb9);
}

/*
 * Offset in the page @code of the first prefix of the software interrupt or 64-bit SYSCALL whose
 * opcode is at the offset @at, or @at: if it has none, if it is none, if that can't be told.
 * @bits: 64, 32 or 16.  The bytes before decide, decoded: they may not be instructions at
 * all, and then the answer can be wrong.  For a CPU, that is: where it does not fault,
 * the interrupt is the same from either place.
 */
size_t plex86_interrupt_begin(const uint8_t *code, size_t at, unsigned int bits);

#define PLEX86_MOV_SS_BYTES 7		/* 8E, ModRM, SIB, four of displacement */

/*
 * Could @before, the bytes before an instruction, end with MOV SS or POP SS?  Behind these a
 * CPU takes no interrupt for an instruction (SDM vol. 3, 6.8.3).  @pop: not in 64-bit code,
 * which has no POP SS.
 */
bool plex86_ends_with_mov_ss(const uint8_t before[PLEX86_MOV_SS_BYTES], bool pop);

struct plex86_shadow;
struct plex86_cpu;

/* May @cpu, which has run in @s, be behind one, and its shadow be lost?  True if unsure. */
bool plex86_behind_mov_ss(struct plex86_shadow *s, const struct plex86_cpu *cpu);

/* @cpu has come back from @s at an instruction that traps: RIP, if it is on an opcode only. */
void plex86_back_to_prefixes(struct plex86_shadow *s, struct plex86_cpu *cpu);

#endif /* PLEX86_INSN_H */
