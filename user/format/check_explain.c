// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which functions moved with a metric: CPU time by the functions of the checks around the change,
 * counts by what the check at the change says of its own base. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "format/check_trend.h"

#define NEAREST	  KB_CHECK_LEVEL /* checks on either side whose functions are compared */
#define LISTED	  5		 /* functions: those behind them explain little */
#define FOUND_MAX (2 * NEAREST * KB_HISTORY_FUNCTIONS_MAX)

static double by_change(const struct kb_check_trend_function *function)
{
	return fabs(function->after - function->before);
}

static int compare_functions(const void *a, const void *b)
{
	const struct kb_check_trend_function *x = a, *y = b;

	if (by_change(x) != by_change(y))
		return by_change(x) > by_change(y) ? -1 : 1;
	return strcmp(x->name, y->name) ?: strcmp(x->file, y->file);
}

/* Those that went the same way as the metric, most first. */
static struct kb_error *keep(const struct kb_trend_series *series,
			     struct kb_check_trend_function *functions, uint32_t n,
			     struct kb_check_trend_change *change)
{
	bool up = change->after > change->before;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++)
		if (functions[i].after != functions[i].before &&
		    (functions[i].after > functions[i].before) == up)
			functions[kept++] = functions[i];
	qsort(functions, kept, sizeof(*functions), compare_functions);
	kept = kept < LISTED ? kept : LISTED;
	for (uint32_t i = 0; i < kept; i++) {
		functions[i].name = kb_check_trend__keep(series->trend, functions[i].name);
		functions[i].file = kb_check_trend__keep(series->trend, functions[i].file);
		if (!functions[i].name || !functions[i].file)
			return kb_error__no_memory();
	}
	change->functions = calloc(kept + 1, sizeof(*functions));
	if (!change->functions)
		return kb_error__no_memory();
	memcpy((void *)change->functions, functions, kept * sizeof(*functions));
	change->n_functions = kept;
	return NULL;
}

static struct kb_check_trend_function *find(struct kb_check_trend_function *functions, uint32_t *n,
					    const struct kb_history_function *wanted)
{
	struct kb_check_trend_function *function = functions;

	for (; function < functions + *n; function++)
		if (!strcmp(function->name, wanted->name) && !strcmp(function->file, wanted->file))
			return function;
	*function = (struct kb_check_trend_function){ .name = wanted->name, .file = wanted->file };
	++*n;
	return function;
}

/* Means over some checks, in seconds of the newest one's machine. */
static void add_times(const struct kb_trend_series *series, uint32_t from, uint32_t to, bool after,
		      struct kb_check_trend_function *functions, uint32_t *n)
{
	const struct kb_history_entry *newest = series->entries[series->n - 1];
	double unit = newest->values[series->metric].head / series->values[series->n - 1];

	for (uint32_t i = from; i < to; i++) {
		const struct kb_history_entry *entry = series->entries[i];
		double scale = series->values[i] * unit / entry->values[series->metric].head;

		for (uint32_t j = 0; isfinite(scale) && j < entry->n_functions; j++) {
			struct kb_check_trend_function *function =
				find(functions, n, &entry->functions[j]);
			double mean = entry->functions[j].seconds * scale / (to - from);

			*(after ? &function->after : &function->before) += mean;
			function->line = entry->functions[j].line;
		}
	}
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static struct kb_error *explain_time(const struct kb_trend_series *series, uint32_t at,
				     struct kb_check_trend_change *change)
{
	struct kb_check_trend_function *functions = calloc(FOUND_MAX, sizeof(*functions));
	uint32_t n = 0;
	struct kb_error *err;

	if (!functions)
		return kb_error__no_memory();
	add_times(series, at - least(change->n_before, NEAREST), at, false, functions, &n);
	add_times(series, at, at + least(change->n_after, NEAREST), true, functions, &n);
	err = keep(series, functions, n, change);
	free(functions);
	return err;
}

static struct kb_error *explain_count(const struct kb_trend_series *series, uint32_t at,
				      struct kb_check_trend_change *change)
{
	const struct kb_history_entry *entry = series->entries[at];
	struct kb_check_trend_function *functions = calloc(entry->n_counts + 1, sizeof(*functions));
	uint32_t n = 0;
	struct kb_error *err;

	if (!functions)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < entry->n_counts; i++) {
		const struct kb_history_count *count = &entry->counts[i];

		if (count->metric == series->metric)
			functions[n++] = (struct kb_check_trend_function){
				.name = count->name,
				.file = count->file,
				.line = count->line,
				.before = count->value[KB_CHECK_BASE],
				.after = count->value[KB_CHECK_HEAD],
			};
	}
	err = keep(series, functions, n, change);
	free(functions);
	return err;
}

struct kb_error *kb_check_trend__explain(const struct kb_trend_series *series, uint32_t at,
					 struct kb_check_trend_change *change)
{
	if (series->metric == KB_CHECK_CPU)
		return explain_time(series, at, change);
	return kb_check_metric__is_exact(series->metric) ? explain_count(series, at, change) : NULL;
}
