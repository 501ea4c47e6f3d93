/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_CHECK_H
#define KEELBACK_CHECK_H

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
 * Is the head slower than the base, does it allocate or call more, which function did it, and how
 * sure is that? A check is made of two commands, run in turns (kb_check__run()), or of two
 * recordings (kb_check__load()), and then only read. Strings are UTF-8 and live as long as the
 * check; those that come from a target are hostile text.
 */
struct kb_check;
struct kb_check_trend;

enum kb_check_side {
	KB_CHECK_BASE = 0,
	KB_CHECK_HEAD = 1,
	KB_CHECK_SIDES,
};

/* ---------------------------------------------------------------- what is measured */

enum kb_check_metric {
	/* Of each run: they vary, and are compared by pairs of runs. */
	KB_CHECK_CPU = 0,	   /* seconds on a CPU, of all processes of the command */
	KB_CHECK_WALL = 1,	   /* seconds from start to end */
	KB_CHECK_WAITS = 2,	   /* voluntary context switches */
	KB_CHECK_PREEMPTIONS = 3,  /* involuntary context switches */
	KB_CHECK_FAULTS = 4,	   /* page faults, minor and major */
	KB_CHECK_RSS = 5,	   /* bytes, the peak of the largest process */
	KB_CHECK_INSTRUCTIONS = 6, /* in user space, where there is a PMU */
	KB_CHECK_CYCLES = 7,	   /* the same */
	/* Counted exactly, in runs of their own: compared as they are. */
	KB_CHECK_CALLS = 8,	  /* of Python functions */
	KB_CHECK_ALLOCATIONS = 9, /* blocks, freed or not, of Python functions */
	KB_CHECK_PEAK = 10,	  /* bytes of theirs that were alive when the heap was largest */
	KB_CHECK_METRICS,
};

enum kb_check_unit {
	KB_CHECK_SECONDS = 0,
	KB_CHECK_BYTES = 1,
	KB_CHECK_COUNT = 2,
};

/* "cpu", "wall" and so on, as --threshold takes them; NULL past the last. */
KB_API const char *kb_check_metric__name(enum kb_check_metric metric);
/* For people: "CPU time". */
KB_API const char *kb_check_metric__text(enum kb_check_metric metric);
KB_API enum kb_check_unit kb_check_metric__unit(enum kb_check_metric metric);
/* Counted exactly. */
KB_API bool kb_check_metric__is_exact(enum kb_check_metric metric);

enum kb_check_verdict {
	/*
	 * The data would have to be better: a change as large as the threshold is neither shown nor
	 * excluded.
	 */
	KB_CHECK_CANNOT_TELL = 0,
	KB_CHECK_NO_CHANGE = 1,	  /* none larger than kb_check_measure.largest, which is below the
				     threshold */
	KB_CHECK_IMPROVEMENT = 2, /* by the threshold at least, and not by chance */
	KB_CHECK_REGRESSION = 3,  /* the same for the worse */
};
/* "cannot-tell", "no-change", "improvement", "regression". */
KB_API const char *kb_check_verdict__name(enum kb_check_verdict verdict);

/* One metric of both sides. Changes are relative: 0.05 is 5 % more in head than in base. */
struct kb_check_measure {
	size_t size;
	enum kb_check_metric metric;
	enum kb_check_verdict verdict; /* whether it is gated or not */
	bool gated;		       /* a regression of it is one of the check: exit status 3 */
	double threshold;	       /* changes below it do not matter */
	double base, head; /* the medians of the runs, or the counts; in the metric's unit */
	double change; /* estimated by pairs; exact: head / base - 1. Infinite where base is 0 */
	/*
	 * What follows is 0, or change itself, for exact metrics.
	 * low to high holds the true change with the check's confidence.
	 */
	double low, high;
	double p;	   /* that chance alone makes such a difference; exact: 0 or 1 */
	double largest;	   /* how far the interval is from 0 at most: no change is larger */
	double detectable; /* the smallest change for the worse that these data would have shown in
			      9 of 10 checks; exact: the threshold */
	uint32_t n;	   /* pairs of runs; exact: 1 */
	const double *runs[KB_CHECK_SIDES]; /* the n values of each side, in the order of pairs;
					       exact: the counts */
	/* Exact: two runs of base differed by so much themselves, which is left out of base and
	 * head. */
	double unstable;
};
/* Only those that there are data for, in the order of enum kb_check_metric. */
KB_API uint32_t kb_check__n_measures(const struct kb_check *check);
KB_API const struct kb_check_measure *kb_check__measure(const struct kb_check *check,
							uint32_t index);
