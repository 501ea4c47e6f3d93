/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_ASYNCIO_H
#define KB_PYTHON_REMOTE_ASYNCIO_H

#include "python/remote_frames.h"

/*
 * asyncio's tasks and the coroutines in which they wait, of a live process. See
 * remote_asyncio.c for where each version keeps them.
 */
#define KB_REMOTE_TASKS_MAX 65536

/* Where things are in a task of C code (_asyncio.Task); Python's own tasks have attributes. */
struct kb_remote_asyncio {
	uint32_t task_coro; /* the future that is waited for (task_fut_waiter) lies before it */
	uint32_t task_name; /* KB_NO_OFFSET up to 3.7 */
	uint32_t task_loop;
	/* From 3.14, else KB_NO_OFFSET. */
	uint32_t task_awaited_by, task_awaited_by_is_set, task_node;
	uint32_t interp_tasks_head, thread_tasks_head, thread_running_task;
	/* 3.6: addresses of static variables of _asyncio, 0 where its symbols are stripped. */
	uint64_t all_tasks, current_tasks;
};

/*
 * False: the process does not use asyncio (3.14 and later: has not loaded it), or the version is
 * not known. interp: as it was opened with.
 */
bool kb_remote_asyncio__open(struct kb_remote *remote, const struct kb_interpreter *interp,
			     struct kb_remote_asyncio *asyncio);

struct kb_remote_task {
	uint64_t address;
	char *name;	     /* UTF-8; "" where there is none */
	uint64_t loop_ident; /* of the thread that runs its loop (threading.get_ident()), 0: not
				known */
	bool running;	     /* it is its loop's current task */
	/* The coroutines that wait for one another, innermost first, as far as they are suspended.
	 */
	struct kb_remote_stack coroutines;
	uint64_t waits_for;   /* address of the future or task that the innermost one waits for, 0:
				 none */
	char *waits_for_type; /* its type's name, "" */
	uint64_t *awaited_by; /* addresses of tasks */
	uint32_t n_awaited_by;
};

struct kb_remote_tasks {
	struct kb_remote_task *tasks;
	uint32_t n, capacity;
	bool cut;
};

/*
 * All tasks of all interpreters that are not done. Read while the threads of their loops sleep, or
 * what comes back is of different moments. threads: of the process. kb_remote_tasks__free() it.
 */
void kb_remote_tasks__read(struct kb_remote *remote, const struct kb_remote_asyncio *asyncio,
			   const struct kb_remote_threads *threads, struct kb_remote_tasks *tasks);
void kb_remote_tasks__free(struct kb_remote_tasks *tasks);

/* The name of the task at an address, UTF-8, free() it; NULL: there is no task. */
char *kb_remote_task__name(struct kb_remote *remote, const struct kb_remote_asyncio *asyncio,
			   uint64_t task);

#endif
