/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_LAUNCHED_H
#define KB_CLI_LAUNCHED_H

#include <stdbool.h>
#include "keelback/sample.h"

/*
 * The command that a session has started, as the program deals with it:
 * interrupts are passed on, its end is waited for, its status becomes ours. All
 * of it does nothing when the target is no command.
 */
struct kb_launched {
	const void *session;		    /* NULL: none yet */
	pid_t (*pid)(const void *session);  /* 0: no command */
	int (*status)(const void *session); /* wait status, -1: it runs */
	bool forwarded;			    /* the interrupt was passed on to the command */
};

void kb_launched__of_sampler(struct kb_launched *launched, const struct kb_sampler *sampler);

/*
 * The interrupt that came, or 0. What was sent to us alone is also for the command, once; what
 * came from the terminal it has already.
 */
int kb_launched__interrupt(struct kb_launched *launched);

/* Waits until the command has ended, passing interrupts on. The exit status that is to be ours. */
int kb_launched__await(struct kb_launched *launched, bool quiet);

#endif
