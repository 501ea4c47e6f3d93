/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_VIEW_MODEL_H
#define KB_TUI_VIEW_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "keelback/profile.h"
#include "tui/history.h"
#include "tui/labels.h"

/*
 * The numbers of the live view, without a terminal: from a profile that grows
 * to the cost of each row (function or line), thread and process, over all time or a window of
 * it, and how that differs from a moment before.
 *
 *	take       reads what the profile has now: an interval of the history
 *	select     chooses the samples to be shown: a window of the history
 *	aggregate  sums them up, for one thread, one process or all
 *
 * A frozen view goes on taking and does not select, so that everything that is asked of it
 * (another thread, the lines of a function) is about the same moment. Selecting and aggregating are
 * one pass each over samples and nodes.
 */

/* What a row cost, in the profile's unit. */
struct kb_row {
	uint64_t self;	/* samples that executed it */
	uint64_t total; /* with it anywhere on the stack, once for each stack */
	/* The same in the trend's newest interval and in the one before that. */
	uint64_t self_now, self_before, total_now, total_before;
};

enum kb_scope { KB_SCOPE_ALL, KB_SCOPE_PROCESS, KB_SCOPE_THREAD };

enum kb_trend { KB_TREND_DOWN = -1, KB_TREND_FLAT = 0, KB_TREND_UP = 1 };

/* How long "now" is, at least: below, most differences would be chance. */
#define KB_TREND_SPAN_NS 1000000000ull

/* Changes of a few intervals, copied out of the history. */
struct kb_recent {
	struct kb_change *changes;
	size_t n, capacity;
	uint64_t duration_ns;
	uint64_t total; /* within the scope */
};

struct kb_view_model {
	const struct kb_profile *profile;
	struct kb_history *history;
	struct kb_labels labels;

	/* Choices; take effect at the next select (window) or aggregate (scope). */
	uint64_t window_ns; /* 0: since the start */
	enum kb_scope scope;
	uint32_t scope_id; /* of the profile's process or thread */

	/* What is selected. */
	uint32_t n_samples, n_nodes; /* of the profile, then */
	uint64_t *selected;	     /* count of each sample */
	size_t selected_capacity;
	uint64_t duration_ns;	   /* what the selection spans */
	struct kb_tallies tallies; /* of that time */
	struct kb_recent now, before;

	/* What came of it. */
	uint64_t total;	    /* in scope */
	uint64_t all_total; /* in all scopes */
	uint32_t n_rows, n_threads, n_processes;
	struct kb_row *rows;	      /* by label */
	uint64_t *own, *with_callees; /* of each node, in scope */
	uint64_t *threads, *processes;
	uint64_t *recent; /* scratch: of each node, in a few intervals */
	size_t rows_capacity, own_capacity, with_callees_capacity, threads_capacity,
		processes_capacity, recent_capacity;
};

struct kb_error *kb_view_model__create(const struct kb_profile *profile, bool by_lines,
				       uint64_t now_ns, struct kb_view_model **model);
void kb_view_model__destroy(struct kb_view_model *model);

struct kb_error *kb_view_model__take(struct kb_view_model *model, uint64_t now_ns);
struct kb_error *kb_view_model__select(struct kb_view_model *model);
struct kb_error *kb_view_model__aggregate(struct kb_view_model *model);

/* Rows become lines or functions; then aggregate anew. */
struct kb_error *kb_view_model__set_lines(struct kb_view_model *model, bool by_lines);

/* Is this sample's thread in scope? */
bool kb_view_model__in_scope(const struct kb_view_model *model, uint32_t thread);

/*
 * Does a row's part of all differ from the one before by more than chance?
 * Samples of one cost vary with the square root of their number; where counts are
 * times, less than a fiftieth of all is no difference either.
 */
enum kb_trend kb_view_model__trend(const struct kb_view_model *model, uint64_t now,
				   uint64_t before);
/* Share of the trend's newest interval, and how it changed: both -1 to 1. */
double kb_view_model__share_now(const struct kb_view_model *model, uint64_t now);
double kb_view_model__share_change(const struct kb_view_model *model, uint64_t now,
				   uint64_t before);

/* The row's function. */
const struct kb_function_info *kb_view_model__function(const struct kb_view_model *model,
						       uint32_t row);

#endif
