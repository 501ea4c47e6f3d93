// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/json_out.h"
#include "base/options.h"
#include "format/check_history_line.h"
#include "format/check_report.h"
#include "format/function_table.h"
#include "model/check.h"
#include "model/check_history.h"
#include "system/machine.h"

struct kb_error *kb_check_mark__copy(struct kb_check_mark *known, const struct kb_check_mark *given)
{
	*known = (struct kb_check_mark){};
	KB_TRY(KB_COPY_OPTIONS(known, given));
	if (!known->base_label)
		known->base_label = "";
	return NULL;
}

struct kb_error *kb_check_mark__check(const struct kb_check_mark *given)
{
	struct kb_check_mark mark;

	KB_TRY(kb_check_mark__copy(&mark, given));
	if (!mark.label || !*mark.label)
		return kb_usage("an entry of a history needs a label: a commit or a version");
	if (strlen(mark.label) > KB_CHECK_LABEL_MAX || strlen(mark.base_label) > KB_CHECK_LABEL_MAX)
		return kb_usage("a label of a history has at most %d bytes", KB_CHECK_LABEL_MAX);
	if (mark.unix_seconds < 0)
		return kb_usage("a time of a history is not before 1970");
	return NULL;
}

static void write_runs(struct kb_json_out *out, const char *name, const double *runs, uint32_t n)
{
	kb_json_out__open(out, name, '[');
	for (uint32_t i = 0; i < n; i++)
		kb_json_out__real(out, NULL, runs[i]);
	kb_json_out__close(out, ']');
}

static void write_metrics(struct kb_json_out *out, const struct kb_check *check)
{
	kb_json_out__open(out, "metrics", '{');
	for (uint32_t i = 0; i < kb_check__n_measures(check); i++) {
		const struct kb_check_measure *measure = kb_check__measure(check, i);

		kb_json_out__open(out, kb_check_metric__name(measure->metric), '{');
		write_runs(out, "base", measure->runs[KB_CHECK_BASE], measure->n);
		write_runs(out, "head", measure->runs[KB_CHECK_HEAD], measure->n);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, '}');
}

static void write_facts(struct kb_json_out *out, const struct kb_check_meta *meta)
{
	struct kb_machine machine;

	kb_machine__read(&machine);
	kb_json_out__text(out, "version", meta->version);
	kb_json_out__open(out, "machine", '{');
	kb_json_out__text(out, "host", meta->host);
	kb_json_out__text(out, "architecture", machine.architecture);
	kb_json_out__text(out, "cpu", machine.cpu);
	kb_json_out__uint(out, "cpus", machine.cpus);
	kb_json_out__text(out, "kernel", machine.kernel);
	kb_json_out__close(out, '}');
	kb_json_out__open(out, "python", '{');
	kb_json_out__text(out, "base", meta->python[KB_CHECK_BASE]);
	kb_json_out__text(out, "head", meta->python[KB_CHECK_HEAD]);
	kb_json_out__close(out, '}');
}

static int compare_direct(const void *a, const void *b)
{
	const struct kb_function_row *x = a, *y = b;

	if (x->direct != y->direct)
		return x->direct > y->direct ? -1 : 1;
	return kb_label__compare(&x->label, &y->label);
}

static void write_rows(struct kb_json_out *out, const struct kb_check *check,
		       const struct kb_function_table *table)
{
	const struct kb_check_measure *cpu = kb_check__measure_of(check, KB_CHECK_CPU);
	double seconds = cpu && table->total ? cpu->head / (double)table->total : 0;
	char here[4096] = "";
	const char *directory = kb_check__meta(check)->dir[KB_CHECK_HEAD];

	if (!*directory && getcwd(here, sizeof(here)))
		directory = here;
	for (uint32_t i = 0; i < table->n_rows && i < KB_HISTORY_FUNCTIONS_MAX; i++) {
		const struct kb_function_row *row = &table->rows[i];

		if (!row->direct)
			break;
		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "name", row->label.name);
		kb_json_out__text(out, "file", kb_check__below(directory, row->label.file));
		kb_json_out__int(out, "line", row->label.number > 0 ? row->label.number : 0);
		kb_json_out__real(out, "seconds", (double)row->direct * seconds);
		kb_json_out__close(out, '}');
	}
}

static struct kb_error *write_functions(struct kb_json_out *out, const struct kb_check *check)
{
	const struct kb_profile *profile = kb_check__profile(check, KB_CHECK_HEAD);
	struct kb_function_table *table;

	if (!profile)
		return NULL;
	KB_TRY(kb_function_table__create(profile, KB_ROWS_FUNCTIONS, &table));
	qsort(table->rows, table->n_rows, sizeof(*table->rows), compare_direct);
	kb_json_out__open(out, "functions", '[');
	write_rows(out, check, table);
	kb_json_out__close(out, ']');
	kb_function_table__destroy(table);
	return NULL;
}

static void write_counts(struct kb_json_out *out, const struct kb_check *check)
{
	uint32_t written[KB_CHECK_METRICS] = {};

	kb_json_out__open(out, "counts", '[');
	for (uint32_t i = 0; i < kb_check__n_counts(check); i++) {
		const struct kb_check_count *count = kb_check__count(check, i);

		if (count->unstable || written[count->metric]++ >= KB_HISTORY_COUNTS_MAX)
			continue;
		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "metric", kb_check_metric__name(count->metric));
		kb_json_out__text(out, "name", count->name);
		kb_json_out__text(out, "file", count->file);
		kb_json_out__int(out, "line", kb_check_report__line(count->line));
		kb_json_out__uint(out, "base", count->value[KB_CHECK_BASE]);
		kb_json_out__uint(out, "head", count->value[KB_CHECK_HEAD]);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

struct kb_error *kb_check_history_line__write(const struct kb_check *check,
					      const struct kb_check_mark *given, FILE *stream)
{
	struct kb_json_out out = { .stream = stream };
	struct kb_check_mark mark;

	KB_TRY(kb_check_mark__check(given));
	KB_TRY(kb_check_mark__copy(&mark, given));
	kb_json_out__open(&out, NULL, '{');
	kb_json_out__int(&out, "keelback_check", KB_CHECK_HISTORY_VERSION);
	kb_json_out__int(&out, "time", mark.unix_seconds);
	kb_json_out__text(&out, "label", mark.label);
	if (*mark.base_label)
		kb_json_out__text(&out, "base_label", mark.base_label);
	write_facts(&out, kb_check__meta(check));
	write_metrics(&out, check);
	KB_TRY(write_functions(&out, check));
	write_counts(&out, check);
	kb_json_out__close(&out, '}');
	kb_json_out__line(&out);
	return NULL;
}
