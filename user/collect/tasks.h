/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_TASKS_H
#define KB_COLLECT_TASKS_H

#include "collect/session.h"

/*
 * What user space does for the kernel's reading of asyncio's tasks (bpf/python/tasks.bpf.c): tells
 * it where each image has them, and up to 3.13 each process.
 */
struct kb_tasks;

/* Borrows an open session, whose kb_identifier__on_image() it takes: an interpreter of which it is
 * not known where it has tasks is refused. */
struct kb_error *kb_tasks__create(struct kb_session *session, struct kb_tasks **tasks);
void kb_tasks__destroy(struct kb_tasks *tasks);

/* Looks for a process's dict of running tasks (KB_NOTICE_TASKS). */
void kb_tasks__notice(struct kb_tasks *tasks, const struct kb_notice *notice);

#endif
