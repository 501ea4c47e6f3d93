/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_CALLS_H
#define KB_MODEL_CALLS_H

#include "keelback/calls.h"

/*
 * Building call statistics. Collectors and readers of files call these; everything
 * else reads through keelback/calls.h. Strings are copied and interned. Everything
 * that is added is a difference: the same function or edge may come as often as wanted, and
 * calls and times may come apart (ncalls 0 for times from samples).
 *
 * Past a limit functions return KB_ID_NONE or false, and the caller counts what
 * it could not add in the ledger.
 */
#define KB_CALLS_FUNCTIONS_MAX	  (1u << 20) /* CPython's own test suite has 60,000 */
#define KB_CALLS_EDGES_MAX	  (1u << 22) /* 48 bytes and an index entry each */
#define KB_CALLS_THREADS_MAX	  (1u << 16)
#define KB_CALLS_PARTS_MAX	  (1u << 22)
#define KB_CALLS_SOURCES_MAX	  (1u << 12) /* files on a command line */
#define KB_CALLS_LEDGER_MAX	  64	     /* reasons, not events */
#define KB_CALLS_CHOSEN_MAX	  64	     /* a processor has far fewer breakpoints */
#define KB_CALLS_BUCKETS_MAX	  256	     /* of a histogram: 64 powers of two */
#define KB_CALLS_STRINGS_MAX	  (1u << 22)
#define KB_CALLS_STRING_BYTES_MAX (256u << 20)

/* A collector counts in ns. */
#define KB_CALLS_SECONDS(ns) ((double)(ns) / 1e9)

struct kb_error *kb_calls__create(const struct kb_calls_meta *meta, struct kb_calls **calls);
/* Replaces the meta data (strings are copied), for what is known only at the end. n_windows and
 * traced_ns are kept by kb_calls__end_window() and not taken from here. */
struct kb_error *kb_calls__set_meta(struct kb_calls *calls, const struct kb_calls_meta *meta);

/* The id of a function, which is not listed until something is added to it. */
uint32_t kb_calls__add_function(struct kb_calls *calls, const char *file, int32_t line,
				const char *name);
/* By (pid, start_ns, tid); empty strings are filled in when they become known. */
uint32_t kb_calls__add_thread(struct kb_calls *calls, const struct kb_calls_thread *info);

/*
 * Adds to a function, or to an edge from a function to another (or itself). thread
 * is KB_ID_NONE where threads are not kept apart. A function of which nothing but edges is known is
 * not listed: its own statistics are never derived from them.
 */
bool kb_calls__add_stats(struct kb_calls *calls, uint32_t thread, uint32_t function,
			 const struct kb_call_stats *delta);
bool kb_calls__add_edge(struct kb_calls *calls, uint32_t thread, uint32_t caller, uint32_t callee,
			const struct kb_call_stats *delta);

/* Of an edge that exists: all that is known of it is a count. */
void kb_calls__mark_count_only(struct kb_calls *calls, uint32_t caller, uint32_t callee);

/* A window ended in which everything added since the last one was seen: for the rates' intervals.
 */
void kb_calls__end_window(struct kb_calls *calls, uint64_t traced_ns);

/* Sets what is known of the chosen function with this index, at most one behind the last; all is
 * copied. */
struct kb_error *kb_calls__set_chosen(struct kb_calls *calls, uint32_t index,
				      const struct kb_calls_chosen *chosen);

/* Sets a count of the ledger; name and text are copied. False past KB_CALLS_LEDGER_MAX. */
bool kb_calls__set_ledger(struct kb_calls *calls, const struct kb_ledger_entry *entry);
/* A line such as "Thu Nov 27 03:29:00 2025    run.pstats". */
bool kb_calls__add_source(struct kb_calls *calls, const char *text);

#endif
