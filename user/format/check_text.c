// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/text.h"
#include "format/check_writers.h"
#include "keelback/check_history.h"

struct report {
	const struct kb_check *check;
	const struct kb_check_view_opts *opts;
	FILE *stream;
};

static void paint(const struct report *r, const char *code)
{
	if (r->opts->color)
		fputs(code, r->stream);
}

static const char *color_of(enum kb_check_verdict verdict)
{
	return verdict == KB_CHECK_REGRESSION	 ? "\033[1;31m"
	       : verdict == KB_CHECK_IMPROVEMENT ? "\033[32m"
	       : verdict == KB_CHECK_CANNOT_TELL ? "\033[33m"
						 : "";
}

static void write_head(const struct report *r)
{
	const struct kb_check_meta *meta = kb_check__meta(r->check);
	static const char *const sides[] = { "base", "head" };

	paint(r, color_of(meta->verdict));
	kb_check_text__write_summary(r->check, r->stream);
	paint(r, "\033[0m");
	fputs("\n\n", r->stream);
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		fprintf(r->stream, "  %s  ", sides[side]);
		kb_text__write(r->stream, meta->side[side]);
		if (*meta->dir[side]) {
			fputs("  in ", r->stream);
			kb_text__write(r->stream, meta->dir[side]);
		}
		if (*meta->python[side]) {
			fputs("  Python ", r->stream);
			kb_text__write(r->stream, meta->python[side]);
		}
		putc('\n', r->stream);
	}
}

/* ---------------------------------------------------------------- measures */

static void write_verdict(const struct report *r, const struct kb_check_measure *m)
{
	char text[KB_CHECK_TEXT_MAX];

	if (!m->gated)
		paint(r, "\033[2m");
	else
		paint(r, color_of(m->verdict));
	switch (m->verdict) {
	case KB_CHECK_REGRESSION:
		fputs("regression", r->stream);
		break;
	case KB_CHECK_IMPROVEMENT:
		fputs("improvement", r->stream);
		break;
	case KB_CHECK_NO_CHANGE:
		if (m->largest > 0)
			fprintf(r->stream, "no change larger than %s",
				kb_check_text__percent(m->largest, text));
		else
			fputs("no change", r->stream);
		break;
	default:
		fputs("cannot tell", r->stream);
	}
	paint(r, "\033[0m");
	if (m->gated)
		fprintf(r->stream, " (threshold %s)", kb_check_text__percent(m->threshold, text));
	else
		fputs(" (not gated)", r->stream);
}

static void write_measure(const struct report *r, const struct kb_check_measure *m)
{
	enum kb_check_unit unit = kb_check_metric__unit(m->metric);
	char base[KB_CHECK_TEXT_MAX], head[KB_CHECK_TEXT_MAX], change[KB_CHECK_TEXT_MAX];
	char low[KB_CHECK_TEXT_MAX], high[KB_CHECK_TEXT_MAX], interval[3 * KB_CHECK_TEXT_MAX];

	strcpy(interval, "exact");
	if (!kb_check_metric__is_exact(m->metric))
		snprintf(interval, sizeof(interval), "%s to %s", kb_check_text__change(m->low, low),
			 kb_check_text__change(m->high, high));
	fprintf(r->stream, "  %-20s %11s %11s %8s  %-18s ", kb_check_metric__text(m->metric),
		kb_check_text__value(unit, m->base, base),
		kb_check_text__value(unit, m->head, head), kb_check_text__change(m->change, change),
		interval);
	write_verdict(r, m);
	putc('\n', r->stream);
}

static void write_measures(const struct report *r)
{
	const struct kb_check_meta *meta = kb_check__meta(r->check);
	char heading[32];

	snprintf(heading, sizeof(heading), "%.4g%% interval", meta->confidence * 100);
	paint(r, "\033[1m");
	fprintf(r->stream, "\n  %-20s %11s %11s %8s  %-18s %s\n", "", "base", "head", "change",
		heading, "verdict");
	paint(r, "\033[0m");
	for (uint32_t i = 0; i < kb_check__n_measures(r->check); i++)
		write_measure(r, kb_check__measure(r->check, i));
}

