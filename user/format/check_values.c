// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* Figures of a check as people read them, the same in every report. */
#include <math.h>
#include <string.h>
#include "base/text.h"
#include "format/check_writers.h"

/* Four digits that count. */
static void scaled(double value, const char *const *units, int n, double step, bool sign,
		   char text[KB_CHECK_TEXT_MAX])
{
	int unit = 0;
	double size;

	while (unit + 1 < n && fabs(value) >= step) {
		value /= step;
		unit++;
	}
	size = fabs(value);
	snprintf(text, KB_CHECK_TEXT_MAX, sign ? "%+.*f %s" : "%.*f %s",
		 size >= 99.95	 ? 0
		 : size >= 9.995 ? 1
				 : 2,
		 value, units[unit]);
}

static const char *const time_units[] = { "us", "ms", "s" };

const char *kb_check_text__value(enum kb_check_unit unit, double value,
				 char text[KB_CHECK_TEXT_MAX])
{
	static const char *const bytes[] = { "B", "KB", "MB", "GB", "TB" };

	switch (unit) {
	case KB_CHECK_SECONDS:
		scaled(value * 1e6, time_units, 3, 1000, false, text);
		break;
	case KB_CHECK_BYTES:
		scaled(value, bytes, 5, 1000, false, text);
		break;
	default:
		snprintf(text, KB_CHECK_TEXT_MAX, "%.0f", value);
	}
	return text;
}

const char *kb_check_text__change(double change, char text[KB_CHECK_TEXT_MAX])
{
	double percent = change * 100;

	if (isinf(change))
		strcpy(text, change > 0 ? "any" : "-any");
	else if (!change)
		strcpy(text, "0%");
	else if (fabs(percent) < 0.01)
		snprintf(text, KB_CHECK_TEXT_MAX, "%s0.01%%", percent < 0 ? ">-" : "<+");
	else
		snprintf(text, KB_CHECK_TEXT_MAX, "%+.*f%%",
			 fabs(percent) < 1	 ? 2
			 : fabs(percent) < 999.5 ? 1
						 : 0,
			 percent);
	return text;
}

const char *kb_check_text__percent(double share, char text[KB_CHECK_TEXT_MAX])
{
	if (isinf(share))
		strcpy(text, "any size");
	else
		snprintf(text, KB_CHECK_TEXT_MAX, "%.3g%%", share * 100);
	return text;
}

const char *kb_check_text__seconds_change(double seconds, char text[KB_CHECK_TEXT_MAX])
{
	scaled(seconds * 1e6, time_units, 3, 1000, true, text);
	return text;
}

/* The measure that says most of the verdict: the first one that has it, gated ones before others.
 */
static const struct kb_check_measure *decisive(const struct kb_check *check)
{
	enum kb_check_verdict verdict = kb_check__meta(check)->verdict;

	for (uint32_t i = 0; i < kb_check__n_measures(check); i++) {
		const struct kb_check_measure *m = kb_check__measure(check, i);

		if (m->gated && m->verdict == verdict)
			return m;
	}
	return NULL;
}

static void write_interval(const struct kb_check_measure *m, FILE *stream)
{
	char low[KB_CHECK_TEXT_MAX], high[KB_CHECK_TEXT_MAX];

	if (!kb_check_metric__is_exact(m->metric))
		fprintf(stream, " (%s to %s)", kb_check_text__change(m->low, low),
			kb_check_text__change(m->high, high));
}

/* Who explains it: of CPU time the first function that is blamed, of a count the one that grew
 * most. */
static void write_culprit(const struct kb_check *check, enum kb_check_metric metric, FILE *stream)
{
	const char *name = NULL;

	if (kb_check_metric__is_exact(metric)) {
		for (uint32_t i = 0; i < kb_check__n_counts(check) && !name; i++) {
			const struct kb_check_count *count = kb_check__count(check, i);

			if (count->metric == metric && !count->unstable &&
			    count->value[KB_CHECK_HEAD] > count->value[KB_CHECK_BASE])
				name = count->name;
		}
	} else if (kb_check__n_functions(check) && kb_check__function(check, 0)->blamed) {
		name = kb_check__function(check, 0)->name;
	}
	if (!name)
		return;
	fputs(", most of it in ", stream);
	kb_text__write(stream, name);
}

void kb_check_text__write_summary(const struct kb_check *check, FILE *stream)
{
	const struct kb_check_measure *m = decisive(check);
	char text[KB_CHECK_TEXT_MAX];

	fputs(kb_check_verdict__name(kb_check__meta(check)->verdict), stream);
	if (!m)
		return;
	switch (m->verdict) {
	case KB_CHECK_REGRESSION:
	case KB_CHECK_IMPROVEMENT:
		fprintf(stream, ": %s %s", kb_check_metric__text(m->metric),
			kb_check_text__change(m->change, text));
		write_interval(m, stream);
		if (m->verdict == KB_CHECK_REGRESSION)
			write_culprit(check, m->metric, stream);
		break;
	case KB_CHECK_NO_CHANGE:
		fprintf(stream, " of %s larger than %s", kb_check_metric__text(m->metric),
			kb_check_text__percent(m->largest, text));
		break;
	default:
		fprintf(stream, ": %s %s", kb_check_metric__text(m->metric),
			kb_check_text__change(m->change, text));
		write_interval(m, stream);
	}
}
