// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The lists of thread states, and which thread each belongs to.
 *
 * Lists change while they are read: a thread that starts is put in front, one that
 * ends is taken out. A list counts when it was read twice with one result, and
 * every thread state in it names its interpreter.
 *
 * From 3.11 a thread state has the thread's id (native_thread_id), as the process's own
 * PID namespace has it. Up to 3.10 it has pthread_self() only, the address of
 * the C library's descriptor of the thread, and in that is the id, at an offset that
 * is the library's own business: it is searched for, and taken when what lies there
 * is the id of another living thread for each thread state. A process that forked keeps the
 * old native_thread_id in some versions: then the descriptor is asked as well.
 */
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "python/remote_threads.h"
#include "system/process.h"

#define INTERPRETERS_MAX 1024 /* sub-interpreters of a process; each has megabytes */
#define LOOKS_MAX	 20

/* Offsets of last_holder and locked in struct _gil_runtime_state, 3.12 to 3.15:
 * Include/internal/pycore_gil.h. */
#define GIL_LAST_HOLDER 8
#define GIL_LOCKED	16

/* Where the id is in the descriptor: glibc and musl on x86-64, then everywhere. */
#define DESCRIPTOR_BYTES 2304 /* struct pthread of glibc 2.36 */
static const uint16_t likely_places[] = { 720, 48, 56 };

/* ---------------------------------------------------------------- lists */

static uint64_t word(struct kb_remote *remote, uint64_t address)
{
	uint64_t value;

	return kb_pages__read_u64(remote->pages, address, &value) ? value : 0;
}

void kb_remote_threads__look_at_gil(struct kb_remote *remote, struct kb_remote_thread *thread)
{
	const struct kb_layout *layout = remote->layout;
	uint32_t locked = 0, collecting = 0;
	uint64_t gil;

	thread->holds_gil = thread->collecting = false;
	if (layout->flags & KB_LAYOUT_FREE_THREADED)
		return;
	if (layout->interp_gil != KB_NO_OFFSET && layout->version_minor >= 12) {
		gil = word(remote, thread->interp + layout->interp_gil);
		thread->holds_gil = gil && word(remote, gil + GIL_LAST_HOLDER) == thread->tstate &&
				    kb_pages__read_u32(remote->pages, gil + GIL_LOCKED, &locked) &&
				    locked == 1;
	} else if (remote->tstate_current) {
		thread->holds_gil = word(remote, remote->tstate_current) == thread->tstate;
	}
	if (thread->holds_gil && layout->interp_gc_collecting != KB_NO_OFFSET &&
	    kb_pages__read_u32(remote->pages, thread->interp + layout->interp_gc_collecting,
			       &collecting))
		thread->collecting = collecting == 1;
}

static struct kb_remote_thread *append(struct kb_remote_threads *list)
{
	struct kb_remote_thread *grown = kb_array__grow(list->threads, &list->capacity, list->n + 1,
							sizeof(*grown), KB_REMOTE_THREADS_MAX);

	if (!grown)
		return NULL;
	list->threads = grown;
	return memset(&grown[list->n++], 0, sizeof(*grown));
}

/* One interpreter's list. False: it does not hang together, now. */
static bool read_list(struct kb_remote *remote, uint64_t interp, int64_t id,
		      struct kb_remote_threads *list)
{
	const struct kb_layout *layout = remote->layout;
	uint64_t tstate = word(remote, interp + layout->interp_threads_head);

	while (tstate) {
		struct kb_remote_thread *thread;

		if (word(remote, tstate + layout->tstate_interp) != interp)
			return false;
		thread = append(list);
		if (!thread)
			return false;
		thread->tstate = tstate;
		thread->interp = interp;
		thread->interp_id = id;
		thread->ident = word(remote, tstate + layout->tstate_thread_id);
		kb_remote_threads__look_at_gil(remote, thread);
		tstate = word(remote, tstate + layout->tstate_next);
	}
	return true;
}

static int64_t id_of(struct kb_remote *remote, uint64_t interp, uint32_t position)
{
	uint32_t offset = remote->objects->interp_id;
	uint64_t id = offset == KB_NO_OFFSET ? position : word(remote, interp + offset);

	return id > INT64_MAX ? (int64_t)position : (int64_t)id;
}

/* New interpreters are put in front of the list: the main one is its last. */
static bool read_lists(struct kb_remote *remote, struct kb_remote_threads *list)
{
	uint64_t interps[INTERPRETERS_MAX], interp = word(remote, remote->interp_head);
	uint32_t n = 0;

	list->n = 0;
	for (; interp && n < INTERPRETERS_MAX; n++) {
		interps[n] = interp;
		interp = word(remote, interp + remote->layout->interp_next);
	}
	for (uint32_t i = n; i-- > 0;) {
		if (!read_list(remote, interps[i], id_of(remote, interps[i], n - 1 - i), list))
			return false;
	}
	return !interp;
}

