/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_CALL_COUNTER_H
#define KB_COLLECT_CALL_COUNTER_H

#include "collect/call_aftermath.h"
#include "collect/call_probes.h"
#include "collect/sampler.h"
#include "keelback/call_counter.h"
#include "kernel/call_programs.h"
#include "model/calls.h"

/* What of an edge of the kernel's is in the statistics already. */
struct kb_call_taken {
	uint64_t calls, recursive, edge_recursive;
	uint64_t own_ns, total_ns, edge_total_ns;
};

/* From the kernel's edges, and a profile's samples, to call statistics. */
struct kb_call_ingest {
	struct kb_calls *calls;
	uint32_t *functions; /* by the kernel's number: of the statistics; KB_ID_NONE: not known */
	uint32_t n_functions, functions_capacity;
	struct kb_call_taken *taken; /* by the kernel's edge */
	uint32_t n_taken, taken_capacity;
	uint64_t reported;  /* calls in the statistics */
	uint64_t nameless;  /* calls of functions whose record did not arrive */
	uint64_t aftermath; /* samples that were taken off the times */
};

void kb_call_ingest__free(struct kb_call_ingest *ingest);
/* A function's record; its code object's was before it. */
void kb_call_ingest__function(struct kb_call_ingest *ingest, struct kb_ingest *names,
			      const struct kb_profile *profile,
			      const struct kb_data_call_function *record);
/* Names a number without a record. Returns its function in the statistics, or KB_ID_NONE. */
uint32_t kb_call_ingest__name(struct kb_call_ingest *ingest, uint32_t number, const char *file,
			      int32_t line, const char *name);
/* Adds what the kernel has counted since the last time. last: what has no name is lost. */
struct kb_error *kb_call_ingest__take(struct kb_call_ingest *ingest,
				      const struct kb_call_edge *edges, uint32_t n, bool last);
/* What cProfile calls a function: co_name, which is the end of the qualified name. */
const char *kb_call_ingest__plain_name(const char *name);
/*
 * Adds the times that a profile's samples stand for, when all counts are there. Between the two
 * steps measure() says what is to be taken off, or NULL for nothing.
 */
struct kb_error *kb_call_ingest__add_times(struct kb_call_ingest *ingest,
					   const struct kb_profile *profile,
					   const struct kb_call_aftermath *(*measure)(void *),
					   void *context);
/* seen = reported + lost, from the session's ledger. rough: windows whose rates are rough. */
struct kb_error *kb_call_ingest__set_ledger(struct kb_call_ingest *ingest,
					    const struct kb_profile *profile, uint32_t rough);

#endif
