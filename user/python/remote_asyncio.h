/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_REMOTE_ASYNCIO_H
#define KB_PYTHON_REMOTE_ASYNCIO_H

#include "python/asyncio_offsets.h"
#include "python/remote_frames.h"

/*
 * asyncio's tasks and the coroutines in which they wait, of a live process. See
 * remote_asyncio.c for where each version keeps them.
 */
#define KB_REMOTE_TASKS_MAX 65536

struct kb_remote_asyncio {
	struct kb_asyncio_offsets at;
	/* 3.6: addresses of static variables of _asyncio, 0 where its symbols are stripped. */
	uint64_t all_tasks, current_tasks;
};

/*
 * False: the process does not use asyncio (3.14 and later: has not loaded it), or the version is
 * not known.
 */
bool kb_remote_asyncio__open(struct kb_remote *remote, struct kb_remote_asyncio *asyncio);

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

/* Up to 3.13: the dict of the running tasks by their loops. False: asyncio is not loaded. */
bool kb_remote_asyncio__current_tasks(struct kb_remote *remote,
				      const struct kb_remote_asyncio *asyncio, uint64_t *dict);

/* The name of the task at an address, UTF-8, free() it; NULL: there is no task. */
char *kb_remote_task__name(struct kb_remote *remote, const struct kb_remote_asyncio *asyncio,
			   uint64_t task);

#endif
