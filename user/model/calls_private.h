/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_CALLS_PRIVATE_H
#define KB_MODEL_CALLS_PRIVATE_H

#include "base/id_map.h"
#include "base/index.h"
#include "base/strpool.h"
#include "model/calls.h"

/* Inside of call statistics, for the files of model/ alone. */

/* Of a function over the windows that ended, for the variance of its rate. */
struct kb_calls_spread {
	uint64_t at_window; /* ncalls when the last window ended */
	double squares;	    /* sum over windows of n² */
	double products;    /* and of n · seconds */
};

struct kb_calls {
	struct kb_calls_meta meta;
	struct kb_strpool *strings; /* id 0 is "" */

	struct kb_calls_function *functions;
	struct kb_calls_spread *spreads; /* by function */
	uint32_t n_functions, functions_capacity, spreads_capacity;
	struct kb_index function_index;
	uint32_t *listed;
	uint32_t n_listed, listed_capacity;
	struct kb_call_stats total;
	double squared_seconds; /* sum over windows */

	struct kb_calls_edge *edges;
	uint32_t n_edges, edges_capacity;
	struct kb_id_map edge_ids; /* (caller, callee) */

	struct kb_calls_thread *threads;
	uint32_t n_threads, threads_capacity;
	struct kb_index thread_index;

	struct kb_calls_part *parts;
	uint32_t n_parts, parts_capacity;
	struct kb_id_map part_ids; /* (thread, caller and callee) */

	const char **sources;
	uint32_t n_sources, sources_capacity;

	struct kb_calls_chosen chosen[KB_CALLS_CHOSEN_MAX];
	uint32_t n_chosen;

	struct kb_ledger_entry ledger[KB_CALLS_LEDGER_MAX];
	size_t n_ledger;
};

/* The sum, or UINT64_MAX. */
uint64_t kb_calls__add_counts(uint64_t a, uint64_t b);
/* Frees what kb_calls__set_chosen() made. */
void kb_calls__free_chosen(struct kb_calls *calls);
/* Adds to a thread's part alone; ids exist. */
bool kb_calls__add_part(struct kb_calls *calls, uint32_t thread, uint32_t caller, uint32_t callee,
			const struct kb_call_stats *delta);

#endif
