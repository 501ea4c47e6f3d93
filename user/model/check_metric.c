// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "model/check.h"

/* All there is to know of a metric. */
static const struct metric {
	const char *name, *text;
	enum kb_check_unit unit;
	bool gated;
	double threshold;
} metrics[KB_CHECK_METRICS] = {
	[KB_CHECK_CPU] = { "cpu", "CPU time", KB_CHECK_SECONDS, true, 0.03 },
	[KB_CHECK_WALL] = { "wall", "wall time", KB_CHECK_SECONDS, false, 0.05 },
	[KB_CHECK_WAITS] = { "waits", "voluntary switches", KB_CHECK_COUNT, false, 0.1 },
	[KB_CHECK_PREEMPTIONS] = { "preemptions", "involuntary switches", KB_CHECK_COUNT, false,
				   0.5 },
	[KB_CHECK_FAULTS] = { "faults", "page faults", KB_CHECK_COUNT, false, 0.05 },
	[KB_CHECK_RSS] = { "rss", "peak RSS", KB_CHECK_BYTES, false, 0.05 },
	[KB_CHECK_INSTRUCTIONS] = { "instructions", "instructions", KB_CHECK_COUNT, false, 0.02 },
	[KB_CHECK_CYCLES] = { "cycles", "cycles", KB_CHECK_COUNT, false, 0.03 },
	[KB_CHECK_CALLS] = { "calls", "calls", KB_CHECK_COUNT, true, 0.01 },
	[KB_CHECK_ALLOCATIONS] = { "allocations", "allocations", KB_CHECK_COUNT, true, 0.01 },
	[KB_CHECK_PEAK] = { "peak", "peak of the heap", KB_CHECK_BYTES, true, 0.01 },
};

const char *kb_check_metric__name(enum kb_check_metric metric)
{
	return metric < KB_CHECK_METRICS ? metrics[metric].name : NULL;
}

const char *kb_check_metric__text(enum kb_check_metric metric)
{
	return metric < KB_CHECK_METRICS ? metrics[metric].text : NULL;
}

enum kb_check_unit kb_check_metric__unit(enum kb_check_metric metric)
{
	return metrics[metric].unit;
}

bool kb_check_metric__is_exact(enum kb_check_metric metric)
{
	return metric >= KB_CHECK_OF_RUNS;
}

const char *kb_check_verdict__name(enum kb_check_verdict verdict)
{
	static const char *const names[] = {
		[KB_CHECK_CANNOT_TELL] = "cannot-tell",
		[KB_CHECK_NO_CHANGE] = "no-change",
		[KB_CHECK_IMPROVEMENT] = "improvement",
		[KB_CHECK_REGRESSION] = "regression",
	};

	return names[verdict];
}

void kb_check_rules__init(struct kb_check_rules *rules)
{
	memset(rules, 0, sizeof(*rules));
	rules->confidence = 0.99;
	for (int i = 0; i < KB_CHECK_METRICS; i++) {
		rules->threshold[i] = metrics[i].threshold;
		rules->gated[i] = metrics[i].gated;
	}
}
