// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/error.h"
#include "cli/alert.h"
#include "cli/command.h"
#include "cli/launched.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/values.h"
#include "keelback/audit.h"

#define POLL_MS	   250 /* how long an interrupt may go unnoticed */
#define RATE_LARGE 100000000
#define EVENTS_MAX 64

struct audit_args {
	struct kb_general_args general;
	struct kb_target_args target;
	double duration; /* seconds, 0: without end */
	long tid;
	const char *output;
	int format; /* 0: text, 1: jsonl; -1: not given */
	char *events[EVENTS_MAX];
	size_t n_events;
	const char *match, *policy;
	long max_rate;
	bool summary, stack, only_alerts;
};

enum { KEY_MATCH = 256, KEY_MAX_RATE, KEY_SUMMARY, KEY_STACK, KEY_POLICY, KEY_ONLY_ALERTS };

static const struct argp_option target_options[] = {
	{ "duration", 'd', "SECONDS", 0,
	  "Observe for so long, such as 10 or 0.5; else until the command ends, or Ctrl-C", 0 },
	{ "event", 'e', "NAME[,NAME...]", 0,
	  "Only these events; NAME may end with '*' (socket.*), and with '!' before it, these are "
	  "left out. The longest that fits decides. May be given more than once",
	  0 },
	{ "match", KEY_MATCH, "REGEX", 0,
	  "Only events whose text, such as open('/etc/passwd', 'r', 524288), has a match", 0 },
	{ "max-rate", KEY_MAX_RATE, "N", 0,
	  "At most so many events per second, of all processes together; the others are counted",
	  0 },
	{ "tid", 't', "TID", 0, "Only this thread, by host TID", 0 },
	{ "stack", KEY_STACK, NULL, 0, "With the Python stack of each event", 0 },
	{ "summary", KEY_SUMMARY, NULL, 0,
	  "Count the events of each process in the kernel, and show only that", 0 },
	{ "policy", KEY_POLICY, "FILE", 0,
	  "Rules, in JSON, that say which events raise an alert: a line on stderr, exit status 3, "
	  "a "
	  "command",
	  0 },
	{ "only-alerts", KEY_ONLY_ALERTS, NULL, 0,
	  "With --policy: write only the events that raise an alert", 0 },
	{},
};

static const struct argp_option result_options[] = {
	{ "output", 'o', "FILE", 0, "Write to FILE; - is stdout, the default", 0 },
	{ "format", 'f', "NAME", 0, "text (the default) or jsonl: a JSON object for each event",
	  0 },
	{},
};

/* NAME[,NAME...]: copies. */
static struct kb_error *add_events(struct audit_args *args, const char *list)
{
	const char *end;

	for (; list; list = *end ? end + 1 : NULL) {
		end = strchrnul(list, ',');
		if (args->n_events == EVENTS_MAX)
			return kb_usage("--event: more than %d names", EVENTS_MAX);
		args->events[args->n_events] = strndup(list, (size_t)(end - list));
		if (!args->events[args->n_events])
			return kb_error__no_memory();
		args->n_events++;
	}
	return NULL;
}

