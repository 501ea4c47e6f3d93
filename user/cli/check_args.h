/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_CHECK_ARGS_H
#define KB_CLI_CHECK_ARGS_H

#include "cli/check_history.h"
#include "cli/options.h"
#include "keelback/check.h"

#define KB_CHECK_PATTERNS_MAX 64
#define KB_CHECK_OUTPUTS_MAX  16

/* The arguments of `keelback check`. */
struct kb_check_args {
	struct kb_general_args general;
	struct kb_check_opts opts; /* its patterns are those below */
	const char *recordings[KB_CHECK_SIDES];
	const char *only[KB_CHECK_PATTERNS_MAX], *ignore[KB_CHECK_PATTERNS_MAX];
	char **argv;	  /* what follows --, or NULL */
	char *both;	  /* the same as one text for a shell */
	const char *runs; /* an option that is for commands and was given, or NULL */
	struct kb_check_output {
		const struct kb_format *format;
		const char *path; /* NULL: stdout */
	} outputs[KB_CHECK_OUTPUTS_MAX];
	size_t n_outputs;
	const char *format; /* the last one that was named, or NULL */
	struct kb_check_view_opts view;
	struct kb_check_history_args history;
	bool only_history; /* nothing is compared but what is in it */
};

void kb_check_args__init(struct kb_check_args *args);
void kb_check_args__free(struct kb_check_args *args);
extern const struct argp kb_check_argp; /* input: struct kb_check_args */
/* Completes them; an error for those that do not go with one another. */
struct kb_error *kb_check_args__complete(struct kb_check_args *args);

#endif
