// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A metric's values in the order of a history are divided into levels. What varies from run to run
 * is divided by chance's own measure (model/change_points.h); what is counted exactly by its value.
 * The newest value is compared with the last level that lasted, so that a regression is one until
 * it has lasted as long itself and is what is normal now.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "format/check_history_line.h"
#include "format/check_trend.h"
#include "format/writers.h"
#include "model/change_points.h"

#define STRING_BYTES_MAX (64u << 20) /* as a history has */
#define STRINGS_MAX	 1000000
#define SEED		 1 /* the same history gives the same result */

struct newest {
	const struct kb_history_entry *entry;
	uint32_t n_before;		   /* entries of the history before it */
	struct kb_check_history *own;	   /* of a check that is not in the history, or NULL */
	const struct kb_check_history *in; /* the history */
};

const char *kb_check_trend__keep(struct kb_check_trend *trend, const char *text)
{
	uint32_t id = kb_strpool__add(trend->strings, text, strlen(text));

	return id == KB_STRPOOL_NONE ? NULL : kb_strpool__at(trend->strings, id);
}

/* ---------------------------------------------------------------- what can be compared */

static bool same_python(const struct kb_history_entry *a, const struct kb_history_entry *b,
			enum kb_check_side side)
{
	return !strcmp(a->python[side], b->python[side]);
}

/* How fast the machine is makes no difference to these. */
static bool of_any_machine(enum kb_check_metric metric)
{
	return kb_check_metric__is_exact(metric) || metric == KB_CHECK_FAULTS ||
	       metric == KB_CHECK_RSS;
}

static bool comparable(const struct kb_trend_series *series, const struct kb_history_entry *newest,
		       const struct kb_history_entry *entry)
{
	if (strcmp(entry->architecture, newest->architecture) ||
	    !same_python(entry, newest, KB_CHECK_HEAD))
		return false;
	if (series->ratio)
		return !strcmp(entry->base_label, newest->base_label) &&
		       same_python(entry, newest, KB_CHECK_BASE) &&
		       entry->values[series->metric].ratio_known;
	return of_any_machine(series->metric) ||
	       (!strcmp(entry->cpu, newest->cpu) && entry->cpus == newest->cpus);
}

static void add_value(struct kb_trend_series *series, const struct kb_history_entry *entry)
{
	const struct kb_history_value *value = &entry->values[series->metric];

	series->entries[series->n] = entry;
	series->values[series->n++] = series->ratio ? value->ratio : value->head;
}

/* The newest KB_CHANGE_POINTS_VALUES_MAX values. */
static void collect(struct kb_trend_series *series, const struct newest *newest)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < newest->n_before; i++) {
		const struct kb_history_entry *entry = &newest->in->entries[i];

		if (!entry->values[series->metric].n)
			continue;
		if (comparable(series, newest->entry, entry))
			n++;
		else
			series->n_elsewhere++;
	}
	for (uint32_t i = 0; i < newest->n_before; i++) {
		const struct kb_history_entry *entry = &newest->in->entries[i];

		if (entry->values[series->metric].n && comparable(series, newest->entry, entry) &&
		    n-- < KB_CHANGE_POINTS_VALUES_MAX)
			add_value(series, entry);
	}
	add_value(series, newest->entry);
}

/* ---------------------------------------------------------------- where it moved */

/* Of exact counts: where another value stays. One that is there once is an outlier, but for the
 * newest, of which nobody knows yet. */
static uint32_t find_steps(const struct kb_trend_series *series, struct kb_change_point *points)
{
	const double *values = series->values;
	double level = values[0];
	uint32_t n = 0;

	for (uint32_t i = 1; i < series->n; i++) {
		if (values[i] == level || (i + 1 < series->n && values[i + 1] != values[i]))
			continue;
		level = values[i];
		points[n++] = (struct kb_change_point){ .index = i };
	}
	return n;
}

static struct kb_error *find_changes(const struct kb_trend_series *series,
				     struct kb_change_point *points, uint32_t *n)
{
	if (!kb_check_metric__is_exact(series->metric))
		return kb_change_points__find(series->values, series->n, series->significance, SEED,
					      points, n);
	*n = find_steps(series, points);
	return NULL;
}

