// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tui/state.h"

static int compare(const void *a, const void *b)
{
	const struct kb_scope_item *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return (x->id > y->id) - (x->id < y->id);
}

/* Everything, then the processes by what they cost, each with its threads. */
static void fill(struct kb_top *top, uint32_t n_processes, uint32_t n_threads)
{
	const struct kb_view_model *model = top->model;
	struct kb_scope_item *processes = top->scopes + 1 + n_processes + n_threads;
	uint32_t n = 0;

	for (uint32_t i = 0; i < n_processes; i++)
		processes[i] = (struct kb_scope_item){ KB_SCOPE_PROCESS, i, model->processes[i] };
	if (n_processes)
		qsort(processes, n_processes, sizeof(*processes), compare);
	top->scopes[n++] = (struct kb_scope_item){ KB_SCOPE_ALL, 0, model->all_total };
	for (uint32_t i = 0; i < n_processes; i++) {
		uint32_t first;

		top->scopes[n++] = processes[i];
		first = n;
		for (uint32_t t = 0; t < n_threads; t++) {
			if (kb_profile__thread(top->profile, t)->process == processes[i].id)
				top->scopes[n++] = (struct kb_scope_item){ KB_SCOPE_THREAD, t,
									   model->threads[t] };
		}
		if (n > first)
			qsort(top->scopes + first, n - first, sizeof(*top->scopes), compare);
	}
	top->threads.n = n;
}

struct kb_error *kb_top__update_scopes(struct kb_top *top)
{
	uint32_t n_processes = top->model->n_processes, n_threads = top->model->n_threads;

	/* Only while it is shown: with very many threads it takes a while. */
	if (top->page != KB_PAGE_THREADS)
		return NULL;
	if (!kb_grow((void **)&top->scopes, &top->scopes_capacity,
		     1 + 2 * (size_t)n_processes + n_threads, sizeof(*top->scopes)))
		return kb_error__no_memory();
	fill(top, n_processes, n_threads);
	return NULL;
}

void kb_top__cycle_scope(struct kb_top *top, enum kb_scope scope, int step)
{
	uint32_t n = scope == KB_SCOPE_THREAD ? top->model->n_threads : top->model->n_processes;
	struct kb_view_model *model = top->model;
	int64_t at = model->scope == scope ? (int64_t)model->scope_id + step : step > 0 ? 0 : n - 1;

	if (at < 0 || at >= n) {
		model->scope = KB_SCOPE_ALL;
		model->scope_id = 0;
	} else {
		model->scope = scope;
		model->scope_id = at;
	}
}

static void thread_text(const struct kb_top *top, uint32_t id, char *text, size_t size)
{
	const struct kb_thread_info *thread = kb_profile__thread(top->profile, id);
	const char *name = thread->name, *python_name = thread->python_name;

	snprintf(text, size, "thread %d%s%s%s%s", thread->tid, *python_name || *name ? " " : "",
		 python_name, *python_name && *name ? " / " : "", name);
}

void kb_top__scope_text(const struct kb_top *top, enum kb_scope scope, uint32_t id, char *text,
			size_t size)
{
	const struct kb_process_info *process;

	if (scope == KB_SCOPE_THREAD) {
		thread_text(top, id, text, size);
	} else if (scope == KB_SCOPE_PROCESS) {
		process = kb_profile__process(top->profile, id);
		snprintf(text, size, "process %d %s", process->pid,
			 *process->command ? process->command : process->comm);
	} else {
		uint32_t processes = kb_profile__n_processes(top->profile);
		uint32_t threads = kb_profile__n_threads(top->profile);

		snprintf(text, size, "all: %u thread%s, %u process%s", threads,
			 threads == 1 ? "" : "s", processes, processes == 1 ? "" : "es");
	}
}
