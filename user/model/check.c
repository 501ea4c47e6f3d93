// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "model/check.h"
#include "model/check_stats.h"
#include "model/profile.h"
#include "model/text_pool.h"

static struct kb_error *compile(const char *const *patterns, size_t n, struct kb_regex ***result,
				size_t *n_result)
{
	*result = calloc(n + 1, sizeof(**result));
	if (!*result)
		return kb_error__no_memory();
	for (*n_result = 0; *n_result < n; ++*n_result)
		KB_TRY(kb_regex__create(patterns[*n_result], &(*result)[*n_result]));
	return NULL;
}

static struct kb_error *set_rules(struct kb_check *check, const struct kb_check_rules *rules)
{
	if (rules)
		check->rules = *rules;
	else
		kb_check_rules__init(&check->rules);
	rules = &check->rules;
	if (!(rules->confidence >= 0.5 && rules->confidence <= 0.9999))
		return kb_usage("a confidence of %g %% is not possible: 50 to 99.99",
				rules->confidence * 100);
	for (int i = 0; i < KB_CHECK_METRICS; i++)
		if (!(rules->threshold[i] >= 0 && rules->threshold[i] <= 100))
			return kb_usage("a threshold of %g %% is not possible: 0 to 10000",
					rules->threshold[i] * 100);
	KB_TRY(compile(rules->only, rules->n_only, &check->only, &check->n_only));
	KB_TRY(compile(rules->ignore, rules->n_ignore, &check->ignore, &check->n_ignore));
	check->rules.only = check->rules.ignore = NULL;
	check->rules.n_only = check->rules.n_ignore = 0;
	return NULL;
}

static void set_defaults(struct kb_check *check)
{
	kb_id_map__init(&check->name_map, KB_CHECK_FUNCTIONS_MAX);
	kb_id_map__init(&check->tally_map, KB_CHECK_COUNTS_MAX);
	check->meta.size = sizeof(check->meta);
	check->meta.host = check->meta.version = "";
	for (int side = 0; side < KB_CHECK_SIDES; side++)
		check->meta.side[side] = check->meta.dir[side] = check->meta.python[side] = "";
}

struct kb_error *kb_check__create(const struct kb_check_rules *rules, struct kb_check **result)
{
	struct kb_check *check = calloc(1, sizeof(*check));
	struct kb_error *err;

	if (!check)
		return kb_error__no_memory();
	set_defaults(check);
	check->strings = kb_strpool__create(KB_CHECK_STRINGS_BYTES, KB_CHECK_FUNCTIONS_MAX);
	err = check->strings ? set_rules(check, rules) : kb_error__no_memory();
	if (err) {
		kb_check__destroy(check);
		return err;
	}
	check->meta.confidence = check->rules.confidence;
	*result = check;
	return NULL;
}

static void free_patterns(struct kb_regex **patterns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kb_regex__destroy(patterns[i]);
	free(patterns);
}

void kb_check__destroy(struct kb_check *check)
{
	if (!check)
		return;
	free_patterns(check->only, check->n_only);
	free_patterns(check->ignore, check->n_ignore);
	for (int side = 0; side < KB_CHECK_SIDES; side++) {
		kb_profile__destroy(check->profiles[side]);
		for (int metric = 0; metric < KB_CHECK_METRICS; metric++)
			free(check->runs[metric][side]);
	}
	kb_id_map__free(&check->name_map);
	kb_id_map__free(&check->tally_map);
	free(check->names);
	free(check->entries);
	free(check->functions);
	free(check->lines);
	free(check->tallies);
	free(check->counts);
	free(check->edges);
	kb_strpool__destroy(check->strings);
	free(check);
}

const char *kb_check__text(struct kb_check *check, const char *text)
{
	const char *copy = kb_text_pool__intern(check->strings, text);

	return copy ? copy : "";
}

void kb_check__add_note(struct kb_check *check, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (check->n_notes < KB_CHECK_NOTES_MAX)
		check->notes[check->n_notes++] = kb_check__text(check, text);
}

static enum kb_check_verdict overall(const struct kb_check *check)
{
	enum kb_check_verdict verdict = KB_CHECK_NO_CHANGE;
	bool any = false;

	for (uint32_t i = 0; i < check->n_measures; i++) {
		const struct kb_check_measure *measure = &check->measures[i];

		if (!measure->gated)
			continue;
		any = true;
		if (measure->verdict == KB_CHECK_REGRESSION)
			return KB_CHECK_REGRESSION;
		if (verdict == KB_CHECK_NO_CHANGE)
			verdict = measure->verdict;
	}
	return any ? verdict : KB_CHECK_CANNOT_TELL;
}

struct kb_error *kb_check__finish(struct kb_check *check)
{
	KB_TRY(kb_check__match_names(check));
	KB_TRY(kb_check__match_counts(check));
	KB_TRY(kb_check__compare_runs(check));
	KB_TRY(kb_check__compare_counts(check));
	KB_TRY(kb_check__compare_functions(check));
	check->meta.verdict = overall(check);
	return NULL;
}

/* ---------------------------------------------------------------- reading */

const struct kb_check_meta *kb_check__meta(const struct kb_check *check)
{
	return &check->meta;
}

uint32_t kb_check__n_notes(const struct kb_check *check)
{
	return check->n_notes;
}

const char *kb_check__note(const struct kb_check *check, uint32_t index)
{
	return check->notes[index];
}

const struct kb_profile *kb_check__profile(const struct kb_check *check, enum kb_check_side side)
{
	return check->profiles[side];
}

uint32_t kb_check__n_measures(const struct kb_check *check)
{
	return check->n_measures;
}

const struct kb_check_measure *kb_check__measure(const struct kb_check *check, uint32_t index)
{
	return &check->measures[index];
}

const struct kb_check_measure *kb_check__measure_of(const struct kb_check *check,
						    enum kb_check_metric metric)
{
	for (uint32_t i = 0; i < check->n_measures; i++)
		if (check->measures[i].metric == metric)
			return &check->measures[i];
	return NULL;
}

uint32_t kb_check__n_functions(const struct kb_check *check)
{
	return check->n_functions;
}

const struct kb_check_function *kb_check__function(const struct kb_check *check, uint32_t index)
{
	return &check->functions[index];
}

uint32_t kb_check__n_counts(const struct kb_check *check)
{
	return check->n_counts;
}

const struct kb_check_count *kb_check__count(const struct kb_check *check, uint32_t index)
{
	return &check->counts[index];
}

uint32_t kb_check__n_edges(const struct kb_check *check)
{
	return check->n_edges;
}

const struct kb_check_count *kb_check__edge(const struct kb_check *check, uint32_t index)
{
	return &check->edges[index];
}
