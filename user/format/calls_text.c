// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Tables as pstats prints them, to the byte (Lib/pstats.py, print_stats(),
 * print_callers(), print_callees()). What statistics of keelback's own have beyond those of
 * a pstats file has lines of its own: how times were taken, rates, the ledger.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "format/call_index.h"
#include "format/calls_order.h"
#include "format/calls_writers.h"
#include "format/chosen_text.h"
#include "format/ledger_text.h"
#include "format/pstats_names.h"
#include "model/calls.h"

#define INDENT "         "

struct text {
	const struct kb_calls *calls;
	struct kb_calls_order order;
	struct kb_call_index edges; /* of the view's functions */
	bool callees;		    /* edges are by caller */
	size_t width;		    /* of the column of names */
	FILE *stream;
};

static const struct kb_call_stats *stats_of(const struct text *text, uint32_t id)
{
	return &kb_calls__function(text->calls, id)->stats;
}

/* ---- fields */

static void write_time(const struct text *text, double seconds)
{
	if (kb_calls__meta(text->calls)->timing == KB_CALLS_UNTIMED)
		fputs("       -", text->stream);
	else
		fprintf(text->stream, "%8.3f", seconds);
}

/* Of chosen functions only whole latencies are known. */
static void write_tottime(const struct text *text, const struct kb_call_stats *stats, bool per_call)
{
	bool known = !kb_calls__n_chosen(text->calls);

	if (per_call && !stats->ncalls)
		fputs("        ", text->stream);
	else if (known)
		write_time(text,
			   per_call ? stats->tottime / (double)stats->ncalls : stats->tottime);
	else
		fputs("       -", text->stream);
}

static void write_per_call(const struct text *text, double seconds, uint64_t calls)
{
	if (calls)
		write_time(text, seconds / (double)calls);
	else
		fputs("        ", text->stream);
}

/* "total", or "total/primitive" where they differ. */
static void write_counts(const struct text *text, const struct kb_call_stats *stats, int width)
{
	char counts[48];

	if (stats->ncalls == stats->primitive)
		snprintf(counts, sizeof(counts), "%" PRIu64, stats->ncalls);
	else
		snprintf(counts, sizeof(counts), "%" PRIu64 "/%" PRIu64, stats->ncalls,
			 stats->primitive);
	fprintf(text->stream, "%*s ", width, counts);
}

static size_t characters(const char *name)
{
	size_t n = 0;

	while (kb_text__next(&name))
		n++;
	return n;
}

static void write_padded(const struct text *text, const char *name, size_t width)
{
	size_t n = characters(name);

	kb_text__write(text->stream, name);
	if (n < width)
		fprintf(text->stream, "%*s", (int)(width - n), "");
}

/* ---- header */

static void write_totals(const struct text *text)
{
	struct kb_call_stats total = kb_calls__total(text->calls);

	fprintf(text->stream, INDENT "%" PRIu64 " function calls", total.ncalls);
	if (total.ncalls != total.primitive)
		fprintf(text->stream, " (%" PRIu64 " primitive calls)", total.primitive);
	if (kb_calls__meta(text->calls)->timing != KB_CALLS_UNTIMED &&
	    !kb_calls__n_chosen(text->calls))
		fprintf(text->stream, " in %.3f seconds", total.tottime);
	fputc('\n', text->stream);
}

/* Only of what keelback took. */
static void write_how(const struct text *text)
{
	static const char *const timings[] = { "not timed", "times from samples",
					       "times measured" };
	const struct kb_calls_meta *meta = kb_calls__meta(text->calls);

	if (!*meta->version)
		return;
	fputs(INDENT, text->stream);
	if (kb_calls__n_chosen(text->calls))
		fputs("chosen functions alone, ", text->stream);
	fputs(timings[meta->timing], text->stream);
	if (meta->timing != KB_CALLS_UNTIMED)
		fprintf(text->stream, ", %s",
			meta->clock == KB_CALLS_CPU ? "CPU clock" : "wall clock");
	if (meta->n_windows && meta->duration_ns)
		fprintf(text->stream,
			"; counted in %" PRIu32
			" windows, %.2f of %.2f seconds; calls/s with 95 %% "
			"confidence",
			meta->n_windows, KB_CALLS_SECONDS(meta->traced_ns),
			KB_CALLS_SECONDS(meta->duration_ns));
	fputc('\n', text->stream);
}

