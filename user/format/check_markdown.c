// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A check as a comment on a pull request: what matters in tables, the rest folded. GitHub and
 * GitLab take no comment beyond 65,536 characters, so every table has an end.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include "base/error.h"
#include "format/check_report.h"
#include "format/markdown.h"

#define ROWS_MAX 25 /* of each table; all tables with the longest names stay below the limit */

struct page {
	const struct kb_check *check;
	const struct kb_check_view_opts *opts;
	uint32_t limit;
	FILE *stream;
};

/* ---------------------------------------------------------------- parts */

static void write_figure(const struct page *page, enum kb_check_unit unit, double value)
{
	char word[KB_CHECK_TEXT_MAX];

	fprintf(page->stream, " %s |", kb_check_text__value(unit, value, word));
}

static void write_change(const struct page *page, double change)
{
	char word[KB_CHECK_TEXT_MAX];

	fprintf(page->stream, " %s |", kb_check_text__change(change, word));
}

/* Without a sign. */
static void write_percent(const struct page *page, double share)
{
	char word[KB_CHECK_TEXT_MAX];

	fprintf(page->stream, " %s |", kb_check_text__percent(share, word));
}

static void write_interval(const struct page *page, double low, double high)
{
	char word[KB_CHECK_INTERVAL_MAX];

	kb_check_report__interval(low, high, word);
	fprintf(page->stream, " %s |", word);
}

static void write_p(const struct page *page, double p)
{
	char word[KB_CHECK_TEXT_MAX];

	kb_check_report__p(p, word);
	/* The sign would begin a tag, but for the space behind it. */
	fprintf(page->stream, " %s |", word);
}

/* `name` (`file:line`). */
static void write_function(const struct page *page, const char *name, const char *file,
			   int32_t line)
{
	putc(' ', page->stream);
	kb_markdown__write_code(page->stream, name);
	if (*file) {
		fputs(" (", page->stream);
		kb_markdown__write_place(page->stream, file, line);
		putc(')', page->stream);
	}
	fputs(" |", page->stream);
}

static void write_more(const struct page *page, uint32_t shown, uint32_t all)
{
	if (all > shown)
		fprintf(page->stream, "\nand %" PRIu32 " more\n", all - shown);
}

/* ---------------------------------------------------------------- metrics */

static bool in_front(const struct kb_check_measure *measure)
{
	return measure->gated || measure->verdict == KB_CHECK_REGRESSION;
}

static void write_measure(const struct page *page, const struct kb_check_measure *measure)
{
	enum kb_check_unit unit = kb_check_metric__unit(measure->metric);
	bool bold = measure->gated && measure->verdict == KB_CHECK_REGRESSION;

	fprintf(page->stream, "| %s |", kb_check_metric__text(measure->metric));
	write_figure(page, unit, measure->base);
	write_figure(page, unit, measure->head);
	write_change(page, measure->change);
	write_interval(page, measure->low, measure->high);
	if (kb_check_metric__is_exact(measure->metric))
		fputs(" exact |", page->stream);
	else
		write_percent(page, measure->detectable);
	fprintf(page->stream, " %s%s%s%s |\n", bold ? "**" : "",
		kb_check_report__verdict(measure->verdict), bold ? "**" : "",
		measure->gated ? "" : ", not gated");
}

static void write_measures(const struct page *page, bool front)
{
	bool any = false;

	for (uint32_t i = 0; i < kb_check__n_measures(page->check); i++) {
		const struct kb_check_measure *measure = kb_check__measure(page->check, i);

		if (in_front(measure) != front)
			continue;
		if (!any)
			fprintf(page->stream,
				"\n| metric | base | head | change | %g%% interval | smallest "
				"that "
				"would have been seen | |\n"
				"|:--|--:|--:|--:|:--|--:|:--|\n",
				kb_check__meta(page->check)->confidence * 100);
		any = true;
		write_measure(page, measure);
	}
}

/* ---------------------------------------------------------------- functions */

