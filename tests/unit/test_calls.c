// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Building, adding and stripping call statistics; rates from windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>
#include "model/calls.h"

static int setup(void **state)
{
	struct kb_calls_meta meta = { sizeof(meta), .target = "pid 1", .host = "here" };
	struct kb_calls *calls;

	if (kb_calls__create(&meta, &calls))
		return -1;
	*state = calls;
	return 0;
}

static int teardown(void **state)
{
	kb_calls__destroy(*state);
	return 0;
}

static void assert_no_error(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

static void add(struct kb_calls *calls, uint32_t thread, uint32_t function, uint64_t ncalls)
{
	struct kb_call_stats delta = { ncalls, ncalls, 1.5, 2.5 };

	assert_true(kb_calls__add_stats(calls, thread, function, &delta));
}

static void add_edge(struct kb_calls *calls, uint32_t thread, uint32_t caller, uint32_t callee,
		     uint64_t ncalls)
{
	struct kb_call_stats delta = { ncalls, 1, 0.5, 0.75 };

	assert_true(kb_calls__add_edge(calls, thread, caller, callee, &delta));
}

static void test_functions_and_edges(void **state)
{
	struct kb_calls *calls = *state;
	uint32_t f = kb_calls__add_function(calls, "a.py", 1, "f");
	uint32_t len = kb_calls__add_function(calls, "~", 0, "<built-in method builtins.len>");

	assert_int_equal(kb_calls__add_function(calls, "a.py", 1, "f"), f);
	assert_int_not_equal(kb_calls__add_function(calls, "a.py", 2, "f"), f);
	assert_int_equal(kb_calls__n_functions(calls), 3);
	add_edge(calls, KB_ID_NONE, f, len, 7);
	assert_int_equal(kb_calls__n_listed(calls), 0);
	add(calls, KB_ID_NONE, len, 3);
	add(calls, KB_ID_NONE, f, 1);
	add(calls, KB_ID_NONE, len, 4);
	add_edge(calls, KB_ID_NONE, f, len, 2);
	assert_int_equal(kb_calls__n_listed(calls), 2);
	assert_int_equal(kb_calls__listed(calls)[0], len);
	assert_int_equal(kb_calls__function(calls, len)->stats.ncalls, 7);
	assert_int_equal(kb_calls__total(calls).ncalls, 8);
	assert_true(kb_calls__total(calls).tottime == 4.5);
	assert_int_equal(kb_calls__n_edges(calls), 1);
	assert_int_equal(kb_calls__edges(calls)[0].stats.ncalls, 9);
	assert_false(kb_calls__edges(calls)[0].count_only);
	assert_false(kb_calls__add_edge(calls, KB_ID_NONE, f, 99, &(struct kb_call_stats){}));
	assert_false(kb_calls__add_stats(calls, 0, f, &(struct kb_call_stats){}));
}

static void test_threads(void **state)
{
	struct kb_calls *calls = *state, *part;
	struct kb_calls_thread one = { sizeof(one), 10, 10, 5, "python" }, two = one;
	uint32_t f = kb_calls__add_function(calls, "a.py", 1, "f");
	uint32_t g = kb_calls__add_function(calls, "a.py", 9, "g");

	two.tid = 11;
	two.name = "worker";
	assert_int_equal(kb_calls__add_thread(calls, &one), 0);
	assert_int_equal(kb_calls__add_thread(calls, &two), 1);
	one.name = "main";
	assert_int_equal(kb_calls__add_thread(calls, &one), 0);
	assert_string_equal(kb_calls__thread(calls, 0)->name, "main");
	add(calls, 0, f, 1);
	add(calls, 1, f, 10);
	add(calls, 1, f, 10);
	add_edge(calls, 1, f, g, 4);
	assert_int_equal(kb_calls__function(calls, f)->stats.ncalls, 21);
	assert_int_equal(kb_calls__n_parts(calls), 3);
	assert_no_error(kb_calls__of_thread(calls, 1, &part));
	assert_int_equal(kb_calls__function(part, f)->stats.ncalls, 20);
	assert_int_equal(kb_calls__edges(part)[0].stats.ncalls, 4);
	kb_calls__destroy(part);
}

static void test_add(void **state)
{
	struct kb_calls *calls = *state, *more;
	struct kb_calls_meta meta = { sizeof(meta), .target = "pid 2", .host = "here",
				      .timing = KB_CALLS_MEASURED };
	struct kb_ledger_entry entry = { "lost", "calls lost", 3 };
	uint32_t f = kb_calls__add_function(calls, "a.py", 1, "f"), g;

	add(calls, KB_ID_NONE, f, 1);
	assert_true(kb_calls__set_ledger(calls, &entry));
	assert_no_error(kb_calls__create(&meta, &more));
	g = kb_calls__add_function(more, "b.py", 1, "g");
	f = kb_calls__add_function(more, "a.py", 1, "f");
	add(more, KB_ID_NONE, g, 5);
	add(more, KB_ID_NONE, f, 2);
	add_edge(more, KB_ID_NONE, g, f, 2);
	kb_calls__mark_count_only(more, g, f);
	assert_true(kb_calls__set_ledger(more, &entry));
	assert_true(kb_calls__add_source(more, "file"));
	assert_no_error(kb_calls__add(calls, more));
	kb_calls__destroy(more);

	assert_int_equal(kb_calls__function(calls, 0)->stats.ncalls, 3);
	assert_int_equal(kb_calls__total(calls).ncalls, 8);
	assert_true(kb_calls__edges(calls)[0].count_only);
	assert_int_equal(kb_calls__seen(calls), 6);
	assert_string_equal(kb_calls__source(calls, 0), "file");
	assert_string_equal(kb_calls__meta(calls)->target, "");
	assert_string_equal(kb_calls__meta(calls)->host, "here");
	assert_int_equal(kb_calls__meta(calls)->timing, KB_CALLS_MEASURED);
}

static void test_strip_dirs(void **state)
{
	struct kb_calls *calls = *state, *stripped;
	uint32_t f = kb_calls__add_function(calls, "/x/__init__.py", 1, "<module>");
	uint32_t g = kb_calls__add_function(calls, "/y/__init__.py", 1, "<module>");

	add(calls, KB_ID_NONE, f, 1);
	add(calls, KB_ID_NONE, g, 2);
	add_edge(calls, KB_ID_NONE, f, g, 1);
	add_edge(calls, KB_ID_NONE, g, g, 2);
	assert_no_error(kb_calls__strip_dirs(calls, &stripped));
	assert_int_equal(kb_calls__n_listed(stripped), 1);
	assert_string_equal(kb_calls__function(stripped, 0)->file, "__init__.py");
	assert_int_equal(kb_calls__function(stripped, 0)->stats.ncalls, 3);
	assert_int_equal(kb_calls__n_edges(stripped), 1);
	assert_int_equal(kb_calls__edges(stripped)[0].stats.ncalls, 3);
	kb_calls__destroy(stripped);
}

/* Windows of 1, 2, 1 and 4 s with 10, 22, 8 and 40 calls: r = 10, Σ(n - rt)² = 8, var = 4/3 · 8/64,
 * t(3) = 3.182. */
static void test_rates(void **state)
{
	static const uint64_t seconds[] = { 1, 2, 1, 4 }, counts[] = { 10, 22, 8, 40 };
	struct kb_calls *calls = *state;
	struct kb_calls_meta meta = { sizeof(meta), .duration_ns = 800000000000 };
	uint32_t f = kb_calls__add_function(calls, "a.py", 1, "f");
	struct kb_calls_rate rate;

	for (int i = 0; i < 4; i++) {
		if (i == 2) {
			rate = kb_calls__rate(calls, f);
			assert_true(rate.per_second == 0); /* no duration yet */
			assert_no_error(kb_calls__set_meta(calls, &meta));
			assert_true(isinf(kb_calls__rate(calls, f).high));
		}
		add(calls, KB_ID_NONE, f, counts[i]);
		kb_calls__end_window(calls, seconds[i] * 1000000000);
	}
	rate = kb_calls__rate(calls, f);
	assert_true(rate.per_second == 10);
	assert_true(fabs(rate.high - (10 + 3.182 * sqrt(4.0 / 3 * 8 / 64))) < 1e-9);
	assert_true(fabs(rate.low - (20 - rate.high)) < 1e-9);
	assert_int_equal(kb_calls__meta(calls)->n_windows, 4);
	assert_true(kb_calls__meta(calls)->traced_ns == 8000000000);
}

static void test_limits(void **state)
{
	struct kb_calls *calls = *state;
	struct kb_call_stats huge = { UINT64_MAX - 1, 1, 0, 0 };
	struct kb_ledger_entry entry = { "x", "x", 1 };
	uint32_t f = kb_calls__add_function(calls, "a.py", -1, "f\xff");
	char name[16];

	assert_string_equal(kb_calls__function(calls, f)->name, "f�");
	assert_true(kb_calls__add_stats(calls, KB_ID_NONE, f, &huge));
	assert_true(kb_calls__add_stats(calls, KB_ID_NONE, f, &huge));
	assert_true(kb_calls__function(calls, f)->stats.ncalls == UINT64_MAX);
	entry.name = name;
	for (int i = 0; i < KB_CALLS_LEDGER_MAX; i++) {
		snprintf(name, sizeof(name), "reason %d", i);
		assert_true(kb_calls__set_ledger(calls, &entry));
	}
	entry.name = "one more";
	assert_false(kb_calls__set_ledger(calls, &entry));
}

static void test_chosen(void **state)
{
	uint64_t buckets[48] = {};
	struct kb_calls_chosen chosen = {
		sizeof(chosen),	   "m:f", 0, "", .n = 100, .sum = 1, .n_buckets = 48,
		.buckets = buckets
	};
	struct kb_calls *calls = *state;

	/* 90 between 1.024 and 1.28 µs, 10 between 3.584 and 4.096. */
	buckets[40] = 90;
	buckets[47] = 10;
	assert_no_error(kb_calls__set_chosen(calls, 0, &chosen));
	buckets[40] = 0;
	chosen.function = KB_ID_NONE;
	assert_no_error(kb_calls__set_chosen(calls, 1, &chosen));
	assert_int_equal(kb_calls__n_chosen(calls), 2);
	assert_string_equal(kb_calls__chosen(calls, 0)->name, "m:f");
	assert_int_equal(kb_calls__chosen(calls, 0)->buckets[40], 90);
	assert_null(kb_calls__chosen(calls, 2));
	assert_float_equal(kb_calls_chosen__bucket_start(40), 1.024e-6, 1e-12);
	assert_float_equal(kb_calls_chosen__bucket_start(47), 3.584e-6, 1e-12);
	assert_float_equal(kb_calls_chosen__quantile(kb_calls__chosen(calls, 0), 0.45), 1.152e-6,
			   1e-9);
	assert_float_equal(kb_calls_chosen__quantile(kb_calls__chosen(calls, 0), 0.95), 3.84e-6,
			   1e-9);
	assert_float_equal(kb_calls_chosen__quantile(kb_calls__chosen(calls, 0), 1), 4.096e-6,
			   1e-9);
	chosen.n_buckets = 0;
	assert_no_error(kb_calls__set_chosen(calls, 1, &chosen));
	assert_float_equal(kb_calls_chosen__quantile(kb_calls__chosen(calls, 1), 0.5), 0, 0);
	chosen.n_buckets = KB_CALLS_BUCKETS_MAX + 1;
	kb_error__destroy(kb_calls__set_chosen(calls, 2, &chosen));
	assert_int_equal(kb_calls__n_chosen(calls), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_functions_and_edges),
		TEST(test_threads),
		TEST(test_add),
		TEST(test_strip_dirs),
		TEST(test_rates),
		TEST(test_limits),
		TEST(test_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
