/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_CALLS_VIEW_H
#define KB_CLI_CALLS_VIEW_H

#include "cli/options.h"
#include "keelback/calls_format.h"

/* Where call statistics go and how they are shown: -o -f --json -s --reverse --restrict --callers
 * --callees --no-summary. As struct kb_view_args for profiles. */
struct kb_calls_view_args {
	const char *output; /* NULL: stdout */
	const char *format; /* as given, or NULL */
	const char *sort;
	bool reverse;
	const char **restrictions;
	size_t n_restrictions;
	bool callers, callees, no_summary;
};
extern const struct argp kb_calls_view_argp;

void kb_calls_view_args__free(struct kb_calls_view_args *args);
/* Whether any of them was given. */
bool kb_calls_view_args__given(const struct kb_calls_view_args *args);
/* As kb_view_args__format(). */
struct kb_error *kb_calls_view_args__format(const struct kb_calls_view_args *args,
					    const struct kb_format **format);
/* Writes to the output that was asked for, or stdout. */
struct kb_error *kb_calls_view_args__write(const struct kb_calls_view_args *args,
					   const struct kb_format *format,
					   const struct kb_calls *calls);
bool kb_calls_view_args__to_stdout(const struct kb_calls_view_args *args);
/* argp's help_filter: lists formats and sort keys after the options. */
char *kb_calls_view_args__help(int key, const char *text, void *input);

#endif