static void write_function_row(const struct page *page, const struct kb_check_function *function)
{
	char low[KB_CHECK_TEXT_MAX], high[KB_CHECK_TEXT_MAX], change[KB_CHECK_TEXT_MAX];

	putc('|', page->stream);
	write_function(page, function->name, function->file, kb_check_report__line(function->line));
	write_figure(page, KB_CHECK_SECONDS, function->seconds[KB_CHECK_BASE]);
	write_figure(page, KB_CHECK_SECONDS, function->seconds[KB_CHECK_HEAD]);
	fprintf(page->stream, " %s |", kb_check_text__seconds_change(function->change, change));
	if (isfinite(function->low) && isfinite(function->high))
		fprintf(page->stream, " %s to %s |",
			kb_check_text__seconds_change(function->low, low),
			kb_check_text__seconds_change(function->high, high));
	else
		fputs(" - |", page->stream);
	if (function->part)
		fprintf(page->stream, " %.0f%% |", function->part * 100);
	else
		fputs(" - |", page->stream);
	write_p(page, function->p);
	putc('\n', page->stream);
}

/* Blamed, or else at least changed when it is looked at alone. */
static bool is_one_of(const struct kb_check_function *function, bool blamed)
{
	return function->blamed == blamed && (blamed || function->low > 0 || function->high < 0);
}

static void write_functions(const struct page *page, bool blamed, const char *title)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < kb_check__n_functions(page->check); i++) {
		const struct kb_check_function *function = kb_check__function(page->check, i);

		if (!is_one_of(function, blamed) || n++ >= page->limit)
			continue;
		if (n == 1)
			fprintf(page->stream,
				"\n%s\n\n| function | base | head | change | %g%% interval | of "
				"the "
				"whole | p |\n|:--|--:|--:|--:|:--|--:|--:|\n",
				title, kb_check__meta(page->check)->confidence * 100);
		write_function_row(page, function);
	}
	write_more(page, page->limit, n);
}

static void write_count_row(const struct page *page, const struct kb_check_count *count)
{
	enum kb_check_unit unit = kb_check_metric__unit(count->metric);

	fprintf(page->stream, "| %s |", kb_check_metric__text(count->metric));
	write_function(page, count->name, count->file, kb_check_report__line(count->line));
	write_figure(page, unit, count->value[KB_CHECK_BASE]);
	write_figure(page, unit, count->value[KB_CHECK_HEAD]);
	write_change(page, kb_check_report__count_change(count));
	putc('\n', page->stream);
}

/* Those of metrics that are regressions, or those of the others. */
static void write_counts(const struct page *page, bool regressions, const char *title)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < kb_check__n_counts(page->check); i++) {
		const struct kb_check_count *count = kb_check__count(page->check, i);

		if (count->unstable ||
		    kb_check_report__is_to_blame(page->check, count) != regressions ||
		    n++ >= page->limit)
			continue;
		if (n == 1)
			fprintf(page->stream,
				"\n%s\n\n| metric | function | base | head | change |\n"
				"|:--|:--|--:|--:|--:|\n",
				title);
		write_count_row(page, count);
	}
	write_more(page, page->limit, n);
}

static void write_edges(const struct page *page)
{
	uint32_t n = kb_check__n_edges(page->check);

	if (n)
		fputs("\nNew calls\n\n| caller | calls | times |\n|:--|:--|--:|\n", page->stream);
	for (uint32_t i = 0; i < n && i < page->limit; i++) {
		const struct kb_check_count *edge = kb_check__edge(page->check, i);

		putc('|', page->stream);
		write_function(page, edge->caller_name ?: "?", edge->caller_file ?: "",
			       edge->caller_line);
		write_function(page, edge->name, edge->file, kb_check_report__line(edge->line));
		write_figure(page, KB_CHECK_COUNT, edge->value[KB_CHECK_HEAD]);
		putc('\n', page->stream);
	}
	write_more(page, page->limit, n);
}

/* ---------------------------------------------------------------- history */

