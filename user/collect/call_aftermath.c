// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "collect/call_aftermath.h"

/*
 * A probe is at the beginning of a call. What follows is the callee's time, and where that is
 * shorter than the aftermath reaches, its caller's.
 */
double *kb_call_aftermath__shares(const struct kb_calls *calls,
				  const struct kb_call_aftermath *aftermath)
{
	const struct kb_calls_edge *edges = kb_calls__edges(calls);
	uint32_t n = kb_calls__n_functions(calls);
	double *shares = calloc((size_t)n + 1, sizeof(*shares));

	if (!shares)
		return NULL;
	/* First: how much of its time is within reach, seconds. */
	for (uint32_t i = 0; i < kb_calls__n_edges(calls); i++) {
		double ncalls = (double)edges[i].stats.ncalls;
		double left = aftermath->reach * ncalls - edges[i].stats.cumtime;

		if (left > 0)
			shares[edges[i].caller] += left;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct kb_call_stats *stats = &kb_calls__function(calls, i)->stats;
		double near = shares[i] + aftermath->reach * (double)stats->ncalls;

		shares[i] = 0;
		if (stats->tottime > 0)
			shares[i] = near < stats->tottime ? aftermath->share * near / stats->tottime
							  : aftermath->share;
	}
	return shares;
}
