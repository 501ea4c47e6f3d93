// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* Counts and waits become samples: in which unit, under which stack, and what the ledger says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "bpf/shared/ledger.h"
#include "collect/ingest.h"
#include "collect/mode.h"
#include "python/layout.h"

#define PROC	3
#define TID	71
#define CODE	0x100000ULL
#define HASH(n) (0x1234567800ULL + (n))

struct fixture {
	struct kb_profile *profile;
	struct kb_ingest *ingest;
};

static const struct kb_layout *layout(uint32_t index, void *context)
{
	static struct kb_layout made;

	assert_true(kb_layout__from_table(12, &made));
	assert_null(kb_layout__finish(&made));
	return &made;
}

static void new_process(const struct kb_data_proc *record, void *context)
{
	fail();
}

static bool read_code(uint32_t proc, pid_t pid, uint64_t address, struct kb_remote_code *code,
		      const struct kb_layout **found, void *context)
{
	return false;
}

static void create(struct fixture *f, enum kb_unit unit, uint64_t sample_ns)
{
	struct kb_profile_meta meta = { sizeof(meta), .target = "", .rate_hz = 100, .unit = unit };
	struct kb_process_info process = { sizeof(process), .pid = 70, .comm = "p",
					   .command = "p x", .python = "3.12" };
	struct kb_ingest_opts opts = { .layout = layout,
				       .new_process = new_process,
				       .read_code = read_code,
				       .sample_ns = sample_ns };

	assert_null(kb_profile__create(&meta, &f->profile));
	opts.profile = f->profile;
	assert_null(kb_ingest__create(&opts, &f->ingest));
	assert_null(kb_ingest__add_process(f->ingest, PROC, &process));
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	create(*state, KB_UNIT_NS, 10000000);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kb_ingest__destroy(f->ingest);
	kb_profile__destroy(f->profile);
	free(f);
	return 0;
}

/* A code object without names is shown by its address, which is enough here. */
static void put_stack(struct fixture *f, uint64_t hash, uint32_t generation, uint32_t flags)
{
	struct {
		struct kb_data_stack head;
		kb_u64 word;
	} record = { { KB_DATA_STACK, PROC, hash, generation, flags, 1 },
		     (CODE + hash % 256 * 8) >> 3 << KB_LASTI_BITS | 1 };

	kb_ingest__record(f->ingest, &record, sizeof(record));
}

static void count(struct fixture *f, uint64_t hash, uint32_t generation, uint64_t n)
{
	struct kb_stack_key key = { hash, PROC, TID };

	kb_ingest__count(f->ingest, generation, &key, n);
}

static void wait(struct fixture *f, uint64_t hash, uint64_t ns, uint64_t n)
{
	struct kb_stack_key key = { hash, PROC, TID };
	struct kb_wait_sum sum = { ns, n };

	kb_ingest__waits(f->ingest, &key, &sum);
}

static uint64_t ledger(const struct fixture *f, enum kb_ledger_reason reason)
{
	return kb_profile__ledger(f->profile, reason).count;
}

static void test_samples_are_time(void **state)
{
	struct fixture *f = *state;

	put_stack(f, HASH(1), 0, 0);
	count(f, HASH(1), 0, 5);
	assert_int_equal(kb_profile__total(f->profile), 5 * 10000000);
	assert_true(kb_profile__seconds(f->profile, kb_profile__total(f->profile)) == 0.05);
	/* The ledger counts samples all the same. */
	assert_int_equal(ledger(f, KB_L_GOOD), 5);
}

static void test_samples_are_samples(void **state)
{
	struct fixture f;

	create(&f, KB_UNIT_SAMPLES, 0);
	put_stack(&f, HASH(1), 0, 0);
	count(&f, HASH(1), 0, 5);
	assert_int_equal(kb_profile__total(f.profile), 5);
	kb_ingest__destroy(f.ingest);
	kb_profile__destroy(f.profile);
}

/* The stack of a wait outlives its generation, that of samples does not. */
static void test_waits_outlive_generations(void **state)
{
	struct fixture *f = *state;

	put_stack(f, HASH(1), 0, KB_STACK_WAIT);
	put_stack(f, HASH(2), 0, 0);
	for (uint32_t generation = 0; generation < 4; generation++)
		kb_ingest__end_generation(f->ingest, generation);
	wait(f, HASH(1), 7000, 2);
	count(f, HASH(2), 0, 1);
	assert_int_equal(kb_profile__total(f->profile), 7000);
	assert_int_equal(ledger(f, KB_L_GOOD), 2);
	assert_int_equal(ledger(f, KB_L_LOST_STACK), 1);
}

static void test_wait_and_sample_share_a_stack(void **state)
{
	struct fixture *f = *state;

	put_stack(f, HASH(1), 0, KB_STACK_WAIT | KB_STACK_TRUNCATED);
	put_stack(f, HASH(1), 0, KB_STACK_TRUNCATED);
	wait(f, HASH(1), 7000, 2);
	count(f, HASH(1), 0, 1);
	assert_int_equal(kb_profile__n_samples(f->profile), 1);
	assert_int_equal(kb_profile__total(f->profile), 10007000);
	assert_int_equal(ledger(f, KB_L_TRUNCATED), 3);
}

static const char *root_name(const struct fixture *f, uint32_t sample)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(f->profile);
	uint32_t node = kb_profile__samples(f->profile)[sample].node;
	const struct kb_frame_info *frame = kb_profile__frame(f->profile, nodes[node].frame);

	assert_int_equal(nodes[node].parent, KB_ID_NONE);
	return kb_profile__function(f->profile, frame->function)->name;
}

