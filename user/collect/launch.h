/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_LAUNCH_H
#define KB_COLLECT_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>
#include "keelback/error.h"

/* A command that is started held, so that everything can be attached before it executes. */
struct kb_launch {
	pid_t pid;
	int go;	    /* pipe: closing or writing it lets the child go on */
	int failed; /* pipe: errno of a failed execution */
	int status; /* wait status, -1 while it runs */
};

/* KB_STATUS_USAGE is not decided here: a command that cannot be executed is found by
 * kb_launch__release(). */
/* stdio: the three descriptors that it gets, as in struct kb_target. */
struct kb_error *kb_launch__start(char *const *argv, const int *stdio, struct kb_launch *launch);
/* Lets it execute and waits until it has. */
struct kb_error *kb_launch__release(struct kb_launch *launch, const char *command);
/* Reaps it when it has ended; true then. */
bool kb_launch__ended(struct kb_launch *launch);
/* Waits until a command that is about to stop has (kb_programs__hold). */
void kb_launch__await_hold(const struct kb_launch *launch);
void kb_launch__go_on(const struct kb_launch *launch);
/* Ends a child that was never released. */
void kb_launch__cancel(struct kb_launch *launch);

#endif
