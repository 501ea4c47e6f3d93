/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_CLI_OPTIONS_H
#define KB_CLI_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "keelback/error.h"
#include "keelback/format.h"
#include "keelback/sample.h"
#include "keelback/target.h"

/*
 * Options that mean the same in every command. A command's table (struct argp) has
 * those of these groups as children that it understands, and its own; each group
 * writes to its own struct, which the command hands on in argp's child_inputs.
 */

/* General: -q -v --color -h --version */
struct kb_general_args {
	bool quiet;
	int verbose; /* how often */
	enum kb_color color;
	bool help, version;
};
extern const struct argp kb_general_argp;

/* --json, for commands whose other output is text: input is a bool. */
extern const struct argp kb_json_argp;

/* The target: -p --children --container --cgroup -a, and what follows -- if the command runs one.
 */
struct kb_target_args {
	pid_t *pids;
	size_t n_pids;
	bool children;
	const char *container;
	const char *cgroup;
	bool all;
	char **argv;
	bool given; /* any of them */
};
extern const struct argp kb_target_argp;
extern const struct argp kb_target_only_argp; /* without -- COMMAND */

struct kb_target_opts kb_target_args__opts(const struct kb_target_args *args);
void kb_target_args__free(struct kb_target_args *args);

/* How a session samples, for every command that has one: -d -r --no-jitter -t --mode --min-wait. A
 * new option of struct kb_sample_opts belongs here, so that all of them have it. */
struct kb_collect_args {
	double duration; /* seconds, 0: without end */
	bool tick;
	unsigned rate_hz; /* 0: the default of the target's kind */
	bool no_jitter, no_native_marks, no_gc, opcodes;
	long tid;	      /* 0: all threads */
	int mode;	      /* enum kb_sample_mode */
	uint64_t wait_min_ns; /* 0: the default */
	bool native, kernel;
	int async; /* enum kb_async */
};
extern const struct argp kb_collect_argp;

/* Options that do not go with one another. */
struct kb_error *kb_collect_args__check(const struct kb_collect_args *args);
struct kb_sample_opts kb_collect_args__opts(const struct kb_collect_args *args);

/* Where a profile goes and how it is shown: -o -f --sort --limit --lines --threads --processes
 * --no-summary --baseline --browser */
struct kb_view_args {
	const char *output; /* NULL: stdout */
	const char *format; /* as given, or NULL */
	const char *sort;
	long limit;   /* -1: not given */
	bool opcodes; /* --opcodes, an option of collecting or of the command */
	bool lines, threads, processes, no_summary;
	const char *baseline; /* a recording, or NULL */
	bool browser;
};
extern const struct argp kb_view_argp;

/* A default-initialized struct. */
#define KB_VIEW_ARGS_INIT                                                                          \
	{                                                                                          \
		.limit = -1                                                                        \
	}

/*
 * The format that -f, else the ending of -o, else nothing chooses; fails for
 * options that it does not have and for binary formats that would go to a terminal.
 */
struct kb_error *kb_view_args__format(const struct kb_view_args *args,
				      const struct kb_format **format);
struct kb_format_opts kb_view_args__opts(const struct kb_view_args *args,
					 const struct kb_general_args *general);
bool kb_view_args__to_stdout(const struct kb_view_args *args);
/* The profile of --baseline, or NULL; kb_profile__destroy() it. */
struct kb_error *kb_view_args__load_baseline(const struct kb_view_args *args,
					     struct kb_profile **baseline);
/* Whether colours go to this output; NULL is stdout. */
bool kb_use_color(enum kb_color color, const char *output);
/* argp's help_filter for commands with a view: lists the formats after the options. */
char *kb_view_args__help(int key, const char *text, void *input);

/*
 * Parses a command's arguments. input goes to the table's parser. *done: help or
 * the version was asked for, and is printed.
 */
struct kb_error *kb_cli__parse(const struct argp *argp, int argc, char **argv, void *input,
			       const struct kb_general_args *general, bool *done);

/* For parsers: keeps the first error for kb_cli__parse() and returns what stops argp; 0 for NULL.
 */
error_t kb_cli__fail(struct argp_state *state, struct kb_error *err);

#endif