static void write_header(const struct text *text)
{
	uint32_t n = kb_calls__n_sources(text->calls);

	for (uint32_t i = 0; i < n; i++) {
		kb_text__write(text->stream, kb_calls__source(text->calls, i));
		fputc('\n', text->stream);
	}
	if (n)
		fputc('\n', text->stream);
	write_totals(text);
	write_how(text);
	fputc('\n', text->stream);
}

/* ---- the table of functions */

static bool has_rates(const struct text *text)
{
	const struct kb_calls_meta *meta = kb_calls__meta(text->calls);

	return meta->n_windows && meta->duration_ns;
}

static void write_rate(const struct text *text, uint32_t id)
{
	struct kb_calls_rate rate = kb_calls__rate(text->calls, id);

	fprintf(text->stream, "%10.1f ", rate.per_second);
	if (isinf(rate.high))
		fprintf(text->stream, "%10s ", "?");
	else
		fprintf(text->stream, "%10.1f ", rate.high - rate.per_second);
}

static void write_titles(const struct text *text)
{
	fputs(kb_calls__meta(text->calls)->unit == KB_CALLS_SAMPLES
		      ? " nsamples  tottime persample cumtime persample "
		      : "   ncalls  tottime  percall  cumtime  percall ",
	      text->stream);
	if (has_rates(text))
		fprintf(text->stream, "%10s %11s ", "calls/s", "±");
	fputs("filename:lineno(function)\n", text->stream);
}

static void write_row(const struct text *text, uint32_t id)
{
	const struct kb_call_stats *stats = stats_of(text, id);

	write_counts(text, stats, 9);
	write_tottime(text, stats, false);
	fputc(' ', text->stream);
	write_tottime(text, stats, true);
	fputc(' ', text->stream);
	write_time(text, stats->cumtime);
	fputc(' ', text->stream);
	write_per_call(text, stats->cumtime, stats->primitive);
	fputc(' ', text->stream);
	if (has_rates(text))
		write_rate(text, id);
	kb_text__write(text->stream, text->order.names[id]);
	fputc('\n', text->stream);
}

static void write_rows(const struct text *text)
{
	write_titles(text);
	for (uint32_t i = 0; i < text->order.n && !ferror(text->stream); i++)
		write_row(text, text->order.ids[i]);
}

/* ---- callers and callees */

static uint32_t other_end(const struct text *text, uint32_t edge)
{
	const struct kb_calls_edge *e = &kb_calls__edges(text->calls)[edge];

	return text->callees ? e->callee : e->caller;
}

/* As Python compares the tuples. */
static int compare_ends(const void *a, const void *b, void *arg)
{
	const struct text *text = arg;
	const struct kb_calls_function *x =
		kb_calls__function(text->calls, other_end(text, *(const uint32_t *)a));
	const struct kb_calls_function *y =
		kb_calls__function(text->calls, other_end(text, *(const uint32_t *)b));
	int diff = strcmp(x->file, y->file);

	if (!diff)
		diff = (x->line > y->line) - (x->line < y->line);
	return diff ? diff : strcmp(x->name, y->name);
}

static struct kb_error *write_edge(const struct text *text, uint32_t id, bool first)
{
	const struct kb_calls_edge *edge = &kb_calls__edges(text->calls)[id];
	const struct kb_calls_function *other =
		kb_calls__function(text->calls, other_end(text, id));
	char *name = kb_pstats_name(other);

