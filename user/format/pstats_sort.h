/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_PSTATS_SORT_H
#define KB_FORMAT_PSTATS_SORT_H

#include <stdint.h>
#include "base/error.h"
#include "format/function_table.h"

/* The sort keys of the text table, named as profiling.sampling (3.15) names them. */

/* A usage error that lists the keys when there is none of that name. */
struct kb_error *kb_pstats_sort__check(const char *key);

/*
 * Fills order with the table's row numbers, the first to be shown first. key NULL
 * is nsamples. paths are the files as shown, by row. Rows that tie stand by the
 * other count, then by name, so that the order never depends on anything else.
 */
void kb_pstats_sort__order(const struct kb_function_table *table, const char *const *paths,
			   const char *key, uint32_t *order);

#endif
