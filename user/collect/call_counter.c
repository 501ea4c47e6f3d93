// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * A session that counts calls. The kernel does the counting (bpf/calls.bpf.c); here
 * probes are found and attached, for good or for windows, and counts become statistics.
 *
 * Where times come from samples the sampler does its own in the same session, and what falls
 * into a probe is set aside in the kernel: what is left are samples of the program's own time.
 */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "collect/call_counter.h"
#include "collect/call_trial.h"
#include "collect/call_windows.h"
#include "collect/jit.h"
#include "collect/chosen.h"

#define DRAIN_MS   1000
#define DATA_BYTES (8u << 20)

struct kb_call_counter {
	const struct kb_target *target;
	struct kb_call_counter_opts opts;
	struct kb_sampler_extension extension;
	struct kb_sampler *sampler; /* NULL: times are not sampled */
	struct kb_session own;	    /* then the session is this one */
	struct kb_session *session;
	struct kb_call_programs *programs;
	struct kb_call_probes *probes;
	struct kb_chosen *chosen; /* instead of programs and probes, which are NULL then */
	struct kb_call_ingest ingest;
	struct kb_call_windows windows;
	uint64_t placing_ns; /* attaching and detaching took so long: a program may wait for its
				memory map meanwhile */
	struct kb_call_trial trial;
	struct kb_call_aftermath aftermath;
	uint64_t trap_ns;
	struct kb_call_cost spent; /* up to the start of the window */
	struct kb_error *failed;   /* while polling: told at the next occasion */
};

static bool windowed(const struct kb_call_counter *c)
{
	return c->opts.duty > 0;
}

/* ---------------------------------------------------------------- in the session */

static struct kb_error *take(struct kb_call_counter *c, bool last)
{
	uint32_t n;
	const struct kb_call_edge *edges = c->chosen ? kb_chosen__edges(c->chosen, &n)
						     : kb_call_programs__edges(c->programs, &n);

	return kb_call_ingest__take(&c->ingest, edges, n, last);
}

/* Can one probe for each process do? Others then pay nothing. */
static bool everywhere(const struct kb_call_counter *c)
{
	const struct kb_target *target = c->target;

	if (windowed(c))
		return target->filter == KB_FILTER_ALL;
	return target->filter != KB_FILTER_PIDS || target->children || target->argv;
}

#define PROCESSES_MAX 256 /* whose time is read for a window: 0.3 ms */

/* The target's time on processors so far, ns; 0: not known. */
static uint64_t time_on_cpu(struct kb_call_counter *c)
{
	uint64_t sum = 0;
	uint32_t tgid = 0;

	for (int i = 0; i < PROCESSES_MAX; i++) {
		clockid_t clock;
		struct timespec t;

		if (!kb_programs__next_proc(c->session->programs, &tgid))
			return sum;
		if (!clock_getcpuclockid(tgid, &clock) && !clock_gettime(clock, &t))
			sum += t.tv_sec * KB_NS_PER_SECOND + t.tv_nsec;
	}
	return 0;
}

static struct kb_error *attach(struct kb_pids *pids, void *context)
{
	struct kb_call_counter *c = context;
	uint64_t now = kb_now(CLOCK_MONOTONIC);

	if (c->chosen)
		return kb_chosen__attach(c->chosen, pids);
	if (c->opts.clock == KB_CALLS_CPU && c->opts.timing == KB_CALLS_MEASURED)
		KB_TRY(kb_call_programs__attach_clock(c->programs));
	if (!windowed(c))
		return kb_call_probes__attach(c->probes, everywhere(c));
	kb_call_windows__start(&c->windows, kb_call_windows__share(c->opts.duty, c->opts.rate_hz),
			       c->opts.window_ms * KB_NS_PER_MS, now, time_on_cpu(c));
	return NULL;
}

static void on_identified(pid_t pid, uint32_t proc, const struct kb_interpreter *interp,
			  void *context)
{
	struct kb_call_counter *c = context;
	struct kb_proc known;
	struct kb_error *err = NULL;

	kb_call_trial__note(&c->trial, pid);
	if (kb_programs__get_proc(c->session->programs, pid, &known)) {
		kb_jit__note(c->session, known.image, pid);
		err = kb_call_probes__attach_process(c->probes, known.image, pid);
	}
	if (err)
		kb_warn("%s", kb_error__text(err));
	kb_error__destroy(err);
}

/* One that BPF has set up, and whose first calls were counted already. */
static void on_new_process(pid_t pid, uint32_t proc, void *context)
{
	struct kb_call_counter *c = context;
	struct kb_proc known;

	if (kb_programs__get_proc(c->session->programs, pid, &known) && known.id == proc)
		kb_jit__note(c->session, known.image, pid);
}

