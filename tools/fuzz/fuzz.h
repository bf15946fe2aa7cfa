/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fuzzer, the host's part.  Cases are made from a seed and a number, so
 * that both name a case for good (make.c, insn.c, state.c); two executors run
 * them (tests/guest/tests_fuzz.c); their records are compared (compare.c), a
 * difference is narrowed to one instruction (narrow.c) and looked up in the
 * table of known ones (table.c, known), or shown (show.c).
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <Zydis/Zydis.h>

#include "tests/guest/fuzzcase.h"

/* Cases of one block share vector states, memory contents and the kind of code. */
#define BLOCK_CASES	16384u

/* ---- randomness (rng.c) ---- */
struct rng { uint64_t s; };
struct rng rng_from(uint64_t seed, uint64_t stream, uint64_t n);
uint64_t rng_next(struct rng *r);
uint32_t below(struct rng *r, uint32_t n);
static inline bool one_in(struct rng *r, uint32_t n) { return below(r, n) == 0; }
uint64_t interesting(struct rng *r);	/* a number with edges */

/* ---- what kind of code (main.c) ---- */
struct kind {
	bool code32;		/* or 16-bit code: not 64-bit code */
	bool code16;
	bool kernel64;		/* 32-bit code under it is compatibility mode */
	bool avx512;		/* registers are recorded, EVEX is made */
	bool emulated;		/* natively it runs on QEMU's CPU */
	bool bytes;		/* random bytes, not instructions */
	const char *model;	/* of the guest's CPU */
};

/* ---- table of known differences (table.c) ---- */
struct table;
struct table *table_read(const char *path);
enum table_use { TABLE_MAKE, TABLE_RARE, TABLE_NEVER };
enum table_use table_use(const struct table *t, const ZydisDecodedInstruction *i,
			 const ZydisDecodedOperand *op, const struct kind *k);

/* Is it one of those: mnemonics with * and ?, isa=SET? */
bool insn_in(const char *list, const ZydisDecodedInstruction *i);

/* ---- decoding (insn.c) ---- */
void decoder_init(ZydisDecoder *d, const struct kind *k);

/* ---- making cases ---- */
struct maker {
	struct kind kind;
	const struct table *table;
	const char *only;		/* instructions as in the table, or NULL: all */
	bool single;			/* one in each case */
	ZydisDecoder decoder;
	uint64_t seed;
};
void make_head(const struct maker *m, struct fuzz_head *h);
void make_template(const struct maker *m, uint32_t block, uint32_t n, uint8_t page[FUZZ_PAGE]);
void make_state(const struct maker *m, uint32_t block, uint32_t n, uint8_t image[FUZZ_STATE_SIZE]);
void spare_qemu(uint8_t *code, uint32_t len);	/* spare.c */
bool runs_apart(const struct maker *m, const struct fuzz_case *c);	/* company.c */
void make_case(const struct maker *m, uint32_t id, struct fuzz_case *c);

/* One instruction; where a relative branch has its displacement, to be set later. */
struct insn_made { uint8_t len, rel_at, rel_size; };
bool make_insn(const struct maker *m, struct rng *r, const struct fuzz_case *c, uint64_t at,
	       uint8_t *to, struct insn_made *made);
uint64_t make_pointer(const struct maker *m, struct rng *r);

/* ---- files (file.c) ---- */
struct case_file {
	struct fuzz_head head;
	uint8_t *bytes;
	size_t size;
	struct fuzz_case *cases;
};
void file_begin(const struct maker *m, struct case_file *f, uint32_t block, uint32_t cases);
/* The same memory and states for other cases. */
void file_like(const struct case_file *f, struct case_file *out, uint32_t cases);
void file_own_states(const struct case_file *f, struct case_file *out, uint32_t cases);
bool file_write(const struct case_file *f, const char *path);
bool file_read(struct case_file *f, const char *path);
const struct fuzz_record *file_record(const struct case_file *f, uint32_t n);
const uint8_t *file_state(const struct case_file *f, uint32_t n);

