// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * A sampling session: puts target, programs, clock, identification and profile
 * together. What happens in the kernel is described in bpf/sample.bpf.c, what
 * becomes of its records in ingest.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "collect/identify.h"
#include "collect/ingest.h"
#include "collect/launch.h"
#include "collect/mode.h"
#include "collect/native.h"
#include "collect/present.h"
#include "collect/recorder.h"
#include "collect/setup.h"
#include "collect/target.h"
#include "collect/thread_names.h"
#include "collect/waits.h"
#include "collect/wake.h"
#include "kernel/clock.h"
#include "kernel/cpus.h"
#include "kernel/probes.h"
#include "kernel/programs.h"
#include "keelback/inspect.h"
#include "keelback/sample.h"
#include "model/recording.h"

struct kb_sampler {
	const struct kb_target *target;
	struct kb_sample_opts opts;
	struct kb_programs *programs;
	struct kb_clock *clock;
	struct kb_identifier *identifier;
	struct kb_native *native; /* NULL: neither native nor kernel frames */
	struct kb_ingest *ingest;
	struct kb_waits *waits;	      /* NULL: the mode is of samples */
	struct kb_recorder *recorder; /* NULL without a timeline */
	struct kb_thread_names *thread_names;
	struct kb_profile *profile;
	struct kb_recording_writer *recording;
	FILE *recording_file;
	struct kb_launch launch;
	uint64_t ledger[KB_L_COUNT + 1]; /* what of the kernel's ledger is in the profile already */
	uint64_t started, next_drain;
	int64_t started_unix;
	uint32_t generation;
	bool running, exited, drain_now;
	struct kb_wake wake;
	char clock_text[64];
};

static struct kb_error *load_programs(struct kb_sampler *s)
{
	struct kb_programs_opts opts;
	struct kb_cpus cpus;

	KB_TRY(kb_cpus__online(&cpus));
	kb_setup__programs(&s->opts, s->target, cpus.n, &opts);
	return kb_programs__create(&opts, &s->programs);
}

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
	struct kb_profile_meta meta = {
		.size = sizeof(meta),
		.rate_hz = kb_setup__takes_samples(&s->opts) ? kb_setup__rate(&s->opts) : 0,
		.start_unix_ns = s->started_unix,
		.duration_ns = s->started ? kb_now(CLOCK_MONOTONIC) - s->started : 0,
		.target = s->target->description,
		.version = kb_version(),
	};
	struct utsname name;

	meta.clock = s->opts.tick				 ? KB_CLOCK_TICK
		     : s->clock && kb_clock__is_cycles(s->clock) ? KB_CLOCK_CYCLES
								 : KB_CLOCK_CPU;
	meta.jitter = kb_setup__takes_samples(&s->opts) && !s->opts.tick && !s->opts.no_jitter;
	meta.mode = s->opts.mode;
	meta.unit = kb_mode__of_time(s->opts.mode) ? KB_UNIT_NS : KB_UNIT_SAMPLES;
	uname(&name);
	meta.host = name.nodename;
	meta.kernel = name.release;
	if (!s->profile)
		return kb_profile__create(&meta, &s->profile);
	return kb_profile__set_meta(s->profile, &meta);
}

/* What a sample stands for where counts are of time. */
static uint64_t sample_ns(const struct kb_sampler *s)
{
	if (!kb_mode__of_time(s->opts.mode) || !kb_setup__takes_samples(&s->opts))
		return 0;
	return (uint64_t)(KB_NS_PER_SECOND / kb_setup__rate(&s->opts) + 0.5);
}

static struct kb_error *create(struct kb_sampler *s)
{
	struct kb_ingest_opts ingest = { .layout = kb_identifier__layout,
					 .new_process = kb_identifier__new_process,
					 .read_code = kb_identifier__read_code };
	struct rlimit files;
	char detail[128];

