// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * {"version": 1, "verdict": …, "meta": {…}, "measures": [MEASURE…], "functions": [FUNCTION…],
 * "counts": [COUNT…], "edges": [COUNT…], "notes": [TEXT…], "trend": {…}}, the last one only where
 * there is a history. Members are only ever added; version
 * changes when one is taken away or means something else. Changes are relative; what is infinite is
 * null.
 */
#include <inttypes.h>
#include <math.h>
#include "base/json_out.h"
#include "format/check_trend.h"
#include "format/check_writers.h"

#define SCHEMA_VERSION 1

static const char *const sides[KB_CHECK_SIDES] = { "base", "head" };

static void write_real(struct kb_json_out *out, const char *name, double value)
{
	if (isfinite(value))
		kb_json_out__real(out, name, value);
	else
		kb_json_out__null(out, name);
}

static void write_side(struct kb_json_out *out, const struct kb_check_meta *meta,
		       enum kb_check_side side)
{
	kb_json_out__open(out, sides[side], '{');
	kb_json_out__text(out, meta->recordings ? "recording" : "command", meta->side[side]);
	kb_json_out__text(out, "dir", meta->dir[side]);
	kb_json_out__text(out, "python", meta->python[side]);
	kb_json_out__uint(out, "samples_attempted", meta->attempted[side]);
	kb_json_out__uint(out, "samples_reported", meta->reported[side]);
	kb_json_out__close(out, '}');
}

static void write_meta(struct kb_json_out *out, const struct kb_check_meta *meta)
{
	kb_json_out__open(out, "meta", '{');
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		write_side(out, meta, side);
	kb_json_out__text(out, "host", meta->host);
	kb_json_out__text(out, "keelback", meta->version);
	kb_json_out__int(out, "start_unix_ns", meta->start_unix_ns);
	kb_json_out__uint(out, "duration_ns", meta->duration_ns);
	kb_json_out__real(out, "confidence", meta->confidence);
	kb_json_out__real(out, "rate_hz", meta->rate_hz);
	kb_json_out__uint(out, "pairs", meta->n_pairs);
	kb_json_out__bool(out, "recordings", meta->recordings);
	kb_json_out__bool(out, "degraded", meta->degraded);
	kb_json_out__bool(out, "interrupted", meta->interrupted);
	kb_json_out__bool(out, "out_of_time", meta->out_of_time);
	kb_json_out__real(out, "seconds_max", meta->seconds_max);
	kb_json_out__close(out, '}');
}

static void write_measure(struct kb_json_out *out, const struct kb_check_measure *m)
{
	static const char *const units[] = { [KB_CHECK_SECONDS] = "seconds",
					     [KB_CHECK_BYTES] = "bytes",
					     [KB_CHECK_COUNT] = "count" };

	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "metric", kb_check_metric__name(m->metric));
	kb_json_out__text(out, "unit", units[kb_check_metric__unit(m->metric)]);
	kb_json_out__bool(out, "exact", kb_check_metric__is_exact(m->metric));
	kb_json_out__text(out, "verdict", kb_check_verdict__name(m->verdict));
	kb_json_out__bool(out, "gated", m->gated);
	kb_json_out__real(out, "threshold", m->threshold);
	kb_json_out__real(out, "base", m->base);
	kb_json_out__real(out, "head", m->head);
	write_real(out, "change", m->change);
	write_real(out, "low", m->low);
	write_real(out, "high", m->high);
	kb_json_out__real(out, "p", m->p);
	write_real(out, "largest", m->largest);
	write_real(out, "detectable", m->detectable);
	kb_json_out__real(out, "unstable", m->unstable);
	kb_json_out__open(out, "runs", '{');
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		kb_json_out__open(out, sides[side], '[');
		for (uint32_t i = 0; i < m->n; i++)
			kb_json_out__real(out, NULL, m->runs[side][i]);
		kb_json_out__close(out, ']');
	}
	kb_json_out__close(out, '}');
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

/* A line that a side does not have is null. */
static void write_lines_of_sides(struct kb_json_out *out, const int32_t line[KB_CHECK_SIDES])
{
	kb_json_out__open(out, "line", '{');
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		if (line[side])
			kb_json_out__int(out, sides[side], line[side]);
		else
			kb_json_out__null(out, sides[side]);
	}
	kb_json_out__close(out, '}');
}

