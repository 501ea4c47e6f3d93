// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "cli/check_args.h"
#include "cli/format_list.h"
#include "cli/output.h"
#include "cli/values.h"

enum {
	KEY_BASE = 512,
	KEY_HEAD,
	KEY_BASE_DIR,
	KEY_HEAD_DIR,
	KEY_MIN_PAIRS,
	KEY_MAX_TIME,
	KEY_THRESHOLD,
	KEY_CONFIDENCE,
	KEY_ONLY,
	KEY_IGNORE,
	KEY_NO_CALLS,
	KEY_NO_MEMORY,
	KEY_ALLOW_DEGRADED,
	KEY_SHOW_OUTPUT,
	KEY_FLAMEGRAPH,
	KEY_JSON,
	KEY_LIMIT,
	KEY_TITLE,
};

#define LIMIT_DEFAULT 10
#define LIMIT_MAX     1000000
#define THRESHOLD_MAX 100 /* times as much */

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "What is compared:", 1 },
	{ "base", KEY_BASE, "COMMAND", 0, "The command before the change, run by /bin/sh", 0 },
	{ "head", KEY_HEAD, "COMMAND", 0, "The command after it", 0 },
	{ "base-dir", KEY_BASE_DIR, "DIR", 0,
	  "Run base in DIR; files below it are named from there", 0 },
	{ "head-dir", KEY_HEAD_DIR, "DIR", 0, "The same for head", 0 },
	{ NULL, 0, NULL, 0, "How:", 2 },
	{ "min-pairs", KEY_MIN_PAIRS, "N", 0,
	  "Run each at least N times (default: 10), and more often until the interval is "
	  "half as wide as the threshold on either side",
	  0 },
	{ "max-time", KEY_MAX_TIME, "SECONDS", 0,
	  "Start no further runs after so long (default: 120)", 0 },
	{ "rate", 'r', "HZ", 0, "Samples per second and thread (default: 1000)", 0 },
	{ "no-calls", KEY_NO_CALLS, NULL, 0, "Do not count calls", 0 },
	{ "no-memory", KEY_NO_MEMORY, NULL, 0, "Do not count allocations", 0 },
	{ "allow-degraded", KEY_ALLOW_DEGRADED, NULL, 0,
	  "Where sampling is not permitted, compare CPU and wall time alone", 0 },
	{ "show-output", KEY_SHOW_OUTPUT, NULL, 0,
	  "What the commands write goes to stderr; else nowhere", 0 },
	{ NULL, 0, NULL, 0, "What is a regression:", 3 },
	{ "threshold", KEY_THRESHOLD, "SHARE|NAME=SHARE,...", 0,
	  "Smaller changes do not matter: 5% of the CPU time (default: 3%), or of each metric "
	  "that is named, which is gated from then on: cpu, calls, allocations and peak "
	  "(default: 1% each); wall, waits, preemptions, faults, rss (not gated by default). "
	  "NAME=off: not gated",
	  0 },
	{ "confidence", KEY_CONFIDENCE, "PERCENT", 0,
	  "Of intervals and verdicts, 50% to 99.99% (default: 99%)", 0 },
	{ "only", KEY_ONLY, "PATTERN", 0,
	  "Blame and count only functions whose file:line(name) matches the expression PATTERN; "
	  "again and again",
	  0 },
	{ "ignore", KEY_IGNORE, "PATTERN", 0, "Leave out those that match", 0 },
	{ NULL, 0, NULL, 0, "Result:", 4 },
	{ "output", 'o', "FILE", 0,
	  "A report into FILE beside the text on stdout, again and again; its ending chooses the "
	  "format, or --format before it",
	  0 },
	{ "format", 'f', "NAME", 0, "One of the formats below, for stdout or the next --output",
	  0 },
	{ "json", KEY_JSON, NULL, 0, "The same as --format json", 0 },
	{ "flamegraph", KEY_FLAMEGRAPH, "FILE", 0, "A differential flame graph into FILE", 0 },
	{ "title", KEY_TITLE, "TEXT", 0, "Heading of reports; default: keelback check", 0 },
	{ "limit", KEY_LIMIT, "N", 0, "At most N rows of each list (default: 10); 0: all", 0 },
	{},
};

/* ---------------------------------------------------------------- values */

/* "5%", "0.5%", "0". */
static struct kb_error *parse_share(const char *option, const char *text, double *share)
{
	size_t digits = strspn(text, "0123456789.");
	char *end;
	double value;

	value = strtod(text, &end);
	if (!digits || digits > 12 || end != text + digits ||
	    (strcmp(end, "%") && !(value == 0 && !*end)))
		return kb_usage("%s: '%s' is not a percentage, such as 5%%", option, text);
	*share = value / 100;
	return NULL;
}

