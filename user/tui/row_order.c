// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tui/row_order.h"

/* Longer names are matched by their beginning: matching costs time at every key typed. */
#define TEXT_MAX 1024

enum { NOT_ASKED, NO, YES };

const char *const kb_sort_key_names[KB_SORT_KEYS + 1] = { "self", "self%", "total", "total%",
							  "now",  "trend", "name",  "file" };

void kb_row_order__free(struct kb_row_order *order)
{
	if (order->filtered)
		regfree(&order->regex);
	order->filtered = false;
	free(order->matches);
	free(order->rows);
	order->matches = NULL;
	order->rows = NULL;
}

/* ---------------------------------------------------------------- filter */

static bool has_capital(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' && text[1])
			text++; /* \W is no letter that somebody typed */
		else if (isupper((unsigned char)*text))
			return true;
	}
	return false;
}

struct kb_error *kb_row_order__filter(struct kb_row_order *order, const char *pattern)
{
	int flags = REG_EXTENDED | REG_NOSUB | (has_capital(pattern) ? 0 : REG_ICASE), reason;
	char text[128];
	regex_t regex;

	if (strlen(pattern) > KB_PATTERN_MAX)
		return kb_usage("the pattern is longer than %d bytes", KB_PATTERN_MAX);
	if (*pattern) {
		reason = regcomp(&regex, pattern, flags);
		if (reason) {
			regerror(reason, &regex, text, sizeof(text));
			return kb_usage("'%s': %s", pattern, text);
		}
	}
	if (order->filtered)
		regfree(&order->regex);
	order->filtered = *pattern;
	if (order->filtered)
		order->regex = regex;
	snprintf(order->pattern, sizeof(order->pattern), "%s", pattern);
	kb_row_order__forget_matches(order);
	return NULL;
}

void kb_row_order__forget_matches(struct kb_row_order *order)
{
	order->n_asked = 0;
}

int kb_row_text(const struct kb_view_model *model, uint32_t row, char *text, size_t size)
{
	const struct kb_function_info *function = kb_view_model__function(model, row);
	int32_t line = model->labels.labels[row].line;

	if (!line)
		line = function->first_line;
	if (!*function->file)
		return snprintf(text, size, "%s", function->name);
	if (!line)
		return snprintf(text, size, "%s (%s)", function->name, function->file);
	return snprintf(text, size, "%s (%s:%d)", function->name, function->file, line);
}

static bool is_shown(struct kb_row_order *order, const struct kb_view_model *model, uint32_t row)
{
	char text[TEXT_MAX];

	if (!order->filtered)
		return true;
	if (order->matches[row] == NOT_ASKED) {
		kb_row_text(model, row, text, sizeof(text));
		order->matches[row] = regexec(&order->regex, text, 0, NULL, 0) ? NO : YES;
	}
	return order->matches[row] == YES;
}

/* ---------------------------------------------------------------- sort */

struct sorting {
	const struct kb_view_model *model;
	enum kb_sort_key key;
	bool reversed;
};

static int compare_numbers(double a, double b)
{
	return (a < b) - (a > b); /* the largest first */
}

/* The larger of the changes in what a row executes itself and in all. */
static double change_of(const struct kb_view_model *model, const struct kb_row *row)
{
	double self = kb_view_model__share_change(model, row->self_now, row->self_before);
	double total = kb_view_model__share_change(model, row->total_now, row->total_before);

	return fabs(self) > fabs(total) ? self : total;
}

static int compare_files(const struct kb_view_model *model, uint32_t a, uint32_t b)
{
	const struct kb_function_info *x = kb_view_model__function(model, a);
	const struct kb_function_info *y = kb_view_model__function(model, b);
	int order = strcmp(x->file, y->file);

	if (!order)
		order = (x->first_line > y->first_line) - (x->first_line < y->first_line);
	return order ? order : strcmp(x->name, y->name);
}

static int compare_names(const struct kb_view_model *model, uint32_t a, uint32_t b)
{
	int order = strcmp(kb_view_model__function(model, a)->name,
			   kb_view_model__function(model, b)->name);

	return order ? order : compare_files(model, a, b);
}

static int compare_by_key(const struct sorting *s, uint32_t a, uint32_t b)
{
	const struct kb_row *x = &s->model->rows[a], *y = &s->model->rows[b];

	switch (s->key) {
	case KB_SORT_TOTAL:
	case KB_SORT_TOTAL_SHARE:
		return compare_numbers(x->total, y->total);
	case KB_SORT_NOW:
		return compare_numbers(x->self_now, y->self_now);
	case KB_SORT_TREND:
		return compare_numbers(change_of(s->model, x), change_of(s->model, y));
	case KB_SORT_NAME:
		return compare_names(s->model, a, b);
	case KB_SORT_FILE:
		return compare_files(s->model, a, b);
	default:
		return compare_numbers(x->self, y->self);
	}
}

/* Ties go by what was executed most, then by name, so that rows do not jump. */
static int compare(const void *a, const void *b, void *context)
{
	const struct sorting *s = context;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int order = compare_by_key(s, x, y);

	if (s->reversed)
		order = -order;
	if (!order)
		order = compare_numbers(s->model->rows[x].self, s->model->rows[y].self);
	if (!order)
		order = compare_numbers(s->model->rows[x].total, s->model->rows[y].total);
	if (!order)
		order = compare_names(s->model, x, y);
	return order ? order : (x > y) - (x < y);
}

static bool grow(struct kb_row_order *order, uint32_t n)
{
	if (!kb_grow((void **)&order->rows, &order->rows_capacity, n, sizeof(*order->rows)) ||
	    !kb_grow((void **)&order->matches, &order->matches_capacity, n,
		     sizeof(*order->matches)))
		return false;
	while (order->n_asked < n)
		order->matches[order->n_asked++] = NOT_ASKED;
	return true;
}

struct kb_error *kb_row_order__update(struct kb_row_order *order, const struct kb_view_model *model)
{
	struct sorting sorting = { model, order->key, order->reversed };

	if (!grow(order, model->n_rows))
		return kb_error__no_memory();
	order->n = order->n_counted = order->n_with_self = 0;
	for (uint32_t row = 0; row < model->n_rows; row++) {
		if (!model->rows[row].total)
			continue;
		order->n_counted++;
		order->n_with_self += model->rows[row].self != 0;
		if (is_shown(order, model, row))
			order->rows[order->n++] = row;
	}
	if (order->n)
		qsort_r(order->rows, order->n, sizeof(*order->rows), compare, &sorting);
	return NULL;
}

uint32_t kb_row_order__find(const struct kb_row_order *order, uint32_t row)
{
	for (uint32_t i = 0; i < order->n; i++) {
		if (order->rows[i] == row)
			return i;
	}
	return UINT32_MAX;
}
