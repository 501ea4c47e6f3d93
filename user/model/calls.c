// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "base/hash.h"
#include "model/calls_private.h"
#include "model/text_pool.h"

static const char *intern(struct kb_calls *calls, const char *text)
{
	return kb_text_pool__intern(calls->strings, text);
}

/* ---- create, destroy */

struct kb_error *kb_calls__set_meta(struct kb_calls *calls, const struct kb_calls_meta *meta)
{
	struct kb_calls_meta copy = *meta;

	copy.size = sizeof(copy);
	copy.target = intern(calls, meta->target);
	copy.host = intern(calls, meta->host);
	copy.version = intern(calls, meta->version);
	copy.python = intern(calls, meta->python);
	if (!copy.target || !copy.host || !copy.version || !copy.python)
		return kb_error__no_memory();
	copy.n_windows = calls->meta.n_windows;
	copy.traced_ns = calls->meta.traced_ns;
	calls->meta = copy;
	return NULL;
}

struct kb_error *kb_calls__create(const struct kb_calls_meta *meta, struct kb_calls **calls)
{
	struct kb_calls *fresh = calloc(1, sizeof(*fresh));
	struct kb_error *err;

	if (!fresh)
		return kb_error__no_memory();
	kb_id_map__init(&fresh->edge_ids, KB_CALLS_EDGES_MAX);
	kb_id_map__init(&fresh->part_ids, KB_CALLS_PARTS_MAX);
	fresh->strings = kb_strpool__create(KB_CALLS_STRING_BYTES_MAX, KB_CALLS_STRINGS_MAX);
	err = fresh->strings && intern(fresh, "") ? kb_calls__set_meta(fresh, meta)
						  : kb_error__no_memory();
	if (err) {
		kb_calls__destroy(fresh);
		return err;
	}
	*calls = fresh;
	return NULL;
}

void kb_calls__destroy(struct kb_calls *calls)
{
	if (!calls)
		return;
	kb_index__free(&calls->function_index);
	kb_index__free(&calls->thread_index);
	kb_id_map__free(&calls->edge_ids);
	kb_id_map__free(&calls->part_ids);
	kb_calls__free_chosen(calls);
	kb_strpool__destroy(calls->strings);
	free(calls->functions);
	free(calls->spreads);
	free(calls->listed);
	free(calls->edges);
	free(calls->threads);
	free(calls->parts);
	free(calls->sources);
	free(calls);
}

/* ---- functions */

/* Strings are interned: their addresses are their contents. */
static uint64_t hash_function(const struct kb_calls_function *function)
{
	uint64_t key[] = { (uintptr_t)function->file, (uintptr_t)function->name,
			   (uint32_t)function->line };

	return kb_hash__bytes(key, sizeof(key));
}

static uint64_t function_hash(const void *owner, uint32_t id)
{
	return hash_function(&((const struct kb_calls *)owner)->functions[id]);
}

static bool function_equal(const void *owner, uint32_t id, const void *key)
{
	const struct kb_calls_function *a = &((const struct kb_calls *)owner)->functions[id];
	const struct kb_calls_function *b = key;

	return a->file == b->file && a->name == b->name && a->line == b->line;
}

/* Room for one more in all that is by function. */
static bool grow_functions(struct kb_calls *calls)
{
	uint32_t needed = calls->n_functions + 1;
	struct kb_calls_function *functions =
		kb_array__grow(calls->functions, &calls->functions_capacity, needed,
			       sizeof(*functions), KB_CALLS_FUNCTIONS_MAX);
	struct kb_calls_spread *spreads;
	uint32_t *listed;

	if (functions)
		calls->functions = functions;
	spreads = kb_array__grow(calls->spreads, &calls->spreads_capacity, needed, sizeof(*spreads),
				 KB_CALLS_FUNCTIONS_MAX);
	if (spreads)
		calls->spreads = spreads;
	listed = kb_array__grow(calls->listed, &calls->listed_capacity, needed, sizeof(*listed),
				KB_CALLS_FUNCTIONS_MAX);
	if (listed)
		calls->listed = listed;
	return functions && spreads && listed;
}

uint32_t kb_calls__add_function(struct kb_calls *calls, const char *file, int32_t line,
				const char *name)
{
	struct kb_calls_function function = { sizeof(function), intern(calls, file),
					      intern(calls, name), line };
	uint64_t hash;
	uint32_t id;

	if (!function.file || !function.name)
		return KB_ID_NONE;
	hash = hash_function(&function);
	id = kb_index__find(&calls->function_index, hash, &function, function_equal, calls);
	if (id != KB_INDEX_NONE)
		return id;
	if (!grow_functions(calls))
		return KB_ID_NONE;
	calls->functions[calls->n_functions] = function;
	calls->spreads[calls->n_functions] = (struct kb_calls_spread){};
	if (!kb_index__insert(&calls->function_index, hash, calls->n_functions, function_hash,
			      calls))
		return KB_ID_NONE;
	return calls->n_functions++;
}

