// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Policies: { "rules": [ RULE, … ] }, described in docs/AUDIT.md. Everything that a rule says must
 * hold for an event to match it. A member that is not known is an error, so that no rule is weaker
 * than it was meant to be.
 */
#include <errno.h>
#include <json-c/json.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/error.h"
#include "format/audit_text.h"
#include "keelback/audit.h"

#define FILE_BYTES_MAX (1 << 20)
#define RULES_MAX      1000
#define CONDITIONS_MAX 16 /* of one rule */
#define EVENTS_MAX     64 /* of one rule */
#define WORDS_MAX      64 /* of a command */
#define ARG_NUMBER_MAX 63

/* What a regular expression is compared with. */
enum subject { ARGS, ARG, COMM, COMMAND_LINE, CONTAINER, THREAD };

struct condition {
	enum subject subject;
	unsigned int number; /* of the argument */
	regex_t regex;
};

struct rule {
	struct kb_audit_rule_info info;
	char *name;
	char *events[EVENTS_MAX + 1];
	struct condition conditions[CONDITIONS_MAX];
	unsigned int n_conditions;
	char *command[WORDS_MAX + 1];
};

struct kb_audit_policy {
	struct rule *rules;
	size_t n_rules;
	/* What conditions look at is written here, again and again. */
	FILE *stream;
	char *text;
	size_t text_size;
};

void kb_audit_policy__destroy(struct kb_audit_policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->n_rules; i++) {
		struct rule *rule = &policy->rules[i];

		for (unsigned int j = 0; j < rule->n_conditions; j++)
			regfree(&rule->conditions[j].regex);
		for (char **event = rule->events; *event; event++)
			free(*event);
		for (char **word = rule->command; *word; word++)
			free(*word);
		free(rule->name);
	}
	free(policy->rules);
	if (policy->stream)
		fclose(policy->stream);
	free(policy->text);
	free(policy);
}

/* ---------------------------------------------------------------- reading */

static struct kb_error *add_condition(struct rule *rule, enum subject subject, unsigned int number,
				      const char *key, struct json_object *value)
{
	struct condition *condition = &rule->conditions[rule->n_conditions];
	char problem[128];
	int status;

	if (rule->n_conditions == CONDITIONS_MAX)
		return kb_usage("more than %d conditions", CONDITIONS_MAX);
	if (!json_object_is_type(value, json_type_string))
		return kb_usage("\"%s\" must be a string", key);
	status =
		regcomp(&condition->regex, json_object_get_string(value), REG_EXTENDED | REG_NOSUB);
	if (status) {
		regerror(status, NULL, problem, sizeof(problem));
		return kb_usage("\"%s\" is no regular expression: %s", key, problem);
	}
	condition->subject = subject;
	condition->number = number;
	rule->n_conditions++;
	return NULL;
}

/* { "0": REGEX, … } */
static struct kb_error *read_arguments(struct rule *rule, struct json_object *object)
{
	if (!json_object_is_type(object, json_type_object))
		return kb_usage("\"arg\" must be an object of argument numbers");
	json_object_object_foreach(object, key, value)
	{
		char *end;
		unsigned long number = strtoul(key, &end, 10);

		if (*end || end == key || number > ARG_NUMBER_MAX)
			return kb_usage("\"arg\": \"%s\" is no number of an argument, 0 to %d", key,
					ARG_NUMBER_MAX);
		KB_TRY(add_condition(rule, ARG, (unsigned int)number, key, value));
	}
	return NULL;
}

/* A list of strings, copied. */
static struct kb_error *read_strings(const char *key, struct json_object *list, char **strings,
				     size_t max)
{
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	if (!n || n > max)
		return kb_usage("\"%s\" must be a list of 1 to %zu strings", key, max);
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);

		if (!json_object_is_type(item, json_type_string))
			return kb_usage("\"%s\" must be a list of strings", key);
		strings[i] = strdup(json_object_get_string(item));
		if (!strings[i])
			return kb_error__no_memory();
	}
	return NULL;
}

