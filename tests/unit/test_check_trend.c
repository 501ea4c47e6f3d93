// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where metrics moved in histories of checks, and what the newest check is beside them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "check_util.h"
#include "format/check_history_line.h"
#include "format/check_trend.h"
#include "history_util.h"

static struct kb_check_trend *look(double threshold)
{
	struct kb_check_history *history = read_lines();
	struct kb_check_rules rules;
	struct kb_check_trend *trend;

	kb_check_rules__init(&rules);
	for (int i = 0; i < KB_CHECK_METRICS; i++)
		rules.threshold[i] = threshold;
	assert_null(kb_check_trend__create(history, NULL, NULL, &rules, &trend));
	kb_check_history__destroy(history);
	return trend;
}

static double noise(unsigned short state[3])
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += erand48(state);
	return sum;
}

static void test_step(void **state)
{
	unsigned short random[3] = { 1, 2, 3 };
	struct kb_check_trend *trend;
	const struct kb_check_trend_measure *measure;
	const struct kb_check_trend_change *change;

	begin();
	for (unsigned i = 0; i < 60; i++) {
		double head = (i < 37 ? 1 : 1.05) + 0.01 * noise(random);
		char functions[200];

		snprintf(functions, sizeof(functions),
			 ",\"functions\":[{\"name\":\"same\",\"file\":\"a.py\",\"line\":3,"
			 "\"seconds\":0.5},"
			 "{\"name\":\"grown\",\"file\":\"a.py\",\"line\":9,\"seconds\":%g}]",
			 i < 37 ? 0.2 : 0.25);
		add(i, "cpu", 1, head, functions);
	}
	trend = look(0.03);
	assert_int_equal(kb_check_trend__n_measures(trend), 1);
	measure = kb_check_trend__measure(trend, 0);
	assert_int_equal(measure->n, 60);
	assert_string_equal(measure->labels[59], "c59");
	assert_int_equal(measure->n_changes, 1);
	change = &measure->changes[0];
	assert_string_equal(change->label, "c37");
	assert_string_equal(change->last, "c36");
	assert_int_equal(change->unix_seconds, 1700000037);
	assert_int_equal(change->n_before, 37);
	assert_int_equal(change->n_after, 23);
	assert_true(change->low > 0.03 && change->low < 0.05 && change->high > 0.05);
	assert_true(change->p <= 0.01);
	assert_int_equal(change->n_functions, 1);
	assert_string_equal(change->functions[0].name, "grown");
	assert_int_equal(change->functions[0].line, 9);
	assert_true(fabs(change->functions[0].before - 0.2) < 1e-9);
	assert_true(fabs(change->functions[0].after - 0.25) < 1e-9);
	/* It has lasted: that is what is normal now. */
	assert_int_equal(measure->n_level, 22);
	assert_string_equal(measure->level_first, "c37");
	assert_true(measure->verdict != KB_CHECK_REGRESSION);
	kb_check_trend__destroy(trend);
}

/* At 99 % one history of noise in a hundred may show a change: of 50, 5 or more are less likely
 * than one in a thousand. The newest is another decision of the same kind. */
static void test_noise(void **state)
{
	unsigned changes = 0, regressions = 0;

	for (uint16_t seed = 0; seed < 50; seed++) {
		unsigned short random[3] = { seed, 77, 9 };
		struct kb_check_trend *trend;

		begin();
		for (unsigned i = 0; i < 60; i++)
			add(i, "cpu", 1, 1 + 0.05 * noise(random), "");
		trend = look(0.01);
		changes += kb_check_trend__measure(trend, 0)->n_changes > 0;
		regressions += kb_check_trend__verdict(trend) == KB_CHECK_REGRESSION;
		kb_check_trend__destroy(trend);
	}
	print_message("50 histories of noise: %u with a change, %u regressions\n", changes,
		      regressions);
	assert_true(changes < 5);
	assert_true(regressions < 5);
}

