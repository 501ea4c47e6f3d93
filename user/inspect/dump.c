// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "collect/target.h"
#include "inspect/dump.h"
#include "python/interpreter.h"
#include "system/process.h"

#define STRINGS_BYTES_MAX (256u << 20)
#define STRINGS_MAX	  (16u << 20)
#define TIMEOUT_MS	  2000
#define DEPTH		  3
#define ITEMS		  10
#define CHARACTERS	  120
/* Values beyond these would be no summary any more, and a nest of such takes exponential time. */
#define DEPTH_MAX      20
#define ITEMS_MAX      10000
#define CHARACTERS_MAX 100000

const char *kb_dump__string(struct kb_dump *dump, const char *text)
{
	uint32_t id = kb_strpool__add(dump->strings, text, strlen(text));

	return id == KB_STRPOOL_NONE ? "<no room>" : kb_strpool__at(dump->strings, id);
}

static unsigned or_default(unsigned value, unsigned otherwise)
{
	return value ? value : otherwise;
}

static struct kb_error *set_opts(struct kb_dump *dump, const struct kb_dump_opts *given)
{
	struct kb_dump_opts *opts = &dump->opts;

	KB_TRY(KB_COPY_OPTIONS(opts, given));
	opts->frames = or_default(opts->frames, KB_DUMP_FRAMES_DEFAULT);
	opts->timeout_ms = or_default(opts->timeout_ms, TIMEOUT_MS);
	opts->depth = or_default(opts->depth, DEPTH);
	opts->items = or_default(opts->items, ITEMS);
	opts->characters = or_default(opts->characters, CHARACTERS);
	if (opts->depth > DEPTH_MAX || opts->items > ITEMS_MAX || opts->characters > CHARACTERS_MAX)
		return kb_usage("values are written at most %d deep, %d items and %d characters "
				"long",
				DEPTH_MAX, ITEMS_MAX, CHARACTERS_MAX);
	return NULL;
}

/* ---------------------------------------------------------------- taking */

/* What was found out so far is dropped: the process is listed with the reason. */
static struct kb_error *note_failure(struct kb_dump *dump, uint32_t before, pid_t pid,
				     const char *reason)
{
	if (dump->n == before)
		KB_TRY(kb_dump__add_failed(dump, pid));
	dump->processes[dump->n - 1].info.error = kb_dump__string(dump, reason);
	return NULL;
}

static struct kb_error *look_at(struct kb_dump *dump, struct kb_image_cache *images, pid_t pid,
				const struct kb_target *target)
{
	bool named = target->filter == KB_FILTER_PIDS && kb_pids__contains(&target->pids, pid);
	uint32_t before = dump->n;
	struct kb_process_stat stat;
	struct kb_error *err;
	bool found = false;

	err = kb_dump__add_process(dump, images, pid, target->tid, &found);
	if (!err && !found && named)
		err = kb_unsupported("process %d is not a Python process", pid);
	if (!err)
		return NULL;
	if (!kb_process__stat(pid, &stat) || stat.state == 'Z') {
		kb_error__destroy(err);
		err = kb_failed("process %d has ended", pid);
	}
	if (named || found) {
		struct kb_error *failure = note_failure(dump, before, pid, kb_error__text(err));

		kb_error__destroy(err);
		return failure;
	}
	kb_info("process %d is left out: %s", pid, kb_error__text(err));
	kb_error__destroy(err);
	return NULL;
}

static struct kb_error *read_processes(struct kb_dump *dump, const struct kb_target *target)
{
	struct kb_image_cache *images;
	struct kb_pids pids = {};
	uint32_t left = 0;
	struct kb_error *err;

