// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Building a profile: identity, limits, and what must not be accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "bpf/shared/events.h"
#include "bpf/shared/layout.h"
#include "model/profile.h"

static int setup(void **state)
{
	struct kb_profile_meta meta = { sizeof(meta), .target = "pid 1", .rate_hz = 99 };
	struct kb_profile *profile;

	if (kb_profile__create(&meta, &profile))
		return -1;
	*state = profile;
	return 0;
}

static int teardown(void **state)
{
	kb_profile__destroy(*state);
	return 0;
}

static uint32_t add_process(struct kb_profile *profile, int pid, uint64_t start,
			    const char *command)
{
	struct kb_process_info info = { sizeof(info), pid, .start_ns = start, .command = command };

	return kb_profile__add_process(profile, &info);
}

static uint32_t add_thread(struct kb_profile *profile, uint32_t process, int tid, const char *name)
{
	struct kb_thread_info info = { sizeof(info), process, tid, 0, name };

	return kb_profile__add_thread(profile, &info);
}

static uint32_t add_code(struct kb_profile *profile, const char *name, const void *table,
			 uint32_t bytes)
{
	struct kb_code_info info = { KB_FRAME_PYTHON,	  "file.py", name, 10,
				     KB_LINETABLE_LNOTAB, table,     bytes };

	return kb_profile__add_code(profile, &info);
}

static void test_meta(void **state)
{
	struct kb_profile *profile = *state;
	struct kb_profile_meta meta = { sizeof(meta) };
	char host[] = "here";

	assert_string_equal(kb_profile__meta(profile)->target, "pid 1");
	assert_string_equal(kb_profile__meta(profile)->host, "");
	meta.host = host;
	meta.duration_ns = 5;
	assert_null(kb_profile__set_meta(profile, &meta));
	memset(host, 'x', 4);
	assert_string_equal(kb_profile__meta(profile)->target, "");
	assert_string_equal(kb_profile__meta(profile)->host, "here");
	assert_int_equal(kb_profile__meta(profile)->duration_ns, 5);
}

static void test_processes_and_threads(void **state)
{
	struct kb_profile *profile = *state;

	assert_int_equal(add_process(profile, 7, 100, ""), 0);
	assert_int_equal(add_process(profile, 7, 200, "reused"), 1);
	assert_int_equal(add_process(profile, 7, 100, "first"), 0);
	assert_string_equal(kb_profile__process(profile, 0)->command, "first");
	assert_int_equal(add_process(profile, 7, 100, "other"), 0);
	assert_string_equal(kb_profile__process(profile, 0)->command, "first");
	assert_string_equal(kb_profile__process(profile, 0)->python, "");
	assert_int_equal(kb_profile__n_processes(profile), 2);

	assert_int_equal(add_thread(profile, 0, 7, NULL), 0);
	assert_int_equal(add_thread(profile, 1, 7, "b"), 1);
	assert_int_equal(add_thread(profile, 0, 7, "a"), 0);
	assert_string_equal(kb_profile__thread(profile, 0)->name, "a");
	assert_int_equal(kb_profile__n_threads(profile), 2);
	assert_int_equal(add_thread(profile, 2, 7, "no such process"), KB_ID_NONE);
	assert_int_equal(add_thread(profile, KB_ID_NONE, 7, ""), KB_ID_NONE);
}

static void test_codes_and_frames(void **state)
{
	struct kb_profile *profile = *state;
	static const uint8_t table[] = { 4, 1, 4, 2 }, other[] = { 4, 9 };
	uint32_t f = add_code(profile, "f", table, 4), frame;

	assert_int_equal(f, 0);
	assert_int_equal(add_code(profile, "f", table, 4), f);
	assert_int_equal(add_code(profile, "f", other, 2), 1);
	assert_int_equal(add_code(profile, "g", table, 4), 2);
	assert_int_equal(kb_profile__n_functions(profile), 2);

	frame = kb_profile__add_frame(profile, f, 0);
	assert_int_equal(kb_profile__add_frame(profile, f, 1), frame);
	assert_int_equal(kb_profile__frame(profile, frame)->line, 10);
	assert_int_equal(kb_profile__frame(profile, kb_profile__add_frame(profile, f, 2))->line,
			 11);
	assert_int_equal(kb_profile__frame(profile, kb_profile__add_frame(profile, 1, 2))->line,
			 19);
	/* Another code object of the same function, on the same line, is the same frame. */
	assert_int_equal(kb_profile__add_frame(profile, 1, KB_LASTI_START), frame);
	frame = kb_profile__add_frame(profile, f, KB_LASTI_UNKNOWN);
	assert_int_equal(kb_profile__frame(profile, frame)->line, 0);
	assert_int_equal(kb_profile__add_frame(profile, 3, 0), KB_ID_NONE);
	assert_int_equal(kb_profile__add_frame(profile, KB_ID_NONE, 0), KB_ID_NONE);
}