static void record(const void *record, size_t size, void *context)
{
	const struct kb_data_call_function *function = record;
	struct kb_call_counter *c = context;

	if (size >= sizeof(*function) && function->kind == KB_DATA_CALL_FUNCTION)
		kb_call_ingest__function(&c->ingest, c->session->ingest, c->session->profile,
					 function);
}

static struct kb_error *drain(void *context)
{
	struct kb_call_counter *c = context;
	struct kb_error *failed = c->failed;

	c->failed = NULL;
	if (failed)
		return failed;
	/* Windows are taken as a whole. */
	return windowed(c) ? NULL : take(c, false);
}

static struct kb_error *open_window(struct kb_call_counter *c)
{
	kb_call_programs__open(c->programs, false);
	kb_call_programs__cost(c->programs, true, &c->spent);
	c->placing_ns = kb_now(CLOCK_MONOTONIC);
	KB_TRY(kb_call_probes__attach(c->probes, everywhere(c)));
	c->placing_ns = kb_now(CLOCK_MONOTONIC) - c->placing_ns;
	kb_call_programs__open(c->programs, true);
	kb_call_windows__opened(&c->windows, kb_now(CLOCK_MONOTONIC), time_on_cpu(c));
	return NULL;
}

/* What the program has spent in probes since the window was opened. */
static uint64_t spent(struct kb_call_counter *c, bool go_on)
{
	struct kb_call_cost cost;

	kb_call_programs__cost(c->programs, go_on, &cost);
	return (cost.runs - c->spent.runs) * c->trap_ns + cost.ns - c->spent.ns;
}

static struct kb_error *close_window(struct kb_call_counter *c)
{
	uint64_t traced, detaching;

	kb_call_programs__open(c->programs, false);
	traced = kb_call_windows__closed(&c->windows, kb_now(CLOCK_MONOTONIC), time_on_cpu(c),
					 spent(c, true));
	detaching = kb_now(CLOCK_MONOTONIC);
	kb_call_probes__detach(c->probes);
	c->placing_ns += kb_now(CLOCK_MONOTONIC) - detaching;
	/* keelback waits as well in it, on a busy machine most of all: it is not taken for more
	 * than the window itself. */
	if (c->placing_ns > c->windows.length_ns)
		c->placing_ns = c->windows.length_ns;
	kb_call_windows__done(&c->windows, kb_now(CLOCK_MONOTONIC), time_on_cpu(c),
			      spent(c, false) + c->placing_ns);
	/* The records that name what was counted. */
	KB_TRY(kb_session__drain(c->session));
	KB_TRY(take(c, false));
	kb_calls__end_window(c->ingest.calls, traced);
	return NULL;
}

static int work(int wait_ms, void *context)
{
	struct kb_call_counter *c = context;
	uint64_t now = kb_now(CLOCK_MONOTONIC), until;

	if (c->chosen)
		return kb_chosen__work(c->chosen, wait_ms);
	/* A command may execute one thing after another, and be gone when its record is read. */
	if (c->session->launch.pid)
		kb_call_trial__note(&c->trial, c->session->launch.pid);
	if (!windowed(c) || !c->session->running || c->failed)
		return wait_ms;
	until = kb_call_windows__until(&c->windows, now);
	if (!until) {
		c->failed = c->windows.open ? close_window(c) : open_window(c);
		now = kb_now(CLOCK_MONOTONIC);
		until = kb_call_windows__until(&c->windows, now);
	}
	return kb_ms_until(now, now + until, wait_ms);
}

static const struct kb_collector collector = {
	.attach = attach, .record = record, .drain = drain, .work = work
};

/* ---------------------------------------------------------------- from outside */

static struct kb_error *set_meta(struct kb_call_counter *c)
{
	struct kb_profile_meta from;
	struct kb_calls_meta meta = { .size = sizeof(meta), .python = "" };

	kb_session__meta(c->session, &from);
	meta.target = from.target;
	meta.host = from.host;
	meta.version = from.version;
	meta.start_unix_ns = from.start_unix_ns;
	meta.duration_ns = from.duration_ns;
	meta.timing = !c->chosen || kb_chosen__timed(c->chosen) ? c->opts.timing : KB_CALLS_UNTIMED;
	meta.clock = c->opts.clock;
	meta.builtins = c->opts.builtins;
	if (c->session->profile && kb_profile__n_processes(c->session->profile))
		meta.python = kb_profile__process(c->session->profile, 0)->python;
	return c->ingest.calls ? kb_calls__set_meta(c->ingest.calls, &meta)
			       : kb_calls__create(&meta, &c->ingest.calls);
}