static void write_function(struct kb_json_out *out, const struct kb_check_function *f)
{
	static const char *const kinds[] = { [KB_FRAME_PYTHON] = "python",
					     [KB_FRAME_MARKER] = "marker",
					     [KB_FRAME_NATIVE] = "native",
					     [KB_FRAME_KERNEL] = "kernel" };

	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "name", f->name);
	kb_json_out__text(out, "file", f->file);
	kb_json_out__text(out, "kind", kinds[f->kind]);
	write_lines_of_sides(out, f->line);
	kb_json_out__open(out, "seconds", '{');
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		kb_json_out__real(out, sides[side], f->seconds[side]);
	kb_json_out__close(out, '}');
	kb_json_out__real(out, "change", f->change);
	write_real(out, "low", f->low);
	write_real(out, "high", f->high);
	kb_json_out__real(out, "p", f->p);
	kb_json_out__real(out, "part", f->part);
	kb_json_out__bool(out, "blamed", f->blamed);
	kb_json_out__open(out, "lines", '[');
	for (uint32_t i = 0; i < f->n_lines; i++) {
		kb_json_out__open(out, NULL, '{');
		write_lines_of_sides(out, f->lines[i].line);
		for (int side = 0; side < KB_CHECK_SIDES; side++)
			kb_json_out__real(out, sides[side], f->lines[i].value[side]);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

static void write_count(struct kb_json_out *out, const struct kb_check_count *c)
{
	kb_json_out__open(out, NULL, '{');
	kb_json_out__text(out, "metric", kb_check_metric__name(c->metric));
	kb_json_out__text(out, "name", c->name);
	kb_json_out__text(out, "file", c->file);
	write_lines_of_sides(out, c->line);
	if (c->caller_name) {
		kb_json_out__open(out, "caller", '{');
		kb_json_out__text(out, "name", c->caller_name);
		kb_json_out__text(out, "file", c->caller_file);
		kb_json_out__int(out, "line", c->caller_line);
		kb_json_out__close(out, '}');
	}
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		kb_json_out__uint(out, sides[side], c->value[side]);
	kb_json_out__bool(out, "unstable", c->unstable);
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

struct kb_error *kb_check_json__write(const struct kb_check *check,
				      const struct kb_check_view_opts *opts, FILE *stream)
{
	struct kb_json_out out = { .stream = stream };

	kb_json_out__open(&out, NULL, '{');
	kb_json_out__int(&out, "version", SCHEMA_VERSION);
	kb_json_out__text(&out, "verdict", kb_check_verdict__name(kb_check__meta(check)->verdict));
	write_meta(&out, kb_check__meta(check));
	kb_json_out__open(&out, "measures", '[');
	for (uint32_t i = 0; i < kb_check__n_measures(check); i++)
		write_measure(&out, kb_check__measure(check, i));
	kb_json_out__close(&out, ']');
	kb_json_out__open(&out, "functions", '[');
	for (uint32_t i = 0; i < kb_check__n_functions(check); i++)
		write_function(&out, kb_check__function(check, i));
	kb_json_out__close(&out, ']');
	kb_json_out__open(&out, "counts", '[');
	for (uint32_t i = 0; i < kb_check__n_counts(check); i++)
		write_count(&out, kb_check__count(check, i));
	kb_json_out__close(&out, ']');
	kb_json_out__open(&out, "edges", '[');
	for (uint32_t i = 0; i < kb_check__n_edges(check); i++)
		write_count(&out, kb_check__edge(check, i));
	kb_json_out__close(&out, ']');
	kb_json_out__open(&out, "notes", '[');
	for (uint32_t i = 0; i < kb_check__n_notes(check); i++)
		kb_json_out__text(&out, NULL, kb_check__note(check, i));
	kb_json_out__close(&out, ']');
	if (opts->trend)
		kb_check_trend__put(&out, "trend", opts->trend);
	kb_json_out__close(&out, '}');
	kb_json_out__line(&out);
	return NULL;
}
