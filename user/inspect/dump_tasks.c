// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * asyncio's tasks in a dump. They belong to the threads of their event loops: when such a thread
 * slept from before to after the reading, its tasks are as they were at one instant.
 */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/id_map.h"
#include "base/text.h"
#include "inspect/dump.h"
#include "python/remote_asyncio.h"
#include "system/thread_look.h"

#define TRIES_MAX      5
#define TRIES_PAUSE_NS (2 * KB_NS_PER_MS)
#define DEPTH_MAX      64 /* of the tree; deeper tasks are shown beside the roots */
#define INDENT_BYTES   (DEPTH_MAX * 8 + 8)

/* ---------------------------------------------------------------- reading */

/* One try. */
struct
try {
	struct kb_remote_threads threads;
	struct kb_thread_look *looks; /* of each thread, before */
	struct kb_remote_tasks tasks;
};

static void look_at_all(const struct kb_remote *remote, const struct kb_remote_threads *threads,
			struct kb_thread_look *looks)
{
	for (uint32_t i = 0; i < threads->n; i++) {
		memset(&looks[i], 0, sizeof(looks[i]));
		if (threads->threads[i].tid)
			kb_thread_look__take(remote->pid, threads->threads[i].tid, &looks[i]);
	}
}

/* Which threads slept; returns whether all did. */
static bool find_sleepers(const struct kb_remote *remote, const struct try *try, bool *slept)
{
	struct kb_thread_look after;
	bool all = true;

	for (uint32_t i = 0; i < try->threads.n; i++) {
		pid_t tid = try->threads.threads[i].tid;

		memset(&after, 0, sizeof(after));
		if (tid)
			kb_thread_look__take(remote->pid, tid, &after);
		slept[i] = !tid || kb_thread_look__slept(&try->looks[i], &after);
		all &= slept[i];
	}
	return all;
}

static bool is_racy(const struct try *try, const bool *slept, const struct kb_remote_task *task,
		    bool all)
{
	for (uint32_t i = 0; i < try->threads.n && !all; i++) {
		if (task->loop_ident && try->threads.threads[i].ident == task->loop_ident)
			return !slept[i];
	}
	return !all;
}

static void free_tasks(struct kb_dump_task_data *tasks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		kb_dump_frames__free(&tasks[i].stack);
		free(tasks[i].awaited_by);
	}
	free(tasks);
}

void kb_dump__free_tasks(struct kb_dump_process_data *process)
{
	free_tasks(process->tasks, process->info.n_tasks);
	process->tasks = NULL;
	process->info.n_tasks = 0;
}

static void take_task(struct kb_dump *dump, struct kb_dump_process_data *process,
		      const struct kb_remote_task *from, struct kb_dump_task_data *task)
{
	task->info = (struct kb_dump_task){
		.address = from->address,
		.name = kb_dump__string(dump, from->name ? from->name : ""),
		.thread = from->loop_ident,
		.running = from->running,
		.waits_for =
			kb_dump__string(dump, from->waits_for_type ? from->waits_for_type : ""),
	};
	kb_dump_frames__fill(dump, &process->remote, &from->coroutines, &task->stack);
	task->info.n_frames = task->stack.n;
	task->info.cut = task->stack.cut;
}

static bool wanted(const struct kb_dump *dump, const struct kb_remote_task *task)
{
	return task->running || dump->opts.async == KB_DUMP_ALL_TASKS;
}

/* Addresses of awaiters become numbers of tasks; those that are not in the list are left out. */
static void link_awaiters(const struct kb_remote_task *from, const struct kb_id_map *places,
			  struct kb_dump_task_data *task)
{
	if (!from->n_awaited_by)
		return;
	task->awaited_by = calloc(from->n_awaited_by, sizeof(*task->awaited_by));
	for (uint32_t i = 0; task->awaited_by && i < from->n_awaited_by; i++) {
		uint32_t place = kb_id_map__get(places, from->awaited_by[i], 0);

		if (place != KB_ID_MAP_NONE)
			task->awaited_by[task->info.n_awaited_by++] = place;
	}
}