#define RATE_HZ 1000

static struct kb_error *complete(struct kb_call_counter_opts *opts)
{
	if (opts->n_functions > KB_CALLS_CHOSEN_FUNCTIONS)
		return kb_usage("at most %d functions: a thread has no more hardware breakpoints",
				KB_CALLS_CHOSEN_FUNCTIONS);
	if (opts->n_functions) {
		if (opts->timing != KB_CALLS_UNTIMED)
			opts->timing = KB_CALLS_MEASURED;
		opts->clock = KB_CALLS_WALL;
		opts->duty = 0;
		opts->builtins = false;
	}
	if (opts->duty < 0 || opts->duty > 1)
		return kb_usage("a duty of %g is no share: 0 to 1", opts->duty);
	if (opts->window_ms > KB_CALL_WINDOW_MS_MAX)
		return kb_usage("a window of %u ms is too long: at most %d", opts->window_ms,
				KB_CALL_WINDOW_MS_MAX);
	if (!opts->window_ms)
		opts->window_ms = KB_CALL_WINDOW_MS;
	if (opts->duty > 0 && opts->timing == KB_CALLS_MEASURED)
		return kb_usage("calls that are measured are measured whole: no windows with "
				"measured times");
	if (opts->timing != KB_CALLS_SAMPLED)
		opts->rate_hz = 0;
	else if (!opts->rate_hz)
		opts->rate_hz =
			opts->duty > 0 ? kb_call_windows__rate(opts->duty, RATE_HZ) : RATE_HZ;
	return NULL;
}

/* The sampler's session, with our programs in it. */
static struct kb_error *open_sampled(struct kb_call_counter *c)
{
	struct kb_sample_opts opts = {
		.size = sizeof(opts),
		.rate_hz = c->opts.rate_hz,
		.mode = c->opts.clock == KB_CALLS_WALL ? KB_MODE_WALL : KB_MODE_CPU,
		.no_native_marks = true,
		.no_gc = true,
	};

	c->extension =
		(struct kb_sampler_extension){ .runs = KB_RUN_CALLS,
					       .want = KB_WANT_CALLS |
						       (c->opts.builtins ? KB_WANT_C_FUNCTIONS : 0),
					       .collector = &collector,
					       .context = c };
	KB_TRY(kb_sampler__create_extended(c->target, &opts, &c->extension, &c->sampler));
	c->session = kb_sampler__session(c->sampler);
	return NULL;
}

static struct kb_error *open_own(struct kb_call_counter *c)
{
	bool measured = c->opts.timing == KB_CALLS_MEASURED, cpu = c->opts.clock == KB_CALLS_CPU;
	bool chosen = c->opts.n_functions;
	struct kb_programs_opts programs = {
		.runs = chosen ? KB_RUN_CHOSEN
			       : KB_RUN_CALLS | (measured && cpu ? KB_RUN_CALL_CLOCK : 0),
		.data_bytes = DATA_BYTES,
		.counts_max = 1,
	};
	struct kb_session_opts opts = { .target = c->target,
					.programs = &programs,
					.collector = &collector,
					.context = c,
					.drain_ms = DRAIN_MS };

	kb_session__filter(c->target, &programs.config);
	programs.config.ring_high = DATA_BYTES / 4;
	if (!chosen)
		programs.config.want = KB_WANT_CALLS | (measured ? KB_WANT_CALL_TIMES : 0) |
				       (measured && cpu ? KB_WANT_CALL_CPU : 0) |
				       (c->opts.builtins ? KB_WANT_C_FUNCTIONS : 0);
	c->session = &c->own;
	return kb_session__open(&c->own, &opts);
}

static struct kb_error *create_chosen(struct kb_call_counter *c)
{
	KB_TRY(kb_chosen__create(c->session, &c->ingest, c->opts.functions, c->opts.n_functions,
				 c->opts.timing != KB_CALLS_UNTIMED, &c->chosen));
	kb_identifier__on_image(c->session->identifier, kb_chosen__add_image, c->chosen);
	return NULL;
}

static struct kb_error *create(struct kb_call_counter *c)
{
	struct kb_call_probes_opts probes = { .ends = c->opts.timing == KB_CALLS_MEASURED,
					      .builtins = c->opts.builtins };
	struct kb_identifier *identifier;

