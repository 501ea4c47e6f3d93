// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Call statistics in text and JSON, where Python's pstats has nothing to compare with; the parts
 * that read restrictions, sort keys and marshal data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "format/calls_of_samples.h"
#include "format/calls_restriction.h"
#include "format/calls_sort.h"
#include "format/marshal_read.h"
#include "format/pstats_read.h"
#include "keelback/calls_format.h"
#include "model/calls.h"
#include "model/profile.h"

static void assert_no_error(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

static void assert_error(struct kb_error *err, const char *text)
{
	assert_non_null(err);
	if (!strstr(kb_error__text(err), text))
		fail_msg("`%s` is not in `%s`", text, kb_error__text(err));
	kb_error__destroy(err);
}

static char *written(const struct kb_calls *calls, const char *format,
		     const struct kb_calls_format_opts *opts)
{
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_no_error(
		kb_calls_format__write(kb_calls_format__by_name(format), calls, opts, stream));
	fclose(stream);
	return text;
}

static struct kb_calls *make(enum kb_calls_timing timing)
{
	struct kb_calls_meta meta = { sizeof(meta), .target = "pid 1", .version = "1.0",
				      .timing = timing, .duration_ns = 10000000000 };
	struct kb_call_stats f = { 10, 4, 1.5, 4 }, g = { 20, 20, 2.5, 2.5 },
			     edge = { 20, 20, 2.5, 2.5 };
	struct kb_calls *calls;

	assert_no_error(kb_calls__create(&meta, &calls));
	kb_calls__add_function(calls, "a.py", 1, "f");
	kb_calls__add_function(calls, "~", 0, "<built-in method g>");
	assert_true(kb_calls__add_stats(calls, KB_ID_NONE, 0, &f));
	assert_true(kb_calls__add_stats(calls, KB_ID_NONE, 1, &g));
	assert_true(kb_calls__add_edge(calls, KB_ID_NONE, 0, 1, &edge));
	return calls;
}

static void test_untimed(void **state)
{
	struct kb_calls_format_opts callers = { sizeof(callers), .view = KB_CALLS_CALLERS };
	struct kb_calls *calls = make(KB_CALLS_UNTIMED);
	char *text = written(calls, "pstats", NULL);

	assert_string_equal(
		text, "         30 function calls (24 primitive calls)\n"
		      "         not timed\n"
		      "\n"
		      "   Random listing order was used\n"
		      "\n"
		      "   ncalls  tottime  percall  cumtime  percall filename:lineno(function)\n"
		      "     10/4        -        -        -        - a.py:1(f)\n"
		      "       20        -        -        -        - {built-in method g}\n"
		      "\n\n");
	free(text);
	text = written(calls, "pstats", &callers);
	assert_non_null(
		strstr(text, "{built-in method g}  <-      20        -        -  a.py:1(f)\n"));
	free(text);
	text = written(calls, "callgrind", NULL);
	assert_non_null(strstr(text, "events: Calls\nsummary: 30\n"));
	assert_non_null(strstr(text, "calls=20 0\n1 20\n"));
	free(text);
	kb_calls__destroy(calls);
}

static void test_windows_and_ledger(void **state)
{
	struct kb_calls_format_opts brief = { sizeof(brief) };
	struct kb_calls *calls = make(KB_CALLS_SAMPLED);
	struct kb_ledger_entry reported = { "reported", "calls in the table", 30, true };
	struct kb_ledger_entry lost = { "full", "table full", 2 };
	struct kb_call_stats more = { 5, 5, 0, 0 };
	char *text;

	kb_calls__end_window(calls, 100000000);
	for (int i = 0; i < 2; i++) {
		assert_true(kb_calls__add_stats(calls, KB_ID_NONE, 0, &more));
		kb_calls__end_window(calls, 100000000);
	}
	assert_true(kb_calls__set_ledger(calls, &reported) && kb_calls__set_ledger(calls, &lost));
	text = written(calls, "pstats", NULL);
	assert_non_null(strstr(
		text, "         times from samples, wall clock; counted in 3 windows, 0.30 of "
		      "10.00 seconds; calls/s with 95 % confidence\n"));
	/* 10, 5 and 5 calls: 66.7 ± 4.303 · sqrt(3 / 2 · 16.7) / 0.3. */
	assert_non_null(
		strstr(text, "    20/14    1.500    0.075    4.000    0.286       66.7       71.7 "
			     "a.py:1(f)\n"));
	assert_non_null(
		strstr(text, "Calls: seen 32 = reported 30 + lost 2\n          2  table full\n"));
	free(text);
	text = written(calls, "pstats", &brief);
	assert_null(strstr(text, "seen"));
	free(text);
	text = written(calls, "json", NULL);
	assert_non_null(strstr(text, "\"windows\":3"));
	assert_non_null(strstr(text, "\"rate\":{\"per_second\":66.666"));
	assert_non_null(strstr(text, "{\"name\":\"full\",\"text\":\"table full\",\"count\":2,"));
	free(text);
	kb_calls__destroy(calls);
}

/* Waits have time and no counts; native code has no line. */
static void test_of_samples(void **state)
{
	struct kb_profile_meta meta = { sizeof(meta), .rate_hz = 100, .mode = KB_MODE_WALL,
					.unit = KB_UNIT_NS };
	struct kb_process_info process = { sizeof(process), 1, .start_ns = 1 };
	struct kb_thread_info thread = { sizeof(thread), 0, 1 };
	struct kb_function_info f = { sizeof(f), KB_FRAME_PYTHON, "a.py", "f", 7 };
	struct kb_function_info gc = { sizeof(gc), KB_FRAME_MARKER, "", "<GC>" };
	struct kb_profile *profile;
	struct kb_calls *calls;
	uint32_t node;

	assert_no_error(kb_profile__create(&meta, &profile));
	kb_profile__add_process(profile, &process);
	kb_profile__add_thread(profile, &thread);
	node = kb_profile__add_node(profile, KB_ID_NONE, kb_profile__add_place(profile, &f, 9));
	node = kb_profile__add_node(profile, node, kb_profile__add_place(profile, &gc, 0));
	assert_true(kb_profile__add_samples(profile, 0, node, 250000000));
	kb_profile__ledger_add(profile, KB_L_GOOD, 250000000);
	assert_no_error(kb_calls__of_samples(profile, KB_ROWS_FUNCTIONS, &calls));
	kb_profile__destroy(profile);
	assert_int_equal(kb_calls__n_listed(calls), 2);
	for (uint32_t i = 0; i < 2; i++) {
		const struct kb_calls_function *function = kb_calls__function(calls, i);
		bool marker = !strcmp(function->name, "<GC>");

		assert_string_equal(function->file, marker ? "~" : "a.py");
		assert_int_equal(function->line, marker ? 0 : 7);
		assert_int_equal(function->stats.ncalls, 0);
		assert_true(function->stats.tottime == (marker ? 0.25 : 0));
		assert_true(function->stats.cumtime == 0.25);
	}
	assert_int_equal(kb_calls__meta(calls)->clock, KB_CALLS_WALL);
	assert_true(kb_calls__seen(calls) == 250000000);
	kb_calls__destroy(calls);
}

static void test_full_disk(void **state)
{
	struct kb_calls *calls = make(KB_CALLS_MEASURED);

	for (size_t i = 0; kb_calls_format__at(i); i++) {
		FILE *full = fopen("/dev/full", "w");

		assert_non_null(full);
		assert_error(kb_calls_format__write(kb_calls_format__at(i), calls, NULL, full),
			     "No space left");
		fclose(full);
	}
	kb_calls__destroy(calls);
}

static void test_endings(void **state)
{
	assert_string_equal(kb_calls_format__by_path("a/b.PROF")->name, "pstats-file");
	assert_string_equal(kb_calls_format__by_path("callgrind.out.12")->name, "callgrind");
	assert_null(kb_calls_format__by_path("/x.pstats/y"));
}

static void test_restrictions(void **state)
{
	static const struct {
		const char *text;
		int kind;
		const char *repr;
	} cases[] = {
		{ "12", KB_RESTRICT_COUNT, "12" },
		{ "+1_000", KB_RESTRICT_COUNT, "1000" },
		{ "-3", KB_RESTRICT_COUNT, "-3" },
		{ "0.5", KB_RESTRICT_FRACTION, "0.5" },
		{ "0.", KB_RESTRICT_FRACTION, "0.0" },
		{ "1e-5", KB_RESTRICT_FRACTION, "1e-05" },
		{ "0.1000000000000000055", KB_RESTRICT_FRACTION, "0.1" },
		{ "0.30000000000000004", KB_RESTRICT_FRACTION, "0.30000000000000004" },
		{ "nan", KB_RESTRICT_FRACTION, "nan" },
		{ "0x10", KB_RESTRICT_PATTERN, "'0x10'" },
		{ "1__0", KB_RESTRICT_PATTERN, "'1__0'" },
		{ "", KB_RESTRICT_PATTERN, "''" },
		{ "it's", KB_RESTRICT_PATTERN, "\"it's\"" },
		{ "'\"\\\n\x01\xc3\xa4", KB_RESTRICT_PATTERN, "'\\'\"\\\\\\n\\x01\xc3\xa4'" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct kb_calls_restriction restriction;
		char *text;
		size_t size;
		FILE *stream = open_memstream(&text, &size);

		assert_no_error(kb_calls_restriction__parse(cases[i].text, &restriction));
		assert_int_equal(restriction.kind, cases[i].kind);
		kb_calls_restriction__repr(&restriction, stream);
		fclose(stream);
		assert_string_equal(text, cases[i].repr);
		free(text);
	}
	assert_error(kb_calls_restriction__check("1.5"), "'1.5': a fraction is from 0 to 1");
	assert_error(kb_calls_restriction__check("inf"), "a fraction is from 0 to 1");
	assert_error(kb_calls_restriction__check("(x"), "'(x' is no regular expression: missing");
}

static void test_endless_expression(void **state)
{
	static const char *const restrictions[] = { "(a+)+$" };
	struct kb_calls_format_opts opts = { sizeof(opts), .restrictions = restrictions,
					     .n_restrictions = 1 };
	struct kb_calls *calls = make(KB_CALLS_MEASURED);
	struct kb_call_stats stats = { 1, 1 };
	uint32_t id =
		kb_calls__add_function(calls, "f", 1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
	FILE *null = fopen("/dev/null", "w");

	assert_true(kb_calls__add_stats(calls, KB_ID_NONE, id, &stats));
	assert_error(kb_calls_format__write(kb_calls_format__at(0), calls, &opts, null), "limit");
	fclose(null);
	kb_calls__destroy(calls);
}

static void test_sort_keys(void **state)
{
	struct kb_calls_sorting sorting;

	assert_no_error(kb_calls_sorting__parse(" cum , nfl time", &sorting));
	assert_int_equal(sorting.n, 3);
	assert_no_error(kb_calls_sort__check("-1"));
	assert_no_error(kb_calls_sort__check("nsamples"));
	assert_error(kb_calls_sort__check(""), "no sort key ''");
	assert_error(kb_calls_sort__check("n"), "ambiguous sort key 'n'; there are calls, ncalls");
	assert_error(kb_calls_sort__check("timex"), "no sort key 'timex'");
	assert_error(kb_calls_sort__check("3"), "no sort key '3'");
	assert_error(kb_calls_sort__check("s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s,s"), "more than 16");
}

/* Integers and floats as each version of the format has them. */
static void test_marshal_numbers(void **state)
{
	static const struct {
		const char bytes[16];
		size_t size;
		double value;
	} cases[] = {
		{ "i\xff\xff\xff\xff", 5, -1 },
		{ "I\x00\x00\x00\x00\x01\x00\x00\x00", 9, 4294967296.0 },
		{ "l\x03\x00\x00\x00\x00\x00\x00\x00\x01\x00", 11, 1073741824.0 },
		{ "l\xfe\xff\xff\xff\x01\x00\x01\x00", 9, -32769 },
		{ "l\x00\x00\x00\x00", 5, 0 },
		{ "l\x05\x00\x00\x00\xff\x7f\xff\x7f\xff\x7f\xff\x7f\x07", 0, 0 }, /* cut short */
		{ "g\x00\x00\x00\x00\x00\x00\xe0\x3f", 9, 0.5 },
		{ "f\x05"
		  "1e-05",
		  7, 1e-05 },
		{ "T", 1, 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct kb_marshal_values values;
		const struct kb_marshal_value *value;
		size_t size = cases[i].size ? cases[i].size : 14;
		struct kb_error *err =
			kb_marshal_values__read((const uint8_t *)cases[i].bytes, size, &values);

		if (!cases[i].size) {
			assert_error(err, "at byte 0: the file ends too soon");
			continue;
		}
		assert_no_error(err);
		value = &values.values[values.root];
		assert_true(
			(value->kind == KB_MARSHAL_REAL ? value->real : (double)value->integer) ==
			cases[i].value);
		kb_marshal_values__free(&values);
	}
}

static void test_marshal_refused(void **state)
{
	static const struct {
		const char bytes[20];
		size_t size;
		const char *why;
	} cases[] = {
		{ "l\x01\x00\x00\x00\x00\x80", 7, "a digit out of range" },
		{ "l\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x00", 15,
		  "more than 64 bits" },
		{ "l\x00\x00\x00\x80", 5, "too soon" },
		{ "f\x01x", 3, "a float that is no number" },
		{ "f\x00", 2, "a float that is no number" },
		{ "{i\x00\x00\x00\x00", 6, "at byte 6: the file ends too soon" },
		{ "{NN", 3, "within a dictionary" },
		{ "[\x00\x00\x00\x00", 5, "unexpected type" },
		{ ")\x02N", 3, "a size beyond" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct kb_marshal_values values;

		assert_error(kb_marshal_values__read((const uint8_t *)cases[i].bytes, cases[i].size,
						     &values),
			     cases[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_untimed),
		cmocka_unit_test(test_windows_and_ledger),
		cmocka_unit_test(test_of_samples),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_endings),
		cmocka_unit_test(test_restrictions),
		cmocka_unit_test(test_endless_expression),
		cmocka_unit_test(test_sort_keys),
		cmocka_unit_test(test_marshal_numbers),
		cmocka_unit_test(test_marshal_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
