/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_MEMORY_VIEW_H
#define KB_CLI_MEMORY_VIEW_H

#include <argp.h>
#include "cli/options.h"
#include "keelback/memory.h"

/* How memory is shown: -o -f --value --group --cumulative --blocks --include --exclude --all-frames
 * --domain --leaks --age --limit --no-summary */
struct kb_memory_view_args {
	const char *output; /* NULL: stdout */
	const char *format; /* as given, or NULL */
	int value;	    /* enum kb_memory_value; -1: not given */
	int group;	    /* enum kb_memory_grouping */
	bool cumulative, blocks, all_frames, leaks, no_summary;
	struct kb_memory_filter *filters;
	size_t n_filters;
	uint32_t domains;
	double age; /* seconds */
	long limit; /* -1: not given */
};
extern const struct argp kb_memory_view_argp;

#define KB_MEMORY_VIEW_ARGS_INIT                                                                   \
	{                                                                                          \
		.value = -1, .limit = -1                                                           \
	}

bool kb_memory_view_args__to_stdout(const struct kb_memory_view_args *args);
/* The format that -f, else the ending of -o, else nothing chooses. */
struct kb_error *kb_memory_view_args__format(const struct kb_memory_view_args *args,
					     const struct kb_format **format);
/* Points into args. */
struct kb_memory_view_opts kb_memory_view_args__opts(const struct kb_memory_view_args *args,
						     const struct kb_general_args *general);
/* Writes to where it is to go. */
struct kb_error *kb_memory_view_args__write(const struct kb_memory_view_args *args,
					    const struct kb_general_args *general,
					    const struct kb_format *format,
					    const struct kb_profile *profile);
void kb_memory_view_args__free(struct kb_memory_view_args *args);
/* argp's help_filter: lists the formats after the options. */
char *kb_memory_view_args__help(int key, const char *text, void *input);

#endif
