/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_CALL_COUNTER_H
#define KEELBACK_CALL_COUNTER_H

#include <stdbool.h>
#include <stdint.h>
#include "keelback/calls.h"
#include "keelback/error.h"
#include "keelback/target.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Counting the calls of running programs:
 *
 *     kb_call_counter__create → start → poll until *done → stop → calls → destroy
 *
 * Used as a sampling session is (keelback/sample.h), with its needs. Every call costs the program
 * about a microsecond while it is counted.
 */
struct kb_call_counter_opts {
	size_t size;
	enum kb_calls_timing timing;
	enum kb_calls_clock clock;
	/*
	 * Calls are counted in windows of window_ms (0: KB_CALL_WINDOW_MS), as far apart as it
	 * takes for the program to become slower by no more than this share, 0 to 1. 0: all calls.
	 */
	double duty;
	unsigned window_ms;
	bool builtins;	  /* C functions and methods as well */
	unsigned rate_hz; /* of samples for KB_CALLS_SAMPLED; 0: 1,000, or what a quarter of the
			     duty pays for */
	/*
	 * With KB_CALLS_SAMPLED, and all calls: times as the samples give them. Else the target's
	 * interpreter is run for three seconds at the end, by itself, to see how much slower a
	 * program is after a probe, and that is taken off.
	 */
	bool as_sampled;
	/*
	 * Only these are counted, at hardware breakpoints: MODULE:FUNCTION, such as __main__:work
	 * or json.decoder:JSONDecoder.decode, or FILE:LINE. Others then cost the program nothing;
	 * each hit costs some 20 microseconds. At most KB_CALLS_CHOSEN_FUNCTIONS. Times are
	 * latencies, unless timing is KB_CALLS_UNTIMED: see kb_calls__chosen(); the other fields do
	 * not matter. Borrowed until destroyed.
	 */
	const char *const *functions;
	size_t n_functions;
};

/* A processor's breakpoints for a thread. */
#define KB_CALLS_CHOSEN_FUNCTIONS 4

#define KB_CALL_WINDOW_MS     20
#define KB_CALL_WINDOW_MS_MAX 10000

struct kb_call_counter;

KB_API struct kb_error *kb_call_counter__create(const struct kb_target *target,
						const struct kb_call_counter_opts *opts,
						struct kb_call_counter **counter);
KB_API struct kb_error *kb_call_counter__start(struct kb_call_counter *counter);
KB_API struct kb_error *kb_call_counter__poll(struct kb_call_counter *counter, int timeout_ms,
					      bool *done);
KB_API struct kb_error *kb_call_counter__stop(struct kb_call_counter *counter);
/* Owned by the counter; complete after stop. */
KB_API const struct kb_calls *kb_call_counter__calls(const struct kb_call_counter *counter);

/* The command's PID, or 0; its wait status once it ended, else -1. */
KB_API pid_t kb_call_counter__command_pid(const struct kb_call_counter *counter);
KB_API int kb_call_counter__command_status(const struct kb_call_counter *counter);

KB_API void kb_call_counter__destroy(struct kb_call_counter *counter);

#ifdef __cplusplus
}
#endif
#endif
