/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CALLS_SORT_H
#define KB_FORMAT_CALLS_SORT_H

#include <stdio.h>
#include "keelback/calls_format.h"

/*
 * pstats' sort keys (Lib/pstats.py, sort_arg_dict_default): counts and times
 * with the largest first, names and lines with the smallest; what is equal stays in
 * its order. More keys than these say nothing new.
 */
#define KB_CALLS_SORT_MAX 16

struct kb_calls_sorting {
	uint8_t keys[KB_CALLS_SORT_MAX]; /* indices for kb_calls_sort__at() */
	size_t n;
};

/* Keys separated by commas or blanks, each abbreviated as far as it means one thing, or one of
 * the numbers -1 to 2 that stood for keys once. */
struct kb_error *kb_calls_sorting__parse(const char *text, struct kb_calls_sorting *sorting);
/* What pstats calls the order, such as "internal time, function name". */
void kb_calls_sorting__describe(const struct kb_calls_sorting *sorting, FILE *stream);
/* Sorts ids of functions. names are those of pstats by id. False: out of memory. */
bool kb_calls_sorting__sort(const struct kb_calls_sorting *sorting, const struct kb_calls *calls,
			    char *const *names, uint32_t *ids, uint32_t n);

#endif
