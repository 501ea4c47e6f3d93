// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What pstats' get_stats_profile() returns, as JSON: total_tt and func_profiles, where times are
 * rounded as in the table and of functions with the same name the last one stays. Behind it the
 * same in full: meta, functions with their callers, ledger.
 */
#include <inttypes.h>
#include <math.h>
#include "base/error.h"
#include "base/id_map.h"
#include "base/json_out.h"
#include "format/call_index.h"
#include "format/calls_order.h"
#include "format/calls_writers.h"
#include "model/calls.h"

#define DECIMALS 3 /* of pstats' f8() */

struct document {
	struct kb_json_out out;
	const struct kb_calls *calls;
	struct kb_calls_order order;
	struct kb_call_index callers;
};

/* ---- as get_stats_profile() */

static void write_per_call(struct kb_json_out *out, const char *name, double seconds,
			   uint64_t calls)
{
	if (calls)
		kb_json_out__fixed(out, name, seconds / (double)calls, DECIMALS);
	else
		kb_json_out__int(out, name, -1);
}

static void write_profile(struct kb_json_out *out, const struct kb_calls_function *function)
{
	const struct kb_call_stats *stats = &function->stats;

	kb_json_out__open_keyed(out, function->name, '{');
	if (stats->ncalls == stats->primitive)
		kb_json_out__textf(out, "ncalls", "%" PRIu64, stats->ncalls);
	else
		kb_json_out__textf(out, "ncalls", "%" PRIu64 "/%" PRIu64, stats->ncalls,
				   stats->primitive);
	kb_json_out__fixed(out, "tottime", stats->tottime, DECIMALS);
	write_per_call(out, "percall_tottime", stats->tottime, stats->ncalls);
	kb_json_out__fixed(out, "cumtime", stats->cumtime, DECIMALS);
	write_per_call(out, "percall_cumtime", stats->cumtime, stats->primitive);
	kb_json_out__text(out, "file_name", function->file);
	kb_json_out__int(out, "line_number", function->line);
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

/* Names are interned: the address is the name. */
static struct kb_error *write_profiles(struct document *doc)
{
	const struct kb_calls_order *order = &doc->order;
	struct kb_id_map last;
	bool whole = true;

	kb_id_map__init(&last, KB_CALLS_FUNCTIONS_MAX);
	for (uint32_t i = 0; i < order->n && whole; i++)
		whole = kb_id_map__set(
			&last, (uintptr_t)kb_calls__function(doc->calls, order->ids[i])->name, 0,
			i);
	kb_json_out__open(&doc->out, "func_profiles", '{');
	kb_json_out__line(&doc->out);
	for (uint32_t i = 0; i < order->n && whole; i++) {
		const struct kb_calls_function *f = kb_calls__function(doc->calls, order->ids[i]);

		if (kb_id_map__get(&last, (uintptr_t)f->name, 0) == i)
			write_profile(&doc->out, f);
	}
	kb_json_out__close(&doc->out, '}');
	kb_id_map__free(&last);
	return whole ? NULL : kb_error__no_memory();
}

/* ---- in full */

static void write_meta(struct document *doc)
{
	static const char *const timings[] = { "none", "sampled", "measured" };
	const struct kb_calls_meta *meta = kb_calls__meta(doc->calls);
	struct kb_json_out *out = &doc->out;

	kb_json_out__open(out, "meta", '{');
	kb_json_out__text(out, "target", meta->target);
	kb_json_out__text(out, "host", meta->host);
	kb_json_out__text(out, "version", meta->version);
	kb_json_out__text(out, "python", meta->python);
	kb_json_out__int(out, "start_unix_ns", meta->start_unix_ns);
	kb_json_out__uint(out, "duration_ns", meta->duration_ns);
	kb_json_out__text(out, "timing", timings[meta->timing]);
	kb_json_out__text(out, "clock", meta->clock == KB_CALLS_CPU ? "cpu" : "wall");
	kb_json_out__text(out, "unit", meta->unit == KB_CALLS_SAMPLES ? "samples" : "calls");
	kb_json_out__bool(out, "builtins", meta->builtins);
	kb_json_out__bool(out, "incomplete", meta->incomplete);
	kb_json_out__uint(out, "windows", meta->n_windows);
	kb_json_out__uint(out, "traced_ns", meta->traced_ns);
	kb_json_out__open(out, "sources", '[');
	for (uint32_t i = 0; i < kb_calls__n_sources(doc->calls); i++)
		kb_json_out__text(out, NULL, kb_calls__source(doc->calls, i));
	kb_json_out__close(out, ']');
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

static void write_name(struct kb_json_out *out, const struct kb_calls_function *function)
{
	kb_json_out__text(out, "file", function->file);
	kb_json_out__int(out, "line", function->line);
	kb_json_out__text(out, "name", function->name);
}

static void write_stats(struct kb_json_out *out, const struct kb_call_stats *stats)
{
	kb_json_out__uint(out, "ncalls", stats->ncalls);
	kb_json_out__uint(out, "primitive", stats->primitive);
	kb_json_out__real(out, "tottime", stats->tottime);
	kb_json_out__real(out, "cumtime", stats->cumtime);
}

static void write_rate(struct document *doc, uint32_t id)
{
	struct kb_calls_rate rate = kb_calls__rate(doc->calls, id);

	if (!kb_calls__meta(doc->calls)->duration_ns)
		return;
	kb_json_out__open(&doc->out, "rate", '{');
	kb_json_out__real(&doc->out, "per_second", rate.per_second);
	kb_json_out__real(&doc->out, "low", rate.low);
	if (isinf(rate.high))
		kb_json_out__null(&doc->out, "high");
	else
		kb_json_out__real(&doc->out, "high", rate.high);
	kb_json_out__close(&doc->out, '}');
}

static void write_function(struct document *doc, uint32_t id)
{
	const struct kb_calls_function *function = kb_calls__function(doc->calls, id);
	struct kb_json_out *out = &doc->out;

	kb_json_out__open(out, NULL, '{');
	write_name(out, function);
	write_stats(out, &function->stats);
	write_rate(doc, id);
	kb_json_out__open(out, "callers", '[');
	for (uint32_t i = doc->callers.first[id]; i < doc->callers.first[id + 1]; i++) {
		const struct kb_calls_edge *edge =
			&kb_calls__edges(doc->calls)[doc->callers.edges[i]];

		kb_json_out__open(out, NULL, '{');
		write_name(out, kb_calls__function(doc->calls, edge->caller));
		if (edge->count_only)
			kb_json_out__uint(out, "ncalls", edge->stats.ncalls);
		else
			write_stats(out, &edge->stats);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
}

static void write_latencies(struct kb_json_out *out, const struct kb_calls_chosen *chosen)
{
	kb_json_out__uint(out, "n", chosen->n);
	kb_json_out__real(out, "mean", chosen->n ? chosen->sum / (double)chosen->n : 0);
	kb_json_out__real(out, "p50", kb_calls_chosen__quantile(chosen, 0.5));
	kb_json_out__real(out, "p90", kb_calls_chosen__quantile(chosen, 0.9));
	kb_json_out__real(out, "p99", kb_calls_chosen__quantile(chosen, 0.99));
	kb_json_out__open(out, "buckets", '[');
	for (uint32_t i = 0; i < chosen->n_buckets; i++) {
		if (!chosen->buckets[i])
			continue;
		kb_json_out__open(out, NULL, '{');
		kb_json_out__real(out, "from", kb_calls_chosen__bucket_start(i));
		kb_json_out__real(out, "to", kb_calls_chosen__bucket_start(i + 1));
		kb_json_out__uint(out, "count", chosen->buckets[i]);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
}

/* Times are seconds. */
static void write_chosen(struct document *doc)
{
	struct kb_json_out *out = &doc->out;

	if (!kb_calls__n_chosen(doc->calls))
		return;
	kb_json_out__open(out, "chosen", '[');
	for (uint32_t i = 0; i < kb_calls__n_chosen(doc->calls); i++) {
		const struct kb_calls_chosen *chosen = kb_calls__chosen(doc->calls, i);

		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "chosen", chosen->name);
		kb_json_out__bool(out, "found", chosen->function != KB_ID_NONE);
		if (chosen->function != KB_ID_NONE)
			write_name(out, kb_calls__function(doc->calls, chosen->function));
		if (*chosen->remark)
			kb_json_out__text(out, "remark", chosen->remark);
		else
			write_latencies(out, chosen);
		kb_json_out__close(out, '}');
		kb_json_out__line(out);
	}
	kb_json_out__close(out, ']');
	kb_json_out__line(out);
}

static void write_ledger(struct document *doc)
{
	struct kb_json_out *out = &doc->out;

	kb_json_out__open(out, "ledger", '[');
	for (size_t i = 0; i < kb_calls__n_ledger(doc->calls); i++) {
		struct kb_ledger_entry entry = kb_calls__ledger(doc->calls, i);

		kb_json_out__open(out, NULL, '{');
		kb_json_out__text(out, "name", entry.name);
		kb_json_out__text(out, "text", entry.text);
		kb_json_out__uint(out, "count", entry.count);
		kb_json_out__bool(out, "reported", entry.reported);
		kb_json_out__bool(out, "note", entry.note);
		kb_json_out__close(out, '}');
	}
	kb_json_out__close(out, ']');
	kb_json_out__line(out);
}

static struct kb_error *write_document(struct document *doc)
{
	struct kb_json_out *out = &doc->out;

	kb_json_out__open(out, NULL, '{');
	kb_json_out__fixed(out, "total_tt", kb_calls__total(doc->calls).tottime, DECIMALS);
	kb_json_out__line(out);
	KB_TRY(write_profiles(doc));
	write_meta(doc);
	kb_json_out__open(out, "functions", '[');
	kb_json_out__line(out);
	for (uint32_t i = 0; i < doc->order.n && !ferror(out->stream); i++)
		write_function(doc, doc->order.ids[i]);
	kb_json_out__close(out, ']');
	kb_json_out__line(out);
	write_chosen(doc);
	write_ledger(doc);
	kb_json_out__close(out, '}');
	kb_json_out__line(out);
	return NULL;
}

struct kb_error *kb_calls_json__write(const struct kb_calls *calls,
				      const struct kb_calls_format_opts *opts, FILE *stream)
{
	struct document doc = { .out = { stream }, .calls = calls };
	struct kb_error *err;

	KB_TRY(kb_calls_order__create(calls, opts, &doc.order));
	err = kb_call_index__create(calls, KB_BY_CALLEE, &doc.callers);
	if (!err)
		err = write_document(&doc);
	kb_call_index__free(&doc.callers);
	kb_calls_order__free(&doc.order);
	return err;
}
