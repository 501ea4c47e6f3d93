/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_CHECK_H
#define KB_MODEL_CHECK_H

#include "base/id_map.h"
#include "base/regex.h"
#include "base/strpool.h"
#include "keelback/calls.h"
#include "keelback/check.h"

/*
 * Building what keelback/check.h reads: pairs of runs and what was seen in them are added, then
 * kb_check__finish() compares. Data are added before it, everything else is read after it.
 */
#define KB_CHECK_FUNCTIONS_MAX (1u << 20)
#define KB_CHECK_ENTRIES_MAX   (1u << 24) /* lines of functions in runs: 16 bytes each */
#define KB_CHECK_COUNTS_MAX    (1u << 22)
#define KB_CHECK_NOTES_MAX     32
#define KB_CHECK_STRINGS_BYTES (256u << 20)

#define KB_CHECK_OF_RUNS KB_CHECK_CALLS /* metrics before it are of each run */

/* What a run cost, by metric; NAN: not known. */
struct kb_check_run {
	double value[KB_CHECK_OF_RUNS];
};

/* Which series a count is of: base is counted twice, to know what varies by itself. */
enum kb_check_series {
	KB_CHECK_SERIES_BASE = KB_CHECK_BASE,
	KB_CHECK_SERIES_HEAD = KB_CHECK_HEAD,
	KB_CHECK_SERIES_AGAIN = 2,
	KB_CHECK_SERIES_COUNT,
};

/* A function of both sides: the same name in the same file, wherever in it. */
struct kb_check_name {
	enum kb_frame_kind kind;
	const char *name, *file;
	int32_t line[KB_CHECK_SIDES]; /* 0: the side does not have it */
	uint32_t same_as;	      /* another one that is the same after all, or its own id */
	bool ignored;		      /* by the rules' patterns */
};

/* Samples of a line in a run. */
struct kb_check_entry {
	uint32_t name;
	uint16_t pair;
	uint16_t side;
	int32_t line;
	float seconds;
};

struct kb_check_tally {
	enum kb_check_metric metric;
	uint32_t name, caller; /* caller: KB_ID_NONE: all calls */
	uint64_t value[KB_CHECK_SERIES_COUNT];
};

struct kb_check {
	struct kb_check_meta meta;
	struct kb_check_rules rules; /* without the patterns */
	struct kb_regex **only, **ignore;
	size_t n_only, n_ignore;
	struct kb_strpool *strings;
	const char *notes[KB_CHECK_NOTES_MAX];
	uint32_t n_notes;
	struct kb_profile *profiles[KB_CHECK_SIDES];

	double *runs[KB_CHECK_METRICS][KB_CHECK_SIDES]; /* NULL: no data */
	bool counted[KB_CHECK_METRICS];
	bool again[KB_CHECK_METRICS]; /* base was counted twice */
	struct kb_check_measure measures[KB_CHECK_METRICS];
	uint32_t n_measures;

	struct kb_check_name *names;
	uint32_t n_names, names_capacity;
	struct kb_id_map name_map;
	struct kb_check_entry *entries;
	uint32_t n_entries, entries_capacity;
	struct kb_check_function *functions;
	uint32_t n_functions;
	struct kb_check_line *lines;

	struct kb_check_tally *tallies;
	uint32_t n_tallies, tallies_capacity;
	struct kb_id_map tally_map;
	struct kb_check_count *counts, *edges;
	uint32_t n_counts, n_edges;
};

/* rules: NULL for the defaults; KB_STATUS_USAGE when a pattern is none. */
struct kb_error *kb_check__create(const struct kb_check_rules *rules, struct kb_check **check);
/* The check's own copy of a text; "" when memory is out. */
const char *kb_check__text(struct kb_check *check, const char *text);
void kb_check__add_note(struct kb_check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The next pair of runs. */
struct kb_error *kb_check__add_pair(struct kb_check *check,
				    const struct kb_check_run runs[KB_CHECK_SIDES]);
/*
 * Half the width of the interval of the change of a metric so far, as a factor: 0.01 is 1 %.
 * Infinite with too few pairs. It depends on how much the pairs vary, not on what they say.
 */
struct kb_error *kb_check__half_width(const struct kb_check *check, enum kb_check_metric metric,
				      double *half_width);
/* So that the confidence holds for all gated metrics of runs together. */
double kb_check__confidence_of_each(const struct kb_check *check);

/* Samples from the index `from` on were taken in the latest pair's run of that side, which used
 * so many seconds. pair: from 0. */
struct kb_error *kb_check__add_samples(struct kb_check *check, enum kb_check_side side,
				       uint32_t pair, const struct kb_profile *profile,
				       uint32_t from, double seconds);

/* Why counts are not exact, a sentence; NULL: they are. */
const char *kb_check__gap_of_calls(const struct kb_calls *calls);
const char *kb_check__gap_of_memory(const struct kb_profile *profile);
/* Exact counts of one run. */
struct kb_error *kb_check__add_calls(struct kb_check *check, enum kb_check_series series,
				     const struct kb_calls *calls);
struct kb_error *kb_check__add_memory(struct kb_check *check, enum kb_check_series series,
				      const struct kb_profile *profile);
/* Drops what was counted of a metric so far, and of those that are counted with it. */
void kb_check__forget_counts(struct kb_check *check, enum kb_check_metric metric);

/* Compares; the meta data are complete. */
struct kb_error *kb_check__finish(struct kb_check *check);

/* A file as seen from a side's own directory, which may end in a slash. */
const char *kb_check__below(const char *dir, const char *file);

/* ---- between the files of the model */

/* The id of a function, KB_ID_NONE: a limit was reached. */
uint32_t kb_check__name(struct kb_check *check, enum kb_check_side side, enum kb_frame_kind kind,
			const char *name, const char *file, int32_t line);
/* Decides which names are the same, and which are ignored; counts of the same become one. */
struct kb_error *kb_check__match_names(struct kb_check *check);
struct kb_error *kb_check__match_counts(struct kb_check *check);
struct kb_error *kb_check__compare_runs(struct kb_check *check);
struct kb_error *kb_check__compare_functions(struct kb_check *check);
struct kb_error *kb_check__compare_counts(struct kb_check *check);

#endif
