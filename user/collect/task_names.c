// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/id_map.h"
#include "base/strpool.h"
#include "base/unicode.h"
#include "collect/task_names.h"

/* The kernel bounds them as well, but what is sent twice counts twice there. */
#define NAMES_MAX  (4 * KB_TASK_NAMES_MAX)
#define BYTES_MAX  (NAMES_MAX * KB_TASK_LABEL_MAX)
#define NUMBER_MAX 32

struct kb_task_names {
	struct kb_id_map keys; /* → string */
	struct kb_strpool *strings;
};

struct kb_task_names *kb_task_names__create(void)
{
	struct kb_task_names *names = calloc(1, sizeof(*names));

	if (!names)
		return NULL;
	kb_id_map__init(&names->keys, NAMES_MAX);
	names->strings = kb_strpool__create(BYTES_MAX, NAMES_MAX);
	if (!names->strings) {
		free(names);
		return NULL;
	}
	return names;
}

void kb_task_names__destroy(struct kb_task_names *names)
{
	if (!names)
		return;
	kb_id_map__free(&names->keys);
	kb_strpool__destroy(names->strings);
	free(names);
}

void kb_task_names__add(struct kb_task_names *names, const struct kb_data_task *record, size_t size)
{
	uint32_t width = record->width, string;
	char *text = NULL;

	if (record->bytes > KB_TASK_NAME_MAX || size < sizeof(*record) + record->bytes ||
	    (width != KB_TASK_UTF8 && width != 1 && width != 2 && width != 4))
		return;
	if (width == KB_TASK_UTF8)
		text = strndup((const char *)(record + 1), record->bytes);
	else if (record->bytes)
		text = kb_unicode__to_utf8(record + 1, record->bytes / width, width, record->cut);
	else if (asprintf(&text, "Task-%llu", (unsigned long long)record->number) < 0)
		text = NULL;
	if (!text)
		return;
	string = kb_strpool__add(names->strings, text, strlen(text));
	if (string != KB_STRPOOL_NONE)
		kb_id_map__set(&names->keys, record->key, 0, string);
	free(text);
}

void kb_task_label(const char *name, uint32_t waiters, char text[KB_TASK_LABEL_MAX])
{
	char parents[NUMBER_MAX] = "";

	if (waiters > 1)
		snprintf(parents, sizeof(parents), " (%u parents)", waiters);
	snprintf(text, KB_TASK_LABEL_MAX, "<task%s%s%s>", *name ? " " : "", name, parents);
}

void kb_task_names__label(const struct kb_task_names *names, uint64_t key, uint32_t waiters,
			  char text[KB_TASK_LABEL_MAX])
{
	uint32_t string = kb_id_map__get(&names->keys, key, 0);

	if (key == KB_TASK_OTHER)
		snprintf(text, KB_TASK_LABEL_MAX, "<other tasks>");
	else if (key == KB_TASK_MORE)
		snprintf(text, KB_TASK_LABEL_MAX, "<more tasks>");
	else
		kb_task_label(string != KB_ID_MAP_NONE ? kb_strpool__at(names->strings, string)
						       : "",
			      waiters, text);
}
