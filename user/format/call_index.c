// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/error.h"
#include "format/call_index.h"

struct kb_error *kb_call_index__create(const struct kb_calls *calls, enum kb_call_end end,
				       struct kb_call_index *index)
{
	const struct kb_calls_edge *edges = kb_calls__edges(calls);
	uint32_t n = kb_calls__n_edges(calls), n_functions = kb_calls__n_functions(calls);
	uint32_t *first = calloc((size_t)n_functions + 2, sizeof(*first));
	uint32_t *sorted = calloc((size_t)n + 1, sizeof(*sorted));

	if (!first || !sorted) {
		free(first);
		free(sorted);
		return kb_error__no_memory();
	}
	/* Counting sort: first[f + 1] is where the next edge of f goes, in the end where f + 1
	 * begins. */
	for (uint32_t i = 0; i < n; i++)
		first[(end == KB_BY_CALLEE ? edges[i].callee : edges[i].caller) + 2]++;
	for (uint32_t i = 2; i < n_functions + 2; i++)
		first[i] += first[i - 1];
	for (uint32_t i = 0; i < n; i++)
		sorted[first[(end == KB_BY_CALLEE ? edges[i].callee : edges[i].caller) + 1]++] = i;
	*index = (struct kb_call_index){ first, sorted };
	return NULL;
}

void kb_call_index__free(struct kb_call_index *index)
{
	free(index->first);
	free(index->edges);
	*index = (struct kb_call_index){};
}
