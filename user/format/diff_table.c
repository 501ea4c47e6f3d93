// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/options.h"
#include "base/text.h"
#include "format/diff.h"
#include "format/ledger_text.h"
#include "format/short_path.h"
#include "format/writers.h"

struct table {
	const struct kb_diff *diff;
	const struct kb_diff_row **rows; /* as shown */
	const char **files;		 /* of all rows, as shown, by place in the comparison */
	uint32_t n_shown;
	bool color;
	FILE *stream;
};

static int compare_total(const void *a, const void *b, void *arg)
{
	const struct kb_diff_row *row = *(const struct kb_diff_row *const *)a;
	const struct kb_diff_row *other = *(const struct kb_diff_row *const *)b;
	double x = fabs(kb_diff__total_change(arg, row));
	double y = fabs(kb_diff__total_change(arg, other));

	if (x != y)
		return x > y ? -1 : 1;
	return (row > other) - (row < other);
}

static int compare_name(const void *a, const void *b, void *arg)
{
	const struct kb_diff_row *row = *(const struct kb_diff_row *const *)a;
	const struct kb_diff_row *other = *(const struct kb_diff_row *const *)b;

	return strcmp(row->name, other->name) ?: strcmp(row->file, other->file);
}

static struct kb_error *order(struct table *table, const char *sort)
{
	const struct kb_diff *diff = table->diff;

	for (uint32_t i = 0; i < diff->n_rows; i++) {
		table->rows[i] = &diff->rows[i];
		table->files[i] = diff->rows[i].file;
	}
	if (!sort || !strcmp(sort, "self"))
		return NULL;
	if (!strcmp(sort, "total"))
		qsort_r(table->rows, diff->n_rows, sizeof(*table->rows), compare_total,
			(void *)diff);
	else if (!strcmp(sort, "name"))
		qsort_r(table->rows, diff->n_rows, sizeof(*table->rows), compare_name,
			(void *)diff);
	else
		return kb_usage("sort key '%s' is none of self, total, name", sort);
	return NULL;
}

static void write_cost(const struct table *table, const struct kb_profile *profile, uint64_t count,
		       uint64_t total)
{
	double share = kb_diff__share(count, total) * 100;

	if (kb_profile__seconds(profile, count) > 0 || !count)
		fprintf(table->stream, "%10.3f %5.1f%%", kb_profile__seconds(profile, count),
			share);
	else
		fprintf(table->stream, "%10s %5.1f%%", "-", share); /* no rate */
}

/* Red is more and blue is less, as on the page. */
static void write_change(const struct table *table, double change)
{
	double points = round(change * 1000) / 10;

	if (!points) {
		fprintf(table->stream, "%8.1f", 0.0);
		return;
	}
	fputs(!table->color ? "" : points > 0 ? "\033[31m" : "\033[34m", table->stream);
	fprintf(table->stream, "%+8.1f", points);
	fputs(table->color ? "\033[0m" : "", table->stream);
}

static void write_name(const struct table *table, const struct kb_diff_row *row)
{
	const char *file = table->files[row - table->diff->rows];

	if (row->kind == KB_FRAME_KERNEL)
		file = "kernel";
	if (*file) {
		kb_text__write(table->stream, file);
		if (row->first_line > 0)
			fprintf(table->stream, ":%" PRId32, row->first_line);
		putc('(', table->stream);
	}
	kb_text__write(table->stream, *row->name ? row->name : "?");
	fputs(*file ? ")\n" : "\n", table->stream);
}

static void write_row(const struct table *table, const struct kb_diff_row *row)
{
	const struct kb_diff *diff = table->diff;
	const char *status = !row->before.total ? "new" : !row->after.total ? "gone" : "";

	write_cost(table, diff->before, row->before.self, diff->before_total);
	write_cost(table, diff->after, row->after.self, diff->after_total);
	write_change(table, kb_diff__self_change(diff, row));
	write_cost(table, diff->before, row->before.total, diff->before_total);
	write_cost(table, diff->after, row->after.total, diff->after_total);
	write_change(table, kb_diff__total_change(diff, row));
	fprintf(table->stream, "  %-4s  ", status);
	write_name(table, row);
}

static void write_heading(const struct table *table)
{
	fputs(table->color ? "\033[1m" : "", table->stream);
	fprintf(table->stream, "%17s%17s%8s%17s%17s%8s  %4s  %s", "self (s) old", "self (s) new",
		"change", "total (s) old", "total (s) new", "change", "", "function");
	fputs(table->color ? "\033[0m\n" : "\n", table->stream);
}

static void write_profile(const struct table *table, const char *name,
			  const struct kb_profile *profile)
{
	const struct kb_profile_meta *meta = kb_profile__meta(profile);

	fprintf(table->stream, "\n%s: ", name);
	kb_text__write(table->stream, meta->target);
	fprintf(table->stream, ", %.3f s observed, %.3f s sampled\n  ",
		(double)meta->duration_ns / 1e9,
		kb_profile__seconds(profile, kb_profile__total(profile)));
	kb_ledger_text__write(profile, table->stream);
}

static void write_summary(const struct table *table)
{
	fprintf(table->stream,
		"\n%" PRIu32 " of %" PRIu32 " functions. self: in the function itself; total: with "
		"it anywhere on the stack.\n"
		"Shares are of all of that recording, so its length does not matter; change is of "
		"the share, in points.\n",
		table->n_shown, table->diff->n_rows);
	write_profile(table, "Old", table->diff->before);
	write_profile(table, "New", table->diff->after);
}

static struct kb_error *write_table(struct table *table, const struct kb_diff_opts *opts)
{
	uint32_t n = table->diff->n_rows;

	table->rows = calloc(n + 1, sizeof(*table->rows));
	table->files = calloc(n + 1, sizeof(*table->files));
	if (!table->rows || !table->files)
		return kb_error__no_memory();
	KB_TRY(order(table, opts->sort));
	KB_TRY(kb_short_path__make(table->files, n));
	table->n_shown = opts->limit && opts->limit < n ? opts->limit : n;
	write_heading(table);
	for (uint32_t i = 0; i < table->n_shown && !ferror(table->stream); i++)
		write_row(table, table->rows[i]);
	if (opts->summary)
		write_summary(table);
	return NULL;
}

struct kb_error *kb_diff__write_table(const struct kb_diff *diff, const struct kb_diff_opts *given,
				      FILE *stream)
{
	struct table table = { .diff = diff, .stream = stream };
	struct kb_diff_opts opts = { .summary = true };
	struct kb_error *err;

	if (given)
		KB_TRY(KB_COPY_OPTIONS(&opts, given));
	table.color = opts.color;
	err = write_table(&table, &opts);
	free(table.rows);
	free(table.files);
	return err ?: kb_writers__check_stream(stream);
}