static int metric_of(const char *name, size_t length)
{
	for (int i = 0; i < KB_CHECK_METRICS; i++) {
		const char *known = kb_check_metric__name(i);

		if (strlen(known) == length && !strncmp(known, name, length))
			return i;
	}
	return -1;
}

static struct kb_error *parse_threshold(char *text, struct kb_check_rules *rules)
{
	char *save, *item, *equals;
	int metric;

	if (strspn(text, ",") == strlen(text))
		return kb_usage("--threshold: '%s' names no threshold", text);
	for (item = strtok_r(text, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		equals = strchr(item, '=');
		metric = equals ? metric_of(item, equals - item) : KB_CHECK_CPU;
		if (metric < 0)
			return kb_usage("--threshold: '%.*s' is none of cpu, wall, waits, "
					"preemptions, faults, rss, instructions, cycles, calls, "
					"allocations, peak",
					(int)(equals - item), item);
		if (equals && !strcmp(equals + 1, "off")) {
			rules->gated[metric] = false;
			continue;
		}
		KB_TRY(parse_share("--threshold", equals ? equals + 1 : item,
				   &rules->threshold[metric]));
		if (rules->threshold[metric] > THRESHOLD_MAX)
			return kb_usage("--threshold: '%s' is not from 0 to %d%%",
					equals ? equals + 1 : item, THRESHOLD_MAX * 100);
		rules->gated[metric] = true;
	}
	return NULL;
}

static struct kb_error *parse_confidence(const char *text, struct kb_check_rules *rules)
{
	double value;

	KB_TRY(parse_share("--confidence", text, &value));
	if (value < 0.5 || value > 0.9999)
		return kb_usage("--confidence: '%s' is not from 50%% to 99.99%%", text);
	rules->confidence = value;
	return NULL;
}

static struct kb_error *add_pattern(const char *option, const char *pattern, const char **patterns,
				    size_t *n)
{
	if (!*pattern)
		return kb_usage("%s: no pattern", option);
	if (*n == KB_CHECK_PATTERNS_MAX)
		return kb_usage("%s: more than %d patterns", option, KB_CHECK_PATTERNS_MAX);
	patterns[(*n)++] = pattern;
	return NULL;
}

static const struct kb_formats formats = { kb_check_format__at, kb_check_format__by_name,
					   kb_check_format__by_path };

static struct kb_error *set_format(struct kb_check_args *args, const char *name)
{
	const struct kb_format *format;

	KB_TRY(kb_formats__choose(&formats, name, NULL, &format));
	args->format = name;
	return NULL;
}

static struct kb_error *add_output(struct kb_check_args *args, const char *option,
				   const char *format, const char *path)
{
	struct kb_check_output *output = &args->outputs[args->n_outputs];
	char names[256];

	if (!*path)
		return kb_usage("%s: no file name", option);
	if (args->n_outputs == KB_CHECK_OUTPUTS_MAX - 1) /* stdout may be one more */
		return kb_usage("%s: more than %d files", option, KB_CHECK_OUTPUTS_MAX - 1);
	output->path = strcmp(path, "-") ? path : NULL;
	if (format)
		output->format = kb_check_format__by_name(format);
	else if (output->path)
		output->format = kb_check_format__by_path(path);
	else
		output->format = kb_check_format__at(0);
	if (!output->format)
		return kb_usage("%s: '%s' has none of the endings that choose a format (%s): give "
				"--format before it",
				option, path,
				kb_format_list(kb_check_format__at, true, names, sizeof(names)));
	args->n_outputs++;
	args->format = NULL;
	return NULL;
}

/* ---------------------------------------------------------------- parsing */

static struct kb_error *parse_number(int key, const char *arg, struct kb_check_args *args)
{
	bool tick = false;
	long value;

	switch (key) {
	case KEY_MIN_PAIRS:
		KB_TRY(kb_value__integer("--min-pairs", arg, 1, KB_CHECK_PAIRS_MAX, &value));
		args->opts.min_pairs = value;
		return NULL;
	case KEY_MAX_TIME:
		return kb_value__seconds("--max-time", arg, &args->opts.seconds_max);
	case 'r':
		KB_TRY(kb_value__rate("--rate", arg, &tick, &args->opts.rate_hz));
		return tick ? kb_usage("--rate: 'tick' is not for a check: give samples per second")
			    : NULL;
	default:
		KB_TRY(kb_value__integer("--limit", arg, 0, LIMIT_MAX, &value));
		args->view.limit = value;
		return NULL;
	}
}

static struct kb_error *parse_side(int key, const char *arg, struct kb_check_opts *opts)
{
	enum kb_check_side side = key == KEY_HEAD || key == KEY_HEAD_DIR;
	bool dir = key == KEY_BASE_DIR || key == KEY_HEAD_DIR;

