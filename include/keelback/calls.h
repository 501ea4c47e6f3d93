/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_CALLS_H
#define KEELBACK_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "keelback/error.h"
#include "keelback/format.h"
#include "keelback/profile.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Call statistics: what cProfile collects and pstats shows. Functions with their
 * counts and times, the same for each pair of caller and callee, and how both came about.
 * Collected by `keelback calls`, read from a recording or from a pstats file of any
 * origin. Ids are dense and start at 0; strings are UTF-8 and live as long as the statistics.
 */
struct kb_calls;

/* What the times are. */
enum kb_calls_timing {
	KB_CALLS_UNTIMED = 0,  /* counts only: all times are 0 and not shown */
	KB_CALLS_SAMPLED = 1,  /* counts of calls, times by samples taken in the same period */
	KB_CALLS_MEASURED = 2, /* each call clocked; cProfile's files, too */
};

enum kb_calls_clock {
	KB_CALLS_WALL = 0, /* time passes while a thread waits */
	KB_CALLS_CPU = 1,  /* only on a processor */
};

/* What a function's or an edge's `ncalls` count. */
enum kb_calls_unit {
	KB_CALLS_CALLS = 0,
	KB_CALLS_SAMPLES = 1, /* made of a sampling profile: ncalls are samples with the function on
				 the stack, primitive those that executed it */
};

/* How and when the statistics were taken. Of pstats files little of it is known. */
struct kb_calls_meta {
	size_t size;
	const char *target;    /* as kb_target__describe(), "" for pstats files */
	const char *host;      /* "": not known */
	const char *version;   /* of the keelback that took it */
	const char *python;    /* such as "3.12.1"; several are separated by commas */
	int64_t start_unix_ns; /* wall clock, 0: not known */
	uint64_t duration_ns;  /* of observation, 0: not known */
	enum kb_calls_timing timing;
	enum kb_calls_clock clock;
	enum kb_calls_unit unit;
	bool builtins;	    /* C functions and methods were counted, too */
	bool incomplete;    /* the recording ends without its last section */
	uint32_t n_windows; /* 0: all calls of the duration; else calls were counted in so many
			       windows */
	uint64_t traced_ns; /* sum of the windows' lengths */
};
KB_API const struct kb_calls_meta *kb_calls__meta(const struct kb_calls *calls);

/*
 * Times are seconds as doubles, as pstats has them, so that those of a file stay
 * what they are; whole nanoseconds are exact up to 104 days.
 */
struct kb_call_stats {
	uint64_t ncalls;    /* all of them */
	uint64_t primitive; /* those that were no recursion; at most ncalls */
	double tottime;	    /* seconds in the function itself */
	double cumtime;	    /* seconds in it and in what it called, recursion counted once */
};

/* A function, as cProfile names it: C functions have file "~", line 0 and names such as
 * "<built-in method builtins.len>". */
struct kb_calls_function {
	size_t size;
	const char *file;
	const char *name;
	int32_t line;
	bool listed; /* has statistics of its own; else it is known as a caller only */
	struct kb_call_stats stats;
};
KB_API uint32_t kb_calls__n_functions(const struct kb_calls *calls);
KB_API const struct kb_calls_function *kb_calls__function(const struct kb_calls *calls,
							  uint32_t id);
/* Ids of the listed functions in the order in which they became that (a pstats file's own). */
KB_API uint32_t kb_calls__n_listed(const struct kb_calls *calls);
KB_API const uint32_t *kb_calls__listed(const struct kb_calls *calls);
/* Sums over the listed functions; cumtime is not summed and 0. */
KB_API struct kb_call_stats kb_calls__total(const struct kb_calls *calls);

/* The calls of callee by caller. */
struct kb_calls_edge {
	uint32_t caller;
	uint32_t callee;
	struct kb_call_stats stats;
	bool count_only; /* from the `profile` module: ncalls is all there is */
};
KB_API uint32_t kb_calls__n_edges(const struct kb_calls *calls);
KB_API const struct kb_calls_edge *kb_calls__edges(const struct kb_calls *calls);

/* Threads, where they were kept apart. */
struct kb_calls_thread {
	size_t size;
	int32_t pid, tid;	 /* host */
	uint64_t start_ns;	 /* of the process, since boot */
	const char *process;	 /* comm */
	const char *command;	 /* command line, may be "" */
	const char *python;	 /* such as "3.12.1" */
	const char *name;	 /* the thread's comm, may be "" */
	const char *python_name; /* threading.Thread.name, may be "" */
};
KB_API uint32_t kb_calls__n_threads(const struct kb_calls *calls);
KB_API const struct kb_calls_thread *kb_calls__thread(const struct kb_calls *calls, uint32_t id);

