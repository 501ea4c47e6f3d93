// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * A sampling session: a clock, the tables of counts and what is made of them, on what all
 * collectors have in common (session.h). What happens in the kernel is described in
 * bpf/sample.bpf.c, what becomes of its records in ingest.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "collect/mode.h"
#include "collect/present.h"
#include "collect/recorder.h"
#include "collect/sampler.h"
#include "collect/setup.h"
#include "collect/task_look.h"
#include "collect/tasks.h"
#include "collect/thread_names.h"
#include "collect/waits.h"
#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/programs.h"
#include "keelback/inspect.h"
#include "keelback/sample.h"
#include "model/recording.h"

struct kb_sampler {
	struct kb_session session;
	const struct kb_sampler_extension *extension; /* or NULL */
	struct kb_sample_opts opts;
	struct kb_clock *clock;
	struct kb_waits *waits;		/* NULL: the mode is of samples */
	struct kb_tasks *tasks;		/* NULL: stacks are without tasks */
	struct kb_task_look *task_look; /* NULL: the mode is not of tasks */
	struct kb_recorder *recorder;	/* NULL without a timeline */
	struct kb_thread_names *thread_names;
	struct kb_recording_writer *recording;
	FILE *recording_file;
	char clock_text[64];
};

static struct kb_error *open_recording(struct kb_sampler *s)
{
	if (!s->opts.recording)
		return NULL;
	s->recording_file = fopen(s->opts.recording, "we");
	if (!s->recording_file)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write %s",
					    s->opts.recording);
	return kb_error__prefix(kb_recording_writer__create(s->recording_file, &s->recording), "%s",
				s->opts.recording);
}

static struct kb_error *set_meta(struct kb_sampler *s)
{
	struct kb_profile_meta meta;

	kb_session__meta(&s->session, &meta);
	meta.rate_hz = s->opts.mode == KB_MODE_TASKS	   ? s->opts.rate_hz
		       : kb_setup__takes_samples(&s->opts) ? kb_setup__rate(&s->opts)
							   : 0;
	meta.clock = s->opts.tick				 ? KB_CLOCK_TICK
		     : s->clock && kb_clock__is_cycles(s->clock) ? KB_CLOCK_CYCLES
								 : KB_CLOCK_CPU;
	meta.jitter = (s->task_look || kb_setup__takes_samples(&s->opts)) && !s->opts.tick &&
		      !s->opts.no_jitter;
	meta.mode = s->opts.mode;
	meta.unit = kb_mode__of_time(s->opts.mode) ? KB_UNIT_NS : KB_UNIT_SAMPLES;
	return kb_profile__set_meta(s->session.profile, &meta);
}

/* What a sample stands for where counts are of time. */
static uint64_t sample_ns(const struct kb_sampler *s)
{
	if (!kb_mode__of_time(s->opts.mode) || !kb_setup__takes_samples(&s->opts))
		return 0;
	return (uint64_t)(KB_NS_PER_SECOND / kb_setup__rate(&s->opts) + 0.5);
}

static const struct kb_collector collector;

static struct kb_error *open_session(struct kb_sampler *s, const struct kb_target *target)
{
	struct kb_programs_opts programs;
	struct kb_session_opts session = { .target = target,
					   .programs = &programs,
					   .collector = &collector,
					   .context = s,
					   .sample_ns = sample_ns(s),
					   .drain_ms = s->opts.drain_ms,
					   .frames_native = s->opts.native,
					   .frames_kernel = s->opts.kernel };
	struct kb_cpus cpus;

	KB_TRY(kb_cpus__online(&cpus));
	kb_setup__programs(&s->opts, target, cpus.n, &programs);
	if (s->extension) {
		programs.runs |= s->extension->runs;
		programs.config.want |= s->extension->want;
	}
	return kb_session__open(&s->session, &session);
}

/* What shows asyncio's tasks, in the kernel's stacks or by looks from outside. */
static struct kb_error *create_tasks(struct kb_sampler *s)
{
	struct kb_session *session = &s->session;
	struct kb_task_look_opts look = { .session = session,
					  .rate_hz = s->opts.rate_hz,
					  .jitter = !s->opts.no_jitter,
					  .moments = s->opts.timeline || s->opts.keep_s };