/* What these data can show at all. */
static void write_power(const struct report *r)
{
	const struct kb_check_meta *meta = kb_check__meta(r->check);
	const struct kb_check_measure *cpu = kb_check__measure_of(r->check, KB_CHECK_CPU);
	char text[KB_CHECK_TEXT_MAX];

	putc('\n', r->stream);
	if (meta->recordings && cpu)
		fputs("  Of recordings: how much runs differ from one another is not known, and "
		      "not in the interval.\n",
		      r->stream);
	else if (!meta->recordings)
		fprintf(r->stream, "  %" PRIu32 " pairs of runs%s; %.0f s in all.\n", meta->n_pairs,
			meta->interrupted   ? ", then it was interrupted"
			: meta->out_of_time ? ", then the time was up (--max-time)"
					    : "",
			meta->duration_ns / 1e9);
	if (meta->attempted[KB_CHECK_BASE] || meta->attempted[KB_CHECK_HEAD])
		fprintf(r->stream,
			"  Samples: base %" PRIu64 " of %" PRIu64
			" attempted have a stack, head %" PRIu64 " of %" PRIu64 ".\n",
			meta->reported[KB_CHECK_BASE], meta->attempted[KB_CHECK_BASE],
			meta->reported[KB_CHECK_HEAD], meta->attempted[KB_CHECK_HEAD]);
	if (cpu && isfinite(cpu->detectable))
		fprintf(r->stream,
			"  CPU time that grows by %s or more would have been found in 9 of 10 "
			"checks.\n",
			kb_check_text__percent(cpu->detectable, text));
	for (uint32_t i = 0; i < kb_check__n_notes(r->check); i++) {
		fputs("  Note: ", r->stream);
		kb_text__write(r->stream, kb_check__note(r->check, i));
		putc('\n', r->stream);
	}
}

/* ---------------------------------------------------------------- functions */

static void write_place(const struct report *r, const char *name, const char *file, int32_t line)
{
	kb_text__write(r->stream, *name ? name : "?");
	if (!*file)
		return;
	fputs(" (", r->stream);
	kb_text__write(r->stream, file);
	if (line > 0)
		fprintf(r->stream, ":%" PRId32, line);
	putc(')', r->stream);
}

static int32_t line_of(const int32_t line[KB_CHECK_SIDES])
{
	return line[KB_CHECK_HEAD] ? line[KB_CHECK_HEAD] : line[KB_CHECK_BASE];
}

#define LINES_SHOWN 3

static void write_lines(const struct report *r, const struct kb_check_function *f)
{
	char base[KB_CHECK_TEXT_MAX], head[KB_CHECK_TEXT_MAX];

	for (uint32_t i = 0; i < f->n_lines && i < LINES_SHOWN; i++) {
		const struct kb_check_line *line = &f->lines[i];

		fprintf(r->stream, "%15s line %-5" PRId32 " %10s -> %s\n", "", line_of(line->line),
			kb_check_text__value(KB_CHECK_SECONDS, line->value[KB_CHECK_BASE], base),
			kb_check_text__value(KB_CHECK_SECONDS, line->value[KB_CHECK_HEAD], head));
	}
}

static void write_function(const struct report *r, const struct kb_check_function *f)
{
	char change[KB_CHECK_TEXT_MAX], low[KB_CHECK_TEXT_MAX], high[KB_CHECK_TEXT_MAX];
	char interval[3 * KB_CHECK_TEXT_MAX];

	snprintf(interval, sizeof(interval), "%s to %s", kb_check_text__seconds_change(f->low, low),
		 kb_check_text__seconds_change(f->high, high));
	paint(r, f->blamed ? "\033[31m" : "");
	fprintf(r->stream, "  %12s  %-24s p %-7.2g ",
		kb_check_text__seconds_change(f->change, change), interval, f->p);
	write_place(r, f->name, f->file, line_of(f->line));
	fputs(!f->line[KB_CHECK_BASE]	? "  new"
	      : !f->line[KB_CHECK_HEAD] ? "  gone"
					: "",
	      r->stream);
	paint(r, f->blamed ? "\033[0m" : "");
	putc('\n', r->stream);
	if (f->blamed)
		write_lines(r, f);
}