/* A thread's part of a function's statistics (caller is KB_ID_NONE), or of an edge's. Everything
 * in here is also in the sums above. */
struct kb_calls_part {
	uint32_t thread;
	uint32_t caller;
	uint32_t callee;
	struct kb_call_stats stats;
};
KB_API uint32_t kb_calls__n_parts(const struct kb_calls *calls);
KB_API const struct kb_calls_part *kb_calls__parts(const struct kb_calls *calls);

/* Where what is shown came from: for each file its date and path, as pstats prints them. */
KB_API uint32_t kb_calls__n_sources(const struct kb_calls *calls);
KB_API const char *kb_calls__source(const struct kb_calls *calls, uint32_t index);

/*
 * Functions and lines that were chosen by name (kb_call_counter_opts.functions), in the order in
 * which they were given. Of them alone there are statistics: cumtime is the sum of latencies as far
 * as they were measured, tottime is not known, and 0.
 */
struct kb_calls_chosen {
	size_t size;
	const char *name;   /* as it was given */
	uint32_t function;  /* KB_ID_NONE: it was not found */
	const char *remark; /* why there are no latencies, or why it was not found; "": there are */
	/* Latencies: from the first instruction to the return, on the wall clock. */
	uint64_t n;
	double sum; /* seconds */
	uint32_t n_buckets;
	const uint64_t *buckets; /* counts; see kb_calls_chosen__bucket_start() */
};
KB_API uint32_t kb_calls__n_chosen(const struct kb_calls *calls);
KB_API const struct kb_calls_chosen *kb_calls__chosen(const struct kb_calls *calls, uint32_t index);
/* Where a bucket begins, seconds, which is where the one before ends: four for each power of two of
 * nanoseconds. */
#define KB_CALLS_BUCKETS_PER_OCTAVE 4
KB_API double kb_calls_chosen__bucket_start(uint32_t bucket);
/* Shorter ones are not told apart: what a breakpoint costs varies by as much. Seconds. */
#define KB_CALLS_LATENCY_LEAST 8.192e-6
/* An estimate of the latency that a share (0 to 1) of the calls did not exceed, seconds; 0 when
 * there are none. It is right to 12 %. */
KB_API double kb_calls_chosen__quantile(const struct kb_calls_chosen *chosen, double share);

/*
 * The ledger: seen = reported + lost by reason. Empty for pstats files. Of the
 * entries, `reported` ones are in the statistics, notes are not part of the sum.
 */
KB_API size_t kb_calls__n_ledger(const struct kb_calls *calls);
KB_API struct kb_ledger_entry kb_calls__ledger(const struct kb_calls *calls, size_t index);
KB_API uint64_t kb_calls__seen(const struct kb_calls *calls);

/*
 * Calls in a second, estimated from windows: the mean, and an interval that holds
 * the true mean of the whole duration with 95 % confidence (Student's t over the windows as a ratio
 * estimate). With fewer than three windows there is no interval: low is 0 and high infinite.
 */
struct kb_calls_rate {
	double per_second;
	double low, high;
};
/* Of all calls when the duration was not windowed: then low and high are the rate itself. All 0
 * where no duration is known. */
KB_API struct kb_calls_rate kb_calls__rate(const struct kb_calls *calls, uint32_t function);

/*
 * Reads a file, whatever of these it is: a recording of call statistics, a recording of samples
 * (its functions as pstats files have them), a pstats file of cProfile, profile or
 * profiling.sampling. partial as in kb_profile__load().
 */
KB_API struct kb_error *kb_calls__load(const char *path, bool partial, struct kb_calls **calls);
KB_API void kb_calls__destroy(struct kb_calls *calls);
/* Whether a file is a recording of call statistics; false for all others and for none. */
KB_API bool kb_calls__is_recording(const char *path);

/* Adds the statistics of `more`, as pstats' add(). On error calls may hold a part of them. */
KB_API struct kb_error *kb_calls__add(struct kb_calls *calls, const struct kb_calls *more);
/* The same statistics without directories in file names, as pstats' strip_dirs(): functions that
 * then have the same name, file and line become one. */
KB_API struct kb_error *kb_calls__strip_dirs(const struct kb_calls *calls,
					     struct kb_calls **stripped);
/* The statistics of one thread alone. */
KB_API struct kb_error *kb_calls__of_thread(const struct kb_calls *calls, uint32_t thread,
					    struct kb_calls **part);

#ifdef __cplusplus
}
#endif
#endif