static struct kb_error *describe(const struct kb_trend_series *series, uint32_t start,
				 const struct kb_change_point *point, uint32_t end,
				 struct kb_check_trend_change *change)
{
	const struct kb_history_entry *first = series->entries[point->index];

	*change = (struct kb_check_trend_change){
		.size = sizeof(*change),
		.label = kb_check_trend__keep(series->trend, first->label),
		.last = kb_check_trend__keep(series->trend,
					     series->entries[point->index - 1]->label),
		.unix_seconds = first->unix_seconds,
		.n_before = point->index - start,
		.n_after = end - point->index,
		.p = point->p,
	};
	if (!change->label || !change->last)
		return kb_error__no_memory();
	kb_check_level__compare(series, start, change->n_before, change->n_after, change);
	return kb_check_trend__explain(series, point->index, change);
}

static struct kb_error *describe_all(const struct kb_trend_series *series,
				     const struct kb_change_point *points, uint32_t n,
				     struct kb_check_trend_measure *measure)
{
	struct kb_check_trend_change *changes = calloc(n + 1, sizeof(*changes));
	uint32_t start = 0;

	if (!changes)
		return kb_error__no_memory();
	measure->changes = changes;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t end = i + 1 < n ? points[i + 1].index : series->n;

		measure->n_changes++;
		KB_TRY(describe(series, start, &points[i], end, &changes[i]));
		start = points[i].index;
	}
	return NULL;
}

/* ---------------------------------------------------------------- metrics */

static struct kb_error *keep_values(const struct kb_trend_series *series,
				    struct kb_check_trend_measure *measure)
{
	double *values = malloc(series->n * sizeof(*values));
	const char **labels = calloc(series->n, sizeof(*labels));

	measure->values = values;
	measure->labels = labels;
	if (!values || !labels)
		return kb_error__no_memory();
	memcpy(values, series->values, series->n * sizeof(*values));
	for (uint32_t i = 0; i < series->n; i++) {
		labels[i] = kb_check_trend__keep(series->trend, series->entries[i]->label);
		if (!labels[i])
			return kb_error__no_memory();
	}
	return NULL;
}

static struct kb_error *measure_series(struct kb_trend_series *series, const struct newest *newest,
				       struct kb_check_trend_measure *measure)
{
	struct kb_change_point points[KB_CHANGE_POINTS_VALUES_MAX];
	uint32_t n_points;

	collect(series, newest);
	measure->n = series->n;
	measure->n_elsewhere = series->n_elsewhere;
	KB_TRY(keep_values(series, measure));
	KB_TRY(find_changes(series, points, &n_points));
	KB_TRY(describe_all(series, points, n_points, measure));
	kb_check_level__judge(series, measure);
	return NULL;
}

static struct kb_error *add_measure(struct kb_check_trend *trend, const struct newest *newest,
				    const struct kb_check_rules *rules, enum kb_check_metric metric,
				    double significance)
{
	const struct kb_history_value *value = &newest->entry->values[metric];
	struct kb_check_trend_measure *measure = &trend->measures[trend->n_measures++];
	struct kb_trend_series series = { .trend = trend,
					  .metric = metric,
					  .significance = significance };
	struct kb_error *err;

	series.ratio = *newest->entry->base_label && value->ratio_known &&
		       !kb_check_metric__is_exact(metric);
	*measure = (struct kb_check_trend_measure){ .size = sizeof(*measure),
						    .metric = metric,
						    .gated = rules->gated[metric],
						    .threshold = rules->threshold[metric],
						    .ratio = series.ratio };
	series.entries = calloc(KB_CHANGE_POINTS_VALUES_MAX, sizeof(*series.entries));
	series.values = calloc(KB_CHANGE_POINTS_VALUES_MAX, sizeof(*series.values));
	err = series.entries && series.values ? measure_series(&series, newest, measure)
					      : kb_error__no_memory();
	free(series.entries);
	free(series.values);
	return err;
}

/* As a check does it: the first gated metric that is not without a change, but a regression before
 * all. */
static enum kb_check_verdict verdict_of(const struct kb_check_trend *trend)
{
	enum kb_check_verdict verdict = KB_CHECK_NO_CHANGE;

	for (uint32_t i = 0; i < trend->n_measures; i++) {
		const struct kb_check_trend_measure *measure = &trend->measures[i];

		if (!measure->gated)
			continue;
		if (measure->verdict == KB_CHECK_REGRESSION)
			return KB_CHECK_REGRESSION;
		if (verdict == KB_CHECK_NO_CHANGE)
			verdict = measure->verdict;
	}
	return verdict;
}

