// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include "base/error.h"
#include "cli/browser.h"
#include "cli/calls_view.h"
#include "cli/command.h"
#include "cli/memory_view.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "keelback/diff.h"
#include "keelback/format.h"
#include "keelback/profile.h"

struct convert_args {
	struct kb_general_args general;
	struct kb_view_args view;
	const char *input;
	bool partial;
};

enum { KEY_PARTIAL = 512, KEY_OPCODES };

static const struct argp_option options[] = {
	{ "opcodes", KEY_OPCODES, NULL, 0,
	  "Show the instructions of a recording that was made with --opcodes: rows of the table "
	  "are "
	  "instructions of lines, and in stacks they stand behind the leaf",
	  0 },
	{ "partial", KEY_PARTIAL, NULL, 0,
	  "Take a recording that was cut off, up to its last whole section", 0 },
	{},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct convert_args *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->view;
		state->child_inputs[1] = &args->general;
		return 0;
	case KEY_PARTIAL:
		args->partial = true;
		return 0;
	case KEY_OPCODES:
		args->view.opcodes = true;
		return 0;
	case ARGP_KEY_ARG:
		if (args->input)
			return kb_cli__fail(state, kb_usage("unexpected argument '%s'", arg));
		args->input = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{ &kb_view_argp, 0, "Result:", 1 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Turns a recording ('keelback sample -o FILE.kb') into any format: capture once, view "
	"many ways. Nothing is collected, so neither root nor the processes are needed."
	"\v"
	"Examples:\n"
	"  keelback convert run.kb                        the table, on the terminal\n"
	"  keelback convert run.kb -o run.html            a flame graph\n"
	"  keelback convert run.kb --threads -f collapsed | grep worker\n"
	"  keelback convert calls.kb -o calls.callgrind   recordings of 'keelback calls' have the "
	"formats of 'keelback stats',\n"
	"                                                 those of 'keelback memory' its own\n\n"
	"Exit status: 0 done, 1 failed or not a whole recording, 2 wrong usage.";

static const struct argp argp = { .options = options,
				  .parser = parse,
				  .args_doc = "FILE.kb",
				  .doc = doc,
				  .children = children,
				  .help_filter = kb_view_args__help };

static struct kb_error *write_profile(const struct convert_args *args,
				      const struct kb_format *format,
				      const struct kb_profile *profile,
				      const struct kb_profile *baseline)
{
	struct kb_format_opts opts = kb_view_args__opts(&args->view, &args->general);
	struct kb_output *output;
	struct kb_error *err;

	opts.baseline = baseline;
	if (baseline)
		KB_TRY(kb_error__prefix(kb_diff__check(baseline, profile), "'%s' and '%s'",
					args->view.baseline, args->input));
	KB_TRY(kb_output__open(args->view.output, &output));
	err = kb_format__write(format, profile, &opts, kb_output__stream(output));
	err = kb_output__commit(output, err);
	kb_output__destroy(output);
	if (!err && args->view.browser)
		kb_browser__open(args->view.output);
	return err;
}

static void warn(const struct convert_args *args, bool incomplete)
{
	if (incomplete && !args->general.quiet)
		kb_say("warning: '%s' was cut off: this is what it has", args->input);
}

static struct kb_error *convert_samples(const struct convert_args *args,
					const struct kb_profile *profile)
{
	const struct kb_format *format;
	struct kb_profile *baseline;
	struct kb_error *err;

	KB_TRY(kb_view_args__format(&args->view, &format));
	KB_TRY(kb_view_args__load_baseline(&args->view, &baseline));
	err = write_profile(args, format, profile, baseline);
	kb_profile__destroy(baseline);
	return err;
}

static struct kb_error *check_output(const struct convert_args *args)
{
	if (!kb_view_args__to_stdout(&args->view) &&
	    (kb_same_file(args->input, args->view.output) ||
	     (args->view.baseline && kb_same_file(args->view.baseline, args->view.output))))
		return kb_usage("'%s' is the recording itself: give another --output",
				args->view.output);
	return NULL;
}

/* ---- recordings of something else than samples */

/* Those that are for samples. */
static struct kb_error *refuse(const struct convert_args *args, const char *what,
			       const char *command)
{
	const struct kb_view_args *view = &args->view;
	const char *option = view->sort		? "--sort"
			     : view->limit >= 0 ? "--limit"
			     : view->lines	? "--lines"
			     : view->threads	? "--threads"
			     : view->processes	? "--processes"
			     : view->opcodes	? "--opcodes"
			     : view->baseline	? "--baseline"
			     : view->browser	? "--browser"
						: NULL;

	if (!option)
		return NULL;
	return kb_usage("'%s' has %s: %s is for samples (see 'keelback %s --help')", args->input,
			what, option, command);
}

static struct kb_error *convert_calls(const struct convert_args *args)
{
	struct kb_calls_view_args view = { .output = args->view.output,
					   .format = args->view.format,
					   .no_summary = args->view.no_summary };
	const struct kb_format *format;
	struct kb_calls *calls;
	struct kb_error *err;

	KB_TRY(refuse(args, "call statistics", "stats"));
	KB_TRY(kb_calls_view_args__format(&view, &format));
	KB_TRY(check_output(args));
	KB_TRY(kb_calls__load(args->input, args->partial, &calls));
	warn(args, kb_calls__meta(calls)->incomplete);
	err = kb_calls_view_args__write(&view, format, calls);
	kb_calls__destroy(calls);
	return err;
}

static struct kb_error *convert_memory(const struct convert_args *args,
				       const struct kb_profile *profile)
{
	struct kb_memory_view_args view = KB_MEMORY_VIEW_ARGS_INIT;
	const struct kb_format *format;

	view.output = args->view.output;
	view.format = args->view.format;
	view.no_summary = args->view.no_summary;
	KB_TRY(refuse(args, "allocations", "memory"));
	KB_TRY(kb_memory_view_args__format(&view, &format));
	return kb_memory_view_args__write(&view, &args->general, format, profile);
}

static struct kb_error *convert(const struct convert_args *args)
{
	const struct kb_format *format;
	struct kb_profile *profile;
	struct kb_error *err;

	/* What is right for neither kind need not be read for. */
	if (args->view.format	? !kb_memory_format__by_name(args->view.format)
	    : args->view.output ? !kb_memory_format__by_path(args->view.output)
				: true)
		KB_TRY(kb_view_args__format(&args->view, &format));
	KB_TRY(check_output(args));
	if (!kb_view_args__to_stdout(&args->view))
		KB_TRY(kb_output__check(args->view.output));
	KB_TRY(kb_profile__load(args->input, args->partial, &profile));
	warn(args, kb_profile__meta(profile)->incomplete);
	err = kb_profile__memory(profile) ? convert_memory(args, profile)
					  : convert_samples(args, profile);
	kb_profile__destroy(profile);
	return err;
}

struct kb_error *kb_command__convert(int argc, char **argv, int *status)
{
	struct convert_args args = { .view = KB_VIEW_ARGS_INIT };
	bool done = false;

	KB_TRY(kb_cli__parse(&argp, argc, argv, &args, &args.general, &done));
	if (done)
		return NULL;
	if (!args.input)
		return kb_usage("no recording given (see 'keelback convert --help')");
	kb_report__start(&args.general);
	return kb_calls__is_recording(args.input) ? convert_calls(&args) : convert(&args);
}
