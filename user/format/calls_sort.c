// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "format/calls_sort.h"

#define SEPARATORS ", "

enum meaning {
	BY_CALLS,
	BY_PRIMITIVE,
	BY_TOTTIME,
	BY_CUMTIME,
	BY_FILE,
	BY_LINE,
	BY_NAME,
	BY_NAME_FILE_LINE,
	BY_STANDARD_NAME,
};

static const struct key {
	struct kb_calls_sort_key public;
	enum meaning meaning;
} keys[] = {
	{ { "calls", "call count" }, BY_CALLS },
	{ { "ncalls", "call count" }, BY_CALLS },
	{ { "cumtime", "cumulative time" }, BY_CUMTIME },
	{ { "cumulative", "cumulative time" }, BY_CUMTIME },
	{ { "filename", "file name" }, BY_FILE },
	{ { "line", "line number" }, BY_LINE },
	{ { "module", "file name" }, BY_FILE },
	{ { "name", "function name" }, BY_NAME },
	{ { "nfl", "name/file/line" }, BY_NAME_FILE_LINE },
	{ { "pcalls", "primitive call count" }, BY_PRIMITIVE },
	{ { "stdname", "standard name" }, BY_STANDARD_NAME },
	{ { "time", "internal time" }, BY_TOTTIME },
	{ { "tottime", "internal time" }, BY_TOTTIME },
};

/* Of functions from samples (3.15's SampledStats): further words for the counts. */
static const struct {
	const char *name, *key;
} synonyms[] = {
	{ "samples", "calls" },
	{ "nsamples", "calls" },
	{ "psamples", "pcalls" },
};

#define N_KEYS	   (sizeof(keys) / sizeof(keys[0]))
#define N_SYNONYMS (sizeof(synonyms) / sizeof(synonyms[0]))

const struct kb_calls_sort_key *kb_calls_sort__at(size_t index)
{
	return index < N_KEYS ? &keys[index].public : NULL;
}

/* ---- parsing */

static struct kb_error *unknown(const char *word, size_t length, const char *why)
{
	char list[160] = "";

	for (size_t i = 0; i < N_KEYS; i++) {
		strncat(list, i ? ", " : "", sizeof(list) - strlen(list) - 1);
		strncat(list, keys[i].public.name, sizeof(list) - strlen(list) - 1);
	}
	return kb_usage("%s sort key '%.*s'; there are %s", why, (int)length, word, list);
}

static const char *synonym(const char *word, size_t *length)
{
	for (size_t i = 0; i < N_SYNONYMS; i++)
		if (strlen(synonyms[i].name) == *length &&
		    !strncmp(synonyms[i].name, word, *length)) {
			*length = strlen(synonyms[i].key);
			return synonyms[i].key;
		}
	return word;
}

static struct kb_error *find(const char *word, size_t length, uint8_t *index)
{
	const char *wanted = synonym(word, &length);
	const struct key *found = NULL;

	for (size_t i = 0; i < N_KEYS && length; i++) {
		if (strncmp(keys[i].public.name, wanted, length))
			continue;
		if (!keys[i].public.name[length]) { /* whole words come first */
			*index = (uint8_t)i;
			return NULL;
		}
		if (found && found->meaning != keys[i].meaning)
			return unknown(word, length, "ambiguous");
		if (!found)
			found = &keys[i];
	}
	if (!found)
		return unknown(word, length, "no");
	*index = (uint8_t)(found - keys);
	return NULL;
}

/* What profile.py once took, and pstats still does. */
static const char *old_number(const char *text)
{
	static const char *const numbers[][2] = {
		{ "-1", "stdname" },
		{ "0", "calls" },
		{ "1", "time" },
		{ "2", "cumulative" },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!strcmp(text, numbers[i][0]))
			return numbers[i][1];
	return text;
}

struct kb_error *kb_calls_sorting__parse(const char *text, struct kb_calls_sorting *sorting)
{
	const char *at = old_number(text);
	struct kb_calls_sorting result = {};

	do {
		size_t length;

		at += strspn(at, SEPARATORS);
		length = strcspn(at, SEPARATORS);
		if (result.n == KB_CALLS_SORT_MAX)
			return kb_usage("more than %d sort keys", KB_CALLS_SORT_MAX);
		KB_TRY(find(at, length, &result.keys[result.n++]));
		at += length;
	} while (at[strspn(at, SEPARATORS)]);
	*sorting = result;
	return NULL;
}

struct kb_error *kb_calls_sort__check(const char *text)
{
	struct kb_calls_sorting sorting;

	return kb_calls_sorting__parse(text, &sorting);
}

void kb_calls_sorting__describe(const struct kb_calls_sorting *sorting, FILE *stream)
{
	for (size_t i = 0; i < sorting->n; i++)
		fprintf(stream, "%s%s", i ? ", " : "", keys[sorting->keys[i]].public.description);
}

/* ---- sorting */

struct context {
	const struct kb_calls_sorting *sorting;
	const struct kb_calls *calls;
	char *const *names;
};

struct element {
	uint32_t id, position;
};

/* The larger first. */
static int compare_counts(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b);
}

static int compare_times(double a, double b)
{
	return (a < b) - (a > b);
}

static int compare_lines(int32_t a, int32_t b)
{
	return (a > b) - (a < b);
}

static int compare_by(const struct context *context, enum meaning meaning, uint32_t a, uint32_t b)
{
	const struct kb_calls_function *x = kb_calls__function(context->calls, a);
	const struct kb_calls_function *y = kb_calls__function(context->calls, b);
	int diff;

	switch (meaning) {
	case BY_CALLS:
		return compare_counts(x->stats.ncalls, y->stats.ncalls);
	case BY_PRIMITIVE:
		return compare_counts(x->stats.primitive, y->stats.primitive);
	case BY_TOTTIME:
		return compare_times(x->stats.tottime, y->stats.tottime);
	case BY_CUMTIME:
		return compare_times(x->stats.cumtime, y->stats.cumtime);
	case BY_FILE:
		return strcmp(x->file, y->file);
	case BY_LINE:
		return compare_lines(x->line, y->line);
	case BY_NAME:
		return strcmp(x->name, y->name);
	case BY_STANDARD_NAME:
		return strcmp(context->names[a], context->names[b]);
	case BY_NAME_FILE_LINE:
		break;
	}
	diff = strcmp(x->name, y->name);
	diff = diff ? diff : strcmp(x->file, y->file);
	return diff ? diff : compare_lines(x->line, y->line);
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct element *x = a, *y = b;
	const struct context *context = arg;
	int diff = 0;

	for (size_t i = 0; i < context->sorting->n && !diff; i++)
		diff = compare_by(context, keys[context->sorting->keys[i]].meaning, x->id, y->id);
	return diff ? diff : (x->position > y->position) - (x->position < y->position);
}

bool kb_calls_sorting__sort(const struct kb_calls_sorting *sorting, const struct kb_calls *calls,
			    char *const *names, uint32_t *ids, uint32_t n)
{
	struct element *elements = calloc((size_t)n + 1, sizeof(*elements));
	struct context context = { sorting, calls, names };

	if (!elements)
		return false;
	for (uint32_t i = 0; i < n; i++)
		elements[i] = (struct element){ ids[i], i };
	qsort_r(elements, n, sizeof(*elements), compare, &context);
	for (uint32_t i = 0; i < n; i++)
		ids[i] = elements[i].id;
	free(elements);
	return true;
}
