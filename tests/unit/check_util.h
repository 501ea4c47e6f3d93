/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TESTS_CHECK_UTIL_H
#define KB_TESTS_CHECK_UTIL_H

/* A finished check of made figures, whose every text is the one that is given. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "model/check.h"

/* Quotes, markup of three kinds, line ends, ESC, what is no UTF-8, a writing direction turned
 * round. */
#define KB_HOSTILE                                                                                 \
	"\"'<b>&amp;]]>|``` `x`\\|@me #1 [a](http://b.c) \n::error::x\r\x1b[31m%0A,a=b:c \xff\xfe" \
	"\xe2\x80\xae\x01"

static const double kb_made_runs[2][3] = { { 1.0, 1.01, 0.99 }, { 1.1, 1.12, 1.09 } };
static const double kb_made_counts[2] = { 1000, 1100 };

static struct kb_check_measure kb_made_measure(enum kb_check_metric metric,
					       enum kb_check_verdict verdict, bool gated)
{
	bool exact = kb_check_metric__is_exact(metric);

	return (struct kb_check_measure){
		.size = sizeof(struct kb_check_measure),
		.metric = metric,
		.verdict = verdict,
		.gated = gated,
		.threshold = 0.03,
		.base = exact ? 1000 : 1.0,
		.head = exact ? 1100 : 1.1,
		.change = 0.1,
		.low = exact ? 0.1 : 0.08,
		.high = exact ? 0.1 : 0.12,
		.largest = 0.12,
		.detectable = 0.011,
		.n = exact ? 1 : 3,
		.runs = { exact ? &kb_made_counts[0] : kb_made_runs[0],
			  exact ? &kb_made_counts[1] : kb_made_runs[1] },
	};
}

static struct kb_check_count kb_made_count(enum kb_check_metric metric, const char *text)
{
	return (struct kb_check_count){
		.size = sizeof(struct kb_check_count),
		.metric = metric,
		.name = text,
		.file = text,
		.line = { 10, 12 },
		.value = { 100, 200 },
	};
}

/* free() it. metrics: CPU (regression), wall (not gated), faults (cannot tell), calls (regression).
 */
static struct kb_check *kb_made_check(const char *text)
{
	static struct kb_check_function functions[2];
	static struct kb_check_count counts[2], edge;
	struct kb_check *check = calloc(1, sizeof(*check));

	check->meta = (struct kb_check_meta){ .size = sizeof(check->meta),
					      .side = { text, text },
					      .dir = { "", "" },
					      .python = { text, text },
					      .host = text,
					      .version = "0.1",
					      .start_unix_ns = 1700000000000000000,
					      .duration_ns = 1500000000,
					      .confidence = 0.99,
					      .n_pairs = 3,
					      .verdict = KB_CHECK_REGRESSION };
	check->measures[0] = kb_made_measure(KB_CHECK_CPU, KB_CHECK_REGRESSION, true);
	check->measures[1] = kb_made_measure(KB_CHECK_WALL, KB_CHECK_REGRESSION, false);
	check->measures[2] = kb_made_measure(KB_CHECK_FAULTS, KB_CHECK_CANNOT_TELL, true);
	check->measures[3] = kb_made_measure(KB_CHECK_CALLS, KB_CHECK_REGRESSION, true);
	check->n_measures = 4;
	for (int i = 0; i < 2; i++)
		functions[i] = (struct kb_check_function){ .size = sizeof(functions[i]),
							   .name = text,
							   .file = text,
							   .line = { 5, 7 },
							   .seconds = { 0.5, 0.6 },
							   .change = 0.1,
							   .low = 0.09,
							   .high = i ? INFINITY : 0.11,
							   .p = 1e-7,
							   .part = 0.9,
							   .blamed = !i };
	check->functions = functions;
	check->n_functions = 2;
	counts[0] = kb_made_count(KB_CHECK_CALLS, text);
	counts[1] = kb_made_count(KB_CHECK_ALLOCATIONS, text);
	edge = counts[0];
	edge.caller_name = edge.caller_file = text;
	edge.value[KB_CHECK_BASE] = 0;
	check->counts = counts;
	check->n_counts = 2;
	check->edges = &edge;
	check->n_edges = 1;
	check->notes[0] = text;
	check->n_notes = 1;
	return check;
}

#endif
