// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Two levels of a metric, and the newest value beside a level. Jobs differ from one another more
 * than the runs within one, so what counts is how the values of jobs vary, as a level has them.
 */
#include <math.h>
#include "base/student.h"
#include "format/check_trend.h"

/* That a change is shown 9 times in 10, as struct kb_check_measure has it. */
#define MISSED 0.1

struct moments {
	double mean, variance;
};

static struct moments moments_of(const double *values, uint32_t n)
{
	struct moments moments = {};

	for (uint32_t i = 0; i < n; i++)
		moments.mean += values[i] / n;
	for (uint32_t i = 0; i < n; i++)
		moments.variance += pow(values[i] - moments.mean, 2) / (n > 1 ? n - 1 : 1);
	/* Sums of equal values differ from them by rounding. */
	if (sqrt(moments.variance) <= fabs(moments.mean) * 1e-12)
		moments = (struct moments){ .mean = values[0] };
	return moments;
}

static double relative(double value, double level)
{
	if (level > 0)
		return value / level - 1;
	return value > 0 ? INFINITY : 0;
}

/* Of two means whose variances need not be alike: Welch, "The Generalization of 'Student's'
 * Problem", Biometrika 34 (1947). */
static double margin(struct moments a, uint32_t n, struct moments b, uint32_t m,
		     double significance)
{
	double u = a.variance / n, v = b.variance / m, freedom;

	if (u + v <= 0)
		return 0;
	freedom = (u + v) * (u + v) / (u * u / fmax(n - 1.0, 1) + v * v / fmax(m - 1.0, 1));
	return kb_student__quantile(significance / 2, (uint32_t)fmax(freedom, 1)) * sqrt(u + v);
}

void kb_check_level__compare(const struct kb_trend_series *series, uint32_t start, uint32_t n,
			     uint32_t m, struct kb_check_trend_change *change)
{
	bool exact = kb_check_metric__is_exact(series->metric);
	struct moments before = moments_of(series->values + start, n);
	struct moments after = moments_of(series->values + start + n, m);
	double width = 0;

	if (exact) {
		before.mean = series->values[start];
		after.mean = series->values[start + n];
	} else {
		width = margin(before, n, after, m, series->significance);
	}
	change->before = before.mean;
	change->after = after.mean;
	change->change = relative(after.mean, before.mean);
	change->low = relative(after.mean - width, before.mean);
	change->high = relative(after.mean + width, before.mean);
	if (before.mean <= 0)
		change->low = change->high = change->change;
}

/* ---------------------------------------------------------------- the newest */

/* The level that the newest is compared with: start and size; 0: there is none. */
static uint32_t find_level(const struct kb_trend_series *series,
			   const struct kb_check_trend_measure *measure, uint32_t *start)
{
	bool exact = kb_check_metric__is_exact(series->metric);
	uint32_t end = series->n - 1, last = series->n, best = 0;

	for (uint32_t i = measure->n_changes + 1; i-- > 0;) {
		uint32_t size = i		     ? measure->changes[i - 1].n_after
				: measure->n_changes ? measure->changes[0].n_before
						     : last;
		uint32_t first = last - size;

		size = (last < end ? last : end) - first;
		last = first;
		/* Of exact counts fewer will do, where no level has lasted. */
		if (size >= KB_CHECK_LEVEL || (exact && size && size >= best)) {
			best = size;
			*start = first;
		}
		if (size >= KB_CHECK_LEVEL)
			return size;
	}
	return best;
}

/* Of a single value beside the mean of n. */
static double error_beside(struct moments level, uint32_t n)
{
	return sqrt(level.variance * (1 + 1.0 / n));
}

/*
 * How many values at the end of a level were already beyond what it had before them, on one side:
 * checks that failed one after the other, but too few to be a level. They must not become
 * what is normal.
 */
static uint32_t outliers_at_end(const struct kb_trend_series *series, uint32_t start, uint32_t n)
{
	for (uint32_t k = KB_CHECK_LEVEL - 1; k > 0; k--) {
		uint32_t rest = n > k ? n - k : 0, above = 0, below = 0;
		struct moments level;
		double width;

		if (rest < KB_CHECK_LEVEL)
			continue;
		level = moments_of(series->values + start, rest);
		width = kb_student__quantile(series->significance / 2, rest - 1) *
			error_beside(level, rest);
		for (uint32_t i = start + rest; i < start + n; i++) {
			above += series->values[i] > level.mean + width;
			below += series->values[i] < level.mean - width;
		}
		if (above == k || below == k)
			return k;
	}
	return 0;
}

static void judge_noisy(const struct kb_trend_series *series, struct moments level,
			struct kb_check_trend_measure *measure)
{
	uint32_t freedom = measure->n_level - 1;
	double error = error_beside(level, measure->n_level);
	double t = kb_student__quantile(series->significance / 2, freedom);
	double power = kb_student__quantile(MISSED, freedom);

	if (level.mean <= 0)
		return;
	measure->low = relative(measure->newest - t * error, level.mean);
	measure->high = relative(measure->newest + t * error, level.mean);
	measure->detectable = fmax(measure->threshold, (t + power) * error / level.mean);
	measure->p = error > 0 ? 2 * kb_student__above(fabs(measure->newest - level.mean) / error,
						       freedom)
			       : measure->change == 0;
}

static enum kb_check_verdict verdict_of(const struct kb_check_trend_measure *measure)
{
	if (measure->change >= measure->threshold && measure->low > 0)
		return KB_CHECK_REGRESSION;
	if (measure->change <= -measure->threshold && measure->high < 0)
		return KB_CHECK_IMPROVEMENT;
	return measure->largest < measure->threshold || measure->largest == 0
		       ? KB_CHECK_NO_CHANGE
		       : KB_CHECK_CANNOT_TELL;
}

void kb_check_level__judge(const struct kb_trend_series *series,
			   struct kb_check_trend_measure *measure)
{
	bool exact = kb_check_metric__is_exact(series->metric);
	uint32_t start = 0, next;
	struct moments level;

	measure->newest = series->values[series->n - 1];
	measure->n_level = find_level(series, measure, &start);
	if (!measure->n_level)
		return;
	if (!exact)
		measure->n_level -= outliers_at_end(series, start, measure->n_level);
	level = moments_of(series->values + start, measure->n_level);
	if (exact)
		level = (struct moments){ .mean = series->values[start] };
	next = start + measure->n_level;
	measure->level = level.mean;
	measure->level_first = measure->labels[start];
	measure->level_last = measure->labels[next - 1];
	measure->change = relative(measure->newest, level.mean);
	measure->low = measure->high = measure->change;
	measure->detectable = measure->threshold;
	measure->p = measure->change == 0;
	if (!exact)
		judge_noisy(series, level, measure);
	measure->largest = fmax(fabs(measure->low), fabs(measure->high));
	measure->verdict = verdict_of(measure);
	if (measure->verdict == KB_CHECK_REGRESSION || measure->verdict == KB_CHECK_IMPROVEMENT)
		measure->since = measure->labels[next];
}
