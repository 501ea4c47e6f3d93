/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_TASK_NAMES_H
#define KB_COLLECT_TASK_NAMES_H

#include <stddef.h>
#include <stdint.h>
#include "bpf/shared/events.h"
#include "bpf/shared/tasks.h"

/* Names of asyncio's tasks by their keys in stacks, as the kernel sends them. */
struct kb_task_names;

/* NULL: out of memory. */
struct kb_task_names *kb_task_names__create(void);
void kb_task_names__destroy(struct kb_task_names *names);

/* A record of the kernel, whose text came from the target. */
void kb_task_names__add(struct kb_task_names *names, const struct kb_data_task *record,
			size_t size);

/*
 * What stands in a stack for a task: "<task NAME>", "<task NAME (2 parents)>" where several wait
 * for it, of which one is followed. Writes it into text, cut where it does not fit.
 */
#define KB_TASK_LABEL_MAX (KB_TASK_NAME_MAX * 3 + 64) /* UTF-8 of so many bytes of UCS-2 */
void kb_task_names__label(const struct kb_task_names *names, uint64_t key, uint32_t waiters,
			  char text[KB_TASK_LABEL_MAX]);
/* The same for a name that is known. */
void kb_task_label(const char *name, uint32_t waiters, char text[KB_TASK_LABEL_MAX]);

#endif
