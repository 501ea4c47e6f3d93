// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/browser.h"
#include "cli/command.h"
#include "cli/flight.h"
#include "cli/launched.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/realtime.h"
#include "cli/report.h"
#include "keelback/diff.h"
#include "keelback/format.h"
#include "keelback/inspect.h"
#include "keelback/sample.h"

/* How long one wait for samples may last: an interrupt that comes just before it is noticed after
 * it. */
#define POLL_MS 250

struct sample_args {
	struct kb_general_args general;
	struct kb_target_args target;
	struct kb_collect_args collect;
	struct kb_flight_args flight;
	struct kb_view_args view;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct sample_args *args = state->input;

	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &args->target;
	state->child_inputs[1] = &args->collect;
	state->child_inputs[2] = &args->flight;
	state->child_inputs[3] = &args->view;
	state->child_inputs[4] = &args->general;
	return 0;
}

static const struct argp_child children[] = {
	{ &kb_target_argp, 0, "Target, one of these or -- COMMAND:", 1 },
	{ &kb_collect_argp, 0, "Collecting:", 2 },
	{ &kb_flight_argp, 0, NULL, 2 },
	{ &kb_view_argp, 0, "Result:", 3 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Samples the Python stacks of running threads and shows where the time goes. The target is "
	"neither stopped nor changed; processes that start, fork or execute meanwhile are "
	"followed. Observing needs root, or the capabilities that 'keelback doctor' names."
	"\v"
	"Examples:\n"
	"  keelback sample -- python3 program.py            run it; a table when it ends\n"
	"  keelback sample -p 4711 -d 10 -o out.html        flame graph of 10 seconds\n"
	"  keelback sample --container web -d 60 -o web.kb  record, for keelback convert\n"
	"  keelback sample -a -d 5 --processes -f collapsed | grep worker\n\n"
	"The table is of functions: samples in the function itself and (cumulative) in what it "
	"calls, their share, and the time that they stand for. The last line, on stderr, is the "
	"ledger: every sample that was attempted and what became of it.\n\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage, 4 not possible here; with -- COMMAND its "
	"own, "
	"128+N if signal N ended it.";

static const struct argp argp = { .parser = parse,
				  .args_doc = "TARGET\n-- COMMAND [ARG...]",
				  .doc = doc,
				  .children = children,
				  .help_filter = kb_view_args__help };

/* A run, from its checked arguments to its end. */
struct run {
	const struct sample_args *args;
	const struct kb_format *format;
	struct kb_target *target;
	struct kb_output *output;    /* NULL with a recording */
	struct kb_profile *baseline; /* NULL without one */
	struct kb_sampler *sampler;
	struct kb_launched launched;
};

static void say_start(const struct run *run)
{
	const struct kb_general_args *general = &run->args->general;
	struct kb_sampler_stats stats = { .size = sizeof(stats) };

	if (general->quiet || (!general->verbose && !isatty(STDERR_FILENO)))
		return;
	kb_sampler__stats(run->sampler, &stats);
	kb_say("sampling %s: %s; Ctrl-C ends it", kb_target__describe(run->target),
	       stats.clock ? stats.clock : "");
}

static struct kb_error *collect(struct run *run)
{
	double duration = run->args->collect.duration;
	uint64_t now, end = UINT64_MAX;
	struct kb_realtime realtime;
	struct kb_flight flight = { .args = &run->args->flight,
				    .view = &run->args->view,
				    .general = &run->args->general,
				    .format = run->format,
				    .sampler = run->sampler };
	bool done = false;

	KB_TRY(kb_sampler__start(run->sampler));
	kb_realtime__start(&realtime, run->sampler);
	say_start(run);
	now = kb_now(CLOCK_MONOTONIC);
	if (duration > 0)
		end = now + (uint64_t)(duration * KB_NS_PER_SECOND);
	while (!done && now < end && !kb_launched__interrupt(&run->launched)) {
		uint64_t left = (end - now + KB_NS_PER_MS - 1) / KB_NS_PER_MS;

		KB_TRY(kb_sampler__poll(run->sampler, left < POLL_MS ? left : POLL_MS, &done));
		KB_TRY(kb_flight__look(&flight));
		if (run->args->flight.realtime)
			kb_realtime__look(&realtime);
		now = kb_now(CLOCK_MONOTONIC);
	}
	return NULL;
}

static void say_ledger(const struct kb_profile *profile)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return;
	kb_report__ledger(profile, stream);
	if (fclose(stream) == 0)
		kb_say("%s", text);
	free(text);
}

static struct kb_error *write_profile(struct run *run, const struct kb_profile *profile)
{
	struct kb_format_opts opts = kb_view_args__opts(&run->args->view, &run->args->general);
	struct kb_error *err;

	opts.baseline = run->baseline;
	if (run->output) {
		err = kb_format__write(run->format, profile, &opts, kb_output__stream(run->output));
		KB_TRY(kb_output__commit(run->output, err));
	}
	if (run->args->view.browser)
		kb_browser__open(run->args->view.output);
	if (!run->args->general.quiet)
		say_ledger(profile);
	return NULL;
}

static struct kb_error *write_report(struct run *run)
{
	struct kb_profile *last;
	struct kb_error *err;

	if (!run->args->flight.keep_s)
		return write_profile(run, kb_sampler__profile(run->sampler));
	KB_TRY(kb_sampler__last(run->sampler, &last));
	err = write_profile(run, last);
	kb_profile__destroy(last);
	return err;
}

static struct kb_error *sample(struct run *run, int *status)
{
	struct kb_error *err = collect(run);

	err = kb_error__first(err, kb_sampler__stop(run->sampler));
	if (!err)
		err = write_report(run);
	if (!err)
		*status = kb_launched__await(&run->launched, run->args->general.quiet);
	return err;
}

static struct kb_error *open_run(struct run *run)
{
	const struct sample_args *args = run->args;
	struct kb_target_opts target_opts = kb_target_args__opts(&args->target);
	struct kb_sample_opts opts = kb_collect_args__opts(&args->collect);

	target_opts.tid = args->collect.tid;
	/* Without times the Firefox Profiler has nothing to draw on its main axis. */
	opts.timeline = args->flight.timeline || !strcmp(run->format->name, "gecko");
	opts.keep_s = args->flight.keep_s;
	/* Recordings go to their file at once; other formats, and recordings through a pipe, at the
	 * end. */
	if (!strcmp(run->format->name, "recording") && !kb_view_args__to_stdout(&args->view) &&
	    !opts.keep_s)
		opts.recording = args->view.output;
	if (opts.recording)
		KB_TRY(kb_output__check(opts.recording));
	KB_TRY(kb_view_args__load_baseline(&args->view, &run->baseline));
	KB_TRY(kb_target__create(&target_opts, &run->target));
	if (!opts.recording)
		KB_TRY(kb_output__open(args->view.output, &run->output));
	KB_TRY(kb_sampler__create(run->target, &opts, &run->sampler));
	kb_launched__of_sampler(&run->launched, run->sampler);
	/* Before hours of sampling, not after them. */
	if (run->baseline)
		return kb_error__prefix(
			kb_diff__check(run->baseline, kb_sampler__profile(run->sampler)),
			"--baseline '%s'", args->view.baseline);
	return NULL;
}

static struct kb_error *check(const struct sample_args *args)
{
	if (!args->target.given)
		return kb_usage("no target: give --pid, --container, --cgroup, --all or -- COMMAND "
				"(see 'keelback sample --help')");
	KB_TRY(kb_flight__check(&args->flight, &args->view));
	return kb_collect_args__check(&args->collect);
}

static struct kb_error *run_sample(const struct sample_args *args, int *status)
{
	struct run run = { .args = args };
	struct kb_error *err;

	KB_TRY(check(args));
	KB_TRY(kb_view_args__format(&args->view, &run.format));
	kb_report__start(&args->general);
	if (args->flight.keep_s)
		kb_flight__install();
	err = open_run(&run);
	if (!err)
		err = sample(&run, status);
	if (run.sampler)
		kb_sampler__destroy(run.sampler);
	kb_output__destroy(run.output);
	kb_target__destroy(run.target);
	kb_profile__destroy(run.baseline);
	return err;
}

struct kb_error *kb_command__sample(int argc, char **argv, int *status)
{
	struct sample_args args = { .view = KB_VIEW_ARGS_INIT };
	bool done = false;
	struct kb_error *err;

	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	args.view.opcodes = args.collect.opcodes;
	if (!err && !done)
		err = run_sample(&args, status);
	kb_target_args__free(&args.target);
	return err;
}