/* ---- statistics */

uint64_t kb_calls__add_counts(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static void add_to(struct kb_call_stats *stats, const struct kb_call_stats *delta)
{
	stats->ncalls = kb_calls__add_counts(stats->ncalls, delta->ncalls);
	stats->primitive = kb_calls__add_counts(stats->primitive, delta->primitive);
	stats->tottime += delta->tottime;
	stats->cumtime += delta->cumtime;
}

bool kb_calls__add_part(struct kb_calls *calls, uint32_t thread, uint32_t caller, uint32_t callee,
			const struct kb_call_stats *delta)
{
	uint64_t pair = (uint64_t)caller << 32 | callee;
	uint32_t id = kb_id_map__get(&calls->part_ids, thread, pair);
	struct kb_calls_part *parts;

	if (id != KB_ID_MAP_NONE) {
		add_to(&calls->parts[id].stats, delta);
		return true;
	}
	parts = kb_array__grow(calls->parts, &calls->parts_capacity, calls->n_parts + 1,
			       sizeof(*parts), KB_CALLS_PARTS_MAX);
	if (!parts)
		return false;
	calls->parts = parts;
	if (!kb_id_map__set(&calls->part_ids, thread, pair, calls->n_parts))
		return false;
	parts[calls->n_parts++] = (struct kb_calls_part){ thread, caller, callee, *delta };
	return true;
}

bool kb_calls__add_stats(struct kb_calls *calls, uint32_t thread, uint32_t function,
			 const struct kb_call_stats *delta)
{
	struct kb_calls_function *known;

	if (function >= calls->n_functions || (thread != KB_ID_NONE && thread >= calls->n_threads))
		return false;
	if (thread != KB_ID_NONE && !kb_calls__add_part(calls, thread, KB_ID_NONE, function, delta))
		return false;
	known = &calls->functions[function];
	if (!known->listed) {
		known->listed = true;
		calls->listed[calls->n_listed++] = function;
	}
	add_to(&known->stats, delta);
	add_to(&calls->total, delta);
	return true;
}

static struct kb_calls_edge *edge_of(struct kb_calls *calls, uint32_t caller, uint32_t callee)
{
	uint32_t id = kb_id_map__get(&calls->edge_ids, caller, callee);
	struct kb_calls_edge *edges;

	if (id != KB_ID_MAP_NONE)
		return &calls->edges[id];
	edges = kb_array__grow(calls->edges, &calls->edges_capacity, calls->n_edges + 1,
			       sizeof(*edges), KB_CALLS_EDGES_MAX);
	if (!edges)
		return NULL;
	calls->edges = edges;
	if (!kb_id_map__set(&calls->edge_ids, caller, callee, calls->n_edges))
		return NULL;
	edges[calls->n_edges] = (struct kb_calls_edge){ caller, callee };
	return &edges[calls->n_edges++];
}

bool kb_calls__add_edge(struct kb_calls *calls, uint32_t thread, uint32_t caller, uint32_t callee,
			const struct kb_call_stats *delta)
{
	struct kb_calls_edge *edge;

	if (caller >= calls->n_functions || callee >= calls->n_functions ||
	    (thread != KB_ID_NONE && thread >= calls->n_threads))
		return false;
	edge = edge_of(calls, caller, callee);
	if (!edge ||
	    (thread != KB_ID_NONE && !kb_calls__add_part(calls, thread, caller, callee, delta)))
		return false;
	add_to(&edge->stats, delta);
	return true;
}

void kb_calls__mark_count_only(struct kb_calls *calls, uint32_t caller, uint32_t callee)
{
	uint32_t id = kb_id_map__get(&calls->edge_ids, caller, callee);

	if (id != KB_ID_MAP_NONE)
		calls->edges[id].count_only = true;
}

/* ---- threads, ledger, sources */

static uint64_t hash_thread(const struct kb_calls_thread *info)
{
	uint64_t key[] = { info->start_ns, (uint32_t)info->pid, (uint32_t)info->tid };

	return kb_hash__bytes(key, sizeof(key));
}

static uint64_t thread_hash(const void *owner, uint32_t id)
{
	return hash_thread(&((const struct kb_calls *)owner)->threads[id]);
}

static bool thread_equal(const void *owner, uint32_t id, const void *key)
{
	const struct kb_calls_thread *a = &((const struct kb_calls *)owner)->threads[id];
	const struct kb_calls_thread *b = key;

	return a->pid == b->pid && a->tid == b->tid && a->start_ns == b->start_ns;
}

/* Puts more into *text when that is empty. Both are interned. */
static void fill_in(const char **text, const char *more)
{
	if (!**text)
		*text = more;
}

static uint32_t append_thread(struct kb_calls *calls, const struct kb_calls_thread *info)
{
	struct kb_calls_thread *threads =
		kb_array__grow(calls->threads, &calls->threads_capacity, calls->n_threads + 1,
			       sizeof(*threads), KB_CALLS_THREADS_MAX);

	if (!threads)
		return KB_ID_NONE;
	calls->threads = threads;
	threads[calls->n_threads] = *info;
	if (!kb_index__insert(&calls->thread_index, hash_thread(info), calls->n_threads,
			      thread_hash, calls))
		return KB_ID_NONE;
	return calls->n_threads++;
}

uint32_t kb_calls__add_thread(struct kb_calls *calls, const struct kb_calls_thread *info)
{
	struct kb_calls_thread copy = *info, *known;
	uint32_t id;

	copy.size = sizeof(copy);
	copy.process = intern(calls, info->process);
	copy.command = intern(calls, info->command);
	copy.python = intern(calls, info->python);
	copy.name = intern(calls, info->name);
	copy.python_name = intern(calls, info->python_name);
	if (!copy.process || !copy.command || !copy.python || !copy.name || !copy.python_name)
		return KB_ID_NONE;
	id = kb_index__find(&calls->thread_index, hash_thread(info), info, thread_equal, calls);
	if (id == KB_INDEX_NONE)
		return append_thread(calls, &copy);
	known = &calls->threads[id];
	fill_in(&known->process, copy.process);
	fill_in(&known->command, copy.command);
	fill_in(&known->python, copy.python);
	fill_in(&known->name, copy.name);
	fill_in(&known->python_name, copy.python_name);
	return id;
}

bool kb_calls__set_ledger(struct kb_calls *calls, const struct kb_ledger_entry *entry)
{
	struct kb_ledger_entry copy = *entry;
	size_t at = 0;

	copy.name = intern(calls, entry->name);
	copy.text = intern(calls, entry->text);
	if (!copy.name || !copy.text)
		return false;
	while (at < calls->n_ledger && calls->ledger[at].name != copy.name)
		at++;
	if (at == KB_CALLS_LEDGER_MAX)
		return false;
	calls->ledger[at] = copy;
	if (at == calls->n_ledger)
		calls->n_ledger++;
	return true;
}

bool kb_calls__add_source(struct kb_calls *calls, const char *text)
{
	const char *interned = intern(calls, text);
	const char **sources =
		kb_array__grow(calls->sources, &calls->sources_capacity, calls->n_sources + 1,
			       sizeof(*sources), KB_CALLS_SOURCES_MAX);

	if (sources)
		calls->sources = sources;
	if (!sources || !interned)
		return false;
	sources[calls->n_sources++] = interned;
	return true;
}

/* ---- reading */

const struct kb_calls_meta *kb_calls__meta(const struct kb_calls *calls)
{
	return &calls->meta;
}

uint32_t kb_calls__n_functions(const struct kb_calls *calls)
{
	return calls->n_functions;
}

const struct kb_calls_function *kb_calls__function(const struct kb_calls *calls, uint32_t id)
{
	return &calls->functions[id];
}

uint32_t kb_calls__n_listed(const struct kb_calls *calls)
{
	return calls->n_listed;
}

const uint32_t *kb_calls__listed(const struct kb_calls *calls)
{
	return calls->listed;
}

struct kb_call_stats kb_calls__total(const struct kb_calls *calls)
{
	struct kb_call_stats total = calls->total;

	total.cumtime = 0;
	return total;
}

uint32_t kb_calls__n_edges(const struct kb_calls *calls)
{
	return calls->n_edges;
}

const struct kb_calls_edge *kb_calls__edges(const struct kb_calls *calls)
{
	return calls->edges;
}

uint32_t kb_calls__n_threads(const struct kb_calls *calls)
{
	return calls->n_threads;
}

const struct kb_calls_thread *kb_calls__thread(const struct kb_calls *calls, uint32_t id)
{
	return &calls->threads[id];
}

uint32_t kb_calls__n_parts(const struct kb_calls *calls)
{
	return calls->n_parts;
}

const struct kb_calls_part *kb_calls__parts(const struct kb_calls *calls)
{
	return calls->parts;
}

uint32_t kb_calls__n_sources(const struct kb_calls *calls)
{
	return calls->n_sources;
}

const char *kb_calls__source(const struct kb_calls *calls, uint32_t index)
{
	return calls->sources[index];
}

size_t kb_calls__n_ledger(const struct kb_calls *calls)
{
	return calls->n_ledger;
}

struct kb_ledger_entry kb_calls__ledger(const struct kb_calls *calls, size_t index)
{
	return calls->ledger[index];
}

uint64_t kb_calls__seen(const struct kb_calls *calls)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < calls->n_ledger; i++)
		if (!calls->ledger[i].note)
			seen = kb_calls__add_counts(seen, calls->ledger[i].count);
	return seen;
}
