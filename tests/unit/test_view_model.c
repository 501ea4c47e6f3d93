// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The numbers of the live view: rows, windows, scopes, trends. */
#include "unit/view_util.h"
#include "tui/call_tree.h"

static void test_self_and_total(void **state)
{
	struct fixture *f = *state;
	uint32_t t = thread(f, 1, 1);

	refresh(f, 1);
	assert_int_equal(f->model->n_rows, 0);
	add(f, t, "main work leaf", 5);
	add(f, t, "main work", 2);
	add(f, t, "main leaf", 1);
	refresh(f, 1);
	assert_row(f, "main", 0, 8);
	assert_row(f, "work", 2, 7);
	assert_row(f, "leaf", 6, 6);
	assert_int_equal(f->model->total, 8);
	assert_int_equal(f->model->tallies.attempted, 8);
	add(f, t, "main work leaf", 10);
	add(f, t, "other", 3);
	refresh(f, 1);
	assert_row(f, "main", 0, 18);
	assert_row(f, "leaf", 16, 16);
	assert_row(f, "other", 3, 3);
	assert_int_equal(f->model->duration_ns, 3 * SECOND);
}

static void test_recursion_counts_once(void **state)
{
	struct fixture *f = *state;
	uint32_t t = thread(f, 1, 1);

	add(f, t, "main down down down", 4);
	add(f, t, "main down down other down", 3);
	add(f, t, "main down", 2);
	refresh(f, 1);
	assert_row(f, "down", 9, 9);
	assert_row(f, "main", 0, 9);
	assert_row(f, "other", 0, 3);
}

static void test_reset(void **state)
{
	struct fixture *f = *state;
	uint32_t t = thread(f, 1, 1);

	add(f, t, "main a", 5);
	refresh(f, 1);
	kb_history__reset(f->model->history, f->now);
	refresh(f, 0.5);
	assert_row(f, "a", 0, 0);
	add(f, t, "main a", 3);
	refresh(f, 0.5);
	assert_row(f, "a", 3, 3);
	assert_row(f, "main", 0, 3);
	assert_int_equal(f->model->tallies.attempted, 3);
	assert_int_equal(f->model->duration_ns, SECOND);
}

static void test_window(void **state)
{
	struct fixture *f = *state;
	uint32_t t = thread(f, 1, 1);

	f->model->window_ns = 3 * SECOND;
	for (int second = 1; second <= 10; second++) {
		add(f, t, "main a", second);
		if (second == 9)
			add(f, t, "main b", 7);
		refresh(f, 1);
	}
	assert_row(f, "a", 8 + 9 + 10, 8 + 9 + 10);
	assert_row(f, "main", 0, 27 + 7);
	assert_int_equal(f->model->duration_ns, 3 * SECOND);
	assert_int_equal(f->model->tallies.attempted, 27 + 7);
	f->model->window_ns = 100 * SECOND; /* more than there is */
	refresh(f, 1);
	assert_row(f, "a", 55, 55);
	assert_int_equal(f->model->duration_ns, 11 * SECOND);
	f->model->window_ns = SECOND / 10; /* less than an interval */
	refresh(f, 1);
	assert_row(f, "a", 0, 0);
	assert_int_equal(f->model->duration_ns, SECOND);
	f->model->window_ns = 0;
	refresh(f, 1);
	assert_row(f, "a", 55, 55);
}

/* The ring of changes and that of intervals run over; sums of what is kept stay exact. */
static void test_long_history(void **state)
{
	struct fixture *f = *state;
	uint32_t t = thread(f, 1, 1);
	char name[32];
	uint64_t sum = 0;

	f->model->window_ns = 20 * SECOND;
	for (int i = 0; i < 2 * KB_HISTORY_INTERVALS; i++) {
		snprintf(name, sizeof(name), "main f%d", i % 50);
		add(f, t, name, i);
		if (i >= 2 * KB_HISTORY_INTERVALS - 200)
			sum += i;
		f->now += SECOND / 10;
		succeed(kb_view_model__take(f->model, f->now));
	}
	succeed(kb_view_model__select(f->model));
	succeed(kb_view_model__aggregate(f->model));
	assert_int_equal(f->model->total, sum);
	assert_int_equal(f->model->duration_ns, 20 * SECOND);
	/* No more than what was promised is kept. */
	f->model->window_ns = 10000 * SECOND;
	succeed(kb_view_model__select(f->model));
	assert_in_range(f->model->duration_ns, 299 * SECOND, 301 * SECOND);
}

/* One interval with more changes than the ring first has room for. */
static void test_large_interval(void **state)
{
	struct fixture *f = *state;
	uint32_t t = thread(f, 1, 1);
	char name[32];

	f->model->window_ns = SECOND;
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "main f%d", i);
		add(f, t, name, 2);
	}
	refresh(f, 1);
	assert_int_equal(f->model->total, 20000);
	add(f, t, "main f1", 1);
	refresh(f, 1);
	assert_int_equal(f->model->total, 1);
	f->model->window_ns = 2 * SECOND;
	refresh(f, 0.001);
	assert_int_equal(f->model->total, 20001);
}

