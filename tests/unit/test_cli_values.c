// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* The command line is no part of the library, so its sources are included. */
#include "base/nearest.c"
#include "cli/values.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* The call fails as wrong usage, with a text that names the option. */
#define assert_refused(expr)                                                                       \
	do {                                                                                       \
		struct kb_error *refused_ = (expr);                                                \
		assert_non_null(refused_);                                                         \
		assert_int_equal(kb_error__status(refused_), KB_STATUS_USAGE);                     \
		assert_non_null(strstr(kb_error__text(refused_), "--x"));                          \
		kb_error__destroy(refused_);                                                       \
	} while (0)

static void test_integer(void **state)
{
	static const char *const bad[] = { "",
					   " 1",
					   "1 ",
					   "+1",
					   "-1",
					   "1x",
					   "0x1",
					   "1.0",
					   "1e1",
					   "nan",
					   "0",
					   "1001",
					   "99999999999999999999",
					   "\n",
					   "1\n" };
	long value = 77;

	assert_null(kb_value__integer("--x", "1", 1, 1000, &value));
	assert_int_equal(value, 1);
	assert_null(kb_value__integer("--x", "1000", 1, 1000, &value));
	assert_int_equal(value, 1000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(kb_value__integer("--x", bad[i], 1, 1000, &value));
	assert_int_equal(value, 1000);
}

static void test_duration(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{ "1ns", 1 },	      { "50us", 50000 },	  { "2ms", 2000000 },
		{ "1s", 1000000000 }, { "1000s", 1000000000000 }, { "1000000ms", 1000000000000 }
	};
	static const char *const bad[] = { "",
					   "1",
					   "us",
					   "0us",
					   "-1us",
					   "1.5ms",
					   "1 ms",
					   "1msx",
					   "1us ",
					   "1001s",
					   "1m",
					   "ms1",
					   "99999999999999999999ns" };
	uint64_t ns = 0;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_null(kb_value__duration("--x", good[i].text, &ns));
		assert_int_equal(ns, good[i].ns);
	}
	ns = 77;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(kb_value__duration("--x", bad[i], &ns));
	assert_int_equal(ns, 77);
}

static void test_seconds(void **state)
{
	static const char *const bad[] = { "",
					   ".",
					   "0",
					   "0.0",
					   "-1",
					   "+1",
					   "1s",
					   "1e3",
					   "nan",
					   "NaN",
					   "inf",
					   "0x10",
					   "1..2",
					   "1.2.3",
					   "1,5",
					   " 1",
					   "0.0009",
					   "31536001",
					   "9999999999999999999999" };
	double value = 77;

	assert_null(kb_value__seconds("--x", "10", &value));
	assert_true(value == 10);
	assert_null(kb_value__seconds("--x", ".5", &value));
	assert_true(value == 0.5);
	assert_null(kb_value__seconds("--x", "31536000", &value));
	assert_null(kb_value__seconds("--x", "0.25", &value));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(kb_value__seconds("--x", bad[i], &value));
	assert_true(value == 0.25);
}

static void test_pids(void **state)
{
	static const char *const bad[] = { "",	  ",",	 "1,",	    "1,,2", "0",   "-1",
					   "1;2", "1 2", "4194305", "1x",   "self" };
	pid_t *pids = NULL;
	size_t n = 0;

	assert_null(kb_value__pids("--x", "12,7,12", &pids, &n));
	assert_null(kb_value__pids("--x", "7,4194304", &pids, &n));
	assert_int_equal(n, 3);
	assert_int_equal(pids[0], 12);
	assert_int_equal(pids[1], 7);
	assert_int_equal(pids[2], 4194304);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(kb_value__pids("--x", bad[i], &pids, &n));
	free(pids);
}

static void test_too_many_pids(void **state)
{
	pid_t *pids = NULL;
	size_t n = 0;
	char text[16];
	struct kb_error *err = NULL;

	for (int i = 1; i <= PIDS_MAX; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_null(kb_value__pids("--x", text, &pids, &n));
	}
	err = kb_value__pids("--x", "4194304", &pids, &n);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	assert_int_equal(n, PIDS_MAX);
	kb_error__destroy(err);
	free(pids);
}

static void test_rate(void **state)
{
	static const char *const bad[] = {
		"", "0", "20001", "1000Hz", "1.5", "ticks", "Tick", "nan"
	};
	bool tick = false;
	unsigned hz = 77;

	assert_null(kb_value__rate("--x", "20000", &tick, &hz));
	assert_false(tick);
	assert_int_equal(hz, 20000);
	assert_null(kb_value__rate("--x", "tick", &tick, &hz));
	assert_true(tick);
	assert_int_equal(hz, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(kb_value__rate("--x", bad[i], &tick, &hz));
}

static void test_choice(void **state)
{
	static const char *const names[] = { "auto", "always", NULL };
	int index = 77;

	assert_null(kb_value__choice("--x", "always", names, &index));
	assert_int_equal(index, 1);
	assert_refused(kb_value__choice("--x", "alway", names, &index));
	assert_refused(kb_value__choice("--x", "", names, &index));
	assert_int_equal(index, 1);
}

static const char *nearest(const char *typed)
{
	static const char *const names[] = { "sample", "convert", "ps", "doctor" };

	return kb_nearest(typed, names, 4, sizeof(names[0]));
}

static void test_nearest(void **state)
{
	assert_string_equal(nearest("smaple"), "sample");
	assert_string_equal(nearest("sampel"), "sample");
	assert_string_equal(nearest("docter"), "doctor");
	assert_string_equal(nearest("pz"), "ps");
	assert_null(nearest("xy"));
	assert_null(nearest("record"));
	assert_null(nearest(""));
	assert_null(nearest("samplesamplesamplesamplesamplesample"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integer), cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_pids),	cmocka_unit_test(test_too_many_pids),
		cmocka_unit_test(test_rate),	cmocka_unit_test(test_choice),
		cmocka_unit_test(test_nearest), cmocka_unit_test(test_duration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
