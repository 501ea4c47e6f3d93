/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_FORMAT_TABLE_H
#define KB_FORMAT_FORMAT_TABLE_H

#include <stddef.h>
#include "keelback/format.h"

/*
 * The formats of one kind of result: an array of structures that begin with a struct kb_format and
 * go on with the writer, which is what kinds differ in.
 */
struct kb_format_table {
	const void *rows;
	size_t row_size, n;
};

#define KB_FORMAT_TABLE(rows)                                                                      \
	{                                                                                          \
		(rows), sizeof((rows)[0]), sizeof(rows) / sizeof((rows)[0])                        \
	}

/* NULL past the end, or when there is none. */
const struct kb_format *kb_format_table__at(const struct kb_format_table *table, size_t index);
const struct kb_format *kb_format_table__by_name(const struct kb_format_table *table,
						 const char *name);
/* By the endings of a file's name. */
const struct kb_format *kb_format_table__by_path(const struct kb_format_table *table,
						 const char *path);
/* The row with the format's name; NULL: there is none, or no format. */
const void *kb_format_table__row(const struct kb_format_table *table,
				 const struct kb_format *format);

#endif
