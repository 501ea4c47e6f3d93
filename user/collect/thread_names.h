/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_THREAD_NAMES_H
#define KB_COLLECT_THREAD_NAMES_H

#include <stdbool.h>
#include "collect/identify.h"
#include "model/profile.h"

/*
 * The names that programs give their threads, threading.Thread.name, read from the memory
 * of processes that still run. A thread keeps the name that it had when it was first read;
 * one that ended before has none.
 */
struct kb_thread_names;

/* Both are borrowed. NULL: out of memory. */
struct kb_thread_names *kb_thread_names__create(struct kb_profile *profile,
						struct kb_identifier *identifier);
void kb_thread_names__destroy(struct kb_thread_names *names);

/*
 * Reads names for threads of the profile that have none yet, of a few processes, and
 * of each at most once a second. last: the session ends; processes are read now or never.
 */
void kb_thread_names__look(struct kb_thread_names *names, bool last);

#endif