	/* The kernel's programs see the machine's PIDs. */
	if (!kb_probe__pid_namespace((struct kb_probe_arg){ 0 }, detail, sizeof(detail)))
		return kb_unsupported("keelback must run in the machine's own PID namespace, with "
				      "'--pid=host' in a container: %s",
				      detail);
	KB_TRY(kb_setup__complete(&s->opts, s->target));
	/* One descriptor for each thread. */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	KB_TRY(load_programs(s));
	KB_TRY(kb_identifier__create(s->target, s->programs, &s->identifier));
	KB_TRY(set_meta(s));
	if (s->opts.native || s->opts.kernel)
		KB_TRY(kb_native__create(s->programs, s->profile, &s->native));
	if (s->opts.native)
		kb_identifier__set_native(s->identifier, s->native);
	ingest.profile = s->profile;
	ingest.native = s->native;
	ingest.context = s->identifier;
	ingest.sample_ns = sample_ns(s);
	KB_TRY(kb_ingest__create(&ingest, &s->ingest));
	kb_identifier__set_ingest(s->identifier, s->ingest);
	s->thread_names = kb_thread_names__create(s->profile, s->identifier);
	if (!s->thread_names)
		return kb_error__no_memory();
	if (s->opts.timeline || s->opts.keep_s)
		KB_TRY(kb_recorder__create(s->opts.keep_s, &s->recorder));
	kb_identifier__set_mode(s->identifier, s->opts.mode);
	if (kb_mode__of_time(s->opts.mode))
		KB_TRY(kb_waits__create(s->target, s->programs, s->ingest, &s->opts, &s->waits));
	/* A wait for the GIL that is under way at the start is 5 ms at most. */
	if (s->opts.mode == KB_MODE_WALL)
		kb_identifier__on_identified(s->identifier, kb_waits__add_process, s->waits);
	return open_recording(s);
}

struct kb_error *kb_sampler__create(const struct kb_target *target,
				    const struct kb_sample_opts *opts, struct kb_sampler **result)
{
	struct kb_sampler *s = calloc(1, sizeof(*s));
	struct kb_error *err;

	if (!s)
		return kb_error__no_memory();
	s->target = target;
	s->launch.go = s->launch.failed = s->launch.status = -1;
	err = KB_COPY_OPTIONS(&s->opts, opts);
	if (!err)
		err = create(s);
	if (err)
		kb_sampler__destroy(s);
	else
		*result = s;
	return err;
}

static struct kb_error *create_clock(struct kb_sampler *s)
{
	struct kb_clock_opts opts = {
		.prog_fd = kb_programs__clock_fd(s->programs, getenv("KEELBACK_EMPTY_PROGRAM")),
		.rate_hz = s->opts.rate_hz,
		.jitter = !s->opts.no_jitter,
		.software = s->opts.software,
		.inherit = s->target->children,
	};

	return kb_clock__create(&opts, &s->clock);
}

/* Starts the clock on the processes that run now, or on everything. */
static struct kb_error *start_clock(struct kb_sampler *s, struct kb_pids *pids)
{
	struct kb_present present = { s->target, s->programs, s->identifier, s->clock };
	size_t n_threads = 0;

	if (!kb_setup__takes_samples(&s->opts))
		return NULL;
	if (s->opts.tick)
		return kb_programs__attach_tick(s->programs, true);
	if (s->launch.pid)
		return kb_clock__add_thread(s->clock, s->launch.pid, true);
	for (size_t i = 0; i < pids->n && s->target->filter == KB_FILTER_PIDS; i++) {
		struct kb_pids threads;

		KB_TRY(kb_process__threads(pids->ids[i], &threads));
		n_threads += threads.n;
		kb_pids__free(&threads);
	}
	if (s->target->filter != KB_FILTER_PIDS || n_threads > KB_CLOCK_THREADS_MAX)
		return kb_clock__add_cpus(s->clock);
	if (s->target->tid)
		return kb_clock__add_thread(s->clock, s->target->tid, false);
	return kb_present__cover(&present, pids);
}

static struct kb_error *start_command(struct kb_sampler *s)
{
	char *const *argv = s->target->argv;

	kb_identifier__expect_command(s->identifier, argv[0]);
	KB_TRY(kb_launch__start(argv, s->target->stdio, &s->launch));
	return kb_programs__follow(s->programs, s->launch.pid);
}

struct kb_error *kb_sampler__start(struct kb_sampler *s)
{
	struct kb_present present = { s->target, s->programs, s->identifier, NULL };
	struct kb_error *err = NULL;
	struct kb_pids pids = {};

