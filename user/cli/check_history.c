// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/error.h"
#include "cli/check_history.h"
#include "cli/output.h"
#include "cli/report.h"

/* In the order of the table. */
enum { KEY_APPEND = 640, KEY_AGAINST, KEY_LABEL, KEY_BASE_LABEL };

static const struct argp_option options[] = {
	{ "append", KEY_APPEND, "FILE", 0,
	  "Add the check to the history in FILE, a line of JSON; needs --label", 0 },
	{ "against-history", KEY_AGAINST, "FILE", 0,
	  "Compare head with the checks in FILE, too, and say where a metric moved; alone: "
	  "compare its last check with those before",
	  0 },
	{ "label", KEY_LABEL, "NAME", 0, "What head is called in the history: its commit", 0 },
	{ "base-label", KEY_BASE_LABEL, "NAME", 0,
	  "What base is called, if it is the same one in many checks, such as a release: those "
	  "are compared by the ratio of head to base, whatever machine each ran on",
	  0 },
	{},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct kb_check_history_args *args = state->input;
	const char **const values[] = { &args->append, &args->against, &args->label,
					&args->base_label };

	if (key < KEY_APPEND || key > KEY_BASE_LABEL)
		return ARGP_ERR_UNKNOWN;
	if (!*arg)
		return kb_cli__fail(
			state, kb_usage("--%s: nothing given", options[key - KEY_APPEND].name));
	*values[key - KEY_APPEND] = arg;
	return 0;
}

const struct argp kb_check_history_argp = { .options = options, .parser = parse };

static struct kb_check_mark mark_of(const struct kb_check_history_args *args)
{
	return (struct kb_check_mark){ .size = sizeof(struct kb_check_mark),
				       .unix_seconds = time(NULL),
				       .label = args->label ? args->label : "head",
				       .base_label = args->base_label };
}

static struct kb_error *check(const struct kb_check_history_args *args)
{
	struct kb_check_mark mark = mark_of(args);

	if (!args->append && !args->against && (args->label || args->base_label))
		return kb_usage("--%slabel is for a history: give --append or --against-history",
				args->label ? "" : "base-");
	if (args->append && !args->label)
		return kb_usage("--append needs --label: the commit that head is");
	KB_TRY(kb_check_mark__check(&mark));
	return args->append ? kb_output__check(args->append) : NULL;
}

struct kb_error *kb_check_history_args__open(struct kb_check_history_args *args, bool quiet)
{
	uint32_t n_cut;

	KB_TRY(check(args));
	if (!args->against)
		return NULL;
	/* The first check of a history that is about to begin. */
	if (args->append && !strcmp(args->append, args->against) && access(args->append, F_OK))
		return NULL;
	KB_TRY(kb_check_history__load(args->against, &args->history));
	n_cut = kb_check_history__n_cut(args->history);
	if (n_cut && !quiet)
		kb_say("warning: '%s': %u lines were cut off, and are left out", args->against,
		       n_cut);
	return NULL;
}

struct kb_error *kb_check_history_args__add(struct kb_check_history_args *args,
					    const struct kb_check *check,
					    const struct kb_check_rules *rules, bool quiet)
{
	struct kb_check_mark mark = mark_of(args);

	if (check && args->append && kb_check__meta(check)->interrupted)
		kb_say("warning: the check was interrupted, and is not added to '%s'",
		       args->append);
	else if (check && args->append)
		KB_TRY(kb_check_history__append(args->append, check, &mark));
	if (args->against && check &&
	    (!args->history || !kb_check_history__n_entries(args->history))) {
		if (!quiet)
			kb_say("'%s' has no checks yet to compare with", args->against);
		return NULL;
	}
	if (!args->history)
		return NULL;
	return kb_check_trend__create(args->history, check, &mark, rules, &args->trend);
}

void kb_check_history_args__free(struct kb_check_history_args *args)
{
	kb_check_trend__destroy(args->trend);
	kb_check_history__destroy(args->history);
}