static struct kb_error *read_events(struct rule *rule, struct json_object *value)
{
	if (json_object_is_type(value, json_type_string)) {
		rule->events[0] = strdup(json_object_get_string(value));
		if (!rule->events[0])
			return kb_error__no_memory();
	} else {
		KB_TRY(read_strings("event", value, rule->events, EVENTS_MAX));
	}
	for (char **event = rule->events; *event; event++) {
		size_t length = strlen(*event);

		if (!length || strcspn(*event, "*") + 1 < length)
			return kb_usage(
				"'%s' is no name of an event: NAME, or the beginning of one "
				"and '*' at its end",
				*event);
	}
	return NULL;
}

static struct kb_error *read_bool(const char *key, struct json_object *value, bool *result)
{
	if (!json_object_is_type(value, json_type_boolean))
		return kb_usage("\"%s\" must be true or false", key);
	*result = json_object_get_boolean(value);
	return NULL;
}

static struct kb_error *read_member(struct rule *rule, const char *key, struct json_object *value)
{
	static const struct {
		const char *key;
		enum subject subject;
	} conditions[] = { { "args", ARGS },
			   { "comm", COMM },
			   { "command_line", COMMAND_LINE },
			   { "container", CONTAINER },
			   { "thread", THREAD } };
	bool alert;

	for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++)
		if (!strcmp(key, conditions[i].key))
			return add_condition(rule, conditions[i].subject, 0, key, value);
	if (!strcmp(key, "event"))
		return read_events(rule, value);
	if (!strcmp(key, "arg"))
		return read_arguments(rule, value);
	if (!strcmp(key, "command"))
		return read_strings(key, value, rule->command, WORDS_MAX);
	if (!strcmp(key, "fail"))
		return read_bool(key, value, &rule->info.fail);
	if (!strcmp(key, "alert")) {
		KB_TRY(read_bool(key, value, &alert));
		rule->info.silent = !alert;
		return NULL;
	}
	if (strcmp(key, "name"))
		return kb_usage("\"%s\" is nothing that a rule has", key);
	if (!json_object_is_type(value, json_type_string))
		return kb_usage("\"name\" must be a string");
	free(rule->name);
	rule->name = strdup(json_object_get_string(value));
	return rule->name ? NULL : kb_error__no_memory();
}

static struct kb_error *read_rule(struct rule *rule, struct json_object *object, size_t number)
{
	rule->info.fail = true;
	if (!json_object_is_type(object, json_type_object))
		return kb_usage("it must be an object");
	json_object_object_foreach(object, key, value) KB_TRY(read_member(rule, key, value));
	if (!rule->events[0])
		return kb_usage("it has no \"event\"");
	if (!rule->name && asprintf(&rule->name, "rule %zu", number) < 0)
		return kb_error__no_memory();
	rule->info.name = rule->name;
	rule->info.command = rule->command[0] ? rule->command : NULL;
	return NULL;
}

static struct kb_error *read_rules(struct kb_audit_policy *policy, struct json_object *root)
{
	struct json_object *rules = NULL;
	size_t n;

	if (json_object_is_type(root, json_type_object)) {
		json_object_object_foreach(root, key, value)
		{
			if (strcmp(key, "rules"))
				return kb_usage("\"%s\" is nothing that a policy has", key);
			rules = value;
		}
	}
	n = json_object_is_type(rules, json_type_array) ? json_object_array_length(rules) : 0;
	if (!n || n > RULES_MAX)
		return kb_usage("a policy is an object with \"rules\", a list of 1 to %d",
				RULES_MAX);
	policy->rules = calloc(n, sizeof(*policy->rules));
	if (!policy->rules)
		return kb_error__no_memory();
	for (size_t i = 0; i < n; i++) {
		policy->n_rules++;
		KB_TRY(kb_error__prefix(
			read_rule(&policy->rules[i], json_object_array_get_idx(rules, i), i + 1),
			"rule %zu", i + 1));
	}
	return NULL;
}

static struct kb_error *parse(struct kb_audit_policy *policy, const char *text, size_t size)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *root;
	enum json_tokener_error status;
	struct kb_error *err;

	if (!tokener)
		return kb_error__no_memory();
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	root = json_tokener_parse_ex(tokener, text, (int)size + 1);
	status = json_tokener_get_error(tokener);
	if (status == json_tokener_success)
		err = read_rules(policy, root);
	else
		err = kb_usage("not JSON, at byte %zu: %s", json_tokener_get_parse_end(tokener),
			       json_tokener_error_desc(status));
	json_object_put(root);
	json_tokener_free(tokener);
	return err;
}

