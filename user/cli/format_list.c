// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>
#include "base/error.h"
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

struct kb_error *kb_formats__choose(const struct kb_formats *formats, const char *name,
				    const char *output, const struct kb_format **format)
{
	bool to_stdout = !output || !strcmp(output, "-");
	char names[512];

	*format = name	      ? formats->by_name(name)
		  : to_stdout ? formats->at(0)
			      : formats->by_path(output);
	if (*format)
		return NULL;
	if (name)
		return kb_usage("--format: '%s' is none of %s", name,
				kb_format_list(formats->at, false, names, sizeof(names)));
	return kb_usage("--output: '%s' has none of the endings that choose a format (%s): "
			"give --format",
			output, kb_format_list(formats->at, true, names, sizeof(names)));
}
