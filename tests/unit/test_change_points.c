// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Student's t against tables, change points in made series, and how often there are any in noise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include "base/error.h"
#include "base/student.h"
#include "model/change_points.h"

#define N 60

static struct kb_change_point points[KB_CHANGE_POINTS_VALUES_MAX];

static uint32_t find(const double *values, uint32_t n, double significance)
{
	uint32_t n_points = 99;

	assert_null(kb_change_points__find(values, n, significance, 1, points, &n_points));
	for (uint32_t i = 0; i < n_points; i++) {
		uint32_t before = i ? points[i - 1].index : 0;

		assert_true(points[i].index >= before + KB_CHANGE_POINTS_SEGMENT);
		assert_true(points[i].index + KB_CHANGE_POINTS_SEGMENT <= n);
		assert_true(points[i].p > 0 && points[i].p <= significance);
	}
	return n_points;
}

/* Normal noise by Box and Muller. */
static double noise(unsigned short state[3])
{
	double u = 1 - erand48(state), v = erand48(state);

	return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static void make_noise(double *values, uint32_t n, uint16_t seed, double mean, double deviation)
{
	unsigned short state[3] = { seed, 7, 1 };

	for (uint32_t i = 0; i < n; i++)
		values[i] = mean + deviation * noise(state);
}

/* Of tables of the distribution: t, degrees of freedom, one tail. */
static void test_student(void **state)
{
	static const struct {
		double t;
		uint32_t freedom;
		double above;
	} known[] = {
		{ 1, 1, 0.25 },
		{ 63.656741, 1, 0.005 },
		{ 2.919986, 2, 0.05 },
		{ 5.840909, 3, 0.005 },
		{ 2.776445, 4, 0.025 },
		{ 2.570582, 5, 0.025 },
		{ 3.169273, 10, 0.005 },
		{ 2.042272, 30, 0.025 },
		{ 2.626, 100, 0.0049997 },
		{ 2.807, 10000, 0.002505 },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		double above = kb_student__above(known[i].t, known[i].freedom);
		double t = kb_student__quantile(known[i].above, known[i].freedom);

		assert_true(fabs(above - known[i].above) < known[i].above * 1e-3);
		assert_true(fabs(t - known[i].t) < known[i].t * 1e-3);
		assert_true(fabs(kb_student__above(-known[i].t, known[i].freedom) + above - 1) <
			    1e-12);
	}
	assert_true(kb_student__above(0, 7) == 0.5);
	assert_true(kb_student__above(1e300, 7) == 0 && kb_student__above(INFINITY, 2) == 0);
	assert_true(kb_student__quantile(0.5, 3) < 1e-9);
}

static void test_one_step(void **state)
{
	double values[N];

	make_noise(values, N, 3, 100, 1);
	for (int i = 41; i < N; i++)
		values[i] += 3;
	assert_int_equal(find(values, N, 0.01), 1);
	assert_int_equal(points[0].index, 41);
}

static void test_several_steps(void **state)
{
	static const double levels[] = { 100, 110, 104, 120 };
	double values[N];

	make_noise(values, N, 5, 0, 0.5);
	for (int i = 0; i < N; i++)
		values[i] += levels[i / 15];
	assert_int_equal(find(values, N, 0.01), 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(points[i].index, 15 * (i + 1));
}

/* Two values at the end are a level; one is an outlier, wherever it is. */
static void test_ends(void **state)
{
	double values[N];

	make_noise(values, N, 9, 100, 1);
	values[N - 1] += 12;
	assert_int_equal(find(values, N, 0.01), 0);
	values[N - 2] += 12;
	assert_int_equal(find(values, N, 0.01), 1);
	assert_int_equal(points[0].index, N - 2);
	make_noise(values, N, 9, 100, 1);
	values[30] += 20;
	assert_int_equal(find(values, N, 0.01), 0);
}

static void test_degenerate(void **state)
{
	double values[KB_CHANGE_POINTS_VALUES_MAX + 1] = {};
	uint32_t n_points = 7;
	struct kb_error *err;

	for (uint32_t n = 0; n < 8; n++)
		assert_int_equal(find(values, n, 0.01), 0);
	assert_int_equal(find(values, KB_CHANGE_POINTS_VALUES_MAX, 0.01), 0);
	values[0] = 1e300;
	assert_int_equal(find(values, 20, 0.01), 0);
	for (int i = 10; i < 20; i++)
		values[i] = 1e300;
	values[0] = 0;
	assert_int_equal(find(values, 20, 0.01), 1);
	assert_int_equal(points[0].index, 10);
	err = kb_change_points__find(values, KB_CHANGE_POINTS_VALUES_MAX + 1, 0.01, 1, points,
				     &n_points);
	assert_non_null(err);
	assert_int_equal(n_points, 7);
	kb_error__destroy(err);
}

/* Uniform, normal, and with outliers: a change in noise as seldom as the significance says. With
 * 300 series at 5 %, more than 27 (mean and three deviations) would be too many. */
static void test_noise(void **state)
{
	uint32_t found[3] = {};
	double values[40];

	for (uint16_t seed = 0; seed < 300; seed++) {
		unsigned short random[3] = { seed, 99, 5 };

		for (int i = 0; i < 40; i++)
			values[i] = erand48(random);
		found[0] += find(values, 40, 0.05) > 0;
		make_noise(values, 40, seed, 100, 20);
		found[1] += find(values, 40, 0.05) > 0;
		for (int i = 0; i < 40; i++)
			values[i] *= erand48(random) < 0.1 ? 3 : 1;
		found[2] += find(values, 40, 0.05) > 0;
	}
	for (int i = 0; i < 3; i++) {
		print_message("%u of 300 series of noise at 5 %%\n", found[i]);
		assert_true(found[i] <= 27);
		assert_true(found[i] >= 1); /* a test that never fires has no power either */
	}
}

static void test_deterministic(void **state)
{
	double values[N];
	double p;

	make_noise(values, N, 21, 100, 1);
	for (int i = 50; i < N; i++)
		values[i] += 1.2;
	find(values, N, 0.05);
	p = points[0].p;
	find(values, N, 0.05);
	assert_true(points[0].p == p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_student),	      cmocka_unit_test(test_one_step),
		cmocka_unit_test(test_several_steps), cmocka_unit_test(test_ends),
		cmocka_unit_test(test_degenerate),    cmocka_unit_test(test_noise),
		cmocka_unit_test(test_deterministic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