	if (!*arg)
		return kb_usage("--%s%s: no %s", side ? "head" : "base", dir ? "-dir" : "",
				dir ? "directory" : "command");
	*(dir ? &opts->dir[side] : &opts->command[side]) = arg;
	return NULL;
}

static struct kb_error *parse_rule(int key, char *arg, struct kb_check_args *args)
{
	struct kb_check_rules *rules = &args->opts.rules;

	switch (key) {
	case KEY_THRESHOLD:
		return parse_threshold(arg, rules);
	case KEY_CONFIDENCE:
		return parse_confidence(arg, rules);
	case KEY_ONLY:
		return add_pattern("--only", arg, args->only, &rules->n_only);
	default:
		return add_pattern("--ignore", arg, args->ignore, &rules->n_ignore);
	}
}

/* Recordings, or what follows --. */
static struct kb_error *parse_argument(char *arg, struct kb_check_args *args,
				       struct argp_state *state)
{
	if (state->quoted && state->next > state->quoted) {
		args->argv = state->argv + state->next - 1;
		state->next = state->argc;
		return NULL;
	}
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		if (!args->recordings[side]) {
			args->recordings[side] = arg;
			return NULL;
		}
	}
	return kb_usage("unexpected argument '%s'", arg);
}

static bool parse_flag(int key, struct kb_check_opts *opts)
{
	switch (key) {
	case KEY_NO_CALLS:
		return opts->no_calls = true;
	case KEY_NO_MEMORY:
		return opts->no_memory = true;
	case KEY_ALLOW_DEGRADED:
		return opts->allow_degraded = true;
	case KEY_SHOW_OUTPUT:
		return opts->show_output = true;
	default:
		return false;
	}
}

