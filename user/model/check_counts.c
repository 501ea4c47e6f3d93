// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "keelback/memory.h"
#include "model/check.h"

static enum kb_check_side side_of(enum kb_check_series series)
{
	return series == KB_CHECK_SERIES_HEAD ? KB_CHECK_HEAD : KB_CHECK_BASE;
}

/* The tally of a function (or call), which is made if need be; NULL: a limit was reached. */
static struct kb_check_tally *tally(struct kb_check *check, enum kb_check_metric metric,
				    uint32_t name, uint32_t caller)
{
	uint64_t a = name, b = (uint64_t)caller << 8 | metric;
	uint32_t id = kb_id_map__get(&check->tally_map, a, b);
	struct kb_check_tally *tallies;

	if (id != KB_ID_MAP_NONE)
		return &check->tallies[id];
	id = check->n_tallies;
	tallies = kb_array__grow(check->tallies, &check->tallies_capacity, id + 1, sizeof(*tallies),
				 KB_CHECK_COUNTS_MAX);
	if (!tallies)
		return NULL;
	check->tallies = tallies;
	if (!kb_id_map__set(&check->tally_map, a, b, id))
		return NULL;
	tallies[id] = (struct kb_check_tally){ .metric = metric, .name = name, .caller = caller };
	check->n_tallies++;
	return &tallies[id];
}

static struct kb_error *add(struct kb_check *check, enum kb_check_series series,
			    enum kb_check_metric metric, uint32_t name, uint32_t caller,
			    uint64_t value)
{
	struct kb_check_tally *t = NULL;

	if (name != KB_ID_NONE)
		t = tally(check, metric, name, caller);
	if (!t)
		return kb_failed("too many functions, or no memory for their counts");
	t->value[series] += value;
	return NULL;
}

static void begin(struct kb_check *check, enum kb_check_series series, enum kb_check_metric metric)
{
	check->counted[metric] = true;
	check->again[metric] |= series == KB_CHECK_SERIES_AGAIN;
}

/* ---------------------------------------------------------------- calls */

static uint32_t name_of_call(struct kb_check *check, enum kb_check_series series,
			     const struct kb_calls *calls, uint32_t id)
{
	const struct kb_calls_function *f = kb_calls__function(calls, id);

	return kb_check__name(check, side_of(series), KB_FRAME_PYTHON, f->name, f->file, f->line);
}

const char *kb_check__gap_of_calls(const struct kb_calls *calls)
{
	for (size_t i = 0; i < kb_calls__n_ledger(calls); i++) {
		struct kb_ledger_entry entry = kb_calls__ledger(calls, i);

		if (!entry.count)
			continue;
		/* A thread that was met in the middle of what it did. */
		if (!strcmp(entry.name, "calls_resynced"))
			return "the first calls of a Python that was not known beforehand are "
			       "missing";
		if (!entry.reported && !entry.note)
			return "not every call was counted (see its ledger)";
	}
	return kb_calls__n_listed(calls) ? NULL : "no Python was seen";
}

struct kb_error *kb_check__add_calls(struct kb_check *check, enum kb_check_series series,
				     const struct kb_calls *calls)
{
	const struct kb_calls_edge *edges = kb_calls__edges(calls);

	begin(check, series, KB_CHECK_CALLS);
	for (uint32_t i = 0; i < kb_calls__n_listed(calls); i++) {
		uint32_t id = kb_calls__listed(calls)[i];

		KB_TRY(add(check, series, KB_CHECK_CALLS, name_of_call(check, series, calls, id),
			   KB_ID_NONE, kb_calls__function(calls, id)->stats.ncalls));
	}
	for (uint32_t i = 0; i < kb_calls__n_edges(calls); i++) {
		uint32_t caller = name_of_call(check, series, calls, edges[i].caller);

		KB_TRY(add(check, series, KB_CHECK_CALLS,
			   name_of_call(check, series, calls, edges[i].callee), caller,
			   edges[i].stats.ncalls));
	}
	return NULL;
}

/* ---------------------------------------------------------------- memory */

static const struct kb_function_info *function_of(const struct kb_profile *profile, uint32_t node)
{
	const struct kb_frame_info *frame =
		kb_profile__frame(profile, kb_profile__nodes(profile)[node].frame);

	return kb_profile__function(profile, frame->function);
}

static uint32_t name_of(struct kb_check *check, enum kb_check_series series,
			const struct kb_function_info *f)
{
	return kb_check__name(check, side_of(series), f->kind, f->name, f->file, f->first_line);
}

static enum kb_memory_way way_of(const struct kb_memory *memory, uint32_t process)
{
	for (uint32_t i = 0; i < kb_memory__n_processes(memory); i++)
		if (kb_memory__process(memory, i)->process == process)
			return kb_memory__process(memory, i)->way;
	return KB_MEMORY_WAY_API;
}

const char *kb_check__gap_of_memory(const struct kb_profile *profile)
{
	const struct kb_memory *memory = kb_profile__memory(profile);
	uint32_t n = kb_memory__n_processes(memory);

	for (uint32_t i = 0; i < n; i++) {
		const struct kb_memory_process_info *process = kb_memory__process(memory, i);

		if (process->way == KB_MEMORY_WAY_GROWTH)
			return "the figures are an estimate (see 'keelback memory --exact')";
		/* 0: before it executed */
		if (process->attached_ns)
			return "the first allocations of a Python that was not known beforehand "
			       "are missing";
		if (!process->sums[KB_MEMORY_HEAP].total_blocks)
			return "a Python was seen, and none of its allocations";
		if (process->lost_blocks)
			return "not every allocation was counted (see its ledger)";
	}
	return n ? NULL : "no Python was seen";
}

