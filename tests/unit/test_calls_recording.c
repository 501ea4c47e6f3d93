// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Recordings of call statistics: what is written is read, also when it was cut off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "model/calls_recording.h"
#include "model/recording.h"

struct written {
	struct kb_calls *calls;
	struct kb_calls_writer *writer;
	FILE *stream;
	char *bytes;
	size_t size;
	size_t flushed; /* bytes of the first flush */
};

static void assert_no_error(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

static void add(struct kb_calls *calls, uint32_t thread, uint32_t function, uint64_t ncalls)
{
	struct kb_call_stats delta = { ncalls, ncalls - 1, ncalls * 0.1, ncalls * 0.3 };

	assert_true(kb_calls__add_stats(calls, thread, function, &delta));
}

static int setup(void **state)
{
	struct kb_calls_meta meta = { sizeof(meta),
				      .target = "pid 1",
				      .host = "here",
				      .version = "1",
				      .python = "3.12.1",
				      .start_unix_ns = -5,
				      .duration_ns = 1000000000,
				      .timing = KB_CALLS_SAMPLED,
				      .clock = KB_CALLS_CPU,
				      .builtins = true };
	struct kb_calls_thread thread = { sizeof(thread), 7, 8, 99, "python", "python x.py" };
	struct kb_ledger_entry reported = { "reported", "calls in the table", 12, true, false };
	uint64_t buckets[] = { 0, 5 };
	struct kb_calls_chosen chosen = { sizeof(chosen), "m:f", 0, "why", 5, 1, 2, buckets };
	struct kb_ledger_entry note = { "late", "late calls", 1, false, true };
	struct written *w = calloc(1, sizeof(*w));
	struct kb_call_stats nothing = {}, edge = { 5, 4, 0.25, 0.5 };
	uint32_t f, g, h;

	assert_no_error(kb_calls__create(&meta, &w->calls));
	w->stream = open_memstream(&w->bytes, &w->size);
	assert_no_error(kb_calls_writer__create(w->stream, &w->writer));
	f = kb_calls__add_function(w->calls, "a.py", 1, "f");
	g = kb_calls__add_function(w->calls, "b.py", 2, "g");
	assert_int_equal(kb_calls__add_thread(w->calls, &thread), 0);
	add(w->calls, 0, g, 7);
	assert_true(kb_calls__add_edge(w->calls, 0, f, g, &edge));
	assert_true(kb_calls__set_ledger(w->calls, &reported));
	assert_true(kb_calls__add_source(w->calls, "somewhere"));
	assert_no_error(kb_calls__set_chosen(w->calls, 0, &chosen));
	kb_calls__end_window(w->calls, 500000000);
	assert_no_error(kb_calls_writer__flush(w->writer, w->calls));
	w->flushed = w->size;
	h = kb_calls__add_function(w->calls, "~", 0, "<built-in method builtins.len>");
	assert_true(kb_calls__add_stats(w->calls, KB_ID_NONE, h, &nothing));
	assert_true(kb_calls__add_edge(w->calls, KB_ID_NONE, g, h, &nothing));
	kb_calls__mark_count_only(w->calls, g, h);
	add(w->calls, 0, g, 5);
	thread.name = "worker";
	kb_calls__add_thread(w->calls, &thread);
	assert_true(kb_calls__set_ledger(w->calls, &note));
	kb_calls__end_window(w->calls, 250000000);
	assert_no_error(kb_calls_writer__finish(w->writer, w->calls));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct written *w = *state;

	kb_calls_writer__destroy(w->writer);
	kb_calls__destroy(w->calls);
	fclose(w->stream);
	free(w->bytes);
	free(w);
	return 0;
}

static void assert_same_stats(struct kb_call_stats a, struct kb_call_stats b)
{
	assert_int_equal(a.ncalls, b.ncalls);
	assert_int_equal(a.primitive, b.primitive);
	assert_true(a.tottime == b.tottime && a.cumtime == b.cumtime);
}

static void assert_same_functions(const struct kb_calls *a, const struct kb_calls *b)
{
	assert_int_equal(kb_calls__n_functions(a), kb_calls__n_functions(b));
	assert_int_equal(kb_calls__n_listed(a), kb_calls__n_listed(b));
	assert_memory_equal(kb_calls__listed(a), kb_calls__listed(b),
			    kb_calls__n_listed(a) * sizeof(uint32_t));
	for (uint32_t i = 0; i < kb_calls__n_functions(a); i++) {
		const struct kb_calls_function *x = kb_calls__function(a, i);
		const struct kb_calls_function *y = kb_calls__function(b, i);
		struct kb_calls_rate r = kb_calls__rate(a, i), s = kb_calls__rate(b, i);

		assert_string_equal(x->file, y->file);
		assert_string_equal(x->name, y->name);
		assert_int_equal(x->line, y->line);
		assert_same_stats(x->stats, y->stats);
		assert_true(r.per_second == s.per_second && r.low == s.low && r.high == s.high);
	}
	assert_int_equal(kb_calls__total(a).ncalls, kb_calls__total(b).ncalls);
}

static void test_round_trip(void **state)
{
	struct written *w = *state;
	struct kb_recorded recorded;
	const struct kb_calls_meta *meta;
	struct kb_calls *calls;

	assert_no_error(kb_recording__read_any(w->bytes, w->size, "it", false, &recorded));
	assert_null(recorded.profile);
	calls = recorded.calls;
	meta = kb_calls__meta(calls);
	assert_string_equal(meta->python, "3.12.1");
	assert_true(meta->start_unix_ns == -5 && meta->duration_ns == 1000000000);
	assert_true(meta->timing == KB_CALLS_SAMPLED && meta->clock == KB_CALLS_CPU);
	assert_true(meta->builtins && !meta->incomplete);
	assert_int_equal(meta->n_windows, 2);
	assert_int_equal(meta->traced_ns, 750000000);
	assert_same_functions(w->calls, calls);
	assert_int_equal(kb_calls__n_edges(calls), 2);
	assert_int_equal(kb_calls__edges(calls)[0].stats.primitive, 4);
	assert_true(kb_calls__edges(calls)[1].count_only);
	assert_string_equal(kb_calls__thread(calls, 0)->name, "worker");
	assert_string_equal(kb_calls__thread(calls, 0)->command, "python x.py");
	assert_int_equal(kb_calls__n_parts(calls), 2);
	assert_int_equal(kb_calls__parts(calls)[0].stats.ncalls, 12);
	assert_int_equal(kb_calls__n_ledger(calls), 2);
	assert_string_equal(kb_calls__ledger(calls, 1).text, "late calls");
	assert_true(kb_calls__ledger(calls, 0).reported && kb_calls__ledger(calls, 1).note);
	assert_int_equal(kb_calls__seen(calls), 12);
	assert_string_equal(kb_calls__source(calls, 0), "somewhere");
	assert_int_equal(kb_calls__n_chosen(calls), 1);
	assert_string_equal(kb_calls__chosen(calls, 0)->name, "m:f");
	assert_string_equal(kb_calls__chosen(calls, 0)->remark, "why");
	assert_int_equal(kb_calls__chosen(calls, 0)->function, 0);
	assert_int_equal(kb_calls__chosen(calls, 0)->n_buckets, 2);
	assert_int_equal(kb_calls__chosen(calls, 0)->buckets[1], 5);
	kb_calls__destroy(calls);
}

static void test_cut_off(void **state)
{
	struct written *w = *state;
	struct kb_recorded recorded;
	struct kb_error *err = kb_recording__read_any(w->bytes, w->flushed, "it", false, &recorded);

	assert_non_null(err);
	assert_non_null(strstr(kb_error__text(err), "ends too soon"));
	kb_error__destroy(err);
	assert_no_error(kb_recording__read_any(w->bytes, w->flushed + 50, "it", true, &recorded));
	assert_true(kb_calls__meta(recorded.calls)->incomplete);
	assert_int_equal(kb_calls__total(recorded.calls).ncalls, 7);
	assert_int_equal(kb_calls__n_functions(recorded.calls), 2);
	kb_calls__destroy(recorded.calls);
}

static void test_wrong_kind(void **state)
{
	struct written *w = *state;
	struct kb_profile *profile;
	struct kb_error *err = kb_recording__read(w->bytes, w->size, "it", false, &profile);

	assert_string_equal(kb_error__text(err),
			    "it: a recording of call statistics, not of samples");
	kb_error__destroy(err);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_cut_off),
		TEST(test_wrong_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
