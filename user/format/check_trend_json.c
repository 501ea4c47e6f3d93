// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "base/json_out.h"
#include "format/check_trend.h"
#include "format/writers.h"

static void write_functions(struct kb_json_out *out, const struct kb_check_trend_change *change)
{
	kb_json_out__open(out, "functions", '[');
	for (uint32_t i = 0; i < change->n_functions; i++) {
		const struct kb_check_trend_function *function = &change->functions[i];

		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "name", function->name);
		kb_json_out__text(out, "file", function->file);
		kb_json_out__int(out, "line", function->line);
		kb_json_out__real(out, "before", function->before);
		kb_json_out__real(out, "after", function->after);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

static void write_change(struct kb_json_out *out, const struct kb_check_trend_change *change)
{
	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "label", change->label);
	kb_json_out__text(out, "last", change->last);
	kb_json_out__int(out, "time", change->unix_seconds);
	kb_json_out__real(out, "before", change->before);
	kb_json_out__real(out, "after", change->after);
	kb_json_out__uint(out, "n_before", change->n_before);
	kb_json_out__uint(out, "n_after", change->n_after);
	kb_json_out__real(out, "change", change->change);
	kb_json_out__real(out, "low", change->low);
	kb_json_out__real(out, "high", change->high);
	kb_json_out__real(out, "p", change->p);
	write_functions(out, change);
	kb_json_out__close(out, '}');
}

/* What the newest is compared with, when there is something. */
static void write_level(struct kb_json_out *out, const struct kb_check_trend_measure *measure)
{
	if (!measure->n_level) {
		kb_json_out__null(out, "level");
		return;
	}
	kb_json_out__open(out, "level", '{');
	kb_json_out__real(out, "mean", measure->level);
	kb_json_out__uint(out, "n", measure->n_level);
	kb_json_out__text(out, "first", measure->level_first);
	kb_json_out__text(out, "last", measure->level_last);
	kb_json_out__close(out, '}');
	kb_json_out__real(out, "change", measure->change);
	kb_json_out__real(out, "low", measure->low);
	kb_json_out__real(out, "high", measure->high);
	kb_json_out__real(out, "p", measure->p);
	kb_json_out__real(out, "detectable", measure->detectable);
	if (measure->since)
		kb_json_out__text(out, "since", measure->since);
}

static void write_measure(struct kb_json_out *out, const struct kb_check_trend_measure *measure)
{
	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "metric", kb_check_metric__name(measure->metric));
	kb_json_out__text(out, "verdict", kb_check_verdict__name(measure->verdict));
	kb_json_out__bool(out, "gated", measure->gated);
	kb_json_out__real(out, "threshold", measure->threshold);
	kb_json_out__bool(out, "ratio", measure->ratio);
	kb_json_out__uint(out, "left_out", measure->n_elsewhere);
	kb_json_out__real(out, "newest", measure->newest);
	write_level(out, measure);
	kb_json_out__open(out, "values", '[');
	for (uint32_t i = 0; i < measure->n; i++)
		kb_json_out__real(out, NULL, measure->values[i]);
	kb_json_out__close(out, ']');
	kb_json_out__open(out, "labels", '[');
	for (uint32_t i = 0; i < measure->n; i++)
		kb_json_out__text(out, NULL, measure->labels[i]);
	kb_json_out__close(out, ']');
	kb_json_out__open(out, "changes", '[');
	for (uint32_t i = 0; i < measure->n_changes; i++)
		write_change(out, &measure->changes[i]);
	kb_json_out__close(out, ']');
	kb_json_out__close(out, '}');
}

void kb_check_trend__put(struct kb_json_out *out, const char *name,
			 const struct kb_check_trend *trend)
{
	kb_json_out__open(out, name, '{');
	kb_json_out__text(out, "label", trend->label);
	kb_json_out__text(out, "verdict", kb_check_verdict__name(trend->verdict));
	kb_json_out__real(out, "confidence", trend->confidence);
	kb_json_out__open(out, "metrics", '[');
	for (uint32_t i = 0; i < trend->n_measures; i++)
		write_measure(out, &trend->measures[i]);
	kb_json_out__close(out, ']');
	kb_json_out__close(out, '}');
}

struct kb_error *kb_check_trend__write_json(const struct kb_check_trend *trend, FILE *stream)
{
	struct kb_json_out out = { .stream = stream };

	kb_check_trend__put(&out, NULL, trend);
	kb_json_out__line(&out);
	return kb_writers__check_stream(stream);
}
