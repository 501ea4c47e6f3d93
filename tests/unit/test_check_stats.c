// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Statistics of pairs: published answers, exact probabilities, and how often intervals are right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include "base/error.h"
#include "model/check_stats.h"

static void assert_no_error(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

#define assert_near(a, b, by) assert_true(fabs((a) - (b)) <= (by))

static struct kb_shift shift_of(const double *d, uint32_t n, double confidence)
{
	struct kb_shift shift;

	assert_no_error(kb_stats__shift(d, n, confidence, &shift));
	return shift;
}

/* Hollander and Wolfe, Nonparametric Statistical Methods (1999), examples 3.1, 3.3 and 3.4: nine
 * patients' depression before and after a tranquillizer. */
static void test_published(void **state)
{
	static const double before[] = { 1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30 };
	static const double after[] = { 0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29 };
	struct kb_shift shift;
	double d[9];

	for (int i = 0; i < 9; i++)
		d[i] = after[i] - before[i];
	shift = shift_of(d, 9, 0.95);
	assert_near(shift.p, 2 * 0.01953125, 1e-12);
	assert_near(shift.estimate, -0.46, 1e-9);
	assert_near(shift.low, -0.786, 1e-9);
	assert_near(shift.high, -0.010, 1e-9);
}

static void test_exact_p(void **state)
{
	static const double equal[] = { 1, 1, 1, 1 }, zeros[] = { 0, 0, 0 }, mixed[] = { 0, 0, 3 };
	static const double ten[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
	/* Ranks 1, 2.5, 2.5, 4; the sum of the positive ones is 7.5: 5 of 16 are as large. */
	static const double ties[] = { -1, 2, -2, 5 };

	assert_near(shift_of(equal, 4, 0.9).p, 2.0 / 16, 1e-15);
	assert_near(shift_of(equal, 4, 0.9).estimate, 1, 0);
	assert_near(shift_of(zeros, 3, 0.9).p, 1, 0);
	assert_near(shift_of(zeros, 3, 0.9).estimate, 0, 0);
	assert_near(shift_of(mixed, 3, 0.9).p, 1, 0);
	assert_near(shift_of(ten, 10, 0.99).p, 2.0 / 1024, 1e-15);
	assert_true(shift_of(ten, 10, 0.99).low > 0);
	assert_near(shift_of(ties, 4, 0.5).p, 2 * 6.0 / 16, 1e-15);
}

static void test_too_few(void **state)
{
	static const double seven[] = { 1, 2, 3, 4, 5, 6, 7 };

	assert_true(isinf(shift_of(seven, 7, 0.99).high));
	assert_true(isinf(shift_of(seven, 7, 0.99).low));
	assert_int_equal(kb_stats__least_pairs(0.95), 6);
	assert_int_equal(kb_stats__least_pairs(0.99), 8);
	assert_int_equal(kb_stats__least_pairs(0.999), 11);
	assert_int_equal(kb_stats__least_pairs(0.9999), 15);
}

static void test_median_and_quantile(void **state)
{
	static const double values[] = { 3, 1, 2, 10 };
	double median;

	assert_no_error(kb_stats__median(values, 4, &median));
	assert_near(median, 2.5, 0);
	assert_no_error(kb_stats__median(values, 3, &median));
	assert_near(median, 2, 0);
	assert_near(kb_stats__normal_quantile(0.975), 1.959963985, 1e-8);
	assert_near(kb_stats__normal_quantile(0.005), -2.575829304, 1e-8);
}

static void test_holm(void **state)
{
	double p[] = { 0.01, 0.04, 0.03, 0.005 };

	assert_no_error(kb_stats__holm(p, 4));
	assert_near(p[0], 0.03, 1e-15);
	assert_near(p[1], 0.06, 1e-15);
	assert_near(p[2], 0.06, 1e-15);
	assert_near(p[3], 0.02, 1e-15);
}

/* ---------------------------------------------------------------- how often they are right */

static uint64_t random_state = 42;

static double uniform(void)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return ((random_state >> 33) + 0.5) / 2147483648.0;
}

static double normal(void)
{
	return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
}

/* As of runs that a neighbour disturbs now and then: one in five pairs differs ten times as much.
 */
static double noisy(void)
{
	return normal() * (uniform() < 0.2 ? 10 : 1);
}

#define TRIALS 2000
#define PAIRS  12

/* Of no shift at all 1 % are found to be one, and of any shift 99 % of the intervals hold it. */
static void test_coverage_of_shift(void **state)
{
	int wrong = 0, outside = 0;

	for (int trial = 0; trial < TRIALS; trial++) {
		double d[PAIRS];
		struct kb_shift shift;

		for (int i = 0; i < PAIRS; i++)
			d[i] = noisy();
		wrong += shift_of(d, PAIRS, 0.99).p < 0.01;
		for (int i = 0; i < PAIRS; i++)
			d[i] += 3;
		shift = shift_of(d, PAIRS, 0.99);
		outside += shift.low > 3 || shift.high < 3;
	}
	/* 20 are expected at most, with a standard deviation of 4.5. */
	assert_in_range(wrong, 1, 34);
	assert_in_range(outside, 1, 34);
}

/* That one of many is blamed although none differs: less than 1 %; and the one that differs is
 * found. */
static void test_family(void **state)
{
	enum { MEMBERS = 30, FAMILIES = 60 };
	int wrong = 0, found = 0;
	double d[MEMBERS][PAIRS];
	struct kb_member members[MEMBERS];

	for (int trial = 0; trial < FAMILIES; trial++) {
		for (int i = 0; i < MEMBERS; i++)
			for (int pair = 0; pair < PAIRS; pair++)
				d[i][pair] = normal() + (i == 7 ? 5 : 0);
		assert_no_error(kb_stats__family(&d[0][0], MEMBERS, PAIRS, 0.99, members));
		found += members[7].p < 0.01 && members[7].low > 0;
		for (int i = 0; i < MEMBERS; i++)
			wrong += i != 7 && members[i].p < 0.01;
		assert_near(members[7].mean, 5, 2);
	}
	assert_true(found >= FAMILIES - 1);
	assert_true(wrong <= 4); /* 0.6 are expected */
}

static void test_family_is_deterministic(void **state)
{
	static const double d[] = { 1, 2, 1, 3, 2, 1, 2, 2, 0, 0, 1, -1, 0, 1, -1, 0 };
	struct kb_member a[2], b[2];

	assert_no_error(kb_stats__family(d, 2, 8, 0.99, a));
	assert_no_error(kb_stats__family(d, 2, 8, 0.99, b));
	assert_memory_equal(a, b, sizeof(a));
	/* Both signs of all eight: 2 of 256. */
	assert_near(a[0].p, 2.0 / 256, 0.003);
	assert_near(a[1].p, 1, 1e-9);
}

/* Bootstrap-t of skewed differences, at 95 %. */
static void test_coverage_of_mean(void **state)
{
	enum { SAMPLES = 300 };
	int outside = 0;

	for (int trial = 0; trial < SAMPLES; trial++) {
		double d[PAIRS];
		struct kb_member member;

		for (int i = 0; i < PAIRS; i++)
			d[i] = -log(uniform()); /* mean 1 */
		assert_no_error(kb_stats__family(d, 1, PAIRS, 0.95, &member));
		outside += member.low > 1 || member.high < 1;
	}
	/* 15 are expected, with a standard deviation of 3.8; Student's t would have 27. */
	assert_in_range(outside, 4, 27);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_exact_p),
		cmocka_unit_test(test_too_few),
		cmocka_unit_test(test_median_and_quantile),
		cmocka_unit_test(test_holm),
		cmocka_unit_test(test_coverage_of_shift),
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_family_is_deterministic),
		cmocka_unit_test(test_coverage_of_mean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
