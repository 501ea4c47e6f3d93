/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_ASYNCIO_OFFSETS_H
#define KB_PYTHON_ASYNCIO_OFFSETS_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/shared/layout.h"

/*
 * Where things are in a task of C code (TaskObj in Modules/_asynciomodule.c), and where 3.14 and
 * later keep lists of them. KB_NO_OFFSET: not in this version. Tasks of Python code have
 * attributes.
 */
struct kb_asyncio_offsets {
	uint32_t task_coro; /* the future that is waited for (task_fut_waiter) lies before it */
	uint32_t task_name; /* from 3.8 */
	uint32_t task_loop;
	/* From 3.14. */
	uint32_t task_is_task, task_awaited_by, task_awaited_by_is_set, task_node;
	uint32_t interp_tasks_head, thread_tasks_head, thread_running_task;
};

/*
 * From 3.14 the module says so itself: the section .AsyncioDebug of _asyncio's file (or of the
 * interpreter's, where the module is built in) holds struct _Py_AsyncioModuleDebugOffsets, of so
 * many words. False: what they say is no offset.
 */
#define KB_ASYNCIO_WORDS 13
bool kb_asyncio_offsets__parse(const uint64_t words[KB_ASYNCIO_WORDS],
			       const struct kb_layout *layout, struct kb_asyncio_offsets *offsets);

/*
 * From a table: what each version up to 3.13 has, and what was found in builds of 3.14 and later,
 * for when the section is not to be had. False: not known (free-threaded builds from 3.14).
 */
bool kb_asyncio_offsets__built_in(const struct kb_layout *layout,
				  struct kb_asyncio_offsets *offsets);

#endif