/* Where a change is in doubt, so is who made it: then only what is sure is shown. */
static void write_functions(const struct report *r)
{
	const struct kb_check_measure *cpu = kb_check__measure_of(r->check, KB_CHECK_CPU);
	uint32_t n = kb_check__n_functions(r->check);
	bool all = r->opts->verbose || (cpu && cpu->verdict == KB_CHECK_REGRESSION);
	uint32_t shown = 0, limit = kb_check_view__limit(r->opts, n);

	for (uint32_t i = 0; i < n && shown < limit; i++) {
		const struct kb_check_function *f = kb_check__function(r->check, i);

		if (!f->blamed && (!all || f->change <= 0))
			continue;
		if (!shown++)
			fputs("\nFunctions that became slower, seconds of CPU time in a run:\n",
			      r->stream);
		write_function(r, f);
	}
}

/* ---------------------------------------------------------------- counts */

static void write_count(const struct report *r, const struct kb_check_count *c)
{
	enum kb_check_unit unit = kb_check_metric__unit(c->metric);
	char base[KB_CHECK_TEXT_MAX], head[KB_CHECK_TEXT_MAX];

	fprintf(r->stream, "  %12s -> %-12s ",
		kb_check_text__value(unit, c->value[KB_CHECK_BASE], base),
		kb_check_text__value(unit, c->value[KB_CHECK_HEAD], head));
	if (c->caller_name) {
		write_place(r, c->caller_name, c->caller_file, c->caller_line);
		fputs(" -> ", r->stream);
	}
	write_place(r, c->name, c->file, line_of(c->line));
	fputs(c->unstable ? "  varies by itself\n" : "\n", r->stream);
}

static void write_counts(const struct report *r, enum kb_check_metric metric, const char *title)
{
	uint32_t n = kb_check__n_counts(r->check), shown = 0, more = 0;
	uint32_t limit = kb_check_view__limit(r->opts, n);

	for (uint32_t i = 0; i < n; i++) {
		const struct kb_check_count *c = kb_check__count(r->check, i);

		if (c->metric != metric || c->unstable ||
		    c->value[KB_CHECK_HEAD] <= c->value[KB_CHECK_BASE])
			continue;
		if (shown >= limit) {
			more++;
			continue;
		}
		if (!shown++)
			fprintf(r->stream, "\n%s:\n", title);
		write_count(r, c);
	}
	if (more)
		fprintf(r->stream, "  and %" PRIu32 " more\n", more);
}

static void write_edges(const struct report *r)
{
	uint32_t n = kb_check__n_edges(r->check), limit = kb_check_view__limit(r->opts, n);

	for (uint32_t i = 0; i < limit; i++) {
		if (!i)
			fputs("\nCalls that base does not have:\n", r->stream);
		write_count(r, kb_check__edge(r->check, i));
	}
	if (n > limit)
		fprintf(r->stream, "  and %" PRIu32 " more\n", n - limit);
}

struct kb_error *kb_check_text__write(const struct kb_check *check,
				      const struct kb_check_view_opts *opts, FILE *stream)
{
	struct report r = { check, opts, stream };

	write_head(&r);
	write_measures(&r);
	write_power(&r);
	write_functions(&r);
	write_counts(&r, KB_CHECK_CALLS, "Functions that are called more");
	write_edges(&r);
	write_counts(&r, KB_CHECK_ALLOCATIONS, "Functions that allocate more blocks");
	write_counts(&r, KB_CHECK_PEAK, "Functions with more bytes at the peak");
	if (!opts->trend)
		return NULL;
	putc('\n', stream);
	return kb_check_trend__write_text(opts->trend, opts->color, stream);
}
