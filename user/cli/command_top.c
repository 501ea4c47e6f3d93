// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/launched.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/values.h"
#include "keelback/inspect.h"
#include "keelback/sample.h"
#include "tui/screen.h"
#include "tui/top.h"

#define DELAY_DEFAULT 1
#define BATCH_MAX     1000000
#define LIMIT_DEFAULT 15
#define LIMIT_MAX     1000000
#define OUTPUT_LINES  20 /* of a command that failed, shown when the view is gone */

struct top_args {
	struct kb_general_args general;
	struct kb_target_args target;
	struct kb_collect_args collect;
	double delay, window; /* 0: not given */
	int sort;
	bool reverse, lines;
	const char *filter, *command_output;
	long batch, limit; /* -1: not given */
};

enum {
	KEY_DELAY = 512,
	KEY_WINDOW,
	KEY_SORT,
	KEY_REVERSE,
	KEY_FILTER,
	KEY_LINES,
	KEY_BATCH,
	KEY_LIMIT,
	KEY_COMMAND_OUTPUT,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "View, which keys can change:", 3 },
	{ "delay", KEY_DELAY, "SECONDS", 0, "Between refreshes, 0.1 to 60; 1 by default", 0 },
	{ "sort", KEY_SORT, "KEY", 0,
	  "By self (the default), self%, total, total%, now, trend, name or file", 0 },
	{ "reverse", KEY_REVERSE, NULL, 0, "In the opposite order", 0 },
	{ "filter", KEY_FILTER, "REGEX", 0,
	  "Only rows whose 'function (file:line)' matches this extended regular expression", 0 },
	{ "lines", KEY_LINES, NULL, 0, "A row for each line, not for each function", 0 },
	{ "window", KEY_WINDOW, "SECONDS", 0, "Show the last SECONDS, 1 to 300; else all", 0 },
	{ "batch", KEY_BATCH, "N", 0, "No terminal: print N refreshes as text", 0 },
	{ "limit", KEY_LIMIT, "N", 0, "With --batch: at most N rows, 15 by default; 0: all", 0 },
	{ "command-output", KEY_COMMAND_OUTPUT, "FILE", 0,
	  "Where a command writes to; else to a panel of the view", 0 },
	{},
};

