// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The text table, with the columns, widths, units and sort keys of Python 3.15's
 * profiling.sampling (Lib/profiling/sampling/pstats_collector.py). It differs where that loses
 * something: a row is a function, with the line where it starts, not each line
 * that was executed (opts.lines brings those); files that share a name get as much of their
 * path as tells them apart; and the ledger follows.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/text.h"
#include "format/ledger_text.h"
#include "format/pstats_sort.h"
#include "format/pstats_view.h"
#include "format/sample_time.h"
#include "format/short_path.h"
#include "format/writers.h"

/* Column widths; wider values push the rest of their row to the right. */
#define WIDTH_NSAMPLES 15
#define WIDTH_PERCENT  8
#define WIDTH_TIME     12

struct unit {
	const char *name;
	double per_second;
};

void kb_pstats_view__color(const struct kb_pstats_view *view, enum kb_pstats_color color)
{
	static const char *const codes[] = {
		[KB_PSTATS_HEADING] = "\033[1;34m", [KB_PSTATS_TERM] = "\033[33m",
		[KB_PSTATS_FILE] = "\033[32m",	    [KB_PSTATS_LINE] = "\033[33m",
		[KB_PSTATS_FUNCTION] = "\033[36m",
	};

	if (view->color)
		fputs(codes[color], view->stream);
}

void kb_pstats_view__plain(const struct kb_pstats_view *view)
{
	if (view->color)
		fputs("\033[0m", view->stream);
}

void kb_pstats_view__colored(const struct kb_pstats_view *view, enum kb_pstats_color color,
			     const char *text)
{
	kb_pstats_view__color(view, color);
	fputs(text, view->stream);
	kb_pstats_view__plain(view);
}

/* The specialized name with what it stands for, as profiling.sampling writes it. */
static void write_opcode(const struct kb_pstats_view *view, const char *opcode)
{
	const char *base = opcode ? kb_opcode__base_of(opcode) : "";

	if (!opcode || !*opcode)
		return;
	fputs(" [", view->stream);
	kb_pstats_view__color(view, KB_PSTATS_TERM);
	kb_text__write(view->stream, opcode);
	kb_pstats_view__plain(view);
	if (strcmp(base, opcode)) {
		fputs(" (", view->stream);
		kb_text__write(view->stream, base);
		putc(')', view->stream);
	}
	putc(']', view->stream);
}

void kb_pstats_view__function(const struct kb_pstats_view *view, uint32_t row)
{
	const struct kb_label *label = &view->table->rows[row].label;
	const char *place = kb_label__place(label);

	if (place) {
		kb_pstats_view__color(view, KB_PSTATS_FILE);
		kb_text__write(view->stream, *view->paths[row] ? view->paths[row] : place);
		kb_pstats_view__plain(view);
	}
	if (label->kind == KB_LABEL_FRAME) {
		putc(':', view->stream);
		kb_pstats_view__color(view, KB_PSTATS_LINE);
		fprintf(view->stream, "%" PRId32, label->number);
		kb_pstats_view__plain(view);
	}
	if (place)
		putc('(', view->stream);
	kb_pstats_view__color(view, KB_PSTATS_FUNCTION);
	kb_text__write(view->stream, *label->name ? label->name : "?");
	kb_pstats_view__plain(view);
	if (place)
		putc(')', view->stream);
	write_opcode(view, label->opcode);
}

double kb_pstats_view__percent(const struct kb_pstats_view *view, uint64_t samples)
{
	return view->table->total ? (double)samples * 100 / (double)view->table->total : 0;
}

static struct unit best_unit(double seconds)
{
	if (seconds >= 1)
		return (struct unit){ "s", 1 };
	if (seconds >= 0.001)
		return (struct unit){ "ms", 1e3 };
	return (struct unit){ "μs", 1e6 };
}

/* Characters, not bytes. */
static int text_width(const char *text)
{
	int width = 0;

	while (kb_text__next(&text))
		width++;
	return width;
}

static void write_title(const struct kb_pstats_view *view, int width, const char *title,
			const char *unit)
{
	char text[32];

	snprintf(text, sizeof(text), unit ? "%s (%s)" : "%s", title, unit);
	kb_pstats_view__color(view, KB_PSTATS_HEADING);
	fprintf(view->stream, "%*s%s", width - text_width(text), "", text);
	kb_pstats_view__plain(view);
	fputs("  ", view->stream);
}

static void write_titles(const struct kb_pstats_view *view, struct unit direct,
			 struct unit cumulative)
{
	kb_pstats_view__colored(view, KB_PSTATS_HEADING, "Profile Stats:");
	putc('\n', view->stream);
	if (!view->of_time)
		write_title(view, WIDTH_NSAMPLES, "nsamples", NULL);
	write_title(view, WIDTH_PERCENT, view->of_time ? "time%" : "sample%", NULL);
	write_title(view, WIDTH_TIME, "tottime", direct.name);
	write_title(view, WIDTH_PERCENT, "cumul%", NULL);
	write_title(view, WIDTH_TIME, "cumtime", cumulative.name);
	kb_pstats_view__colored(view, KB_PSTATS_HEADING, "filename:lineno(function)");
	putc('\n', view->stream);
}

static void write_cost(const struct kb_pstats_view *view, uint64_t count, struct unit unit)
{
	fprintf(view->stream, "%*.1f", WIDTH_PERCENT, kb_pstats_view__percent(view, count));
	if (view->per_second > 0)
		fprintf(view->stream, "  %*.3f  ", WIDTH_TIME,
			kb_sample_time__seconds(count, view->per_second) * unit.per_second);
	else
		fprintf(view->stream, "  %*s  ", WIDTH_TIME, "-");
}

