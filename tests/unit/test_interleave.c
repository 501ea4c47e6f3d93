// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which native frames go where among Python's: drawn as letters, from the root to the leaf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "collect/interleave.h"

#define FRAMES_MAX 32

struct stacks {
	/* From the root: letters are Python frames, '|' a mark, '*' a collection. */
	const char *python;
	/* From the root: letters are native frames, 'E' is one of the eval loop. */
	const char *native;
	bool python_cut, native_cut, one_by_one;
};

static const char *merge(struct stacks stacks, bool *matched, uint32_t *python_leaf)
{
	static char text[FRAMES_MAX + 1];
	struct kb_interleaved order[FRAMES_MAX];
	size_t n_python = strlen(stacks.python), n_native = strlen(stacks.native);
	kb_u64 words[FRAMES_MAX];
	bool eval[FRAMES_MAX];
	struct kb_interleave in = { words,
				    n_python,
				    eval,
				    n_native,
				    stacks.python_cut,
				    stacks.native_cut,
				    stacks.one_by_one };
	uint32_t n;

	for (size_t i = 0; i < n_python; i++) {
		char c = stacks.python[n_python - 1 - i];

		words[i] = c == '|'   ? KB_WORD(KB_WORD_NATIVE_MARK, 0)
			   : c == '*' ? KB_WORD(KB_WORD_GC, 0)
				      : (kb_u64)c << KB_LASTI_BITS;
	}
	for (size_t i = 0; i < n_native; i++)
		eval[i] = stacks.native[n_native - 1 - i] == 'E';
	n = kb_interleave__order(&in, order, python_leaf, matched);
	assert_true(n <= n_python + n_native);
	for (uint32_t i = 0; i < n; i++)
		text[i] = order[i].native ? stacks.native[n_native - 1 - order[i].index]
					  : stacks.python[n_python - 1 - order[i].index];
	text[n] = 0;
	return text;
}

static void expect(struct stacks stacks, const char *merged, bool fits)
{
	uint32_t python_leaf;
	bool matched;

	assert_string_equal(merge(stacks, &matched, &python_leaf), merged);
	assert_int_equal(matched, fits);
}

static void test_rows_take_the_place_of_eval_frames(void **state)
{
	expect((struct stacks){ "ab|c", "smEnnE" }, "smabnnc", true);
	expect((struct stacks){ "ab|c", "smEnnEz" }, "smabnncz", true);
	expect((struct stacks){ "a", "sEzz" }, "sazz", true);
	/* Marks at the root say nothing. */
	expect((struct stacks){ "||ab|c", "smEnnEz" }, "smabnncz", true);
}

static void test_each_frame_is_a_call(void **state)
{
	expect((struct stacks){ "abc", "sEfEfEz", .one_by_one = true }, "safbfcz", true);
	expect((struct stacks){ "abc", "sEfEfEfEz", .one_by_one = true }, "safbfcfz", true);
}

static void test_moment_at_the_leaf(void **state)
{
	/* The eval loop was entered and has no frame yet. */
	expect((struct stacks){ "ab|c", "sEnEnEz" }, "sabncnz", true);
	/* It has left its frame: an empty row. */
	expect((struct stacks){ "ab|c|", "sEnEnEz" }, "sabncnz", true);
	/* It has returned, and its caller has not been told yet. */
	expect((struct stacks){ "ab|c|", "sEnEz" }, "sabncz", false);
}

static void test_no_python(void **state)
{
	expect((struct stacks){ "", "cwx" }, "cwx", true);
	expect((struct stacks){ "", "cEx" }, "cx", true);
	expect((struct stacks){ "", "" }, "", true);
	expect((struct stacks){ "|", "cEx" }, "cx", true);
}

static void test_cut_native_stack_is_matched_from_the_leaf(void **state)
{
	expect((struct stacks){ "a|b|c", "nEz", .native_cut = true }, "abncz", true);
	expect((struct stacks){ "a|b|c", "z", .native_cut = true }, "abcz", true);
	expect((struct stacks){ "a|b|c", "EnEz", .native_cut = true }, "abncz", true);
	expect((struct stacks){ "a", "EnEnEz", .native_cut = true }, "nnaz", false);
}

static void test_cut_python_stack_is_matched_from_the_leaf(void **state)
{
	expect((struct stacks){ "b|c", "sEmEnEz", .python_cut = true }, "smbncz", true);
	expect((struct stacks){ "b|c", "nEz", .python_cut = true, .native_cut = true }, "bncz",
	       true);
	expect((struct stacks){ "b|c", "nEz", .python_cut = true }, "bncz", false);
}

static void test_misfits_keep_all_frames_in_order(void **state)
{
	expect((struct stacks){ "a|b|c|d", "sEnEz" }, "sanbcdz", false);
	expect((struct stacks){ "a", "sEnEnEz" }, "sannz", false);
	expect((struct stacks){ "a|b", "sz" }, "absz", false);
}

static void test_collections_stay_behind_their_frame(void **state)
{
	expect((struct stacks){ "a*|b", "sEgE" }, "sa*gb", true);
	expect((struct stacks){ "a|*b", "sEgE" }, "sa*gb", true);
}

static void test_leaf_of_python(void **state)
{
	uint32_t python_leaf;
	bool matched;

	merge((struct stacks){ "ab|c", "smEnnEzz" }, &matched, &python_leaf);
	assert_int_equal(python_leaf, 7);
	merge((struct stacks){ "", "smz" }, &matched, &python_leaf);
	assert_int_equal(python_leaf, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_take_the_place_of_eval_frames),
		cmocka_unit_test(test_each_frame_is_a_call),
		cmocka_unit_test(test_moment_at_the_leaf),
		cmocka_unit_test(test_no_python),
		cmocka_unit_test(test_cut_native_stack_is_matched_from_the_leaf),
		cmocka_unit_test(test_cut_python_stack_is_matched_from_the_leaf),
		cmocka_unit_test(test_misfits_keep_all_frames_in_order),
		cmocka_unit_test(test_collections_stay_behind_their_frame),
		cmocka_unit_test(test_leaf_of_python),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
