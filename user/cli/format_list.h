/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_FORMAT_LIST_H
#define KB_CLI_FORMAT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include "keelback/format.h"

/* The formats of one kind of result. */
struct kb_formats {
	const struct kb_format *(*at)(size_t index); /* NULL past the last; 0: the default */
	const struct kb_format *(*by_name)(const char *name);
	const struct kb_format *(*by_path)(const char *path);
};

/* The one that name (of --format) chooses, else the ending of output (NULL, "-": stdout), else
 * the default. Either may be NULL. */
struct kb_error *kb_formats__choose(const struct kb_formats *formats, const char *name,
				    const char *output, const struct kb_format **format);

/* The names (or the endings) of a table of formats, separated by spaces, for messages; at: its
 * rows, NULL past the last. Returns text. */
const char *kb_format_list(const struct kb_format *(*at)(size_t index), bool endings, char *text,
			   size_t size);

#endif
