// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Two profiles in one tree, function by function, and what cannot be compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "format/tree.h"
#include "keelback/diff.h"
#include "keelback/format.h"
#include "model/profile.h"

static void assert_no_error(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

static struct kb_profile *new_profile(int32_t pid, uint32_t *threads, int n_threads)
{
	struct kb_profile_meta meta = { .size = sizeof(meta), .rate_hz = 100, .target = "t" };
	struct kb_process_info process = { .size = sizeof(process), .pid = pid, .comm = "p" };
	struct kb_profile *profile;

	assert_no_error(kb_profile__create(&meta, &profile));
	for (int i = 0; i < n_threads; i++) {
		struct kb_thread_info info = { .size = sizeof(info),
					       .tid = pid + i,
					       .name = i ? "w" : "m" };

		info.process = kb_profile__add_process(profile, &process);
		threads[i] = kb_profile__add_thread(profile, &info);
	}
	return profile;
}

static uint32_t call(struct kb_profile *profile, uint32_t parent, const char *name, int32_t line)
{
	struct kb_function_info function = {
		.size = sizeof(function), .file = "f.py", .name = name, .first_line = line
	};

	return kb_profile__add_node(profile, parent,
				    kb_profile__add_place(profile, &function, line + 1));
}

/* a → b → b, with a and b at other lines than in the other version. */
static struct kb_profile *make_version(int32_t pid, int32_t moved, uint64_t inner, uint64_t outer)
{
	uint32_t threads[2], node;
	struct kb_profile *profile = new_profile(pid, threads, 2);

	node = call(profile, call(profile, KB_ID_NONE, "a", 1 + moved), "b", 11 + moved);
	kb_profile__add_samples(profile, threads[0], node, outer);
	kb_profile__add_samples(profile, threads[1], call(profile, node, "b", 11 + moved), inner);
	return profile;
}

static void test_tree_of_two(void **state)
{
	struct kb_profile *before = make_version(10, 0, 3, 1), *after = make_version(20, 5, 4, 2);
	struct kb_tree_opts opts = {
		.by_name = true, .baseline = before, .processes = true, .threads = true
	};
	struct kb_tree *tree;

	assert_no_error(kb_tree__create(after, &opts, &tree));
	/* p → m → a → b and p → w → a → b → b: other PIDs and lines are no difference. */
	assert_int_equal(tree->n_nodes, 1 + 3 + 4);
	assert_int_equal(tree->n_labels, 5);
	assert_int_equal(tree->total, 6);
	assert_int_equal(tree->baseline_total, 4);
	assert_int_equal(tree->baseline[0].total, 4);
	assert_int_equal(tree->baseline[0].self, 0);
	for (uint32_t i = 0; i < tree->n_labels; i++) {
		assert_true(tree->labels[i].kind == KB_LABEL_FRAME || !tree->labels[i].number);
		if (!strcmp(tree->labels[i].name, "b"))
			assert_int_equal(tree->labels[i].number, 16);
	}
	kb_tree__destroy(tree);
	opts.by_name = false;
	assert_no_error(kb_tree__create(after, &opts, &tree));
	assert_int_equal(tree->n_nodes, 3 + 2 * 2 + 2 * 3);
	kb_tree__destroy(tree);
	kb_profile__destroy(before);
	kb_profile__destroy(after);
}

static void test_samples_of_a_tree(void **state)
{
	struct kb_profile *profile = make_version(10, 0, 3, 1);
	struct kb_tree_opts opts = { .samples = true };
	struct kb_tree *tree;

	/* On another line of b: another node of the profile, the same one of the tree. */
	kb_profile__add_samples(profile, 1,
				call(profile, call(profile, KB_ID_NONE, "a", 1), "b", 11), 5);
	kb_profile__add_samples(profile, 0, call(profile, KB_ID_NONE, "a", 1), 0);
	assert_no_error(kb_tree__create(profile, &opts, &tree));
	assert_int_equal(tree->n_nodes, 3);
	assert_int_equal(tree->n_samples, 3);
	assert_int_equal(tree->samples[0].thread, 0);
	assert_int_equal(tree->samples[0].node, 1);
	assert_int_equal(tree->samples[0].count, 1);
	assert_int_equal(tree->samples[1].thread, 1);
	assert_int_equal(tree->samples[1].node, 1);
	assert_int_equal(tree->samples[1].count, 5);
	assert_int_equal(tree->samples[2].node, 2);
	assert_int_equal(tree->samples[2].count, 3);
	kb_tree__destroy(tree);
	kb_profile__destroy(profile);
}

static void test_rows(void **state)
{
	struct kb_profile *before = make_version(10, 0, 3, 1), *after = make_version(20, 5, 4, 2);
	const struct kb_diff_row *row;
	struct kb_diff *diff;

	kb_profile__add_samples(before, 0, call(before, KB_ID_NONE, "gone", 30), 4);
	kb_profile__add_samples(after, 0, call(after, KB_ID_NONE, "new", 40), 2);
	assert_no_error(kb_diff__create(before, after, &diff));
	assert_int_equal(kb_diff__n_rows(diff), 4);
	/* gone: 1/2 to 0; b: 1/2 to 3/4; new: 0 to 1/4; a: only in total, 1/2 to 3/4. */
	row = kb_diff__row(diff, 0);
	assert_string_equal(row->name, "gone");
	assert_int_equal(row->first_line, 30);
	assert_int_equal(row->before.self, 4);
	assert_int_equal(row->after.total, 0);
	row = kb_diff__row(diff, 1);
	assert_string_equal(row->name, "b");
	assert_int_equal(row->first_line, 16);
	/* Recursion counts once. */
	assert_int_equal(row->before.total, 4);
	assert_int_equal(row->after.total, 6);
	assert_string_equal(kb_diff__row(diff, 2)->name, "new");
	row = kb_diff__row(diff, 3);
	assert_string_equal(row->name, "a");
	assert_int_equal(row->after.self, 0);
	assert_int_equal(row->after.total, 6);
	kb_diff__destroy(diff);
	kb_profile__destroy(before);
	kb_profile__destroy(after);
}

static void assert_refused(struct kb_profile *profile, const struct kb_profile_meta *meta,
			   const char *text)
{
	uint32_t thread;
	struct kb_profile *other = new_profile(1, &thread, 1);
	struct kb_diff *diff = NULL;
	struct kb_error *err;

	assert_no_error(kb_profile__set_meta(other, meta));
	err = kb_diff__create(profile, other, &diff);
	assert_non_null(err);
	assert_null(diff);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	if (!strstr(kb_error__text(err), text))
		fail_msg("`%s` is not in `%s`", text, kb_error__text(err));
	kb_error__destroy(err);
	kb_profile__destroy(other);
}

static void test_refusals(void **state)
{
	uint32_t thread;
	struct kb_profile *profile = new_profile(1, &thread, 1);
	struct kb_profile_meta meta = *kb_profile__meta(profile);

	meta.mode = KB_MODE_GIL_WAIT;
	assert_refused(profile, &meta, "mode is cpu, the new one's is gil-wait");
	meta = *kb_profile__meta(profile);
	meta.unit = KB_UNIT_NS;
	assert_refused(profile, &meta, "unit is samples, the new one's is nanoseconds");
	meta = *kb_profile__meta(profile);
	meta.rate_hz = 101;
	assert_refused(profile, &meta, "rate is 100 Hz, the new one's is 101 Hz");
	kb_profile__destroy(profile);
}

static void test_options(void **state)
{
	struct kb_profile *profile = make_version(10, 0, 3, 1);
	struct kb_diff_opts opts = { .size = sizeof(opts), .sort = "size" };
	struct kb_diff *diff;
	struct kb_error *err;
	char *text;
	size_t size;
	FILE *stream = open_memstream(&text, &size), *full = fopen("/dev/full", "w");

	assert_no_error(kb_diff__create(profile, profile, &diff));
	err = kb_diff__write_table(diff, &opts, stream);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	kb_error__destroy(err);
	assert_no_error(kb_diff__write_table(diff, NULL, stream));
	err = kb_diff__write_json(diff, full);
	assert_int_equal(kb_error__status(err), KB_STATUS_FAILED);
	kb_error__destroy(err);
	fclose(full);
	fclose(stream);
	assert_non_null(strstr(text, "f.py:11(b)"));
	free(text);
	kb_diff__destroy(diff);

	err = kb_format__check(kb_format__by_name("diff-flamegraph"), NULL);
	assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
	kb_error__destroy(err);
	kb_profile__destroy(profile);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_of_two), cmocka_unit_test(test_samples_of_a_tree),
		cmocka_unit_test(test_rows),	    cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
