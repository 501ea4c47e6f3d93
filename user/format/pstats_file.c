// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The file that Python's pstats.Stats(path) loads: a marshalled dictionary
 *
 *     (file, line, function): (primitive calls, calls, tottime, cumtime, callers)
 *
 * where callers is
 *
 *     (file, line, function): (calls, primitive calls, tottime, cumtime)
 *
 * with the order of the two counts exchanged, as cProfile has it (Lib/cProfile.py,
 * snapshot_stats(); Lib/pstats.py, print_call_line()), or the calls alone in those of
 * profile. The marker entry that profiling.sampling (3.15) adds to its own files is left out: the
 * pstats of older Pythons fails on it.
 *
 * Names are written as they are, control characters included: this is data that is
 * compared with other files, not text for a terminal.
 */
#include <stdlib.h>
#include "base/error.h"
#include "base/log.h"
#include "format/call_index.h"
#include "format/calls_of_samples.h"
#include "format/calls_writers.h"
#include "format/marshal.h"
#include "format/writers.h"

struct pstats_file {
	struct kb_marshal marshal;
	const struct kb_calls *calls;
	struct kb_call_index callers;
	uint32_t *refs; /* 1 + reference of each function's key, 0 before it was written */
};

static void write_key(struct pstats_file *file, uint32_t id)
{
	const struct kb_calls_function *function = kb_calls__function(file->calls, id);
	struct kb_marshal *marshal = &file->marshal;

	if (file->refs[id]) {
		kb_marshal__ref(marshal, file->refs[id] - 1);
		return;
	}
	file->refs[id] = kb_marshal__shared_tuple(marshal, 3) + 1;
	kb_marshal__string(marshal, function->file);
	kb_marshal__int(marshal, function->line);
	kb_marshal__string(marshal, function->name);
}

static void write_counts(struct kb_marshal *marshal, uint64_t first, uint64_t second,
			 const struct kb_call_stats *stats)
{
	kb_marshal__count(marshal, first);
	kb_marshal__count(marshal, second);
	kb_marshal__float(marshal, stats->tottime);
	kb_marshal__float(marshal, stats->cumtime);
}

static void write_caller(struct pstats_file *file, const struct kb_calls_edge *edge)
{
	struct kb_marshal *marshal = &file->marshal;

	write_key(file, edge->caller);
	if (edge->count_only) {
		kb_marshal__count(marshal, edge->stats.ncalls);
		return;
	}
	kb_marshal__tuple(marshal, 4);
	write_counts(marshal, edge->stats.ncalls, edge->stats.primitive, &edge->stats);
}

static void write_function(struct pstats_file *file, uint32_t id)
{
	const struct kb_call_stats *stats = &kb_calls__function(file->calls, id)->stats;
	const struct kb_calls_edge *edges = kb_calls__edges(file->calls);
	struct kb_marshal *marshal = &file->marshal;

	write_key(file, id);
	kb_marshal__tuple(marshal, 5);
	write_counts(marshal, stats->primitive, stats->ncalls, stats);
	kb_marshal__dict_begin(marshal);
	for (uint32_t i = file->callers.first[id]; i < file->callers.first[id + 1]; i++)
		write_caller(file, &edges[file->callers.edges[i]]);
	kb_marshal__dict_end(marshal);
}

struct kb_error *kb_calls_pstats_file__write(const struct kb_calls *calls,
					     const struct kb_calls_format_opts *opts, FILE *stream)
{
	struct pstats_file file = { .marshal = { stream, 0 }, .calls = calls };
	struct kb_error *err = NULL;

	if (!kb_calls__n_listed(calls))
		kb_warn("nothing was counted: Python's pstats refuses an empty file");
	KB_TRY(kb_call_index__create(calls, KB_BY_CALLEE, &file.callers));
	file.refs = calloc((size_t)kb_calls__n_functions(calls) + 1, sizeof(*file.refs));
	if (file.refs) {
		kb_marshal__dict_begin(&file.marshal);
		for (uint32_t i = 0; i < kb_calls__n_listed(calls) && !ferror(stream); i++)
			write_function(&file, kb_calls__listed(calls)[i]);
		kb_marshal__dict_end(&file.marshal);
	} else {
		err = kb_error__no_memory();
	}
	kb_call_index__free(&file.callers);
	free(file.refs);
	return err;
}

struct kb_error *kb_pstats_file__write(const struct kb_profile *profile,
				       const struct kb_format_opts *opts, FILE *stream)
{
	struct kb_calls *calls;
	struct kb_error *err;

	KB_TRY(kb_calls__of_samples(profile, opts->lines, &calls));
	err = kb_calls_pstats_file__write(calls, NULL, stream);
	kb_calls__destroy(calls);
	return err;
}