	if (dump->opts.native)
		KB_TRY(kb_dump_native__create(dump));
	KB_TRY(kb_image_cache__create(&images));
	err = kb_target__processes(target, &pids);
	for (size_t i = 0; i < pids.n && !err; i++) {
		if (pids.ids[i] == getpid())
			continue;
		err = look_at(dump, images, pids.ids[i], target);
		/* At once: what sleeps now may not later. */
		if (!err && dump->n && dump->processes[dump->n - 1].info.pid == pids.ids[i] &&
		    dump->processes[dump->n - 1].open)
			left += kb_dump__try_asleep(dump, &dump->processes[dump->n - 1]);
	}
	if (!err && left)
		err = kb_dump__catch_running(dump);
	for (uint32_t i = 0; i < dump->n && dump->opts.async && !err; i++) {
		if (dump->processes[i].open)
			err = kb_dump__read_tasks(dump, &dump->processes[i]);
	}
	kb_pids__free(&pids);
	/* The images are the remotes' until here. */
	for (uint32_t i = 0; i < dump->n; i++) {
		kb_remote__close(&dump->processes[i].remote);
		kb_code_map__destroy(dump->processes[i].code);
		dump->processes[i].code = NULL;
		dump->processes[i].open = false;
	}
	kb_image_cache__destroy(images);
	return err;
}

/* Threads that ended while the dump was taken. */
static void drop_gone(struct kb_dump_process_data *process)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < process->n_threads; i++) {
		struct kb_dump_thread_data *thread = &process->threads[i];

		if (thread->gone) {
			kb_dump_frames__free(&thread->stack);
			free(thread->native);
		} else {
			thread->info.n_frames = thread->stack.n;
			thread->info.cut = thread->stack.cut;
			process->threads[n++] = *thread;
		}
	}
	process->n_threads = n;
	process->info.n_threads = n;
}

/* One that could not be read is an error when there is no other. */
static struct kb_error *check(const struct kb_dump *dump, const struct kb_target *target)
{
	const struct kb_dump_process *failed = NULL;

	for (uint32_t i = 0; i < dump->n; i++) {
		if (!dump->processes[i].info.error[0])
			return NULL;
		failed = failed ?: &dump->processes[i].info;
	}
	if (failed)
		return kb_unsupported("%s", failed->error);
	return kb_unsupported("%s: no Python process", kb_target__describe(target));
}

static struct kb_error *take(struct kb_dump *dump, const struct kb_target *target,
			     const struct kb_dump_opts *opts)
{
	KB_TRY(set_opts(dump, opts));
	if (target->argv)
		return kb_usage("a command that does not run yet has no stacks");
	dump->strings = kb_strpool__create(STRINGS_BYTES_MAX, STRINGS_MAX);
	if (!dump->strings)
		return kb_error__no_memory();
	KB_TRY(read_processes(dump, target));
	for (uint32_t i = 0; i < dump->n; i++)
		drop_gone(&dump->processes[i]);
	return check(dump, target);
}

struct kb_error *kb_dump__take(const struct kb_target *target, const struct kb_dump_opts *opts,
			       struct kb_dump **result)
{
	struct kb_dump *dump = calloc(1, sizeof(*dump));
	struct kb_error *err;

	if (!dump)
		return kb_error__no_memory();
	err = take(dump, target, opts);
	if (err)
		kb_dump__destroy(dump);
	else
		*result = dump;
	return err;
}

struct kb_error *kb_dump__create_empty(unsigned frames, struct kb_dump **result)
{
	struct kb_dump_opts opts = { .size = sizeof(opts), .frames = frames };
	struct kb_dump *dump = calloc(1, sizeof(*dump));
	struct kb_error *err = NULL;

	if (!dump)
		return kb_error__no_memory();
	err = set_opts(dump, &opts);
	dump->strings = kb_strpool__create(STRINGS_BYTES_MAX, STRINGS_MAX);
	if (!err && !dump->strings)
		err = kb_error__no_memory();
	if (err)
		kb_dump__destroy(dump);
	else
		*result = dump;
	return err;
}

struct kb_error *kb_dump__add_empty(struct kb_dump *dump, uint32_t threads)
{
	KB_TRY(kb_dump__add_failed(dump, 0));
	dump->processes[0].threads = calloc(threads + 1, sizeof(*dump->processes[0].threads));
	return dump->processes[0].threads ? NULL : kb_error__no_memory();
}