static error_t parse_own(int key, char *arg, struct argp_state *state)
{
	struct audit_args *args = state->input;

	switch (key) {
	case 'd':
		return kb_cli__fail(state, kb_value__seconds("--duration", arg, &args->duration));
	case 't':
		return kb_cli__fail(state,
				    kb_value__integer("--tid", arg, 1, KB_PID_LARGEST, &args->tid));
	case 'e':
		return kb_cli__fail(state, add_events(args, arg));
	case KEY_MATCH:
		args->match = arg;
		return 0;
	case KEY_MAX_RATE:
		return kb_cli__fail(state, kb_value__integer("--max-rate", arg, 1, RATE_LARGE,
							     &args->max_rate));
	case KEY_SUMMARY:
		args->summary = true;
		return 0;
	case KEY_STACK:
		args->stack = true;
		return 0;
	case KEY_POLICY:
		args->policy = arg;
		return 0;
	case KEY_ONLY_ALERTS:
		args->only_alerts = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_result(int key, char *arg, struct argp_state *state)
{
	static const char *const formats[] = { "text", "jsonl", NULL };
	struct audit_args *args = state->input;

	switch (key) {
	case 'o':
		if (!*arg)
			return kb_cli__fail(state, kb_usage("--output: no file name"));
		args->output = arg;
		return 0;
	case 'f':
		return kb_cli__fail(state,
				    kb_value__choice("--format", arg, formats, &args->format));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp own_argp = { .options = target_options, .parser = parse_own };
static const struct argp result_argp = { .options = result_options, .parser = parse_result };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct audit_args *args = state->input;

	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &args->target;
	state->child_inputs[1] = args;
	state->child_inputs[2] = args;
	state->child_inputs[3] = &args->general;
	return 0;
}

static const struct argp_child children[] = {
	{ &kb_target_argp, 0, "Target, one of these or -- COMMAND:", 1 },
	{ &own_argp, 0, "Which events, and what with them:", 2 },
	{ &result_argp, 0, "Result:", 3 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Shows the audit events (PEP 578) of running Python programs with their arguments, as they "
	"happen: files opened, modules imported, code executed, connections made, and what "
	"programs raise by sys.audit(). No hook is installed and nothing is changed in the target. "
	"Python 3.8 and later have audit events."
	"\v"
	"Examples:\n"
	"  keelback audit -p 4711                            all events of a process\n"
	"  keelback audit -a -e 'socket.*,subprocess.Popen'  who talks to the network\n"
	"  keelback audit -a -e open --match /etc/           who opens files there\n"
	"  keelback audit --container web -f jsonl -o web.jsonl\n"
	"  keelback audit --summary -- python3 build.py      counts by event and process\n"
	"  keelback audit --policy rules.json --only-alerts -a\n\n"
	"The last line, on stderr, is the ledger: every event that was seen and what became of "
	"it.\n\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage, 3 an event raised an alert, 4 not possible "
	"here; with -- COMMAND its own, 128+N if signal N ended it.";

static const struct argp argp = {
	.parser = parse, .args_doc = "TARGET\n-- COMMAND [ARG...]", .doc = doc, .children = children
};

/* A run, from its checked arguments to its end. */
struct run {
	const struct audit_args *args;
	bool json;
	regex_t match;
	bool has_match;
	struct kb_audit_policy *policy;
	struct kb_alerts alerts;
	struct kb_target *target;
	struct kb_output *output;
	struct kb_auditor *auditor;
	struct kb_launched launched;
	/* The text that --match looks at. */
	FILE *text_stream;
	char *text;
	size_t text_size;
	int write_errno;    /* why the output could not be written */
	uint64_t not_shown; /* events that --match or --only-alerts left out */
};

/* ---------------------------------------------------------------- events */

static bool matches(struct run *run, const struct kb_audit_event *event)
{
	if (!run->has_match)
		return true;
	rewind(run->text_stream);
	fprintf(run->text_stream, "%s(", event->name);
	kb_audit_event__write_args(event, run->text_stream);
	fputs(")", run->text_stream);
	putc('\0', run->text_stream);
	return !fflush(run->text_stream) && !regexec(&run->match, run->text, 0, NULL, 0);
}

static void on_event(const struct kb_audit_event *event, void *context)
{
	struct run *run = context;
	const struct kb_audit_rule_info *rule = NULL;

	if (run->policy)
		rule = kb_audit_policy__match(run->policy, event);
	if (rule)
		kb_alerts__raise(&run->alerts, rule, event);
	if ((run->args->only_alerts && !rule) || !matches(run, event)) {
		run->not_shown++;
		return;
	}
	if (run->json)
		kb_audit_event__write_json(event, kb_output__stream(run->output));
	else
		kb_audit_event__write_text(event, kb_output__stream(run->output));
}

/* ---------------------------------------------------------------- summary */

static struct kb_error *write_table(const struct run *run, FILE *stream)
{
	enum { COLUMNS = 5 };
	size_t n = kb_auditor__n_counts(run->auditor);
	const char **cells = calloc((n + 1) * COLUMNS, sizeof(*cells)), **cell = cells;
	char(*numbers)[2][24] = calloc(n + 1, sizeof(*numbers));

	if (!cells || !numbers) {
		free(cells);
		free(numbers);
		return kb_error__no_memory();
	}
	*cell++ = "COUNT";
	*cell++ = "PID";
	*cell++ = "COMMAND";
	*cell++ = "CONTAINER";
	*cell++ = "EVENT";
	for (size_t i = 0; i < n; i++) {
		struct kb_audit_count count = kb_auditor__count(run->auditor, i);

		snprintf(numbers[i][0], sizeof(numbers[i][0]), "%" PRIu64, count.count);
		snprintf(numbers[i][1], sizeof(numbers[i][1]), "%d", count.process->pid);
		*cell++ = numbers[i][0];
		*cell++ = numbers[i][1];
		*cell++ = count.process->comm;
		*cell++ = *count.container ? count.container : "-";
		*cell++ = count.name;
	}
	kb_table__print(stream, cells, n + 1, COLUMNS);
	free(cells);
	free(numbers);
	return NULL;
}

static struct kb_error *write_summary(const struct run *run, FILE *stream)
{
	if (!run->json)
		return write_table(run, stream);
	for (size_t i = 0; i < kb_auditor__n_counts(run->auditor); i++) {
		struct kb_audit_count count = kb_auditor__count(run->auditor, i);

		kb_audit_count__write_json(&count, stream);
	}
	return NULL;
}

/* ---------------------------------------------------------------- run */

static void say_start(const struct run *run)
{
	const struct kb_general_args *general = &run->args->general;

	if (general->quiet || (!general->verbose && !isatty(STDERR_FILENO)))
		return;
	kb_say("audit events of %s; Ctrl-C ends it", kb_target__describe(run->target));
}

static struct kb_error *collect(struct run *run)
{
	FILE *stream = kb_output__stream(run->output);
	uint64_t now, end = UINT64_MAX;
	bool done = false;

	KB_TRY(kb_auditor__start(run->auditor));
	say_start(run);
	now = kb_now(CLOCK_MONOTONIC);
	if (run->args->duration > 0)
		end = now + (uint64_t)(run->args->duration * KB_NS_PER_SECOND);
	while (!done && now < end && !kb_launched__interrupt(&run->launched)) {
		KB_TRY(kb_auditor__poll(run->auditor, kb_ms_until(now, end, POLL_MS), &done));
		kb_alerts__look(&run->alerts);
		/* Nobody reads any more, or the disk is full. */
		if (fflush(stream) || ferror(stream)) {
			run->write_errno = errno;
			return NULL;
		}
		now = kb_now(CLOCK_MONOTONIC);
	}
	return NULL;
}

static void say_ledger(const struct run *run)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return;
	kb_report__events(kb_auditor__profile(run->auditor), stream);
	if (run->not_shown)
		fprintf(stream, "; not shown %" PRIu64, run->not_shown);
	if (run->alerts.n)
		fprintf(stream, "; alerts %" PRIu64, run->alerts.n);
	if (run->alerts.not_run)
		fprintf(stream, ", commands not run %" PRIu64, run->alerts.not_run);
	if (fclose(stream) == 0)
		kb_say("%s", text);
	free(text);
}

static bool to_stdout(const struct audit_args *args)
{
	return !args->output || !strcmp(args->output, "-");
}

static struct kb_error *finish(struct run *run)
{
	FILE *stream = kb_output__stream(run->output);
	struct kb_error *err = NULL;

	if (run->write_errno)
		err = kb_failed("%s%s", to_stdout(run->args) ? "cannot write to stdout: " : "",
				strerror(run->write_errno));
	if (!err && run->args->summary)
		err = write_summary(run, stream);
	if (!err && run->json)
		kb_audit_ledger__write_json(kb_auditor__profile(run->auditor), stream);
	err = kb_output__commit(run->output, err);
	if (!run->args->general.quiet)
		say_ledger(run);
	return err;
}

static struct kb_error *audit(struct run *run, int *status)
{
	struct kb_error *err = collect(run);

	err = kb_error__first(err, kb_auditor__stop(run->auditor));
	if (err)
		return err;
	KB_TRY(finish(run));
	*status = kb_launched__await(&run->launched, run->args->general.quiet);
	if (run->alerts.fail)
		*status = KB_STATUS_REGRESSION;
	return NULL;
}

/* With --only-alerts nothing else than the rules' events needs to be seen. */
static struct kb_error *take_events(struct run *run, const char **events, size_t *n)
{
	const struct audit_args *args = run->args;
	const char *name;
	size_t at = 0;

	memcpy(events, args->events, sizeof(args->events));
	*n = args->n_events;
	if (!args->only_alerts || *n)
		return NULL;
	while (kb_audit_policy__next_event(run->policy, &at, &name)) {
		if (*n == EVENTS_MAX) { /* too many for the kernel: all are looked at here */
			*n = 0;
			return NULL;
		}
		events[(*n)++] = name;
	}
	return NULL;
}

static pid_t command_pid(const void *auditor)
{
	return kb_auditor__command_pid(auditor);
}

static int command_status(const void *auditor)
{
	return kb_auditor__command_status(auditor);
}

static struct kb_error *open_match(struct run *run)
{
	char problem[128];
	int status;

	if (!run->args->match)
		return NULL;
	status = regcomp(&run->match, run->args->match, REG_EXTENDED | REG_NOSUB);
	if (status) {
		regerror(status, NULL, problem, sizeof(problem));
		return kb_usage("--match: '%s' is no regular expression: %s", run->args->match,
				problem);
	}
	run->has_match = true;
	run->text_stream = open_memstream(&run->text, &run->text_size);
	return run->text_stream ? NULL : kb_error__no_memory();
}

static struct kb_error *open_run(struct run *run)
{
	const struct audit_args *args = run->args;
	struct kb_target_opts target = kb_target_args__opts(&args->target);
	const char *events[EVENTS_MAX];
	struct kb_audit_opts opts = { .size = sizeof(opts),
				      .events = events,
				      .max_rate = args->max_rate,
				      .summary = args->summary,
				      .stack = args->stack };

	KB_TRY(open_match(run));
	if (args->policy)
		KB_TRY(kb_audit_policy__load(args->policy, &run->policy));
	KB_TRY(take_events(run, events, &opts.n_events));
	target.tid = args->tid;
	KB_TRY(kb_target__create(&target, &run->target));
	KB_TRY(kb_output__open_live(args->output, &run->output));
	KB_TRY(kb_auditor__create(run->target, &opts, on_event, run, &run->auditor));
	run->launched = (struct kb_launched){ .session = run->auditor,
					      .pid = command_pid,
					      .status = command_status };
	return NULL;
}

static struct kb_error *check(const struct audit_args *args)
{
	if (!args->target.given)
		return kb_usage("no target: give --pid, --container, --cgroup, --all or -- COMMAND "
				"(see 'keelback audit --help')");
	if (args->summary && (args->match || args->policy || args->stack || args->max_rate))
		return kb_usage("--summary counts in the kernel: %s does not go with it",
				args->match    ? "--match"
				: args->policy ? "--policy"
				: args->stack  ? "--stack"
					       : "--max-rate");
	if (args->only_alerts && !args->policy)
		return kb_usage("--only-alerts needs --policy");
	return NULL;
}

static bool is_json(const struct audit_args *args)
{
	const char *ending = args->output ? strrchr(args->output, '.') : NULL;

	if (args->format >= 0)
		return args->format == 1;
	return ending && (!strcmp(ending, ".jsonl") || !strcmp(ending, ".json"));
}

static struct kb_error *run_audit(const struct audit_args *args, int *status)
{
	struct run run = { .args = args, .json = is_json(args) };
	struct kb_error *err;

	KB_TRY(check(args));
	run.alerts.quiet = args->general.quiet;
	kb_report__start(&args->general);
	err = open_run(&run);
	if (!err)
		err = audit(&run, status);
	kb_auditor__destroy(run.auditor);
	kb_output__destroy(run.output);
	kb_target__destroy(run.target);
	kb_audit_policy__destroy(run.policy);
	if (run.has_match)
		regfree(&run.match);
	if (run.text_stream)
		fclose(run.text_stream);
	free(run.text);
	return err;
}

struct kb_error *kb_command__audit(int argc, char **argv, int *status)
{
	struct audit_args args = { .format = -1 };
	bool done = false;
	struct kb_error *err;

	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	if (!err && !done)
		err = run_audit(&args, status);
	for (size_t i = 0; i < args.n_events; i++)
		free(args.events[i]);
	kb_target_args__free(&args.target);
	return err;
}
