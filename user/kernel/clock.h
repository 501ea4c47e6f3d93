/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_KERNEL_CLOCK_H
#define KB_KERNEL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "keelback/error.h"

/*
 * The sampling clock: perf events that run a BPF program. On threads it costs
 * nothing while the target does not run and disturbs nobody else; on CPUs it
 * needs one event per processor whatever the number of threads.
 *
 * A period can beat with a program's own rhythm: 100 µs with a loop of 100 µs
 * always finds the loop in the same place. Two things are done against it. The
 * mean period is KB_CLOCK_OFFBEAT times what the rate says, so that against round
 * numbers each sample falls 12 % of a period further on, and nine of them cover it
 * evenly. And the period is redrawn between 0.95 and 1.05 of its mean every 10 samples or more,
 * which for a rhythm of up to a tenth of it makes every step as likely as any other. Events that
 * the kernel clones for new threads and children keep for their life the period that their parent
 * had then (perf has no call for those), so a wide range would sample some threads more often than
 * others: this one biases a thread by 5 % of its share at most.
 */
struct kb_clock;

struct kb_clock_opts {
	int prog_fd; /* borrowed */
	unsigned rate_hz;
	bool jitter;
	bool software; /* cpu-clock even where a PMU can count cycles */
	bool inherit;  /* child processes of the given threads too */
};

/* The square root of 5, halved: far from every simple fraction. */
#define KB_CLOCK_OFFBEAT 1.1180340

/* Samples per second that a rate comes to. */
double kb_clock__mean_rate(unsigned rate_hz, bool jitter);

/* More threads than this are sampled by CPU instead: each costs a descriptor and some 2 kB in the
 * kernel. */
#define KB_CLOCK_THREADS_MAX 4096

struct kb_error *kb_clock__create(const struct kb_clock_opts *opts, struct kb_clock **clock);
void kb_clock__destroy(struct kb_clock *clock);

/* One event on each online CPU. */
struct kb_error *kb_clock__add_cpus(struct kb_clock *clock);
/* On a thread and those that it starts. A thread that is gone is no error. on_exec: starts when it
 * executes. */
struct kb_error *kb_clock__add_thread(struct kb_clock *clock, pid_t tid, bool on_exec);

/* Redraws periods when it is time. Returns ns until the next time, 0: never. now: CLOCK_MONOTONIC.
 */
uint64_t kb_clock__jitter(struct kb_clock *clock, uint64_t now);
void kb_clock__pause(struct kb_clock *clock, bool paused);
/* Hardware cycles rather than cpu-clock. */
bool kb_clock__is_cycles(const struct kb_clock *clock);

#endif
