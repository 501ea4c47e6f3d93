/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CHECK_WRITERS_H
#define KB_FORMAT_CHECK_WRITERS_H

#include "keelback/check.h"

/* One writer for each format, called through the table in check_format.c. Options are complete; the
 * caller looks for errors of the stream. */
typedef struct kb_error *kb_check_writer(const struct kb_check *check,
					 const struct kb_check_view_opts *opts, FILE *stream);

kb_check_writer kb_check_text__write;
kb_check_writer kb_check_json__write;
kb_check_writer kb_check_flamegraph__write;
kb_check_writer kb_check_markdown__write;
kb_check_writer kb_check_junit__write;
kb_check_writer kb_check_annotations__write;

/* Values for people, into text: "0.512 s", "14.2 MB", "120000"; "+5.4%", "new" for infinite ones.
 */
#define KB_CHECK_TEXT_MAX 48
const char *kb_check_text__value(enum kb_check_unit unit, double value,
				 char text[KB_CHECK_TEXT_MAX]);
const char *kb_check_text__change(double change, char text[KB_CHECK_TEXT_MAX]);
/* A share without a sign: "3%", "0.25%". */
const char *kb_check_text__percent(double share, char text[KB_CHECK_TEXT_MAX]);
/* Seconds with a sign, in the unit that fits: "+12.3 ms". */
const char *kb_check_text__seconds_change(double seconds, char text[KB_CHECK_TEXT_MAX]);
/* What the check comes to, in one sentence without a newline: "regression: CPU time +5.4% (+4.1% to
 * +6.8%), most of it in parse()". */
void kb_check_text__write_summary(const struct kb_check *check, FILE *stream);

/* How many of n rows are shown. */
static inline uint32_t kb_check_view__limit(const struct kb_check_view_opts *opts, uint32_t n)
{
	return opts->limit && opts->limit < n ? opts->limit : n;
}

#endif