static struct kb_error *read_file(const char *path, char **text, size_t *size)
{
	FILE *file = fopen(path, "re");
	struct kb_error *err = NULL;
	struct stat st;

	if (!file)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot read '%s'", path);
	if (fstat(fileno(file), &st) || S_ISDIR(st.st_mode))
		err = kb_failed("cannot read '%s': it is a directory", path);
	*text = err ? NULL : calloc(1, FILE_BYTES_MAX + 1);
	if (!err && !*text)
		err = kb_error__no_memory();
	if (!err) {
		*size = fread(*text, 1, FILE_BYTES_MAX, file);
		if (ferror(file) || !feof(file))
			err = kb_failed("cannot read '%s': it has more than %d bytes, or is "
					"damaged",
					path, FILE_BYTES_MAX);
	}
	fclose(file);
	return err;
}

struct kb_error *kb_audit_policy__load(const char *path, struct kb_audit_policy **result)
{
	struct kb_audit_policy *policy = calloc(1, sizeof(*policy));
	struct kb_error *err;
	char *text = NULL;
	size_t size = 0;

	if (!policy)
		return kb_error__no_memory();
	err = read_file(path, &text, &size);
	if (!err)
		err = kb_error__prefix(parse(policy, text, size), "policy '%s'", path);
	free(text);
	policy->stream = open_memstream(&policy->text, &policy->text_size);
	if (!err && !policy->stream)
		err = kb_error__no_memory();
	if (err)
		kb_audit_policy__destroy(policy);
	else
		*result = policy;
	return err;
}

/* ---------------------------------------------------------------- matching */

static bool names(const struct rule *rule, const char *name)
{
	for (char *const *event = rule->events; *event; event++) {
		size_t length = strlen(*event);
		bool prefix = (*event)[length - 1] == '*';

		if (prefix ? !strncmp(*event, name, length - 1) : !strcmp(*event, name))
			return true;
	}
	return false;
}

/* What an argument is to a rule: the text of strings, the file of code, else as it is shown. */
static void write_argument(const struct kb_audit_value *value, FILE *stream)
{
	if (value->kind == KB_VALUE_STR || value->kind == KB_VALUE_PATH ||
	    value->kind == KB_VALUE_BYTES)
		fwrite(value->text, 1, value->size, stream);
	else if (value->kind == KB_VALUE_CODE)
		fputs(value->file, stream);
	else
		kb_audit_text__value(value, stream);
}

/* NULL: the event has no such thing. */
static const char *subject_text(struct kb_audit_policy *policy, const struct condition *condition,
				const struct kb_audit_event *event)
{
	switch (condition->subject) {
	case COMM:
		return event->process->comm;
	case COMMAND_LINE:
		return event->process->command;
	case CONTAINER:
		return event->container;
	case THREAD:
		return event->thread;
	default:
		break;
	}
	if (condition->subject == ARG && condition->number >= event->n_args)
		return NULL;
	rewind(policy->stream);
	if (condition->subject == ARG)
		write_argument(&event->args[condition->number], policy->stream);
	else
		kb_audit_event__write_args(event, policy->stream);
	putc('\0', policy->stream);
	return fflush(policy->stream) ? NULL : policy->text;
}

static bool holds(struct kb_audit_policy *policy, const struct condition *condition,
		  const struct kb_audit_event *event)
{
	const char *text = subject_text(policy, condition, event);

	return text && !regexec(&condition->regex, text, 0, NULL, 0);
}

const struct kb_audit_rule_info *kb_audit_policy__match(struct kb_audit_policy *policy,
							const struct kb_audit_event *event)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct rule *rule = &policy->rules[i];
		bool all = names(rule, event->name);

		for (unsigned int j = 0; j < rule->n_conditions && all; j++)
			all = holds(policy, &rule->conditions[j], event);
		if (all)
			return &rule->info;
	}
	return NULL;
}

bool kb_audit_policy__next_event(const struct kb_audit_policy *policy, size_t *at,
				 const char **name)
{
	size_t index = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		for (char *const *event = policy->rules[i].events; *event; event++) {
			if (index++ < *at)
				continue;
			*at = index;
			*name = *event;
			return true;
		}
	}
	return false;
}
