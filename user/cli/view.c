// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "cli/format_list.h"
#include "cli/options.h"

#define LIMIT_DEFAULT 15 /* rows: what matters fits a screen */

static const struct kb_formats formats = { kb_format__at, kb_format__by_name, kb_format__by_path };

static struct kb_error *choose(const struct kb_view_args *args, const struct kb_format **format)
{
	KB_TRY(kb_formats__choose(&formats, args->format, args->output, format));
	/* An HTML file of two recordings. */
	if (args->baseline && !args->format && (*format)->html)
		*format = kb_format__by_name("diff-flamegraph");
	return NULL;
}

static struct kb_error *check_page(const struct kb_view_args *args, const struct kb_format *format)
{
	bool compares = !strcmp(format->name, "diff-flamegraph");

	if (args->baseline && !compares)
		return kb_usage("--baseline is for the format diff-flamegraph, not for %s",
				format->name);
	if (compares && !args->baseline)
		return kb_usage("the format diff-flamegraph needs a recording to compare with: "
				"give --baseline FILE.kb");
	if (args->browser && !format->html)
		return kb_usage("--browser is for HTML pages, not for the format %s", format->name);
	if (args->browser && kb_view_args__to_stdout(args))
		return kb_usage("--browser needs a file to open: give --output FILE.html");
	return NULL;
}

/* A recording has instructions when they were asked for while it was made. */
static bool takes_opcodes(const struct kb_format *format)
{
	static const char *const names[] = { "pstats", "collapsed", "recording", "gecko",
					     "pprof",  "jsonl",	    "heatmap" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(format->name, names[i]))
			return true;
	return false;
}

/* Options that would do nothing are not taken in silence. */
static struct kb_error *check_fit(const struct kb_view_args *args, const struct kb_format *format)
{
	const char *table_only = args->sort	    ? "--sort"
				 : args->limit >= 0 ? "--limit"
				 : args->no_summary ? "--no-summary"
						    : NULL;
	const char *stacks_only = args->lines	    ? "--lines"
				  : args->threads   ? "--threads"
				  : args->processes ? "--processes"
						    : NULL;

	if (args->opcodes && !takes_opcodes(format))
		return kb_usage("--opcodes is not for the format %s", format->name);
	if (table_only && format != kb_format__at(0))
		return kb_usage("%s is for the format %s, not for %s", table_only,
				kb_format__at(0)->name, format->name);
	if (stacks_only && format == kb_format__by_name("recording"))
		return kb_usage("%s is not for recordings, which hold everything: give it to "
				"'keelback convert'",
				stacks_only);
	if (stacks_only && !strcmp(format->name, "heatmap"))
		return kb_usage("%s is for stacks: the format heatmap has lines of all threads",
				stacks_only);
	return check_page(args, format);
}

struct kb_error *kb_view_args__format(const struct kb_view_args *args,
				      const struct kb_format **result)
{
	const struct kb_format *format;

	KB_TRY(choose(args, &format));
	KB_TRY(check_fit(args, format));
	if (format->binary && kb_view_args__to_stdout(args) && isatty(STDOUT_FILENO))
		return kb_usage("format %s is binary and not for a terminal: give --output FILE",
				format->name);
	*result = format;
	return NULL;
}

bool kb_view_args__to_stdout(const struct kb_view_args *args)
{
	return !args->output || !strcmp(args->output, "-");
}

struct kb_error *kb_view_args__load_baseline(const struct kb_view_args *args,
					     struct kb_profile **baseline)
{
	*baseline = NULL;
	return args->baseline ? kb_profile__load(args->baseline, false, baseline) : NULL;
}

/* NO_COLOR is what https://no-color.org describes. */
bool kb_use_color(enum kb_color color, const char *output)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	if (color != KB_COLOR_AUTO)
		return color == KB_COLOR_ALWAYS;
	return (!output || !strcmp(output, "-")) && isatty(STDOUT_FILENO) &&
	       !(no_color && *no_color) && term && strcmp(term, "dumb");
}

struct kb_format_opts kb_view_args__opts(const struct kb_view_args *args,
					 const struct kb_general_args *general)
{
	return (struct kb_format_opts){
		.size = sizeof(struct kb_format_opts),
		.lines = args->lines,
		.opcodes = args->opcodes,
		.threads = args->threads,
		.processes = args->processes,
		.sort = args->sort,
		.limit = args->limit < 0 ? LIMIT_DEFAULT : args->limit,
		.summary = !args->no_summary,
		.color = kb_use_color(general->color, args->output),
	};
}

char *kb_view_args__help(int key, const char *text, void *input)
{
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
	for (size_t i = 0; (format = kb_format__at(i)); i++)
		fprintf(stream, "  %-15s %-26s %s\n", format->name, format->endings,
			format->description);
	if (text)
		fprintf(stream, "\n%s", text);
	if (fclose(stream)) {
		free(help);
		return (char *)text;
	}
	return help; /* argp frees what is not the text it gave */
}
