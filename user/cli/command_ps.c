// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include "base/error.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/table.h"
#include "keelback/inspect.h"

struct ps_args {
	struct kb_general_args general;
	struct kb_target_args target;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ps_args *args = state->input;

	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &args->target;
	state->child_inputs[1] = &args->json;
	state->child_inputs[2] = &args->general;
	return 0;
}

static const struct argp_child children[] = {
	{ &kb_target_only_argp, 0, "Which processes (all of the machine, if none of these):", 1 },
	{ &kb_json_argp, 0, NULL, 0 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Lists Python processes: version, build, how keelback knows their memory layout, the "
	"container that they run in, and whether 'keelback sample' works on them, or why not."
	"\v"
	"LAYOUT is where the layout came from: debug-offsets (the interpreter tells it), dwarf "
	"(its debugging information) or built-in (keelback's table of its version).\n\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage.";

static const struct argp argp = { .parser = parse, .doc = doc, .children = children };

#define COLUMNS	      7
#define SAMPLE_COLUMN 5
static const char *const header[COLUMNS] = { "PID",	  "VERSION", "BUILD",  "LAYOUT",
					     "CONTAINER", "SAMPLE",  "COMMAND" };

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

/* "yes", or "no: REASON"; free it. */
static char *sample_text(const struct kb_ps_entry *entry)
{
	char *text;

	if (asprintf(&text, "%s%s%s", entry->sample ? "yes" : "no", *entry->reason ? ": " : "",
		     entry->reason) < 0)
		return NULL;
	return text;
}

static struct kb_error *print_table(const struct kb_ps *ps, FILE *stream)
{
	size_t n = kb_ps__count(ps);
	const char **cells = calloc((n + 1) * COLUMNS, sizeof(*cells));
	char(*pids)[12] = calloc(n + 1, sizeof(*pids));
	struct kb_error *err = cells && pids ? NULL : kb_error__no_memory();

	for (size_t i = 0; !err && i < COLUMNS; i++)
		cells[i] = header[i];
	for (size_t i = 0; !err && i < n; i++) {
		const struct kb_ps_entry *entry = kb_ps__at(ps, i);
		const char **row = cells + (i + 1) * COLUMNS;

		snprintf(pids[i], sizeof(pids[i]), "%d", entry->pid);
		row[0] = pids[i];
		row[1] = or_dash(entry->version);
		row[2] = or_dash(entry->build);
		row[3] = or_dash(entry->layout);
		row[4] = or_dash(entry->container);
		row[5] = sample_text(entry);
		row[6] = or_dash(entry->command);
		if (!row[5])
			err = kb_error__no_memory();
	}
	if (!err)
		kb_table__print(stream, cells, n + 1, COLUMNS);
	for (size_t i = 1; cells && i <= n; i++)
		free((char *)cells[i * COLUMNS + SAMPLE_COLUMN]);
	free(cells);
	free(pids);
	return err;
}

static struct kb_error *print_json(const struct kb_ps *ps, FILE *stream)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < kb_ps__count(ps); i++) {
		const struct kb_ps_entry *entry = kb_ps__at(ps, i);
		struct json_object *object = json_object_new_object();

		kb_json__add_int(object, "pid", entry->pid);
		kb_json__add_int(object, "ns_pid", entry->ns_pid);
		kb_json__add_text(object, "version", entry->version);
		kb_json__add_text(object, "build", entry->build);
		kb_json__add_text(object, "layout", entry->layout);
		kb_json__add_text(object, "container", entry->container);
		kb_json__add_bool(object, "sample", entry->sample);
		kb_json__add_text(object, "reason", entry->reason);
		kb_json__add_text(object, "command", entry->command);
		json_object_array_add(array, object);
	}
	kb_json__print(stream, array);
	return NULL;
}

static struct kb_error *list(const struct ps_args *args)
{
	struct kb_target_opts opts = kb_target_args__opts(&args->target);
	struct kb_target *target = NULL;
	struct kb_output *output;
	struct kb_ps *ps;
	struct kb_error *err = NULL;

	if (args->target.given)
		KB_TRY(kb_target__create(&opts, &target));
	err = kb_ps__scan(target, &ps);
	kb_target__destroy(target);
	if (err)
		return err;
	err = kb_output__open(NULL, &output);
	if (!err) {
		err = args->json ? print_json(ps, stdout) : print_table(ps, stdout);
		err = kb_output__commit(output, err);
		kb_output__destroy(output);
	}
	kb_ps__destroy(ps);
	return err;
}

struct kb_error *kb_command__ps(int argc, char **argv, int *status)
{
	struct ps_args args = {};
	bool done = false;
	struct kb_error *err;

	err = kb_cli__parse(&argp, argc, argv, &args, &args.general, &done);
	if (!err && !done) {
		kb_report__start(&args.general);
		err = list(&args);
	}
	kb_target_args__free(&args.target);
	return err;
}