	if (s->opts.async == KB_ASYNC_RUNNING)
		KB_TRY(kb_tasks__create(session, &s->tasks));
	return s->opts.mode == KB_MODE_TASKS ? kb_task_look__create(&look, &s->task_look) : NULL;
}

static struct kb_error *create(struct kb_sampler *s, const struct kb_target *target)
{
	struct kb_session *session = &s->session;

	KB_TRY(kb_setup__complete(&s->opts, target));
	KB_TRY(open_session(s, target));
	KB_TRY(create_tasks(s));
	KB_TRY(set_meta(s));
	s->thread_names = kb_thread_names__create(session->profile, session->identifier);
	if (!s->thread_names)
		return kb_error__no_memory();
	if (s->opts.timeline || s->opts.keep_s)
		KB_TRY(kb_recorder__create(s->opts.keep_s, &s->recorder));
	kb_identifier__set_mode(session->identifier, s->opts.mode);
	if (kb_mode__of_time(s->opts.mode))
		KB_TRY(kb_waits__create(target, session->programs, session->ingest, &s->opts,
					&s->waits));
	if (s->waits)
		kb_waits__read_by(s->waits, kb_session__record, session);
	/* A wait for the GIL that is under way at the start is 5 ms at most. */
	if (s->opts.mode == KB_MODE_WALL)
		kb_identifier__on_identified(session->identifier, kb_waits__add_process, s->waits);
	return open_recording(s);
}

struct kb_error *kb_sampler__create_extended(const struct kb_target *target,
					     const struct kb_sample_opts *opts,
					     const struct kb_sampler_extension *extension,
					     struct kb_sampler **result)
{
	struct kb_sampler *s = calloc(1, sizeof(*s));
	struct kb_error *err;

	if (!s)
		return kb_error__no_memory();
	kb_session__init(&s->session);
	s->extension = extension;
	err = KB_COPY_OPTIONS(&s->opts, opts);
	if (!err)
		err = create(s, target);
	if (err)
		kb_sampler__destroy(s);
	else
		*result = s;
	return err;
}

struct kb_error *kb_sampler__create(const struct kb_target *target,
				    const struct kb_sample_opts *opts, struct kb_sampler **result)
{
	return kb_sampler__create_extended(target, opts, NULL, result);
}

struct kb_session *kb_sampler__session(struct kb_sampler *s)
{
	return &s->session;
}

struct kb_profile *kb_sampler__take_profile(struct kb_sampler *s)
{
	struct kb_profile *profile = s->session.profile;

	s->session.profile = NULL;
	return profile;
}

/* The other collector's callback of that name, or NULL. */
#define ALSO(s, callback) ((s)->extension ? (s)->extension->collector->callback : NULL)

static struct kb_error *create_clock(struct kb_sampler *s)
{
	struct kb_clock_opts opts = {
		.prog_fd = kb_programs__clock_fd(s->session.programs,
						 getenv("KEELBACK_EMPTY_PROGRAM")),
		.rate_hz = s->opts.rate_hz,
		.jitter = !s->opts.no_jitter,
		.software = s->opts.software,
		.inherit = s->session.target->children,
	};

	return kb_clock__create(&opts, &s->clock);
}

/* Starts the clock on the processes that run now, or on everything. */
static struct kb_error *start_clock(struct kb_sampler *s, struct kb_pids *pids)
{
	const struct kb_session *session = &s->session;
	const struct kb_target *target = session->target;
	struct kb_present present = { target, session->programs, session->identifier, s->clock };
	size_t n_threads = 0;

	if (session->launch.pid)
		return kb_clock__add_thread(s->clock, session->launch.pid, true);
	for (size_t i = 0; i < pids->n && target->filter == KB_FILTER_PIDS; i++) {
		struct kb_pids threads;

		KB_TRY(kb_process__threads(pids->ids[i], &threads));
		n_threads += threads.n;
		kb_pids__free(&threads);
	}
	if (target->filter != KB_FILTER_PIDS || n_threads > KB_CLOCK_THREADS_MAX)
		return kb_clock__add_cpus(s->clock);
	if (target->tid)
		return kb_clock__add_thread(s->clock, target->tid, false);
	return kb_present__cover(&present, pids);
}

