// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "collect/target.h"
#include "inspect/census.h"
#include "python/interpreter.h"
#include "system/process.h"

#define STRINGS_BYTES_MAX (64u << 20)
#define STRINGS_MAX	  (1u << 20)
#define COMMAND_BYTES	  1024
#define LARGEST		  20

const char *kb_census__string(struct kb_census *census, const char *text)
{
	uint32_t id = kb_strpool__add(census->strings, text, strlen(text));

	return id == KB_STRPOOL_NONE ? "<no room>" : kb_strpool__at(census->strings, id);
}

static struct kb_census_data *append(struct kb_census *census, pid_t pid)
{
	struct kb_census_data *grown = kb_array__grow(census->processes, &census->capacity,
						      census->n + 1, sizeof(*grown), KB_PIDS_MAX);

	if (!grown)
		return NULL;
	census->processes = grown;
	memset(&grown[census->n], 0, sizeof(*grown));
	grown[census->n].info = (struct kb_census_process){
		.pid = pid, .ns_pid = pid, .python = "", .command = "", .error = ""
	};
	return &grown[census->n++];
}

/* ---------------------------------------------------------------- one process */

static struct kb_error *read_heap(struct kb_census *census, const struct kb_interpreter *interp,
				  struct kb_census_data *data)
{
	struct kb_remote remote;
	struct kb_heap heap;
	struct kb_error *err;

	data->info.at_ns = kb_now(CLOCK_MONOTONIC);
	KB_TRY(kb_remote__open(data->info.pid, interp, &remote));
	err = kb_heap__read(&remote, interp, census->largest, &heap);
	data->info.took_ns = kb_now(CLOCK_MONOTONIC) - data->info.at_ns;
	if (!err) {
		err = kb_census__fill(census, data, &heap);
		kb_heap__free(&heap);
	}
	kb_remote__close(&remote);
	return err;
}

static struct kb_error *add_process(struct kb_census *census, struct kb_image_cache *images,
				    pid_t pid, bool *found)
{
	struct kb_census_data *data;
	struct kb_interpreter interp;
	struct kb_process_stat stat;
	char command[COMMAND_BYTES];

	KB_TRY(kb_interpreter__find(images, pid, found, &interp));
	if (!*found)
		return NULL;
	if (!interp.initialized)
		return kb_unsupported("process %d: its interpreter is not initialized yet", pid);
	KB_TRY(kb_interpreter__validate(pid, &interp));
	data = append(census, pid);
	if (!data)
		return kb_error__no_memory();
	kb_process__command(pid, command, sizeof(command));
	data->info.ns_pid = kb_process__ns_pid(pid);
	data->info.python = kb_census__string(census, interp.image->version);
	data->info.command = kb_census__string(census, command);
	if (kb_process__stat(pid, &stat))
		data->info.start_ns = stat.start_ns;
	return read_heap(census, &interp, data);
}

static struct kb_error *note_failure(struct kb_census *census, uint32_t before, pid_t pid,
				     const char *reason)
{
	struct kb_census_data *data =
		census->n == before ? append(census, pid) : &census->processes[census->n - 1];

	if (!data)
		return kb_error__no_memory();
	data->info.error = kb_census__string(census, reason);
	return NULL;
}

static struct kb_error *look_at(struct kb_census *census, struct kb_image_cache *images, pid_t pid,
				const struct kb_target *target)
{
	bool named = target->filter == KB_FILTER_PIDS && kb_pids__contains(&target->pids, pid);
	uint32_t before = census->n;
	struct kb_process_stat stat;
	struct kb_error *err, *failure = NULL;
	bool found = false;

	err = add_process(census, images, pid, &found);
	if (!err && !found && named)
		err = kb_unsupported("process %d is not a Python process", pid);
	if (!err)
		return NULL;
	if (!kb_process__stat(pid, &stat) || stat.state == 'Z') {
		kb_error__destroy(err);
		err = kb_failed("process %d has ended", pid);
	}
	if (named || found)
		failure = note_failure(census, before, pid, kb_error__text(err));
	else
		kb_info("process %d is left out: %s", pid, kb_error__text(err));
	kb_error__destroy(err);
	return failure;
}

/* ---------------------------------------------------------------- all of them */

/* One that could not be read is an error when there is no other. */
static struct kb_error *check(const struct kb_census *census, const struct kb_target *target)
{
	const struct kb_census_process *failed = NULL;

	for (uint32_t i = 0; i < census->n; i++) {
		if (!census->processes[i].info.error[0])
			return NULL;
		failed = failed ?: &census->processes[i].info;
	}
	if (failed)
		return kb_unsupported("%s", failed->error);
	return kb_unsupported("%s: no Python process", kb_target__describe(target));
}

static struct kb_error *take(struct kb_census *census, const struct kb_target *target,
			     const struct kb_census_opts *given)
{
	struct kb_census_opts opts;
	struct kb_image_cache *images;
	struct kb_pids pids = {};
	struct kb_error *err;

	KB_TRY(KB_COPY_OPTIONS(&opts, given));
	if (opts.largest > KB_HEAP_LARGEST_MAX)
		return kb_usage("at most %d of the largest objects are listed",
				KB_HEAP_LARGEST_MAX);
	if (target->argv)
		return kb_usage("a command that does not run yet has no heap");
	census->largest = opts.largest ? opts.largest : LARGEST;
	census->strings = kb_strpool__create(STRINGS_BYTES_MAX, STRINGS_MAX);
	if (!census->strings)
		return kb_error__no_memory();
	KB_TRY(kb_image_cache__create(&images));
	err = kb_target__processes(target, &pids);
	for (size_t i = 0; i < pids.n && !err; i++) {
		if (pids.ids[i] != getpid())
			err = look_at(census, images, pids.ids[i], target);
	}
	kb_pids__free(&pids);
	kb_image_cache__destroy(images);
	return err ? err : check(census, target);
}

struct kb_error *kb_census__take(const struct kb_target *target, const struct kb_census_opts *opts,
				 struct kb_census **result)
{
	struct kb_census *census = calloc(1, sizeof(*census));
	struct kb_error *err;

	if (!census)
		return kb_error__no_memory();
	err = take(census, target, opts);
	if (err)
		kb_census__destroy(census);
	else
		*result = census;
	return err;
}

void kb_census__destroy(struct kb_census *census)
{
	if (!census)
		return;
	for (uint32_t i = 0; i < census->n; i++)
		kb_census__free_data(&census->processes[i]);
	free(census->processes);
	kb_strpool__destroy(census->strings);
	free(census);
}

/* ---------------------------------------------------------------- reading it */

size_t kb_census__n_processes(const struct kb_census *census)
{
	return census->n;
}

const struct kb_census_process *kb_census__process(const struct kb_census *census, size_t process)
{
	return process < census->n ? &census->processes[process].info : NULL;
}

#define AT(list, count)                                                                            \
	(process < census->n && index < census->processes[process].info.count                      \
		 ? &census->processes[process].list[index]                                         \
		 : NULL)

const struct kb_census_type *kb_census__type(const struct kb_census *census, size_t process,
					     size_t index)
{
	return AT(types, n_types);
}

const struct kb_census_class *kb_census__class(const struct kb_census *census, size_t process,
					       size_t index)
{
	return AT(classes, n_classes);
}

const struct kb_census_object *kb_census__largest(const struct kb_census *census, size_t process,
						  size_t index)
{
	return AT(largest, n_largest);
}

const struct kb_census_ledger *kb_census__ledger(const struct kb_census *census, size_t process,
						 size_t index)
{
	return AT(ledger, n_ledger);
}
