// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/format_list.h"
#include "cli/memory_view.h"
#include "cli/output.h"
#include "cli/values.h"

#define FILTERS_MAX	 64 /* on a command line */
#define LEAK_AGE_DIVISOR 3  /* --leaks: blocks at least as old as this part of the time observed */
#define LIMIT_DEFAULT	 10 /* as tracemalloc's examples */
#define LIMIT_MAX	 1000000
#define LINE_MAX_	 10000000

enum {
	KEY_VALUE = 1280,
	KEY_GROUP,
	KEY_CUMULATIVE,
	KEY_BLOCKS,
	KEY_INCLUDE,
	KEY_EXCLUDE,
	KEY_ALL_FRAMES,
	KEY_DOMAIN,
	KEY_LEAKS,
	KEY_AGE,
	KEY_LIMIT,
	KEY_NO_SUMMARY,
};

static const struct argp_option options[] = {
	{ "output", 'o', "FILE", 0, "Write to FILE; - is stdout, the default", 0 },
	{ "format", 'f', "NAME", 0, "One of the formats below; else FILE's ending chooses", 0 },
	{ "value", KEY_VALUE, "WHAT", 0,
	  "live (default): what is alive at the end; peak: what was alive at the peak; total: all "
	  "that was allocated. Default of commands that have ended: peak",
	  0 },
	{ "group", KEY_GROUP, "BY", 0, "Table, jsonl: by lineno (default), filename or traceback",
	  0 },
	{ "cumulative", KEY_CUMULATIVE, NULL, 0,
	  "Table, jsonl: blocks count for each frame of their stack, once", 0 },
	{ "blocks", KEY_BLOCKS, NULL, 0, "Order, and flame graphs, by blocks instead of bytes", 0 },
	{ "include", KEY_INCLUDE, "PATTERN[:LINE]", 0,
	  "Only blocks that a file (and line) like this allocated, such as '*/json/*'; again and "
	  "again",
	  0 },
	{ "exclude", KEY_EXCLUDE, "PATTERN[:LINE]", 0, "Without these", 0 },
	{ "all-frames", KEY_ALL_FRAMES, NULL, 0,
	  "--include, --exclude: any frame of the stack, not the last call alone", 0 },
	{ "domain", KEY_DOMAIN, "NAME[,NAME...]", 0,
	  "Only these: raw, mem, obj, libc, mmap, pool, arena, native (default: all but mmap and "
	  "arena)",
	  0 },
	{ "leaks", KEY_LEAKS, NULL, 0,
	  "Table: what was allocated while observed and is still alive, for how long (at least a "
	  "third of the time, or --age), and what share of all that was allocated there",
	  0 },
	{ "age", KEY_AGE, "SECONDS", 0, "Only live blocks that are as old as this", 0 },
	{ "limit", KEY_LIMIT, "N", 0, "Table: at most N rows (default: 10); 0: all of them", 0 },
	{ "no-summary", KEY_NO_SUMMARY, NULL, 0, "Table: leave out the sums and the ledger", 0 },
	{},
};

/* "PATTERN:LINE", or "PATTERN". */
static struct kb_error *add_filter(struct kb_memory_view_args *args, const char *option, char *text,
				   bool inclusive)
{
	struct kb_memory_filter *more, filter = { .inclusive = inclusive, .pattern = text };
	char *colon = strrchr(text, ':');
	long line = 0;

	if (colon && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == '\0') {
		KB_TRY(kb_value__integer(option, colon + 1, 1, LINE_MAX_, &line));
		*colon = '\0';
		filter.line = line;
	}
	if (!*text)
		return kb_usage("%s: no pattern", option);
	if (args->n_filters == FILTERS_MAX)
		return kb_usage("%s: more than %d filters", option, FILTERS_MAX);
	more = reallocarray(args->filters, args->n_filters + 1, sizeof(*more));
	if (!more)
		return kb_error__no_memory();
	args->filters = more;
	more[args->n_filters++] = filter;
	return NULL;
}

