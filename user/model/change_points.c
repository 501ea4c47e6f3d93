// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A series is divided where its two parts differ most, by the energy distance of their values:
 *
 *     Q(m, n) = mn / (m + n) · (2 E|X - Y| - E|X - X'| - E|Y - Y'|)
 *
 * with m values X before and n values Y behind. Whether that is more than chance is decided by a
 * permutation test: how often is the best division of the same values in a random order as good?
 * If seldom enough, both parts are divided in the same way.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "model/change_points.h"

/* Of the least p that can be had, so many must fit into the significance: less would make the test
 * a coin toss. */
#define RESOLUTION 5
/* Some tenths of a second for the longest series. */
#define PERMUTATIONS_MAX 4999
#define SIGNIFICANCE_MIN ((double)RESOLUTION / (PERMUTATIONS_MAX + 1))

struct search {
	const double *values; /* of the whole series */
	double *order;	      /* of a segment, permuted */
	uint64_t random;
	double significance;
	uint32_t permutations;
	struct kb_change_point *points;
	uint32_t n_points;
};

/* SplitMix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014). */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void shuffle(double *values, uint32_t n, uint64_t *random)
{
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t j = (uint32_t)((next_random(random) >> 32) * (i + 1) >> 32);
		double kept = values[i];

		values[i] = values[j];
		values[j] = kept;
	}
}

static double distance_to(double value, const double *values, uint32_t n)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += fabs(value - values[i]);
	return sum;
}

/* Of n values with this sum of all their distances. */
static double mean_distance(double sum, double n)
{
	return n > 1 ? sum * 2 / (n * (n - 1)) : 0;
}

/* The best division: its Q, and how many values are before it. */
static double divide(const double *values, uint32_t n, uint32_t *before)
{
	double left = 0, right = 0, between = 0, best = -1;

	for (uint32_t i = 0; i < n; i++)
		right += distance_to(values[i], values + i + 1, n - i - 1);
	for (uint32_t m = 1; m <= n - KB_CHANGE_POINTS_SEGMENT; m++) {
		double value = values[m - 1], rest = n - m, q;
		double to_left = distance_to(value, values, m - 1);
		double to_right = distance_to(value, values + m, n - m);

		left += to_left;
		right -= to_right;
		between += to_right - to_left;
		if (m < KB_CHANGE_POINTS_SEGMENT)
			continue;
		q = m * rest / n *
		    (2 * between / (m * rest) - mean_distance(left, m) -
		     mean_distance(right, rest));
		if (q > best) {
			best = q;
			*before = m;
		}
	}
	return best;
}

/* More than the significance as soon as it cannot be less. */
static double p_of(struct search *search, const double *values, uint32_t n, double q)
{
	double least = search->significance * (search->permutations + 1), as_good = 1;
	uint32_t before;

	/* What differs by rounding alone is as good: sums depend on the order. */
	q -= fabs(q) * 1e-9;
	memcpy(search->order, values, n * sizeof(*values));
	for (uint32_t i = 0; i < search->permutations && as_good <= least; i++) {
		shuffle(search->order, n, &search->random);
		if (divide(search->order, n, &before) >= q)
			as_good++;
	}
	return as_good > least ? 1 : as_good / (search->permutations + 1);
}

/* As deep as there are levels. */
static void find(struct search *search, uint32_t start, uint32_t n)
{
	const double *values = search->values + start;
	uint32_t before = 0;
	double q, p;

	if (n < 2 * KB_CHANGE_POINTS_SEGMENT)
		return;
	q = divide(values, n, &before);
	if (q <= 0)
		return;
	p = p_of(search, values, n, q);
	if (p > search->significance)
		return;
	find(search, start, before);
	search->points[search->n_points++] = (struct kb_change_point){ start + before, p };
	find(search, start + before, n - before);
}

struct kb_error *kb_change_points__find(const double *values, uint32_t n, double significance,
					uint64_t seed, struct kb_change_point *points,
					uint32_t *n_points)
{
	struct search search = { .values = values, .random = seed, .points = points };

	if (n > KB_CHANGE_POINTS_VALUES_MAX)
		return kb_failed("a series of %u values: %d at most", n,
				 KB_CHANGE_POINTS_VALUES_MAX);
	search.significance = fmin(fmax(significance, SIGNIFICANCE_MIN), 0.5);
	search.permutations = (uint32_t)ceil(RESOLUTION / search.significance) - 1;
	search.order = malloc((n + 1) * sizeof(*search.order));
	if (!search.order)
		return kb_error__no_memory();
	find(&search, 0, n);
	free(search.order);
	*n_points = search.n_points;
	return NULL;
}
