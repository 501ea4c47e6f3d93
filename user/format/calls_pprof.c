// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Call statistics for pprof. It wants stacks, and what is known is who called whom: each
 * edge is a stack of callee and caller with the calls and times of that edge, and what is left of a
 * function's own statistics a stack of the function alone. So pprof's flat values, callers and
 * callees are those of the statistics in all three types (calls, tottime, cumtime); its own cum is
 * not, for longer stacks are not known.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "format/call_index.h"
#include "format/calls_writers.h"
#include "format/pprof_parts.h"
#include "format/pstats_names.h"
#include "model/calls.h"

#define TYPES	3
#define MAPPING 1 /* the only one: pprof complains where there is none */

struct pprof {
	const struct kb_calls *calls;
	struct kb_call_index callers;
	struct kb_pprof_parts parts;
};

static int64_t nanoseconds(double seconds)
{
	double ns = seconds * 1e9;

	return fabs(ns) < 9e18 ? llround(ns) : ns < 0 ? INT64_MIN : INT64_MAX;
}

/* Function and location of a function have the same id. */
static void write_sample(struct pprof *pprof, uint32_t callee, uint32_t caller,
			 const struct kb_call_stats *stats)
{
	uint64_t path[] = { (uint64_t)callee + 1, (uint64_t)caller + 1 };
	int64_t values[TYPES] = { kb_pprof_parts__number(stats->ncalls) };
	KbPprof__Sample message, *list = &message;
	KbPprof__Profile part;

	values[1] = nanoseconds(stats->tottime);
	values[2] = nanoseconds(stats->cumtime);
	if (!values[0] && !values[1] && !values[2])
		return;
	kb_pprof__sample__init(&message);
	message.location_id = path;
	message.n_location_id = caller == KB_ID_NONE ? 1 : 2;
	message.value = values;
	message.n_value = TYPES;
	kb_pprof__profile__init(&part);
	part.n_sample = 1;
	part.sample = &list;
	kb_pprof_parts__write(&pprof->parts, &part);
}

static void write_samples_of(struct pprof *pprof, uint32_t id)
{
	struct kb_call_stats rest = kb_calls__function(pprof->calls, id)->stats;

	for (uint32_t i = pprof->callers.first[id]; i < pprof->callers.first[id + 1]; i++) {
		const struct kb_calls_edge *edge =
			&kb_calls__edges(pprof->calls)[pprof->callers.edges[i]];

		write_sample(pprof, id, edge->caller, &edge->stats);
		rest.ncalls -= edge->stats.ncalls < rest.ncalls ? edge->stats.ncalls : rest.ncalls;
		rest.tottime -= edge->stats.tottime;
		rest.cumtime -= edge->stats.cumtime;
	}
	/* Differences of sums: what is negative or below a nanosecond is rounding or recursion. */
	rest.tottime = fmax(rest.tottime, 0);
	rest.cumtime = fmax(rest.cumtime, 0);
	write_sample(pprof, id, KB_ID_NONE, &rest);
}

static void write_function(struct pprof *pprof, uint32_t id)
{
	const struct kb_calls_function *f = kb_calls__function(pprof->calls, id);
	bool has_file = strcmp(f->file, KB_PSTATS_FILE_OF_NAMES);
	struct kb_pprof_parts *parts = &pprof->parts;
	KbPprof__Location message, *list = &message;
	KbPprof__Line line, *line_list = &line;
	KbPprof__Profile part;

	kb_pprof_parts__function(parts, (uint64_t)id + 1,
				 kb_pprof_parts__string(parts, *f->name ? f->name : "?"),
				 kb_pprof_parts__string(parts, has_file ? f->file : ""), f->line);
	kb_pprof__line__init(&line);
	line.function_id = (uint64_t)id + 1;
	line.line = f->line > 0 ? f->line : 0;
	kb_pprof__location__init(&message);
	message.id = (uint64_t)id + 1;
	message.mapping_id = MAPPING;
	message.n_line = 1;
	message.line = &line_list;
	kb_pprof__profile__init(&part);
	part.n_location = 1;
	part.location = &list;
	kb_pprof_parts__write(parts, &part);
}

static void write_comments(struct pprof *pprof)
{
	const struct kb_calls_meta *meta = kb_calls__meta(pprof->calls);
	struct kb_pprof_parts *parts = &pprof->parts;

	if (*meta->version)
		kb_pprof_parts__comment(
			parts, kb_pprof_parts__stringf(parts, "keelback %s: %s on %s",
						       meta->version, meta->target, meta->host));
	kb_pprof_parts__comment(
		parts, kb_pprof_parts__string(
			       parts, "stacks are pairs of callee and caller: cum is not cumtime"));
	for (size_t i = 0; i < kb_calls__n_ledger(pprof->calls); i++) {
		struct kb_ledger_entry entry = kb_calls__ledger(pprof->calls, i);

		kb_pprof_parts__comment(parts, kb_pprof_parts__stringf(parts, "%s%s: %" PRIu64,
								       entry.note ? "note " : "",
								       entry.name, entry.count));
	}
}

static void write_head(struct pprof *pprof)
{
	const struct kb_calls_meta *meta = kb_calls__meta(pprof->calls);
	bool samples = meta->unit == KB_CALLS_SAMPLES;
	KbPprof__ValueType types[TYPES], *list[TYPES] = { &types[0], &types[1], &types[2] };
	KbPprof__Profile part;

	types[0] =
		kb_pprof_parts__value_type(&pprof->parts, samples ? "samples" : "calls", "count");
	types[1] = kb_pprof_parts__value_type(&pprof->parts, "tottime", "nanoseconds");
	types[2] = kb_pprof_parts__value_type(&pprof->parts, "cumtime", "nanoseconds");
	kb_pprof__profile__init(&part);
	part.sample_type = list;
	part.n_sample_type = TYPES;
	part.default_sample_type = types[meta->timing == KB_CALLS_UNTIMED ? 0 : 1].type;
	part.time_nanos = meta->start_unix_ns;
	part.duration_nanos = kb_pprof_parts__number(meta->duration_ns);
	kb_pprof_parts__write(&pprof->parts, &part);
}

static void write_mapping(struct pprof *pprof)
{
	const char *version = kb_calls__meta(pprof->calls)->python;

	kb_pprof_parts__mapping(&pprof->parts, MAPPING,
				kb_pprof_parts__stringf(&pprof->parts,
							*version ? "python %s" : "python%s",
							version),
				true);
}

static void write_all(struct pprof *pprof)
{
	uint32_t n = kb_calls__n_functions(pprof->calls);

	write_mapping(pprof);
	write_head(pprof);
	write_comments(pprof);
	for (uint32_t i = 0; i < n && !pprof->parts.err; i++)
		write_samples_of(pprof, i);
	for (uint32_t i = 0; i < n && !pprof->parts.err; i++)
		write_function(pprof, i);
}

struct kb_error *kb_calls_pprof__write(const struct kb_calls *calls,
				       const struct kb_calls_format_opts *opts, FILE *stream)
{
	struct pprof pprof = { .calls = calls };
	struct kb_error *err;

	KB_TRY(kb_call_index__create(calls, KB_BY_CALLEE, &pprof.callers));
	pprof.parts.err = kb_pprof_parts__init(&pprof.parts, stream);
	if (!pprof.parts.err)
		write_all(&pprof);
	err = kb_pprof_parts__finish(&pprof.parts);
	kb_call_index__free(&pprof.callers);
	return err;
}
