// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/census_watch.h"
#include "cli/command.h"
#include "cli/format_list.h"
#include "cli/launched.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/values.h"
#include "keelback/refs.h"

#define POLL_MS	       250 /* how long an interrupt may go unnoticed */
#define LIMIT	       20
#define LIMIT_MAX      1000000
#define FRAMES_MAX     2048
#define RATE_NS	       KB_NS_PER_SECOND
#define RATE_WARN      50000 /* events a second: some 5 to 10 % of a CPU */
#define EVENT_NS_LEAST 2000  /* of a probe, its counts and the stack; docs/OVERHEAD.md */

struct refs_args {
	struct kb_general_args general;
	struct kb_target_args target;
	double duration; /* seconds, 0: without end */
	const char *output, *format, *type;
	int order; /* enum kb_refs_order, -1: not given */
	bool stacks, created, no_summary;
	long limit, live_max; /* -1: not given */
	bool census;
	double every; /* seconds, 0: not given */
};

enum {
	KEY_SORT = 512,
	KEY_TYPE,
	KEY_LIMIT,
	KEY_CREATED,
	KEY_LIVE_MAX,
	KEY_CENSUS,
	KEY_EVERY,
	KEY_NO_SUMMARY,
	KEY_STACKS,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "What:", 2 },
	{ "duration", 'd', "SECONDS", 0,
	  "Count for so long, such as 10 or 0.5; else until the target ends, or Ctrl-C", 0 },
	{ "stacks", KEY_STACKS, NULL, 0, "Whole stacks, not the line alone", 0 },
	{ "created", KEY_CREATED, NULL, 0,
	  "Only objects that are created: half of the cost or less", 0 },
	{ "live-max", KEY_LIVE_MAX, "N", 0,
	  "Follow at most N live objects (default: 2097152); 16 bytes each, and some 80 more when "
	  "there is one",
	  0 },
	{ "census", KEY_CENSUS, NULL, 0,
	  "Growth by type, from censuses of the heap: works on every build, without a probe, and "
	  "sees what is there and not what comes and goes",
	  0 },
	{ "every", KEY_EVERY, "TIME", 0,
	  "--census: again and again, such as 10s; else once at the end", 0 },
	{ NULL, 0, NULL, 0, "Result:", 3 },
	{ "output", 'o', "FILE", 0, "Write to FILE; - is stdout, the default", 0 },
	{ "format", 'f', "NAME", 0, "One of the formats below; else FILE's ending chooses", 0 },
	{ "sort", KEY_SORT, "KEY", 0,
	  "By created (the default), destroyed or alive; collapsed: what is counted", 0 },
	{ "type", KEY_TYPE, "PATTERN", 0, "Only types whose names are like this: 'app.*'", 0 },
	{ "limit", KEY_LIMIT, "N", 0, "Table: at most N types and lines (default: 20); 0: all", 0 },
	{ "no-summary", KEY_NO_SUMMARY, NULL, 0, "Table: leave out processes and ledger", 0 },
	{},
};

static error_t parse_value(int key, char *arg, struct argp_state *state)
{
	static const char *const orders[] = { "created", "destroyed", "alive", NULL };
	struct refs_args *args = state->input;

	switch (key) {
	case 'd':
		return kb_cli__fail(state, kb_value__seconds("--duration", arg, &args->duration));
	case KEY_SORT:
		return kb_cli__fail(state, kb_value__choice("--sort", arg, orders, &args->order));
	case KEY_LIMIT:
		return kb_cli__fail(state,
				    kb_value__integer("--limit", arg, 0, LIMIT_MAX, &args->limit));
	case KEY_LIVE_MAX:
		return kb_cli__fail(state, kb_value__integer("--live-max", arg, 16,
							     KB_REFS_OBJECTS_MAX, &args->live_max));
	case KEY_EVERY:
		return kb_cli__fail(state, kb_census_watch__every(arg, &args->every));
	case KEY_TYPE:
		args->type = arg;
		return *arg ? 0 : kb_cli__fail(state, kb_usage("--type: no pattern"));
	case 'o':
		args->output = arg;
		return *arg ? 0 : kb_cli__fail(state, kb_usage("--output: no file name"));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct refs_args *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->target;
		state->child_inputs[1] = &args->general;
		return 0;
	case 'f':
		args->format = arg;
		return 0;
	case KEY_STACKS:
		args->stacks = true;
		return 0;
	case KEY_CREATED:
		args->created = true;
		return 0;
	case KEY_CENSUS:
		args->census = true;
		return 0;
	case KEY_NO_SUMMARY:
		args->no_summary = true;
		return 0;
	default:
		return parse_value(key, arg, state);
	}
}

