// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/id_map.h"
#include "collect/cover.h"
#include "system/process.h"

#define PASSES_MAX  64 /* over /proc/PID/task, until no new thread appears */
#define THREADS_MAX 65536

struct covered {
	pid_t tid;
	uint64_t since; /* CLOCK_MONOTONIC: what it starts from then on has an event */
};

struct kb_cover {
	struct kb_programs *programs;
	kb_cover_fn fn;
	void *context;
	struct covered *threads;
	uint32_t n, capacity;
	struct kb_id_map index; /* tid → place in threads */
};

struct kb_error *kb_cover__create(struct kb_programs *programs, kb_cover_fn fn, void *context,
				  struct kb_cover **result)
{
	struct kb_cover *cover = calloc(1, sizeof(*cover));

	if (!cover)
		return kb_error__no_memory();
	cover->programs = programs;
	cover->fn = fn;
	cover->context = context;
	kb_id_map__init(&cover->index, THREADS_MAX);
	kb_programs__watch_births(programs, true);
	*result = cover;
	return NULL;
}

void kb_cover__destroy(struct kb_cover *cover)
{
	if (!cover)
		return;
	kb_programs__watch_births(cover->programs, false);
	kb_id_map__free(&cover->index);
	free(cover->threads);
	free(cover);
}

static struct kb_error *add(struct kb_cover *cover, pid_t tid, uint64_t since)
{
	struct covered *threads = kb_array__grow(cover->threads, &cover->capacity, cover->n + 1,
						 sizeof(*threads), THREADS_MAX);

	if (!threads || !kb_id_map__set(&cover->index, tid, 0, cover->n))
		return kb_failed("more than %d threads: use --cgroup or --all", THREADS_MAX);
	cover->threads = threads;
	threads[cover->n++] = (struct covered){ tid, since };
	return NULL;
}

/* Did its parent have an event when it started this thread? *since: when that was. */
static bool inherited(const struct kb_cover *cover, pid_t tid, uint64_t *since)
{
	struct kb_birth birth;
	uint32_t parent;

	if (!kb_programs__birth(cover->programs, tid, &birth))
		return false;
	parent = kb_id_map__get(&cover->index, birth.parent, 0);
	*since = birth.time;
	return parent != KB_ID_MAP_NONE && cover->threads[parent].since <= birth.time;
}

static struct kb_error *cover_thread(struct kb_cover *cover, pid_t tid)
{
	uint64_t since;

	if (inherited(cover, tid, &since))
		return add(cover, tid, since);
	KB_TRY(cover->fn(tid, cover->context));
	return add(cover, tid, kb_now(CLOCK_MONOTONIC));
}

struct kb_error *kb_cover__process(struct kb_cover *cover, pid_t pid)
{
	struct kb_error *err = NULL;
	struct kb_pids threads;
	uint32_t before;

	for (int pass = 0; pass < PASSES_MAX && !err; pass++) {
		before = cover->n;
		KB_TRY(kb_process__threads(pid, &threads));
		for (size_t i = 0; i < threads.n && !err; i++) {
			if (kb_id_map__get(&cover->index, threads.ids[i], 0) == KB_ID_MAP_NONE)
				err = cover_thread(cover, threads.ids[i]);
		}
		kb_pids__free(&threads);
		if (cover->n == before)
			break;
	}
	return err;
}
