/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_CHECK_HISTORY_H
#define KB_CLI_CHECK_HISTORY_H

#include "cli/options.h"
#include "keelback/check_history.h"

/* Options of `keelback check` for histories, and what comes of them. */
struct kb_check_history_args {
	const char *append, *against;
	const char *label, *base_label;
	struct kb_check_history *history; /* of `against`; NULL: there is none yet */
	struct kb_check_trend *trend;
};
extern const struct argp kb_check_history_argp;

/* Checks the options, reads the history and looks whether it can be written: before anything is
 * measured. */
struct kb_error *kb_check_history_args__open(struct kb_check_history_args *args, bool quiet);
/* Adds the check to the history and compares it: args->trend, NULL without a history. check NULL:
 * the history's last entry is compared. */
struct kb_error *kb_check_history_args__add(struct kb_check_history_args *args,
					    const struct kb_check *check,
					    const struct kb_check_rules *rules, bool quiet);
void kb_check_history_args__free(struct kb_check_history_args *args);

#endif
