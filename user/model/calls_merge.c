// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Call statistics made of others. */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "model/calls_private.h"

static struct kb_error *full(void)
{
	return kb_failed("more call statistics than fit: %u functions, %u pairs of caller and "
			 "callee",
			 KB_CALLS_FUNCTIONS_MAX, KB_CALLS_EDGES_MAX);
}

/* Ids of functions and threads in the target, by id in the source. */
struct id_table {
	uint32_t *functions;
	uint32_t *threads;
};

static void free_ids(struct id_table *ids)
{
	free(ids->functions);
	free(ids->threads);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static struct kb_error *map_ids(struct kb_calls *to, const struct kb_calls *from, bool strip,
				struct id_table *ids)
{
	ids->functions = calloc(from->n_functions + 1, sizeof(*ids->functions));
	ids->threads = calloc(from->n_threads + 1, sizeof(*ids->threads));
	if (!ids->functions || !ids->threads)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < from->n_functions; i++) {
		const struct kb_calls_function *f = &from->functions[i];

		ids->functions[i] = kb_calls__add_function(to, strip ? base_name(f->file) : f->file,
							   f->line, f->name);
		if (ids->functions[i] == KB_ID_NONE)
			return full();
	}
	for (uint32_t i = 0; i < from->n_threads; i++) {
		ids->threads[i] = kb_calls__add_thread(to, &from->threads[i]);
		if (ids->threads[i] == KB_ID_NONE)
			return full();
	}
	return NULL;
}

static bool add_functions(struct kb_calls *to, const struct kb_calls *from,
			  const struct id_table *ids)
{
	for (uint32_t i = 0; i < from->n_listed; i++) {
		uint32_t id = from->listed[i];
		const struct kb_calls_spread *more = &from->spreads[id];
		struct kb_calls_spread *spread = &to->spreads[ids->functions[id]];

		if (!kb_calls__add_stats(to, KB_ID_NONE, ids->functions[id],
					 &from->functions[id].stats))
			return false;
		spread->at_window += more->at_window;
		spread->squares += more->squares;
		spread->products += more->products;
	}
	return true;
}

static bool add_edges(struct kb_calls *to, const struct kb_calls *from, const struct id_table *ids)
{
	for (uint32_t i = 0; i < from->n_edges; i++) {
		const struct kb_calls_edge *edge = &from->edges[i];
		uint32_t caller = ids->functions[edge->caller];
		uint32_t callee = ids->functions[edge->callee];

		if (!kb_calls__add_edge(to, KB_ID_NONE, caller, callee, &edge->stats))
			return false;
		if (edge->count_only)
			kb_calls__mark_count_only(to, caller, callee);
	}
	return true;
}

static bool add_parts(struct kb_calls *to, const struct kb_calls *from, const struct id_table *ids)
{
	for (uint32_t i = 0; i < from->n_parts; i++) {
		const struct kb_calls_part *part = &from->parts[i];

		if (!kb_calls__add_part(to, ids->threads[part->thread],
					part->caller == KB_ID_NONE ? KB_ID_NONE
								   : ids->functions[part->caller],
					ids->functions[part->callee], &part->stats))
			return false;
	}
	return true;
}

static bool add_ledger(struct kb_calls *to, const struct kb_calls *from)
{
	for (size_t i = 0; i < from->n_ledger; i++) {
		struct kb_ledger_entry entry = from->ledger[i];

		for (size_t j = 0; j < to->n_ledger; j++)
			if (!strcmp(to->ledger[j].name, entry.name))
				entry.count =
					kb_calls__add_counts(entry.count, to->ledger[j].count);
		if (!kb_calls__set_ledger(to, &entry))
			return false;
	}
	return true;
}

/* Everything but the meta data. */
static struct kb_error *add_contents(struct kb_calls *to, const struct kb_calls *from, bool strip)
{
	struct kb_call_stats total = to->total;
	struct id_table ids = {};
	struct kb_error *err = map_ids(to, from, strip, &ids);

