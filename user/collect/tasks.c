// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/error.h"
#include "collect/tasks.h"
#include "kernel/task_maps.h"
#include "python/remote_asyncio.h"

struct kb_tasks {
	const struct kb_session *session;
	struct kb_task_maps maps;
};

static struct kb_error *add_image(uint32_t image, const struct kb_image_info *info,
				  const char *path, void *context)
{
	struct kb_tasks *tasks = context;

	if (!info->tasks.code_type)
		return kb_unsupported("--async: where this Python %s%s keeps tasks is not known",
				      info->version, info->free_threaded ? " (free-threaded)" : "");
	return kb_task_maps__set_layout(&tasks->maps, image, &info->tasks);
}

struct kb_error *kb_tasks__create(struct kb_session *session, struct kb_tasks **result)
{
	struct kb_tasks *tasks = calloc(1, sizeof(*tasks));

	if (!tasks)
		return kb_error__no_memory();
	tasks->session = session;
	kb_programs__task_maps(session->programs, &tasks->maps);
	kb_identifier__on_image(session->identifier, add_image, tasks);
	*result = tasks;
	return NULL;
}

void kb_tasks__destroy(struct kb_tasks *tasks)
{
	free(tasks);
}

void kb_tasks__notice(struct kb_tasks *tasks, const struct kb_notice *notice)
{
	struct kb_remote_asyncio asyncio;
	struct kb_remote remote;
	uint32_t pending = 0;
	uint64_t dict = 0;

	if (!kb_identifier__open(tasks->session->identifier, notice->tgid, notice->start_time,
				 &remote))
		return;
	if (kb_remote_asyncio__open(&remote, &asyncio) &&
	    kb_remote_asyncio__current_tasks(&remote, &asyncio, &dict) &&
	    kb_task_maps__set_dict(&tasks->maps, notice->proc, dict, &pending))
		kb_profile__ledger_add(tasks->session->profile, KB_L_TASKS_NOT_FOUND, pending);
	kb_remote__close(&remote);
}