static struct kb_error *add_domains(struct kb_memory_view_args *args, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, ",");
		int domain = 0;

		while (domain < KB_MEMORY_DOMAINS &&
		       (strlen(kb_memory_domain__name(domain)) != length ||
			strncmp(kb_memory_domain__name(domain), text, length)))
			domain++;
		if (domain == KB_MEMORY_DOMAINS)
			return kb_usage(
				"--domain: '%.*s' is none of raw, mem, obj, libc, mmap, pool, "
				"arena",
				(int)length, text);
		args->domains |= 1u << domain;
		text += length + (text[length] == ',');
	}
	return args->domains ? NULL : kb_usage("--domain: no name");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	static const char *const values[] = { "live", "peak", "total", NULL };
	static const char *const groups[] = { "lineno", "filename", "traceback", NULL };
	struct kb_memory_view_args *args = state->input;

	switch (key) {
	case 'o':
		if (!*arg)
			return kb_cli__fail(state, kb_usage("--output: no file name"));
		args->output = arg;
		return 0;
	case 'f':
		args->format = arg;
		return 0;
	case KEY_VALUE:
		return kb_cli__fail(state, kb_value__choice("--value", arg, values, &args->value));
	case KEY_GROUP:
		return kb_cli__fail(state, kb_value__choice("--group", arg, groups, &args->group));
	case KEY_CUMULATIVE:
		args->cumulative = true;
		return 0;
	case KEY_BLOCKS:
		args->blocks = true;
		return 0;
	case KEY_INCLUDE:
	case KEY_EXCLUDE:
		return kb_cli__fail(state,
				    add_filter(args, key == KEY_INCLUDE ? "--include" : "--exclude",
					       arg, key == KEY_INCLUDE));
	case KEY_ALL_FRAMES:
		args->all_frames = true;
		return 0;
	case KEY_DOMAIN:
		return kb_cli__fail(state, add_domains(args, arg));
	case KEY_LEAKS:
		args->leaks = true;
		return 0;
	case KEY_AGE:
		return kb_cli__fail(state, kb_value__seconds("--age", arg, &args->age));
	case KEY_LIMIT:
		return kb_cli__fail(state,
				    kb_value__integer("--limit", arg, 0, LIMIT_MAX, &args->limit));
	case KEY_NO_SUMMARY:
		args->no_summary = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp kb_memory_view_argp = { .options = options, .parser = parse };

bool kb_memory_view_args__to_stdout(const struct kb_memory_view_args *args)
{
	return !args->output || !strcmp(args->output, "-");
}

void kb_memory_view_args__free(struct kb_memory_view_args *args)
{
	free(args->filters);
}

/* ---- formats */

static struct kb_error *check_fit(const struct kb_memory_view_args *args,
				  const struct kb_format *format)
{
	bool table = !strcmp(format->name, "table");
	const char *table_only = args->leaks	    ? "--leaks"
				 : args->limit >= 0 ? "--limit"
				 : args->no_summary ? "--no-summary"
						    : NULL;
	const char *rows_only = args->group ? "--group" : args->cumulative ? "--cumulative" : NULL;

	if (table_only && !table)
		return kb_usage("%s is for the format table, not for %s", table_only, format->name);
	if (rows_only && !table && strcmp(format->name, "jsonl"))
		return kb_usage("%s is for the formats table and jsonl, not for %s", rows_only,
				format->name);
	if (args->leaks && args->value > KB_MEMORY_LIVE)
		return kb_usage("--leaks is about what is alive: leave --value out");
	return NULL;
}

static const struct kb_formats formats = { kb_memory_format__at, kb_memory_format__by_name,
					   kb_memory_format__by_path };

struct kb_error *kb_memory_view_args__format(const struct kb_memory_view_args *args,
					     const struct kb_format **result)
{
	const struct kb_format *format;
	struct kb_memory_view_opts opts = kb_memory_view_args__opts(args, NULL);

	KB_TRY(kb_formats__choose(&formats, args->format, args->output, &format));
	KB_TRY(check_fit(args, format));
	KB_TRY(kb_memory_format__check(format, &opts));
	if (format->binary && kb_memory_view_args__to_stdout(args) && isatty(STDOUT_FILENO))
		return kb_usage("format %s is binary and not for a terminal: give --output FILE",
				format->name);
	*result = format;
	return NULL;
}

struct kb_memory_view_opts kb_memory_view_args__opts(const struct kb_memory_view_args *args,
						     const struct kb_general_args *general)
{
	for (size_t i = 0; i < args->n_filters; i++)
		args->filters[i].all_frames = args->all_frames;
	return (struct kb_memory_view_opts){
		.size = sizeof(struct kb_memory_view_opts),
		.value = args->value < 0 ? KB_MEMORY_LIVE : args->value,
		.group = args->group,
		.cumulative = args->cumulative,
		.blocks = args->blocks,
		.filters = args->filters,
		.n_filters = args->n_filters,
		.domains = args->domains,
		.leaks = args->leaks,
		.age_ns = args->age * KB_NS_PER_SECOND,
		.limit = args->limit < 0 ? LIMIT_DEFAULT : args->limit,
		.summary = !args->no_summary,
		.color = general && kb_use_color(general->color, args->output),
	};
}

struct kb_error *kb_memory_view_args__write(const struct kb_memory_view_args *args,
					    const struct kb_general_args *general,
					    const struct kb_format *format,
					    const struct kb_profile *profile)
{
	struct kb_memory_view_opts opts = kb_memory_view_args__opts(args, general);
	struct kb_output *output;
	struct kb_error *err;

	/* What is renewed all the time, such as a cache, is young and no leak. */
	if (opts.leaks && !opts.age_ns)
		opts.age_ns = kb_memory__taken_ns(kb_profile__memory(profile)) / LEAK_AGE_DIVISOR;
	KB_TRY(kb_output__open(args->output, &output));
	err = kb_memory_format__write(format, profile, &opts, kb_output__stream(output));
	err = kb_output__commit(output, err);
	kb_output__destroy(output);
	return err;
}

char *kb_memory_view_args__help(int key, const char *text, void *input)
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
	for (size_t i = 0; (format = kb_memory_format__at(i)); i++)
		fprintf(stream, "  %-16s %-17s %s\n", format->name, format->endings,
			format->description);
	if (text)
		fprintf(stream, "\n%s", text);
	if (fclose(stream)) {
		free(help);
		return (char *)text;
	}
	return help; /* argp frees what is not the text it gave */
}