/* NULL: there are no data. */
KB_API const struct kb_check_measure *kb_check__measure_of(const struct kb_check *check,
							   enum kb_check_metric metric);

/* ---------------------------------------------------------------- who did it */

/* A line of a function, on both sides as far from the function's first line. */
struct kb_check_line {
	int32_t line[KB_CHECK_SIDES]; /* 0: not known */
	double value[KB_CHECK_SIDES]; /* seconds of a run */
};

/*
 * A function's part of the difference in CPU time: seconds of one run in the function itself, by
 * its share of the samples and the run's CPU time. The changes of all functions (most are not
 * listed) add up to that of the whole.
 */
struct kb_check_function {
	size_t size;
	enum kb_frame_kind kind;
	const char *name;
	const char *file; /* "" for markers; below the side's directory, when one was given */
	int32_t line[KB_CHECK_SIDES];	/* the function's first; 0: the side does not have it */
	double seconds[KB_CHECK_SIDES]; /* of a run, means */
	double change;			/* seconds, the mean of the pairs; > 0: head is slower */
	double low, high;		/* with the check's confidence */
	/* That chance makes any function differ so much, in seconds or in its share; corrected. */
	double p;
	/* Of the whole difference of CPU time, 0 to 1 or beyond; 0 when there is none. */
	double part;
	bool blamed; /* slower, and p is below 0.05 where CPU time is a regression, else below 1 -
			confidence */
	/* Those that changed most first; only of a few functions. */
	const struct kb_check_line *lines;
	uint32_t n_lines;
};
/* In the order of change, those that became slower first. Not those that are ignored. */
KB_API uint32_t kb_check__n_functions(const struct kb_check *check);
KB_API const struct kb_check_function *kb_check__function(const struct kb_check *check,
							  uint32_t index);

/* What one function (or call) counts in an exact metric. */
struct kb_check_count {
	size_t size;
	enum kb_check_metric metric; /* KB_CHECK_CALLS, _ALLOCATIONS or _PEAK */
	const char *name, *file;
	int32_t line[KB_CHECK_SIDES]; /* 0: the side does not have it */
	/* The caller, of calls by one function; NULL, NULL, 0 of all. */
	const char *caller_name, *caller_file;
	int32_t caller_line;
	uint64_t value[KB_CHECK_SIDES]; /* calls, blocks or bytes */
	bool unstable; /* differs between two runs of base, too, and is not gated */
};
/* Functions with other counts, of all exact metrics, those that grew most first. */
KB_API uint32_t kb_check__n_counts(const struct kb_check *check);
KB_API const struct kb_check_count *kb_check__count(const struct kb_check *check, uint32_t index);
/* Calls of one function by another that base does not have, most first. */
KB_API uint32_t kb_check__n_edges(const struct kb_check *check);
KB_API const struct kb_check_count *kb_check__edge(const struct kb_check *check, uint32_t index);

/* ---------------------------------------------------------------- the check itself */

struct kb_check_meta {
	size_t size;
	const char *side[KB_CHECK_SIDES];   /* the command, or the recording's path */
	const char *dir[KB_CHECK_SIDES];    /* where it was run; "": the current one */
	const char *python[KB_CHECK_SIDES]; /* such as "3.12.1"; several are separated by commas */
	uint64_t attempted[KB_CHECK_SIDES]; /* samples, and those of them that are */
	uint64_t reported[KB_CHECK_SIDES];  /* in the result */
	const char *host;
	const char *version; /* of the keelback that made the check */
	int64_t start_unix_ns;
	uint64_t duration_ns;
	double confidence; /* 0 to 1 */
	double rate_hz;	   /* of samples; 0: none were taken */
	uint32_t n_pairs;  /* 0: of recordings, whose intervals know nothing of how runs differ */
	bool recordings;
	bool degraded;	    /* without BPF: only what the kernel accounts of a process */
	bool interrupted;   /* before there were as many pairs as asked for */
	bool out_of_time;   /* the time was up before the interval was as narrow as wanted */
	double seconds_max; /* that time */
	enum kb_check_verdict verdict; /* a regression if any gated metric has one; else the verdict
					  of the first gated metric that is not "no change" */
};
KB_API const struct kb_check_meta *kb_check__meta(const struct kb_check *check);
/* Things to be said with the result, each a line for people: "base uses Python 3.11.2,
 * head 3.12.1". */
