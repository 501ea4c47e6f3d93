/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_CALL_TRIAL_H
#define KB_COLLECT_CALL_TRIAL_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>
#include "collect/call_aftermath.h"

/*
 * What probes leave behind depends on the processor, the kernel and how the interpreter was built;
 * so it is measured, with the target's own interpreter in a process of ours that runs a program
 * of calls, first without probes and then in a session like the target's.
 */
struct kb_call_trial {
	int root;      /* directory, -1: no interpreter is known */
	bool own_root; /* it is ours */
	char interpreter[PATH_MAX];
};

void kb_call_trial__init(struct kb_call_trial *trial);
void kb_call_trial__free(struct kb_call_trial *trial);

/*
 * A process of the target: the first that runs a plain python, with no other rights than ours,
 * gives the interpreter. What is in a container or belongs to another user is never run.
 */
void kb_call_trial__note(struct kb_call_trial *trial, pid_t pid);

/* Takes about three seconds. False: it could not be measured, kb_debug() has why. */
bool kb_call_trial__run(const struct kb_call_trial *trial, struct kb_call_aftermath *aftermath);

#endif
