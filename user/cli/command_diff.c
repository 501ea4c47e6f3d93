// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "cli/browser.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/values.h"
#include "keelback/diff.h"
#include "keelback/format.h"
#include "keelback/profile.h"

#define LIMIT_DEFAULT 15 /* as for the table of a profile */
#define LIMIT_MAX     1000000

enum diff_format { FORMAT_TABLE, FORMAT_FLAMEGRAPH, FORMAT_JSON };
static const char *const formats[] = { "table", "diff-flamegraph", "json", NULL };
static const char *const endings[] = { ".txt", ".html", ".json", NULL };
static const char *const sort_keys[] = { "self", "total", "name", NULL };

struct diff_args {
	struct kb_general_args general;
	const char *before, *after;
	const char *output;
	int format; /* -1: not given */
	const char *sort;
	long limit; /* -1: not given */
	bool no_summary, partial, browser;
};

enum { KEY_SORT = 512, KEY_LIMIT, KEY_NO_SUMMARY, KEY_PARTIAL, KEY_BROWSER };

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Result:", 1 },
	{ "output", 'o', "FILE", 0, "Write to FILE; - is stdout, the default", 0 },
	{ "format", 'f', "NAME", 0,
	  "table (the default; .txt), diff-flamegraph (.html) or json (.json); else FILE's ending "
	  "chooses",
	  0 },
	{ "sort", KEY_SORT, "KEY", 0,
	  "Table: by the change of a function's own share (self, the default), of that with all "
	  "that it calls (total), or by name",
	  0 },
	{ "limit", KEY_LIMIT, "N", 0, "Table: at most N rows; 0: all of them", 0 },
	{ "no-summary", KEY_NO_SUMMARY, NULL, 0, "Table: leave out the summary", 0 },
	{ "browser", KEY_BROWSER, NULL, 0, "HTML: open the page in a browser when it is written",
	  0 },
	{ "partial", KEY_PARTIAL, NULL, 0,
	  "Take recordings that were cut off, up to their last whole section", 0 },
	{},
};