void kb_dump__destroy(struct kb_dump *dump)
{
	if (!dump)
		return;
	for (uint32_t i = 0; i < dump->n; i++) {
		struct kb_dump_process_data *process = &dump->processes[i];

		for (uint32_t j = 0; j < process->n_threads; j++) {
			kb_dump_frames__free(&process->threads[j].stack);
			free(process->threads[j].native);
		}
		free(process->threads);
		kb_dump__free_tasks(process);
		kb_code_map__destroy(process->code);
		kb_remote__close(&process->remote);
	}
	free(dump->processes);
	kb_dump_native__destroy(dump->native);
	kb_strpool__destroy(dump->strings);
	free(dump);
}

/* ---------------------------------------------------------------- reading it */

size_t kb_dump__n_processes(const struct kb_dump *dump)
{
	return dump->n;
}

const struct kb_dump_process *kb_dump__process(const struct kb_dump *dump, size_t process)
{
	return process < dump->n ? &dump->processes[process].info : NULL;
}

static const struct kb_dump_thread_data *thread_at(const struct kb_dump *dump, size_t process,
						   size_t thread)
{
	return process < dump->n && thread < dump->processes[process].n_threads
		       ? &dump->processes[process].threads[thread]
		       : NULL;
}

const struct kb_dump_thread *kb_dump__thread(const struct kb_dump *dump, size_t process,
					     size_t thread)
{
	const struct kb_dump_thread_data *data = thread_at(dump, process, thread);

	return data ? &data->info : NULL;
}

static const struct kb_dump_frame_data *frame_at(const struct kb_dump *dump, size_t process,
						 size_t thread, size_t frame)
{
	const struct kb_dump_thread_data *data = thread_at(dump, process, thread);

	return data && frame < data->stack.n ? &data->stack.frames[frame] : NULL;
}

const struct kb_dump_frame *kb_dump__frame(const struct kb_dump *dump, size_t process,
					   size_t thread, size_t frame)
{
	const struct kb_dump_frame_data *data = frame_at(dump, process, thread, frame);

	return data ? &data->info : NULL;
}

const struct kb_dump_local *kb_dump__local(const struct kb_dump *dump, size_t process,
					   size_t thread, size_t frame, size_t local)
{
	const struct kb_dump_frame_data *data = frame_at(dump, process, thread, frame);

	return data && local < data->info.n_locals ? &data->locals[local] : NULL;
}

static const struct kb_dump_task_data *task_at(const struct kb_dump *dump, size_t process,
					       size_t task)
{
	return process < dump->n && task < dump->processes[process].info.n_tasks
		       ? &dump->processes[process].tasks[task]
		       : NULL;
}

const struct kb_dump_task *kb_dump__task(const struct kb_dump *dump, size_t process, size_t task)
{
	const struct kb_dump_task_data *data = task_at(dump, process, task);

	return data ? &data->info : NULL;
}

static const struct kb_dump_frame_data *task_frame_at(const struct kb_dump *dump, size_t process,
						      size_t task, size_t frame)
{
	const struct kb_dump_task_data *data = task_at(dump, process, task);

	return data && frame < data->stack.n ? &data->stack.frames[frame] : NULL;
}

const struct kb_dump_frame *kb_dump__task_frame(const struct kb_dump *dump, size_t process,
						size_t task, size_t frame)
{
	const struct kb_dump_frame_data *data = task_frame_at(dump, process, task, frame);

	return data ? &data->info : NULL;
}

const struct kb_dump_local *kb_dump__task_local(const struct kb_dump *dump, size_t process,
						size_t task, size_t frame, size_t local)
{
	const struct kb_dump_frame_data *data = task_frame_at(dump, process, task, frame);

	return data && local < data->info.n_locals ? &data->locals[local] : NULL;
}

size_t kb_dump__task_awaiter(const struct kb_dump *dump, size_t process, size_t task,
			     size_t awaiter)
{
	const struct kb_dump_task_data *data = task_at(dump, process, task);

	return data && awaiter < data->info.n_awaited_by ? data->awaited_by[awaiter] : SIZE_MAX;
}