struct kb_error *kb_check__add_memory(struct kb_check *check, enum kb_check_series series,
				      const struct kb_profile *profile)
{
	const struct kb_memory *memory = kb_profile__memory(profile);
	const struct kb_memory_entry *entries = kb_memory__entries(memory);

	begin(check, series, KB_CHECK_ALLOCATIONS);
	begin(check, series, KB_CHECK_PEAK);
	for (uint32_t i = 0; i < kb_memory__n_entries(memory); i++) {
		const struct kb_memory_entry *e = &entries[i];
		const struct kb_function_info *f = function_of(profile, e->node);
		uint32_t name;

		/* What an interpreter allocates while it starts and ends varies by some blocks. */
		if (f->kind == KB_FRAME_MARKER ||
		    kb_memory__group_of(way_of(memory, e->process), e->domain) != KB_MEMORY_HEAP)
			continue;
		name = name_of(check, series, f);
		KB_TRY(add(check, series, KB_CHECK_ALLOCATIONS, name, KB_ID_NONE, e->total_blocks));
		KB_TRY(add(check, series, KB_CHECK_PEAK, name, KB_ID_NONE, e->peak_bytes));
	}
	return NULL;
}

void kb_check__forget_counts(struct kb_check *check, enum kb_check_metric metric)
{
	check->counted[metric] = false;
	if (metric == KB_CHECK_ALLOCATIONS)
		check->counted[KB_CHECK_PEAK] = false;
}

/* ---------------------------------------------------------------- comparing */

struct kb_error *kb_check__match_counts(struct kb_check *check)
{
	uint32_t n = check->n_tallies;

	for (uint32_t i = 0; i < n; i++) {
		struct kb_check_tally *t = &check->tallies[i], *same;
		uint32_t name = check->names[t->name].same_as, caller = t->caller;

		if (caller != KB_ID_NONE)
			caller = check->names[caller].same_as;
		if (name == t->name && caller == t->caller)
			continue;
		same = tally(check, t->metric, name, caller);
		if (!same)
			return kb_error__no_memory();
		t = &check->tallies[i]; /* it may have moved */
		for (int series = 0; series < KB_CHECK_SERIES_COUNT; series++) {
			same->value[series] += t->value[series];
			t->value[series] = 0;
		}
	}
	return NULL;
}

static int64_t growth(const struct kb_check_count *count)
{
	return (int64_t)(count->value[KB_CHECK_HEAD] - count->value[KB_CHECK_BASE]);
}

/* Metrics have different units, so growth is compared within one. */
static int by_growth(const void *a, const void *b)
{
	const struct kb_check_count *x = a, *y = b;

	if (x->metric != y->metric)
		return (int)x->metric - (int)y->metric;
	if (growth(x) != growth(y))
		return growth(x) > growth(y) ? -1 : 1;
	return strcmp(x->name, y->name) ?: strcmp(x->file, y->file);
}

static struct kb_check_count make_count(const struct kb_check *check,
					const struct kb_check_tally *t)
{
	const struct kb_check_name *name = &check->names[t->name], *caller = NULL;
	struct kb_check_count count = {
		.size = sizeof(count),
		.metric = t->metric,
		.name = name->name,
		.file = name->file,
		.unstable = check->again[t->metric] &&
			    t->value[KB_CHECK_SERIES_BASE] != t->value[KB_CHECK_SERIES_AGAIN],
	};

	if (t->caller != KB_ID_NONE)
		caller = &check->names[t->caller];
	if (caller) {
		count.caller_name = caller->name;
		count.caller_file = caller->file;
		count.caller_line = caller->line[KB_CHECK_HEAD] ?: caller->line[KB_CHECK_BASE];
	}
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		count.line[side] = name->line[side];
		count.value[side] = t->value[side];
	}
	return count;
}

/* A call that base has in neither of its runs. */
static bool is_new_edge(const struct kb_check_tally *t)
{
	return !t->value[KB_CHECK_SERIES_BASE] && !t->value[KB_CHECK_SERIES_AGAIN] &&
	       t->value[KB_CHECK_SERIES_HEAD];
}

struct kb_error *kb_check__compare_counts(struct kb_check *check)
{
	check->counts = calloc(check->n_tallies + 1, sizeof(*check->counts));
	check->edges = calloc(check->n_tallies + 1, sizeof(*check->edges));
	if (!check->counts || !check->edges)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < check->n_tallies; i++) {
		const struct kb_check_tally *t = &check->tallies[i];

		if (!check->counted[t->metric] || check->names[t->name].ignored)
			continue;
		if (t->caller != KB_ID_NONE) {
			if (is_new_edge(t))
				check->edges[check->n_edges++] = make_count(check, t);
		} else if (t->value[KB_CHECK_SERIES_BASE] != t->value[KB_CHECK_SERIES_HEAD]) {
			check->counts[check->n_counts++] = make_count(check, t);
		}
	}
	qsort(check->counts, check->n_counts, sizeof(*check->counts), by_growth);
	qsort(check->edges, check->n_edges, sizeof(*check->edges), by_growth);
	return NULL;
}
