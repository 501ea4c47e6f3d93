// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"

/* Longer texts are cut: they quote paths and command lines of targets. */
#define ERROR_TEXT_MAX 1024

struct kb_error {
	enum kb_status status;
	char text[];
};

static struct {
	struct kb_error err;
	char text[16];
} no_memory = { { KB_STATUS_FAILED }, "out of memory" };

struct kb_error *kb_error__no_memory(void)
{
	return &no_memory.err;
}

static struct kb_error *make(enum kb_status status, const char *text)
{
	size_t size = strlen(text) + 1;
	struct kb_error *err = malloc(sizeof(*err) + size);

	if (!err)
		return kb_error__no_memory();
	err->status = status;
	memcpy(err->text, text, size);
	return err;
}

struct kb_error *kb_error__create(enum kb_status status, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return make(status, text);
}

struct kb_error *kb_error__from_errno(int errnum, enum kb_status status, const char *format, ...)
{
	char text[ERROR_TEXT_MAX], reason[128];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - n, ": %s",
			 strerror_r(errnum, reason, sizeof(reason)));
	return make(status, text);
}

struct kb_error *kb_error__first(struct kb_error *err, struct kb_error *then)
{
	if (!err)
		return then;
	kb_error__destroy(then);
	return err;
}

struct kb_error *kb_error__prefix(struct kb_error *err, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	struct kb_error *longer;
	va_list args;
	int n;

	if (!err)
		return NULL;
	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - n, ": %s", kb_error__text(err));
	longer = make(err->status, text);
	kb_error__destroy(err);
	return longer;
}

const char *kb_error__text(const struct kb_error *err)
{
	return err ? err->text : "";
}

enum kb_status kb_error__status(const struct kb_error *err)
{
	return err ? err->status : KB_STATUS_OK;
}

void kb_error__destroy(struct kb_error *err)
{
	if (err != &no_memory.err)
		free(err);
}
