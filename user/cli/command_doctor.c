// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include "base/error.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "keelback/inspect.h"

struct doctor_args {
	struct kb_general_args general;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct doctor_args *args = state->input;

	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = &args->json;
	state->child_inputs[1] = &args->general;
	return 0;
}

static const struct argp_child children[] = {
	{ &kb_json_argp, 0, NULL, 0 },
	{ &kb_general_argp, 0, "General:", 9 },
	{},
};

static const char doc[] =
	"Tries what keelback needs from this machine: capabilities, BPF, perf events, and how "
	"processes can be looked at. Each is tried, none is concluded from the kernel's version, "
	"and nothing is changed."
	"\v"
	"Each line says whether it is there, its name, what it is, and which kernel brought it. "
	"A MISSING one is required; one marked 'no' is not, and the next line says what is "
	"lost.\n\n"
	"Exit status: 0 all that is required is there, 1 failed, 2 wrong usage, 4 something "
	"required is missing.";

static const struct argp argp = { .parser = parse, .doc = doc, .children = children };

static void print_feature(const struct kb_feature *feature, FILE *stream)
{
	fprintf(stream, "%-8s %-23s %s (%s)\n",
		feature->available  ? "yes"
		: feature->required ? "MISSING"
				    : "no",
		feature->name, feature->text, feature->origin);
	if (*feature->detail)
		fprintf(stream, "%-32s %s\n", "", feature->detail);
	if (!feature->available)
		fprintf(stream, "%-32s without it: %s\n", "", feature->without);
}

static void print_table(const struct kb_doctor *doctor, FILE *stream)
{
	for (size_t i = 0; i < kb_doctor__count(doctor); i++)
		print_feature(kb_doctor__at(doctor, i), stream);
}

static void print_json(const struct kb_doctor *doctor, FILE *stream)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < kb_doctor__count(doctor); i++) {
		const struct kb_feature *feature = kb_doctor__at(doctor, i);
		struct json_object *object = json_object_new_object();

		kb_json__add_text(object, "name", feature->name);
		kb_json__add_text(object, "text", feature->text);
		kb_json__add_text(object, "origin", feature->origin);
		kb_json__add_bool(object, "required", feature->required);
		kb_json__add_bool(object, "available", feature->available);
		kb_json__add_text(object, "detail", feature->detail);
		kb_json__add_text(object, "without", feature->without);
		json_object_array_add(array, object);
	}
	kb_json__print(stream, array);
}

/* The names of what is required and missing; KB_STATUS_UNSUPPORTED if there are any. */
static struct kb_error *verdict(const struct kb_doctor *doctor)
{
	char names[512] = "";
	size_t used = 0;

	for (size_t i = 0; i < kb_doctor__count(doctor); i++) {
		const struct kb_feature *feature = kb_doctor__at(doctor, i);

		if (feature->required && !feature->available && used < sizeof(names))
			used += snprintf(names + used, sizeof(names) - used, "%s%s",
					 used ? ", " : "", feature->name);
	}
	return used ? kb_unsupported("missing here: %s", names) : NULL;
}

static struct kb_error *examine(const struct doctor_args *args)
{
	struct kb_doctor *doctor;
	struct kb_output *output;
	struct kb_error *err;

	KB_TRY(kb_output__open(NULL, &output));
	err = kb_doctor__probe(&doctor);
	if (!err) {
		if (args->json)
			print_json(doctor, stdout);
		else
			print_table(doctor, stdout);
		err = kb_output__commit(output, NULL);
		if (!err)
			err = verdict(doctor);
		kb_doctor__destroy(doctor);
	}
	kb_output__destroy(output);
	return err;
}

struct kb_error *kb_command__doctor(int argc, char **argv, int *status)
{
	struct doctor_args args = {};
	bool done = false;

	KB_TRY(kb_cli__parse(&argp, argc, argv, &args, &args.general, &done));
	if (done)
		return NULL;
	kb_report__start(&args.general);
	return examine(&args);
}
