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

/* ---- condition.c ---- */
bool conditions_known(const char *list);
bool conditions_hold(const char *list, const struct narrowed *n, const struct kind *k);

#endif /* FUZZ_TABLE_H */
