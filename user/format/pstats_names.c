// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "format/pstats_names.h"

char *kb_pstats_name(const struct kb_calls_function *function)
{
	size_t length = strlen(function->name);
	char *text;

	if (strcmp(function->file, KB_PSTATS_FILE_OF_NAMES) || function->line)
		return asprintf(&text, "%s:%d(%s)", function->file, function->line,
				function->name) < 0
			       ? NULL
			       : text;
	text = strdup(function->name);
	if (text && length && text[0] == '<' && text[length - 1] == '>') {
		text[0] = '{';
		text[length - 1] = '}';
	}
	return text;
}
