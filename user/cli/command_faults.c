// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/faults_output.h"
#include "cli/launched.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/values.h"
#include "keelback/faults.h"

#define POLL_MS	      250
#define LIMIT_MAX     2048
#define MAX_FILES     1000
#define MAX_FILES_MAX 1000000
#define MAX_BYTES     (256ull << 20)

struct faults_args {
	struct kb_general_args general;
	struct kb_target_args target;
	struct kb_faults_opts opts;
	struct kb_faults_output_opts output;
	bool json, chain;
	long limit, max_files;
	double duration;
};

enum {
	KEY_SIGNALS = 512,
	KEY_OOM,
	KEY_NATIVE,
	KEY_LOCALS,
	KEY_LIMIT,
	KEY_LATER,
	KEY_REPEAT,
	KEY_EXIT,
	KEY_HANG,
	KEY_REGISTER,
	KEY_CHAIN,
	KEY_DIRECTORY,
	KEY_MAX_FILES,
	KEY_MAX_BYTES,
	KEY_JSON,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "When:", 2 },
	{ "signals", KEY_SIGNALS, "LIST", 0,
	  "Signals that end a process, such as SEGV,TERM,KILL; default: "
	  "SEGV,FPE,ABRT,BUS,ILL, as faulthandler",
	  0 },
	{ "oom", KEY_OOM, NULL, 0, "Also when the OOM killer ends it", 0 },
	{ "register", KEY_REGISTER, "LIST", 0,
	  "When one of these signals is sent to a process, handled, ignored (URG) or not", 0 },
	{ "chain", KEY_CHAIN, NULL, 0,
	  "With --register: also signals that the process does something about, or dies of", 0 },
	{ "later", KEY_LATER, "SECONDS", 0, "When a process has run for so long", 0 },
	{ "repeat", KEY_REPEAT, NULL, 0, "With --later: again whenever so much time is over", 0 },
	{ "exit", KEY_EXIT, NULL, 0, "With --later: then end the process (SIGKILL)", 0 },
	{ "hang", KEY_HANG, "SECONDS", 0, "When a thread has not moved for so long", 0 },
	{ "duration", 'd', "SECONDS", 0, "End after so long; else with the command, or Ctrl-C", 0 },
	{ NULL, 0, NULL, 0, "What:", 3 },
	{ "native", KEY_NATIVE, NULL, 0, "The C stack of the thread that dies, too", 0 },
	{ "locals", KEY_LOCALS, NULL, 0,
	  "Local variables and their values, too: a process that dies is held for it, half a "
	  "second "
	  "at most",
	  0 },
	{ "limit", KEY_LIMIT, "N", 0,
	  "At most N frames of a thread, from the innermost one; default: 100", 0 },
	{ NULL, 0, NULL, 0, "Result:", 4 },
	{ "output", 'o', "FILE", 0, "Append to FILE; - is stdout, the default", 0 },
	{ "format", 'f', "NAME", 0, "text (the default), as faulthandler has it, or jsonl", 0 },
	{ "json", KEY_JSON, NULL, 0, "The same as --format jsonl", 0 },
	{ "directory", KEY_DIRECTORY, "DIR", 0, "Each report into a file of its own in DIR", 0 },
	{ "max-files", KEY_MAX_FILES, "N", 0,
	  "With --directory: remove the oldest when there are more; default: 1000", 0 },
	{ "max-bytes", KEY_MAX_BYTES, "SIZE", 0,
	  "With --directory: and when they take more, such as 64M; default: 256M", 0 },
	{},
};

static struct kb_error *parse_signals(const char *option, const char *text, uint64_t *set)
{
	char *copy = strdup(text), *part, *save = NULL;
	struct kb_error *err = NULL;

	if (!copy)
		return kb_error__no_memory();
	if (!*text || text[0] == ',' || text[strlen(text) - 1] == ',' || strstr(text, ",,"))
		err = kb_usage("%s: '' is no signal", option);
	for (part = strtok_r(copy, ",", &save); part && !err; part = strtok_r(NULL, ",", &save)) {
		int number = kb_signal__by_name(part);

		if (number)
			*set |= KB_SIGNAL_BIT(number);
		else
			err = kb_usage("%s: '%s' is no signal", option, part);
	}
	free(copy);
	return err;
}