KB_API uint32_t kb_check__n_notes(const struct kb_check *check);
KB_API const char *kb_check__note(const struct kb_check *check, uint32_t index);
/* All samples of a side, NULL without any: for flame graphs and other formats. */
KB_API const struct kb_profile *kb_check__profile(const struct kb_check *check,
						  enum kb_check_side side);

/* What changes matter. */
struct kb_check_rules {
	double confidence;		    /* 0.5 to 0.9999 */
	double threshold[KB_CHECK_METRICS]; /* 0.03: 3 % */
	bool gated[KB_CHECK_METRICS];
	const char *const *only; /* patterns, see kb_check_opts */
	size_t n_only;
	const char *const *ignore;
	size_t n_ignore;
};
/* 99 %; cpu 3 %, calls, allocations and peak 1 %; the others have thresholds and are not gated. */
KB_API void kb_check_rules__init(struct kb_check_rules *rules);

#define KB_CHECK_PAIRS_DEFAULT	 10
#define KB_CHECK_PAIRS_MAX	 200 /* more would not tell more */
#define KB_CHECK_SECONDS_DEFAULT 120
#define KB_CHECK_RATE_DEFAULT	 1000

struct kb_check_progress {
	const char *what; /* "warm-up", "pair 3", "counting calls" … */
	enum kb_check_side side;
	uint32_t n_pairs;  /* that are done */
	double half_width; /* of the interval of CPU time so far; 0: not known */
};

/* ---- of two commands */

struct kb_check_opts {
	size_t size;
	struct kb_check_rules rules;
	const char *command[KB_CHECK_SIDES]; /* run by /bin/sh -c */
	const char *dir[KB_CHECK_SIDES]; /* where; NULL: here. Files below are named from there */
	unsigned min_pairs; /* 0: KB_CHECK_PAIRS_DEFAULT; at least what the confidence needs */
	double seconds_max; /* for the pairs; 0: KB_CHECK_SECONDS_DEFAULT */
	unsigned rate_hz;   /* 0: KB_CHECK_RATE_DEFAULT */
	bool no_calls, no_memory; /* without the runs that count exactly */
	bool allow_degraded;	  /* go on without BPF when it is not permitted */
	bool show_output;	  /* the commands' output goes to stderr; else nowhere */
	/* Called often; false ends the check with what it has. May be NULL. */
	bool (*go_on)(const struct kb_check_progress *progress, void *context);
	void *context;
};

/*
 * Runs both in turns. KB_STATUS_FAILED when a command fails, naming its status;
 * KB_STATUS_UNSUPPORTED when sampling is not possible here and allow_degraded is not set.
 */
KB_API struct kb_error *kb_check__run(const struct kb_check_opts *opts, struct kb_check **check);

/* ---- of two recordings, of samples, calls or memory */

/* KB_STATUS_USAGE, naming what and both values, when they cannot be compared. rules: NULL for
 * the defaults. */
KB_API struct kb_error *kb_check__load(const char *base, const char *head,
				       const struct kb_check_rules *rules, struct kb_check **check);

KB_API void kb_check__destroy(struct kb_check *check);

/* ---------------------------------------------------------------- formats */

struct kb_check_view_opts {
	size_t size;
	unsigned limit;			    /* functions, counts and edges of each list; 0: all */
	bool color;			    /* text: ANSI colours */
	bool verbose;			    /* text: every metric and run */
	const char *title;		    /* of reports for others; NULL: "keelback check" */
	const struct kb_check_trend *trend; /* keelback/check_history.h; NULL: without */
};

/* Formats: the first is the default. NULL past the end, or when there is none. */
KB_API const struct kb_format *kb_check_format__at(size_t index);
KB_API const struct kb_format *kb_check_format__by_name(const char *name);
KB_API const struct kb_format *kb_check_format__by_path(const char *path);
/* opts may be NULL for defaults. Output errors are found. */
KB_API struct kb_error *kb_check_format__write(const struct kb_format *format,
					       const struct kb_check *check,
					       const struct kb_check_view_opts *opts, FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