static error_t parse_view(int key, char *arg, struct argp_state *state)
{
	struct top_args *args = state->input;

	switch (key) {
	case KEY_DELAY:
		return kb_cli__fail(state, kb_value__seconds("--delay", arg, &args->delay));
	case KEY_WINDOW:
		return kb_cli__fail(state, kb_value__seconds("--window", arg, &args->window));
	case KEY_SORT:
		return kb_cli__fail(
			state, kb_value__choice("--sort", arg, kb_sort_key_names, &args->sort));
	case KEY_REVERSE:
		args->reverse = true;
		return 0;
	case KEY_FILTER:
		args->filter = arg;
		return 0;
	case KEY_LINES:
		args->lines = true;
		return 0;
	case KEY_BATCH:
		return kb_cli__fail(state,
				    kb_value__integer("--batch", arg, 1, BATCH_MAX, &args->batch));
	case KEY_LIMIT:
		return kb_cli__fail(state,
				    kb_value__integer("--limit", arg, 0, LIMIT_MAX, &args->limit));
	case KEY_COMMAND_OUTPUT:
		args->command_output = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct top_args *args = state->input;

	if (key != ARGP_KEY_INIT)
		return parse_view(key, arg, state);
	state->child_inputs[0] = &args->target;
	state->child_inputs[1] = &args->collect;
	state->child_inputs[2] = &args->general;
	return 0;
}

static const struct argp_child children[] = {
	{ &kb_target_argp, 0, "Target, one of these or -- COMMAND:", 1 },
	{ &kb_collect_argp, 0, "Collecting:", 2 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Shows live, in the terminal, where the time of running Python programs goes: functions or "
	"lines, their callers and callees, by thread and process. The target is neither stopped "
	"nor changed. Keys sort, filter, freeze and save; h lists them, q quits."
	"\v"
	"Examples:\n"
	"  keelback top -p 4711                      a process\n"
	"  keelback top --container web --window 10  what a container does now\n"
	"  keelback top -- python3 program.py        run it; what it writes is one of the panels\n"
	"  keelback top -a --batch 1 --delay 5       5 seconds of the machine, as text\n\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage, 4 not possible here; with -- COMMAND its "
	"own, "
	"128+N if signal N ended it.";

static const struct argp argp = { .options = options,
				  .parser = parse,
				  .args_doc = "TARGET\n-- COMMAND [ARG...]",
				  .doc = doc,
				  .children = children };

struct run {
	const struct top_args *args;
	struct kb_target *target;
	struct kb_sampler *sampler;
	struct kb_console *console;
	struct kb_launched launched;
};

static int interrupted(void *context)
{
	struct run *run = context;

	return kb_launched__interrupt(&run->launched);
}

static struct kb_error *save(const char *path, const struct kb_profile *profile, void *context)
{
	struct run *run = context;
	struct kb_view_args view = KB_VIEW_ARGS_INIT;
	struct kb_format_opts opts = kb_view_args__opts(&view, &run->args->general);
	const struct kb_format *format = kb_format__by_path(path);
	struct kb_output *output;
	struct kb_error *err;

	opts.color = false;
	KB_TRY(kb_format__check(format, &opts));
	KB_TRY(kb_output__open(path, &output));
	err = kb_output__commit(
		output, kb_format__write(format, profile, &opts, kb_output__stream(output)));
	kb_output__destroy(output);
	return err;
}

/* Before anything is attached. */
static struct kb_error *check_filter(const char *pattern)
{
	struct kb_row_order order = {};
	struct kb_error *err = kb_error__prefix(kb_row_order__filter(&order, pattern), "--filter");

	kb_row_order__free(&order);
	return err;
}

static struct kb_error *check(const struct top_args *args)
{
	bool batch = args->batch > 0;

	if (!args->target.given)
		return kb_usage("no target: give --pid, --container, --cgroup, --all or -- COMMAND "
				"(see 'keelback top --help')");
	if (args->delay && (args->delay < KB_TOP_DELAY_MIN || args->delay > KB_TOP_DELAY_MAX))
		return kb_usage("--delay: %g is not from %g to %d seconds", args->delay,
				KB_TOP_DELAY_MIN, KB_TOP_DELAY_MAX);
	if (args->window && (args->window < 1 || args->window > KB_HISTORY_SECONDS))
		return kb_usage("--window: %g is not from 1 to %d seconds", args->window,
				KB_HISTORY_SECONDS);
	if (args->limit >= 0 && !batch)
		return kb_usage("--limit goes with --batch");
	if (args->filter)
		KB_TRY(check_filter(args->filter));
	if (args->command_output && !args->target.argv)
		return kb_usage("--command-output goes with -- COMMAND");
	if (!batch && !isatty(STDOUT_FILENO))
		return kb_usage("stdout is no terminal: give --batch N for text, or use 'keelback "
				"sample'");
	return kb_collect_args__check(&args->collect);
}

static struct kb_error *open_run(struct run *run)
{
	const struct top_args *args = run->args;
	struct kb_target_opts target_opts = kb_target_args__opts(&args->target);
	struct kb_sample_opts opts = kb_collect_args__opts(&args->collect);

	target_opts.tid = args->collect.tid;
	opts.states = true;
	if (args->target.argv) {
		if (args->command_output)
			KB_TRY(kb_output__check(args->command_output));
		KB_TRY(kb_console__open(args->command_output, &run->console));
		target_opts.stdio = run->console->stdio;
	}
	KB_TRY(kb_target__create(&target_opts, &run->target));
	KB_TRY(kb_sampler__create(run->target, &opts, &run->sampler));
	kb_launched__of_sampler(&run->launched, run->sampler);
	return NULL;
}

static void say(int level, const char *line, void *context)
{
	kb_say("%s%s", level ? "" : "warning: ", line);
}

static struct kb_error *watch(struct run *run, struct kb_top_result *result)
{
	const struct top_args *args = run->args;
	struct kb_top_opts opts = {
		.sampler = run->sampler,
		.target = kb_target__describe(run->target),
		.duration = args->collect.duration,
		.delay = args->delay ? args->delay : DELAY_DEFAULT,
		.window = args->window,
		.by_lines = args->lines,
		.opcodes = args->collect.opcodes,
		.color = kb_use_color(args->general.color, NULL),
		.sort = args->sort,
		.reversed = args->reverse,
		.filter = args->filter,
		.console = run->console,
		.interrupted = interrupted,
		.save = save,
		.context = run,
	};
	struct kb_error *err;

	if (args->batch > 0)
		return kb_top__batch(&opts, args->batch,
				     args->limit < 0 ? LIMIT_DEFAULT : args->limit, stdout);
	kb_interrupt__on_abandon(kb_screen__restore);
	if (!args->general.quiet)
		kb_log__set(kb_top__log, NULL, args->general.verbose);
	err = kb_top__run(&opts, result);
	kb_report__start(&args->general);
	kb_top__replay(say, NULL);
	return err;
}

/* The last lines of a command that failed: the view has gone, and with it the reason. */
static void show_failure(struct run *run, int status)
{
	uint32_t n;

	if (!run->console || run->console->to_file || !status || run->args->general.quiet)
		return;
	kb_console__read(run->console);
	n = kb_console__count(run->console);
	if (n)
		kb_say("the command ended with status %d; its last lines:", status);
	for (uint32_t i = n > OUTPUT_LINES ? n - OUTPUT_LINES : 0; i < n; i++)
		kb_say("| %s", kb_console__line(run->console, i));
}

/* The command runs on when the view is left, unless it was told to end. */
static int leave(struct run *run, const struct kb_top_result *result)
{
	pid_t pid = kb_sampler__command_pid(run->sampler);
	bool runs = pid > 0 && kb_sampler__command_status(run->sampler) < 0;
	int status;

	if (runs && (result->end_command || run->args->batch > 0))
		kill(pid, SIGTERM);
	else if (runs && !run->args->general.quiet)
		kb_say("waiting for the command");
	if (runs && !run->console->to_file && !run->args->batch)
		kb_console__pass_on(run->console, pid);
	status = kb_launched__await(&run->launched, true);
	if (!result->end_command && run->args->batch <= 0)
		show_failure(run, status);
	return status;
}

static struct kb_error *run_top(const struct top_args *args, int *status)
{
	struct run run = { .args = args };
	struct kb_top_result result = {};
	struct kb_error *err;

	KB_TRY(check(args));
	kb_report__start(&args->general);
	err = open_run(&run);
	if (!err)
		err = watch(&run, &result);
	if (!err)
		*status = leave(&run, &result);
	if (run.sampler)
		kb_sampler__destroy(run.sampler);
	kb_target__destroy(run.target);
	kb_console__destroy(run.console);
	return err;
}

struct kb_error *kb_command__top(int argc, char **argv, int *status)
{
	struct top_args args = { .batch = -1, .limit = -1 };
	bool done = false;
	struct kb_error *err;

	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	if (!err && !done)
		err = run_top(&args, status);
	kb_target_args__free(&args.target);
	return err;
}