	KB_TRY(complete(&c->opts));
	KB_TRY(c->opts.timing == KB_CALLS_SAMPLED ? open_sampled(c) : open_own(c));
	KB_TRY(set_meta(c));
	if (c->opts.n_functions)
		return create_chosen(c);
	KB_TRY(kb_call_programs__create(c->session->programs, &c->programs));
	c->trap_ns = kb_call_programs__measure_trap(c->programs);
	kb_debug("a probe costs %llu ns beside its program", (unsigned long long)c->trap_ns);
	KB_TRY(kb_call_probes__create(c->session->programs, c->programs, &probes, &c->probes));
	identifier = c->session->identifier;
	kb_identifier__on_image(identifier, kb_call_probes__add_image, c->probes);
	kb_identifier__also_identified(identifier, on_identified, c);
	kb_identifier__on_new_process(identifier, on_new_process, c);
	return NULL;
}

struct kb_error *kb_call_counter__create(const struct kb_target *target,
					 const struct kb_call_counter_opts *opts,
					 struct kb_call_counter **result)
{
	struct kb_call_counter *c = calloc(1, sizeof(*c));
	struct kb_error *err;

	if (!c)
		return kb_error__no_memory();
	kb_session__init(&c->own);
	kb_call_trial__init(&c->trial);
	c->target = target;
	err = KB_COPY_OPTIONS(&c->opts, opts);
	if (!err)
		err = create(c);
	if (err)
		kb_call_counter__destroy(c);
	else
		*result = c;
	return err;
}

struct kb_error *kb_call_counter__start(struct kb_call_counter *c)
{
	KB_TRY(kb_session__start(c->session));
	if (c->session->launch.pid)
		kb_call_trial__note(&c->trial, c->session->launch.pid);
	return NULL;
}

struct kb_error *kb_call_counter__poll(struct kb_call_counter *c, int timeout_ms, bool *done)
{
	return kb_session__poll(c->session, timeout_ms, done);
}

#define AFTERMATH_TYPICAL 20e-9 /* seconds after a call */
#define AFTERMATH_LEAST	  0.01	/* of all time: less is not worth a trial */

/* What is to be taken off the sampled times; NULL: nothing, or nothing that is known. */
static const struct kb_call_aftermath *measure_aftermath(void *context)
{
	struct kb_call_counter *c = context;
	struct kb_call_stats total = kb_calls__total(c->ingest.calls);

	if (c->opts.as_sampled || windowed(c) || !total.ncalls ||
	    (double)total.ncalls * AFTERMATH_TYPICAL < total.tottime * AFTERMATH_LEAST)
		return NULL;
	if (kb_call_trial__run(&c->trial, &c->aftermath))
		return &c->aftermath;
	kb_warn("functions that are called often look slower than they are, up to twice: what "
		"probes leave behind could not be measured, and is in the times");
	return NULL;
}

struct kb_error *kb_call_counter__stop(struct kb_call_counter *c)
{
	struct kb_session *session = c->session;

	if (!session->running)
		return NULL;
	if (windowed(c) && c->windows.open)
		KB_TRY(close_window(c));
	if (c->chosen)
		kb_chosen__detach(c->chosen);
	else
		kb_call_probes__detach(c->probes);
	if (c->sampler) {
		KB_TRY(kb_sampler__stop(c->sampler));
	} else {
		session->running = false;
		KB_TRY(kb_session__finish(session));
	}
	KB_TRY(take(c, true));
	if (c->opts.timing == KB_CALLS_SAMPLED)
		KB_TRY(kb_call_ingest__add_times(&c->ingest, session->profile, measure_aftermath,
						 c));
	KB_TRY(kb_call_ingest__set_ledger(&c->ingest, session->profile, c->windows.rough));
	KB_TRY(set_meta(c));
	return c->chosen ? kb_chosen__finish(c->chosen) : NULL;
}

const struct kb_calls *kb_call_counter__calls(const struct kb_call_counter *c)
{
	return c->ingest.calls;
}

pid_t kb_call_counter__command_pid(const struct kb_call_counter *c)
{
	return c->session->launch.pid;
}

int kb_call_counter__command_status(const struct kb_call_counter *c)
{
	return c->session->launch.status;
}

void kb_call_counter__destroy(struct kb_call_counter *c)
{
	if (!c)
		return;
	kb_chosen__destroy(c->chosen);
	kb_call_probes__destroy(c->probes);
	kb_call_programs__destroy(c->programs);
	kb_call_ingest__free(&c->ingest);
	kb_call_trial__free(&c->trial);
	if (c->sampler)
		kb_sampler__destroy(c->sampler);
	else
		kb_session__close(&c->own);
	kb_error__destroy(c->failed);
	free(c);
}
