// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "cli/calls_view.h"
#include "cli/format_list.h"
#include "cli/output.h"

#define RESTRICTIONS_MAX 64 /* on a command line */

enum {
	KEY_JSON = 1024,
	KEY_REVERSE,
	KEY_RESTRICT,
	KEY_CALLERS,
	KEY_CALLEES,
	KEY_NO_SUMMARY,
};

static const struct argp_option options[] = {
	{ "output", 'o', "FILE", 0, "Write to FILE; - is stdout, the default", 0 },
	{ "format", 'f', "NAME", 0, "One of the formats below; else FILE's ending chooses", 0 },
	{ "json", KEY_JSON, NULL, 0, "The same as --format json", 0 },
	{ "sort", 's', "KEY[,KEY...]", 0,
	  "Table, JSON: by these keys, the first one counting most; else in the order of the file",
	  0 },
	{ "reverse", KEY_REVERSE, NULL, 0, "Table, JSON: the other way round", 0 },
	{ "restrict", KEY_RESTRICT, "WHAT", 0,
	  "Table, JSON: of the functions so many, this fraction of them (0.0 to 1.0), or those "
	  "whose file:line(name) matches the expression WHAT; again and again, each of what the "
	  "one before it left",
	  0 },
	{ "callers", KEY_CALLERS, NULL, 0, "Table: who called each function", 0 },
	{ "callees", KEY_CALLEES, NULL, 0, "Table: what each function called", 0 },
	{ "no-summary", KEY_NO_SUMMARY, NULL, 0, "Table: leave out the ledger after the rows", 0 },
	{},
};

static struct kb_error *add_restriction(struct kb_calls_view_args *args, const char *text)
{
	const char **more;

	if (args->n_restrictions == RESTRICTIONS_MAX)
		return kb_usage("--restrict: more than %d", RESTRICTIONS_MAX);
	KB_TRY(kb_error__prefix(kb_calls_restriction__check(text), "--restrict"));
	more = reallocarray(args->restrictions, args->n_restrictions + 1, sizeof(*more));
	if (!more)
		return kb_error__no_memory();
	args->restrictions = more;
	more[args->n_restrictions++] = text;
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct kb_calls_view_args *args = state->input;

	switch (key) {
	case 'o':
		if (!*arg)
			return kb_cli__fail(state, kb_usage("--output: no file name"));
		args->output = arg;
		return 0;
	case 'f':
		args->format = arg;
		return 0;
	case KEY_JSON:
		args->format = "json";
		return 0;
	case 's':
		args->sort = arg;
		return kb_cli__fail(state, kb_error__prefix(kb_calls_sort__check(arg), "--sort"));
	case KEY_REVERSE:
		args->reverse = true;
		return 0;
	case KEY_RESTRICT:
		return kb_cli__fail(state, add_restriction(args, arg));
	case KEY_CALLERS:
		args->callers = true;
		return 0;
	case KEY_CALLEES:
		args->callees = true;
		return 0;
	case KEY_NO_SUMMARY:
		args->no_summary = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp kb_calls_view_argp = { .options = options, .parser = parse };

void kb_calls_view_args__free(struct kb_calls_view_args *args)
{
	free(args->restrictions);
}

bool kb_calls_view_args__given(const struct kb_calls_view_args *args)
{
	return args->output || args->format || args->sort || args->reverse ||
	       args->n_restrictions || args->callers || args->callees || args->no_summary;
}

bool kb_calls_view_args__to_stdout(const struct kb_calls_view_args *args)
{
	return !args->output || !strcmp(args->output, "-");
}

/* ---- formats */

static const struct kb_formats formats = { kb_calls_format__at, kb_calls_format__by_name,
					   kb_calls_format__by_path };

/* Options that would do nothing are not taken in silence. */
static struct kb_error *check_fit(const struct kb_calls_view_args *args,
				  const struct kb_format *format)
{
	bool table = format == kb_calls_format__at(0);
	bool rows = table || !strcmp(format->name, "json");
	const char *table_only = args->callers	    ? "--callers"
				 : args->callees    ? "--callees"
				 : args->no_summary ? "--no-summary"
						    : NULL;
	const char *rows_only = args->sort ? "--sort" : args->n_restrictions ? "--restrict" : NULL;

	if (args->reverse && !args->sort)
		return kb_usage("--reverse turns an order round: give --sort");
	if (args->callers && args->callees)
		return kb_usage("--callers and --callees are two tables: give one of them");
	if (table_only && !table)
		return kb_usage("%s is for the format %s, not for %s", table_only,
				kb_calls_format__at(0)->name, format->name);
	if (rows_only && !rows)
		return kb_usage("%s is for tables and JSON, not for the format %s", rows_only,
				format->name);
	return NULL;
}

struct kb_error *kb_calls_view_args__format(const struct kb_calls_view_args *args,
					    const struct kb_format **result)
{
	const struct kb_format *format;

	KB_TRY(kb_formats__choose(&formats, args->format, args->output, &format));
	KB_TRY(check_fit(args, format));
	if (format->binary && kb_calls_view_args__to_stdout(args) && isatty(STDOUT_FILENO))
		return kb_usage("format %s is binary and not for a terminal: give --output FILE",
				format->name);
	*result = format;
	return NULL;
}

struct kb_error *kb_calls_view_args__write(const struct kb_calls_view_args *args,
					   const struct kb_format *format,
					   const struct kb_calls *calls)
{
	struct kb_calls_format_opts opts = {
		.size = sizeof(opts),
		.view = args->callers	? KB_CALLS_CALLERS
			: args->callees ? KB_CALLS_CALLEES
					: KB_CALLS_STATS,
		.sort = args->sort,
		.reverse = args->reverse,
		.restrictions = args->restrictions,
		.n_restrictions = args->n_restrictions,
		.summary = !args->no_summary,
	};
	struct kb_output *output;
	struct kb_error *err;

	KB_TRY(kb_output__open(args->output, &output));
	err = kb_calls_format__write(format, calls, &opts, kb_output__stream(output));
	err = kb_output__commit(output, err);
	kb_output__destroy(output);
	return err;
}

char *kb_calls_view_args__help(int key, const char *text, void *input)
{
	const struct kb_calls_sort_key *sort_key;
	const struct kb_format *format;
	char *help = NULL;
	size_t size;
	FILE *stream;

	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	stream = open_memstream(&help, &size);
	if (!stream)
		return (char *)text;
	fputs("Formats:\n", stream);
	for (size_t i = 0; (format = kb_calls_format__at(i)); i++)
		fprintf(stream, "  %-15s %-26s %s\n", format->name, format->endings,
			format->description);
	fputs("\nSort keys, which may be abbreviated:\n", stream);
	for (size_t i = 0; (sort_key = kb_calls_sort__at(i)); i++)
		fprintf(stream, "  %-15s %s\n", sort_key->name, sort_key->description);
	if (text)
		fprintf(stream, "\n%s", text);
	if (fclose(stream)) {
		free(help);
		return (char *)text;
	}
	return help; /* argp frees what is not the text it gave */
}
