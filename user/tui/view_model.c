// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "tui/view_model.h"

#define TREND_SIGMA 2.5	 /* of ten thousand steady values a hundred look changed */
#define TREND_SHARE 0.02 /* of all, where chance is not known */

struct kb_error *kb_view_model__create(const struct kb_profile *profile, bool by_lines,
				       uint64_t now_ns, struct kb_view_model **result)
{
	struct kb_view_model *model = calloc(1, sizeof(*model));
	struct kb_error *err;

	if (!model)
		return kb_error__no_memory();
	model->profile = profile;
	kb_labels__init(&model->labels, profile, by_lines);
	err = kb_history__create(profile, now_ns, &model->history);
	if (err)
		kb_view_model__destroy(model);
	else
		*result = model;
	return err;
}

void kb_view_model__destroy(struct kb_view_model *model)
{
	if (!model)
		return;
	kb_history__destroy(model->history);
	kb_labels__free(&model->labels);
	free(model->selected);
	free(model->now.changes);
	free(model->before.changes);
	free(model->rows);
	free(model->own);
	free(model->with_callees);
	free(model->recent);
	free(model->threads);
	free(model->processes);
	free(model);
}

struct kb_error *kb_view_model__take(struct kb_view_model *model, uint64_t now_ns)
{
	return kb_history__take(model->history, now_ns);
}

/* ---------------------------------------------------------------- select */

static void select_since_start(struct kb_view_model *model)
{
	const struct kb_history *h = model->history;

	for (uint32_t i = 0; i < model->n_samples; i++)
		model->selected[i] = h->counts[i] - h->base_counts[i];
	model->duration_ns = h->duration_ns;
	model->tallies = kb_tallies__minus(h->read, h->base);
}

static void select_window(struct kb_view_model *model)
{
	const struct kb_history *h = model->history;
	uint32_t n = kb_history__span(h, 0, model->window_ns, &model->duration_ns);

	if (model->n_samples)
		memset(model->selected, 0, model->n_samples * sizeof(*model->selected));
	model->tallies = (struct kb_tallies){};
	for (uint32_t age = 0; age < n; age++) {
		const struct kb_interval *interval = kb_history__interval(h, age);

		model->tallies.attempted += interval->tallies.attempted;
		model->tallies.gil += interval->tallies.gil;
		model->tallies.exception += interval->tallies.exception;
		for (uint32_t i = 0; i < interval->n_changes; i++) {
			const struct kb_change *change = kb_history__change(h, interval, i);

			model->selected[change->sample] += change->count;
		}
	}
}

/* Copies the changes of n intervals. */
static bool copy_recent(const struct kb_history *h, uint32_t skip, uint32_t n,
			struct kb_recent *recent)
{
	recent->n = 0;
	for (uint32_t age = skip; age < skip + n; age++) {
		const struct kb_interval *interval = kb_history__interval(h, age);

		if (!kb_grow((void **)&recent->changes, &recent->capacity,
			     recent->n + interval->n_changes, sizeof(*recent->changes)))
			return false;
		for (uint32_t i = 0; i < interval->n_changes; i++)
			recent->changes[recent->n++] = *kb_history__change(h, interval, i);
	}
	return true;
}

static bool select_recent(struct kb_view_model *model)
{
	const struct kb_history *h = model->history;
	uint32_t n = kb_history__span(h, 0, KB_TREND_SPAN_NS, &model->now.duration_ns);
	uint32_t n_before =
		kb_history__span(h, n, model->now.duration_ns, &model->before.duration_ns);

	return copy_recent(h, 0, n, &model->now) && copy_recent(h, n, n_before, &model->before);
}

struct kb_error *kb_view_model__select(struct kb_view_model *model)
{
	KB_TRY(kb_labels__grow(&model->labels));
	model->n_samples = model->history->n_samples;
	model->n_nodes = model->labels.n_nodes;
	if (!kb_grow((void **)&model->selected, &model->selected_capacity, model->n_samples,
		     sizeof(*model->selected)))
		return kb_error__no_memory();
	if (model->window_ns)
		select_window(model);
	else
		select_since_start(model);
	return select_recent(model) ? NULL : kb_error__no_memory();
}

/* ---------------------------------------------------------------- aggregate */

bool kb_view_model__in_scope(const struct kb_view_model *model, uint32_t thread)
{
	switch (model->scope) {
	case KB_SCOPE_THREAD:
		return thread == model->scope_id;
	case KB_SCOPE_PROCESS:
		return kb_profile__thread(model->profile, thread)->process == model->scope_id;
	default:
		return true;
	}
}

static bool zeroed(void *array, size_t *capacity, size_t n, size_t element_size)
{
	if (!kb_grow(array, capacity, n, element_size))
		return false;
	if (n)
		memset(*(void **)array, 0, n * element_size);
	return true;
}

