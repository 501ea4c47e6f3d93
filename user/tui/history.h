/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_HISTORY_H
#define KB_TUI_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "keelback/profile.h"

/*
 * What was counted when: the counts of a profile only grow, so those of an
 * interval are the differences between two readings, and few samples differ.
 * Intervals of the last KB_HISTORY_SECONDS are kept, as far as they fit.
 */
#define KB_HISTORY_SECONDS     300
#define KB_HISTORY_INTERVALS   4096	  /* 300 s of drains at 10 Hz, and some that came early */
#define KB_HISTORY_CHANGES_MAX (1u << 21) /* 16 bytes each: 300 s of 7,000 stacks per second */

/* A sample whose count differs from the one before. */
struct kb_change {
	uint32_t sample; /* index in the profile */
	uint64_t count;	 /* what was added */
};

/* Samples, whatever became of them, and those of threads in some state. */
struct kb_tallies {
	uint64_t attempted, gil, exception;
};

struct kb_interval {
	uint64_t duration_ns;
	uint64_t first; /* of its changes: their number since the beginning */
	uint32_t n_changes;
	uint64_t count; /* in the profile's unit */
	struct kb_tallies tallies;
};

struct kb_history {
	const struct kb_profile *profile;
	uint32_t n_samples;    /* of the profile, at the last reading */
	uint64_t *counts;      /* then */
	uint64_t *base_counts; /* what does not count since the last reset */
	size_t counts_capacity, base_capacity;
	struct kb_tallies read, base; /* at the last reading, and at the last reset */

	struct kb_change *changes;			    /* a ring */
	uint64_t changes_end;				    /* number of the next one */
	size_t changes_capacity;			    /* a power of two */
	struct kb_interval intervals[KB_HISTORY_INTERVALS]; /* a ring */
	uint64_t intervals_end;
	uint64_t first_interval; /* the oldest that is kept whole */

	uint64_t started_ns;  /* of the current statistics: start or last reset */
	uint64_t last_ns;     /* last reading */
	uint64_t duration_ns; /* of all intervals since the reset: without pauses */
};

struct kb_tallies kb_tallies__minus(struct kb_tallies a, struct kb_tallies b);

struct kb_error *kb_history__create(const struct kb_profile *profile, uint64_t now_ns,
				    struct kb_history **history);
void kb_history__destroy(struct kb_history *history);

/* Ends an interval: reads the profile. */
struct kb_error *kb_history__take(struct kb_history *history, uint64_t now_ns);
/* The time up to now belongs to no interval: sampling was paused. */
void kb_history__skip(struct kb_history *history, uint64_t now_ns);
/* Everything so far does not count any more. */
void kb_history__reset(struct kb_history *history, uint64_t now_ns);

/*
 * The newest intervals but for the `skip` newest of them that together last span_ns, or as long as
 * there are: their number, and in *duration_ns how long they last.
 */
uint32_t kb_history__span(const struct kb_history *history, uint32_t skip, uint64_t span_ns,
			  uint64_t *duration_ns);
/* 0 is the newest. */
const struct kb_interval *kb_history__interval(const struct kb_history *history, uint32_t age);
uint32_t kb_history__n_intervals(const struct kb_history *history);
const struct kb_change *kb_history__change(const struct kb_history *history,
					   const struct kb_interval *interval, uint32_t index);

#endif
