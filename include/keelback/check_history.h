/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_CHECK_HISTORY_H
#define KEELBACK_CHECK_HISTORY_H

#include "keelback/check.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Checks of many commits, one JSON object a line in a file that only grows (docs/CI.md has its
 * members), and where in them a metric moved to another level.
 */
struct kb_check_history;

/* What a check does not know itself. */
struct kb_check_mark {
	size_t size;
	int64_t unix_seconds; /* when */
	const char *label;    /* of head: a commit, a version; 1 to KB_CHECK_LABEL_MAX bytes */
	/*
	 * Of base, "" or NULL if that is another one in each check. Checks against the same base
	 * are compared by the ratio of head to it, which the speed of a machine does not change.
	 */
	const char *base_label;
};
#define KB_CHECK_LABEL_MAX 256

/* The error that kb_check_history__append() would have for this mark, before anything is measured.
 */
KB_API struct kb_error *kb_check_mark__check(const struct kb_check_mark *mark);

/*
 * Adds a line, in one write that is on the disk when this returns; the file is made when it is not
 * there. Fails and leaves the file as it was when the disk is full.
 */
KB_API struct kb_error *kb_check_history__append(const char *path, const struct kb_check *check,
						 const struct kb_check_mark *mark);

/*
 * Reads the newest 1000 lines. A line that is cut off, as a crash leaves it, is skipped and
 * counted; one that is wrong is an error with its number.
 */
KB_API struct kb_error *kb_check_history__load(const char *path, struct kb_check_history **history);
KB_API uint32_t kb_check_history__n_entries(const struct kb_check_history *history);
/* How many lines were cut off. */
KB_API uint32_t kb_check_history__n_cut(const struct kb_check_history *history);
KB_API void kb_check_history__destroy(struct kb_check_history *history);

/* ---------------------------------------------------------------- where it moved */

/* How a function's figures differ between two levels. */
struct kb_check_trend_function {
	const char *name, *file;
	int32_t line;	      /* 0: none */
	double before, after; /* seconds of a run, or what the metric counts */
};

/* One level ended and another began. Changes are relative, as in struct kb_check_measure. */
struct kb_check_trend_change {
	size_t size;
	const char *label; /* of the first check of the new level */
	const char *last;  /* of the last check of the old one */
	int64_t unix_seconds;
	double before, after; /* means of the levels */
	uint32_t n_before, n_after;
	double change, low, high; /* with the confidence; exact: all the same */
	double p;		  /* that chance alone divides these checks as well; exact: 0 */
	/* Of CPU time, calls, allocations and peak: those that differ most, most first. */
	uint32_t n_functions;
	const struct kb_check_trend_function *functions;
};

/* A metric in all checks that can be compared with the newest. */
struct kb_check_trend_measure {
	size_t size;
	enum kb_check_metric metric;
	/* Of the newest check: KB_CHECK_CANNOT_TELL when there are too few before it, too, and
	 * n_level is 0. */
	enum kb_check_verdict verdict;
	bool gated;
	double threshold;
	bool ratio;	      /* values are those of head in units of base */
	uint32_t n;	      /* values: checks with the metric, the newest included */
	uint32_t n_elsewhere; /* left out: of another machine, Python or base */
	const double *values;
	const char *const *labels;
	/* The last level that lasted, of KB_CHECK_LEVEL checks or more: what the newest is
	 * compared with. */
	double level;
	uint32_t n_level;
	const char *level_first, *level_last;			  /* labels */
	double newest, change, low, high, p, largest, detectable; /* as in kb_check_measure */
	const char *since; /* the verdict is one of change: it began with this check */
	uint32_t n_changes;
	const struct kb_check_trend_change *changes; /* oldest first */
};
#define KB_CHECK_LEVEL 5 /* as many checks as make a level what is normal */

/*
 * Compares a check with the history before it. check and mark NULL: the last entry with those
 * before it. rules: NULL for the defaults. KB_STATUS_USAGE when there is no entry at all.
 * The trend outlives history and check.
 */
KB_API struct kb_error *kb_check_trend__create(const struct kb_check_history *history,
					       const struct kb_check *check,
					       const struct kb_check_mark *mark,
					       const struct kb_check_rules *rules,
					       struct kb_check_trend **trend);
KB_API void kb_check_trend__destroy(struct kb_check_trend *trend);
/* As kb_check_meta.verdict, of the gated metrics. */
KB_API enum kb_check_verdict kb_check_trend__verdict(const struct kb_check_trend *trend);
KB_API const char *kb_check_trend__label(const struct kb_check_trend *trend); /* of the newest */
KB_API double kb_check_trend__confidence(const struct kb_check_trend *trend);
KB_API uint32_t kb_check_trend__n_measures(const struct kb_check_trend *trend);
KB_API const struct kb_check_trend_measure *
kb_check_trend__measure(const struct kb_check_trend *trend, uint32_t index);

/* For people. color: ANSI colours. Output errors are found. */
KB_API struct kb_error *kb_check_trend__write_text(const struct kb_check_trend *trend, bool color,
						   FILE *stream);
/* One JSON object. */
KB_API struct kb_error *kb_check_trend__write_json(const struct kb_check_trend *trend,
						   FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
