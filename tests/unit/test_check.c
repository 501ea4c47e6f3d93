// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From runs and counts to verdicts, blame and reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "model/check.h"
#include "model/profile.h"
#include "system/shell_command.h"

static void assert_no_error(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

static struct kb_check *new_check(const struct kb_check_rules *rules)
{
	struct kb_check *check;

	assert_no_error(kb_check__create(rules, &check));
	return check;
}

/* Runs of base take a second, give or take; head's by so much more. */
static void add_pairs(struct kb_check *check, uint32_t n, double slowdown, double noise)
{
	for (uint32_t i = 0; i < n; i++) {
		struct kb_check_run runs[KB_CHECK_SIDES];

		for (int side = 0; side < KB_CHECK_SIDES; side++) {
			for (int metric = 0; metric < KB_CHECK_OF_RUNS; metric++)
				runs[side].value[metric] = NAN;
			runs[side].value[KB_CHECK_CPU] = 1 + (i % 3) * 0.2;
			runs[side].value[KB_CHECK_WAITS] = i == 0 ? 0 : 5;
		}
		runs[KB_CHECK_HEAD].value[KB_CHECK_CPU] *=
			(1 + slowdown) * (1 + noise * ((int)(i * 7 % 11) - 5) / 5);
		assert_no_error(kb_check__add_pair(check, runs));
	}
}

static enum kb_check_verdict verdict_of(double slowdown, double noise)
{
	struct kb_check *check = new_check(NULL);
	enum kb_check_verdict verdict;

	add_pairs(check, 20, slowdown, noise);
	assert_no_error(kb_check__finish(check));
	verdict = kb_check__meta(check)->verdict;
	kb_check__destroy(check);
	return verdict;
}

static void test_verdicts(void **state)
{
	assert_int_equal(verdict_of(0, 0.01), KB_CHECK_NO_CHANGE);
	assert_int_equal(verdict_of(0.1, 0.01), KB_CHECK_REGRESSION);
	assert_int_equal(verdict_of(-0.1, 0.01), KB_CHECK_IMPROVEMENT);
	/* Sure, but smaller than the threshold. */
	assert_int_equal(verdict_of(0.015, 0.01), KB_CHECK_NO_CHANGE);
	/* Too much noise: a change of the threshold's size is neither shown nor excluded. */
	assert_int_equal(verdict_of(0, 0.2), KB_CHECK_CANNOT_TELL);
	assert_int_equal(verdict_of(0.04, 0.2), KB_CHECK_CANNOT_TELL);
}

static void test_measure(void **state)
{
	struct kb_check *check = new_check(NULL);
	const struct kb_check_measure *cpu, *waits;
	double half;

	add_pairs(check, 4, 0.05, 0);
	assert_no_error(kb_check__half_width(check, KB_CHECK_CPU, &half));
	assert_true(isinf(half)); /* four pairs can show nothing at 99 % */
	add_pairs(check, 8, 0.05, 0);
	assert_no_error(kb_check__half_width(check, KB_CHECK_CPU, &half));
	assert_true(half < 1e-9);
	assert_no_error(kb_check__finish(check));
	cpu = kb_check__measure_of(check, KB_CHECK_CPU);
	assert_int_equal(cpu->n, 12);
	assert_true(fabs(cpu->change - 0.05) < 1e-9);
	assert_true(cpu->gated && cpu->verdict == KB_CHECK_REGRESSION);
	assert_true(fabs(cpu->p - 2.0 / 4096) < 1e-12);
	/* Zeros on both sides are no change, and no division by zero. */
	waits = kb_check__measure_of(check, KB_CHECK_WAITS);
	assert_true(waits->change == 0 && waits->verdict == KB_CHECK_NO_CHANGE && !waits->gated);
	assert_null(kb_check__measure_of(check, KB_CHECK_WALL));
	kb_check__destroy(check);
}

/* ---------------------------------------------------------------- functions */

/* A profile in which functions of a directory have so many samples each. */
static struct kb_profile *make_profile(const char *dir, int32_t moved, uint64_t parse, uint64_t run)
{
	struct kb_profile_meta meta = { .size = sizeof(meta), .rate_hz = 1000, .target = "t" };
	struct kb_process_info process = { .size = sizeof(process), .pid = 7, .comm = "p" };
	struct kb_thread_info thread = { .size = sizeof(thread), .tid = 7 };
	struct kb_profile *profile;
	char file[64];
	struct kb_function_info function = { .size = sizeof(function), .file = file };

	snprintf(file, sizeof(file), "%s/app.py", dir);
	assert_no_error(kb_profile__create(&meta, &profile));
	thread.process = kb_profile__add_process(profile, &process);
	kb_profile__add_thread(profile, &thread);
	for (int i = 0; i < 2; i++) {
		uint32_t frame;

		function.name = i ? "run" : "parse";
		function.first_line = (i ? 30 : 10) + moved;
		frame = kb_profile__add_place(profile, &function, function.first_line + 2);
		kb_profile__add_samples(profile, 0,
					kb_profile__add_node(profile, KB_ID_NONE, frame),
					i ? run : parse);
	}
	return profile;
}

static void add_sampled_pairs(struct kb_check *check, uint32_t n, const char *head_dir,
			      uint64_t head_parse)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t samples[] = { 500 + i % 4, head_parse + i % 3 }, run = 500 + i % 5;
		struct kb_check_run runs[KB_CHECK_SIDES];

		for (int side = 0; side < KB_CHECK_SIDES; side++) {
			for (int metric = 0; metric < KB_CHECK_OF_RUNS; metric++)
				runs[side].value[metric] = NAN;
			runs[side].value[KB_CHECK_CPU] = (samples[side] + run) / 1000.0;
		}
		assert_no_error(kb_check__add_pair(check, runs));
		for (int side = 0; side < KB_CHECK_SIDES; side++) {
			struct kb_profile *profile = make_profile(side ? head_dir : "/base",
								  side ? 5 : 0, samples[side], run);

			assert_no_error(kb_check__add_samples(check, side, i, profile, 0,
							      runs[side].value[KB_CHECK_CPU]));
			kb_profile__destroy(profile);
		}
	}
}

