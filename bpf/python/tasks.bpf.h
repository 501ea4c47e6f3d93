/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_TASKS_BPF_H
#define KB_PYTHON_TASKS_BPF_H

#include "common/maps.bpf.h"
#include "python/walk.bpf.h"

/*
 * Before the walk, after kb_find_thread(): which tasks may the thread be running? The walk then
 * finds the one whose coroutine is in the stack. Does nothing unless the run asks for tasks.
 */
int kb_tasks_find(struct kb_walk *walk, struct kb_proc *proc, const struct kb_layout *layout);

/* After the walk: appends the task that was found and those that wait for it to the tail. */
int kb_tasks_append(struct kb_walk *walk, struct kb_proc *proc, const struct kb_layout *layout);

#endif
