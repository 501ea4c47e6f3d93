/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_FORMAT_LIST_H
#define KB_CLI_FORMAT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include "keelback/format.h"

/* The names (or the endings) of a table of formats, separated by spaces, for messages; at: its
 * rows, NULL past the last. Returns text. */
const char *kb_format_list(const struct kb_format *(*at)(size_t index), bool endings, char *text,
			   size_t size);

#endif
