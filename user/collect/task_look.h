/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_TASK_LOOK_H
#define KB_COLLECT_TASK_LOOK_H

#include <stdbool.h>
#include <stdint.h>
#include "collect/session.h"

/* All tasks of all processes, looked at so many times a second (mode tasks). */
struct kb_task_look;

struct kb_task_look_opts {
	struct kb_session *session; /* borrowed, open */
	unsigned rate_hz;
	bool jitter;
	bool moments;
};

struct kb_error *kb_task_look__create(const struct kb_task_look_opts *opts,
				      struct kb_task_look **look);
void kb_task_look__destroy(struct kb_task_look *look);

/* Looks begin, or no more. */
void kb_task_look__pause(struct kb_task_look *look, bool paused);
/* Looks if it is time to; returns how long a wait of wait_ms may be, until the next look. */
int kb_task_look__work(struct kb_task_look *look, int wait_ms);

/* Tasks that were read so far, good or not. NULL: none. */
uint64_t kb_task_look__taken(const struct kb_task_look *look);

#endif
