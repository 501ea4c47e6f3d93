// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Names, options, aggregation and output errors of the formats; their whole texts are in
 * tests/golden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "format/function_table.h"
#include "format/marshal.h"
#include "format/pair_index.h"
#include "format/short_path.h"
#include "format/tree.h"
#include "keelback/format.h"
#include "model/profile.h"

typedef void text_writer(FILE *stream, const char *text);

static void assert_no_error(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

/* ---------------------------------------------------------------- text */

static void assert_written(text_writer *write, const char *text, const char *expected)
{
	char *result;
	size_t size;
	FILE *stream = open_memstream(&result, &size);

	write(stream, text);
	fclose(stream);
	assert_string_equal(result, expected);
	free(result);
}

static void write_collapsed(FILE *stream, const char *text)
{
	kb_text__write_field(stream, text, ";");
}

static void test_text_for_people(void **state)
{
	assert_written(kb_text__write, "plain größe 日本 🐍", "plain größe 日本 🐍");
	assert_written(kb_text__write, "\033[2J\n\t\x7f", "�[2J���");
	assert_written(kb_text__write,
		       "a\xc2\x9b"
		       "b\xe2\x80\xae"
		       "c\xe2\x80\xa8"
		       "d",
		       "a�b�c�d");
	/* Overlong, surrogate, past U+10FFFF, cut off. */
	assert_written(kb_text__write, "\xc0\xaf", "��");
	assert_written(kb_text__write, "\xed\xa0\x80", "���");
	assert_written(kb_text__write, "\xf4\x90\x80\x80", "����");
	assert_written(kb_text__write, "x\xf0\x9f\x90", "x���");
	assert_written(kb_text__write, "\xe6\x97", "��");
}

static void test_text_of_fields(void **state)
{
	assert_written(write_collapsed, "a;b\nc d\xff", "a_b_c d�");
}

static void test_text_as_json(void **state)
{
	assert_written(kb_text__write_json, "a\"b\\c", "\"a\\\"b\\\\c\"");
	assert_written(kb_text__write_json, "</script><!--", "\"\\u003c/script>\\u003c!--\"");
	assert_written(kb_text__write_json, "\n", "\"�\"");
}

static void test_text_as_data(void **state)
{
	assert_written(kb_text__write_utf8, "a\n\033\xff", "a\n\033�");
	assert_int_equal(kb_text__utf8_size("a\n\xff"
					    "🐍"),
			 2 + 3 + 4);
}

/* ---------------------------------------------------------------- parts */

static void test_pair_index(void **state)
{
	struct kb_pair_index *index;
	uint32_t id;

	assert_no_error(kb_pair_index__create(&index));
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 100000; i++) {
			assert_no_error(kb_pair_index__add(
				index, (struct kb_pair){ i % 317, i / 317 }, &id));
			assert_int_equal(id, i);
		}
	}
	assert_int_equal(kb_pair_index__count(index), 100000);
	assert_int_equal(kb_pair_index__pairs(index)[318].first, 1);
	assert_int_equal(kb_pair_index__pairs(index)[318].second, 1);
	kb_pair_index__destroy(index);
}

static void test_short_paths(void **state)
{
	const char *paths[] = { "/a/json/__init__.py",
				"/a/http/__init__.py",
				"/a/json/__init__.py",
				"/srv/app.py",
				"<frozen runpy>",
				"",
				"/x/bc.py",
				"/y/c.py",
				"/one/dup.py",
				"/two/dup.py",
				"dup.py" };
	static const char *const expected[] = {
		"json/__init__.py",
		"http/__init__.py",
		"json/__init__.py",
		"app.py",
		"<frozen runpy>",
		"",
		"bc.py",
		"c.py",
		"one/dup.py",
		"two/dup.py",
		"dup.py",
	};

	assert_no_error(kb_short_path__make(paths, sizeof(paths) / sizeof(paths[0])));
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_string_equal(paths[i], expected[i]);
}

