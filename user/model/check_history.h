/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_CHECK_HISTORY_H
#define KB_MODEL_CHECK_HISTORY_H

#include <stddef.h>
#include "base/strpool.h"
#include "keelback/check_history.h"

/* Inside of a history, for what looks for changes in it. */
#define KB_CHECK_HISTORY_VERSION 1 /* of the lines; members may be added without a new one */

/* Runs of one metric, reduced to what is compared: medians, and that of head to base by pairs. */
struct kb_history_value {
	bool ratio_known;
	uint32_t n; /* runs of head; 0: no such metric */
	double head, ratio;
};

struct kb_history_function {
	const char *name, *file;
	int32_t line;
	double seconds;
};

struct kb_history_count {
	enum kb_check_metric metric;
	const char *name, *file;
	int32_t line;
	double value[KB_CHECK_SIDES];
};

/* Strings are those of the history's pool: equal ones have equal pointers, none is NULL. */
struct kb_history_entry {
	int64_t unix_seconds;
	const char *label, *base_label;
	const char *architecture, *cpu;
	uint32_t cpus;
	const char *python[KB_CHECK_SIDES]; /* major and minor version: "3.12" */
	struct kb_history_value values[KB_CHECK_METRICS];
	struct kb_history_function *functions; /* by CPU time, most first; not all */
	uint32_t n_functions;
	struct kb_history_count *counts; /* that differ from base */
	uint32_t n_counts;
};

#define KB_HISTORY_ENTRIES_MAX	 1000	     /* the newest; four times what is compared at most */
#define KB_HISTORY_FILE_MAX	 (64u << 20) /* some thousand checks */
#define KB_HISTORY_LINE_MAX	 (8u << 20)  /* ours have some 10 kB, with the longest names 5 MB */
#define KB_HISTORY_FUNCTIONS_MAX 50	     /* of an entry; the rest is hardly to blame */
#define KB_HISTORY_COUNTS_MAX	 30	     /* the same, of each metric */

struct kb_check_history {
	struct kb_strpool *strings;
	struct kb_history_entry *entries; /* in the file's order */
	uint32_t n_entries;
	uint32_t n_cut;
	uint32_t cut_line; /* the number of the last one */
};

/* name is for errors: the file's. The bytes are not needed afterwards. */
struct kb_error *kb_check_history__read(const void *bytes, size_t size, const char *name,
					struct kb_check_history **history);

#endif