	if (!err && !(add_functions(to, from, &ids) && add_edges(to, from, &ids) &&
		      add_parts(to, from, &ids) && add_ledger(to, from)))
		err = full();
	free_ids(&ids);
	for (uint32_t i = 0; !err && i < from->n_sources; i++)
		if (!kb_calls__add_source(to, from->sources[i]))
			err = full();
	/* One addition, as pstats does it: the last digit depends on the order. */
	to->total = total;
	to->total.ncalls = kb_calls__add_counts(total.ncalls, from->total.ncalls);
	to->total.primitive = kb_calls__add_counts(total.primitive, from->total.primitive);
	to->total.tottime += from->total.tottime;
	to->squared_seconds += from->squared_seconds;
	return err;
}

static const char *common(const char *a, const char *b)
{
	return strcmp(a, b) ? "" : a;
}

static struct kb_error *add_meta(struct kb_calls *to, const struct kb_calls *from)
{
	struct kb_calls_meta meta = to->meta;
	const struct kb_calls_meta *more = &from->meta;
	bool comparable =
		meta.duration_ns && more->duration_ns && !meta.n_windows == !more->n_windows;

	meta.target = common(meta.target, more->target);
	meta.host = common(meta.host, more->host);
	meta.version = common(meta.version, more->version);
	meta.python = common(meta.python, more->python);
	if (!meta.start_unix_ns ||
	    (more->start_unix_ns && more->start_unix_ns < meta.start_unix_ns))
		meta.start_unix_ns = more->start_unix_ns;
	/* Rates of what was counted in windows and what was not do not go together. */
	meta.duration_ns = comparable ? meta.duration_ns + more->duration_ns : 0;
	if (more->timing > meta.timing)
		meta.timing = more->timing;
	meta.builtins |= more->builtins;
	meta.incomplete |= more->incomplete;
	to->meta.n_windows += more->n_windows;
	to->meta.traced_ns += more->traced_ns;
	return kb_calls__set_meta(to, &meta);
}

struct kb_error *kb_calls__add(struct kb_calls *calls, const struct kb_calls *more)
{
	KB_TRY(add_contents(calls, more, false));
	return add_meta(calls, more);
}

static struct kb_error *create_like(const struct kb_calls *calls, struct kb_calls **fresh)
{
	KB_TRY(kb_calls__create(&calls->meta, fresh));
	(*fresh)->meta.n_windows = calls->meta.n_windows;
	(*fresh)->meta.traced_ns = calls->meta.traced_ns;
	return NULL;
}

struct kb_error *kb_calls__strip_dirs(const struct kb_calls *calls, struct kb_calls **stripped)
{
	struct kb_calls *fresh;
	struct kb_error *err;

	KB_TRY(create_like(calls, &fresh));
	err = add_contents(fresh, calls, true);
	if (err) {
		kb_calls__destroy(fresh);
		return err;
	}
	*stripped = fresh;
	return NULL;
}

static struct kb_error *take_part(struct kb_calls *to, const struct kb_calls *from, uint32_t thread)
{
	struct id_table ids = {};
	struct kb_error *err = map_ids(to, from, false, &ids);
	bool taken = true;

	for (uint32_t i = 0; !err && taken && i < from->n_parts; i++) {
		const struct kb_calls_part *part = &from->parts[i];

		if (part->thread != thread)
			continue;
		if (part->caller == KB_ID_NONE)
			taken = kb_calls__add_stats(to, thread, part->callee, &part->stats);
		else
			taken = kb_calls__add_edge(to, thread, part->caller, part->callee,
						   &part->stats);
	}
	free_ids(&ids);
	return err ?: taken ? NULL : full();
}

struct kb_error *kb_calls__of_thread(const struct kb_calls *calls, uint32_t thread,
				     struct kb_calls **part)
{
	struct kb_calls *fresh;
	struct kb_error *err;

	if (thread >= calls->n_threads)
		return kb_usage("no thread %u in these statistics", thread);
	KB_TRY(create_like(calls, &fresh));
	err = take_part(fresh, calls, thread);
	if (err) {
		kb_calls__destroy(fresh);
		return err;
	}
	*part = fresh;
	return NULL;
}
