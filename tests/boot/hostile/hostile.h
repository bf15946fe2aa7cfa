/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A Linux program that tries what user code has no business with, 64- and
 * 32-bit: see main.c.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

/* Where code is put that is tried: low, so that 32- and 16-bit code can be there too. */
#define LOW	0x10000ul
#define LOW_SIZE	0x4000ul

/* How a try ended. */
struct outcome {
	int signal;		/* 0: it came back */
	int trap, error;	/* as the CPU gave them to the kernel */
	unsigned long ip;	/* relative to LOW, if in there; else 1 << 20 */
	int address;		/* si_addr: 0 none, 1 what was asked for, 2 another */
	long value;		/* of what came back, if anything did */
};

/* Calls fn(arg); it may end by a signal. @address: what si_addr is compared with. */
struct outcome try(long (*fn)(unsigned long arg), unsigned long arg, unsigned long address);
/* Executes @n bytes at LOW, with UD2 behind them. */
struct outcome try_bytes(const uint8_t *code, int n);
/* What became of a child that did fn(arg): its status, of waitpid(). */
int try_in_child(long (*fn)(unsigned long arg), unsigned long arg);
/* The same, made an outcome. */
struct outcome status_outcome(int status);

/* Results, runs of the same ones as one line; group() begins another group. */
void group(const char *name);
void result(unsigned long which, struct outcome o);

void hostile_code(void);
void hostile_selectors(void);
void hostile_entries(void);
void hostile_addresses(void);
void hostile_calls(void);
void hostile_frames(void);
void hostile_ldt(void);
void hostile_process(void);

#endif