static struct kb_error *fill(struct kb_check_trend *trend, const struct newest *newest,
			     const struct kb_check_rules *rules)
{
	uint32_t n_noisy = 0;

	trend->label = kb_check_trend__keep(trend, newest->entry->label);
	if (!trend->label)
		return kb_error__no_memory();
	trend->confidence = rules->confidence;
	for (int i = 0; i < KB_CHECK_METRICS; i++)
		n_noisy += rules->gated[i] && newest->entry->values[i].n &&
			   !kb_check_metric__is_exact(i);
	/* Of all gated metrics together (Bonferroni), as in a check. */
	for (int i = 0; i < KB_CHECK_METRICS; i++)
		if (newest->entry->values[i].n)
			KB_TRY(add_measure(trend, newest, rules, i,
					   (1 - rules->confidence) / fmax(n_noisy, 1)));
	trend->verdict = verdict_of(trend);
	return NULL;
}

/* A check becomes an entry by the same way as those of the file. */
static struct kb_error *find_newest(const struct kb_check_history *history,
				    const struct kb_check *check, const struct kb_check_mark *mark,
				    struct newest *newest)
{
	char *line = NULL;
	size_t size = 0;
	struct kb_error *err;
	FILE *stream;

	newest->in = history;
	if (!check) {
		if (!history->n_entries)
			return kb_usage("the history has no entry: add one with --append");
		newest->n_before = history->n_entries - 1;
		newest->entry = &history->entries[newest->n_before];
		return NULL;
	}
	newest->n_before = history->n_entries;
	stream = open_memstream(&line, &size);
	if (!stream)
		return kb_error__no_memory();
	err = kb_check_history_line__write(check, mark, stream);
	err = err ?: kb_writers__check_stream(stream);
	fclose(stream);
	err = err ?: kb_check_history__read(line, size, "the check", &newest->own);
	free(line);
	if (!err)
		newest->entry = &newest->own->entries[0];
	return err;
}

struct kb_error *kb_check_trend__create(const struct kb_check_history *history,
					const struct kb_check *check,
					const struct kb_check_mark *mark,
					const struct kb_check_rules *given,
					struct kb_check_trend **result)
{
	struct kb_check_trend *trend;
	struct kb_check_rules rules;
	struct newest newest = {};
	struct kb_error *err;

	kb_check_rules__init(&rules);
	if (given)
		rules = *given;
	KB_TRY(find_newest(history, check, mark, &newest));
	trend = calloc(1, sizeof(*trend));
	if (trend) {
		trend->strings = kb_strpool__create(STRING_BYTES_MAX, STRINGS_MAX);
		trend->measures = calloc(KB_CHECK_METRICS, sizeof(*trend->measures));
	}
	err = trend && trend->strings && trend->measures ? fill(trend, &newest, &rules)
							 : kb_error__no_memory();
	kb_check_history__destroy(newest.own);
	if (err)
		kb_check_trend__destroy(trend);
	else
		*result = trend;
	return err;
}

void kb_check_trend__destroy(struct kb_check_trend *trend)
{
	if (!trend)
		return;
	for (uint32_t i = 0; i < trend->n_measures; i++) {
		struct kb_check_trend_measure *measure = &trend->measures[i];

		for (uint32_t j = 0; j < measure->n_changes; j++)
			free((void *)measure->changes[j].functions);
		free((void *)measure->changes);
		free((void *)measure->values);
		free((void *)measure->labels);
	}
	free(trend->measures);
	kb_strpool__destroy(trend->strings);
	free(trend);
}

enum kb_check_verdict kb_check_trend__verdict(const struct kb_check_trend *trend)
{
	return trend->verdict;
}

const char *kb_check_trend__label(const struct kb_check_trend *trend)
{
	return trend->label;
}

double kb_check_trend__confidence(const struct kb_check_trend *trend)
{
	return trend->confidence;
}

uint32_t kb_check_trend__n_measures(const struct kb_check_trend *trend)
{
	return trend->n_measures;
}

const struct kb_check_trend_measure *kb_check_trend__measure(const struct kb_check_trend *trend,
							     uint32_t index)
{
	return &trend->measures[index];
}
