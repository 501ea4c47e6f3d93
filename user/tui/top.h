/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_TOP_H
#define KB_TUI_TOP_H

#include <stdbool.h>
#include <stdio.h>
#include "keelback/sample.h"
#include "tui/console.h"
#include "tui/row_order.h"

/* The live view of a session, on a terminal or as plain text. */
#define KB_TOP_DELAY_MIN 0.1 /* seconds between refreshes */
#define KB_TOP_DELAY_MAX 60

struct kb_top_opts {
	struct kb_sampler *sampler; /* created, not started */
	const char *target;	    /* for people */
	double duration;	    /* seconds of sampling, 0: without end */
	double delay;		    /* seconds between refreshes */
	double window;		    /* seconds that are shown, 0: since the start */
	bool by_lines, color;
	bool opcodes; /* are recorded */
	enum kb_sort_key sort;
	bool reversed;
	const char *filter;	    /* or NULL */
	struct kb_console *console; /* of the command, or NULL */

	/* The signal that asks for the end, or 0. */
	int (*interrupted)(void *context);
	/* Writes the profile to a file, in the format that its ending chooses. */
	struct kb_error *(*save)(const char *path, const struct kb_profile *profile, void *context);
	void *context;
};

/* How it came to its end. */
struct kb_top_result {
	bool end_command; /* the user wants it to end, too */
};

/* Starts and stops the session. The terminal is given back in any case. */
struct kb_error *kb_top__run(const struct kb_top_opts *opts, struct kb_top_result *result);

/* n refreshes as text, each with at most `limit` rows; 0: all. */
struct kb_error *kb_top__batch(const struct kb_top_opts *opts, unsigned n, unsigned limit,
			       FILE *stream);

/* For kb_log__set(), while the view is there: keeps the messages, shows the last one. */
void kb_top__log(int level, const char *line, void *context);
/* Hands on the messages that were kept, in their order. */
void kb_top__replay(void (*say)(int level, const char *line, void *context), void *context);

#endif
