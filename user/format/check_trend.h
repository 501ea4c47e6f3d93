/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CHECK_TREND_H
#define KB_FORMAT_CHECK_TREND_H

#include "base/json_out.h"
#include "base/strpool.h"
#include "keelback/check_history.h"
#include "model/check_history.h"

/* Inside of a trend, for the files that make it. */
struct kb_check_trend {
	struct kb_strpool *strings;
	const char *label;
	double confidence;
	enum kb_check_verdict verdict;
	struct kb_check_trend_measure *measures; /* owns their arrays */
	uint32_t n_measures;
};

/* One metric of the entries that can be compared with the newest, which is the last of them. */
struct kb_trend_series {
	struct kb_check_trend *trend;
	enum kb_check_metric metric;
	bool ratio;
	double significance; /* of each decision */
	uint32_t n, n_elsewhere;
	const struct kb_history_entry **entries;
	double *values;
};

/* A string of the trend's own; NULL: no memory. */
const char *kb_check_trend__keep(struct kb_check_trend *trend, const char *text);

/* Fills level, newest and verdict from the changes and values. */
void kb_check_level__judge(const struct kb_trend_series *series,
			   struct kb_check_trend_measure *measure);
/* The difference of the means of n values from start and of m behind them, relative to the first:
 * change, low and high of a change. */
void kb_check_level__compare(const struct kb_trend_series *series, uint32_t start, uint32_t n,
			     uint32_t m, struct kb_check_trend_change *change);

/* Which functions make the change at this place of the series. */
struct kb_error *kb_check_trend__explain(const struct kb_trend_series *series, uint32_t at,
					 struct kb_check_trend_change *change);

/* A trend as a member of a JSON object; name NULL: as the whole. */
void kb_check_trend__put(struct kb_json_out *out, const char *name,
			 const struct kb_check_trend *trend);

#endif
