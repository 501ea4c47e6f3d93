// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Windows of a profile with a timeline: what is in them, and what a flight recorder forgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "cli/when.c"
#include "model/window.h"

#define SECOND 1000000000ull

struct fixture {
	struct kb_profile *profile;
	uint32_t threads[2], nodes[3]; /* main; main -> f; main -> g */
};

static uint32_t frame(struct kb_profile *profile, const char *name, int32_t line)
{
	struct kb_function_info function = { sizeof(function), KB_FRAME_PYTHON, "a.py", name, 1 };

	return kb_profile__add_place(profile, &function, line);
}

/* A moment each second: main in thread 0, f in 1, g in 0, main in 1, … */
static int setup(void **state)
{
	static struct fixture fixture;
	struct kb_profile_meta meta = { sizeof(meta), .rate_hz = 1, .start_unix_ns = 100 * SECOND,
					.duration_ns = 12 * SECOND };
	struct kb_process_info process = { sizeof(process), 7 };
	struct kb_thread_info thread = { sizeof(thread), 0, 7, 7, "one", "MainThread" };
	struct kb_profile *profile;

	if (kb_profile__create(&meta, &profile))
		return -1;
	kb_profile__add_process(profile, &process);
	fixture.profile = profile;
	fixture.threads[0] = kb_profile__add_thread(profile, &thread);
	thread.tid = 8;
	fixture.threads[1] = kb_profile__add_thread(profile, &thread);
	fixture.nodes[0] = kb_profile__add_node(profile, KB_ID_NONE, frame(profile, "main", 1));
	fixture.nodes[1] = kb_profile__add_node(profile, fixture.nodes[0], frame(profile, "f", 2));
	fixture.nodes[2] = kb_profile__add_node(
		profile, fixture.nodes[0],
		kb_profile__add_opcode(profile, frame(profile, "g", 3), "NOP"));
	for (uint32_t i = 0; i < 12; i++) {
		struct kb_moment moment = { i * SECOND, 1, fixture.threads[i % 2],
					    fixture.nodes[i % 3], i % 4 ? 0 : KB_MOMENT_GIL };

		assert_true(kb_profile__add_moment(profile, &moment));
	}
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	kb_profile__destroy(((struct fixture *)*state)->profile);
	return 0;
}

static uint64_t count_of(const struct kb_profile *profile, const char *name)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < kb_profile__n_samples(profile); i++) {
		const struct kb_sample *sample = &kb_profile__samples(profile)[i];
		uint32_t id = kb_profile__nodes(profile)[sample->node].frame;
		uint32_t function = kb_profile__frame(profile, id)->function;

		if (!strcmp(kb_profile__function(profile, function)->name, name))
			sum += sample->count;
	}
	return sum;
}

static void test_window(void **state)
{
	struct fixture *f = *state;
	uint64_t ledger[KB_L_COUNT] = {
		[KB_L_GOOD] = 99, [KB_L_TRUNCATED] = 1, [KB_L_NO_FRAME] = 4
	};
	struct kb_profile *window;

	assert_null(kb_profile__window(f->profile, 4 * SECOND, 9 * SECOND, ledger, &window));
	assert_int_equal(kb_profile__n_moments(window), 5); /* 4 to 8: f g main f g */
	assert_int_equal(kb_profile__moments(window)[0].time_ns, 0);
	assert_int_equal(count_of(window, "main"), 1);
	assert_int_equal(count_of(window, "f"), 2);
	assert_int_equal(count_of(window, "g"), 2);
	assert_int_equal(kb_profile__total(window), 5);
	assert_int_equal(kb_profile__meta(window)->start_unix_ns, 104 * SECOND);
	assert_int_equal(kb_profile__meta(window)->duration_ns, 5 * SECOND);
	assert_int_equal(kb_profile__ledger_get(window, KB_L_GOOD), 4);
	assert_int_equal(kb_profile__ledger_get(window, KB_L_TRUNCATED), 1);
	assert_int_equal(kb_profile__attempted(window), 9);
	assert_string_equal(kb_profile__thread(window, 1)->python_name, "MainThread");
	kb_profile__destroy(window);
	/* Only what is in it: no f, and g with its instruction. */
	assert_null(kb_profile__window(f->profile, 11 * SECOND, UINT64_MAX, ledger, &window));
	assert_int_equal(kb_profile__n_nodes(window), 2);
	assert_string_equal(kb_profile__frame(window, kb_profile__nodes(window)[1].frame)->opcode,
			    "NOP");
	assert_int_equal(kb_profile__meta(window)->duration_ns, SECOND);
	kb_profile__destroy(window);
	assert_null(kb_profile__window(f->profile, 50 * SECOND, 60 * SECOND, ledger, &window));
	assert_int_equal(kb_profile__n_nodes(window) + kb_profile__total(window), 0);
	kb_profile__destroy(window);
}

