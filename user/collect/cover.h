/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_COVER_H
#define KB_COLLECT_COVER_H

#include <sys/types.h>
#include "kernel/programs.h"

/*
 * Gives every thread of running processes exactly one event.
 *
 * A thread that has an event hands a copy of it to each thread that it starts.
 * So among threads that appear while events are being opened, some have one
 * already and some were started by a thread that did not have its own yet. BPF
 * notes who starts whom and when, which tells the two apart.
 */
struct kb_cover;

/* Opens what a thread is to have, with copies for the threads that it starts. One that is gone is
 * no error. */
typedef struct kb_error *(*kb_cover_fn)(pid_t tid, void *context);

struct kb_error *kb_cover__create(struct kb_programs *programs, kb_cover_fn fn, void *context,
				  struct kb_cover **cover);
void kb_cover__destroy(struct kb_cover *cover);

/* All threads of a process, those included that start meanwhile. */
struct kb_error *kb_cover__process(struct kb_cover *cover, pid_t pid);

#endif
