// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "cli/values.h"
#include "keelback/sample.h"

#define PIDS_MAX	4096 /* what a target takes */
#define DIGITS_MAX	15   /* no double and no long overflows below */
#define SECONDS_MIN	0.001
#define BYTES_LARGEST	(1l << 40)
#define DURATION_NS_MAX 1000000000000 /* 1000 s */

/* Digits only, at least one. */
static bool parse_digits(const char *text, size_t size, long *value)
{
	long result = 0;

	if (!size || size > DIGITS_MAX)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		result = result * 10 + (text[i] - '0');
	}
	*value = result;
	return true;
}

static bool parse_in_range(const char *text, size_t size, long min, long max, long *value)
{
	long result;

	if (!parse_digits(text, size, &result) || result < min || result > max)
		return false;
	*value = result;
	return true;
}

struct kb_error *kb_value__integer(const char *option, const char *text, long min, long max,
				   long *value)
{
	if (parse_in_range(text, strlen(text), min, max, value))
		return NULL;
	return kb_usage("%s: '%s' is not a number from %ld to %ld", option, text, min, max);
}

struct kb_error *kb_value__seconds(const char *option, const char *text, double *seconds)
{
	size_t size = strlen(text), digits = strspn(text, "0123456789."), dots = 0;
	double value;

	for (const char *c = text; *c; c++)
		dots += *c == '.';
	if (!size || size > DIGITS_MAX || digits != size || dots > 1 || dots == size)
		return kb_usage("%s: '%s' is not a number of seconds", option, text);
	value = strtod(text, NULL); /* the program never leaves the C locale */
	if (value < SECONDS_MIN || value > KB_SECONDS_MAX)
		return kb_usage("%s: '%s' is not from %g to %d seconds", option, text, SECONDS_MIN,
				KB_SECONDS_MAX);
	*seconds = value;
	return NULL;
}

struct kb_error *kb_value__duration(const char *option, const char *text, uint64_t *ns)
{
	static const struct {
		const char *name;
		long ns;
	} units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
	size_t digits = strspn(text, "0123456789");
	long value;

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(text + digits, units[i].name))
			continue;
		if (!parse_in_range(text, digits, 1, DURATION_NS_MAX / units[i].ns, &value))
			return kb_usage("%s: '%s' is not from 1ns to 1000s", option, text);
		*ns = (uint64_t)value * units[i].ns;
		return NULL;
	}
	return kb_usage("%s: '%s' is not a duration such as 50us, 2ms or 1s", option, text);
}

static struct kb_error *add_pid(pid_t pid, pid_t **pids, size_t *n)
{
	pid_t *grown;

	for (size_t i = 0; i < *n; i++) {
		if ((*pids)[i] == pid)
			return NULL;
	}
	if (*n == PIDS_MAX)
		return kb_usage("more than %d PIDs: use --cgroup or --all", PIDS_MAX);
	grown = realloc(*pids, (*n + 1) * sizeof(pid_t));
	if (!grown)
		return kb_error__no_memory();
	*pids = grown;
	grown[(*n)++] = pid;
	return NULL;
}

struct kb_error *kb_value__pids(const char *option, const char *text, pid_t **pids, size_t *n)
{
	const char *rest = text;

	for (;;) {
		size_t size = strcspn(rest, ",");
		long pid;

		if (!parse_in_range(rest, size, 1, KB_PID_LARGEST, &pid))
			return kb_usage("%s: '%.*s' is not a process id", option, (int)size, rest);
		KB_TRY(add_pid(pid, pids, n));
		if (!rest[size])
			return NULL;
		rest += size + 1;
	}
}

struct kb_error *kb_value__choice(const char *option, const char *text, const char *const *names,
				  int *index)
{
	char list[256] = "";
	size_t used = 0;

	for (int i = 0; names[i]; i++) {
		if (!strcmp(text, names[i])) {
			*index = i;
			return NULL;
		}
		if (used < sizeof(list))
			used += snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
					 names[i]);
	}
	return kb_usage("%s: '%s' is none of %s", option, text, list);
}

struct kb_error *kb_value__rate(const char *option, const char *text, bool *tick, unsigned *hz)
{
	long value;

	if (!strcmp(text, "tick")) {
		*tick = true;
		*hz = 0;
		return NULL;
	}
	if (!parse_in_range(text, strlen(text), 1, KB_RATE_MAX, &value))
		return kb_usage("%s: '%s' is not a number from 1 to %d, nor 'tick'", option, text,
				KB_RATE_MAX);
	*tick = false;
	*hz = value;
	return NULL;
}

struct kb_error *kb_value__bytes(const char *option, const char *text, uint64_t *bytes)
{
	static const char units[] = "KMG";
	size_t digits = strspn(text, "0123456789");
	const char *unit = text[digits] ? strchr(units, text[digits]) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	long value;

	if ((text[digits] && (!unit || text[digits + 1])) ||
	    !parse_in_range(text, digits, 1, BYTES_LARGEST >> shift, &value))
		return kb_usage("%s: '%s' is not a size such as 500K, 64M or 1G", option, text);
	*bytes = (uint64_t)value << shift;
	return NULL;
}
