// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stdio.h>
#include "base/log.h"
#include "keelback/inspect.h"

#define LOG_LINE_MAX 1024

static struct {
	kb_log_fn fn;
	void *context;
	int max_level;
} sink;

void kb_log__set(kb_log_fn fn, void *context, int max_level)
{
	sink.fn = fn;
	sink.context = context;
	sink.max_level = max_level;
}

static void write_line(int level, const char *format, va_list args)
{
	char line[LOG_LINE_MAX];

	if (!sink.fn || level > sink.max_level)
		return;
	vsnprintf(line, sizeof(line), format, args);
	sink.fn(level, line, sink.context);
}

#define DEFINE_LEVEL(name, level)                                                                  \
	void name(const char *format, ...)                                                         \
	{                                                                                          \
		va_list args;                                                                      \
                                                                                                   \
		va_start(args, format);                                                            \
		write_line(level, format, args);                                                   \
		va_end(args);                                                                      \
	}

DEFINE_LEVEL(kb_warn, 0)
DEFINE_LEVEL(kb_info, 1)
DEFINE_LEVEL(kb_debug, 2)