/* ---- comparing (compare.c) ---- */
/* What differs, as bits: flags where they are in RFLAGS, registers by number. */
struct diff {
	bool outcome;		/* vector, or where it ended */
	bool error, cr2, dr6, memory, selectors, bases;
	uint64_t flags;
	uint32_t gpr;
	uint32_t fcw, fsw, ftw, mxcsr;
	uint32_t st;
	uint32_t vec, opmask;	/* registers XMM/YMM/ZMM 0-31, 0-7 */
};
bool compare(const struct fuzz_record *a, const struct fuzz_record *b, bool avx512, struct diff *d);
/* Is there anything that is in both? */
bool diffs_overlap(const struct diff *x, const struct diff *y);

/* ---- narrowing (narrow.c) ---- */
uint32_t narrow(const struct case_file *f, const struct case_file *g, const struct kind *k,
		struct case_file *out);
struct narrowed {
	const struct fuzz_case *origin;		/* whole */
	const struct fuzz_case *c;		/* up to the instruction that differs */
	const struct fuzz_record *a, *b;
	const struct fuzz_record *third[3];	/* of struct third, each may be NULL */
	uint32_t record;			/* their number in the file that a, b are from */
	const struct fuzz_record *before;	/* it, the same for both; NULL: c's own registers */
	const uint8_t *state;			/* c's image of vector state, where before is NULL */
	struct diff diff;
	bool avx512;				/* the records have its registers */
	bool decoded;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
	uint32_t insn_at;
	bool guessed;		/* it may be this one: the state that it began with is not known */
	bool vanished;				/* no difference when run again; a, b are of the first run */
};
typedef void (*narrowed_fn)(const struct narrowed *n, void *arg);
/* Two runs of the same cases. */
struct runs {
	const struct case_file *a, *b;
};
/* Of another executor: runs of what isolate() made, of what resume() made of that, of prefixes. */
struct third {
	const struct case_file *alone, *resumed, *prefixes;
};
/* @prefixes: runs of what narrow() made of the cases.  @third: or NULL. */
void narrowed_each(const struct runs *cases, const struct runs *prefixes,
		   const struct third *third, const struct kind *k, narrowed_fn fn, void *arg);
/* Takes the next instruction of a case for the one to blame; false after the last. */
bool narrowed_next(struct narrowed *n, const struct kind *k);

/*
 * The same at the byte @at of the whole case, wherever instructions seem to begin: for
 * one that branches into the middle of another.  False: nothing can be decoded there.
 */
bool narrowed_at(struct narrowed *n, const struct kind *k, uint32_t at);

/* Whether all of the case is known to be executed one instruction after the other. */
bool narrowed_straight(const struct narrowed *n, const struct kind *k);

/* ---- the third opinion (third.c) ---- */
/* The third executor does the same as the second in all that the table does not cover, or NULL. */
const char *third_explains(const struct table *t, const struct narrowed *n, const struct kind *k);

/* The entry that explains all of it, or NULL. */
const char *table_explains(const struct table *t, const struct narrowed *n, const struct kind *k);
/* What its entries leave of the difference; returns the first that covers something, or NULL. */
const char *table_leaves(const struct table *t, const struct narrowed *n, const struct kind *k,
			 struct diff *left);

/* Puts cases in an order in which each batch has rising slots. */
void put_in_batches(struct fuzz_case *c, uint32_t n);

/* ---- parts of cases (part.c) ---- */
/* Of each case that differs, the instruction to blame, from the state that it began with. */
void isolate(const struct runs *cases, const struct runs *prefixes, const struct kind *k,
	     struct case_file *out);
/* What is left to do where the cases of @f have ended: by a fault, whose IP is before. */
void resume(const struct case_file *f, struct case_file *out);
bool can_resume(const struct fuzz_record *r);

/* ---- wrong bits, for tests (spoil.c) ---- */
bool spoil_record(struct case_file *f, uint32_t n, uint32_t bit);
uint32_t spoil(struct case_file *f, const char *only, const char *where, const struct kind *k);

/* ---- showing (show.c) ---- */
void show(FILE *to, const struct narrowed *n, const struct kind *k, uint64_t seed);

#endif /* FUZZ_H */
