// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "base/error.h"
#include "collect/audit_rules.h"

/* One of them as given, without its `!` and `*`. */
struct pattern {
	const char *name;
	size_t size; /* bytes that must be equal: with the zero where there is no `*` */
	bool take;
};

static struct kb_error *read_pattern(const char *text, struct pattern *pattern)
{
	size_t length;

	pattern->take = text[0] != '!';
	pattern->name = text + !pattern->take;
	length = strlen(pattern->name);
	if (!length)
		return kb_usage("'%s' names no event", text);
	if (length >= KB_AUDIT_NAME_MAX)
		return kb_usage("'%s' is too long for the name of an event: at most %d bytes", text,
				KB_AUDIT_NAME_MAX - 1);
	if (strcspn(pattern->name, "*") + 1 < length || strpbrk(pattern->name, " \t,!"))
		return kb_usage("'%s' is no name of an event: NAME, or the beginning of one and "
				"'*' at its end",
				text);
	/* Exact names have their zero compared, too. */
	pattern->size = pattern->name[length - 1] == '*' ? length - 1 : length + 1;
	return NULL;
}

/* Behind those that are as long. */
static void insert(struct kb_audit_rules *rules, size_t sizes[KB_AUDIT_RULES_MAX],
		   const struct pattern *pattern)
{
	struct kb_audit_rule rule = { .take = pattern->take };
	uint32_t at = rules->n++;

	memcpy(rule.value, pattern->name, pattern->size);
	memset(rule.mask, 0xff, pattern->size);
	while (at && sizes[at - 1] < pattern->size) {
		rules->rules[at] = rules->rules[at - 1];
		sizes[at] = sizes[at - 1];
		at--;
	}
	rules->rules[at] = rule;
	sizes[at] = pattern->size;
}

struct kb_error *kb_audit_rules__make(const struct kb_audit_opts *opts,
				      struct kb_audit_rules *rules)
{
	size_t sizes[KB_AUDIT_RULES_MAX];

	memset(rules, 0, sizeof(*rules));
	rules->others = true;
	if (opts->n_events > KB_AUDIT_RULES_MAX)
		return kb_usage("%zu names of events are too many: at most %d", opts->n_events,
				KB_AUDIT_RULES_MAX);
	for (size_t i = 0; i < opts->n_events; i++) {
		struct pattern pattern;

		KB_TRY(read_pattern(opts->events[i], &pattern));
		insert(rules, sizes, &pattern);
		if (pattern.take)
			rules->others = false;
	}
	return NULL;
}
