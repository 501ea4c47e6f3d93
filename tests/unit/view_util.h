/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TESTS_VIEW_UTIL_H
#define KB_TESTS_VIEW_UTIL_H

/* A view of a profile that grows by stacks written as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "model/profile.h"
#include "tui/view_model.h"

#define SECOND KB_NS_PER_SECOND

struct fixture {
	struct kb_profile *profile;
	struct kb_view_model *model;
	uint64_t now;
};

static inline void succeed(struct kb_error *err)
{
	if (err)
		fail_msg("%s", kb_error__text(err));
}

static inline int setup(void **state)
{
	struct kb_profile_meta meta = { sizeof(meta), .target = "pid 1", .rate_hz = 1000 };
	struct fixture *f = calloc(1, sizeof(*f));

	f->now = 1000 * SECOND;
	succeed(kb_profile__create(&meta, &f->profile));
	succeed(kb_view_model__create(f->profile, false, f->now, &f->model));
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	kb_view_model__destroy(f->model);
	kb_profile__destroy(f->profile);
	free(f);
	return 0;
}

static inline uint32_t thread(struct fixture *f, int pid, int tid)
{
	struct kb_process_info process = { sizeof(process), pid, .command = "" };
	struct kb_thread_info info = { sizeof(info), .tid = tid };

	info.process = kb_profile__add_process(f->profile, &process);
	return kb_profile__add_thread(f->profile, &info);
}

/* Adds samples of a stack such as "main:1 work:5 leaf:9", names with their lines from the root on;
 * a name's function begins at line 1. */
static inline void add(struct fixture *f, uint32_t thread_id, const char *stack, uint64_t count)
{
	char *copy = strdup(stack), *save = NULL;
	uint32_t node = KB_ID_NONE;

	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *line = strchr(word, ':'), *opcode = strchr(word, '/');
		struct kb_function_info function = { sizeof(function), KB_FRAME_PYTHON, "f.py",
						     word, 1 };
		uint32_t frame;

		if (line)
			*line++ = 0;
		if (opcode)
			*opcode++ = 0;
		frame = kb_profile__add_place(f->profile, &function, line ? atoi(line) : 1);
		if (opcode)
			frame = kb_profile__add_opcode(f->profile, frame, opcode);
		node = kb_profile__add_node(f->profile, node, frame);
		assert_int_not_equal(node, KB_ID_NONE);
	}
	assert_true(kb_profile__add_samples(f->profile, thread_id, node, count));
	kb_profile__ledger_add(f->profile, KB_L_GOOD, count);
	free(copy);
}

/* Ends an interval and shows it. */
static inline void refresh(struct fixture *f, double seconds)
{
	f->now += seconds * SECOND;
	succeed(kb_view_model__take(f->model, f->now));
	succeed(kb_view_model__select(f->model));
	succeed(kb_view_model__aggregate(f->model));
}

/* The row of a function (by lines: of its line). */
static inline uint32_t row_of(const struct fixture *f, const char *name, int line)
{
	for (uint32_t i = 0; i < f->model->n_rows; i++) {
		if (!strcmp(kb_view_model__function(f->model, i)->name, name) &&
		    f->model->labels.labels[i].line == line)
			return i;
	}
	fail_msg("no row %s:%d", name, line);
	return KB_ID_NONE;
}

static inline const struct kb_row *row(const struct fixture *f, const char *name)
{
	return &f->model->rows[row_of(f, name, 0)];
}

#define assert_row(f, name, self_, total_)                                                         \
	do {                                                                                       \
		assert_int_equal(row(f, name)->self, self_);                                       \
		assert_int_equal(row(f, name)->total, total_);                                     \
	} while (0)

#endif