	KB_TRY(kb_programs__attach_tracker(s->programs));
	if (!s->opts.tick && kb_setup__takes_samples(&s->opts))
		KB_TRY(create_clock(s));
	if (s->target->argv) {
		err = start_command(s);
	} else {
		if (s->target->filter != KB_FILTER_PIDS)
			kb_identifier__expect_installed(s->identifier);
		err = kb_target__processes(s->target, &pids);
		if (!err)
			err = kb_present__identify(&present, &pids);
	}
	s->started = kb_now(CLOCK_MONOTONIC);
	s->started_unix = kb_now(CLOCK_REALTIME);
	kb_ingest__set_start(s->ingest, s->started);
	s->next_drain = s->started + s->opts.drain_ms * KB_NS_PER_MS;
	if (!err)
		err = kb_waits__observe(s->waits, true);
	if (!err)
		err = start_clock(s, &pids);
	if (!err && s->target->argv)
		err = kb_launch__release(&s->launch, s->target->argv[0]);
	kb_pids__free(&pids);
	s->running = !err;
	return err;
}

static void on_notice(const struct kb_notice *notice, void *context)
{
	struct kb_sampler *s = context;

	if (notice->kind == KB_NOTICE_EXIT)
		s->exited = true;
	else if (notice->kind == KB_NOTICE_DATA)
		s->drain_now = true;
	else if (notice->kind == KB_NOTICE_MAPS || notice->kind == KB_NOTICE_TABLE)
		kb_native__notice(s->native, notice);
	else if (notice->kind == KB_NOTICE_CODE)
		kb_ingest__fetch_code(s->ingest, notice->proc, notice->tgid, notice->code);
	else
		kb_identifier__notice(s->identifier, notice);
}

static void on_record(const void *record, size_t size, void *context)
{
	struct kb_sampler *s = context;

	kb_ingest__record(s->ingest, record, size);
}

static void on_count(const struct kb_stack_key *key, uint64_t count, void *context)
{
	struct kb_sampler *s = context;

	kb_ingest__count(s->ingest, s->generation, key, count);
}

/* What the kernel's ledger has more than at the last time. */
static struct kb_error *take_ledger(struct kb_sampler *s)
{
	uint64_t counts[KB_L_COUNT + 1];

	KB_TRY(kb_programs__ledger(s->programs, counts));
	for (int reason = 0; reason < KB_L_COUNT; reason++)
		kb_profile__ledger_add(s->profile, reason, counts[reason] - s->ledger[reason]);
	memcpy(s->ledger, counts, sizeof(counts));
	return NULL;
}

/* Ends a generation and takes everything of it. */
struct kb_error *kb_sampler__drain(struct kb_sampler *s)
{
	kb_programs__flip(s->programs);
	kb_programs__read_data(s->programs, on_record, s);
	KB_TRY(kb_programs__drain(s->programs, on_count, s));
	KB_TRY(kb_waits__drain(s->waits));
	kb_ingest__end_generation(s->ingest, s->generation);
	s->generation++; /* a number of its own that only grows, so it counts drains as well */
	KB_TRY(take_ledger(s));
	kb_thread_names__look(s->thread_names, !s->running);
	if (s->recorder)
		kb_recorder__drained(s->recorder, s->profile, s->ingest,
				     kb_now(CLOCK_MONOTONIC) - s->started);
	s->drain_now = false;
	s->next_drain = kb_now(CLOCK_MONOTONIC) + s->opts.drain_ms * KB_NS_PER_MS;
	KB_TRY(set_meta(s));
	if (!s->recording)
		return NULL;
	return kb_error__prefix(kb_recording_writer__flush(s->recording, s->profile), "%s",
				s->opts.recording);
}

/* ms from now until a time, rounded up (waiting too short a time would become a busy loop), at most
 * limit. */
static int ms_until(uint64_t now, uint64_t then, int limit)
{
	uint64_t ms = then > now ? (then - now + KB_NS_PER_MS - 1) / KB_NS_PER_MS : 0;

	return ms < (uint64_t)limit ? (int)ms : limit;
}

static bool has_ended(struct kb_sampler *s)
{
	if (s->target->argv)
		return kb_launch__ended(&s->launch);
	return s->target->filter == KB_FILTER_PIDS && s->exited &&
	       !kb_programs__any_followed(s->programs);
}

