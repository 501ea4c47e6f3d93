// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/when.h"

struct kb_error *kb_when__parse(const char *text, struct kb_when *when)
{
	static const char *const names[] = {
		[KB_WHEN_CPU] = "cpu", [KB_WHEN_GIL] = "gil", [KB_WHEN_THREADS] = "threads"
	};
	size_t length = strcspn(text, "<>");
	char *end = NULL;

	for (int i = KB_WHEN_CPU; i <= KB_WHEN_THREADS && text[length]; i++) {
		const char *unit = i == KB_WHEN_THREADS ? "" : "%";

		if (strlen(names[i]) != length || strncmp(names[i], text, length))
			continue;
		if (text[length + 1] < '0' || text[length + 1] > '9')
			break;
		when->limit = strtod(text + length + 1, &end);
		when->below = text[length] == '<';
		when->metric = i;
		if (end && (!*end || !strcmp(end, unit)))
			return NULL;
		break;
	}
	return kb_usage("--when: '%s' is no condition such as cpu>80%%, gil>90%% or threads>16",
			text);
}

/* Threads with a moment in the time. */
static uint32_t count_threads(const struct kb_profile *profile, uint64_t from_ns, uint64_t to_ns)
{
	uint8_t *seen = calloc(kb_profile__n_threads(profile) + 1, 1);
	const struct kb_moment *moments = kb_profile__moments(profile);
	uint32_t n = 0;

	for (uint32_t i = 0; seen && i < kb_profile__n_moments(profile); i++) {
		if (moments[i].time_ns < from_ns || moments[i].time_ns >= to_ns ||
		    moments[i].flags & KB_MOMENT_OFF_CPU)
			continue;
		n += !seen[moments[i].thread];
		seen[moments[i].thread] = 1;
	}
	free(seen);
	return n;
}

/* Percent of the time that the moments with all these flags stand for. */
static double percent(const struct kb_profile *profile, uint64_t from_ns, uint64_t to_ns,
		      uint32_t flags)
{
	const struct kb_moment *moments = kb_profile__moments(profile);
	uint64_t count = 0;

	for (uint32_t i = 0; i < kb_profile__n_moments(profile); i++) {
		if (moments[i].time_ns >= from_ns && moments[i].time_ns < to_ns &&
		    !(moments[i].flags & KB_MOMENT_OFF_CPU) && (moments[i].flags & flags) == flags)
			count += moments[i].count;
	}
	return 100 * kb_profile__seconds(profile, count) * KB_NS_PER_SECOND / (to_ns - from_ns);
}

bool kb_when__holds(const struct kb_when *when, const struct kb_profile *profile, uint64_t from_ns,
		    uint64_t to_ns)
{
	double value;

	if (when->metric == KB_WHEN_NONE || to_ns <= from_ns)
		return false;
	if (when->metric == KB_WHEN_THREADS)
		value = count_threads(profile, from_ns, to_ns);
	else
		value = percent(profile, from_ns, to_ns,
				when->metric == KB_WHEN_GIL ? KB_MOMENT_GIL : 0);
	return when->below ? value < when->limit : value > when->limit;
}

struct kb_error *kb_when_size__parse(const char *text, struct kb_when_size *when)
{
	static const char units[] = "KMGT";
	const char *number = text + strlen("rss>"), *unit;
	char *end = NULL;
	double value;

	if ((strncmp(text, "rss>", 4) && strncmp(text, "rss<", 4)) || *number < '0' ||
	    *number > '9')
		return kb_usage("--when: '%s' is no condition such as rss>2G", text);
	value = strtod(number, &end);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		for (long i = 0; i <= unit - units; i++)
			value *= 1024;
		end++;
	}
	if (*end || value < 1 || value > 1e15)
		return kb_usage("--when: '%s' is no condition such as rss>2G", text);
	*when = (struct kb_when_size){ .bytes = value, .below = text[3] == '<', .text = text };
	return NULL;
}

bool kb_when_size__holds(const struct kb_when_size *when, uint64_t rss)
{
	return rss && (when->below ? rss < when->bytes : rss > when->bytes);
}
