/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_CHECK_STATS_H
#define KB_MODEL_CHECK_STATS_H

#include <stdbool.h>
#include <stdint.h>
#include "keelback/error.h"

/*
 * How two programs that were run in turns differ, and how sure that is. Everything rests on pairs:
 * one run of each, one after the other. Were the programs the same, a pair's difference could have
 * had the other sign just as well; what chance alone does is therefore known exactly, however the
 * noise is distributed, and nothing is assumed of it.
 *
 * All functions are deterministic: where resampling is random, its seed is fixed.
 */

#define KB_STATS_PAIRS_MAX 1000 /* the exact distribution needs a table of its square */

/* A shift of pairs: Wilcoxon's signed-rank test and the estimate and interval that belong to it
 * (Hodges and Lehmann 1963): test and interval never contradict each other. */
struct kb_shift {
	double estimate; /* median of the means of every two differences */
	double low,
		high; /* holds the true shift with the confidence; infinite with too few pairs */
	double p;     /* of no shift, two-sided; exact, with equal and zero differences */
};
/* d: n differences, 1 to KB_STATS_PAIRS_MAX. confidence: 0 to 1. */
struct kb_error *kb_stats__shift(const double *d, uint32_t n, double confidence,
				 struct kb_shift *shift);
/* How many pairs it takes until p can fall below 1 - confidence. */
uint32_t kb_stats__least_pairs(double confidence);

/*
 * Many differences that were seen in the same pairs, such as those of functions: which of them are
 * real, when chance must not bring forth a single one? A step-down test of the largest
 * statistic (Westfall and Young 1993) by flipping the signs of whole pairs: unlike Holm's
 * correction it needs no more pairs for more functions, and takes into account that they vary
 * together.
 */
struct kb_member {
	double mean;	  /* of the differences */
	double low, high; /* of the mean, by resampling pairs (bootstrap-t), for this one alone */
	double p;	  /* corrected for all of them */
};
/* d: n_members rows of n differences. members: n_members. */
struct kb_error *kb_stats__family(const double *d, uint32_t n_members, uint32_t n,
				  double confidence, struct kb_member *members);

/* Holm's correction of n values of p, in place. */
struct kb_error *kb_stats__holm(double *p, uint32_t n);

/* Quantile of the normal distribution, 0 < p < 1. */
double kb_stats__normal_quantile(double p);

/* The median of n values (any order); 0 of none. */
struct kb_error *kb_stats__median(const double *values, uint32_t n, double *median);

#endif
