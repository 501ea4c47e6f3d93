// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "cli/options.h"
#include "cli/values.h"

/* Options without a letter. */
enum {
	KEY_COLOR = 256,
	KEY_JSON,
	KEY_VERSION,
	KEY_CHILDREN,
	KEY_CONTAINER,
	KEY_CGROUP,
	KEY_SORT,
	KEY_LIMIT,
	KEY_LINES,
	KEY_THREADS,
	KEY_PROCESSES,
	KEY_NO_SUMMARY,
	KEY_BASELINE,
	KEY_BROWSER,
};

#define LIMIT_MAX 1000000

/* ---------------------------------------------------------------- general */

static const char *const colors[] = { "auto", "always", "never", NULL }; /* as enum kb_color */

static const struct argp_option general_options[] = {
	{ "quiet", 'q', NULL, 0, "Print errors only: no warnings, no progress, no ledger", 0 },
	{ "verbose", 'v', NULL, 0, "Say what is being done; twice: and how", 0 },
	{ "color", KEY_COLOR, "WHEN", 0, "auto (the default), always or never", 0 },
	{ "help", 'h', NULL, 0, "Print this text", 0 },
	{ "version", KEY_VERSION, NULL, 0, "Print the version", 0 },
	{},
};

static error_t parse_general(int key, char *arg, struct argp_state *state)
{
	struct kb_general_args *args = state->input;
	int color;
	error_t error;

	switch (key) {
	case 'q':
		args->quiet = true;
		return 0;
	case 'v':
		args->verbose++;
		return 0;
	case KEY_COLOR:
		error = kb_cli__fail(state, kb_value__choice("--color", arg, colors, &color));
		if (!error)
			args->color = color;
		return error;
	case 'h':
	case KEY_VERSION:
		args->help = args->help || key == 'h';
		args->version = key == KEY_VERSION;
		state->next = state->argc; /* nothing after it matters */
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp kb_general_argp = { .options = general_options, .parser = parse_general };

/* ---- JSON */

static const struct argp_option json_options[] = {
	{ "json", KEY_JSON, NULL, 0, "Write JSON: an array of objects", 0 },
	{},
};

static error_t parse_json(int key, char *arg, struct argp_state *state)
{
	if (key != KEY_JSON)
		return ARGP_ERR_UNKNOWN;
	*(bool *)state->input = true;
	return 0;
}

const struct argp kb_json_argp = { .options = json_options, .parser = parse_json };

/* ---------------------------------------------------------------- target */

static const struct argp_option target_options[] = {
	{ "pid", 'p', "PID[,PID...]", 0, "These processes, by host PID", 0 },
	{ "children", KEY_CHILDREN, NULL, 0, "With --pid: also those that they start", 0 },
	{ "container", KEY_CONTAINER, "NAME", 0,
	  "A container by name or id (runc, crun, podman, docker, containerd)", 0 },
	{ "cgroup", KEY_CGROUP, "PATH", 0,
	  "A cgroup v2 directory, absolute or below the cgroup2 mount", 0 },
	{ "all", 'a', NULL, 0, "Every Python process, and those that start later", 0 },
	{},
};

static error_t parse_target_only(int key, char *arg, struct argp_state *state)
{
	struct kb_target_args *args = state->input;
	error_t error = 0;

	switch (key) {
	case 'p':
		error = kb_cli__fail(state,
				     kb_value__pids("--pid", arg, &args->pids, &args->n_pids));
		break;
	case KEY_CHILDREN:
		args->children = true;
		break;
	case KEY_CONTAINER:
		if (!*arg)
			return kb_cli__fail(state, kb_usage("--container: no name"));
		args->container = arg;
		break;
	case KEY_CGROUP:
		if (!*arg)
			return kb_cli__fail(state, kb_usage("--cgroup: no path"));
		args->cgroup = arg;
		break;
	case 'a':
		args->all = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	args->given = true;
	return error;
}

static error_t parse_target(int key, char *arg, struct argp_state *state)
{
	struct kb_target_args *args = state->input;

	if (key != ARGP_KEY_ARG)
		return parse_target_only(key, arg, state);
	if (!state->quoted)
		return kb_cli__fail(
			state,
			kb_usage("unexpected argument '%s': a command to run follows '--'", arg));
	args->argv = state->argv + state->next - 1;
	args->given = true;
	state->next = state->argc;
	return 0;
}

const struct argp kb_target_argp = { .options = target_options, .parser = parse_target };
const struct argp kb_target_only_argp = { .options = target_options, .parser = parse_target_only };

struct kb_target_opts kb_target_args__opts(const struct kb_target_args *args)
{
	return (struct kb_target_opts){
		.size = sizeof(struct kb_target_opts),
		.pids = args->pids,
		.n_pids = args->n_pids,
		.children = args->children,
		.container = args->container,
		.cgroup = args->cgroup,
		.all = args->all,
		.argv = args->argv,
	};
}

void kb_target_args__free(struct kb_target_args *args)
{
	free(args->pids);
}

/* ---------------------------------------------------------------- view */

static const char *const sort_keys[] = { "nsamples",  "tottime",	"cumtime", "sample-pct",
					 "cumul-pct", "nsamples-cumul", "name",	   NULL };

static const struct argp_option view_options[] = {
	{ "output", 'o', "FILE", 0, "Write to FILE; - is stdout, the default", 0 },
	{ "format", 'f', "NAME", 0, "One of the formats below; else FILE's ending chooses", 0 },
	{ "sort", KEY_SORT, "KEY", 0,
	  "Table: by nsamples (the default), tottime, cumtime, sample-pct, cumul-pct, "
	  "nsamples-cumul or name",
	  0 },
	{ "limit", KEY_LIMIT, "N", 0, "Table: at most N rows; 0: all of them", 0 },
	{ "no-summary", KEY_NO_SUMMARY, NULL, 0, "Table: leave out the summary", 0 },
	{ "lines", KEY_LINES, NULL, 0, "Stacks: the line that runs, not the function's first", 0 },
	{ "threads", KEY_THREADS, NULL, 0, "Stacks: a root frame for each thread", 0 },
	{ "processes", KEY_PROCESSES, NULL, 0, "Stacks: a root frame for each process", 0 },
	{ "baseline", KEY_BASELINE, "FILE.kb", 0,
	  "diff-flamegraph: the recording to compare with, of the same mode and rate", 0 },
	{ "browser", KEY_BROWSER, NULL, 0, "HTML: open the page in a browser when it is written",
	  0 },
	{},
};

static error_t parse_view(int key, char *arg, struct argp_state *state)
{
	struct kb_view_args *args = state->input;
	int index;

	switch (key) {
	case 'o':
		if (!*arg)
			return kb_cli__fail(state, kb_usage("--output: no file name"));
		args->output = arg;
		return 0;
	case 'f':
		args->format = arg;
		return 0;
	case KEY_SORT:
		args->sort = arg;
		return kb_cli__fail(state, kb_value__choice("--sort", arg, sort_keys, &index));
	case KEY_LIMIT:
		return kb_cli__fail(state,
				    kb_value__integer("--limit", arg, 0, LIMIT_MAX, &args->limit));
	case KEY_LINES:
		args->lines = true;
		return 0;
	case KEY_THREADS:
		args->threads = true;
		return 0;
	case KEY_PROCESSES:
		args->processes = true;
		return 0;
	case KEY_NO_SUMMARY:
		args->no_summary = true;
		return 0;
	case KEY_BASELINE:
		if (!*arg)
			return kb_cli__fail(state, kb_usage("--baseline: no file name"));
		args->baseline = arg;
		return 0;
	case KEY_BROWSER:
		args->browser = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp kb_view_argp = { .options = view_options, .parser = parse_view };
