/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words that an entry of the table of known differences is made of. */
#ifndef FUZZ_TABLE_H
#define FUZZ_TABLE_H

#include "fuzz.h"

bool each_word(const char *list, bool (*fn)(const char *word, void *arg), void *arg);

/* ---- fields.c ---- */
bool fields_known(const char *list);
/* Takes from *left what the fields cover; true if that was anything. */
bool fields_take(const char *list, const struct narrowed *n, struct diff *left);
void fields_print(FILE *to, const struct narrowed *n);
bool diff_is_empty(const struct diff *d);

/* ---- lanes.c ---- */
/* The numbers of all such registers that the instruction writes, as bits. */
uint32_t written(const struct narrowed *n, bool (*is)(const ZydisDecodedOperand *o));
/* A vector register that is an operand, as it was before, 64 bytes; false: it is none. */
bool vector_before(const struct narrowed *n, int operand, uint8_t *v);
uint64_t opmask_value(const struct fuzz_record *r, int i);
typedef void take_fn(const struct narrowed *n, struct diff *d);
take_fn take_vec, take_vec_near, take_vec_near14, take_vec_lost_bit, take_vec_half_power,
	take_vec_flushed, take_vec_nan, take_vec_opposite, take_vec_mantissa, take_vec_by_64,
	take_vec_conflict, take_vec_high, take_vec_behind, take_vec_upper, take_opmask,
	take_opmask_bit7;

/* ---- condition.c ---- */
struct asked {
	const struct narrowed *n;
	const struct kind *k;
};
typedef bool condition_fn(const struct asked *a);
bool conditions_known(const char *list);
bool conditions_hold(const char *list, const struct narrowed *n, const struct kind *k);

/* ---- situation.c ---- */
uint64_t gpr_before(const struct narrowed *n, int i);
long double st0_before(const struct narrowed *n);
condition_fn if_outcome, if_plain_ud, if_plain_gp, if_one_xm, if_native_xm, if_ud_after_xm, if_single_step,
	if_plain_fault, if_ftz_or_daz, if_ecx_0, if_out_of_range, if_pseudo_denormal,
	if_no_element, if_field_beyond, if_overflow, if_underflow_unmasked,
	if_stack_fault;

#endif /* FUZZ_TABLE_H */