static struct kb_error *attach(struct kb_pids *pids, void *context)
{
	struct kb_sampler *s = context;

	if (ALSO(s, attach))
		KB_TRY(ALSO(s, attach)(pids, s->extension->context));
	KB_TRY(kb_waits__observe(s->waits, true));
	if (s->task_look)
		kb_task_look__pause(s->task_look, false);
	if (!kb_setup__takes_samples(&s->opts))
		return NULL;
	if (s->opts.tick)
		return kb_programs__attach_tick(s->session.programs, true);
	KB_TRY(create_clock(s));
	return start_clock(s, pids);
}

struct kb_error *kb_sampler__start(struct kb_sampler *s)
{
	return kb_session__start(&s->session);
}

static void on_count(const struct kb_stack_key *key, uint64_t count, void *context)
{
	struct kb_sampler *s = context;

	kb_ingest__count(s->session.ingest, s->session.generation, key, count);
}

static void record(const void *record, size_t size, void *context)
{
	struct kb_sampler *s = context;

	if (ALSO(s, record))
		ALSO(s, record)(record, size, s->extension->context);
}

static void notice(const struct kb_notice *notice, void *context)
{
	struct kb_sampler *s = context;

	if (notice->kind == KB_NOTICE_TASKS && s->tasks)
		kb_tasks__notice(s->tasks, notice);
	else if (ALSO(s, notice))
		ALSO(s, notice)(notice, s->extension->context);
}

static struct kb_error *drain(void *context)
{
	struct kb_sampler *s = context;

	if (ALSO(s, drain))
		KB_TRY(ALSO(s, drain)(s->extension->context));
	KB_TRY(kb_programs__drain(s->session.programs, on_count, s));
	return kb_waits__drain(s->waits);
}

static struct kb_error *drained(void *context)
{
	struct kb_sampler *s = context;
	struct kb_session *session = &s->session;

	kb_thread_names__look(s->thread_names, !session->running);
	if (s->recorder)
		kb_recorder__drained(s->recorder, session->profile, session->ingest,
				     kb_now(CLOCK_MONOTONIC) - session->started);
	KB_TRY(set_meta(s));
	if (!s->recording)
		return NULL;
	return kb_error__prefix(kb_recording_writer__flush(s->recording, session->profile), "%s",
				s->opts.recording);
}

static int work(int wait_ms, void *context)
{
	struct kb_sampler *s = context;
	uint64_t now = kb_now(CLOCK_MONOTONIC), jitter = 0;

	if (ALSO(s, work))
		wait_ms = ALSO(s, work)(wait_ms, s->extension->context);
	if (s->task_look)
		wait_ms = kb_task_look__work(s->task_look, wait_ms);
	if (s->clock)
		jitter = kb_clock__jitter(s->clock, now);
	return jitter ? kb_ms_until(now, now + jitter, wait_ms) : wait_ms;
}

static const struct kb_collector collector = { .attach = attach,
					       .record = record,
					       .notice = notice,
					       .drain = drain,
					       .drained = drained,
					       .work = work };

struct kb_error *kb_sampler__drain(struct kb_sampler *s)
{
	return kb_session__drain(&s->session);
}

struct kb_error *kb_sampler__poll(struct kb_sampler *s, int timeout_ms, bool *done)
{
	return kb_session__poll(&s->session, timeout_ms, done);
}

struct kb_error *kb_sampler__wake_on(struct kb_sampler *s, int fd)
{
	return kb_wake__add(&s->session.wake, fd);
}

void kb_sampler__forget(struct kb_sampler *s, int fd)
{
	kb_wake__remove(&s->session.wake, fd);
}

struct kb_error *kb_sampler__pause(struct kb_sampler *s, bool paused)
{
	KB_TRY(kb_waits__observe(s->waits, !paused));
	if (s->task_look)
		kb_task_look__pause(s->task_look, paused);
	if (s->opts.tick && kb_setup__takes_samples(&s->opts))
		return kb_programs__attach_tick(s->session.programs, !paused);
	if (s->clock)
		kb_clock__pause(s->clock, paused);
	return NULL;
}