/* Everything is read here, names and values too, before the threads are looked at again. */
static struct kb_error *take_tasks(struct kb_dump *dump, struct kb_dump_process_data *process,
				   const struct kb_remote_tasks *list)
{
	struct kb_dump_task_data *tasks = calloc(list->n ? list->n : 1, sizeof(*tasks));
	struct kb_id_map places;
	uint32_t n = 0;

	if (!tasks)
		return kb_error__no_memory();
	kb_id_map__init(&places, KB_REMOTE_TASKS_MAX);
	for (uint32_t i = 0; i < list->n; i++) {
		if (!wanted(dump, &list->tasks[i]))
			continue;
		kb_id_map__set(&places, list->tasks[i].address, 0, n);
		take_task(dump, process, &list->tasks[i], &tasks[n++]);
	}
	n = 0;
	for (uint32_t i = 0; i < list->n; i++) {
		if (wanted(dump, &list->tasks[i]))
			link_awaiters(&list->tasks[i], &places, &tasks[n++]);
	}
	kb_id_map__free(&places);
	kb_dump__free_tasks(process);
	process->tasks = tasks;
	process->info.n_tasks = n;
	return NULL;
}

static void mark_racy(struct kb_dump *dump, struct kb_dump_process_data *process,
		      const struct try *try, const bool *slept, bool all)
{
	size_t n = 0;

	for (uint32_t i = 0; i < try->tasks.n; i++) {
		if (!wanted(dump, &try->tasks.tasks[i]))
			continue;
		process->tasks[n].info.racy = is_racy(try, slept, &try->tasks.tasks[i], all);
		for (uint32_t j = 0; j < process->tasks[n].stack.n; j++)
			process->tasks[n].stack.frames[j].info.racy = process->tasks[n].info.racy;
		n++;
	}
}

/* *settled: no task is racy. */
static struct kb_error *try_tasks(struct kb_dump *dump, struct kb_dump_process_data *process,
				  const struct kb_remote_asyncio *asyncio, struct try *try,
				  bool *settled)
{
	struct kb_error *err;
	bool *slept;

	KB_TRY(kb_remote_threads__read(&process->remote, &try->threads));
	try->looks = calloc(try->threads.n + 1, sizeof(*try->looks));
	slept = calloc(try->threads.n + 1, sizeof(*slept));
	err = try->looks && slept ? NULL : kb_error__no_memory();
	if (!err) {
		look_at_all(&process->remote, &try->threads, try->looks);
		kb_remote_tasks__read(&process->remote, asyncio, &try->threads, &try->tasks);
		err = take_tasks(dump, process, &try->tasks);
	}
	if (!err)
		mark_racy(dump, process, try, slept, find_sleepers(&process->remote, try, slept));
	*settled = true;
	for (size_t i = 0; i < process->info.n_tasks; i++)
		*settled &= !process->tasks[i].info.racy;
	free(slept);
	free(try->looks);
	kb_remote_tasks__free(&try->tasks);
	kb_remote_threads__free(&try->threads);
	return err;
}

struct kb_error *kb_dump__read_tasks(struct kb_dump *dump, struct kb_dump_process_data *process)
{
	const struct timespec pause = { .tv_nsec = TRIES_PAUSE_NS };
	struct kb_remote_asyncio asyncio;
	struct kb_error *err = NULL;
	bool settled = false;

	if (!kb_remote_asyncio__open(&process->remote, &asyncio))
		return NULL;
	for (int i = 0; i < TRIES_MAX && !settled && !err; i++) {
		struct try try = {};

		if (i)
			nanosleep(&pause, NULL);
		err = try_tasks(dump, process, &asyncio, &try, &settled);
	}
	/* It ended meanwhile: its threads' stacks are known. */
	if (err && kb_error__status(err) == KB_STATUS_FAILED) {
		kb_error__destroy(err);
		err = NULL;
	}
	return err;
}

