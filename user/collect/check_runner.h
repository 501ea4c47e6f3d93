/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_CHECK_RUNNER_H
#define KB_COLLECT_CHECK_RUNNER_H

#include <limits.h>
#include "collect/sampler.h"
#include "model/check.h"
#include "system/launcher.h"

/* What is shared by the files that run a check. */
struct kb_check_runner {
	struct kb_check_opts opts;
	struct kb_check *check;
	struct kb_check_runner_side {
		char *command; /* for the shell */
		char *program; /* that it runs, or NULL: not known */
		struct kb_launcher *launcher;
		struct kb_target *target;
		struct kb_sampler *sampler; /* NULL: degraded */
		int interpreter;    /* the file that the command was seen to run; -1: none */
		bool left_behind;   /* processes that were killed */
		uint32_t n_samples; /* of runs before */
	} sides[KB_CHECK_SIDES];
	struct kb_check_progress progress;
	bool stopped; /* go_on() said so */
};

/* "base", "head". */
const char *kb_check_side__name(enum kb_check_side side);
/* Asks the caller; false: stop. */
bool kb_check_runner__go_on(struct kb_check_runner *runner);
/* The error for a command that ended otherwise than it has to. */
struct kb_error *kb_check_runner__check_status(const struct kb_check_runner *runner,
					       enum kb_check_side side, int status);

/* The runs that count calls and allocations; what cannot be counted here becomes a note. */
struct kb_error *kb_check_runner__count(struct kb_check_runner *runner);

#endif
