// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "model/check_stats.h"

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double middle(const double *sorted, size_t n)
{
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

struct kb_error *kb_stats__median(const double *values, uint32_t n, double *median)
{
	double *sorted;

	*median = 0;
	if (!n)
		return NULL;
	sorted = malloc(n * sizeof(*sorted));
	if (!sorted)
		return kb_error__no_memory();
	memcpy(sorted, values, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), ascending);
	*median = middle(sorted, n);
	free(sorted);
	return NULL;
}

double kb_stats__normal_quantile(double p)
{
	double low = -40, high = 40;

	/* The interval halves: 60 steps are all that a double can tell apart. */
	for (int i = 0; i < 60; i++) {
		double x = (low + high) / 2;

		if (erfc(-x / M_SQRT2) / 2 < p)
			low = x;
		else
			high = x;
	}
	return (low + high) / 2;
}

/* ---------------------------------------------------------------- a shift */

/*
 * The distribution of the sum of those ranks whose difference is positive, when each sign is as
 * likely as the other: share[s] for a sum s. ranks are integers.
 */
static struct kb_error *rank_sums(const uint32_t *ranks, uint32_t n, double **result,
				  uint32_t *total)
{
	uint32_t sum = 0, seen = 0;
	double *share;

	for (uint32_t i = 0; i < n; i++)
		sum += ranks[i];
	share = calloc((size_t)sum + 1, sizeof(*share));
	if (!share)
		return kb_error__no_memory();
	share[0] = 1;
	for (uint32_t i = 0; i < n; i++) {
		seen += ranks[i];
		for (uint32_t s = seen; s != UINT32_MAX; s--)
			share[s] = (share[s] + (s >= ranks[i] ? share[s - ranks[i]] : 0)) / 2;
	}
	*result = share;
	*total = sum;
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	double x = fabs(*(const double *)a), y = fabs(*(const double *)b);

	return x < y ? -1 : x > y;
}

/* Twice the mean ranks of the differences that are not 0, in the order of their size; *positive is
 * the sum of those that are above 0. Returns how many there are. */
static uint32_t rank(double *d, uint32_t n, uint32_t *ranks, uint32_t *positive)
{
	uint32_t n_ranks = 0, start = 0, end;

	qsort(d, n, sizeof(*d), by_size);
	while (start < n && d[start] == 0)
		start++;
	n -= start;
	d += start;
	*positive = 0;
	for (start = 0; start < n; start = end) {
		for (end = start + 1; end < n && fabs(d[end]) == fabs(d[start]); end++)
			;
		for (uint32_t i = start; i < end; i++) {
			ranks[n_ranks++] = start + end + 1;
			*positive += d[i] > 0 ? start + end + 1 : 0;
		}
	}
	return n_ranks;
}

static struct kb_error *signed_rank_p(const double *d, uint32_t n, double *p)
{
	double *copy = malloc(n * sizeof(*copy)), *share, below = 0, above = 0;
	uint32_t *ranks = malloc(n * sizeof(*ranks)), n_ranks, positive, total;
	struct kb_error *err = NULL;

	if (!copy || !ranks) {
		err = kb_error__no_memory();
		goto out;
	}
	memcpy(copy, d, n * sizeof(*copy));
	n_ranks = rank(copy, n, ranks, &positive);
	err = rank_sums(ranks, n_ranks, &share, &total);
	if (err)
		goto out;
	for (uint32_t s = 0; s <= total; s++) {
		below += s <= positive ? share[s] : 0;
		above += s >= positive ? share[s] : 0;
	}
	free(share);
	*p = fmin(1, 2 * fmin(below, above));
out:
	free(copy);
	free(ranks);
	return err;
}

/* How many of the Walsh averages at each end lie outside of the interval; -1: not even one. */
static struct kb_error *cut_off(uint32_t n, double confidence, long *cut)
{
	uint32_t *ranks = malloc(n * sizeof(*ranks)), total;
	double *share, sum = 0;
	struct kb_error *err;