struct kb_error *kb_sampler__poll(struct kb_sampler *s, int timeout_ms, bool *done)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC), jitter = 0;
	int wait = ms_until(now, s->next_drain, timeout_ms), again;

	if (s->clock)
		jitter = kb_clock__jitter(s->clock, now);
	if (jitter)
		wait = ms_until(now, now + jitter, wait);
	again = kb_identifier__look_again(s->identifier);
	if (again >= 0 && again < wait)
		wait = again;
	if (s->native && kb_native__work(s->native))
		wait = 0;
	if (kb_wake__await(&s->wake, kb_programs__fd(s->programs), wait))
		wait = 0;
	kb_programs__poll(s->programs, wait, on_notice, s);
	*done = has_ended(s);
	if (s->drain_now || kb_now(CLOCK_MONOTONIC) >= s->next_drain)
		return kb_sampler__drain(s);
	return NULL;
}

struct kb_error *kb_sampler__wake_on(struct kb_sampler *s, int fd)
{
	return kb_wake__add(&s->wake, fd);
}

void kb_sampler__forget(struct kb_sampler *s, int fd)
{
	kb_wake__remove(&s->wake, fd);
}

struct kb_error *kb_sampler__pause(struct kb_sampler *s, bool paused)
{
	KB_TRY(kb_waits__observe(s->waits, !paused));
	if (s->opts.tick && kb_setup__takes_samples(&s->opts))
		return kb_programs__attach_tick(s->programs, !paused);
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
	uint64_t taken = s->ledger[KB_L_COUNT] + kb_waits__ended(s->waits) +
			 kb_profile__ledger(s->profile, KB_L_NOT_IDENTIFIED).count;
	uint64_t accounted = kb_profile__attempted(s->profile);

	if (taken != accounted)
		kb_warn("the ledger does not add up: %" PRIu64 " samples taken, %" PRIu64
			" accounted for",
			taken, accounted);
}

struct kb_error *kb_sampler__stop(struct kb_sampler *s)
{
	if (!s->running)
		return NULL;
	s->running = false;
	KB_TRY(kb_sampler__pause(s, true));
	kb_programs__poll(s->programs, 0, on_notice, s);
	/* Both tables: the second may hold what was counted while the first was drained. */
	KB_TRY(kb_sampler__drain(s));
	KB_TRY(kb_sampler__drain(s));
	kb_profile__ledger_add(s->profile, KB_L_NOT_IDENTIFIED,
			       kb_identifier__unresolved(s->identifier));
	check_ledger(s);
	kb_launch__ended(&s->launch);
	KB_TRY(set_meta(s));
	if (!s->recording)
		return NULL;
	return kb_error__prefix(kb_recording_writer__finish(s->recording, s->profile), "%s",
				s->opts.recording);
}

const struct kb_profile *kb_sampler__profile(const struct kb_sampler *s)
{
	return s->profile;
}

struct kb_error *kb_sampler__last(const struct kb_sampler *s, struct kb_profile **profile)
{
	if (!s->recorder)
		return kb_usage("this session has no timeline");
	return kb_recorder__last(s->recorder, s->profile, profile);
}

pid_t kb_sampler__command_pid(const struct kb_sampler *s)
{
	return s->launch.pid;
}

int kb_sampler__command_status(const struct kb_sampler *s)
{
	return s->launch.status;
}

void kb_sampler__stats(const struct kb_sampler *s, struct kb_sampler_stats *stats)
{
	struct kb_sampler *writable = (struct kb_sampler *)s;
	uint64_t counts[KB_L_COUNT + 1] = {};
	size_t size = stats->size;

	memset((char *)stats + sizeof(size), 0, size - sizeof(size));
	kb_error__destroy(kb_programs__ledger(s->programs, counts));
	stats->attempted = counts[KB_L_COUNT];
	kb_programs__run_stats(s->programs, &stats->bpf_runs, &stats->bpf_ns);
	if (size >= offsetof(struct kb_sampler_stats, drains) + sizeof(stats->drains))
		stats->drains = s->generation;
	stats->processes = kb_identifier__count(s->identifier);
	if (!kb_setup__takes_samples(&s->opts))
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
	kb_launch__cancel(&s->launch);
	kb_clock__destroy(s->clock);
	kb_recording_writer__destroy(s->recording);
	if (s->recording_file)
		fclose(s->recording_file);
	kb_waits__destroy(s->waits);
	kb_recorder__destroy(s->recorder);
	kb_thread_names__destroy(s->thread_names);
	kb_ingest__destroy(s->ingest);
	kb_identifier__destroy(s->identifier);
	kb_native__destroy(s->native);
	kb_programs__destroy(s->programs);
	kb_profile__destroy(s->profile);
	free(s);
}