static bool same(const struct kb_remote_threads *a, const struct kb_remote_threads *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->threads[i].tstate != b->threads[i].tstate ||
		    a->threads[i].ident != b->threads[i].ident)
			return false;
	}
	return true;
}

/* ---------------------------------------------------------------- threads */

/* The process's threads: the ids that the host has for them, and those of its own namespace. */
struct tasks {
	struct kb_pids host, own;
};

static struct kb_error *read_tasks(struct kb_remote *remote, struct tasks *tasks)
{
	struct kb_error *err = NULL;
	bool same_ids = kb_process__ns_pid(remote->pid) == remote->pid;

	KB_TRY(kb_process__threads(remote->pid, &tasks->host));
	for (size_t i = 0; i < tasks->host.n && !err; i++) {
		pid_t tid = tasks->host.ids[i];

		err = kb_pids__add(&tasks->own, same_ids ? tid : kb_process__ns_pid(tid));
	}
	return err;
}

static pid_t host_id(const struct tasks *tasks, uint64_t own)
{
	for (size_t i = 0; i < tasks->own.n && own && own <= INT32_MAX; i++) {
		if (tasks->own.ids[i] == (pid_t)own)
			return tasks->host.ids[i];
	}
	return 0;
}

static uint32_t id_at(struct kb_remote *remote, const struct kb_remote_thread *thread,
		      uint32_t place)
{
	uint32_t id;

	return thread->ident && kb_pages__read_u32(remote->pages, thread->ident + place, &id) ? id
											      : 0;
}

#define CHECKED_MAX 64 /* thread states that are compared with each other to trust a place */

/* Does this place hold another thread's id for every thread state? */
static bool holds_ids(struct kb_remote *remote, const struct tasks *tasks,
		      const struct kb_remote_threads *list, uint32_t place)
{
	uint32_t seen[CHECKED_MAX], n = 0;

	for (uint32_t i = 0; i < list->n && n < CHECKED_MAX; i++) {
		const struct kb_remote_thread *thread = &list->threads[i];
		uint32_t first;

		/* A thread that has ended has no descriptor any more. */
		if (!kb_pages__read_u32(remote->pages, thread->ident, &first))
			continue;
		seen[n] = id_at(remote, thread, place);
		if (!host_id(tasks, seen[n]))
			return false;
		for (uint32_t j = 0; j < i && j < n; j++) {
			if (seen[j] == seen[n] && list->threads[j].ident != thread->ident)
				return false;
		}
		n++;
	}
	return n > 0;
}

static uint32_t find_place(struct kb_remote *remote, const struct tasks *tasks,
			   const struct kb_remote_threads *list)
{
	for (size_t i = 0; i < sizeof(likely_places) / sizeof(*likely_places); i++) {
		if (holds_ids(remote, tasks, list, likely_places[i]))
			return likely_places[i];
	}
	for (uint32_t place = 0; place < DESCRIPTOR_BYTES; place += 4) {
		if (holds_ids(remote, tasks, list, place))
			return place;
	}
	return UINT32_MAX;
}

static void resolve(struct kb_remote *remote, const struct tasks *tasks,
		    struct kb_remote_threads *list)
{
	uint16_t offset = remote->layout->tstate_native_thread_id;
	bool complete = true;
	uint32_t place;

	for (uint32_t i = 0; i < list->n; i++) {
		struct kb_remote_thread *thread = &list->threads[i];

		if (offset != KB_NO_OFFSET)
			thread->tid = host_id(tasks, word(remote, thread->tstate + offset));
		complete &= thread->tid != 0;
	}
	if (complete)
		return;
	place = find_place(remote, tasks, list);
	for (uint32_t i = 0; i < list->n && place != UINT32_MAX; i++) {
		struct kb_remote_thread *thread = &list->threads[i];

		if (!thread->tid)
			thread->tid = host_id(tasks, id_at(remote, thread, place));
	}
}

struct kb_error *kb_remote_threads__read(struct kb_remote *remote, struct kb_remote_threads *result)
{
	struct kb_remote_threads list = {}, before = {}, swap;
	struct tasks tasks = {};
	struct kb_error *err;
	bool whole = false;

	for (int look = 0; look < LOOKS_MAX && !whole; look++) {
		swap = before;
		before = list;
		list = swap;
		kb_pages__forget(remote->pages);
		whole = read_lists(remote, &list) && look > 0 && same(&list, &before);
	}
	list.cut = !whole;
	err = read_tasks(remote, &tasks);
	if (!err && !tasks.host.n)
		err = kb_failed("process %d has ended", remote->pid);
	if (!err)
		resolve(remote, &tasks, &list);
	kb_pids__free(&tasks.host);
	kb_pids__free(&tasks.own);
	free(before.threads);
	if (err)
		free(list.threads);
	else
		*result = list;
	return err;
}

void kb_remote_threads__free(struct kb_remote_threads *threads)
{
	for (uint32_t i = 0; i < threads->n; i++)
		free(threads->threads[i].name);
	free(threads->threads);
	memset(threads, 0, sizeof(*threads));
}
