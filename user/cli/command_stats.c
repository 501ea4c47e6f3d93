// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <unistd.h>
#include "base/error.h"
#include "cli/calls_view.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/stats_browser.h"

struct stats_args {
	struct kb_general_args general;
	struct kb_calls_view_args view;
	const char **files;
	size_t n_files;
	bool strip_dirs, partial, interactive;
};

enum { KEY_STRIP_DIRS = 512, KEY_PARTIAL };

static const struct argp_option options[] = {
	{ "strip-dirs", KEY_STRIP_DIRS, NULL, 0, "Leave out the directories of files", 0 },
	{ "interactive", 'i', NULL, 0,
	  "The browser, with the commands of 'python3 -m pstats'; without options and on a "
	  "terminal it is the default",
	  0 },
	{ "partial", KEY_PARTIAL, NULL, 0,
	  "Take recordings that were cut off, up to their last whole section", 0 },
	{},
};

static struct kb_error *add_file(struct stats_args *args, const char *path)
{
	const char **more = reallocarray(args->files, args->n_files + 1, sizeof(*more));

	if (!more)
		return kb_error__no_memory();
	args->files = more;
	more[args->n_files++] = path;
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stats_args *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->view;
		state->child_inputs[1] = &args->general;
		return 0;
	case KEY_STRIP_DIRS:
		args->strip_dirs = true;
		return 0;
	case 'i':
		args->interactive = true;
		return 0;
	case KEY_PARTIAL:
		args->partial = true;
		return 0;
	case ARGP_KEY_ARG:
		return kb_cli__fail(state, add_file(args, arg));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{ &kb_calls_view_argp, 0, "Result:", 1 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Shows and combines call statistics as Python's pstats does: files of cProfile, profile "
	"and "
	"profiling.sampling, and recordings of 'keelback calls' and 'keelback sample'. Several "
	"files are added up."
	"\v"
	"Examples:\n"
	"  keelback stats run.pstats                           browse, with help and completion\n"
	"  keelback stats run.pstats -s tottime --restrict 10  the ten that took most time\n"
	"  keelback stats run.pstats --callers --restrict json who called what of json\n"
	"  keelback stats a.pstats b.pstats -o both.pstats     add up, for Python's pstats\n\n"
	"Exit status: 0 done, 1 failed or a file that is none of these, 2 wrong usage.";

static const struct argp argp = { .options = options,
				  .parser = parse,
				  .args_doc = "FILE...",
				  .doc = doc,
				  .children = children,
				  .help_filter = kb_calls_view_args__help };

static struct kb_error *load(const struct stats_args *args, const char *path,
			     struct kb_calls **calls)
{
	KB_TRY(kb_calls__load(path, args->partial, calls));
	if (kb_calls__meta(*calls)->incomplete && !args->general.quiet)
		kb_say("warning: '%s' was cut off: this is what it has", path);
	return NULL;
}

static struct kb_error *add(const struct stats_args *args, const char *path, struct kb_calls *calls)
{
	enum kb_calls_unit unit = kb_calls__meta(calls)->unit;
	struct kb_calls *more;
	struct kb_error *err;

	KB_TRY(load(args, path, &more));
	if (kb_calls__meta(more)->unit != unit && !args->general.quiet)
		kb_say("warning: '%s' has %s where '%s' has %s", path,
		       unit == KB_CALLS_CALLS ? "samples" : "calls", args->files[0],
		       unit == KB_CALLS_CALLS ? "calls" : "samples");
	err = kb_calls__add(calls, more);
	kb_calls__destroy(more);
	return err;
}

static struct kb_error *load_all(const struct stats_args *args, struct kb_calls **result)
{
	struct kb_calls *calls, *stripped;
	struct kb_error *err = NULL;

	KB_TRY(load(args, args->files[0], &calls));
	for (size_t i = 1; i < args->n_files && !err; i++)
		err = add(args, args->files[i], calls);
	if (!err && args->strip_dirs) {
		err = kb_calls__strip_dirs(calls, &stripped);
		if (!err) {
			kb_calls__destroy(calls);
			calls = stripped;
		}
	}
	if (err) {
		kb_calls__destroy(calls);
		return err;
	}
	*result = calls;
	return NULL;
}

static struct kb_error *print(const struct stats_args *args, const struct kb_format *format)
{
	struct kb_calls *calls;
	struct kb_error *err;

	if (!kb_calls_view_args__to_stdout(&args->view))
		KB_TRY(kb_output__check(args->view.output));
	KB_TRY(load_all(args, &calls));
	err = kb_calls_view_args__write(&args->view, format, calls);
	kb_calls__destroy(calls);
	return err;
}

static struct kb_error *check_output(const struct stats_args *args)
{
	for (size_t i = 0; i < args->n_files && !kb_calls_view_args__to_stdout(&args->view); i++)
		if (kb_same_file(args->files[i], args->view.output))
			return kb_usage("'%s' is one of the files: give another --output",
					args->view.output);
	return NULL;
}

static struct kb_error *run(struct stats_args *args)
{
	const struct kb_format *format;
	bool given = kb_calls_view_args__given(&args->view);

	if (args->interactive && given)
		return kb_usage(
			"--interactive shows what is asked for in the browser: no option of "
			"the result goes with it");
	if (!args->interactive && !args->n_files)
		return kb_usage("no file given (see 'keelback stats --help')");
	kb_report__start(&args->general);
	if (args->interactive || (!given && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)))
		return kb_stats_browser__run(args->files, args->n_files, args->strip_dirs,
					     args->partial);
	KB_TRY(kb_calls_view_args__format(&args->view, &format));
	KB_TRY(check_output(args));
	return print(args, format);
}

struct kb_error *kb_command__stats(int argc, char **argv, int *status)
{
	struct stats_args args = {};
	struct kb_error *err;
	bool done = false;

	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	if (!err && !done)
		err = run(&args);
	kb_calls_view_args__free(&args.view);
	free(args.files);
	return err;
}