static void check_blame(struct kb_check *check)
{
	const struct kb_check_function *parse, *run;

	assert_int_equal(kb_check__n_functions(check), 2);
	parse = kb_check__function(check, 0);
	run = kb_check__function(check, 1);
	assert_string_equal(parse->name, "parse");
	assert_true(parse->blamed && !run->blamed);
	assert_true(fabs(parse->change - 0.1) < 0.002);
	assert_true(parse->low > 0.09 && parse->high < 0.11);
	assert_true(fabs(parse->part - 1) < 0.01);
	assert_true(fabs(run->change) < 0.001);
	assert_int_equal(parse->line[KB_CHECK_BASE], 10);
	assert_int_equal(parse->line[KB_CHECK_HEAD], 15);
	/* The same line of the function, which has moved. */
	assert_int_equal(parse->n_lines, 1);
	assert_int_equal(parse->lines[0].line[KB_CHECK_BASE], 12);
	assert_int_equal(parse->lines[0].line[KB_CHECK_HEAD], 17);
	assert_true(fabs(parse->lines[0].value[KB_CHECK_HEAD] - 0.601) < 0.002);
}

static void test_blame(void **state)
{
	static const char *const dirs[] = { "/base", "/head", "/elsewhere" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		struct kb_check *check = new_check(NULL);

		if (i == 1) { /* said to be the same, with --base-dir and --head-dir */
			check->meta.dir[KB_CHECK_BASE] = "/base";
			check->meta.dir[KB_CHECK_HEAD] = "/head/";
		}
		add_sampled_pairs(check, 12, dirs[i], 600);
		assert_no_error(kb_check__finish(check));
		check_blame(check);
		assert_string_equal(kb_check__function(check, 0)->file,
				    i == 1   ? "app.py"
				    : i == 2 ? "/elsewhere/app.py"
					     : "/base/app.py");
		kb_check__destroy(check);
	}
}