static void write_row(const struct kb_pstats_view *view, uint32_t at, struct unit direct,
		      struct unit cumulative)
{
	const struct kb_function_row *row = &view->table->rows[at];
	char counts[48];

	if (!view->of_time) {
		snprintf(counts, sizeof(counts), "%" PRIu64 "/%" PRIu64, row->direct,
			 row->cumulative);
		fprintf(view->stream, "%*s  ", WIDTH_NSAMPLES, counts);
	}
	write_cost(view, row->direct, direct);
	write_cost(view, row->cumulative, cumulative);
	kb_pstats_view__function(view, at);
	putc('\n', view->stream);
}

static void write_rows(const struct kb_pstats_view *view)
{
	uint64_t direct = 0, cumulative = 0;
	struct unit direct_unit, cumulative_unit;

	for (uint32_t i = 0; i < view->n_shown; i++) {
		const struct kb_function_row *row = &view->table->rows[view->order[i]];

		if (direct < row->direct)
			direct = row->direct;
		if (cumulative < row->cumulative)
			cumulative = row->cumulative;
	}
	direct_unit = best_unit(kb_sample_time__seconds(direct, view->per_second));
	cumulative_unit = best_unit(kb_sample_time__seconds(cumulative, view->per_second));
	write_titles(view, direct_unit, cumulative_unit);
	for (uint32_t i = 0; i < view->n_shown; i++)
		write_row(view, view->order[i], direct_unit, cumulative_unit);
	if (view->n_shown < view->table->n_rows)
		fprintf(view->stream, "%*s…  (%" PRIu32 " more)\n", WIDTH_NSAMPLES - 1, "",
			view->table->n_rows - view->n_shown);
}

static void write_legend(const struct kb_pstats_view *view)
{
	static const char *const of_samples[][2] = {
		{ "nsamples", "samples in the function itself / with it anywhere on the stack" },
		{ "sample%", "share of all samples in the function itself" },
		{ "tottime", "running time in the function itself, estimated" },
		{ "cumul%", "share of all samples with the function on the stack" },
		{ "cumtime", "running time in the function and what it called, estimated" },
		{ "filename:lineno(function)", "where the function starts, and its name" },
	};
	static const char *const of_tasks[][2] = {
		{ "nsamples",
		  "tasks seen in the function itself / with it anywhere on the way there" },
		{ "sample%", "share of all tasks seen in the function itself" },
		{ "tottime",
		  "seconds of tasks, waiting or running, in the function itself, estimated" },
		{ "cumul%", "share of all tasks seen with the function on the way" },
		{ "cumtime", "seconds of tasks in the function and what it awaited, estimated" },
		{ "filename:lineno(function)", "where the function starts, and its name" },
	};
	static const char *const of_time[][2] = {
		{ "time%", "share of all time in the function itself" },
		{ "tottime", "time in the function itself" },
		{ "cumul%", "share of all time with the function on the stack" },
		{ "cumtime", "time in the function and what it called" },
		{ "filename:lineno(function)", "where the function starts, and its name" },
	};
	const char *const(*terms)[2] = view->of_time	? of_time
				       : view->of_tasks ? of_tasks
							: of_samples;
	size_t n = view->of_time ? sizeof(of_time) / sizeof(of_time[0])
				 : sizeof(of_samples) / sizeof(of_samples[0]);

	putc('\n', view->stream);
	kb_pstats_view__colored(view, KB_PSTATS_HEADING, "Legend:");
	putc('\n', view->stream);
	for (size_t i = 0; i < n; i++) {
		fputs("  ", view->stream);
		kb_pstats_view__colored(view, KB_PSTATS_TERM, terms[i][0]);
		fprintf(view->stream, ": %s\n", terms[i][1]);
	}
}

static struct kb_error *prepare(struct kb_pstats_view *view, const struct kb_format_opts *opts)
{
	uint32_t n = view->table->n_rows;

	view->paths = calloc(n + 1, sizeof(*view->paths));
	view->order = calloc(n + 1, sizeof(*view->order));
	if (!view->paths || !view->order)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		view->paths[i] = view->table->rows[i].label.file;
	KB_TRY(kb_short_path__make(view->paths, n));
	kb_pstats_sort__order(view->table, view->paths, opts->sort, view->order);
	view->n_shown = opts->limit && opts->limit < n ? opts->limit : n;
	return NULL;
}

static struct kb_error *write_table(const struct kb_function_table *table,
				    const struct kb_profile *profile,
				    const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_pstats_view view = {
		.table = table,
		.per_second = kb_sample_time__per_second(profile),
		.of_tasks = kb_profile__meta(profile)->mode == KB_MODE_TASKS,
		.of_time = kb_profile__meta(profile)->unit == KB_UNIT_NS,
		.color = opts->color,
		.stream = stream,
	};
	struct kb_error *err = prepare(&view, opts);

	if (!err && !table->n_rows) {
		fputs(view.of_time ? "No time was collected.\n" : "No samples were collected.\n",
		      stream);
	} else if (!err) {
		write_rows(&view);
		write_legend(&view);
		if (opts->summary)
			kb_pstats_view__summary(&view);
	}
	free(view.paths);
	free(view.order);
	return err;
}

struct kb_error *kb_pstats_text__write(const struct kb_profile *profile,
				       const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_function_table *table;
	struct kb_error *err;

	KB_TRY(kb_function_table__create(profile, opts->opcodes ? KB_ROWS_OPCODES : opts->lines,
					 &table));
	err = write_table(table, profile, opts, stream);
	kb_function_table__destroy(table);
	if (err)
		return err;
	putc('\n', stream);
	kb_ledger_text__write(profile, stream);
	return NULL;
}
