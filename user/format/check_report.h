/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CHECK_REPORT_H
#define KB_FORMAT_CHECK_REPORT_H

#include "format/check_writers.h"
#include "keelback/check_history.h"

/* What the reports for others (Markdown, JUnit, annotations) have in common. */

/* "regression", "no change", "cannot tell". */
const char *kb_check_report__verdict(enum kb_check_verdict verdict);

/* "+4.1% to +6.3%"; "-" when it is no more than the change, or without end. */
#define KB_CHECK_INTERVAL_MAX (3 * KB_CHECK_TEXT_MAX)
void kb_check_report__interval(double low, double high, char text[KB_CHECK_INTERVAL_MAX]);
/* "+5.2% (+4.8% to +5.6%)"; without an interval where there is none. The length, as snprintf(). */
int kb_check_report__change(double change, double low, double high, char *text, size_t size);
/* "0.003", "< 0.0001". */
void kb_check_report__p(double p, char text[KB_CHECK_TEXT_MAX]);
/* "2026-11-27 09:12 UTC". */
void kb_check_report__time(int64_t unix_seconds, char text[KB_CHECK_TEXT_MAX]);

#define KB_CHECK_SENTENCE_MAX 384
/* "CPU time: +5.2% (+4.8% to +5.6%), 1.02 s to 1.07 s; threshold 3%". */
void kb_check_report__measure(const struct kb_check_measure *measure,
			      char text[KB_CHECK_SENTENCE_MAX]);
/* The same of the newest check beside its level, without labels. */
void kb_check_report__trend(const struct kb_check_trend_measure *measure,
			    char text[KB_CHECK_SENTENCE_MAX]);

/* The line of head, or of base where head does not have it. */
int32_t kb_check_report__line(const int32_t line[KB_CHECK_SIDES]);

/* Relative; infinite where base has none. */
double kb_check_report__count_change(const struct kb_check_count *count);
/* It grew, and its metric is a regression. */
bool kb_check_report__is_to_blame(const struct kb_check *check, const struct kb_check_count *count);

#endif
