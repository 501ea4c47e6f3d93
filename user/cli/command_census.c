// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "cli/census_watch.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/values.h"

struct census_args {
	struct kb_general_args general;
	struct kb_target_args target;
	struct kb_census_view view;
	const char *output;
	bool json;
	double every, duration; /* seconds, 0: not given */
	long limit, largest;	/* limit -1: not given */
};

enum { KEY_EVERY = 512, KEY_LIMIT, KEY_SORT, KEY_LARGEST, KEY_CLASSES };

#define LIMIT_MAX   1000000
#define LARGEST_MAX 1000
#define LIMIT	    20

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "When:", 2 },
	{ "every", KEY_EVERY, "TIME", 0,
	  "Take one again and again, and show what has grown since the last and since the first",
	  0 },
	{ "duration", 'd', "SECONDS", 0, "With --every: for how long; default: until Ctrl-C", 0 },
	{ NULL, 0, NULL, 0, "Result:", 3 },
	{ "limit", KEY_LIMIT, "N", 0, "At most N types; 0: all of them. Default: 20", 0 },
	{ "sort", KEY_SORT, "KEY", 0, "Types by bytes (the default) or objects", 0 },
	{ "largest", KEY_LARGEST, "N", 0, "List the N largest objects; default: 20", 0 },
	{ "classes", KEY_CLASSES, NULL, 0, "The blocks of Python's allocator by size, too", 0 },
	{ "output", 'o', "FILE", 0, "Write to FILE; - is stdout, the default", 0 },
	{},
};

static error_t parse_value(int key, char *arg, struct argp_state *state)
{
	static const char *const keys[] = { "bytes", "objects", NULL };
	struct census_args *args = state->input;
	struct kb_error *err;
	int index = 0;

	switch (key) {
	case KEY_EVERY:
		return kb_cli__fail(state, kb_census_watch__every(arg, &args->every));
	case 'd':
		return kb_cli__fail(state, kb_value__seconds("--duration", arg, &args->duration));
	case KEY_LIMIT:
		return kb_cli__fail(state,
				    kb_value__integer("--limit", arg, 0, LIMIT_MAX, &args->limit));
	case KEY_LARGEST:
		return kb_cli__fail(
			state, kb_value__integer("--largest", arg, 1, LARGEST_MAX, &args->largest));
	case KEY_SORT:
		err = kb_value__choice("--sort", arg, keys, &index);
		args->view.by_objects = index == 1;
		return kb_cli__fail(state, err);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct census_args *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->target;
		state->child_inputs[1] = &args->json;
		state->child_inputs[2] = &args->general;
		return 0;
	case KEY_CLASSES:
		args->view.classes = true;
		return 0;
	case 'o':
		args->output = arg;
		return 0;
	default:
		return parse_value(key, arg, state);
	}
}

static const struct argp_child children[] = {
	{ &kb_target_only_argp, 0, "Which processes, one of these:", 1 },
	{ &kb_json_argp, 0, NULL, 3 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Counts what is in the heap of running processes now: objects by type, with their bytes as "
	"sys.getsizeof() says; the largest objects; what Python's allocator uses, has free and has "
	"lost. Nothing is stopped and there is no probe: memory is copied and checked."
	"\v"
	"Examples:\n"
	"  keelback census -p 4711                       what is there\n"
	"  keelback census -p 4711 --every 10s -d 60     what grows\n"
	"  keelback census --container web --json\n";

static const struct argp argp = { options, parse, "", doc, children, NULL, NULL };

/* ---------------------------------------------------------------- the command */

static struct kb_error *check(struct census_args *args)
{
	if (!args->target.given)
		return kb_usage("no target: give --pid, --container, --cgroup or --all");
	if (args->duration > 0 && !(args->every > 0))
		return kb_usage("--duration says how long --every goes on, which is not given");
	args->view.limit = args->limit < 0 ? LIMIT : args->limit ? (size_t)args->limit : SIZE_MAX;
	return NULL;
}

static struct kb_error *begin(struct census_args *args)
{
	struct kb_census_watch watch = { .target = &args->target,
					 .general = &args->general,
					 .output = args->output,
					 .json = args->json,
					 .every = args->every,
					 .duration = args->duration,
					 .largest = args->largest };

	KB_TRY(check(args));
	watch.view = args->view;
	return kb_census_watch__run(&watch);
}

struct kb_error *kb_command__census(int argc, char **argv, int *status)
{
	struct census_args args = { .limit = -1 };
	bool done = false;
	struct kb_error *err;

	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	if (!err && !done) {
		kb_report__start(&args.general);
		err = begin(&args);
	}
	kb_target_args__free(&args.target);
	return err;
}