/* Of a wait the part in the window counts. */
static void test_waits(void **state)
{
	struct fixture *f = *state;
	struct kb_moment wait = { SECOND / 2, 3 * SECOND, f->threads[0], f->nodes[1],
				  KB_MOMENT_OFF_CPU };
	uint64_t ledger[KB_L_COUNT] = { 0 };
	struct kb_profile *window;

	kb_profile__drop_moments(f->profile, UINT64_MAX);
	assert_true(kb_profile__add_moment(f->profile, &wait));
	kb_profile__drop_moments(f->profile, 3 * SECOND);
	assert_null(kb_profile__window(f->profile, 2 * SECOND, 9 * SECOND, ledger, &window));
	assert_int_equal(kb_profile__total(window), 3 * SECOND / 2);
	assert_int_equal(kb_profile__moments(window)[0].time_ns, 0);
	kb_profile__destroy(window);
	kb_profile__drop_moments(f->profile, 4 * SECOND);
	assert_int_equal(kb_profile__n_moments(f->profile), 0);
}

static void test_forget(void **state)
{
	struct fixture *f = *state;
	uint32_t nodes[3] = { 0 };

	kb_profile__drop_moments(f->profile, 11 * SECOND); /* leaves one, of g */
	assert_int_equal(kb_profile__n_moments(f->profile), 1);
	assert_true(kb_profile__forget_stacks(f->profile, nodes));
	assert_int_equal(nodes[0], 0);
	assert_int_equal(nodes[1], KB_ID_NONE);
	assert_int_equal(nodes[2], 1);
	assert_int_equal(kb_profile__n_nodes(f->profile), 2);
	assert_int_equal(kb_profile__moments(f->profile)[0].node, 1);
	/* New stacks find their place beside what stayed. */
	assert_int_equal(kb_profile__add_node(f->profile, 0, frame(f->profile, "f", 2)), 2);
	/* What the caller marks stays, with its parents. */
	kb_profile__drop_moments(f->profile, UINT64_MAX);
	memset(nodes, 0, sizeof(nodes));
	nodes[2] = 1;
	assert_true(kb_profile__forget_stacks(f->profile, nodes));
	assert_int_equal(kb_profile__n_nodes(f->profile), 2);
	assert_int_equal(nodes[2], 1);
}

static bool holds(const char *text, const struct kb_profile *profile, uint64_t from, uint64_t to)
{
	struct kb_when when = {};

	assert_null(kb_when__parse(text, &when));
	return kb_when__holds(&when, profile, from, to);
}

static void test_when(void **state)
{
	struct fixture *f = *state;
	static const char *const wrong[] = { "",	 "cpu",	   "cpu>",    "cpu>x",
					     "cpu>-1",	 "cpu=80", "cpus>1",  "threads>3%",
					     "cpu>80%%", ">80",	   "cpu> 80", "gil>nan" };
	struct kb_when when = {};

	/* At 1 Hz each moment is a second: one CPU is busy all the time. */
	assert_true(holds("cpu>90%", f->profile, 0, 12 * SECOND));
	assert_false(holds("cpu>100.5", f->profile, 0, 12 * SECOND));
	assert_true(holds("cpu<50%", f->profile, 0, 100 * SECOND));
	assert_true(holds("gil>24%", f->profile, 0, 12 * SECOND));
	assert_false(holds("gil>26%", f->profile, 0, 12 * SECOND));
	assert_true(holds("threads>1", f->profile, 0, 2 * SECOND));
	assert_false(holds("threads>1", f->profile, 0, 1 * SECOND));
	assert_false(holds("cpu<50%", f->profile, SECOND, SECOND));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct kb_error *err = kb_when__parse(wrong[i], &when);

		assert_non_null(err);
		assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
		kb_error__destroy(err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_window, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_when, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
