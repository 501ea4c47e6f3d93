/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_PSTATS_VIEW_H
#define KB_FORMAT_PSTATS_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "format/function_table.h"

/* What the parts of the text table share. */
struct kb_pstats_view {
	const struct kb_function_table *table;
	const char **paths; /* files as shown, by row */
	uint32_t *order;    /* rows as shown */
	uint32_t n_shown;   /* of them */
	double per_second;  /* counts in a second, 0: unknown */
	bool of_tasks;	    /* counts are of tasks that were seen */
	bool of_time;	    /* counts are of time, not samples */
	bool color;
	FILE *stream;
};

enum kb_pstats_color {
	KB_PSTATS_HEADING,
	KB_PSTATS_TERM,
	KB_PSTATS_FILE,
	KB_PSTATS_LINE,
	KB_PSTATS_FUNCTION,
};

/* Starts a colour, or ends it; nothing where colours are off. */
void kb_pstats_view__color(const struct kb_pstats_view *view, enum kb_pstats_color color);
void kb_pstats_view__plain(const struct kb_pstats_view *view);

/* Text of our own in a colour. */
void kb_pstats_view__colored(const struct kb_pstats_view *view, enum kb_pstats_color color,
			     const char *text);

/* `file:line(function)`, or the name alone. */
void kb_pstats_view__function(const struct kb_pstats_view *view, uint32_t row);

double kb_pstats_view__percent(const struct kb_pstats_view *view, uint64_t samples);

/* The functions that stand out, after the table. */
void kb_pstats_view__summary(const struct kb_pstats_view *view);

#endif
