// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The three lists below the text table, each of the functions that score highest:
 *
 * - direct/cumulative: work done in the function itself, where optimising it helps;
 * - cumulative - direct: stacks that pass through, the paths that matter;
 * - cumulative/direct: how much more a function costs than it does itself.
 *
 * A function seen in two samples can score perfectly in a ratio by chance, so
 * functions below 1 % of the samples take no part.
 */
#include <inttypes.h>
#include "format/pstats_view.h"

#define SUMMARY_ROWS	    3
#define SUMMARY_PERCENT_MIN 1.0

struct list {
	const char *title, *title_of_time;
	/* Higher is better, 0: not in the list. */
	double (*score)(const struct kb_pstats_view *view, const struct kb_function_row *row);
	void (*write)(const struct kb_pstats_view *view, const struct kb_function_row *row);
};

/* "12 indirect samples", or "0.012 s indirect". */
static void write_amount(const struct kb_pstats_view *view, uint64_t count, const char *what)
{
	if (view->of_time)
		fprintf(view->stream, "%.3f s%s", (double)count / view->per_second, what);
	else
		fprintf(view->stream, "%" PRIu64 "%s samples", count, what);
}

static double score_hot(const struct kb_pstats_view *view, const struct kb_function_row *row)
{
	if (kb_pstats_view__percent(view, row->direct) < SUMMARY_PERCENT_MIN)
		return 0;
	return (double)row->direct / (double)row->cumulative;
}

static void write_hot(const struct kb_pstats_view *view, const struct kb_function_row *row)
{
	fprintf(view->stream, "%.3f direct/cumulative ratio, %.1f%% direct %s",
		(double)row->direct / (double)row->cumulative,
		kb_pstats_view__percent(view, row->direct), view->of_time ? "time" : "samples");
}

/* Stacks pass through markers such as <native>, but there is nothing in them to look into. */
static double score_passing(const struct kb_pstats_view *view, const struct kb_function_row *row)
{
	if (row->label.kind == KB_LABEL_MARKER)
		return 0;
	return (double)(row->cumulative - row->direct);
}

static void write_passing(const struct kb_pstats_view *view, const struct kb_function_row *row)
{
	write_amount(view, row->cumulative - row->direct, " indirect");
	fprintf(view->stream, ", %.1f%% total stack presence",
		kb_pstats_view__percent(view, row->cumulative));
}

static double score_magnified(const struct kb_pstats_view *view, const struct kb_function_row *row)
{
	if (row->label.kind == KB_LABEL_MARKER || !row->direct || row->cumulative == row->direct ||
	    kb_pstats_view__percent(view, row->cumulative) < SUMMARY_PERCENT_MIN)
		return 0;
	return (double)row->cumulative / (double)row->direct;
}

static void write_magnified(const struct kb_pstats_view *view, const struct kb_function_row *row)
{
	fprintf(view->stream, "%.1fx call magnification, ",
		(double)row->cumulative / (double)row->direct);
	write_amount(view, row->cumulative - row->direct, " indirect");
	fputs(" for ", view->stream);
	if (view->of_time)
		write_amount(view, row->direct, " direct");
	else
		fprintf(view->stream, "%" PRIu64 " direct", row->direct);
}

static const struct list lists[] = {
	{ "Functions with Highest Direct/Cumulative Ratio (Hot Spots)",
	  "Functions with Highest Direct/Cumulative Ratio (Hot Spots)", score_hot, write_hot },
	{ "Functions with Highest Call Frequency (Indirect Samples)",
	  "Functions with Most Time in What They Call", score_passing, write_passing },
	{ "Functions with Highest Call Magnification (Cumulative/Direct)",
	  "Functions with Highest Call Magnification (Cumulative/Direct)", score_magnified,
	  write_magnified },
};

/* The best rows in best, the first of equals in front; returns how many there are. */
static int find_best(const struct kb_pstats_view *view, const struct list *list,
		     uint32_t best[SUMMARY_ROWS])
{
	const struct kb_function_row *rows = view->table->rows;
	double scores[SUMMARY_ROWS];
	int n = 0;

	for (uint32_t i = 0; i < view->table->n_rows; i++) {
		uint32_t row = view->order[i];
		double score = list->score(view, &rows[row]);
		int at = n;

		while (at > 0 && score > scores[at - 1])
			at--;
		if (score <= 0 || at == SUMMARY_ROWS)
			continue;
		if (n < SUMMARY_ROWS)
			n++;
		for (int j = n - 1; j > at; j--) {
			best[j] = best[j - 1];
			scores[j] = scores[j - 1];
		}
		best[at] = row;
		scores[at] = score;
	}
	return n;
}

static void write_list(const struct kb_pstats_view *view, const struct list *list)
{
	uint32_t best[SUMMARY_ROWS];
	int n = find_best(view, list, best);

	if (!n)
		return;
	putc('\n', view->stream);
	kb_pstats_view__colored(view, KB_PSTATS_HEADING,
				view->of_time ? list->title_of_time : list->title);
	fputs(":\n", view->stream);
	for (int i = 0; i < n; i++) {
		fputs("  ", view->stream);
		list->write(view, &view->table->rows[best[i]]);
		fputs(": ", view->stream);
		kb_pstats_view__function(view, best[i]);
		putc('\n', view->stream);
	}
}

void kb_pstats_view__summary(const struct kb_pstats_view *view)
{
	putc('\n', view->stream);
	kb_pstats_view__colored(view, KB_PSTATS_HEADING, "Summary of Interesting Functions:");
	putc('\n', view->stream);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		write_list(view, &lists[i]);
}