static error_t parse_when(int key, char *arg, struct argp_state *state)
{
	struct faults_args *args = state->input;

	switch (key) {
	case KEY_SIGNALS:
		return kb_cli__fail(state, parse_signals("--signals", arg, &args->opts.signals));
	case KEY_REGISTER:
		return kb_cli__fail(state,
				    parse_signals("--register", arg, &args->opts.registered));
	case KEY_CHAIN:
		args->chain = true;
		return 0;
	case KEY_OOM:
		args->opts.oom = true;
		return 0;
	case KEY_LATER:
		return kb_cli__fail(state, kb_value__seconds("--later", arg, &args->opts.later_s));
	case KEY_REPEAT:
		args->opts.repeat = true;
		return 0;
	case KEY_EXIT:
		args->opts.end_it = true;
		return 0;
	case KEY_HANG:
		return kb_cli__fail(state, kb_value__seconds("--hang", arg, &args->opts.hang_s));
	case 'd':
		return kb_cli__fail(state, kb_value__seconds("--duration", arg, &args->duration));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_result(int key, char *arg, struct argp_state *state)
{
	static const char *const formats[] = { "text", "jsonl", NULL };
	struct faults_args *args = state->input;
	int format = 0;
	error_t error;

	switch (key) {
	case 'o':
		if (!*arg)
			return kb_cli__fail(state, kb_usage("--output: no file name"));
		args->output.path = arg;
		return 0;
	case 'f':
		error = kb_cli__fail(state, kb_value__choice("--format", arg, formats, &format));
		args->json = format;
		return error;
	case KEY_JSON:
		args->json = true;
		return 0;
	case KEY_DIRECTORY:
		if (!*arg)
			return kb_cli__fail(state, kb_usage("--directory: no name"));
		args->output.directory = arg;
		return 0;
	case KEY_MAX_FILES:
		return kb_cli__fail(state, kb_value__integer("--max-files", arg, 1, MAX_FILES_MAX,
							     &args->max_files));
	case KEY_MAX_BYTES:
		return kb_cli__fail(state,
				    kb_value__bytes("--max-bytes", arg, &args->output.max_bytes));
	default:
		return parse_when(key, arg, state);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct faults_args *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->target;
		state->child_inputs[1] = &args->general;
		return 0;
	case KEY_NATIVE:
		args->opts.native = true;
		return 0;
	case KEY_LOCALS:
		args->opts.locals = true;
		return 0;
	case KEY_LIMIT:
		return kb_cli__fail(state,
				    kb_value__integer("--limit", arg, 1, LIMIT_MAX, &args->limit));
	default:
		return parse_result(key, arg, state);
	}
}

static const struct argp_child children[] = {
	{ &kb_target_argp, 0, "Target, one of these or -- COMMAND:", 1 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Tells what Python programs were doing when a signal ended them: the stacks of all "
	"threads, in the format of faulthandler, of programs that enabled nothing. They are taken "
	"in the kernel, in the thread that dies, which dies as it would have. Also when a program "
	"hangs, runs for too long, or is sent a signal."
	"\v"
	"Examples:\n"
	"  keelback faults -a                           tell of every Python that crashes\n"
	"  keelback faults -a --native --directory /var/log/crashes\n"
	"  keelback faults --later 60 --exit -- python3 test.py\n"
	"  keelback faults -p 4711 --register URG       then: kill -URG 4711\n\n"
	"The last line, on stderr, is the ledger: deaths that were seen, and what became of "
	"each.\n\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage, 4 not possible here; with -- COMMAND its "
	"own, 128+N if signal N ended it.";

static const struct argp argp = { .options = options,
				  .parser = parse,
				  .args_doc = "TARGET\n-- COMMAND [ARG...]",
				  .doc = doc,
				  .children = children };

/* ---------------------------------------------------------------- running */

struct run {
	const struct faults_args *args;
	struct kb_target *target;
	struct kb_faults_output *output;
	struct kb_faults *faults;
	struct kb_launched launched;
	struct kb_error *err; /* of writing, the first */
	uint64_t unwritten;
};

static void report(const struct kb_fault *fault, void *context)
{
	struct run *run = context;
	struct kb_error *err = kb_faults_output__write(run->output, fault);

	if (!err)
		return;
	/* A service goes on: the disk may have room again. */
	if (run->args->output.directory && !run->unwritten)
		kb_say("faults: %s", kb_error__text(err));
	run->unwritten++;
	if (run->err)
		kb_error__destroy(err);
	else
		run->err = err;
}

static struct kb_error *watch(struct run *run)
{
	double duration = run->args->duration;
	uint64_t now, end = UINT64_MAX;
	bool done = false;

	KB_TRY(kb_faults__start(run->faults));
	if (!run->args->general.quiet && (run->args->general.verbose || isatty(STDERR_FILENO)))
		kb_say("watching %s; Ctrl-C ends it", kb_target__describe(run->target));
	now = kb_now(CLOCK_MONOTONIC);
	if (duration > 0)
		end = now + (uint64_t)(duration * KB_NS_PER_SECOND);
	while (!done && now < end && !kb_launched__interrupt(&run->launched)) {
		KB_TRY(kb_faults__poll(run->faults, kb_ms_until(now, end, POLL_MS), &done));
		if (run->err && !run->args->output.directory)
			return NULL;
		now = kb_now(CLOCK_MONOTONIC);
	}
	return NULL;
}

static void write_entries(struct run *run, bool notes, const char *first, const char *next,
			  FILE *stream)
{
	const char *separator = first;

	for (size_t i = 0; i < kb_faults__n_ledger(run->faults); i++) {
		struct kb_ledger_entry entry = kb_faults__ledger(run->faults, i);

		if (entry.note != notes || !entry.count)
			continue;
		fprintf(stream, "%s%" PRIu64 " %s", separator, entry.count, entry.name);
		separator = next;
	}
}

static void say_ledger(struct run *run)
{
	uint64_t seen = kb_faults__seen(run->faults), removed;
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return;
	fprintf(stream, "%" PRIu64 " deaths seen", seen);
	write_entries(run, false, " = ", " + ", stream);
	write_entries(run, true, "; beside them ", ", ", stream);
	removed = kb_faults_output__removed(run->output);
	if (removed)
		fprintf(stream, "; %" PRIu64 " older reports were removed", removed);
	if (run->unwritten)
		fprintf(stream, "; %" PRIu64 " reports could not be written", run->unwritten);
	if (fclose(stream) == 0)
		kb_say("%s", text);
	free(text);
}

static struct kb_error *run_session(struct run *run, int *status)
{
	struct kb_error *err = watch(run);

	err = kb_error__first(err, kb_faults__stop(run->faults));
	if (!err && !run->args->general.quiet)
		say_ledger(run);
	if (!err) {
		err = run->err;
		run->err = NULL;
	}
	if (!err)
		*status = kb_launched__await(&run->launched, run->args->general.quiet);
	return err;
}

static uint64_t fatal(uint64_t signals)
{
	uint64_t result = 0;

	for (int number = 1; number <= 64; number++) {
		if (kb_signal__is_fatal(number))
			result |= signals & KB_SIGNAL_BIT(number);
	}
	return result;
}

/* What cannot be done to a signal from outside is not promised. */
static struct kb_error *check_registered(const struct faults_args *args)
{
	if (args->chain && !args->opts.registered)
		return kb_usage("--chain needs --register");
	for (int number = 1; number <= 64 && !args->chain; number++) {
		if (args->opts.registered & KB_SIGNAL_BIT(number) && kb_signal__is_fatal(number))
			return kb_usage("--register: %s ends a process that does not handle it, "
					"which cannot be kept from it: give --chain if that is "
					"meant, or take URG",
					kb_signal__name(number));
	}
	return NULL;
}

static struct kb_error *check(const struct faults_args *args)
{
	if (!args->target.given)
		return kb_usage("no target: give --pid, --container, --cgroup, --all or -- COMMAND "
				"(see 'keelback faults --help')");
	for (int number = 1; number <= 64; number++) {
		if (args->opts.signals & KB_SIGNAL_BIT(number) && !kb_signal__is_fatal(number))
			return kb_usage("--signals: %s ends no process", kb_signal__name(number));
	}
	if ((args->opts.repeat || args->opts.end_it) && !(args->opts.later_s > 0))
		return kb_usage("%s needs --later SECONDS",
				args->opts.repeat ? "--repeat" : "--exit");
	if (args->opts.repeat && args->opts.end_it)
		return kb_usage("--repeat and --exit do not go together");
	if (args->output.directory && args->output.path)
		return kb_usage("--output and --directory do not go together");
	if (!args->output.directory && (args->max_files || args->output.max_bytes))
		return kb_usage("%s needs --directory DIR",
				args->max_files ? "--max-files" : "--max-bytes");
	return check_registered(args);
}

static pid_t command_pid(const void *faults)
{
	return kb_faults__command_pid(faults);
}

static int command_status(const void *faults)
{
	return kb_faults__command_status(faults);
}

static struct kb_error *open_run(struct run *run)
{
	const struct faults_args *args = run->args;
	struct kb_target_opts which = kb_target_args__opts(&args->target);
	struct kb_faults_output_opts output = args->output;
	struct kb_faults_opts opts = args->opts;

	output.json = args->json;
	output.max_files = args->max_files ? (uint64_t)args->max_files : MAX_FILES;
	if (!output.max_bytes)
		output.max_bytes = MAX_BYTES;
	opts.size = sizeof(opts);
	opts.frames = (unsigned)args->limit;
	opts.report = report;
	opts.context = run;
	/* What is to be told of when it is sent may end the process then. */
	if (args->chain)
		opts.signals = (opts.signals ?: KB_FAULTS_DEFAULT_SIGNALS) | fatal(opts.registered);
	KB_TRY(kb_target__create(&which, &run->target));
	KB_TRY(kb_faults_output__open(&output, &run->output));
	KB_TRY(kb_faults__create(run->target, &opts, &run->faults));
	run->launched = (struct kb_launched){ .session = run->faults,
					      .pid = command_pid,
					      .status = command_status };
	return NULL;
}

static struct kb_error *run_faults(const struct faults_args *args, int *status)
{
	struct run run = { .args = args };
	struct kb_error *err;

	KB_TRY(check(args));
	kb_report__start(&args->general);
	err = open_run(&run);
	if (!err)
		err = run_session(&run, status);
	kb_error__destroy(run.err);
	kb_faults__destroy(run.faults);
	kb_faults_output__destroy(run.output);
	kb_target__destroy(run.target);
	return err;
}

struct kb_error *kb_command__faults(int argc, char **argv, int *status)
{
	struct faults_args args = {};
	bool done = false;
	struct kb_error *err;

	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	if (!err && !done)
		err = run_faults(&args, status);
	kb_target_args__free(&args.target);
	return err;
}
