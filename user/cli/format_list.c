// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include "cli/format_list.h"

const char *kb_format_list(const struct kb_format *(*at)(size_t index), bool endings, char *text,
			   size_t size)
{
	const struct kb_format *format;
	size_t used = 0;

	text[0] = 0;
	for (size_t i = 0; (format = at(i)) && used < size; i++) {
		const char *item = endings ? format->endings : format->name;

		if (*item)
			used += snprintf(text + used, size - used, "%s%s", used ? " " : "", item);
	}
	return text;
}
