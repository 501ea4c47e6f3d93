// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/calls_view.h"
#include "cli/command.h"
#include "cli/launched.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/values.h"
#include "keelback/call_counter.h"

#define POLL_MS 250 /* how long an interrupt may go unnoticed */

/* Of the program's time; what is shown of -p and others without a choice of their own. */
#define DUTY_DEFAULT 0.02

struct calls_args {
	struct kb_general_args general;
	struct kb_target_args target;
	struct kb_calls_view_args view;
	double duration; /* seconds, 0: without end */
	double duty;	 /* 0: not given */
	int timing;	 /* enum kb_calls_timing; -1: not given */
	int clock;	 /* enum kb_calls_clock */
	uint64_t window_ns;
	long rate_hz;
	long tid;
	bool exact, builtins, as_sampled;
	const char *functions[KB_CALLS_CHOSEN_FUNCTIONS];
	size_t n_functions;
};

enum {
	KEY_TIME = 512,
	KEY_CLOCK,
	KEY_DUTY,
	KEY_EXACT,
	KEY_BUILTINS,
	KEY_WINDOW,
	KEY_FUNCTION,
	KEY_AS_SAMPLED
};

static const struct argp_option options[] = {
	{ "duration", 'd', "SECONDS", 0,
	  "Count for so long, such as 10 or 0.5; else until the command ends, or Ctrl-C", 0 },
	{ "exact", KEY_EXACT, NULL, 0,
	  "All calls, at about a microsecond each; the default with -- COMMAND", 0 },
	{ "duty", KEY_DUTY, "PERCENT", 0,
	  "Count in short windows, so far apart that the program becomes slower by this much at "
	  "most, such as 2%; the default of other targets is 2%",
	  0 },
	{ "window", KEY_WINDOW, "DURATION", 0, "Length of a window, 1ms to 10s (default: 20ms)",
	  0 },
	{ "time", KEY_TIME, "HOW", 0,
	  "Where times come from. sampled (default): from samples of the program's own time, "
	  "without that of the probes; measured: each call clocked, the probes' cost subtracted; "
	  "none: counts alone",
	  0 },
	{ "clock", KEY_CLOCK, "CLOCK", 0, "wall (default), or cpu: time on a processor", 0 },
	{ "rate", 'r', "HZ", 0,
	  "Samples per second and thread for --time sampled (default: 1000, or what a quarter of "
	  "--duty pays for)",
	  0 },
	{ "as-sampled", KEY_AS_SAMPLED, NULL, 0,
	  "Leave sampled times as they are; else the target's interpreter is run for three seconds "
	  "at "
	  "the end, to see how much slower a program is after a probe, and that is taken off",
	  0 },
	{ "tid", 't', "TID", 0, "Only this thread, by host TID", 0 },
	{ "builtins", KEY_BUILTINS, NULL, 0,
	  "C functions and methods, too, as cProfile names them. Their calls cost as much as "
	  "Python's; their time is part of their callers'",
	  0 },
	{ "function", KEY_FUNCTION, "MODULE:NAME|FILE:LINE", 0,
	  "Only this function, such as __main__:work or json.decoder:JSONDecoder.decode, or this "
	  "line, at a hardware breakpoint: every call, who called, and how long it took; nothing "
	  "else becomes slower. Up to four times",
	  0 },
	{},
};

static struct kb_error *parse_percent(const char *text, double *share)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || (strcmp(end, "%") && *end) || !(value >= 0.01 && value <= 100))
		return kb_usage("--duty: '%s' is no percentage from 0.01%% to 100%%", text);
	*share = value / 100;
	return NULL;
}

