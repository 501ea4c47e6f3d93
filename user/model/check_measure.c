// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * What the runs say of each metric. Runs are compared by pairs and as ratios: the difference of the
 * logarithms, which a machine that is slower for a while leaves as it is.
 */
#include <math.h>
#include <stdlib.h>
#include "base/error.h"
#include "model/check.h"
#include "model/check_stats.h"

/* "In 9 of 10 checks", of the smallest change that would have been found. */
#define POWER 0.9

struct kb_error *kb_check__add_pair(struct kb_check *check,
				    const struct kb_check_run runs[KB_CHECK_SIDES])
{
	uint32_t pair = check->meta.n_pairs;

	if (pair >= KB_CHECK_PAIRS_MAX)
		return kb_usage("more than %d pairs of runs", KB_CHECK_PAIRS_MAX);
	for (int metric = 0; metric < KB_CHECK_OF_RUNS; metric++) {
		if (isnan(runs[0].value[metric]) || isnan(runs[1].value[metric]))
			continue;
		for (int side = 0; side < KB_CHECK_SIDES; side++) {
			double **values = &check->runs[metric][side];

			if (!*values)
				*values = calloc(KB_CHECK_PAIRS_MAX, sizeof(**values));
			if (!*values)
				return kb_error__no_memory();
			(*values)[pair] = runs[side].value[metric];
		}
	}
	check->meta.n_pairs++;
	return NULL;
}

double kb_check__confidence_of_each(const struct kb_check *check)
{
	int n = 0;

	for (int metric = 0; metric < KB_CHECK_OF_RUNS; metric++)
		n += check->rules.gated[metric];
	return 1 - (1 - check->rules.confidence) / (n ? n : 1);
}

/* Where a count may be 0 all of them are raised by one, so that there is a ratio. */
static double offset_of(double *const sides[KB_CHECK_SIDES], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (sides[0][i] <= 0 || sides[1][i] <= 0)
			return 1;
	return 0;
}

static struct kb_error *shift_of(const struct kb_check *check, enum kb_check_metric metric,
				 struct kb_shift *shift)
{
	double *const *sides = check->runs[metric], d[KB_CHECK_PAIRS_MAX];
	uint32_t n = check->meta.n_pairs;
	double offset = offset_of(sides, n);

	for (uint32_t i = 0; i < n; i++)
		d[i] = log((sides[KB_CHECK_HEAD][i] + offset) / (sides[KB_CHECK_BASE][i] + offset));
	return kb_stats__shift(d, n, kb_check__confidence_of_each(check), shift);
}

struct kb_error *kb_check__half_width(const struct kb_check *check, enum kb_check_metric metric,
				      double *half_width)
{
	struct kb_shift shift;

	*half_width = INFINITY;
	if (!check->meta.n_pairs || !check->runs[metric][0])
		return NULL;
	KB_TRY(shift_of(check, metric, &shift));
	*half_width = expm1((shift.high - shift.low) / 2);
	return NULL;
}

/* ---------------------------------------------------------------- verdicts */

static void judge(struct kb_check_measure *m, double confidence)
{
	double for_better = 1 / (1 + m->threshold) - 1;
	bool shown = m->p < 1 - confidence;

	m->largest = fmax(fabs(m->low), fabs(m->high));
	if (shown && m->low > 0 && m->change >= m->threshold)
		m->verdict = KB_CHECK_REGRESSION;
	else if (shown && m->high < 0 && m->change <= for_better)
		m->verdict = KB_CHECK_IMPROVEMENT;
	else if (m->low >= for_better && m->high <= m->threshold)
		m->verdict = KB_CHECK_NO_CHANGE;
	else
		m->verdict = KB_CHECK_CANNOT_TELL;
}

/* The shift is of logarithms. */
static void set_shift(struct kb_check_measure *m, const struct kb_shift *shift, double confidence)
{
	double half = (shift->high - shift->low) / 2;
	double error = half / kb_stats__normal_quantile((1 + confidence) / 2);

	m->change = expm1(shift->estimate);
	m->low = expm1(shift->low);
	m->high = expm1(shift->high);
	m->p = shift->p;
	m->detectable =
		expm1(fmax(half, log1p(m->threshold)) + error * kb_stats__normal_quantile(POWER));
	judge(m, confidence);
}

static struct kb_check_measure *new_measure(struct kb_check *check, enum kb_check_metric metric)
{
	struct kb_check_measure *m = &check->measures[check->n_measures++];

