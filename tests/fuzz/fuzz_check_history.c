// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Input: a file of a history of checks. What can be read has a trend, whose JSON is JSON and whose
 * text has nothing for a terminal to obey.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model/check_history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(struct kb_error *err)
{
	if (err)
		abort();
}

typedef struct kb_error *writer(const struct kb_check_trend *trend, FILE *stream);

static struct kb_error *write_text(const struct kb_check_trend *trend, FILE *stream)
{
	return kb_check_trend__write_text(trend, false, stream);
}

/* Free it. */
static char *written(const struct kb_check_trend *trend, writer *write)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	must(write(trend, stream));
	fclose(stream);
	return text;
}

static void check_trend(const struct kb_check_history *history)
{
	struct kb_check_trend *trend;
	struct json_object *object;
	char *text;

	must(kb_check_trend__create(history, NULL, NULL, NULL, &trend));
	text = written(trend, kb_check_trend__write_json);
	object = json_tokener_parse(text);
	if (!object)
		abort();
	json_object_put(object);
	free(text);
	text = written(trend, write_text);
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 && *c != '\n')
			abort();
	free(text);
	kb_check_trend__destroy(trend);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kb_check_history *history;
	struct kb_error *err = kb_check_history__read(data, size, "history", &history);

	if (err) {
		if (strchr(kb_error__text(err), '\n'))
			abort();
		kb_error__destroy(err);
		return 0;
	}
	if (kb_check_history__n_entries(history))
		check_trend(history);
	kb_check_history__destroy(history);
	return 0;
}
