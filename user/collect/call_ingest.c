// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "collect/call_counter.h"
#include "model/profile.h"

void kb_call_ingest__free(struct kb_call_ingest *ingest)
{
	free(ingest->functions);
	free(ingest->taken);
	kb_calls__destroy(ingest->calls);
}

const char *kb_call_ingest__plain_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot[1] ? dot + 1 : name;
}

static uint32_t add_python(struct kb_call_ingest *ingest, const struct kb_function_info *info)
{
	return kb_calls__add_function(ingest->calls, info->file, info->first_line,
				      kb_call_ingest__plain_name(info->name));
}

#define C_FILE "~" /* as cProfile has it */

/*
 * What cProfile calls a C function (normalizeUserObj() in Modules/_lsprof.c): the representation of
 * what its type has by its name, else module and name. Classes have __new__ under this name, too,
 * each of which is one and the same function to cProfile.
 */
static void label_c(const struct kb_data_call_function *record, char *label, size_t size)
{
	const char *name = record->name, *owner = record->owner;

	if (record->is_c == KB_C_METHOD)
		snprintf(label, size, "<method '%s' of '%s' objects>", name, owner);
	else if (record->is_c == KB_C_UNBOUND)
		snprintf(label, size, "<%s%s%s>", strcmp(owner, "builtins") ? owner : "",
			 *owner && strcmp(owner, "builtins") ? "." : "", name);
	else if (!*owner && !strcmp(name, "__new__"))
		snprintf(label, size, "<built-in method %s of type object at %#" PRIx64 ">", name,
			 (uint64_t)record->address);
	else
		snprintf(label, size, "<built-in method %s%s%s>", owner, *owner ? "." : "", name);
}

static uint32_t add_c(struct kb_call_ingest *ingest, const struct kb_data_call_function *record)
{
	char label[2 * KB_CALL_NAME_MAX + 64];

	label_c(record, label, sizeof(label));
	return kb_calls__add_function(ingest->calls, C_FILE, 0, label);
}

/* The place of a number; NULL: no memory. */
static uint32_t *place_of(struct kb_call_ingest *ingest, uint32_t number)
{
	uint32_t *functions =
		kb_array__grow(ingest->functions, &ingest->functions_capacity, number + 1,
			       sizeof(*functions), KB_CALL_FUNCTIONS_MAX + 1);

	if (!functions)
		return NULL;
	ingest->functions = functions;
	while (ingest->n_functions <= number)
		functions[ingest->n_functions++] = KB_ID_NONE;
	return &functions[number];
}

void kb_call_ingest__function(struct kb_call_ingest *ingest, struct kb_ingest *names,
			      const struct kb_profile *profile,
			      const struct kb_data_call_function *record)
{
	uint32_t *place = place_of(ingest, record->function), function;

	if (!place)
		return;
	if (record->is_c) {
		*place = add_c(ingest, record);
		return;
	}
	function = kb_ingest__function_at(names, record->proc, record->address);
	if (function != KB_ID_NONE)
		*place = add_python(ingest, kb_profile__function(profile, function));
}

uint32_t kb_call_ingest__name(struct kb_call_ingest *ingest, uint32_t number, const char *file,
			      int32_t line, const char *name)
{
	uint32_t *place = place_of(ingest, number);

	if (!place)
		return KB_ID_NONE;
	*place =
		kb_calls__add_function(ingest->calls, file, line, kb_call_ingest__plain_name(name));
	return *place;
}

/* ---------------------------------------------------------------- counts */

static uint32_t function_of(const struct kb_call_ingest *ingest, uint32_t number)
{
	return number < ingest->n_functions ? ingest->functions[number] : KB_ID_NONE;
}

static struct kb_call_taken read_edge(const struct kb_call_edge *edge)
{
	const volatile struct kb_call_edge *now = edge;
	struct kb_call_taken taken = {
		/* Calls last: the others are never more of them. */
		.recursive = now->recursive,
		.edge_recursive = now->edge_recursive,
		.own_ns = now->own_ns,
		.total_ns = now->total_ns,
		.edge_total_ns = now->edge_total_ns,
	};

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	taken.calls = now->calls;
	return taken;
}

static struct kb_error *add_edge(struct kb_call_ingest *ingest, const struct kb_call_edge *edge,
				 struct kb_call_taken *taken, bool last)
{
	struct kb_call_taken now = read_edge(edge), was = *taken;
	uint32_t callee = function_of(ingest, edge->function);
	uint32_t caller = function_of(ingest, edge->caller);
	uint64_t calls = now.calls - was.calls;
	struct kb_call_stats stats = {
		.ncalls = calls,
		.primitive = calls - (now.recursive - was.recursive),
		.tottime = KB_CALLS_SECONDS(now.own_ns - was.own_ns),
		.cumtime = KB_CALLS_SECONDS(now.total_ns - was.total_ns),
	};
	bool added;