static void test_waits_without_stack(void **state)
{
	struct fixture *f = *state;

	wait(f, KB_WAIT_NOT_WALKED, 100, 1);
	wait(f, KB_WAIT_NOT_WALKED, 100, 3);
	wait(f, KB_WAIT_BEFORE_START, 50, 1);
	assert_int_equal(kb_profile__n_samples(f->profile), 2);
	assert_string_equal(root_name(f, 0), "<waits not walked>");
	assert_string_equal(root_name(f, 1), "<waiting since before the start>");
	assert_int_equal(kb_profile__total(f->profile), 250);
	assert_int_equal(ledger(f, KB_L_GOOD), 5);
	/* What was never sent, and what could not be taken. */
	wait(f, HASH(9), 600, 2);
	wait(f, 0, 1, 1);
	kb_ingest__lost_wait(f->ingest, KB_L_FRAME_UNREADABLE, 4000);
	kb_ingest__lost_wait(f->ingest, KB_L_NO_FRAME, 4000);
	assert_int_equal(kb_profile__total(f->profile), 250);
	assert_int_equal(ledger(f, KB_L_LOST_STACK), 3);
	assert_int_equal(ledger(f, KB_L_FRAME_UNREADABLE), 1);
	assert_int_equal(ledger(f, KB_L_NO_FRAME), 1);
	assert_int_equal(ledger(f, KB_L_LOST_WAIT_NS), 4601);
}

static uint64_t waited(pid_t tid, uint64_t since, void *context)
{
	assert_int_equal(tid, TID);
	return since == 5000 ? *(uint64_t *)context : 0;
}

static void put_moment(struct fixture *f, uint64_t time, uint64_t ns)
{
	struct kb_data_moment moment = { KB_DATA_MOMENT,	   PROC, HASH(1), time, ns, TID,
					 .flags = KB_STATE_OFF_CPU };

	kb_ingest__record(f->ingest, &moment, sizeof(moment));
}

/* What the timeline had of a wait before it ended is not in it twice. */
static void test_waits_in_the_timeline(void **state)
{
	struct fixture *f = *state;
	uint64_t already = 0;
	const struct kb_moment *moments;

	kb_ingest__set_start(f->ingest, 1000);
	kb_ingest__set_waited(f->ingest, waited, &already);
	put_stack(f, HASH(1), 0, KB_STACK_WAIT);
	put_moment(f, 5000, 100);
	already = 100;
	put_moment(f, 5000, 150);
	already = 150;
	put_moment(f, 5000, 150);
	put_moment(f, 6000, 10);
	assert_int_equal(kb_profile__n_moments(f->profile), 3);
	moments = kb_profile__moments(f->profile);
	assert_int_equal(moments[0].time_ns, 4000);
	assert_int_equal(moments[0].count, 100);
	assert_int_equal(moments[1].time_ns, 4100);
	assert_int_equal(moments[1].count, 50);
	assert_int_equal(moments[2].time_ns, 5000);
	assert_int_equal(moments[2].count, 10);
	assert_int_equal(moments[2].flags, KB_MOMENT_OFF_CPU);
}

/* ---------------------------------------------------------------- modes */

static void assert_mode(enum kb_sample_mode mode, const struct kb_image_info *image,
			const char *reason)
{
	struct kb_error *err = kb_mode__check(mode, image);

	if (!reason) {
		assert_null(err);
		return;
	}
	assert_non_null(err);
	assert_int_equal(kb_error__status(err), KB_STATUS_UNSUPPORTED);
	assert_non_null(strstr(kb_error__text(err), kb_sample_mode__name(mode)));
	if (!strstr(kb_error__text(err), reason))
		fail_msg("'%s' says nothing of '%s'", kb_error__text(err), reason);
	kb_error__destroy(err);
}

static void test_modes(void **state)
{
	struct kb_image_info image = { .version = "3.13.1", .image = { .none = 1 } };

	kb_layout__init(&image.layout, 13);
	for (enum kb_sample_mode mode = 0; kb_sample_mode__name(mode); mode++) {
		assert_int_equal(kb_mode__of_time(mode),
				 mode == KB_MODE_WALL || mode == KB_MODE_GIL_WAIT);
		assert_mode(mode, &image,
			    mode == KB_MODE_CPU || mode == KB_MODE_WALL || mode == KB_MODE_TASKS
				    ? NULL
				    : "3.13.1");
	}
	image.layout.tstate_exc_info = 120;
	assert_mode(KB_MODE_EXCEPTION, &image, NULL);
	image.image.tstate_tls.kind = KB_TLS_STATIC;
	assert_mode(KB_MODE_GIL, &image, NULL);
	assert_mode(KB_MODE_GIL_WAIT, &image, "cannot be found");
	image.layout.interp_gil = 384;
	assert_mode(KB_MODE_GIL_WAIT, &image, NULL);
	image.free_threaded = true;
	assert_mode(KB_MODE_GIL, &image, "free-threaded");
	assert_mode(KB_MODE_GIL_WAIT, &image, "free-threaded");
	assert_mode(KB_MODE_EXCEPTION, &image, NULL);
	kb_layout__init(&image.layout, 6);
	image.free_threaded = false;
	assert_mode(KB_MODE_GIL_WAIT, &image, "stripped");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_samples_are_time, setup, teardown),
		cmocka_unit_test(test_samples_are_samples),
		cmocka_unit_test_setup_teardown(test_waits_outlive_generations, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wait_and_sample_share_a_stack, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_waits_without_stack, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits_in_the_timeline, setup, teardown),
		cmocka_unit_test(test_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
