// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "format/timeline.h"

static int compare(const void *a, const void *b, void *arg)
{
	const struct kb_moment *moments = arg;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;

	if (moments[i].thread != moments[j].thread)
		return moments[i].thread < moments[j].thread ? -1 : 1;
	if (moments[i].time_ns != moments[j].time_ns)
		return moments[i].time_ns < moments[j].time_ns ? -1 : 1;
	return (i > j) - (i < j);
}

struct kb_error *kb_timeline__init(struct kb_timeline *timeline, const struct kb_profile *profile)
{
	const struct kb_moment *moments = kb_profile__moments(profile);
	uint32_t n_threads = kb_profile__n_threads(profile), n = kb_profile__n_moments(profile);
	uint32_t at = 0;

	timeline->order = calloc((size_t)n + 1, sizeof(*timeline->order));
	timeline->first = calloc((size_t)n_threads + 1, sizeof(*timeline->first));
	if (!timeline->order || !timeline->first)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		timeline->order[i] = i;
	if (n)
		qsort_r(timeline->order, n, sizeof(*timeline->order), compare, (void *)moments);
	for (uint32_t i = 0; i < n_threads; i++) {
		timeline->first[i] = at;
		while (at < n && moments[timeline->order[at]].thread == i)
			at++;
	}
	timeline->first[n_threads] = n;
	return NULL;
}

void kb_timeline__free(struct kb_timeline *timeline)
{
	free(timeline->order);
	free(timeline->first);
}