	if (!memcmp(&now, &was, sizeof(now)))
		return NULL;
	if (callee == KB_ID_NONE) {
		if (last)
			ingest->nameless += calls;
		return NULL;
	}
	added = kb_calls__add_stats(ingest->calls, KB_ID_NONE, callee, &stats);
	if (added && caller != KB_ID_NONE) {
		stats.primitive = calls - (now.edge_recursive - was.edge_recursive);
		stats.cumtime = KB_CALLS_SECONDS(now.edge_total_ns - was.edge_total_ns);
		added = kb_calls__add_edge(ingest->calls, KB_ID_NONE, caller, callee, &stats);
	}
	if (!added)
		return kb_failed("more functions and callers than call statistics hold");
	ingest->reported += calls;
	*taken = now;
	return NULL;
}

struct kb_error *kb_call_ingest__take(struct kb_call_ingest *ingest,
				      const struct kb_call_edge *edges, uint32_t n, bool last)
{
	struct kb_call_taken *taken = kb_array__grow(ingest->taken, &ingest->taken_capacity, n,
						     sizeof(*taken), KB_CALL_EDGES_MAX);

	if (!taken)
		return kb_error__no_memory();
	ingest->taken = taken;
	if (n > ingest->n_taken) {
		memset(taken + ingest->n_taken, 0, (n - ingest->n_taken) * sizeof(*taken));
		ingest->n_taken = n;
	}
	for (uint32_t i = 1; i < n; i++)
		KB_TRY(add_edge(ingest, &edges[i], &taken[i], last));
	return NULL;
}

/* ---------------------------------------------------------------- the ledger */

static struct kb_error *set_entry(struct kb_call_ingest *ingest, struct kb_ledger_entry entry)
{
	if (entry.count && !kb_calls__set_ledger(ingest->calls, &entry))
		return kb_error__no_memory();
	return NULL;
}

static struct kb_error *set_samples(struct kb_call_ingest *ingest, const struct kb_profile *profile)
{
	uint64_t reported = 0, failed = 0;

	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (entry.reported)
			reported += entry.count;
		else if (!entry.note)
			failed += entry.count;
	}
	KB_TRY(set_entry(ingest,
			 (struct kb_ledger_entry){ "samples", "samples that the times are of",
						   reported, false, true }));
	return set_entry(ingest,
			 (struct kb_ledger_entry){ "samples_failed", "samples without a stack",
						   failed, false, true });
}

struct kb_error *kb_call_ingest__set_ledger(struct kb_call_ingest *ingest,
					    const struct kb_profile *profile, uint32_t rough)
{
	static const enum kb_ledger_reason lost[] = { KB_L_CALLS_NOT_IDENTIFIED,
						      KB_L_CALLS_UNREADABLE, KB_L_CALLS_FULL,
						      KB_L_CALLS_BUSY };
	static const enum kb_ledger_reason notes[] = { KB_L_CALLS_REPEATED, KB_L_CALLS_THROWN,
						       KB_L_CALLS_RESYNCED, KB_L_CALLS_TOO_DEEP,
						       KB_L_SET_ASIDE,	    KB_L_CHOSEN_OTHER_READS,
						       KB_L_CHOSEN_NO_EXIT, KB_L_CHOSEN_NO_ENTRY,
						       KB_L_CHOSEN_LATE,    KB_L_CHOSEN_JIT };
	uint64_t seen = kb_profile__ledger_get(profile, KB_L_CALLS_SEEN);
	uint64_t accounted = ingest->reported + ingest->nameless;

	KB_TRY(set_entry(ingest, (struct kb_ledger_entry){ "reported", "calls in the statistics",
							   ingest->reported, true, false }));
	KB_TRY(set_entry(ingest,
			 (struct kb_ledger_entry){ "calls_nameless",
						   "calls of functions whose names did not arrive",
						   ingest->nameless, false, false }));
	for (size_t i = 0; i < sizeof(lost) / sizeof(*lost); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, lost[i]);

		entry.note = false;
		accounted += entry.count;
		KB_TRY(set_entry(ingest, entry));
	}
	for (size_t i = 0; i < sizeof(notes) / sizeof(*notes); i++)
		KB_TRY(set_entry(ingest, kb_profile__ledger(profile, notes[i])));
	KB_TRY(set_entry(ingest,
			 (struct kb_ledger_entry){
				 "aftermath", "samples of what probes left behind: taken off, too",
				 ingest->aftermath, false, true }));
	KB_TRY(set_entry(ingest,
			 (struct kb_ledger_entry){
				 "windows_rough",
				 "windows that were probes for the most part: calls/s are rough",
				 rough, false, true }));
	KB_TRY(set_samples(ingest, profile));
	if (seen != accounted)
		kb_warn("the ledger does not add up: %" PRIu64 " calls seen, %" PRIu64
			" accounted for",
			seen, accounted);
	return NULL;
}