static void test_marshal_bytes(void **state)
{
	static const unsigned char expected[] = "{\xa8\2\0\0\0\xf5\1\0\0\0a"
						"i\xff\xff\xff\x7f"
						"r\0\0\0\0"
						"l\3\0\0\0\0\0\0\0\2\0"
						"g\0\0\0\0\0\0\xe0\x3f"
						"0";
	char *result;
	size_t size;
	struct kb_marshal marshal = { open_memstream(&result, &size) };

	kb_marshal__dict_begin(&marshal);
	assert_int_equal(kb_marshal__shared_tuple(&marshal, 2), 0);
	assert_int_equal(kb_marshal__string(&marshal, "a"), 1);
	kb_marshal__int(&marshal, INT32_MAX);
	kb_marshal__ref(&marshal, 0);
	kb_marshal__count(&marshal, (uint64_t)INT32_MAX + 1);
	kb_marshal__float(&marshal, 0.5);
	kb_marshal__dict_end(&marshal);
	fclose(marshal.stream);
	assert_int_equal(size, sizeof(expected) - 1);
	assert_memory_equal(result, expected, size);
	free(result);
}

/* ---------------------------------------------------------------- aggregation */

static struct kb_profile *new_profile(uint32_t *thread, double rate)
{
	struct kb_profile_meta meta = { .size = sizeof(meta), .rate_hz = rate, .target = "t" };
	struct kb_process_info process = { .size = sizeof(process), .pid = 1, .comm = "p" };
	struct kb_thread_info info = { .size = sizeof(info), .tid = 2, .name = "t" };
	struct kb_profile *profile;

	assert_no_error(kb_profile__create(&meta, &profile));
	info.process = kb_profile__add_process(profile, &process);
	*thread = kb_profile__add_thread(profile, &info);
	return profile;
}

static uint32_t call(struct kb_profile *profile, uint32_t parent, const char *name, int32_t line)
{
	struct kb_function_info function = {
		.size = sizeof(function), .file = "f.py", .name = name, .first_line = name[0]
	};

	return kb_profile__add_node(profile, parent,
				    kb_profile__add_place(profile, &function, line));
}

/* a → b → a → b: 10 samples, a → b: 5, a: 1; each function on two lines. */
static struct kb_profile *recursive_profile(void)
{
	uint32_t thread, node;
	struct kb_profile *profile = new_profile(&thread, 100);

	node = call(profile, KB_ID_NONE, "a", 1);
	kb_profile__add_samples(profile, thread, node, 1);
	node = call(profile, node, "b", 11);
	kb_profile__add_samples(profile, thread, node, 5);
	node = call(profile, call(profile, node, "a", 2), "b", 12);
	kb_profile__add_samples(profile, thread, node, 10);
	return profile;
}

static void test_recursion_counts_once(void **state)
{
	struct kb_profile *profile = recursive_profile();
	struct kb_function_table *table;

	assert_no_error(kb_function_table__create(profile, false, &table));
	assert_int_equal(table->n_rows, 2);
	assert_int_equal(table->total, 16);
	assert_string_equal(table->rows[0].label.name, "a");
	assert_int_equal(table->rows[0].direct, 1);
	assert_int_equal(table->rows[0].cumulative, 16);
	assert_int_equal(table->rows[1].direct, 15);
	assert_int_equal(table->rows[1].cumulative, 15);
	/* a called b in 15 stacks, in 10 of them twice; b called a in 10. */
	assert_int_equal(table->rows[1].n_callers, 1);
	assert_int_equal(table->callers[table->rows[1].first_caller].caller, 0);
	assert_int_equal(table->callers[table->rows[1].first_caller].cumulative, 15);
	assert_int_equal(table->callers[table->rows[1].first_caller].direct, 15);
	assert_int_equal(table->callers[table->rows[0].first_caller].cumulative, 10);
	assert_int_equal(table->callers[table->rows[0].first_caller].direct, 0);
	kb_function_table__destroy(table);

	assert_no_error(kb_function_table__create(profile, true, &table));
	assert_int_equal(table->n_rows, 4);
	kb_function_table__destroy(table);
	kb_profile__destroy(profile);
}

static void test_tree_is_preorder(void **state)
{
	struct kb_profile *profile = recursive_profile();
	struct kb_tree_opts opts = { .threads = true, .processes = true };
	struct kb_tree *tree;

	assert_no_error(kb_tree__create(profile, &opts, &tree));
	assert_int_equal(tree->n_nodes, 6);
	assert_int_equal(tree->total, 16);
	assert_int_equal(tree->labels[tree->nodes[0].label].kind, KB_LABEL_PROCESS);
	assert_int_equal(tree->labels[tree->nodes[1].label].kind, KB_LABEL_THREAD);
	for (uint32_t i = 1; i < tree->n_nodes; i++)
		assert_true(tree->nodes[i].parent < i);
	assert_int_equal(tree->nodes[1].total, 16);
	assert_int_equal(tree->nodes[5].self, 10);
	kb_tree__destroy(tree);
	kb_profile__destroy(profile);
}