/*
 * The kernel counts every sample that it takes on an identified process and, apart from that, what
 * becomes of each. A difference is a defect of ours that nobody should have to guess.
 */
static void check_ledger(const struct kb_sampler *s)
{
	const struct kb_profile *profile = s->session.profile;
	uint64_t taken = s->session.ledger[KB_L_COUNT] + kb_waits__ended(s->waits) +
			 kb_profile__ledger(profile, KB_L_NOT_IDENTIFIED).count +
			 kb_task_look__taken(s->task_look);
	uint64_t accounted = kb_profile__attempted(profile);

	if (taken != accounted)
		kb_warn("the ledger does not add up: %" PRIu64 " samples taken, %" PRIu64
			" accounted for",
			taken, accounted);
}

struct kb_error *kb_sampler__stop(struct kb_sampler *s)
{
	if (!s->session.running)
		return NULL;
	s->session.running = false;
	KB_TRY(kb_sampler__pause(s, true));
	KB_TRY(kb_session__finish(&s->session));
	check_ledger(s);
	KB_TRY(set_meta(s));
	if (!s->recording)
		return NULL;
	return kb_error__prefix(kb_recording_writer__finish(s->recording, s->session.profile), "%s",
				s->opts.recording);
}

const struct kb_profile *kb_sampler__profile(const struct kb_sampler *s)
{
	return s->session.profile;
}

struct kb_error *kb_sampler__last(const struct kb_sampler *s, struct kb_profile **profile)
{
	if (!s->recorder)
		return kb_usage("this session has no timeline");
	return kb_recorder__last(s->recorder, s->session.profile, profile);
}

pid_t kb_sampler__command_pid(const struct kb_sampler *s)
{
	return s->session.launch.pid;
}

int kb_sampler__command_status(const struct kb_sampler *s)
{
	return s->session.launch.status;
}

void kb_sampler__stats(const struct kb_sampler *s, struct kb_sampler_stats *stats)
{
	struct kb_sampler *writable = (struct kb_sampler *)s;
	uint64_t counts[KB_L_COUNT + 1] = {};
	size_t size = stats->size;

	memset((char *)stats + sizeof(size), 0, size - sizeof(size));
	kb_error__destroy(kb_programs__ledger(s->session.programs, counts));
	stats->attempted = counts[KB_L_COUNT] + kb_task_look__taken(s->task_look);
	kb_programs__run_stats(s->session.programs, &stats->bpf_runs, &stats->bpf_ns);
	if (size >= offsetof(struct kb_sampler_stats, drains) + sizeof(stats->drains))
		stats->drains = s->session.generation;
	stats->processes = kb_identifier__count(s->session.identifier);
	if (s->task_look)
		snprintf(writable->clock_text, sizeof(s->clock_text),
			 "all tasks, %u looks a second%s", s->opts.rate_hz,
			 s->opts.no_jitter ? "" : ", jittered");
	else if (!kb_setup__takes_samples(&s->opts))
		snprintf(writable->clock_text, sizeof(s->clock_text), "waits for the GIL");
	else if (s->opts.tick)
		snprintf(writable->clock_text, sizeof(s->clock_text), "timer ticks, %.0f Hz",
			 kb_setup__rate(&s->opts));
	else
		snprintf(writable->clock_text, sizeof(s->clock_text), "%s, %u Hz%s",
			 s->clock && kb_clock__is_cycles(s->clock) ? "cycles" : "cpu-clock",
			 s->opts.rate_hz, s->opts.no_jitter ? "" : ", jittered");
	stats->clock = s->clock_text;
}

void kb_sampler__destroy(struct kb_sampler *s)
{
	if (!s)
		return;
	kb_clock__destroy(s->clock);
	kb_recording_writer__destroy(s->recording);
	if (s->recording_file)
		fclose(s->recording_file);
	kb_waits__destroy(s->waits);
	kb_recorder__destroy(s->recorder);
	kb_thread_names__destroy(s->thread_names);
	kb_task_look__destroy(s->task_look);
	kb_tasks__destroy(s->tasks);
	kb_session__close(&s->session);
	free(s);
}