static const struct argp_child children[] = {
	{ &kb_target_argp, 0, "Target, one of these or -- COMMAND:", 1 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Counts the objects that Python programs create and destroy, by type and by the line that "
	"does it: what a PyRefTracer is told, in programs that are not prepared for it and run "
	"already. All objects are counted, or it says why that is not possible with this build of "
	"Python; --census works with all of them."
	"\v"
	"Formats:\n"
	"  table            .txt              text table of types, and of where objects come and "
	"go\n"
	"  json             .json             processes, types, rows with their frames, ledger\n"
	"  collapsed        .folded           a stack, its type and its objects on each line\n\n"
	"Examples:\n"
	"  keelback refs -p 4711 -d 5                      what comes and goes, and where\n"
	"  keelback refs -p 4711 -d 60 --sort alive        what came and stays\n"
	"  keelback refs --type 'app.*' --stacks -- python3 app.py\n"
	"  keelback refs -p 4711 --census --every 10s      growth by type, with any Python\n\n"
	"Each object costs the program some two microseconds when it comes and when it goes, and "
	"with Python 3.9 to 3.12 twelve when it goes.\n\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage, 4 not possible here; with -- COMMAND its "
	"own, 128+N if signal N ended it.";

static const struct argp argp = { .options = options,
				  .parser = parse,
				  .args_doc = "TARGET\n-- COMMAND [ARG...]",
				  .doc = doc,
				  .children = children };

/* ---------------------------------------------------------------- counting */

struct run {
	const struct refs_args *args;
	const struct kb_format *format;
	struct kb_target *target;
	struct kb_ref_counter *counter;
	struct kb_launched launched;
	uint64_t rate_at, events; /* as of the last look at how many there are */
	bool warned;
};

static pid_t command_pid(const void *counter)
{
	return kb_ref_counter__command_pid(counter);
}

static int command_status(const void *counter)
{
	return kb_ref_counter__command_status(counter);
}

static struct kb_error *open_run(struct run *run)
{
	const struct refs_args *args = run->args;
	struct kb_target_opts target = kb_target_args__opts(&args->target);
	struct kb_ref_counter_opts opts = {
		.size = sizeof(opts),
		.frames_max = args->stacks ? 0 : 1,
		.created_only = args->created,
		.objects_max = args->live_max > 0 ? args->live_max : 0,
	};

	if (args->output && strcmp(args->output, "-"))
		KB_TRY(kb_output__check(args->output));
	KB_TRY(kb_target__create(&target, &run->target));
	KB_TRY(kb_ref_counter__create(run->target, &opts, &run->counter));
	run->launched = (struct kb_launched){ .session = run->counter,
					      .pid = command_pid,
					      .status = command_status };
	return NULL;
}

/* What it costs the target is not to be found out afterwards. */
static void look_at_rate(struct run *run, uint64_t now)
{
	uint64_t events, rate;

	if (run->warned || now - run->rate_at < RATE_NS)
		return;
	events = kb_ref_counter__events(run->counter);
	rate = (events - run->events) * KB_NS_PER_SECOND / (now - run->rate_at);
	run->events = events;
	run->rate_at = now;
	if (rate < RATE_WARN)
		return;
	run->warned = true;
	if (!run->args->general.quiet)
		kb_say("warning: %llu objects a second come or go, which takes %.0f %% of a CPU or "
		       "more: count for a short time, or use --created or --census",
		       (unsigned long long)rate, rate * (EVENT_NS_LEAST / 1e7));
}

static struct kb_error *collect(struct run *run)
{
	const struct refs_args *args = run->args;
	uint64_t now, end = UINT64_MAX;
	bool done = false;

	KB_TRY(kb_ref_counter__start(run->counter));
	if (!args->general.quiet && (args->general.verbose || isatty(STDERR_FILENO)))
		kb_say("counting the objects of %s; Ctrl-C ends it",
		       kb_target__describe(run->target));
	now = run->rate_at = kb_now(CLOCK_MONOTONIC);
	if (args->duration > 0)
		end = now + (uint64_t)(args->duration * KB_NS_PER_SECOND);
	while (!done && now < end && !kb_launched__interrupt(&run->launched)) {
		KB_TRY(kb_ref_counter__poll(run->counter, kb_ms_until(now, end, POLL_MS), &done));
		now = kb_now(CLOCK_MONOTONIC);
		look_at_rate(run, now);
	}
	return NULL;
}

static struct kb_error *write_report(const struct run *run)
{
	const struct refs_args *args = run->args;
	struct kb_refs_view_opts opts = {
		.size = sizeof(opts),
		.order = args->order < 0 ? KB_REFS_BY_CREATED : args->order,
		.type = args->type,
		.limit = args->limit < 0 ? LIMIT : args->limit,
		.summary = !args->no_summary,
		.color = kb_use_color(args->general.color, args->output),
	};
	struct kb_output *output;
	struct kb_error *err;

	KB_TRY(kb_output__open(args->output, &output));
	err = kb_refs_format__write(run->format, kb_ref_counter__refs(run->counter), &opts,
				    kb_output__stream(output));
	err = kb_output__commit(output, err);
	kb_output__destroy(output);
	return err;
}

static struct kb_error *count(struct run *run, int *status)
{
	struct kb_error *err = collect(run);

	err = kb_error__first(err, kb_ref_counter__stop(run->counter));
	if (!err)
		err = write_report(run);
	if (!err)
		*status = kb_launched__await(&run->launched, run->args->general.quiet);
	return err;
}

static struct kb_error *run_count(const struct refs_args *args, const struct kb_format *format,
				  int *status)
{
	struct run run = { .args = args, .format = format };
	struct kb_error *err = open_run(&run);

	if (!err)
		err = count(&run, status);
	kb_ref_counter__destroy(run.counter);
	kb_target__destroy(run.target);
	return err;
}

/* ---------------------------------------------------------------- the command */

static struct kb_error *run_census(const struct refs_args *args)
{
	struct kb_census_watch watch = {
		.target = &args->target,
		.general = &args->general,
		.view = { .limit = args->limit < 0 ? LIMIT
				   : args->limit   ? (size_t)args->limit
						   : SIZE_MAX,
			  .type = args->type },
		.output = args->output,
		.json = args->format && !strcmp(args->format, "json"),
		/* Else once, at the end. */
		.every = args->every > 0      ? args->every
			 : args->duration > 0 ? args->duration
					      : KB_SECONDS_MAX,
		.duration = args->duration,
		.growth_only = true,
	};

	return kb_census_watch__run(&watch);
}

static struct kb_error *check_census(const struct refs_args *args)
{
	const char *counting = args->stacks	     ? "--stacks"
			       : args->created	     ? "--created"
			       : args->live_max >= 0 ? "--live-max"
			       : args->order >= 0    ? "--sort"
			       : args->no_summary    ? "--no-summary"
						     : NULL;

	if (!args->census)
		return args->every > 0 ? kb_usage("--every is for --census") : NULL;
	if (counting)
		return kb_usage("%s is for objects that are counted, not for --census", counting);
	if (args->target.argv)
		return kb_usage("--census is of processes that run already: give --pid, "
				"--container, --cgroup or --all");
	if (args->format && strcmp(args->format, "json") && strcmp(args->format, "table"))
		return kb_usage("--census has the formats table and json, not '%s'", args->format);
	return NULL;
}

static const struct kb_formats formats = { kb_refs_format__at, kb_refs_format__by_name,
					   kb_refs_format__by_path };

static struct kb_error *check(const struct refs_args *args, const struct kb_format **format)
{
	if (!args->target.given)
		return kb_usage("no target: give --pid, --container, --cgroup, --all or -- COMMAND "
				"(see 'keelback refs --help')");
	KB_TRY(check_census(args));
	if (args->created && args->order > KB_REFS_BY_CREATED)
		return kb_usage("--created does not see objects go: they cannot be sorted by that");
	KB_TRY(kb_formats__choose(&formats, args->format, args->output, format));
	if (args->limit >= 0 && strcmp((*format)->name, "table"))
		return kb_usage("--limit is for the format table, not for %s", (*format)->name);
	if (args->no_summary && strcmp((*format)->name, "table"))
		return kb_usage("--no-summary is for the format table, not for %s",
				(*format)->name);
	return NULL;
}

struct kb_error *kb_command__refs(int argc, char **argv, int *status)
{
	struct refs_args args = { .order = -1, .limit = -1, .live_max = -1 };
	const struct kb_format *format = NULL;
	bool done = false;
	struct kb_error *err;

	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	if (!err && !done) {
		kb_report__start(&args.general);
		err = check(&args, &format);
		if (!err)
			err = args.census ? run_census(&args) : run_count(&args, format, status);
	}
	kb_target_args__free(&args.target);
	return err;
}