/* Runs that are disturbed take longer as a whole, by up to a half: shares still tell. */
static void test_blame_in_noise(void **state)
{
	struct kb_check *check = new_check(NULL);
	const struct kb_check_function *parse;

	for (uint32_t i = 0; i < 12; i++) {
		struct kb_check_run runs[KB_CHECK_SIDES];

		for (int side = 0; side < KB_CHECK_SIDES; side++) {
			for (int metric = 0; metric < KB_CHECK_OF_RUNS; metric++)
				runs[side].value[metric] = NAN;
			runs[side].value[KB_CHECK_CPU] =
				(side ? 1.05 : 1) * (1 + ((i * 5 + side * 7) % 11) / 20.0);
		}
		assert_no_error(kb_check__add_pair(check, runs));
		for (int side = 0; side < KB_CHECK_SIDES; side++) {
			struct kb_profile *profile =
				make_profile("/base", 0, (side ? 550 : 500) + i % 4, 500);

			assert_no_error(kb_check__add_samples(check, side, i, profile, 0,
							      runs[side].value[KB_CHECK_CPU]));
			kb_profile__destroy(profile);
		}
	}
	assert_no_error(kb_check__finish(check));
	parse = kb_check__function(check, 0);
	assert_string_equal(parse->name, "parse");
	assert_true(parse->blamed && parse->p < 0.01);
	assert_false(kb_check__function(check, 1)->blamed);
	kb_check__destroy(check);
}

static void check_only_run(const struct kb_check_rules *rules)
{
	struct kb_check *check = new_check(rules);

	add_sampled_pairs(check, 12, "/base", 600);
	assert_no_error(kb_check__finish(check));
	assert_int_equal(kb_check__n_functions(check), 1);
	assert_string_equal(kb_check__function(check, 0)->name, "run");
	kb_check__destroy(check);
}

static void test_patterns(void **state)
{
	static const char *const parse[] = { "parse" }, *const file[] = { "app\\.py:\\d+\\(run" };
	static const char *const wrong[] = { "(" };
	struct kb_check_rules rules;
	struct kb_check *check;
	struct kb_error *err;

	kb_check_rules__init(&rules);
	rules.ignore = parse;
	rules.n_ignore = 1;
	check_only_run(&rules);
	kb_check_rules__init(&rules);
	rules.only = file;
	rules.n_only = 1;
	check_only_run(&rules);
	rules.only = wrong;
	err = kb_check__create(&rules, &check);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	kb_error__destroy(err);
}

/* ---------------------------------------------------------------- wrong rules, commands */

static void test_wrong_rules(void **state)
{
	struct kb_check_rules rules;
	struct kb_check *check;
	struct kb_error *err;

	kb_check_rules__init(&rules);
	rules.confidence = 1;
	err = kb_check__create(&rules, &check);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	kb_error__destroy(err);
	kb_check_rules__init(&rules);
	rules.threshold[KB_CHECK_CPU] = -0.1;
	err = kb_check__create(&rules, &check);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	kb_error__destroy(err);
}

static void test_shell_command(void **state)
{
	static const struct {
		const char *command, *text;
	} cases[] = {
		{ "python3 x.py", "exec python3 x.py" },
		{ "  python3 'a b.py' $X", "exec   python3 'a b.py' $X" },
		{ "A=1 B=2 python3 x.py", "exec env A=1 B=2 python3 x.py" },
		{ "cd /x && python3 x.py", "cd /x && python3 x.py" },
		{ "cd /x", "cd /x" },
		{ "cdx y", "exec cdx y" },
		{ "python3 x.py | cat", "python3 x.py | cat" },
		{ "exec python3 x.py", "exec python3 x.py" },
		{ "if true", "if true" },
		{ "A=1", "exec env A=1" },
		{ "(python3 x.py)", "(python3 x.py)" },
	};

	static const struct {
		const char *command, *text;
	} programs[] = {
		{ "python3 x.py", "python3" },
		{ " A=1 B=2 /bin/python3 x.py", "/bin/python3" },
		{ "A=1", "-" },
		{ "$PY x.py", "-" },
		{ "'a b' c", "-" },
		{ "python3 x.py | cat", "-" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *text = kb_shell_command__with_exec(cases[i].command);

		assert_string_equal(text, cases[i].text);
		free(text);
	}
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		char *text = kb_shell_command__program(programs[i].command);

		assert_string_equal(text ? text : "-", programs[i].text);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),       cmocka_unit_test(test_measure),
		cmocka_unit_test(test_blame),	       cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_blame_in_noise), cmocka_unit_test(test_wrong_rules),
		cmocka_unit_test(test_shell_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
