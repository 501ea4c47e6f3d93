// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which processes are read, and when. The kernel's rings fill while a process is read, and
 * a process can have any number of threads: the time for all of it is bounded, and a process
 * that took long waits longer until it is read again.
 */
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "collect/thread_names.h"
#include "python/remote_threads.h"

/* After so much time nothing more is read at this look: a ring holds several times as much. */
#define LOOK_NS (20 * KB_NS_PER_MS)
/* The last look, for which nothing waits any more. */
#define LAST_LOOK_NS KB_NS_PER_SECOND
/* A process is read once a second, and for a fiftieth of the time at most. */
#define AGAIN_NS   KB_NS_PER_SECOND
#define AGAIN_PART 50
/*
 * A thread may be met before threading has entered it, or while it changes its table: it is
 * looked for so many times. Threads that threading did not start never have a name.
 */
#define TRIES_MAX 3

struct kb_thread_names {
	struct kb_profile *profile;
	struct kb_identifier *identifier;
	uint8_t *tries; /* by thread of the profile */
	uint32_t n_tries, tries_capacity;
	uint64_t *next_ns; /* by process of the profile: when it may be read again */
	uint32_t n_next, next_capacity;
};

struct kb_thread_names *kb_thread_names__create(struct kb_profile *profile,
						struct kb_identifier *identifier)
{
	struct kb_thread_names *names = calloc(1, sizeof(*names));

	if (!names)
		return NULL;
	names->profile = profile;
	names->identifier = identifier;
	return names;
}

void kb_thread_names__destroy(struct kb_thread_names *names)
{
	if (!names)
		return;
	free(names->tries);
	free(names->next_ns);
	free(names);
}

/* Room for what is known of all threads and processes. */
static bool keep_up(struct kb_thread_names *names)
{
	uint32_t threads = kb_profile__n_threads(names->profile);
	uint32_t processes = kb_profile__n_processes(names->profile);
	uint8_t *tries = kb_array__grow(names->tries, &names->tries_capacity, threads,
					sizeof(*tries), KB_PROFILE_THREADS_MAX);
	uint64_t *next;

	if (!tries)
		return false;
	names->tries = tries;
	while (names->n_tries < threads)
		tries[names->n_tries++] = 0;
	next = kb_array__grow(names->next_ns, &names->next_capacity, processes, sizeof(*next),
			      KB_PROFILE_THREADS_MAX);
	if (!next)
		return false;
	names->next_ns = next;
	while (names->n_next < processes)
		next[names->n_next++] = 0;
	return true;
}

static int by_tid(const void *a, const void *b)
{
	const struct kb_remote_thread *x = a, *y = b;

	if (x->tid != y->tid)
		return x->tid < y->tid ? -1 : 1;
	return (x->interp_id > y->interp_id) - (x->interp_id < y->interp_id);
}

/* A thread that works in several interpreters is named as in the first. */
static const char *name_of(const struct kb_remote_threads *list, pid_t tid)
{
	uint32_t low = 0, high = list->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (list->threads[middle].tid < tid)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < list->n && list->threads[low].tid == tid; low++) {
		if (list->threads[low].name)
			return list->threads[low].name;
	}
	return NULL;
}

/* list: NULL when the process could not be read, which counts as looked for. */
static void give(struct kb_thread_names *names, uint32_t process,
		 const struct kb_remote_threads *list)
{
	for (uint32_t i = 0; i < names->n_tries; i++) {
		struct kb_thread_info info = *kb_profile__thread(names->profile, i);

		if (info.process != process || *info.python_name)
			continue;
		names->tries[i] += names->tries[i] < TRIES_MAX;
		info.python_name = list ? name_of(list, info.tid) : NULL;
		if (info.python_name)
			kb_profile__add_thread(names->profile, &info);
	}
}

static void read_process(struct kb_thread_names *names, uint32_t process)
{
	const struct kb_process_info *info = kb_profile__process(names->profile, process);
	struct kb_remote_threads list = {};
	struct kb_remote remote;
	struct kb_error *err;

	if (!kb_identifier__open(names->identifier, info->pid, info->start_ns, &remote)) {
		give(names, process, NULL);
		return;
	}
	err = kb_remote_threads__read(&remote, &list);
	if (!err)
		kb_remote_threads__names(&remote, &list);
	kb_remote__close(&remote);
	/* What was read may be another program's when it was replaced meanwhile. */
	if (!err && kb_identifier__runs(names->identifier, info->pid, info->start_ns)) {
		qsort(list.threads, list.n, sizeof(*list.threads), by_tid);
		give(names, process, &list);
	} else {
		give(names, process, NULL);
	}
	kb_error__destroy(err);
	kb_remote_threads__free(&list);
}

void kb_thread_names__look(struct kb_thread_names *names, bool last)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC), began;
	uint64_t until = now + (last ? LAST_LOOK_NS : LOOK_NS);

	if (!keep_up(names))
		return;
	for (uint32_t i = 0; i < names->n_next && last; i++)
		names->next_ns[i] = 0;
	for (uint32_t i = 0; i < names->n_tries && now < until; i++) {
		const struct kb_thread_info *thread = kb_profile__thread(names->profile, i);
		uint32_t process = thread->process;

		if (*thread->python_name || names->tries[i] >= TRIES_MAX ||
		    names->next_ns[process] > now)
			continue;
		began = now;
		read_process(names, process);
		now = kb_now(CLOCK_MONOTONIC);
		names->next_ns[process] = now + AGAIN_NS + (now - began) * AGAIN_PART;
	}
}