static void test_pause(void **state)
{
	struct fixture *f = *state;
	uint32_t t = thread(f, 1, 1);

	add(f, t, "main", 5);
	refresh(f, 1);
	f->now += 100 * SECOND;
	kb_history__skip(f->model->history, f->now);
	add(f, t, "main", 5);
	refresh(f, 1);
	assert_int_equal(f->model->duration_ns, 2 * SECOND);
}

static void test_scope(void **state)
{
	struct fixture *f = *state;
	uint32_t a = thread(f, 1, 1), b = thread(f, 1, 2), c = thread(f, 7, 7);

	add(f, a, "main a", 5);
	add(f, b, "main b", 3);
	add(f, c, "main c", 2);
	add(f, c, "main a", 1);
	f->model->scope = KB_SCOPE_THREAD;
	f->model->scope_id = a;
	refresh(f, 1);
	assert_row(f, "main", 0, 5);
	assert_row(f, "b", 0, 0);
	assert_int_equal(f->model->total, 5);
	assert_int_equal(f->model->all_total, 11);
	assert_int_equal(f->model->now.total, 5);
	assert_int_equal(f->model->threads[b], 3);
	f->model->scope = KB_SCOPE_PROCESS;
	f->model->scope_id = kb_profile__thread(f->profile, c)->process;
	succeed(kb_view_model__aggregate(f->model));
	assert_row(f, "main", 0, 3);
	assert_row(f, "a", 1, 1);
	assert_int_equal(f->model->processes[0], 8);
	assert_int_equal(f->model->processes[1], 3);
}

/* What came after the selection is not in what is derived from it. */
static void test_frozen(void **state)
{
	struct fixture *f = *state;
	uint32_t a = thread(f, 1, 1), b = thread(f, 1, 2);
	struct kb_call_tree tree;

	add(f, a, "main a", 5);
	add(f, b, "main b", 3);
	refresh(f, 1);
	add(f, a, "main a x", 5);
	add(f, thread(f, 2, 9), "main new", 9);
	succeed(kb_view_model__take(f->model, f->now + SECOND));
	f->model->scope = KB_SCOPE_THREAD;
	f->model->scope_id = a;
	succeed(kb_view_model__aggregate(f->model));
	assert_int_equal(f->model->total, 5);
	assert_row(f, "a", 5, 5);
	/* Also with labels that have seen the new nodes. */
	succeed(kb_view_model__set_lines(f->model, false));
	succeed(kb_view_model__aggregate(f->model));
	assert_int_equal(f->model->total, 5);
	assert_row(f, "x", 0, 0);
	kb_call_tree__init(&tree, KB_TREE_CALLEES);
	succeed(kb_call_tree__update(&tree, f->model, row_of(f, "a", 0)));
	assert_int_equal(tree.n, 1);
	assert_false(tree.rows[0].has_more);
	kb_call_tree__free(&tree);
}

static void test_trend(void **state)
{
	struct fixture *f = *state;
	uint32_t t = thread(f, 1, 1);
	const struct kb_row *r;

#define TREND(name)                                                                                \
	(r = row(f, name), kb_view_model__trend(f->model, r->total_now, r->total_before))
	add(f, t, "main steady", 500);
	add(f, t, "main rising", 100);
	add(f, t, "main falling", 400);
	refresh(f, 1);
	assert_int_equal(TREND("rising"), KB_TREND_FLAT); /* nothing to compare with */
	add(f, t, "main steady", 510);
	add(f, t, "main rising", 300);
	add(f, t, "main falling", 190);
	refresh(f, 1);
	assert_int_equal(TREND("steady"), KB_TREND_FLAT);
	assert_int_equal(TREND("rising"), KB_TREND_UP);
	assert_int_equal(TREND("falling"), KB_TREND_DOWN);
	assert_int_equal(TREND("main"), KB_TREND_FLAT);
	assert_float_equal(kb_view_model__share_now(f->model, row(f, "rising")->self_now), 0.3,
			   1e-9);
	assert_float_equal(kb_view_model__share_change(f->model, row(f, "rising")->self_now,
						       row(f, "rising")->self_before),
			   0.2, 1e-9);
	/* Short intervals are put together: ten of 0.1 s with 100 each are as much as before. */
	for (int i = 0; i < 20; i++) {
		add(f, t, "main steady", 50);
		refresh(f, 0.1);
	}
	assert_int_equal(row(f, "steady")->self_now, 500);
	assert_int_equal(row(f, "steady")->self_before, 500);
	/* The same part of twice as many samples is no change. */
	add(f, t, "main steady", 600);
	add(f, t, "main rising", 300);
	refresh(f, 1);
	add(f, t, "main steady", 1200);
	add(f, t, "main rising", 600);
	refresh(f, 1);
	assert_int_equal(TREND("rising"), KB_TREND_FLAT);
	assert_int_equal(TREND("steady"), KB_TREND_FLAT);
#undef TREND
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_self_and_total), TEST(test_recursion_counts_once),
		TEST(test_reset),	   TEST(test_window),
		TEST(test_long_history),   TEST(test_large_interval),
		TEST(test_pause),	   TEST(test_scope),
		TEST(test_frozen),	   TEST(test_trend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
