// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "collect/mode.h"
#include "collect/session.h"
#include "collect/setup.h"
#include "kernel/clock.h"
#include "system/arch.h"

#define RATE_DEFAULT 1000
#define DRAIN_MS     1000
#define DRAIN_MS_MAX 60000
#define DATA_BYTES                                                                                 \
	(8u << 20) /* seconds of new stacks at 10 kHz, and within the memory promised for --all */
#define COUNTS_MIN	8192
#define COUNTS_MAX	(1u << 20)
#define TICK_NS_DEFAULT 4000000 /* CONFIG_HZ=250 */

/* The timer tick, from the resolution of the coarse clock, which advances with it. */
static uint64_t tick_ns(void)
{
	struct timespec t;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &t) || t.tv_sec || !t.tv_nsec)
		return TICK_NS_DEFAULT;
	return t.tv_nsec;
}

bool kb_setup__takes_samples(const struct kb_sample_opts *opts)
{
	return opts->mode != KB_MODE_GIL_WAIT && opts->mode != KB_MODE_TASKS;
}

double kb_setup__rate(const struct kb_sample_opts *opts)
{
	return opts->tick ? (double)KB_NS_PER_SECOND / tick_ns()
			  : kb_clock__mean_rate(opts->rate_hz, !opts->no_jitter);
}

static struct kb_error *complete_tasks(struct kb_sample_opts *opts)
{
	if (opts->mode != KB_MODE_CPU && opts->mode != KB_MODE_TASKS)
		return kb_usage("mode %s is of threads: it does not go with all tasks",
				kb_sample_mode__name(opts->mode));
	if (opts->rate_hz > KB_TASK_RATE_MAX)
		return kb_usage("rate %u Hz is too high to read all tasks: at most %d",
				opts->rate_hz, KB_TASK_RATE_MAX);
	opts->mode = KB_MODE_TASKS;
	opts->tick = false;
	if (!opts->rate_hz)
		opts->rate_hz = KB_TASK_RATE;
	return NULL;
}

struct kb_error *kb_setup__complete(struct kb_sample_opts *opts, const struct kb_target *target)
{
	if (opts->async == KB_ASYNC_ALL || opts->mode == KB_MODE_TASKS)
		KB_TRY(complete_tasks(opts));
	if (opts->rate_hz > KB_RATE_MAX)
		return kb_usage("rate %u Hz is too high: at most %d", opts->rate_hz, KB_RATE_MAX);
	if (!opts->rate_hz && !opts->tick) {
		opts->tick = KB_ARCH_HAS_TICK && target->filter != KB_FILTER_PIDS;
		opts->rate_hz = RATE_DEFAULT;
	}
	if (opts->drain_ms > DRAIN_MS_MAX)
		return kb_usage("drain interval %u ms is too long: at most %d", opts->drain_ms,
				DRAIN_MS_MAX);
	if (opts->keep_s > KB_KEEP_MAX_S)
		return kb_usage("%u seconds are too many to keep: at most %d", opts->keep_s,
				KB_KEEP_MAX_S);
	if (opts->keep_s && opts->recording)
		return kb_usage("a recording that is written while sampling holds everything: it "
				"does not go with keeping the last seconds");
	if (!kb_sample_mode__name(opts->mode))
		return kb_usage("there is no sampling mode %d", opts->mode);
	if (opts->native && !KB_ARCH_HAS_UNWIND)
		return kb_unsupported("native stacks cannot be unwound on this processor: leave "
				      "--native out");
	if (!opts->wait_min_ns)
		opts->wait_min_ns = KB_WAIT_MIN_NS;
	if (!opts->drain_ms)
		opts->drain_ms = DRAIN_MS;
	return NULL;
}

/* Room for every sample of two drain intervals being a stack of its own. */
static uint32_t counts_needed(const struct kb_sample_opts *opts, unsigned cpus)
{
	double samples = kb_setup__rate(opts) * cpus * opts->drain_ms / 1000 * 2;
	uint32_t n = COUNTS_MIN;

	while (n < samples && n < COUNTS_MAX)
		n *= 2;
	return n;
}

/* The kernel side has its own names for what the public headers define. */
_Static_assert((int)KB_MODE_IS_WALL == (int)KB_MODE_WALL &&
		       (int)KB_MODE_IS_GIL == (int)KB_MODE_GIL &&
		       (int)KB_MODE_IS_GIL_WAIT == (int)KB_MODE_GIL_WAIT &&
		       (int)KB_MODE_IS_EXCEPTION == (int)KB_MODE_EXCEPTION,
	       "one number per mode");
_Static_assert(KB_STATE_GIL == KB_MOMENT_GIL && KB_STATE_GC == KB_MOMENT_GC &&
		       KB_STATE_EXCEPTION == KB_MOMENT_EXCEPTION &&
		       KB_STATE_OFF_CPU == KB_MOMENT_OFF_CPU,
	       "one bit per state");

static uint32_t wanted(const struct kb_sample_opts *opts)
{
	uint32_t want = 0;

	if (!opts->no_native_marks)
		want |= KB_WANT_NATIVE_MARKS;
	if (!opts->no_gc)
		want |= KB_WANT_GC;
	/* Marks tell which native frame belongs between which Python frames. */
	if (opts->native)
		want |= KB_WANT_NATIVE | KB_WANT_NATIVE_MARKS;
	if (opts->kernel)
		want |= KB_WANT_KERNEL;
	if (opts->opcodes)
		want |= KB_WANT_OPCODE;
	if (opts->states)
		want |= KB_WANT_STATES;
	if (opts->async == KB_ASYNC_RUNNING)
		want |= KB_WANT_TASKS;
	if (opts->timeline || opts->keep_s)
		want |= KB_WANT_MOMENTS;
	return want;
}

void kb_setup__programs(const struct kb_sample_opts *opts, const struct kb_target *target,
			unsigned cpus, struct kb_programs_opts *programs)
{
	uint32_t counts_max = counts_needed(opts, cpus);

	*programs = (struct kb_programs_opts){
		.runs = (opts->tick ? KB_RUN_TICK : KB_RUN_CLOCK) |
			(kb_mode__of_time(opts->mode) ? KB_RUN_WAITS : 0),
		.data_bytes = DATA_BYTES,
		.counts_max = counts_max,
		.config = {
			.tick_min_ns = tick_ns() / 4 * 3,
			.stacks_high = counts_max / 4 * 3,
			.ring_high = DATA_BYTES / 4,
			.mode = opts->mode,
			.wait_min_ns = opts->wait_min_ns,
			.want = wanted(opts),
		},
	};
	kb_session__filter(target, &programs->config);
}
