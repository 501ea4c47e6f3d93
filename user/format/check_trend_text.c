// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/text.h"
#include "format/check_trend.h"
#include "format/check_report.h"
#include "format/writers.h"

struct text {
	FILE *stream;
	bool color;
};

/* A value of the metric, or of head in units of base. */
static void write_value(const struct text *text, const struct kb_check_trend_measure *measure,
			double value)
{
	char word[KB_CHECK_TEXT_MAX];

	if (measure->ratio) {
		fprintf(text->stream, "%.4f of base", value);
		return;
	}
	fputs(kb_check_text__value(kb_check_metric__unit(measure->metric), value, word),
	      text->stream);
}

static void write_change(const struct text *text, double change, double low, double high)
{
	char words[KB_CHECK_SENTENCE_MAX];

	kb_check_report__change(change, low, high, words, sizeof(words));
	fputs(words, text->stream);
}

static void write_functions(const struct text *text, const struct kb_check_trend_measure *measure,
			    const struct kb_check_trend_change *change)
{
	enum kb_check_unit unit = kb_check_metric__unit(measure->metric);

	for (uint32_t i = 0; i < change->n_functions; i++) {
		const struct kb_check_trend_function *function = &change->functions[i];
		char before[KB_CHECK_TEXT_MAX], after[KB_CHECK_TEXT_MAX];

		fprintf(text->stream, "      %12s -> %-12s ",
			kb_check_text__value(unit, function->before, before),
			kb_check_text__value(unit, function->after, after));
		kb_text__write(text->stream, function->name);
		if (*function->file) {
			fputs(" (", text->stream);
			kb_text__write(text->stream, function->file);
			if (function->line)
				fprintf(text->stream, ":%" PRId32, function->line);
			putc(')', text->stream);
		}
		putc('\n', text->stream);
	}
}

static void write_one_change(const struct text *text, const struct kb_check_trend_measure *measure,
			     const struct kb_check_trend_change *change)
{
	char time[KB_CHECK_TEXT_MAX], p[KB_CHECK_TEXT_MAX];

	kb_check_report__time(change->unix_seconds, time);
	kb_check_report__p(change->p, p);
	fputs("    moved at ", text->stream);
	kb_text__write(text->stream, change->label);
	fprintf(text->stream, " (%s) by ", time);
	write_change(text, change->change, change->low, change->high);
	fputs(": ", text->stream);
	write_value(text, measure, change->before);
	fprintf(text->stream, " in %" PRIu32 " checks up to ", change->n_before);
	kb_text__write(text->stream, change->last);
	fputs(", ", text->stream);
	write_value(text, measure, change->after);
	fprintf(text->stream, " in %" PRIu32 " since", change->n_after);
	if (!kb_check_metric__is_exact(measure->metric))
		fprintf(text->stream, "; p %s", p);
	putc('\n', text->stream);
	write_functions(text, measure, change);
}

static void write_verdict(const struct text *text, const struct kb_check_trend_measure *measure)
{
	const char *color = measure->verdict == KB_CHECK_REGRESSION    ? "\033[31m"
			    : measure->verdict == KB_CHECK_IMPROVEMENT ? "\033[32m"
								       : "";

	fprintf(text->stream, "%s%s%s", text->color ? color : "",
		kb_check_verdict__name(measure->verdict), text->color && *color ? "\033[0m" : "");
	if (measure->verdict == KB_CHECK_REGRESSION && !measure->gated)
		fputs(" (not gated)", text->stream);
}

static void write_measure(const struct text *text, const struct kb_check_trend_measure *measure)
{
	char word[KB_CHECK_TEXT_MAX];

	fprintf(text->stream, "  %-18s", kb_check_metric__text(measure->metric));
	write_verdict(text, measure);
	fputs(": ", text->stream);
	write_value(text, measure, measure->newest);
	if (!measure->n_level) {
		fprintf(text->stream,
			", and no level of %d checks to compare it with (%" PRIu32 " before it)",
			KB_CHECK_LEVEL, measure->n - 1);
	} else {
		fputs(", ", text->stream);
		write_change(text, measure->change, measure->low, measure->high);
		fputs(" beside ", text->stream);
		write_value(text, measure, measure->level);
		fprintf(text->stream, " in %" PRIu32 " checks", measure->n_level);
		if (!kb_check_metric__is_exact(measure->metric))
			fprintf(text->stream, "; %s would have been seen",
				kb_check_text__percent(measure->detectable, word));
	}
	if (measure->since && strcmp(measure->since, measure->labels[measure->n - 1])) {
		fputs("; since ", text->stream);
		kb_text__write(text->stream, measure->since);
	}
	putc('\n', text->stream);
	if (measure->n_elsewhere)
		fprintf(text->stream,
			"    %" PRIu32 " checks of another machine, Python or base are left out\n",
			measure->n_elsewhere);
	for (uint32_t i = 0; i < measure->n_changes; i++)
		write_one_change(text, measure, &measure->changes[i]);
}

struct kb_error *kb_check_trend__write_text(const struct kb_check_trend *trend, bool color,
					    FILE *stream)
{
	struct text text = { stream, color };

	fputs("History: ", stream);
	kb_text__write(stream, trend->label);
	fprintf(stream, " is %s, at %g%% confidence\n",
		trend->verdict == KB_CHECK_REGRESSION	 ? "a regression"
		: trend->verdict == KB_CHECK_IMPROVEMENT ? "an improvement"
		: trend->verdict == KB_CHECK_NO_CHANGE	 ? "no change"
							 : "not told from the checks before",
		trend->confidence * 100);
	for (uint32_t i = 0; i < trend->n_measures; i++)
		write_measure(&text, &trend->measures[i]);
	return kb_writers__check_stream(stream);
}
