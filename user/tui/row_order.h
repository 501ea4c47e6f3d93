/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_ROW_ORDER_H
#define KB_TUI_ROW_ORDER_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "tui/view_model.h"

/* Which rows are shown, in which order. */
enum kb_sort_key {
	KB_SORT_SELF,
	KB_SORT_SELF_SHARE,
	KB_SORT_TOTAL,
	KB_SORT_TOTAL_SHARE,
	KB_SORT_NOW,   /* share of the newest interval */
	KB_SORT_TREND, /* change of that share */
	KB_SORT_NAME,
	KB_SORT_FILE,
	KB_SORT_KEYS
};
/* "self", "self%", …, NULL past the last; for options. */
extern const char *const kb_sort_key_names[KB_SORT_KEYS + 1];

#define KB_PATTERN_MAX 200 /* bytes of a filter: longer ones are no longer typed by people */

struct kb_row_order {
	enum kb_sort_key key;
	bool reversed;

	char pattern[KB_PATTERN_MAX + 1];
	bool filtered; /* the pattern is compiled and in force */
	regex_t regex;
	uint8_t *matches; /* of each row: 0 not asked yet, 1 no, 2 yes */
	size_t matches_capacity;
	uint32_t n_asked;

	uint32_t *rows; /* the result: row numbers */
	uint32_t n;
	uint32_t n_with_self; /* of all rows with any samples: those that have samples themselves */
	uint32_t n_counted;   /* rows with any samples, shown or not */
	size_t rows_capacity;
};

void kb_row_order__free(struct kb_row_order *order);

/*
 * Only rows whose text `function (file:line)` matches; "" shows all. A POSIX
 * extended expression, in which case matters only when it has a capital letter. What is wrong with
 * it is the error, then the old one stays in force.
 */
struct kb_error *kb_row_order__filter(struct kb_row_order *order, const char *pattern);

/* Rows have changed their meaning: matches are asked anew. */
void kb_row_order__forget_matches(struct kb_row_order *order);

/* Chooses and sorts the rows of what was aggregated. Those without samples are left out. */
struct kb_error *kb_row_order__update(struct kb_row_order *order,
				      const struct kb_view_model *model);

/* Where a row stands, or UINT32_MAX. */
uint32_t kb_row_order__find(const struct kb_row_order *order, uint32_t row);

/* The text that the filter sees; returns its size, like snprintf. */
int kb_row_text(const struct kb_view_model *model, uint32_t row, char *text, size_t size);

#endif