/* A regression is one from the first check on and until it has lasted as long as a level. */
static void test_newest(void **state)
{
	unsigned short random[3] = { 5, 5, 5 };
	double heads[30];

	for (unsigned i = 0; i < 30; i++)
		heads[i] = (i < 20 ? 1 : 1.2) + 0.01 * noise(random);
	for (unsigned n = 20; n <= 28; n++) {
		const struct kb_check_trend_measure *measure;
		struct kb_check_trend *trend;

		begin();
		for (unsigned i = 0; i < n; i++)
			add(i, "cpu", 1, heads[i], "");
		trend = look(0.05);
		measure = kb_check_trend__measure(trend, 0);
		if (n > 20 && n <= 20 + KB_CHECK_LEVEL) {
			assert_int_equal(kb_check_trend__verdict(trend), KB_CHECK_REGRESSION);
			assert_string_equal(measure->since, "c20");
			assert_string_equal(measure->level_last, "c19");
			assert_true(measure->p < 0.01 && measure->low > 0.1 && measure->high < 0.3);
		} else {
			assert_true(kb_check_trend__verdict(trend) != KB_CHECK_REGRESSION);
			assert_null(measure->since);
		}
		kb_check_trend__destroy(trend);
	}
}

static void test_too_few(void **state)
{
	struct kb_check_history *history;
	struct kb_check_trend *trend;
	struct kb_error *err;

	for (unsigned n = 1; n <= KB_CHECK_LEVEL + 1; n++) {
		begin();
		for (unsigned i = 0; i < n; i++)
			add(i, "wall", 1, i + 1 < n ? 1 + i * 0.001 : 9, "");
		trend = look(0.05);
		assert_int_equal(kb_check_trend__measure(trend, 0)->verdict,
				 n > KB_CHECK_LEVEL ? KB_CHECK_REGRESSION : KB_CHECK_CANNOT_TELL);
		/* Wall time is not gated. */
		assert_true(kb_check_trend__verdict(trend) != KB_CHECK_REGRESSION);
		kb_check_trend__destroy(trend);
	}
	begin();
	history = read_lines();
	err = kb_check_trend__create(history, NULL, NULL, NULL, &trend);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	kb_error__destroy(err);
	kb_check_history__destroy(history);
}

#define MACHINE(cpu) ",\"machine\":{\"cpu\":\"" cpu "\"}"

/* Other machines are left out for times, not for counts; other Pythons always. */
static void test_elsewhere(void **state)
{
	struct kb_check_trend *trend;

	for (int exact = 0; exact < 2; exact++) {
		begin();
		for (unsigned i = 0; i < 40; i++)
			add(i, exact ? "calls" : "cpu", 1, i % 2 ? 100 + i % 3 : 500,
			    i % 2 ? MACHINE("a") : MACHINE("b"));
		add(40, exact ? "calls" : "cpu", 1, 101, MACHINE("a"));
		trend = look(0.05);
		assert_int_equal(kb_check_trend__measure(trend, 0)->n, exact ? 41 : 21);
		assert_int_equal(kb_check_trend__measure(trend, 0)->n_elsewhere, exact ? 0 : 20);
		kb_check_trend__destroy(trend);
		add(41, exact ? "calls" : "cpu", 1, 101, ",\"python\":{\"head\":\"3.13\"}");
		trend = look(0.05);
		assert_int_equal(kb_check_trend__measure(trend, 0)->n, 1);
		assert_int_equal(kb_check_trend__measure(trend, 0)->n_elsewhere, 41);
		kb_check_trend__destroy(trend);
	}
}

/* Against one base, machines of any speed can be compared. */
static void test_ratio(void **state)
{
	unsigned short random[3] = { 8, 5, 5 };
	const struct kb_check_trend_measure *measure;
	struct kb_check_trend *trend;

	begin();
	for (unsigned i = 0; i < 40; i++) {
		double speed = 1 + erand48(random) * 3;
		double head = speed * ((i < 30 ? 1 : 1.04) + 0.002 * noise(random));
		char extra[100];

		snprintf(extra, sizeof(extra), MACHINE("m%u") ",\"base_label\":\"v1\"", i);
		add(i, "cpu", speed, head, extra);
	}
	trend = look(0.02);
	measure = kb_check_trend__measure(trend, 0);
	assert_true(measure->ratio);
	assert_int_equal(measure->n, 40);
	assert_int_equal(measure->n_changes, 1);
	assert_string_equal(measure->changes[0].label, "c30");
	assert_true(fabs(measure->changes[0].change - 0.04) < 0.005);
	kb_check_trend__destroy(trend);
	add(40, "cpu", 1, 1, MACHINE("m1") ",\"base_label\":\"v2\"");
	trend = look(0.02);
	assert_int_equal(kb_check_trend__measure(trend, 0)->n, 1);
	kb_check_trend__destroy(trend);
}