/* ---------------------------------------------------------------- the table of formats */

static void test_formats_by_name_and_path(void **state)
{
	static const struct {
		const char *path, *format;
	} cases[] = {
		{ "out.kb", "recording" },
		{ "a.b/out.html", "flamegraph" },
		{ "OUT.HTML", "flamegraph" },
		{ "x.pstats", "pstats-file" },
		{ "x.folded", "collapsed" },
		{ "x.txt", "collapsed" },
		{ "x.pb.gz", "pprof" },
		{ "x.speedscope.json", "speedscope" },
		{ "x.gecko.json", "gecko" },
		{ "x.jsonl", "jsonl" },
		{ "x.callgrind", "callgrind" },
		{ "d/callgrind.out.4711", "callgrind" },
		{ "callgrind.out.", "callgrind" },
		{ "x.callgrind.out.1", NULL },
		{ "x.json", NULL },
		{ "x.kb/y", NULL },
		{ "-", NULL },
		{ ".html", NULL },
		{ "html", NULL },
		{ "", NULL },
	};

	assert_string_equal(kb_format__at(0)->name, "pstats");
	assert_null(kb_format__at(1000));
	assert_null(kb_format__by_name("pstat"));
	for (size_t i = 0; kb_format__at(i); i++)
		assert_ptr_equal(kb_format__by_name(kb_format__at(i)->name), kb_format__at(i));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct kb_format *format = kb_format__by_path(cases[i].path);

		if (cases[i].format)
			assert_string_equal(format->name, cases[i].format);
		else
			assert_null(format);
	}
}

static void assert_usage(struct kb_error *err, const char *text)
{
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	assert_non_null(strstr(kb_error__text(err), text));
	kb_error__destroy(err);
}

static void test_options(void **state)
{
	const struct kb_format *pstats = kb_format__by_name("pstats");
	struct {
		struct kb_format_opts opts;
		int newer;
	} longer = { { .size = sizeof(longer) } };
	struct kb_format_opts opts = { .size = sizeof(opts), .sort = "cumtime" };

	assert_no_error(kb_format__check(pstats, NULL));
	assert_no_error(kb_format__check(pstats, &opts));
	assert_no_error(kb_format__check(pstats, &longer.opts));
	longer.newer = 1;
	assert_usage(kb_format__check(pstats, &longer.opts), "does not know");
	opts.sort = "calls";
	assert_usage(kb_format__check(pstats, &opts), "nsamples-cumul, name");
	assert_usage(kb_format__check(NULL, NULL), "no such format");
	opts.size = 0;
	assert_usage(kb_format__check(pstats, &opts), "without their size");
}

static void test_full_disk(void **state)
{
	struct kb_profile *profile = recursive_profile();

	for (size_t i = 0; kb_format__at(i); i++) {
		FILE *full = fopen("/dev/full", "w");
		struct kb_format_opts opts = { .size = sizeof(opts), .baseline = profile };
		struct kb_error *err;

		assert_non_null(full);
		err = kb_format__write(kb_format__at(i), profile, &opts, full);
		assert_int_equal(kb_error__status(err), KB_STATUS_FAILED);
		assert_non_null(strstr(kb_error__text(err), "No space left"));
		kb_error__destroy(err);
		fclose(full);
	}
	kb_profile__destroy(profile);
}

/* Without a rate there are shares, but no times. */
static void test_unknown_rate(void **state)
{
	uint32_t thread;
	struct kb_profile *profile = new_profile(&thread, 0);
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	kb_profile__add_samples(profile, thread, call(profile, KB_ID_NONE, "a", 1), 3);
	assert_no_error(kb_format__write(kb_format__at(0), profile, NULL, stream));
	fclose(stream);
	assert_non_null(strstr(
		text,
		"            3/3     100.0             -     100.0             -  f.py:97(a)\n"));
	free(text);
	kb_profile__destroy(profile);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_for_people),
		cmocka_unit_test(test_text_of_fields),
		cmocka_unit_test(test_text_as_json),
		cmocka_unit_test(test_text_as_data),
		cmocka_unit_test(test_pair_index),
		cmocka_unit_test(test_short_paths),
		cmocka_unit_test(test_marshal_bytes),
		cmocka_unit_test(test_recursion_counts_once),
		cmocka_unit_test(test_tree_is_preorder),
		cmocka_unit_test(test_formats_by_name_and_path),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_unknown_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