/* ---------------------------------------------------------------- tree */

struct tree {
	const struct kb_dump_process_data *process;
	FILE *stream;
	bool *shown;
	char indent[INDENT_BYTES];
};

static bool awaits(const struct kb_dump_process_data *process, size_t task, size_t awaiter)
{
	for (size_t i = 0; i < process->tasks[task].info.n_awaited_by; i++) {
		if (process->tasks[task].awaited_by[i] == awaiter)
			return true;
	}
	return false;
}

static void write_title(const struct tree *tree, const struct kb_dump_task *task)
{
	fputs("Task ", tree->stream);
	if (task->name[0])
		kb_text__write(tree->stream, task->name);
	else
		fprintf(tree->stream, "0x%llx", (unsigned long long)task->address);
	if (task->running)
		fprintf(tree->stream, ", running in thread 0x%016llx",
			(unsigned long long)task->thread);
	else if (task->waits_for[0] && !strstr(task->waits_for, "Task")) {
		fputs(", waits for ", tree->stream);
		kb_text__write(tree->stream, task->waits_for);
	}
	if (task->racy)
		fputs(", changing", tree->stream);
}

static void write_task(struct tree *tree, size_t index, bool last, int depth);

/* Those that this one waits for. */
static void write_children(struct tree *tree, size_t index, int depth)
{
	size_t n = 0, left;

	for (size_t i = 0; i < tree->process->info.n_tasks; i++)
		n += awaits(tree->process, i, index);
	left = n;
	for (size_t i = 0; i < tree->process->info.n_tasks && left; i++) {
		if (awaits(tree->process, i, index))
			write_task(tree, i, !--left, depth + 1);
	}
}

static void write_task(struct tree *tree, size_t index, bool last, int depth)
{
	const struct kb_dump_task_data *task = &tree->process->tasks[index];
	size_t length = strlen(tree->indent);
	bool again = tree->shown[index];
	char lines[INDENT_BYTES + 8];

	fprintf(tree->stream, "%s%s ", tree->indent, last ? "└──" : "├──");
	write_title(tree, &task->info);
	fputs(again ? ", shown above\n" : "\n", tree->stream);
	if (again || depth == DEPTH_MAX)
		return;
	tree->shown[index] = true;
	strcat(tree->indent, last ? "    " : "│   ");
	snprintf(lines, sizeof(lines), "%s", tree->indent);
	/* As in a traceback: the outermost coroutine is what the task was made of. */
	for (uint32_t i = 0; i < task->stack.n; i++)
		kb_dump_frame__write(&task->stack.frames[i], lines, tree->stream);
	if (task->stack.cut)
		fprintf(tree->stream, "%s...\n", lines);
	write_children(tree, index, depth);
	tree->indent[length] = '\0';
}

void kb_dump__write_tasks(const struct kb_dump_process_data *process, FILE *stream)
{
	struct tree tree = { .process = process, .stream = stream };
	size_t n = process->info.n_tasks, last = 0;

	if (!n)
		return;
	tree.shown = calloc(n, sizeof(*tree.shown));
	if (!tree.shown)
		return;
	fputs("\nTasks (most recent call first):\n", stream);
	for (size_t i = 0; i < n; i++) {
		if (!process->tasks[i].info.n_awaited_by)
			last = i;
	}
	for (size_t i = 0; i < n; i++) {
		if (!process->tasks[i].info.n_awaited_by)
			write_task(&tree, i, i == last, 0);
	}
	/* Those that wait for each other in a circle, and what lies too deep. */
	for (size_t i = 0; i < n; i++) {
		if (!tree.shown[i])
			write_task(&tree, i, true, 0);
	}
	free(tree.shown);
}
