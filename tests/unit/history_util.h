/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TESTS_HISTORY_UTIL_H
#define KB_TESTS_HISTORY_UTIL_H

/* A history that is being made, in memory. */
#include <stdio.h>
#include <stdlib.h>
#include "base/error.h"
#include "model/check_history.h"

static char *lines;
static size_t lines_size;
static FILE *lines_stream;

static void begin(void)
{
	if (lines_stream)
		fclose(lines_stream);
	free(lines);
	lines_stream = open_memstream(&lines, &lines_size);
}

static struct kb_check_history *read_lines(void)
{
	struct kb_check_history *history;
	struct kb_error *err;

	fflush(lines_stream);
	err = kb_check_history__read(lines, lines_size, "h", &history);
	if (err)
		fail_msg("%s", kb_error__text(err));
	return history;
}

/* One check of one metric; extra: further members, with their commas. */
static void add(unsigned label, const char *metric, double base, double head, const char *extra)
{
	fprintf(lines_stream,
		"{\"keelback_check\":1,\"time\":%u,\"label\":\"c%u\",\"metrics\":{\"%s\":{\"base\":"
		"[%.17g],"
		"\"head\":[%.17g]}}%s}\n",
		1700000000 + label, label, metric, base, head, extra);
}

#endif