static void test_markers_and_places(void **state)
{
	struct kb_profile *profile = *state;
	struct kb_code_info marker = { KB_FRAME_MARKER, NULL, "<truncated>" };
	struct kb_function_info function = { sizeof(function), KB_FRAME_MARKER, "", "<truncated>" };
	uint32_t frame = kb_profile__add_frame(profile, kb_profile__add_code(profile, &marker), 0);

	assert_int_equal(frame, 0);
	assert_int_equal(kb_profile__frame(profile, frame)->line, 0);
	assert_string_equal(kb_profile__function(profile, 0)->file, "");
	assert_int_equal(kb_profile__function(profile, 0)->kind, KB_FRAME_MARKER);
	assert_int_equal(kb_profile__add_place(profile, &function, 0), frame);
	function.kind = KB_FRAME_NATIVE;
	assert_int_equal(kb_profile__add_place(profile, &function, 0), 1);
	assert_int_equal(kb_profile__add_place(profile, &function, 5), 2);
	assert_int_equal(kb_profile__n_functions(profile), 2);
}

static void test_tree_and_samples(void **state)
{
	struct kb_profile *profile = *state;
	uint32_t frame = kb_profile__add_frame(profile, add_code(profile, "f", "", 0), 0);
	uint32_t root = kb_profile__add_node(profile, KB_ID_NONE, frame);
	uint32_t child = kb_profile__add_node(profile, root, frame);
	uint32_t thread = add_thread(profile, add_process(profile, 1, 1, ""), 1, "");

	assert_int_equal(root, 0);
	assert_int_equal(child, 1);
	assert_int_equal(kb_profile__add_node(profile, KB_ID_NONE, frame), root);
	assert_int_equal(kb_profile__add_node(profile, root, frame), child);
	assert_int_equal(kb_profile__add_node(profile, 2, frame), KB_ID_NONE);
	assert_int_equal(kb_profile__add_node(profile, root, frame + 1), KB_ID_NONE);
	assert_int_equal(kb_profile__nodes(profile)[child].parent, root);

	assert_true(kb_profile__add_samples(profile, thread, child, 3));
	assert_true(kb_profile__add_samples(profile, thread, root, 1));
	assert_true(kb_profile__add_samples(profile, thread, child, 4));
	assert_true(kb_profile__add_samples(profile, thread, root, 0));
	assert_int_equal(kb_profile__n_samples(profile), 2);
	assert_int_equal(kb_profile__samples(profile)[0].count, 7);
	assert_int_equal(kb_profile__total(profile), 8);
	assert_false(kb_profile__add_samples(profile, thread + 1, root, 1));
	assert_false(kb_profile__add_samples(profile, thread, 2, 1));
	assert_false(kb_profile__add_samples(profile, thread, root, UINT64_MAX));
	assert_int_equal(kb_profile__total(profile), 8);
}

static void test_many_nodes(void **state)
{
	struct kb_profile *profile = *state;
	uint32_t frame = kb_profile__add_frame(profile, add_code(profile, "f", "", 0), 0);
	uint32_t other = kb_profile__add_frame(profile, add_code(profile, "g", "", 0), 0);
	uint32_t node = KB_ID_NONE;

	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t parent = node;

		node = kb_profile__add_node(profile, parent, i % 3 ? frame : other);
		assert_int_equal(node, i);
		assert_int_equal(kb_profile__add_node(profile, parent, i % 3 ? frame : other), i);
	}
}

/* What a hostile program can name its functions is text in the profile. */
static void test_text_is_utf8(void **state)
{
	struct kb_profile *profile = *state;
	char *large = malloc(100001);
	const char *kept;

	add_process(profile, 1, 1, "caf\xc3\xa9 \xff\xed\xa0\x80!");
	assert_string_equal(kb_profile__process(profile, 0)->command,
			    "caf\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!");
	/* Two bytes each, but for the first: the limit falls into a character. */
	memset(large, 'x', 100001);
	for (int i = 1; i < 100000; i += 2)
		memcpy(large + i, "\xc3\xa9", 2);
	large[99999] = 0;
	add_process(profile, 2, 2, large);
	kept = kb_profile__process(profile, 1)->command;
	assert_int_equal(strlen(kept), 65535);
	assert_memory_equal(kept, large, 65535);
	free(large);
}

static void test_ledger(void **state)
{
	struct kb_profile *profile = *state;
	uint64_t attempted = 0;

	assert_int_equal(kb_profile__n_ledger(profile), KB_L_COUNT);
	for (int reason = 0; reason < KB_L_COUNT; reason++)
		kb_profile__ledger_add(profile, reason, (uint64_t)reason * reason + 1);
	kb_profile__ledger_add(profile, KB_L_GOOD, 1);
	for (size_t i = 0; i < KB_L_COUNT; i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		assert_int_equal(entry.count, i * i + 1 + !i);
		assert_int_equal(entry.reported, i == KB_L_GOOD || i == KB_L_TRUNCATED);
		assert_true(entry.name && entry.text);
		if (!entry.note)
			attempted += entry.count;
	}
	assert_string_equal(kb_profile__ledger(profile, KB_L_RING_FULL).name, "ring_full");
	assert_true(kb_profile__ledger(profile, KB_L_LOST_EVENTS).note);
	assert_int_equal(kb_profile__attempted(profile), attempted);
	kb_profile__ledger_add(profile, KB_L_GOOD, UINT64_MAX);
	assert_true(kb_profile__attempted(profile) == UINT64_MAX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_meta),
		TEST(test_processes_and_threads),
		TEST(test_codes_and_frames),
		TEST(test_markers_and_places),
		TEST(test_tree_and_samples),
		TEST(test_many_nodes),
		TEST(test_text_is_utf8),
		TEST(test_ledger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
