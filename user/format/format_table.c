// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include "format/format_table.h"

const struct kb_format *kb_format_table__at(const struct kb_format_table *table, size_t index)
{
	return index < table->n
		       ? (const void *)((const char *)table->rows + index * table->row_size)
		       : NULL;
}

const struct kb_format *kb_format_table__by_name(const struct kb_format_table *table,
						 const char *name)
{
	const struct kb_format *format;

	for (size_t i = 0; (format = kb_format_table__at(table, i)); i++)
		if (!strcmp(format->name, name))
			return format;
	return NULL;
}

/* Whether name ends with the pattern and is more than that; or with a `*` behind it, begins with
 * it. */
static bool matches(const char *name, const char *pattern, size_t length)
{
	size_t name_length = strlen(name);

	if (length && pattern[length - 1] == '*')
		return !strncasecmp(name, pattern, length - 1);
	return length && name_length > length &&
	       !strncasecmp(name + name_length - length, pattern, length);
}

static bool has_ending(const char *name, const char *endings)
{
	while (*endings) {
		size_t length = strcspn(endings, " ");

		if (matches(name, endings, length))
			return true;
		endings += length;
		endings += strspn(endings, " ");
	}
	return false;
}

const struct kb_format *kb_format_table__by_path(const struct kb_format_table *table,
						 const char *path)
{
	const char *slash = strrchr(path, '/');
	const struct kb_format *format;

	for (size_t i = 0; (format = kb_format_table__at(table, i)); i++)
		if (has_ending(slash ? slash + 1 : path, format->endings))
			return format;
	return NULL;
}

const void *kb_format_table__row(const struct kb_format_table *table,
				 const struct kb_format *format)
{
	return format ? kb_format_table__by_name(table, format->name) : NULL;
}