static void write_trend_row(const struct page *page, const struct kb_check_trend_measure *measure)
{
	enum kb_check_unit unit = kb_check_metric__unit(measure->metric);
	bool bold = measure->gated && measure->verdict == KB_CHECK_REGRESSION;

	fprintf(page->stream, "| %s |", kb_check_metric__text(measure->metric));
	if (!measure->n_level) {
		fprintf(page->stream, " - | %" PRIu32 " | - | - | - | too few checks |\n",
			measure->n - 1);
		return;
	}
	if (measure->ratio)
		fprintf(page->stream, " %.4f of base |", measure->level);
	else
		write_figure(page, unit, measure->level);
	fprintf(page->stream, " %" PRIu32 " |", measure->n_level);
	write_change(page, measure->change);
	write_interval(page, measure->low, measure->high);
	if (measure->n_changes) {
		const struct kb_check_trend_change *last =
			&measure->changes[measure->n_changes - 1];
		char word[KB_CHECK_TEXT_MAX];

		putc(' ', page->stream);
		kb_markdown__write_code(page->stream, last->label);
		fprintf(page->stream, " by %s |", kb_check_text__change(last->change, word));
	} else {
		fputs(" - |", page->stream);
	}
	fprintf(page->stream, " %s%s%s%s |\n", bold ? "**" : "",
		kb_check_report__verdict(measure->verdict), bold ? "**" : "",
		measure->gated ? "" : ", not gated");
}

static void write_trend(const struct page *page)
{
	const struct kb_check_trend *trend = page->opts->trend;

	if (!trend)
		return;
	fprintf(page->stream,
		"\nBeside the history\n\n| metric | level | checks | change | %g%% interval | "
		"moved "
		"last at | |\n|:--|--:|--:|--:|:--|:--|:--|\n",
		kb_check_trend__confidence(trend) * 100);
	for (uint32_t i = 0; i < kb_check_trend__n_measures(trend); i++) {
		const struct kb_check_trend_measure *measure = kb_check_trend__measure(trend, i);

		if (measure->gated || measure->verdict == KB_CHECK_REGRESSION)
			write_trend_row(page, measure);
	}
}

/* ---------------------------------------------------------------- the whole */

static void write_facts(const struct page *page)
{
	const struct kb_check_meta *meta = kb_check__meta(page->check);
	static const char *const names[] = { "base: ", "head: " };

	putc('\n', page->stream);
	kb_markdown__fence(page->stream);
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		fputs(names[side], page->stream);
		kb_markdown__write_fenced(page->stream, meta->side[side]);
		if (*meta->python[side]) {
			fputs("      Python ", page->stream);
			kb_markdown__write_fenced(page->stream, meta->python[side]);
		}
		fprintf(page->stream, "      %" PRIu64 " samples, %" PRIu64 " of them reported\n",
			meta->attempted[side], meta->reported[side]);
	}
	if (!meta->recordings)
		fprintf(page->stream, "%" PRIu32 " pairs of runs in turns, %.0f s in all\n",
			meta->n_pairs, (double)meta->duration_ns / 1e9);
	for (uint32_t i = 0; i < kb_check__n_notes(page->check); i++)
		kb_markdown__write_fenced(page->stream, kb_check__note(page->check, i));
	kb_markdown__fence(page->stream);
}

static void write_details(const struct page *page)
{
	fputs("\n<details><summary>Everything else</summary>\n", page->stream);
	write_measures(page, false);
	write_functions(page, false, "Other functions whose own interval excludes 0");
	write_counts(page, false, "Other counts that changed");
	write_facts(page);
	fputs("\n</details>\n", page->stream);
}

/* The sentence of the other reports. It names a function. */
static struct kb_error *write_summary(const struct page *page)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);
	bool bold = kb_check__meta(page->check)->verdict == KB_CHECK_REGRESSION;

	if (!stream)
		return kb_error__no_memory();
	kb_check_text__write_summary(page->check, stream);
	if (page->opts->trend && kb_check_trend__verdict(page->opts->trend) == KB_CHECK_REGRESSION)
		fputs("; a regression beside the history", stream);
	fclose(stream);
	fputs(bold ? "\n\n**" : "\n\n", page->stream);
	kb_markdown__write_text(page->stream, text);
	fputs(bold ? "**\n" : "\n", page->stream);
	free(text);
	return NULL;
}

struct kb_error *kb_check_markdown__write(const struct kb_check *check,
					  const struct kb_check_view_opts *opts, FILE *stream)
{
	struct page page = { check, opts, ROWS_MAX, stream };

	if (opts->limit && opts->limit < ROWS_MAX)
		page.limit = opts->limit;
	fputs("### ", stream);
	kb_markdown__write_text(stream, opts->title ?: "keelback check");
	KB_TRY(write_summary(&page));
	write_measures(&page, true);
	write_functions(&page, true, "To blame for CPU time");
	write_counts(&page, true, "To blame by exact counts");
	write_edges(&page);
	write_trend(&page);
	write_details(&page);
	return NULL;
}
