/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_REPORT_H
#define KB_CLI_REPORT_H

#include <stdio.h>
#include "cli/options.h"
#include "keelback/profile.h"

/* What is said on stderr, a line at a time, each beginning with the program's name. */
void kb_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sends the library's messages to stderr, as far as -q and -v let them. */
void kb_report__start(const struct kb_general_args *general);

/*
 * The ledger in a line: samples attempted = what became of them. A newline is not
 * part of it.
 */
void kb_report__ledger(const struct kb_profile *profile, FILE *stream);
/* The same of events: seen = reported + lost by reason. */
void kb_report__events(const struct kb_profile *profile, FILE *stream);

#endif