	if (!name)
		return kb_error__no_memory();
	if (!first)
		fprintf(text->stream, "%*s", (int)text->width + (edge->count_only ? 3 : 1), "");
	if (edge->count_only) {
		kb_text__write(text->stream, name);
		fprintf(text->stream, "(%" PRIu64 ") ", edge->stats.ncalls);
		write_time(text, other->stats.cumtime);
	} else {
		write_counts(text, &edge->stats, first ? 7 : 9);
		write_tottime(text, &edge->stats, false);
		fputc(' ', text->stream);
		write_time(text, edge->stats.cumtime);
		fputs("  ", text->stream);
		kb_text__write(text->stream, name);
	}
	fputc('\n', text->stream);
	free(name);
	return NULL;
}

static struct kb_error *write_edges(const struct text *text, uint32_t id)
{
	uint32_t from = text->edges.first[id], to = text->edges.first[id + 1];

	write_padded(text, text->order.names[id], text->width);
	fputs(text->callees ? "-> " : "<- ", text->stream);
	if (from == to)
		fputc('\n', text->stream);
	qsort_r(text->edges.edges + from, to - from, sizeof(uint32_t), compare_ends, (void *)text);
	for (uint32_t i = from; i < to; i++)
		KB_TRY(write_edge(text, text->edges.edges[i], i == from));
	return NULL;
}

/* pstats looks at the first function that has callers. */
static bool has_subheading(const struct kb_calls *calls)
{
	const struct kb_calls_edge *edges = kb_calls__edges(calls);

	return kb_calls__n_edges(calls) && !edges[0].count_only;
}

static struct kb_error *write_pairs(struct text *text)
{
	bool samples = kb_calls__meta(text->calls)->unit == KB_CALLS_SAMPLES;

	fprintf(text->stream, "%-*s%s\n", (int)text->width, "Function ",
		text->callees ? "called..." : "was called by...");
	if (has_subheading(text->calls))
		fprintf(text->stream, "%*s    %s  tottime  cumtime\n", (int)text->width, "",
			samples ? "nsamples" : "ncalls");
	for (uint32_t i = 0; i < text->order.n && !ferror(text->stream); i++)
		KB_TRY(write_edges(text, text->order.ids[i]));
	return NULL;
}

static struct kb_error *prepare_pairs(struct text *text)
{
	size_t longest = 0;

	for (uint32_t i = 0; i < text->order.n; i++) {
		size_t n = characters(text->order.names[text->order.ids[i]]);

		longest = n > longest ? n : longest;
	}
	text->width = longest + 2;
	return kb_call_index__create(text->calls, text->callees ? KB_BY_CALLER : KB_BY_CALLEE,
				     &text->edges);
}

static struct kb_error *write_view(struct text *text, enum kb_calls_view view)
{
	if (view == KB_CALLS_STATS)
		write_header(text);
	if (!text->order.n)
		return NULL;
	fprintf(text->stream, "%s\n", text->order.message);
	if (view == KB_CALLS_STATS) {
		write_rows(text);
	} else {
		KB_TRY(prepare_pairs(text));
		KB_TRY(write_pairs(text));
	}
	fputs("\n\n", text->stream);
	return NULL;
}

struct kb_error *kb_calls_text__write(const struct kb_calls *calls,
				      const struct kb_calls_format_opts *opts, FILE *stream)
{
	struct text text = { .calls = calls,
			     .callees = opts->view == KB_CALLS_CALLEES,
			     .stream = stream };
	struct kb_error *err;

	KB_TRY(kb_calls_order__create(calls, opts, &text.order));
	err = write_view(&text, opts->view);
	if (!err && opts->view == KB_CALLS_STATS)
		kb_chosen_text__write(calls, stream);
	kb_calls_order__free(&text.order);
	kb_call_index__free(&text.edges);
	if (!err && opts->summary && kb_calls__n_ledger(calls))
		kb_ledger_text__write_calls(calls, stream);
	return err;
}
