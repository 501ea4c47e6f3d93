// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Call statistics in callgrind's profile format (see callgrind.c): for each function its own
 * time, and for each of its callees the calls and what they cost in all. Readers take the cost of a
 * function's calls and its own for its inclusive cost, which is cumtime when calls of
 * itself cost nothing more: they are in it already. Recursion by way of other functions counts
 * twice there, as in callgrind's own files. Without times the calls themselves are the cost.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/id_map.h"
#include "format/call_index.h"
#include "format/callgrind_name.h"
#include "format/calls_writers.h"
#include "format/pstats_names.h"
#include "model/calls.h"

#define UNKNOWN	     "???" /* as callgrind writes it */
#define STRING_BYTES KB_CALLS_STRING_BYTES_MAX

struct grind {
	const struct kb_calls *calls;
	struct kb_call_index callees;
	struct kb_id_map same_name; /* functions of a file with one name: how many */
	struct kb_strpool *files;
	bool *named; /* by function: its name was written */
	bool timed;
	FILE *stream;
};

static struct kb_error *find_same_names(struct grind *grind)
{
	kb_id_map__init(&grind->same_name, KB_CALLS_FUNCTIONS_MAX);
	for (uint32_t i = 0; i < kb_calls__n_functions(grind->calls); i++) {
		const struct kb_calls_function *f = kb_calls__function(grind->calls, i);
		uint64_t file = (uintptr_t)f->file, name = (uintptr_t)f->name; /* interned */
		uint32_t n = kb_id_map__get(&grind->same_name, file, name);

		if (!kb_id_map__set(&grind->same_name, file, name, n == KB_ID_MAP_NONE ? 1 : n + 1))
			return kb_error__no_memory();
	}
	return NULL;
}

static int32_t line_of(const struct kb_calls_function *function)
{
	return function->line > 0 ? function->line : 0;
}

static void write_function(struct grind *grind, uint32_t id, bool callee)
{
	const struct kb_calls_function *f = kb_calls__function(grind->calls, id);
	bool has_file = *f->file && strcmp(f->file, KB_PSTATS_FILE_OF_NAMES);

	kb_callgrind_name__write_pooled(callee ? "cfi" : "fl", grind->files,
					has_file ? f->file : UNKNOWN, grind->stream);
	fprintf(grind->stream, "%s=(%" PRIu32 ")", callee ? "cfn" : "fn", id + 1);
	if (!grind->named[id]) {
		kb_callgrind_name__write(*f->name ? f->name : "?", grind->stream);
		if (kb_id_map__get(&grind->same_name, (uintptr_t)f->file, (uintptr_t)f->name) > 1)
			fprintf(grind->stream, ":%" PRId32, f->line);
	}
	grind->named[id] = true;
	putc('\n', grind->stream);
}

static void write_cost(const struct grind *grind, int32_t line, double seconds, uint64_t calls)
{
	if (grind->timed)
		fprintf(grind->stream, "%" PRId32 " %.0f\n", line, fmax(seconds, 0) * 1e9);
	else
		fprintf(grind->stream, "%" PRId32 " %" PRIu64 "\n", line, calls);
}

static void write_call(struct grind *grind, const struct kb_calls_edge *edge)
{
	const struct kb_calls_function *caller = kb_calls__function(grind->calls, edge->caller);
	const struct kb_calls_function *callee = kb_calls__function(grind->calls, edge->callee);
	double seconds = edge->count_only ? callee->stats.cumtime : edge->stats.cumtime;
	bool itself = edge->caller == edge->callee;

	write_function(grind, edge->callee, true);
	fprintf(grind->stream, "calls=%" PRIu64 " %" PRId32 "\n", edge->stats.ncalls,
		line_of(callee));
	write_cost(grind, line_of(caller), itself ? 0 : seconds, itself ? 0 : edge->stats.ncalls);
}

static void write_header(const struct grind *grind)
{
	const struct kb_calls_meta *meta = kb_calls__meta(grind->calls);
	struct kb_call_stats total = kb_calls__total(grind->calls);
	FILE *stream = grind->stream;

	fputs("# callgrind format\nversion: 1\ncreator: keelback", stream);
	if (*meta->version)
		kb_callgrind_name__write(meta->version, stream);
	fputs("\ncmd:", stream);
	kb_callgrind_name__write(*meta->target ? meta->target : "?", stream);
	fputs("\npart: 1\n", stream);
	for (size_t i = 0; i < kb_calls__n_ledger(grind->calls); i++) {
		struct kb_ledger_entry entry = kb_calls__ledger(grind->calls, i);

		fputs("desc: Ledger:", stream);
		kb_callgrind_name__write(entry.name, stream);
		fprintf(stream, " %" PRIu64 "\n", entry.count);
	}
	fputs("positions: line\n", stream);
	fputs(grind->timed ? "event: ns : nanoseconds\nevents: ns\n"
			   : "event: Calls : calls\nevents: Calls\n",
	      stream);
	if (grind->timed)
		fprintf(stream, "summary: %.0f\n", fmax(total.tottime, 0) * 1e9);
	else
		fprintf(stream, "summary: %" PRIu64 "\n", total.ncalls);
}

static void write_body(struct grind *grind)
{
	const struct kb_calls_edge *edges = kb_calls__edges(grind->calls);

	for (uint32_t id = 0; id < kb_calls__n_functions(grind->calls); id++) {
		const struct kb_calls_function *f = kb_calls__function(grind->calls, id);
		uint32_t from = grind->callees.first[id], to = grind->callees.first[id + 1];

		if ((!f->listed && from == to) || ferror(grind->stream))
			continue;
		putc('\n', grind->stream);
		write_function(grind, id, false);
		write_cost(grind, line_of(f), f->stats.tottime, f->stats.ncalls);
		for (uint32_t i = from; i < to; i++)
			write_call(grind, &edges[grind->callees.edges[i]]);
	}
}

static struct kb_error *write_file(struct grind *grind)
{
	KB_TRY(kb_call_index__create(grind->calls, KB_BY_CALLER, &grind->callees));
	KB_TRY(find_same_names(grind));
	grind->files = kb_strpool__create(STRING_BYTES, KB_CALLS_STRINGS_MAX);
	grind->named = calloc((size_t)kb_calls__n_functions(grind->calls) + 1, sizeof(bool));
	if (!grind->files || !grind->named)
		return kb_error__no_memory();
	write_header(grind);
	write_body(grind);
	return NULL;
}

struct kb_error *kb_calls_callgrind__write(const struct kb_calls *calls,
					   const struct kb_calls_format_opts *opts, FILE *stream)
{
	struct grind grind = { .calls = calls,
			       .stream = stream,
			       .timed = kb_calls__meta(calls)->timing != KB_CALLS_UNTIMED };
	struct kb_error *err = write_file(&grind);

	kb_call_index__free(&grind.callees);
	kb_id_map__free(&grind.same_name);
	kb_strpool__destroy(grind.files);
	free(grind.named);
	return err;
}