	if (!ranks)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		ranks[i] = i + 1;
	err = rank_sums(ranks, n, &share, &total);
	free(ranks);
	if (err)
		return err;
	*cut = -1;
	for (uint32_t s = 0; s < total / 2; s++) {
		sum += share[s];
		if (sum > (1 - confidence) / 2)
			break;
		*cut = s;
	}
	free(share);
	return NULL;
}

struct kb_error *kb_stats__shift(const double *d, uint32_t n, double confidence,
				 struct kb_shift *shift)
{
	size_t n_means = (size_t)n * (n + 1) / 2, next = 0;
	double *means;
	long cut;

	if (!n || n > KB_STATS_PAIRS_MAX)
		return kb_usage("%u pairs of runs cannot be compared: 1 to %d", n,
				KB_STATS_PAIRS_MAX);
	KB_TRY(signed_rank_p(d, n, &shift->p));
	KB_TRY(cut_off(n, confidence, &cut));
	means = malloc(n_means * sizeof(*means));
	if (!means)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = i; j < n; j++)
			means[next++] = (d[i] + d[j]) / 2;
	qsort(means, n_means, sizeof(*means), ascending);
	shift->estimate = middle(means, n_means);
	shift->low = cut < 0 ? -INFINITY : means[cut];
	shift->high = cut < 0 ? INFINITY : means[n_means - 1 - cut];
	free(means);
	return NULL;
}

uint32_t kb_stats__least_pairs(double confidence)
{
	uint32_t n = 1;

	/* All differences have one sign: 2 of 2^n cases. */
	while (n < 64 && ldexp(2, -(int)n) >= 1 - confidence)
		n++;
	return n;
}

/* ---------------------------------------------------------------- many */

#define FLIPS	  10000
#define RESAMPLES 4999 /* 99.9 % of them is between the third and the third last */
#define SEED	  0x9e3779b97f4a7c15ull

/* Marsaglia's xorshift64*: good enough to choose pairs, and the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* How far a sum of differences is from 0, compared with their size. */
static double statistic(const double *d, const int8_t *signs, uint32_t n)
{
	double sum = 0, squares = 0;

	for (uint32_t i = 0; i < n; i++) {
		sum += signs ? d[i] * signs[i] : d[i];
		squares += d[i] * d[i];
	}
	return squares > 0 ? fabs(sum) / sqrt(squares) : 0;
}

struct ranked {
	uint32_t member;
	double observed;
	uint32_t reached; /* flips whose largest statistic, of this one and those after it, is as
			     large */
};

static int by_observed(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->observed != y->observed)
		return x->observed > y->observed ? -1 : 1;
	return x->member < y->member ? -1 : x->member > y->member;
}

static void flip(const double *d, uint32_t n, const int8_t *signs, struct ranked *ranked,
		 uint32_t n_ranked)
{
	double largest = 0;

	for (uint32_t i = n_ranked; i-- > 0;) {
		double flipped = statistic(d + (size_t)ranked[i].member * n, signs, n);

		largest = fmax(largest, flipped);
		/* What is equal but for rounding counts as equal. */
		if (largest >= ranked[i].observed * (1 - 1e-12))
			ranked[i].reached++;
	}
}

static void flip_all(const double *d, uint32_t n, struct ranked *ranked, uint32_t n_ranked,
		     int8_t *signs)
{
	uint64_t state = SEED;
	uint32_t flips = 0;

	while (flips < FLIPS) {
		uint64_t bits = 0;

		for (uint32_t i = 0; i < n; i++) {
			if (i % 32 == 0)
				bits = next_random(&state) >> 32;
			signs[i] = bits & 1 ? 1 : -1;
			bits >>= 1;
		}
		flip(d, n, signs, ranked, n_ranked);
		flips++;
	}
}

static struct kb_error *corrected(const double *d, uint32_t n_members, uint32_t n,
				  struct kb_member *members)
{
	struct ranked *ranked = calloc(n_members, sizeof(*ranked));
	int8_t *signs = malloc(n);
	double before = 0;

