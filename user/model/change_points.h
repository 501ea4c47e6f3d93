/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_CHANGE_POINTS_H
#define KB_MODEL_CHANGE_POINTS_H

#include <stdint.h>
#include "keelback/error.h"

/*
 * Where a series of measurements moved to another level, by E-divisive means: Matteson and James,
 * "A Nonparametric Approach for Multiple Change Point Analysis of Multivariate Data", JASA 109
 * (2014). Nothing is assumed of the noise but that its order says nothing, so a series without a
 * change gives one with a probability of at most `significance`.
 */
#define KB_CHANGE_POINTS_VALUES_MAX 250 /* the cost is that of n² values for each permutation */
#define KB_CHANGE_POINTS_SEGMENT    2	/* values of a level at least: one alone is an outlier */

struct kb_change_point {
	uint32_t index; /* of the first value of the new level */
	double p;	/* how often a random order of these values is divided as well */
};

/*
 * In order of their place. points has room for n / KB_CHANGE_POINTS_SEGMENT; significance from
 * 0.001 to 0.5 (less is taken for 0.001: see PERMUTATIONS_MAX). The same values and seed
 * give the same result.
 */
struct kb_error *kb_change_points__find(const double *values, uint32_t n, double significance,
					uint64_t seed, struct kb_change_point *points,
					uint32_t *n_points);

#endif
