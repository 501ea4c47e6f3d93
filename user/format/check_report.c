// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "format/check_report.h"

#define P_LEAST 0.0001 /* less is hardly a probability of anything */

const char *kb_check_report__verdict(enum kb_check_verdict verdict)
{
	static const char *const texts[] = {
		[KB_CHECK_CANNOT_TELL] = "cannot tell",
		[KB_CHECK_NO_CHANGE] = "no change",
		[KB_CHECK_IMPROVEMENT] = "improvement",
		[KB_CHECK_REGRESSION] = "regression",
	};

	return texts[verdict];
}

void kb_check_report__interval(double low, double high, char text[KB_CHECK_INTERVAL_MAX])
{
	char from[KB_CHECK_TEXT_MAX], to[KB_CHECK_TEXT_MAX];

	if (low == high || !isfinite(low) || !isfinite(high))
		snprintf(text, KB_CHECK_INTERVAL_MAX, "-");
	else
		snprintf(text, KB_CHECK_INTERVAL_MAX, "%s to %s", kb_check_text__change(low, from),
			 kb_check_text__change(high, to));
}

void kb_check_report__p(double p, char text[KB_CHECK_TEXT_MAX])
{
	if (p < P_LEAST)
		snprintf(text, KB_CHECK_TEXT_MAX, "< %g", P_LEAST);
	else
		snprintf(text, KB_CHECK_TEXT_MAX, "%.2g", p);
}

void kb_check_report__time(int64_t unix_seconds, char text[KB_CHECK_TEXT_MAX])
{
	time_t time = unix_seconds;
	struct tm tm;

	if (!gmtime_r(&time, &tm) || !strftime(text, KB_CHECK_TEXT_MAX, "%Y-%m-%d %H:%M UTC", &tm))
		snprintf(text, KB_CHECK_TEXT_MAX, "%" PRId64, unix_seconds);
}

int kb_check_report__change(double change, double low, double high, char *text, size_t size)
{
	char word[KB_CHECK_TEXT_MAX], interval[KB_CHECK_INTERVAL_MAX];

	kb_check_text__change(change, word);
	kb_check_report__interval(low, high, interval);
	if (!strcmp(interval, "-"))
		return snprintf(text, size, "%s", word);
	return snprintf(text, size, "%s (%s)", word, interval);
}

void kb_check_report__measure(const struct kb_check_measure *measure,
			      char text[KB_CHECK_SENTENCE_MAX])
{
	enum kb_check_unit unit = kb_check_metric__unit(measure->metric);
	char base[KB_CHECK_TEXT_MAX], head[KB_CHECK_TEXT_MAX];
	char threshold[KB_CHECK_TEXT_MAX], detectable[KB_CHECK_TEXT_MAX];
	int n = snprintf(text, KB_CHECK_SENTENCE_MAX,
			 "%s: ", kb_check_metric__text(measure->metric));

	n += kb_check_report__change(measure->change, measure->low, measure->high, text + n,
				     KB_CHECK_SENTENCE_MAX - n);
	n += snprintf(text + n, KB_CHECK_SENTENCE_MAX - n, ", %s to %s; threshold %s",
		      kb_check_text__value(unit, measure->base, base),
		      kb_check_text__value(unit, measure->head, head),
		      kb_check_text__percent(measure->threshold, threshold));
	if (kb_check_metric__is_exact(measure->metric))
		return;
	snprintf(text + n, KB_CHECK_SENTENCE_MAX - n, ", %s would have been seen",
		 kb_check_text__percent(measure->detectable, detectable));
}

void kb_check_report__trend(const struct kb_check_trend_measure *measure,
			    char text[KB_CHECK_SENTENCE_MAX])
{
	char threshold[KB_CHECK_TEXT_MAX];
	int n = snprintf(text, KB_CHECK_SENTENCE_MAX,
			 "%s: ", kb_check_metric__text(measure->metric));

	if (!measure->n_level) {
		snprintf(text + n, KB_CHECK_SENTENCE_MAX - n,
			 "%" PRIu32 " checks before, too few to compare with", measure->n - 1);
		return;
	}
	n += kb_check_report__change(measure->change, measure->low, measure->high, text + n,
				     KB_CHECK_SENTENCE_MAX - n);
	snprintf(text + n, KB_CHECK_SENTENCE_MAX - n,
		 " beside a level of %" PRIu32 " checks; threshold %s", measure->n_level,
		 kb_check_text__percent(measure->threshold, threshold));
}

int32_t kb_check_report__line(const int32_t line[KB_CHECK_SIDES])
{
	return line[KB_CHECK_HEAD] ?: line[KB_CHECK_BASE];
}

double kb_check_report__count_change(const struct kb_check_count *count)
{
	double base = (double)count->value[KB_CHECK_BASE];
	double head = (double)count->value[KB_CHECK_HEAD];

	if (!base)
		return head ? INFINITY : 0;
	return head / base - 1;
}

bool kb_check_report__is_to_blame(const struct kb_check *check, const struct kb_check_count *count)
{
	const struct kb_check_measure *measure = kb_check__measure_of(check, count->metric);

	return measure && measure->verdict == KB_CHECK_REGRESSION && !count->unstable &&
	       count->value[KB_CHECK_HEAD] > count->value[KB_CHECK_BASE];
}