	if (!ranked || !signs) {
		free(ranked);
		free(signs);
		return kb_error__no_memory();
	}
	for (uint32_t i = 0; i < n_members; i++) {
		ranked[i].member = i;
		ranked[i].observed = statistic(d + (size_t)i * n, NULL, n);
	}
	qsort(ranked, n_members, sizeof(*ranked), by_observed);
	flip_all(d, n, ranked, n_members, signs);
	for (uint32_t i = 0; i < n_members; i++) {
		/* What was observed is one of the cases. */
		before = fmax(before, (ranked[i].reached + 1.0) / (FLIPS + 1.0));
		members[ranked[i].member].p = before;
	}
	free(ranked);
	free(signs);
	return NULL;
}

/* Mean, and the standard error of it. */
static double mean_of(const double *d, const uint32_t *chosen, uint32_t n, double *error)
{
	double sum = 0, squares = 0, mean;

	for (uint32_t i = 0; i < n; i++)
		sum += d[chosen ? chosen[i] : i];
	mean = sum / n;
	for (uint32_t i = 0; i < n; i++) {
		double off = d[chosen ? chosen[i] : i] - mean;

		squares += off * off;
	}
	*error = n > 1 ? sqrt(squares / (n - 1) / n) : 0;
	return mean;
}

/*
 * Bootstrap-t: the distribution of (mean - true mean) / standard error is taken from resamples,
 * which is right to the second order even for few and skewed differences (Hall 1988).
 */
static void interval(const double *d, uint32_t n, double confidence, double *ratios,
		     uint32_t *chosen, struct kb_member *member)
{
	double error, mean = mean_of(d, NULL, n, &error), tail = (1 - confidence) / 2;
	uint32_t n_ratios = 0;
	uint64_t state = SEED;

	member->mean = member->low = member->high = mean;
	if (error <= 0)
		return;
	for (uint32_t k = 0; k < RESAMPLES; k++) {
		double other, its_error;

		for (uint32_t i = 0; i < n; i++)
			chosen[i] = (next_random(&state) >> 32) * n >> 32;
		other = mean_of(d, chosen, n, &its_error);
		if (its_error > 0)
			ratios[n_ratios++] = (other - mean) / its_error;
	}
	if (!n_ratios)
		return;
	qsort(ratios, n_ratios, sizeof(*ratios), ascending);
	member->low = mean - error * ratios[(uint32_t)((n_ratios - 1) * (1 - tail) + 0.5)];
	member->high = mean - error * ratios[(uint32_t)((n_ratios - 1) * tail + 0.5)];
}

struct kb_error *kb_stats__family(const double *d, uint32_t n_members, uint32_t n,
				  double confidence, struct kb_member *members)
{
	double *ratios;
	uint32_t *chosen;

	if (!n_members || !n)
		return NULL;
	KB_TRY(corrected(d, n_members, n, members));
	ratios = malloc(RESAMPLES * sizeof(*ratios));
	chosen = malloc(n * sizeof(*chosen));
	for (uint32_t i = 0; ratios && chosen && i < n_members; i++)
		interval(d + (size_t)i * n, n, confidence, ratios, chosen, &members[i]);
	free(chosen);
	free(ratios);
	return ratios && chosen ? NULL : kb_error__no_memory();
}

/* ---------------------------------------------------------------- several values of p */

static int by_p(const void *a, const void *b)
{
	return ascending(*(const double *const *)a, *(const double *const *)b);
}

struct kb_error *kb_stats__holm(double *p, uint32_t n)
{
	double **order = malloc((n + 1) * sizeof(*order)), before = 0;

	if (!order)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		order[i] = &p[i];
	qsort(order, n, sizeof(*order), by_p);
	for (uint32_t i = 0; i < n; i++) {
		before = fmax(before, fmin(1, *order[i] * (n - i)));
		*order[i] = before;
	}
	free(order);
	return NULL;
}
