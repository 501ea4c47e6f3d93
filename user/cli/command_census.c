// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/census_print.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
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
#define EVERY_LEAST 0.01		 /* seconds */
#define POLL_NS	    (100 * KB_NS_PER_MS) /* how soon an interrupt is noticed */

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

/* "10", or "10s", "500ms" as durations are given elsewhere. */
static struct kb_error *parse_every(const char *text, double *seconds)
{
	uint64_t ns;

	if (!text[strcspn(text, "nums")])
		return kb_value__seconds("--every", text, seconds);
	KB_TRY(kb_value__duration("--every", text, &ns));
	*seconds = (double)ns / KB_NS_PER_SECOND;
	return NULL;
}

static error_t parse_value(int key, char *arg, struct argp_state *state)
{
	static const char *const keys[] = { "bytes", "objects", NULL };
	struct census_args *args = state->input;
	struct kb_error *err;
	int index = 0;

	switch (key) {
	case KEY_EVERY:
		return kb_cli__fail(state, parse_every(arg, &args->every));
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

/* What could not be read is said, and the others are shown. */
static void warn_failed(const struct kb_census *census, const struct census_args *args)
{
	for (size_t i = 0; i < kb_census__n_processes(census) && !args->general.quiet; i++) {
		const struct kb_census_process *process = kb_census__process(census, i);

		if (process->error[0])
			kb_say("census: %s", process->error);
	}
}

static struct kb_error *take(const struct census_args *args, const struct kb_target *target,
			     struct kb_census **census)
{
	struct kb_census_opts opts = { .size = sizeof(opts), .largest = (unsigned)args->largest };

	KB_TRY(kb_census__take(target, &opts, census));
	warn_failed(*census, args);
	return NULL;
}

/* False: interrupted, or the time is over. */
static bool wait_until(uint64_t until, uint64_t end)
{
	for (;;) {
		uint64_t now = kb_now(CLOCK_MONOTONIC), left;
		struct timespec nap = {};
		bool from_terminal;

		if (kb_interrupt__received(&from_terminal) || (end && until > end))
			return false;
		if (now >= until)
			return true;
		left = until - now < POLL_NS ? until - now : POLL_NS;
		nap.tv_nsec = (long)left;
		nanosleep(&nap, NULL);
	}
}

static struct kb_error *show(const struct census_args *args, const struct kb_census *census,
			     FILE *stream)
{
	if (args->json)
		return kb_census_print__json(census, stream);
	return kb_census_print__text(census, &args->view, stream);
}

/* The first in full, then what changed. As JSON, each in full. A process that has ended ends it,
 * and that is no error. */
static struct kb_error *watch(const struct census_args *args, const struct kb_target *target,
			      struct kb_census *first, FILE *stream)
{
	uint64_t start = kb_now(CLOCK_MONOTONIC), every = (uint64_t)(args->every * 1e9), round = 1,
		 end = args->duration > 0 ? start + (uint64_t)(args->duration * 1e9) : 0;
	struct kb_census *last = first, *now;
	struct kb_error *err = NULL;

	while (!err && wait_until(start + round * every, end)) {
		err = take(args, target, &now);
		if (err && kb_error__status(err) == KB_STATUS_UNSUPPORTED) {
			kb_say("census: %s", kb_error__text(err));
			kb_error__destroy(err);
			err = NULL;
			break;
		}
		if (err)
			break;
		if (!args->json)
			fprintf(stream, "\n%.1f s",
				(double)(kb_now(CLOCK_MONOTONIC) - start) / 1e9);
		err = args->json ? kb_census_print__json(now, stream)
				 : kb_census_print__growth(first, last, now, &args->view, stream);
		if (fflush(stream) || ferror(stream))
			break;
		if (last != first)
			kb_census__destroy(last);
		last = now;
		/* A heap that takes longer to read than the time between is read as often as it
		 * can. */
		round = (kb_now(CLOCK_MONOTONIC) - start) / every + 1;
	}
	if (last != first)
		kb_census__destroy(last);
	return err;
}

static struct kb_error *run(struct census_args *args, FILE *stream)
{
	struct kb_target_opts which = kb_target_args__opts(&args->target);
	struct kb_target *target;
	struct kb_census *census;
	struct kb_error *err;

	KB_TRY(kb_target__create(&which, &target));
	err = take(args, target, &census);
	if (!err) {
		err = show(args, census, stream);
		fflush(stream);
		if (!err && args->every > 0)
			err = watch(args, target, census, stream);
		kb_census__destroy(census);
	}
	kb_target__destroy(target);
	return err;
}

static struct kb_error *check(struct census_args *args)
{
	if (!args->target.given)
		return kb_usage("no target: give --pid, --container, --cgroup or --all");
	if (args->duration > 0 && !(args->every > 0))
		return kb_usage("--duration says how long --every goes on, which is not given");
	if (args->every > 0 && args->every < EVERY_LEAST)
		return kb_usage("--every: at most %.0f times a second", 1 / EVERY_LEAST);
	args->view.limit = args->limit < 0 ? LIMIT : args->limit ? (size_t)args->limit : SIZE_MAX;
	return NULL;
}

static struct kb_error *begin(struct census_args *args)
{
	struct kb_output *output;
	struct kb_error *err;

	KB_TRY(check(args));
	KB_TRY(kb_output__open(args->output, &output));
	err = kb_output__commit(output, run(args, kb_output__stream(output)));
	kb_output__destroy(output);
	return err;
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
