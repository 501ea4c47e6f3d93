// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * argp under our own rules: an error is one line, returned and not printed, and
 * nothing exits. argp does not say what it did not like, so when it fails and
 * no parser has, the arguments are walked again to find out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "cli/options.h"
#include "keelback/inspect.h"

#define HELP_LAYOUT "short-opt-col=2,long-opt-col=6,opt-doc-col=29,rmargin=90,no-dup-args-note"

/* The outermost parser. Every state that argp hands to an inner one leads here, by its root_argp.
 */
struct outer {
	struct argp argp; /* first */
	void *input;
	struct kb_error *err;
};

error_t kb_cli__fail(struct argp_state *state, struct kb_error *err)
{
	struct outer *outer = (struct outer *)state->root_argp;

	if (!err)
		return 0;
	if (outer->err)
		kb_error__destroy(err);
	else
		outer->err = err;
	return EINVAL;
}

static error_t parse_outer(int key, char *arg, struct argp_state *state)
{
	struct outer *outer = state->input;

	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = outer->input;
	return 0;
}

/* ---------------------------------------------------------------- what was wrong */

struct match {
	const struct argp_option *option; /* the first */
	const struct argp_option *other;  /* a second one: ambiguous */
	bool exact;
};

static void match_long(const struct argp *argp, const char *name, size_t size, struct match *match)
{
	for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc); o++) {
		if (!o->name || strncmp(o->name, name, size) || match->exact)
			continue;
		if (!o->name[size]) {
			*match = (struct match){ .option = o, .exact = true };
		} else if (!match->option) {
			match->option = o;
		} else {
			match->other = o;
		}
	}
	for (const struct argp_child *c = argp->children; c && c->argp; c++)
		match_long(c->argp, name, size, match);
}

static const struct argp_option *match_short(const struct argp *argp, char letter)
{
	const struct argp_option *found = NULL;

	for (const struct argp_option *o = argp->options; o && (o->name || o->key || o->doc); o++) {
		if (o->key == letter)
			return o;
	}
	for (const struct argp_child *c = argp->children; c && c->argp && !found; c++)
		found = match_short(c->argp, letter);
	return found;
}

/* An argument that begins with two dashes. *takes: also the next one is its. */
static struct kb_error *check_long(const struct argp *argp, const char *arg, bool last, bool *takes)
{
	size_t size = strcspn(arg + 2, "=");
	struct match match = {};

	match_long(argp, arg + 2, size, &match);
	if (!match.option)
		return kb_usage("unknown option '%.*s'", (int)size + 2, arg);
	if (match.other)
		return kb_usage("option '%.*s' may mean --%s or --%s", (int)size + 2, arg,
				match.option->name, match.other->name);
	if (!match.option->arg && arg[2 + size])
		return kb_usage("option '--%s' takes no value", match.option->name);
	*takes = match.option->arg && !arg[2 + size];
	if (*takes && last)
		return kb_usage("option '--%s' needs a value: %s", match.option->name,
				match.option->arg);
	return NULL;
}

/* An argument that begins with one dash: letters, the last of which may have a value. */
static struct kb_error *check_short(const struct argp *argp, const char *arg, bool last,
				    bool *takes)
{
	for (const char *c = arg + 1; *c; c++) {
		const struct argp_option *option = match_short(argp, *c);

		if (!option)
			return kb_usage("unknown option '-%c'", *c);
		if (!option->arg)
			continue;
		*takes = !c[1];
		if (*takes && last)
			return kb_usage("option '-%c' needs a value: %s", *c, option->arg);
		return NULL;
	}
	return NULL;
}

static struct kb_error *diagnose(const struct argp *argp, int argc, char **argv)
{
	const char *unexpected = NULL;

	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		bool last = i + 1 == argc, takes = false;

		if (argv[i][0] != '-' || !argv[i][1])
			unexpected = unexpected ? unexpected : argv[i];
		else if (argv[i][1] == '-')
			KB_TRY(check_long(argp, argv[i], last, &takes));
		else
			KB_TRY(check_short(argp, argv[i], last, &takes));
		i += takes;
	}
	if (unexpected)
		return kb_usage("unexpected argument '%s'", unexpected);
	return kb_usage("takes no command after '--'");
}

/* ---------------------------------------------------------------- help */

static struct kb_error *print_help(const struct argp *argp, const char *command)
{
	char name[64];

	snprintf(name, sizeof(name), "keelback %s", command);
	/* argp reads its layout only from here. */
	setenv("ARGP_HELP_FMT", HELP_LAYOUT, 1);
	argp_help(argp, stdout, ARGP_HELP_LONG | ARGP_HELP_SHORT_USAGE | ARGP_HELP_DOC, name);
	return NULL;
}

struct kb_error *kb_cli__parse(const struct argp *argp, int argc, char **argv, void *input,
			       const struct kb_general_args *general, bool *done)
{
	const struct argp_child children[] = { { .argp = argp }, {} };
	struct outer outer = { .argp = { .parser = parse_outer, .children = children },
			       .input = input };
	struct kb_error *err;

	if (argp_parse(&outer.argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_IN_ORDER, NULL,
		       &outer) &&
	    !outer.err)
		outer.err = diagnose(argp, argc, argv);
	if (outer.err) {
		err = kb_usage("%s (see 'keelback %s --help')", kb_error__text(outer.err), argv[0]);
		kb_error__destroy(outer.err);
		return err;
	}
	*done = general->help || general->version;
	if (general->help)
		return print_help(argp, argv[0]);
	if (general->version)
		printf("keelback %s\n", kb_version());
	return NULL;
}