static bool prepare(struct kb_view_model *model)
{
	model->n_rows = model->labels.n;
	model->n_threads = kb_profile__n_threads(model->profile);
	model->n_processes = kb_profile__n_processes(model->profile);
	model->total = model->all_total = 0;
	return zeroed(&model->rows, &model->rows_capacity, model->n_rows, sizeof(*model->rows)) &&
	       zeroed(&model->own, &model->own_capacity, model->n_nodes, sizeof(*model->own)) &&
	       zeroed(&model->with_callees, &model->with_callees_capacity, model->n_nodes,
		      sizeof(*model->with_callees)) &&
	       zeroed(&model->threads, &model->threads_capacity, model->n_threads,
		      sizeof(*model->threads)) &&
	       zeroed(&model->processes, &model->processes_capacity, model->n_processes,
		      sizeof(*model->processes));
}

static void sum_samples(struct kb_view_model *model)
{
	const struct kb_sample *samples = kb_profile__samples(model->profile);

	for (uint32_t i = 0; i < model->n_samples; i++) {
		uint64_t count = model->selected[i];

		if (!count)
			continue;
		model->all_total += count;
		model->threads[samples[i].thread] += count;
		if (!kb_view_model__in_scope(model, samples[i].thread))
			continue;
		model->total += count;
		model->own[samples[i].node] += count;
		model->with_callees[samples[i].node] += count;
	}
	for (uint32_t i = 0; i < model->n_threads; i++)
		model->processes[kb_profile__thread(model->profile, i)->process] +=
			model->threads[i];
}

/* Callers have smaller ids than what they call: going down passes everything on once. */
static void sum_nodes(struct kb_view_model *model)
{
	for (uint32_t i = model->n_nodes; i-- > 0;) {
		const struct kb_node_info *node = &model->labels.nodes[i];
		uint64_t count = model->with_callees[i];

		if (!count)
			continue;
		model->rows[node->label].self += model->own[i];
		if (node->outermost)
			model->rows[node->label].total += count;
		if (node->parent != KB_ID_NONE)
			model->with_callees[node->parent] += count;
	}
}

static bool sum_recent(struct kb_view_model *model, struct kb_recent *recent, bool now)
{
	const struct kb_sample *samples = kb_profile__samples(model->profile);

	if (!zeroed(&model->recent, &model->recent_capacity, model->n_nodes,
		    sizeof(*model->recent)))
		return false;
	recent->total = 0;
	for (size_t i = 0; i < recent->n; i++) {
		const struct kb_sample *sample = &samples[recent->changes[i].sample];
		struct kb_row *row = &model->rows[model->labels.nodes[sample->node].label];
		uint64_t count = recent->changes[i].count;

		if (!kb_view_model__in_scope(model, sample->thread))
			continue;
		recent->total += count;
		*(now ? &row->self_now : &row->self_before) += count;
		model->recent[sample->node] += count;
	}
	for (uint32_t i = model->n_nodes; i-- > 0 && recent->total;) {
		const struct kb_node_info *node = &model->labels.nodes[i];
		struct kb_row *row = &model->rows[node->label];
		uint64_t count = model->recent[i];

		if (!count)
			continue;
		if (node->outermost)
			*(now ? &row->total_now : &row->total_before) += count;
		if (node->parent != KB_ID_NONE)
			model->recent[node->parent] += count;
	}
	return true;
}

struct kb_error *kb_view_model__aggregate(struct kb_view_model *model)
{
	if (!prepare(model))
		return kb_error__no_memory();
	sum_samples(model);
	sum_nodes(model);
	if (!sum_recent(model, &model->now, true) || !sum_recent(model, &model->before, false))
		return kb_error__no_memory();
	return NULL;
}

struct kb_error *kb_view_model__set_lines(struct kb_view_model *model, bool by_lines)
{
	kb_labels__free(&model->labels);
	kb_labels__init(&model->labels, model->profile, by_lines);
	return kb_labels__grow(&model->labels);
}

/* ---------------------------------------------------------------- questions */

double kb_view_model__share_now(const struct kb_view_model *model, uint64_t now)
{
	return model->now.total ? (double)now / model->now.total : 0;
}

double kb_view_model__share_change(const struct kb_view_model *model, uint64_t now, uint64_t before)
{
	double share = model->before.total ? (double)before / model->before.total : 0;

	return kb_view_model__share_now(model, now) - share;
}

enum kb_trend kb_view_model__trend(const struct kb_view_model *model, uint64_t now, uint64_t before)
{
	const struct kb_profile_meta *meta = kb_profile__meta(model->profile);
	double scale, expected, one, limit;

	if (!model->now.total || !model->before.total)
		return KB_TREND_FLAT;
	scale = (double)model->now.total / model->before.total;
	expected = before * scale;
	/* Of times, that part which was sampled varies as samples do. */
	one = meta->unit == KB_UNIT_NS && meta->rate_hz > 0 ? 1e9 / meta->rate_hz : 1;
	limit = (TREND_SIGMA * sqrt((now + expected * scale) / one) + 1) * one;
	if (meta->unit == KB_UNIT_NS && limit < TREND_SHARE * model->now.total)
		limit = TREND_SHARE * model->now.total;
	if (now > expected + limit)
		return KB_TREND_UP;
	return now < expected - limit ? KB_TREND_DOWN : KB_TREND_FLAT;
}

const struct kb_function_info *kb_view_model__function(const struct kb_view_model *model,
						       uint32_t row)
{
	return kb_profile__function(model->profile, model->labels.labels[row].function);
}
