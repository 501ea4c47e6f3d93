// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/launched.h"
#include "cli/memory_blocks.h"
#include "cli/memory_view.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/values.h"
#include "cli/when.h"

#define POLL_MS 250 /* how long an interrupt, or a condition, may go unnoticed */

struct memory_args {
	struct kb_general_args general;
	struct kb_target_args target;
	struct kb_memory_view_args view;
	double duration; /* seconds, 0: without end */
	bool exact, growth, native, libc;
	long frames, live_max, duty, max_rate;
	double reset_peak_every; /* seconds, 0: never */
	struct kb_when_size when;
	struct kb_block_requests blocks;
	const char *load, *compare;
	bool partial;
	const char *other; /* the second file of --compare */
};

enum {
	KEY_EXACT = 512,
	KEY_GROWTH,
	KEY_FRAMES,
	KEY_LIVE_MAX,
	KEY_NATIVE,
	KEY_LIBC,
	KEY_DUTY,
	KEY_MAX_RATE,
	KEY_RESET_PEAK,
	KEY_WHEN,
	KEY_ADDRESS,
	KEY_LOAD,
	KEY_COMPARE,
	KEY_PARTIAL,
	KEY_CENSUS,
};

static const struct argp_option options[] = {
	{ "duration", 'd', "SECONDS", 0,
	  "Trace for so long, such as 10 or 0.5; else until the target ends, or Ctrl-C", 0 },
	{ "exact", KEY_EXACT, NULL, 0,
	  "Every block, or nothing. With -- COMMAND it is run with PYTHONMALLOC=malloc where its "
	  "Python has its allocator inlined",
	  0 },
	{ "growth", KEY_GROWTH, NULL, 0,
	  "New pools and arenas, and what goes to malloc: an estimate of growth, at a fraction of "
	  "the cost; the default where every block cannot be seen",
	  0 },
	{ "frames", KEY_FRAMES, "N", 0, "Cut stacks to their last N calls; else they are whole",
	  0 },
	{ "live-max", KEY_LIVE_MAX, "N", 0,
	  "Follow at most N live blocks (default: 2097152); 16 bytes each, and some 100 more when "
	  "there is one",
	  0 },
	{ "libc", KEY_LIBC, NULL, 0,
	  "Exact: also what extensions and libraries get from malloc themselves", 0 },
	{ "native", KEY_NATIVE, NULL, 0, "Native frames in stacks", 0 },
	{ "duty", KEY_DUTY, "PERCENT", 0, "Growth: trace only this share of each second", 0 },
	{ "max-rate", KEY_MAX_RATE, "N", 0,
	  "Growth: pause when there are more than N allocations and frees a second (default: "
	  "4500), each of which costs the target 3 to 4 us",
	  0 },
	{ "reset-peak-every", KEY_RESET_PEAK, "SECONDS", 0,
	  "The peak is that of the last so many seconds; SIGUSR2 resets it as well", 0 },
	{ "when", KEY_WHEN, "rss>SIZE", 0,
	  "Show what there is when the target has more (or <, less) in memory, such as rss>2G, and "
	  "end",
	  0 },
	{ "address", KEY_ADDRESS, "ADDRESS", 0,
	  "Show where the live block that has this address (such as an object's id()) was "
	  "allocated, instead; -: of addresses that come on stdin, at once",
	  0 },
	{ "census", KEY_CENSUS, NULL, 0,
	  "Count what is in the heap now, without a probe, instead: this is 'keelback census', and "
	  "takes its options",
	  0 },
	{ "load", KEY_LOAD, "FILE.kb", 0, "Show a recording instead of tracing", 0 },
	{ "compare", KEY_COMPARE, "OLD.kb", 0,
	  "Show what has changed from this recording to the one that --load names", 0 },
	{ "partial", KEY_PARTIAL, NULL, 0,
	  "--load: take a recording that was cut off, up to its last whole section", 0 },
	{},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct memory_args *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->target;
		state->child_inputs[1] = &args->view;
		state->child_inputs[2] = &args->general;
		return 0;
	case 'd':
		return kb_cli__fail(state, kb_value__seconds("--duration", arg, &args->duration));
	case KEY_EXACT:
		args->exact = true;
		return 0;
	case KEY_GROWTH:
		args->growth = true;
		return 0;
	case KEY_FRAMES:
		return kb_cli__fail(state,
				    kb_value__integer("--frames", arg, 1, 2048, &args->frames));
	case KEY_LIVE_MAX:
		return kb_cli__fail(state,
				    kb_value__integer("--live-max", arg, 16, KB_MEMORY_BLOCKS_MAX,
						      &args->live_max));
	case KEY_NATIVE:
		args->native = true;
		return 0;
	case KEY_LIBC:
		args->libc = true;
		return 0;
	case KEY_DUTY:
		return kb_cli__fail(state, kb_value__integer("--duty", arg, 1, 100, &args->duty));
	case KEY_MAX_RATE:
		return kb_cli__fail(state, kb_value__integer("--max-rate", arg, 100, 100000000,
							     &args->max_rate));
	case KEY_RESET_PEAK:
		return kb_cli__fail(state, kb_value__seconds("--reset-peak-every", arg,
							     &args->reset_peak_every));
	case KEY_WHEN:
		return kb_cli__fail(state, kb_when_size__parse(arg, &args->when));
	case KEY_ADDRESS:
		return kb_cli__fail(state, kb_block_requests__parse(&args->blocks, arg));
	case KEY_LOAD:
		args->load = arg;
		return 0;
	case KEY_COMPARE:
		args->compare = arg;
		return 0;
	case KEY_PARTIAL:
		args->partial = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{ &kb_target_argp, 0, "Target, one of these or -- COMMAND:", 1 },
	{ &kb_memory_view_argp, 0, "Result:", 3 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Traces what Python programs allocate, as tracemalloc does, in programs that are not "
	"prepared for it and run already: how much is alive, which lines and stacks allocated it, "
	"and what it was at its peak. Each process is observed by the best way that it allows, and "
	"the result says by which: every block, or an estimate of growth."
	"\v"
	"Examples:\n"
	"  keelback memory -- python3 program.py           what was alive at the peak, by line\n"
	"  keelback memory -p 4711 -d 60 --leaks           what stays, and for how long\n"
	"  keelback memory -p 4711 -d 10 -o heap.html      flame graph of what was allocated\n"
	"  keelback memory --exact -- python3 program.py   every block, with any Python\n"
	"  keelback memory -p 4711 -d 60 -o b.kb; keelback memory --load b.kb --compare a.kb\n\n"
	"SIGUSR1 forgets all that was traced so far, as tracemalloc.clear_traces(); SIGUSR2 resets "
	"the peak. Blocks from before are counted nowhere, and their frees apart.\n\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage, 4 not possible here; with -- COMMAND its "
	"own, 128+N if signal N ended it.";

static const struct argp argp = { .options = options,
				  .parser = parse,
				  .args_doc = "TARGET\n-- COMMAND [ARG...]\n--load FILE.kb",
				  .doc = doc,
				  .children = children,
				  .help_filter = kb_memory_view_args__help };

/* ---------------------------------------------------------------- tracing */

struct run {
	const struct memory_args *args;
	struct kb_memory_view_args view;
	const struct kb_format *format;
	struct kb_target *target;
	struct kb_memory_tracer *tracer;
	struct kb_launched launched;
	struct kb_block_requests blocks;
	uint64_t next_reset; /* CLOCK_MONOTONIC, ns */
};

static volatile sig_atomic_t clear_wanted, reset_wanted;

static void on_request(int signal)
{
	if (signal == SIGUSR1)
		clear_wanted = 1;
	else
		reset_wanted = 1;
}

static void install_requests(void)
{
	struct sigaction request = { .sa_handler = on_request };

	sigaction(SIGUSR1, &request, NULL);
	sigaction(SIGUSR2, &request, NULL);
}

static pid_t command_pid(const void *tracer)
{
	return kb_memory_tracer__command_pid(tracer);
}

static int command_status(const void *tracer)
{
	return kb_memory_tracer__command_status(tracer);
}

static struct kb_error *open_run(struct run *run)
{
	const struct memory_args *args = run->args;
	struct kb_target_opts target = kb_target_args__opts(&args->target);
	struct kb_memory_opts opts = {
		.size = sizeof(opts),
		.want = args->exact    ? KB_MEMORY_EXACT
			: args->growth ? KB_MEMORY_GROWTH
				       : KB_MEMORY_AUTO,
		.frames_max = args->frames,
		.blocks_max = args->live_max,
		.native = args->native,
		.libc = args->libc,
		.duty = args->duty,
		.rate_max = args->max_rate,
	};

	if (!kb_memory_view_args__to_stdout(&run->view))
		KB_TRY(kb_output__check(run->view.output));
	if (!strcmp(run->format->name, "recording") && !kb_memory_view_args__to_stdout(&run->view))
		opts.recording = run->view.output;
	KB_TRY(kb_target__create(&target, &run->target));
	KB_TRY(kb_memory_tracer__create(run->target, &opts, &run->tracer));
	run->launched = (struct kb_launched){ .session = run->tracer,
					      .pid = command_pid,
					      .status = command_status };
	return NULL;
}

static void say_start(const struct run *run)
{
	const struct kb_general_args *general = &run->args->general;
	const char *way = kb_memory_tracer__way_text(run->tracer);

	if (general->quiet || (!general->verbose && !isatty(STDERR_FILENO)))
		return;
	kb_say("tracing the memory of %s%s%s; Ctrl-C ends it", kb_target__describe(run->target),
	       way ? ": " : "", way ? way : "");
}

static void look(struct run *run, uint64_t now)
{
	if (clear_wanted) {
		clear_wanted = 0;
		kb_memory_tracer__clear(run->tracer);
		if (!run->args->general.quiet)
			kb_say("what was traced so far is forgotten");
	}
	if (run->args->reset_peak_every > 0 && now >= run->next_reset) {
		run->next_reset = now + run->args->reset_peak_every * KB_NS_PER_SECOND;
		reset_wanted = 1;
	}
	if (reset_wanted) {
		reset_wanted = 0;
		kb_memory_tracer__reset_peak(run->tracer);
	}
}

static struct kb_error *collect(struct run *run)
{
	const struct memory_args *args = run->args;
	uint64_t now, end = UINT64_MAX;
	bool done = false;

	KB_TRY(kb_memory_tracer__start(run->tracer));
	say_start(run);
	now = kb_now(CLOCK_MONOTONIC);
	if (args->duration > 0)
		end = now + (uint64_t)(args->duration * KB_NS_PER_SECOND);
	run->next_reset = now + args->reset_peak_every * KB_NS_PER_SECOND;
	while (!done && now < end && !kb_launched__interrupt(&run->launched)) {
		KB_TRY(kb_memory_tracer__poll(run->tracer, kb_ms_until(now, end, POLL_MS), &done));
		now = kb_now(CLOCK_MONOTONIC);
		look(run, now);
		if (run->blocks.from_stdin)
			KB_TRY(kb_block_requests__serve(&run->blocks, run->tracer));
		done = done || run->blocks.ended;
		if (!args->when.bytes || done)
			continue;
		if (kb_when_size__holds(&args->when, kb_memory_tracer__rss(run->tracer))) {
			if (!args->general.quiet)
				kb_say("%s holds", args->when.text);
			break;
		}
	}
	return NULL;
}

static struct kb_error *write_report(struct run *run)
{
	const struct kb_profile *profile = kb_memory_tracer__profile(run->tracer);
	struct kb_output *output;
	struct kb_error *err;

	if (run->blocks.from_stdin)
		return NULL;
	if (run->blocks.text) {
		KB_TRY(kb_output__open(run->view.output, &output));
		err = kb_output__commit(output,
					kb_block_requests__write(&run->blocks, run->tracer,
								 kb_output__stream(output)));
		kb_output__destroy(output);
		return err;
	}
	/* What a command that has ended left behind says nothing. */
	if (run->view.value < 0 && !run->view.leaks && run->view.age == 0 &&
	    strcmp(run->format->name, "tracemalloc-file") &&
	    kb_memory_tracer__command_status(run->tracer) >= 0)
		run->view.value = KB_MEMORY_PEAK;
	if (!strcmp(run->format->name, "recording") && !kb_memory_view_args__to_stdout(&run->view))
		return NULL;
	return kb_memory_view_args__write(&run->view, &run->args->general, run->format, profile);
}

static struct kb_error *trace(struct run *run, int *status)
{
	struct kb_error *err = collect(run);

	err = kb_error__first(err, kb_memory_tracer__stop(run->tracer));
	if (!err)
		err = write_report(run);
	if (!err)
		*status = kb_launched__await(&run->launched, run->args->general.quiet);
	return err;
}

static struct kb_error *run_trace(const struct memory_args *args, const struct kb_format *format,
				  int *status)
{
	struct run run = {
		.args = args, .view = args->view, .blocks = args->blocks, .format = format
	};
	struct kb_error *err = NULL;

	install_requests();
	err = open_run(&run);
	if (!err)
		err = trace(&run, status);
	kb_memory_tracer__destroy(run.tracer);
	kb_target__destroy(run.target);
	return err;
}

/* ---------------------------------------------------------------- recordings */

static struct kb_error *load(const struct memory_args *args, const char *path,
			     struct kb_profile **profile)
{
	KB_TRY(kb_profile__load(path, args->partial, profile));
	if (kb_profile__memory(*profile))
		return NULL;
	kb_profile__destroy(*profile);
	*profile = NULL;
	return kb_usage("'%s' is no recording of 'keelback memory'", path);
}

static struct kb_error *write_comparison(const struct memory_args *args,
					 const struct kb_profile *profile)
{
	struct kb_memory_view_opts opts = kb_memory_view_args__opts(&args->view, &args->general);
	struct kb_profile *before;
	struct kb_output *output;
	struct kb_error *err;

	KB_TRY(load(args, args->compare, &before));
	err = kb_output__open(args->view.output, &output);
	if (!err) {
		err = kb_memory_comparison__write(before, profile, &opts,
						  kb_output__stream(output));
		err = kb_output__commit(output, err);
		kb_output__destroy(output);
	}
	kb_profile__destroy(before);
	return err;
}

static struct kb_error *run_load(const struct memory_args *args, const struct kb_format *format)
{
	struct kb_profile *profile;
	struct kb_error *err;

	if (!kb_memory_view_args__to_stdout(&args->view) &&
	    kb_same_file(args->load, args->view.output))
		return kb_usage("'%s' is the recording itself: give another --output", args->load);
	KB_TRY(load(args, args->load, &profile));
	if (kb_profile__meta(profile)->incomplete && !args->general.quiet)
		kb_say("warning: '%s' was cut off: this is what it has", args->load);
	err = args->compare
		      ? write_comparison(args, profile)
		      : kb_memory_view_args__write(&args->view, &args->general, format, profile);
	kb_profile__destroy(profile);
	return err;
}

/* ---------------------------------------------------------------- the command */

static struct kb_error *check(const struct memory_args *args)
{
	if (!args->target.given && !args->load)
		return kb_usage(
			"no target: give --pid, --container, --cgroup, --all or -- COMMAND, "
			"or --load FILE.kb (see 'keelback memory --help')");
	if (args->target.given && args->load)
		return kb_usage("--load shows a recording: it does not go with a target");
	if (args->compare && !args->load)
		return kb_usage("--compare needs the newer recording: give --load FILE.kb");
	if (args->compare && args->view.format && strcmp(args->view.format, "table"))
		return kb_usage("--compare writes a table: leave --format out");
	if (args->partial && !args->load)
		return kb_usage("--partial is for --load");
	if (args->exact && args->growth)
		return kb_usage("--exact and --growth exclude each other");
	if ((args->duty || args->max_rate) && args->exact)
		return kb_usage("%s does not go with --exact: blocks would be missed",
				args->duty ? "--duty" : "--max-rate");
	if (args->libc && args->growth)
		return kb_usage(
			"--libc is for exact traces: growth has what goes to malloc anyway");
	if (args->blocks.text && args->view.format)
		return kb_usage("--address writes one stack: leave --format out");
	if (args->blocks.text && args->load)
		return kb_usage("--address is for tracing: a recording has no addresses");
	if (args->blocks.from_stdin && args->target.argv)
		return kb_usage("--address -: stdin is the command's");
	if (args->blocks.from_stdin && args->view.output)
		return kb_usage("--address - answers on stdout: leave --output out");
	return NULL;
}

/* --census makes it another command, with options of its own. */
static bool take_census(int *argc, char **argv)
{
	for (int i = 1; i < *argc && strcmp(argv[i], "--"); i++) {
		if (strcmp(argv[i], "--census"))
			continue;
		memmove(&argv[i], &argv[i + 1], (*argc - i) * sizeof(*argv));
		--*argc;
		return true;
	}
	return false;
}

struct kb_error *kb_command__memory(int argc, char **argv, int *status)
{
	struct memory_args args = { .view = KB_MEMORY_VIEW_ARGS_INIT };
	const struct kb_format *format = NULL;
	bool done = false;
	struct kb_error *err;

	if (take_census(&argc, argv))
		return kb_command__census(argc, argv, status);
	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	if (!err && !done) {
		kb_report__start(&args.general);
		err = check(&args);
		if (!err && !args.blocks.text && !args.compare)
			err = kb_memory_view_args__format(&args.view, &format);
		if (!err && !format)
			format = kb_memory_format__at(0);
		if (!err)
			err = args.load ? run_load(&args, format)
					: run_trace(&args, format, status);
	}
	kb_memory_view_args__free(&args.view);
	kb_target_args__free(&args.target);
	return err;
}
