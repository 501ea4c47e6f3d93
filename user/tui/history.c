// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "tui/history.h"
#include "tui/labels.h"

#define CHANGES_MIN 4096 /* a power of two */

struct kb_error *kb_history__create(const struct kb_profile *profile, uint64_t now_ns,
				    struct kb_history **result)
{
	struct kb_history *history = calloc(1, sizeof(*history));

	if (!history)
		return kb_error__no_memory();
	history->profile = profile;
	history->started_ns = history->last_ns = now_ns;
	*result = history;
	return NULL;
}

void kb_history__destroy(struct kb_history *history)
{
	if (!history)
		return;
	free(history->counts);
	free(history->base_counts);
	free(history->changes);
	free(history);
}

/* Room for the arrays by sample; new samples count from 0. */
static bool grow_counts(struct kb_history *h, uint32_t n)
{
	if (!kb_grow((void **)&h->counts, &h->counts_capacity, n, sizeof(*h->counts)) ||
	    !kb_grow((void **)&h->base_counts, &h->base_capacity, n, sizeof(*h->base_counts)))
		return false;
	for (uint32_t i = h->n_samples; i < n; i++)
		h->counts[i] = h->base_counts[i] = 0;
	h->n_samples = n;
	return true;
}

/* A larger ring, in which each change keeps its number. */
static bool grow_ring(struct kb_history *h)
{
	size_t capacity = h->changes_capacity ? h->changes_capacity * 2 : CHANGES_MIN;
	struct kb_change *grown = reallocarray(NULL, capacity, sizeof(*grown));

	if (!grown)
		return false;
	for (uint64_t i = h->changes_end - h->changes_capacity; i != h->changes_end; i++)
		grown[i & (capacity - 1)] = h->changes[i & (h->changes_capacity - 1)];
	free(h->changes);
	h->changes = grown;
	h->changes_capacity = capacity;
	return true;
}

static struct kb_interval *interval_at(const struct kb_history *h, uint64_t number)
{
	return (struct kb_interval *)&h->intervals[number % KB_HISTORY_INTERVALS];
}

/* Forgets the oldest intervals until the next change overwrites none that is kept. */
static void make_room(struct kb_history *h)
{
	while (h->first_interval < h->intervals_end &&
	       h->changes_end - interval_at(h, h->first_interval)->first >= h->changes_capacity)
		h->first_interval++;
}

static bool ring_is_full(const struct kb_history *h)
{
	uint64_t oldest = h->first_interval < h->intervals_end
				  ? interval_at(h, h->first_interval)->first
				  : h->changes_end;

	return h->changes_end - oldest >= h->changes_capacity;
}

static bool add_change(struct kb_history *h, struct kb_interval *interval, uint32_t sample,
		       uint64_t count)
{
	/* One that alone does not fit loses its end: a limit of the recent past, not of the sums.
	 */
	if (interval->n_changes == KB_HISTORY_CHANGES_MAX)
		return true;
	while (!h->changes_capacity || interval->n_changes >= h->changes_capacity ||
	       (ring_is_full(h) && h->changes_capacity < KB_HISTORY_CHANGES_MAX)) {
		if (!grow_ring(h))
			return false;
	}
	make_room(h);
	h->changes[h->changes_end++ & (h->changes_capacity - 1)] =
		(struct kb_change){ sample, count };
	interval->n_changes++;
	return true;
}

/* Drops what is too old, so that the ring need not grow. */
static void expire(struct kb_history *h)
{
	uint64_t kept = 0, age = 0;

	while (age < h->intervals_end - h->first_interval && age < KB_HISTORY_INTERVALS - 1 &&
	       kept < KB_HISTORY_SECONDS * KB_NS_PER_SECOND)
		kept += interval_at(h, h->intervals_end - 1 - age++)->duration_ns;
	h->first_interval = h->intervals_end - age;
}

static struct kb_tallies read_tallies(const struct kb_profile *profile)
{
	struct kb_tallies tallies = { .attempted = kb_profile__attempted(profile) };

	for (size_t i = 0; i < kb_profile__n_ledger(profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(profile, i);

		if (!strcmp(entry.name, "state_gil"))
			tallies.gil = entry.count;
		else if (!strcmp(entry.name, "state_exception"))
			tallies.exception = entry.count;
	}
	return tallies;
}

struct kb_tallies kb_tallies__minus(struct kb_tallies a, struct kb_tallies b)
{
	return (struct kb_tallies){ a.attempted - b.attempted, a.gil - b.gil,
				    a.exception - b.exception };
}

struct kb_error *kb_history__take(struct kb_history *h, uint64_t now_ns)
{
	struct kb_interval interval = { .duration_ns = now_ns - h->last_ns,
					.first = h->changes_end };
	uint32_t n = kb_profile__n_samples(h->profile);
	const struct kb_sample *samples = kb_profile__samples(h->profile);
	struct kb_tallies tallies = read_tallies(h->profile);

	expire(h);
	if (!grow_counts(h, n))
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++) {
		uint64_t more = samples[i].count - h->counts[i];

		if (!more)
			continue;
		if (!add_change(h, &interval, i, more))
			return kb_error__no_memory();
		h->counts[i] = samples[i].count;
		interval.count += more;
	}
	interval.tallies = kb_tallies__minus(tallies, h->read);
	h->read = tallies;
	h->last_ns = now_ns;
	h->duration_ns += interval.duration_ns;
	*interval_at(h, h->intervals_end++) = interval;
	return NULL;
}

void kb_history__skip(struct kb_history *h, uint64_t now_ns)
{
	h->last_ns = now_ns;
}

void kb_history__reset(struct kb_history *h, uint64_t now_ns)
{
	if (h->n_samples)
		memcpy(h->base_counts, h->counts, h->n_samples * sizeof(*h->counts));
	h->base = h->read;
	h->first_interval = h->intervals_end;
	h->started_ns = now_ns;
	h->duration_ns = 0;
}

uint32_t kb_history__n_intervals(const struct kb_history *h)
{
	return h->intervals_end - h->first_interval;
}

const struct kb_interval *kb_history__interval(const struct kb_history *h, uint32_t age)
{
	return interval_at(h, h->intervals_end - 1 - age);
}

const struct kb_change *kb_history__change(const struct kb_history *h,
					   const struct kb_interval *interval, uint32_t index)
{
	return &h->changes[(interval->first + index) & (h->changes_capacity - 1)];
}

uint32_t kb_history__span(const struct kb_history *h, uint32_t skip, uint64_t span_ns,
			  uint64_t *duration_ns)
{
	uint32_t n = kb_history__n_intervals(h), age = skip;

	*duration_ns = 0;
	while (age < n) {
		uint64_t duration = kb_history__interval(h, age)->duration_ns;

		/* The one that reaches beyond belongs to it by its larger part. */
		if (*duration_ns && *duration_ns + duration / 2 > span_ns)
			break;
		*duration_ns += duration;
		age++;
		if (*duration_ns >= span_ns)
			break;
	}
	return age > skip ? age - skip : 0;
}
