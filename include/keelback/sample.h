/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KEELBACK_SAMPLE_H
#define KEELBACK_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>
#include "keelback/error.h"
#include "keelback/profile.h"
#include "keelback/target.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A sampling session:
 *
 *     kb_sampler__create → start → poll until *done → stop → profile → destroy
 *
 * Not thread-safe: one thread drives a session. A session needs root or the
 * capabilities that kb_doctor names; KB_STATUS_UNSUPPORTED says what is missing.
 */
/*
 * Without another choice waits from 1 µs on are accounted. Leaving a CPU and coming back to it
 * takes the kernel longer than that, so nothing is left out; a longer minimum leaves out what is
 * many and little.
 */
#define KB_WAIT_MIN_NS 1000

#define KB_TASK_RATE	 20   /* Hz, of KB_ASYNC_ALL */
#define KB_TASK_RATE_MAX 1000 /* Hz: a look at a hundred tasks takes a millisecond */

#define KB_RATE_MAX 20000 /* Hz; an interrupt costs up to 20 µs in a virtual machine */

/* What is shown of asyncio's tasks. */
enum kb_async {
	KB_ASYNC_NONE = 0,
	/*
	 * The stack of a thread that runs a task begins with those that wait for it, and with the
	 * task itself ("<task NAME>"), in place of the event loop.
	 */
	KB_ASYNC_RUNNING = 1,
	/*
	 * All tasks, those that wait included: not by the clock of samples, but by reading them at
	 * rate_hz (0: KB_TASK_RATE), with mode KB_MODE_TASKS.
	 */
	KB_ASYNC_ALL = 2,
};

struct kb_sample_opts {
	size_t size;
	bool tick;	       /* ride on the kernel's timer interrupts; rate_hz is ignored */
	unsigned rate_hz;      /* 0: 1,000 for pids and commands, tick for everything else */
	bool no_jitter;	       /* a constant period */
	bool software;	       /* cpu-clock even where a PMU could count cycles */
	const char *recording; /* path to record to while sampling, or NULL */
	unsigned drain_ms;     /* how often the kernel's maps are drained; 0: 1,000 */
	enum kb_sample_mode mode;
	uint64_t wait_min_ns; /* modes of waiting: shorter waits are only counted; 0: 1,000 */
	bool no_native_marks; /* no "<native>" where C code called the interpreter (3.11+) */
	bool no_gc;	      /* no "<GC>" while a garbage collection runs */
	bool native;	      /* native frames among Python's */
	bool kernel;	      /* what threads do in the kernel */
	bool opcodes;	      /* the instruction that the innermost Python frame is at */
	bool timeline;	      /* each sample by itself as well: kb_profile__moments() */
	/*
	 * A flight recorder: only the last seconds can be had, by kb_sampler__last(), and nothing
	 * older is kept. 0: everything. Implies timeline, and does not go with a recording.
	 */
	unsigned keep_s;
	enum kb_async async; /* asyncio's tasks */
	bool states;	     /* in the ledger: how many samples are of threads that hold the GIL
				(state_gil), or raise or handle an exception (state_exception) */
};

#define KB_KEEP_MAX_S 3600

struct kb_sampler;

KB_API struct kb_error *kb_sampler__create(const struct kb_target *target,
					   const struct kb_sample_opts *opts,
					   struct kb_sampler **sampler);
/* Attaches, and starts the target's command if it has one. */
KB_API struct kb_error *kb_sampler__start(struct kb_sampler *sampler);
/*
 * Reads what the kernel has, waiting up to timeout_ms. *done: the command or
 * every observed process has ended. An interrupted wait returns early.
 */
KB_API struct kb_error *kb_sampler__poll(struct kb_sampler *sampler, int timeout_ms, bool *done);
/*
 * kb_sampler__poll() returns early also when this file descriptor can be read, such as a terminal.
 * At most KB_WAKE_MAX of them; one at its end wakes always, so take it back with
 * kb_sampler__forget().
 */
#define KB_WAKE_MAX 8
KB_API struct kb_error *kb_sampler__wake_on(struct kb_sampler *sampler, int fd);
KB_API void kb_sampler__forget(struct kb_sampler *sampler, int fd);
/* Takes at once what the kernel has counted so far, as kb_sampler__poll() does every drain_ms. */
KB_API struct kb_error *kb_sampler__drain(struct kb_sampler *sampler);
/* Stops and resumes the clock without detaching, in microseconds. */
KB_API struct kb_error *kb_sampler__pause(struct kb_sampler *sampler, bool paused);
/* Detaches everything, drains the last samples, completes the recording. */
KB_API struct kb_error *kb_sampler__stop(struct kb_sampler *sampler);
/*
 * Owned by the sampler; complete after stop. While the session runs it may be
 * read between calls that change it, which are poll, drain and stop: it is
 * consistent and holds all samples up to the last drain, whose number is in
 * kb_sampler_stats. It only grows: ids stay what they are and counts do not
 * fall. Pointers into it (nodes, samples, threads, strings excepted) hold until the next of these
 * calls. Samples of processes that are not identified yet enter the ledger at
 * the end.
 */
KB_API const struct kb_profile *kb_sampler__profile(const struct kb_sampler *sampler);

/*
 * What a session with a timeline has kept (with keep_s, of the last seconds before the
 * last drain), as a profile of its own, to be destroyed with kb_profile__destroy().
 */
KB_API struct kb_error *kb_sampler__last(const struct kb_sampler *sampler,
					 struct kb_profile **profile);

/* The command's PID, or 0. */
KB_API pid_t kb_sampler__command_pid(const struct kb_sampler *sampler);
/* The command's wait status once it ended, else -1. */
KB_API int kb_sampler__command_status(const struct kb_sampler *sampler);

/* Numbers of the session itself. */
struct kb_sampler_stats {
	size_t size;
	uint64_t attempted; /* samples on targets so far, as the kernel counted them */
	uint64_t bpf_runs; /* runs of the sampling program, 0 unless the kernel's BPF statistics are
			      on */
	uint64_t bpf_ns;   /* time in it */
	uint32_t processes; /* identified so far */
	const char *clock;  /* for people, such as "cpu-clock, 1000 Hz, jittered" */
	uint32_t drains;    /* how often the profile was brought up to date */
};
KB_API void kb_sampler__stats(const struct kb_sampler *sampler, struct kb_sampler_stats *stats);

KB_API void kb_sampler__destroy(struct kb_sampler *sampler);

#ifdef __cplusplus
}
#endif
#endif
