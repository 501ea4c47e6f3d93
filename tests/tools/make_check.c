// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * usage: make_check FORMAT TEXT > FILE
 *
 * Writes a check in a format, for tests of reports: always the same figures, with TEXT as every
 * name, file and label, a history that it is a regression beside, and a function to blame. TEXT
 * "hostile" is text that tries to break out of each format.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "format/check_history_line.h"
#include "model/check_history.h"
#include "unit/check_util.h"

#define CHECKS_BEFORE 8

static void fail_on(struct kb_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "make_check: %s\n", kb_error__text(err));
	exit(1);
}

/* Of checks whose head was as fast as this one's base, all with the same label. */
static struct kb_check_trend *make_trend(struct kb_check *check, const char *label)
{
	struct kb_check_mark mark = { .size = sizeof(mark), .label = label };
	struct kb_check_history *history;
	struct kb_check_trend *trend;
	char *lines = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&lines, &size);

	for (uint32_t i = 0; i < check->n_measures; i++)
		check->measures[i].runs[KB_CHECK_HEAD] = check->measures[i].runs[KB_CHECK_BASE];
	for (int i = 0; i < CHECKS_BEFORE; i++)
		fail_on(kb_check_history_line__write(check, &mark, stream));
	fclose(stream);
	fail_on(kb_check_history__read(lines, size, "made", &history));
	free(lines);
	for (uint32_t i = 0; i < check->n_measures; i++)
		check->measures[i].runs[KB_CHECK_HEAD] =
			check->measures[i].n > 1 ? kb_made_runs[1] : &kb_made_counts[1];
	fail_on(kb_check_trend__create(history, check, &mark, NULL, &trend));
	kb_check_history__destroy(history);
	return trend;
}

int main(int argc, char **argv)
{
	struct kb_check_view_opts opts = { .size = sizeof(opts) };
	struct kb_check_trend *trend;
	struct kb_check *check;
	const char *text;

	if (argc != 3 || !kb_check_format__by_name(argv[1])) {
		fputs("usage: make_check FORMAT TEXT\n", stderr);
		return 2;
	}
	text = strcmp(argv[2], "hostile") ? argv[2] : KB_HOSTILE;
	check = kb_made_check(text);
	trend = make_trend(check, text);
	opts.trend = trend;
	opts.title = text;
	fail_on(kb_check_format__write(kb_check_format__by_name(argv[1]), check, &opts, stdout));
	kb_check_trend__destroy(trend);
	free(check);
	return 0;
}