	*m = (struct kb_check_measure){
		.size = sizeof(*m),
		.metric = metric,
		.gated = check->rules.gated[metric],
		.threshold = check->rules.threshold[metric],
	};
	return m;
}

/* Samples of two recordings: how they vary is known from their number, and nothing else is. */
static void compare_recordings(struct kb_check *check, struct kb_check_measure *m)
{
	double samples[KB_CHECK_SIDES], error, half;
	struct kb_shift shift = { .low = -INFINITY, .high = INFINITY, .p = 1 };

	for (int side = 0; side < KB_CHECK_SIDES; side++)
		samples[side] = check->meta.reported[side];
	if (samples[0] > 0 && samples[1] > 0) {
		error = sqrt(1 / samples[0] + 1 / samples[1]);
		half = error * kb_stats__normal_quantile((1 + check->rules.confidence) / 2);
		shift.estimate = log(m->head / m->base);
		shift.low = shift.estimate - half;
		shift.high = shift.estimate + half;
		shift.p = erfc(fabs(shift.estimate) / error / M_SQRT2);
	}
	set_shift(m, &shift, check->rules.confidence);
}

static struct kb_error *compare_metric(struct kb_check *check, enum kb_check_metric metric)
{
	struct kb_check_measure *m = new_measure(check, metric);
	struct kb_shift shift;

	m->n = check->meta.n_pairs;
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		m->runs[side] = check->runs[metric][side];
	KB_TRY(kb_stats__median(m->runs[KB_CHECK_BASE], m->n, &m->base));
	KB_TRY(kb_stats__median(m->runs[KB_CHECK_HEAD], m->n, &m->head));
	if (check->meta.recordings) {
		compare_recordings(check, m);
		return NULL;
	}
	KB_TRY(shift_of(check, metric, &shift));
	set_shift(m, &shift, kb_check__confidence_of_each(check));
	return NULL;
}

/* ---------------------------------------------------------------- exact */

static void sum_counts(const struct kb_check *check, enum kb_check_metric metric, double *base,
		       double *head, double *unstable)
{
	*base = *head = *unstable = 0;
	for (uint32_t i = 0; i < check->n_tallies; i++) {
		const struct kb_check_tally *t = &check->tallies[i];
		const uint64_t *value = t->value;

		if (t->metric != metric || t->caller != KB_ID_NONE || check->names[t->name].ignored)
			continue;
		if (check->again[metric] &&
		    value[KB_CHECK_SERIES_BASE] != value[KB_CHECK_SERIES_AGAIN]) {
			*unstable += fabs((double)value[KB_CHECK_SERIES_BASE] -
					  (double)value[KB_CHECK_SERIES_AGAIN]);
			continue;
		}
		*base += value[KB_CHECK_SERIES_BASE];
		*head += value[KB_CHECK_SERIES_HEAD];
	}
}

static struct kb_error *compare_exact(struct kb_check *check, enum kb_check_metric metric)
{
	struct kb_check_measure *m = new_measure(check, metric);

	sum_counts(check, metric, &m->base, &m->head, &m->unstable);
	m->n = 1;
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		double *value = calloc(1, sizeof(*value));

		if (!value)
			return kb_error__no_memory();
		*value = side == KB_CHECK_BASE ? m->base : m->head;
		m->runs[side] = check->runs[metric][side] = value;
	}
	m->change = m->head == m->base ? 0 : m->head / m->base - 1;
	m->low = m->high = m->change;
	m->largest = fabs(m->change);
	m->detectable = m->threshold;
	m->p = m->head == m->base;
	m->verdict = KB_CHECK_NO_CHANGE;
	if (m->head > m->base && m->change >= m->threshold)
		m->verdict = KB_CHECK_REGRESSION;
	else if (m->head < m->base && m->change <= -m->threshold)
		m->verdict = KB_CHECK_IMPROVEMENT;
	return NULL;
}

struct kb_error *kb_check__compare_runs(struct kb_check *check)
{
	for (int metric = 0; metric < KB_CHECK_METRICS; metric++) {
		if (kb_check_metric__is_exact(metric)) {
			if (check->counted[metric])
				KB_TRY(compare_exact(check, metric));
		} else if (check->runs[metric][0] && check->meta.n_pairs) {
			KB_TRY(compare_metric(check, metric));
		} else if (check->rules.gated[metric] && check->meta.n_pairs &&
			   !check->meta.recordings) {
			kb_check__add_note(check, "%s cannot be gated: not known on this machine",
					   kb_check_metric__text(metric));
		}
	}
	return NULL;
}
