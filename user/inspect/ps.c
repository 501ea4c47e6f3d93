// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "collect/target.h"
#include "keelback/inspect.h"
#include "python/interpreter.h"
#include "system/container.h"
#include "system/maps.h"
#include "system/process.h"

#define COMMAND_MAX 1024 /* longer command lines are cut */

struct kb_ps {
	struct kb_ps_entry *entries;
	uint32_t count, capacity;
};

static void free_entry(struct kb_ps_entry *entry)
{
	free((char *)entry->version);
	free((char *)entry->build);
	free((char *)entry->container);
	free((char *)entry->command);
	free((char *)entry->reason);
}

void kb_ps__destroy(struct kb_ps *ps)
{
	if (!ps)
		return;
	for (uint32_t i = 0; i < ps->count; i++)
		free_entry(&ps->entries[i]);
	free(ps->entries);
	free(ps);
}

static const char *layout_name(enum kb_layout_source source)
{
	static const char *const names[] = {
		[KB_LAYOUT_DEBUG_OFFSETS] = "debug-offsets",
		[KB_LAYOUT_DWARF] = "dwarf",
		[KB_LAYOUT_BUILT_IN] = "built-in",
	};

	return names[source];
}

static void describe_build(const struct kb_image_info *image, char *text, size_t size)
{
	snprintf(text, size, "%s,%s%s%s", image->shared ? "shared" : "static",
		 image->symbols ? "symbols" : "stripped",
		 image->free_threaded ? ",free-threaded" : "", image->jit ? ",jit" : "");
}

static struct kb_error *complete(const struct kb_ps_entry *entry)
{
	if (entry->version && entry->build && entry->container && entry->command && entry->reason)
		return NULL;
	return kb_error__no_memory();
}

/* refusal: why keelback cannot sample it, or NULL; image is NULL when its interpreter was refused.
 */
static struct kb_error *add(struct kb_ps *ps, pid_t pid, const struct kb_image_info *image,
			    const struct kb_error *refusal)
{
	char container[KB_CONTAINER_NAME_MAX] = "", command[COMMAND_MAX] = "", build[64] = "";
	struct kb_ps_entry *entry, *grown;

	grown = kb_array__grow(ps->entries, &ps->capacity, ps->count + 1, sizeof(*entry),
			       KB_PIDS_MAX);
	if (!grown)
		return kb_error__no_memory();
	ps->entries = grown;
	entry = &ps->entries[ps->count++];
	kb_container__of_pid(pid, container, sizeof(container));
	kb_process__command(pid, command, sizeof(command));
	/* Arguments of `python -c` often have several lines. */
	for (char *c = command; *c; c++)
		*c = *c == '\n' || *c == '\t' ? ' ' : *c;
	if (image)
		describe_build(image, build, sizeof(build));
	*entry = (struct kb_ps_entry){
		.pid = pid,
		.ns_pid = kb_process__ns_pid(pid),
		.version = strdup(image ? image->version : ""),
		.build = strdup(build),
		.layout = image ? layout_name(image->layout_source) : "",
		.container = strdup(container),
		.command = strdup(command),
		.sample = !refusal,
		.reason = strdup(kb_error__text(refusal)),
	};
	return complete(entry);
}

/* Whether we could tell what runs in it. */
static bool is_visible(pid_t pid)
{
	struct kb_maps maps;
	struct kb_error *err = kb_maps__read(pid, &maps);

	if (err) {
		kb_error__destroy(err);
		return false;
	}
	kb_maps__free(&maps);
	return true;
}

/* Adds the process if it is a Python one. *hidden counts those that may not be looked at. */
static struct kb_error *look_at(struct kb_ps *ps, struct kb_image_cache *cache, pid_t pid,
				unsigned *hidden)
{
	struct kb_interpreter interp = {};
	struct kb_process_stat stat;
	bool found = false;
	struct kb_error *refusal = kb_interpreter__find(cache, pid, &found, &interp), *err = NULL;

	if (!refusal && !found)
		return NULL;
	if (!refusal && interp.initialized)
		refusal = kb_interpreter__validate(pid, &interp);
	if (found || is_visible(pid))
		err = add(ps, pid, found ? interp.image : NULL, refusal);
	else if (kb_process__stat(pid, &stat))
		(*hidden)++;
	kb_error__destroy(refusal);
	return err;
}

static struct kb_error *look_at_all(struct kb_ps *ps, const struct kb_pids *pids)
{
	struct kb_image_cache *cache;
	struct kb_error *err = NULL;
	unsigned hidden = 0;

	KB_TRY(kb_image_cache__create(&cache));
	for (size_t i = 0; i < pids->n && !err; i++)
		err = look_at(ps, cache, pids->ids[i], &hidden);
	kb_image_cache__destroy(cache);
	if (!err && hidden)
		kb_warn("not allowed to look at %u %s", hidden,
			hidden == 1 ? "process" : "processes");
	return err;
}

struct kb_error *kb_ps__scan(const struct kb_target *target, struct kb_ps **result)
{
	struct kb_ps *ps = calloc(1, sizeof(*ps));
	struct kb_pids pids = {};
	struct kb_error *err;

	if (!ps)
		return kb_error__no_memory();
	err = target ? kb_target__processes(target, &pids) : kb_process__all(&pids);
	if (!err)
		err = look_at_all(ps, &pids);
	kb_pids__free(&pids);
	if (err)
		kb_ps__destroy(ps);
	else
		*result = ps;
	return err;
}

size_t kb_ps__count(const struct kb_ps *ps)
{
	return ps->count;
}

const struct kb_ps_entry *kb_ps__at(const struct kb_ps *ps, size_t index)
{
	return index < ps->count ? &ps->entries[index] : NULL;
}