#define GREW                                                                                       \
	",\"counts\":[{\"metric\":\"calls\",\"name\":\"f\",\"file\":\"a.py\",\"base\":1,\"head\":" \
	"9},"                                                                                      \
	"{\"metric\":\"calls\",\"name\":\"g\",\"base\":9,\"head\":1},"                             \
	"{\"metric\":\"peak\",\"name\":\"h\",\"base\":1,\"head\":99}]"

static void test_exact(void **state)
{
	static const double counts[] = { 100, 100, 103, 103, 103, 99, 103, 103, 103 };
	const struct kb_check_trend_measure *measure;
	struct kb_check_trend *trend;

	begin();
	for (unsigned i = 0; i < 9; i++)
		add(i, "calls", 1, counts[i], i == 2 ? GREW : "");
	trend = look(0.01);
	measure = kb_check_trend__measure(trend, 0);
	/* 99 is there once: an outlier. */
	assert_int_equal(measure->n_changes, 1);
	assert_string_equal(measure->changes[0].label, "c2");
	assert_true(fabs(measure->changes[0].change - 0.03) < 1e-9);
	assert_int_equal(measure->changes[0].n_functions, 1);
	assert_string_equal(measure->changes[0].functions[0].name, "f");
	assert_int_equal(measure->verdict, KB_CHECK_NO_CHANGE);
	kb_check_trend__destroy(trend);
	add(9, "calls", 1, 110, "");
	trend = look(0.01);
	measure = kb_check_trend__measure(trend, 0);
	assert_int_equal(kb_check_trend__verdict(trend), KB_CHECK_REGRESSION);
	assert_string_equal(measure->since, "c9");
	assert_true(fabs(measure->change - (110.0 / 103 - 1)) < 1e-9);
	assert_true(measure->p == 0 && measure->level == 103);
	kb_check_trend__destroy(trend);
	/* One check before is enough to compare with. */
	begin();
	add(0, "peak", 1, 100, "");
	add(1, "peak", 1, 90, "");
	trend = look(0.01);
	assert_int_equal(kb_check_trend__verdict(trend), KB_CHECK_IMPROVEMENT);
	kb_check_trend__destroy(trend);
}

/* Nothing but zeros, and something after zeros. */
static void test_zero(void **state)
{
	struct kb_check_trend *trend;
	FILE *stream = fopen("/dev/null", "w");

	begin();
	for (unsigned i = 0; i < 10; i++)
		add(i, "cpu", 0, 0, "");
	trend = look(0.05);
	assert_int_equal(kb_check_trend__verdict(trend), KB_CHECK_NO_CHANGE);
	kb_check_trend__destroy(trend);
	add(10, "cpu", 0, 3, "");
	trend = look(0.05);
	assert_int_equal(kb_check_trend__verdict(trend), KB_CHECK_REGRESSION);
	assert_true(isinf(kb_check_trend__measure(trend, 0)->change));
	assert_null(kb_check_trend__write_text(trend, true, stream));
	assert_null(kb_check_trend__write_json(trend, stream));
	kb_check_trend__destroy(trend);
	fclose(stream);
}

/* A check is compared like the entry that it would become. */
static void test_of_check(void **state)
{
	struct kb_check *check = kb_made_check("f");
	struct kb_check_mark mark = { .size = sizeof(mark), .label = "m" };
	struct kb_check_history *history;
	struct kb_check_trend *trend;

	begin();
	mark.label = "old";
	for (int i = 0; i < 7; i++)
		assert_null(kb_check_history_line__write(check, &mark, lines_stream));
	history = read_lines();
	mark.label = "new";
	assert_null(kb_check_trend__create(history, check, &mark, NULL, &trend));
	assert_string_equal(kb_check_trend__label(trend), "new");
	assert_int_equal(kb_check_trend__n_measures(trend), 4);
	assert_int_equal(kb_check_trend__measure(trend, 0)->n, 8);
	assert_int_equal(kb_check_trend__verdict(trend), KB_CHECK_NO_CHANGE);
	kb_check_trend__destroy(trend);
	kb_check_history__destroy(history);
	free(check);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_step),	  cmocka_unit_test(test_noise),
		cmocka_unit_test(test_newest),	  cmocka_unit_test(test_too_few),
		cmocka_unit_test(test_elsewhere), cmocka_unit_test(test_ratio),
		cmocka_unit_test(test_exact),	  cmocka_unit_test(test_zero),
		cmocka_unit_test(test_of_check),
	};
	int status = cmocka_run_group_tests(tests, NULL, NULL);

	fclose(lines_stream);
	free(lines);
	return status;
}