/* The option as it was given, for those that need commands to run. */
static const char *for_commands(int key)
{
	for (const struct argp_option *o = options; o->name || o->doc; o++)
		if (o->key == key && o->name &&
		    ((key >= KEY_BASE && key <= KEY_MAX_TIME) || key == 'r' ||
		     (key >= KEY_NO_CALLS && key <= KEY_SHOW_OUTPUT)))
			return o->name;
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct kb_check_args *args = state->input;

	if (key == ARGP_KEY_INIT) {
		state->child_inputs[0] = &args->history;
		state->child_inputs[1] = &args->general;
		return 0;
	}
	if (key > 0 && for_commands(key))
		args->runs = for_commands(key);
	if (parse_flag(key, &args->opts))
		return 0;
	switch (key) {
	case KEY_BASE:
	case KEY_HEAD:
	case KEY_BASE_DIR:
	case KEY_HEAD_DIR:
		return kb_cli__fail(state, parse_side(key, arg, &args->opts));
	case KEY_MIN_PAIRS:
	case KEY_MAX_TIME:
	case KEY_LIMIT:
	case 'r':
		return kb_cli__fail(state, parse_number(key, arg, args));
	case KEY_THRESHOLD:
	case KEY_CONFIDENCE:
	case KEY_ONLY:
	case KEY_IGNORE:
		return kb_cli__fail(state, parse_rule(key, arg, args));
	case 'f':
		return kb_cli__fail(state, set_format(args, arg));
	case KEY_JSON:
		return kb_cli__fail(state, set_format(args, "json"));
	case 'o':
		return kb_cli__fail(state, add_output(args, "--output", args->format, arg));
	case KEY_FLAMEGRAPH:
		return kb_cli__fail(state,
				    add_output(args, "--flamegraph", "diff-flamegraph", arg));
	case KEY_TITLE:
		args->view.title = arg;
		return 0;
	case ARGP_KEY_ARG:
		return kb_cli__fail(state, parse_argument(arg, args, state));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{ &kb_check_history_argp, 0, "History:", 5 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Fails when head is slower than base, calls more or allocates more, and says which "
	"function "
	"did it and how sure that is. Both commands are run in turns while they are sampled, then "
	"once more to count their calls and once to count their allocations, exactly. Or two "
	"recordings of 'keelback sample', 'calls' or 'memory' are compared."
	"\v"
	"Examples:\n"
	"  keelback check --base 'python3 old.py' --head 'python3 new.py'\n"
	"  keelback check --base-dir ../main --head-dir . -- python3 bench.py --size 3\n"
	"  keelback check --threshold cpu=5%,calls=0 --base ... --head ... -o report.json\n"
	"  keelback check base.kb head.kb\n"
	"  keelback check --base ... --head ... --append h.jsonl --against-history h.jsonl "
	"--label v1\n\n"
	"A regression of CPU time is one that chance does not explain (--confidence) and that is "
	"at "
	"least as large as the threshold; counts are exact, so there the threshold alone decides. "
	"\"Cannot tell\" means that the runs vary too much: more pairs or a quieter machine "
	"help.\n\n"
	"Exit status: 0 no regression, 3 a regression, 1 failed (a command, too), 2 wrong usage or "
	"recordings that cannot be compared, 4 not possible here.";

/* The formats, after the options. */
static char *filter_help(int key, const char *text, void *input)
{
	char *result = NULL;
	size_t size = 0;
	FILE *stream;

	if (key != ARGP_KEY_HELP_EXTRA)
		return (char *)text;
	stream = open_memstream(&result, &size);
	if (!stream)
		return NULL;
	fputs("Formats:\n", stream);
	for (size_t i = 0; kb_check_format__at(i); i++) {
		const struct kb_format *format = kb_check_format__at(i);

		fprintf(stream, "  %-15s %-6s %s\n", format->name, format->endings,
			format->description);
	}
	fclose(stream);
	return result;
}

const struct argp kb_check_argp = {
	.options = options,
	.parser = parse,
	.args_doc = "--base COMMAND --head COMMAND\n--base-dir DIR --head-dir DIR -- COMMAND "
		    "[ARG...]\nBASE.kb HEAD.kb",
	.doc = doc,
	.children = children,
	.help_filter = filter_help,
};

/* ---------------------------------------------------------------- all together */

/* Words as a shell reads them back: each in quotes. */
static char *quote(char *const *argv)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	for (int i = 0; argv[i]; i++) {
		fputs(i ? " '" : "'", stream);
		for (const char *c = argv[i]; *c; c++)
			fputs(*c == '\'' ? "'\\''" : (char[]){ *c, '\0' }, stream);
		putc('\'', stream);
	}
	fclose(stream);
	return text;
}

static struct kb_error *complete_commands(struct kb_check_args *args)
{
	struct kb_check_opts *opts = &args->opts;

	if (args->argv && !args->argv[0])
		return kb_usage("no command after '--'");
	if (args->argv && (opts->command[0] || opts->command[1]))
		return kb_usage("a command after '--' is both base and head: give --base-dir and "
				"--head-dir with it, not --base and --head");
	if (args->argv && !opts->dir[0] && !opts->dir[1])
		return kb_usage("a command after '--' is both base and head: --base-dir and "
				"--head-dir say where each is run");
	if (args->argv) {
		args->both = quote(args->argv);
		opts->command[0] = opts->command[1] = args->both;
		return args->both ? NULL : kb_error__no_memory();
	}
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		if (!opts->command[side])
			return kb_usage("--%s is missing: two commands are compared, or two "
					"recordings (see 'keelback check --help')",
					side ? "head" : "base");
	return NULL;
}

struct kb_error *kb_check_args__complete(struct kb_check_args *args)
{
	bool to_stdout = false;

	if (args->recordings[0]) {
		if (args->runs || args->argv)
			return kb_usage("--%s is for commands, not for recordings",
					args->runs ? args->runs : " COMMAND");
		if (!args->recordings[1])
			return kb_usage("two recordings are needed, base's and head's");
	} else if (args->history.against && !args->runs && !args->argv) {
		args->only_history = true;
	} else {
		KB_TRY(complete_commands(args));
	}
	if (args->only_history && args->history.append)
		return kb_usage("--append adds a check: give what is compared, too");
	for (size_t i = 0; i < args->n_outputs; i++) {
		to_stdout |= !args->outputs[i].path;
		if (args->outputs[i].path)
			KB_TRY(kb_output__check(args->outputs[i].path));
	}
	if (args->format || (!to_stdout && !(args->general.quiet && args->n_outputs)))
		KB_TRY(add_output(args, "--format", args->format, "-"));
	return NULL;
}

void kb_check_args__init(struct kb_check_args *args)
{
	memset(args, 0, sizeof(*args));
	args->opts.size = sizeof(args->opts);
	kb_check_rules__init(&args->opts.rules);
	args->opts.rules.only = args->only;
	args->opts.rules.ignore = args->ignore;
	args->view.size = sizeof(args->view);
	args->view.limit = LIMIT_DEFAULT;
}

void kb_check_args__free(struct kb_check_args *args)
{
	free(args->both);
	kb_check_history_args__free(&args->history);
}