static error_t parse_recording(struct diff_args *args, char *arg, struct argp_state *state)
{
	if (!args->before)
		args->before = arg;
	else if (!args->after)
		args->after = arg;
	else
		return kb_cli__fail(state, kb_usage("unexpected argument '%s'", arg));
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct diff_args *args = state->input;
	int index;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->general;
		return 0;
	case 'o':
		if (!*arg)
			return kb_cli__fail(state, kb_usage("--output: no file name"));
		args->output = arg;
		return 0;
	case 'f':
		return kb_cli__fail(state,
				    kb_value__choice("--format", arg, formats, &args->format));
	case KEY_SORT:
		args->sort = arg;
		return kb_cli__fail(state, kb_value__choice("--sort", arg, sort_keys, &index));
	case KEY_LIMIT:
		return kb_cli__fail(state,
				    kb_value__integer("--limit", arg, 0, LIMIT_MAX, &args->limit));
	case KEY_NO_SUMMARY:
		args->no_summary = true;
		return 0;
	case KEY_PARTIAL:
		args->partial = true;
		return 0;
	case KEY_BROWSER:
		args->browser = true;
		return 0;
	case ARGP_KEY_ARG:
		return parse_recording(args, arg, state);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Compares two recordings function by function: time in the function itself and with all "
	"that it calls, its share of each recording, and how that share has changed. Recordings of "
	"different modes, rates or units are refused: they cannot be compared."
	"\v"
	"Examples:\n"
	"  keelback diff before.kb after.kb                what changed most\n"
	"  keelback diff before.kb after.kb -o what.html   differential flame graph\n"
	"  keelback diff before.kb after.kb -f json | jq '.functions[0]'\n\n"
	"Exit status: 0 done, 1 failed or not a whole recording, 2 wrong usage or recordings that "
	"cannot be compared.";

static const struct argp argp = { .options = options,
				  .parser = parse,
				  .args_doc = "OLD.kb NEW.kb",
				  .doc = doc,
				  .children = children };

static bool to_stdout(const struct diff_args *args)
{
	return !args->output || !strcmp(args->output, "-");
}

static struct kb_error *choose_format(struct diff_args *args)
{
	size_t length;

	if (args->format >= 0)
		return NULL;
	if (to_stdout(args)) {
		args->format = FORMAT_TABLE;
		return NULL;
	}
	length = strlen(args->output);
	for (int i = 0; endings[i]; i++) {
		size_t size = strlen(endings[i]);

		if (length > size && !strcasecmp(args->output + length - size, endings[i])) {
			args->format = i;
			return NULL;
		}
	}
	return kb_usage("--output: '%s' has none of the endings that choose a format (.txt .html "
			".json): give --format",
			args->output);
}

/* Options that would do nothing are not taken in silence. */
static struct kb_error *check(struct diff_args *args)
{
	const char *table_only = args->sort	    ? "--sort"
				 : args->limit >= 0 ? "--limit"
				 : args->no_summary ? "--no-summary"
						    : NULL;

	if (!args->after)
		return kb_usage("two recordings are needed, the old one and the new one (see "
				"'keelback diff --help')");
	KB_TRY(choose_format(args));
	if (table_only && args->format != FORMAT_TABLE)
		return kb_usage("%s is for the format table, not for %s", table_only,
				formats[args->format]);
	if (args->browser && args->format != FORMAT_FLAMEGRAPH)
		return kb_usage("--browser is for HTML pages, not for the format %s",
				formats[args->format]);
	if (args->browser && to_stdout(args))
		return kb_usage("--browser needs a file to open: give --output FILE.html");
	if (!to_stdout(args) &&
	    (kb_same_file(args->before, args->output) || kb_same_file(args->after, args->output)))
		return kb_usage("'%s' is one of the recordings: give another --output",
				args->output);
	return NULL;
}

static struct kb_error *write_flamegraph(const struct kb_profile *before,
					 const struct kb_profile *after, FILE *stream)
{
	struct kb_format_opts opts = { .size = sizeof(opts), .baseline = before };

	return kb_format__write(kb_format__by_name(formats[FORMAT_FLAMEGRAPH]), after, &opts,
				stream);
}

static struct kb_error *write_rows(const struct diff_args *args, const struct kb_profile *before,
				   const struct kb_profile *after, FILE *stream)
{
	struct kb_diff_opts opts = {
		.size = sizeof(opts),
		.sort = args->sort,
		.limit = args->limit < 0 ? LIMIT_DEFAULT : (unsigned)args->limit,
		.summary = !args->no_summary,
		.color = kb_use_color(args->general.color, args->output),
	};
	struct kb_diff *diff;
	struct kb_error *err;

	KB_TRY(kb_diff__create(before, after, &diff));
	if (args->format == FORMAT_JSON)
		err = kb_diff__write_json(diff, stream);
	else
		err = kb_diff__write_table(diff, &opts, stream);
	kb_diff__destroy(diff);
	return err;
}

static struct kb_error *write_result(const struct diff_args *args, const struct kb_profile *before,
				     const struct kb_profile *after)
{
	struct kb_output *output;
	struct kb_error *err;

	KB_TRY(kb_error__prefix(kb_diff__check(before, after), "'%s' and '%s'", args->before,
				args->after));
	KB_TRY(kb_output__open(args->output, &output));
	if (args->format == FORMAT_FLAMEGRAPH)
		err = write_flamegraph(before, after, kb_output__stream(output));
	else
		err = write_rows(args, before, after, kb_output__stream(output));
	err = kb_output__commit(output, err);
	kb_output__destroy(output);
	if (!err && args->browser)
		kb_browser__open(args->output);
	return err;
}

static struct kb_error *load(const struct diff_args *args, const char *path,
			     struct kb_profile **profile)
{
	KB_TRY(kb_profile__load(path, args->partial, profile));
	if (kb_profile__meta(*profile)->incomplete && !args->general.quiet)
		kb_say("warning: '%s' was cut off: this is what it has", path);
	return NULL;
}

static struct kb_error *compare(const struct diff_args *args)
{
	struct kb_profile *before, *after;
	struct kb_error *err;

	if (!to_stdout(args))
		KB_TRY(kb_output__check(args->output));
	KB_TRY(load(args, args->before, &before));
	err = load(args, args->after, &after);
	if (!err) {
		err = write_result(args, before, after);
		kb_profile__destroy(after);
	}
	kb_profile__destroy(before);
	return err;
}

struct kb_error *kb_command__diff(int argc, char **argv, int *status)
{
	struct diff_args args = { .format = -1, .limit = -1 };
	bool done = false;

	KB_TRY(kb_cli__parse(&argp, argc, argv, &args, &args.general, &done));
	if (done)
		return NULL;
	KB_TRY(check(&args));
	kb_report__start(&args.general);
	return compare(&args);
}