static struct kb_error *add_function(struct calls_args *args, const char *name)
{
	if (args->n_functions == KB_CALLS_CHOSEN_FUNCTIONS)
		return kb_usage("--function: at most %d: a thread has no more hardware breakpoints",
				KB_CALLS_CHOSEN_FUNCTIONS);
	args->functions[args->n_functions++] = name;
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	static const char *const timings[] = { "none", "sampled", "measured", NULL };
	static const char *const clocks[] = { "wall", "cpu", NULL };
	struct calls_args *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->target;
		state->child_inputs[1] = &args->view;
		state->child_inputs[2] = &args->general;
		return 0;
	case 'd':
		return kb_cli__fail(state, kb_value__seconds("--duration", arg, &args->duration));
	case 'r':
		return kb_cli__fail(
			state, kb_value__integer("--rate", arg, 1, KB_RATE_MAX, &args->rate_hz));
	case 't':
		return kb_cli__fail(state,
				    kb_value__integer("--tid", arg, 1, KB_PID_LARGEST, &args->tid));
	case KEY_EXACT:
		args->exact = true;
		return 0;
	case KEY_BUILTINS:
		args->builtins = true;
		return 0;
	case KEY_AS_SAMPLED:
		args->as_sampled = true;
		return 0;
	case KEY_FUNCTION:
		return kb_cli__fail(state, add_function(args, arg));
	case KEY_DUTY:
		return kb_cli__fail(state, parse_percent(arg, &args->duty));
	case KEY_WINDOW:
		return kb_cli__fail(state, kb_value__duration("--window", arg, &args->window_ns));
	case KEY_TIME:
		return kb_cli__fail(state, kb_value__choice("--time", arg, timings, &args->timing));
	case KEY_CLOCK:
		return kb_cli__fail(state, kb_value__choice("--clock", arg, clocks, &args->clock));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{ &kb_target_argp, 0, "Target, one of these or -- COMMAND:", 1 },
	{ &kb_calls_view_argp, 0, "Result:", 3 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Counts the calls of Python functions, as cProfile does, in programs that are not prepared "
	"for it and run already: how often each was called, by whom, and how long it took. The "
	"target is not stopped; while it is counted each call costs it about a microsecond."
	"\v"
	"Examples:\n"
	"  keelback calls -- python3 program.py              every call, sorted by time\n"
	"  keelback calls -p 4711 -d 10                      in windows, 2% slower at most\n"
	"  keelback calls -p 4711 -d 1 --exact -o one.pstats all calls of a second, for pstats\n"
	"  keelback calls -s ncalls --restrict 20 -- python3 program.py\n"
	"  keelback calls --builtins -s ncalls -- python3 program.py\n"
	"  keelback calls -p 4711 --function app.db:query    one function, with its latencies\n\n"
	"The table is that of Python's pstats: ncalls (all/without recursion), tottime in the "
	"function itself, cumtime with what it called. With windows, calls are those of the "
	"windows, and calls/s what they come to, with a 95% confidence interval. The ledger at "
	"the "
	"end says what became of every call that was seen.\n\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage, 4 not possible here; with -- COMMAND its "
	"own, 128+N if signal N ended it.";

static const struct argp argp = { .options = options,
				  .parser = parse,
				  .args_doc = "TARGET\n-- COMMAND [ARG...]",
				  .doc = doc,
				  .children = children,
				  .help_filter = kb_calls_view_args__help };

/* A run, from its checked arguments to its end. */
struct run {
	const struct calls_args *args;
	const struct kb_format *format;
	struct kb_target *target;
	struct kb_call_counter *counter;
	struct kb_launched launched;
};

static pid_t command_pid(const void *counter)
{
	return kb_call_counter__command_pid(counter);
}

static int command_status(const void *counter)
{
	return kb_call_counter__command_status(counter);
}

static struct kb_error *check(struct calls_args *args)
{
	if (!args->target.given)
		return kb_usage("no target: give --pid, --container, --cgroup, --all or -- COMMAND "
				"(see 'keelback calls --help')");
	if (args->n_functions && (args->exact || args->duty > 0 || args->window_ns ||
				  args->rate_hz || args->timing > KB_CALLS_UNTIMED || args->clock))
		return kb_usage("--function counts all calls and clocks them by the wall: of "
				"--exact, --duty, --window, --rate, --time and --clock only --time "
				"none goes with it");
	if (args->n_functions && args->builtins)
		return kb_usage("--function and --builtins exclude each other: C functions have no "
				"bytecode that could be watched");
	if (args->n_functions && args->timing < 0)
		args->timing = KB_CALLS_MEASURED;
	if (args->n_functions)
		return NULL;
	if (args->exact && args->duty > 0)
		return kb_usage("--exact and --duty exclude each other");
	if (args->window_ns && (args->window_ns < KB_NS_PER_MS ||
				args->window_ns > KB_CALL_WINDOW_MS_MAX * KB_NS_PER_MS))
		return kb_usage("--window: 1ms to 10s");
	if (args->timing < 0)
		args->timing = KB_CALLS_SAMPLED;
	if (args->rate_hz && args->timing != KB_CALLS_SAMPLED)
		return kb_usage("--rate needs --time sampled");
	if (args->timing == KB_CALLS_MEASURED && args->duty > 0)
		return kb_usage("--duty does not go with --time measured, which needs whole calls");
	if (!args->exact && !args->duty && !args->target.argv && args->timing != KB_CALLS_MEASURED)
		args->duty = DUTY_DEFAULT;
	if (args->window_ns && !args->duty)
		return kb_usage("--window needs --duty");
	return NULL;
}

static struct kb_error *open_run(struct run *run)
{
	const struct calls_args *args = run->args;
	struct kb_target_opts target = kb_target_args__opts(&args->target);
	struct kb_call_counter_opts opts = {
		.size = sizeof(opts),
		.timing = args->timing,
		.clock = args->clock,
		.duty = args->duty,
		.window_ms = args->window_ns / KB_NS_PER_MS,
		.builtins = args->builtins,
		.rate_hz = args->rate_hz,
		.as_sampled = args->as_sampled,
		.functions = args->functions,
		.n_functions = args->n_functions,
	};

	target.tid = args->tid;
	if (!kb_calls_view_args__to_stdout(&args->view))
		KB_TRY(kb_output__check(args->view.output));
	KB_TRY(kb_target__create(&target, &run->target));
	KB_TRY(kb_call_counter__create(run->target, &opts, &run->counter));
	run->launched = (struct kb_launched){ .session = run->counter,
					      .pid = command_pid,
					      .status = command_status };
	return NULL;
}

static void say_start(const struct run *run)
{
	const struct kb_general_args *general = &run->args->general;

	if (general->quiet || (!general->verbose && !isatty(STDERR_FILENO)))
		return;
	if (run->args->n_functions)
		kb_say("counting %zu function%s of %s; Ctrl-C ends it", run->args->n_functions,
		       run->args->n_functions > 1 ? "s" : "", kb_target__describe(run->target));
	else if (run->args->duty > 0)
		kb_say("counting calls of %s in windows, at most %g%% of its time; Ctrl-C ends it",
		       kb_target__describe(run->target), run->args->duty * 100);
	else
		kb_say("counting all calls of %s; Ctrl-C ends it",
		       kb_target__describe(run->target));
}

static struct kb_error *collect(struct run *run)
{
	uint64_t now, end = UINT64_MAX;
	bool done = false;

	KB_TRY(kb_call_counter__start(run->counter));
	say_start(run);
	now = kb_now(CLOCK_MONOTONIC);
	if (run->args->duration > 0)
		end = now + (uint64_t)(run->args->duration * KB_NS_PER_SECOND);
	while (!done && now < end && !kb_launched__interrupt(&run->launched)) {
		KB_TRY(kb_call_counter__poll(run->counter, kb_ms_until(now, end, POLL_MS), &done));
		now = kb_now(CLOCK_MONOTONIC);
	}
	return NULL;
}

static struct kb_error *report(struct run *run)
{
	const struct kb_calls *calls = kb_call_counter__calls(run->counter);
	struct kb_calls_view_args view = run->args->view;

	if (!view.sort)
		view.sort = run->args->timing == KB_CALLS_UNTIMED || run->args->n_functions
				    ? "ncalls"
				    : "cumulative";
	return kb_calls_view_args__write(&view, run->format, calls);
}

static struct kb_error *count(struct run *run, int *status)
{
	struct kb_error *err = collect(run);

	err = kb_error__first(err, kb_call_counter__stop(run->counter));
	if (!err)
		err = report(run);
	if (!err)
		*status = kb_launched__await(&run->launched, run->args->general.quiet);
	return err;
}

static struct kb_error *run_calls(struct calls_args *args, int *status)
{
	struct run run = { .args = args };
	struct kb_error *err;

	KB_TRY(check(args));
	KB_TRY(kb_calls_view_args__format(&args->view, &run.format));
	kb_report__start(&args->general);
	err = open_run(&run);
	if (!err)
		err = count(&run, status);
	kb_call_counter__destroy(run.counter);
	kb_target__destroy(run.target);
	return err;
}

struct kb_error *kb_command__calls(int argc, char **argv, int *status)
{
	struct calls_args args = { .timing = -1 };
	bool done = false;
	struct kb_error *err;

	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	if (!err && !done)
		err = run_calls(&args, status);
	kb_calls_view_args__free(&args.view);
	kb_target_args__free(&args.target);
	return err;
}
