// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* What the live view does with its session, on a terminal or not: begin, wait, refresh, end. */
#include <stdlib.h>
#include "base/clock.h"
#include "tui/state.h"

#define WAIT_MS 250 /* at most: a signal that comes just before a wait is noticed after it */

/* ---------------------------------------------------------------- numbers */

struct kb_error *kb_top__order(struct kb_top *top)
{
	KB_TRY(kb_row_order__update(&top->order, top->model));
	kb_top__follow_selection(top);
	return kb_top__update_panel(top);
}

struct kb_error *kb_top__aggregate(struct kb_top *top)
{
	KB_TRY(kb_view_model__aggregate(top->model));
	KB_TRY(kb_top__update_scopes(top));
	return kb_top__order(top);
}

struct kb_error *kb_top__select(struct kb_top *top)
{
	KB_TRY(kb_view_model__select(top->model));
	return kb_top__aggregate(top);
}

/* Reads what the profile has, and shows it unless the view is frozen. */
static struct kb_error *refresh(struct kb_top *top)
{
	if (!top->paused)
		KB_TRY(kb_view_model__take(top->model, kb_now(CLOCK_MONOTONIC)));
	kb_top__learn(top);
	return top->frozen ? NULL : kb_top__select(top);
}

/* ---------------------------------------------------------------- begin and end */

struct kb_error *kb_top__create(struct kb_top *top, const struct kb_top_opts *opts)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC);

	top->opts = opts;
	top->sampler = opts->sampler;
	top->profile = kb_sampler__profile(opts->sampler);
	top->delay = opts->delay;
	top->show_trend = true;
	top->clock = "";
	top->order.key = opts->sort;
	top->order.reversed = opts->reversed;
	kb_call_tree__init(&top->callees, KB_TREE_CALLEES);
	kb_call_tree__init(&top->callers, KB_TREE_CALLERS);
	top->started_ns = now;
	KB_TRY(kb_view_model__create(top->profile, opts->by_lines, now, &top->model));
	top->model->window_ns = opts->window * KB_NS_PER_SECOND;
	return opts->filter ? kb_row_order__filter(&top->order, opts->filter) : NULL;
}

void kb_top__destroy(struct kb_top *top)
{
	kb_view_model__destroy(top->model);
	kb_row_order__free(&top->order);
	kb_call_tree__free(&top->callees);
	kb_call_tree__free(&top->callers);
	kb_details__free(&top->lines);
	kb_details__free(&top->opcodes);
	free(top->scopes);
}

struct kb_error *kb_top__start(struct kb_top *top)
{
	KB_TRY(kb_sampler__start(top->sampler));
	if (top->opts->console)
		kb_console__started(top->opts->console);
	top->started_ns = kb_now(CLOCK_MONOTONIC);
	kb_history__skip(top->model->history, top->started_ns);
	return NULL;
}

/* Sampling ends; what there is stays. */
static struct kb_error *end(struct kb_top *top, const char *why)
{
	if (top->ended)
		return NULL;
	top->ended = true;
	top->ended_why = why;
	top->ended_ns = kb_now(CLOCK_MONOTONIC);
	KB_TRY(kb_sampler__stop(top->sampler));
	return refresh(top);
}

/* ---------------------------------------------------------------- waiting */

static uint64_t end_of_sampling(const struct kb_top *top)
{
	return top->opts->duration > 0
		       ? top->started_ns + (uint64_t)(top->opts->duration * KB_NS_PER_SECOND)
		       : UINT64_MAX;
}

static int wait_ms(uint64_t now, uint64_t then)
{
	uint64_t ms = then > now ? (then - now + KB_NS_PER_MS - 1) / KB_NS_PER_MS : 0;

	return ms < WAIT_MS ? (int)ms : WAIT_MS;
}

struct kb_error *kb_top__await(struct kb_top *top, uint64_t *next, bool *refreshed)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC), end_ns = end_of_sampling(top);
	uint64_t until = *next < end_ns || top->ended ? *next : end_ns;
	bool done = false;

	KB_TRY(kb_sampler__poll(top->sampler, wait_ms(now, until), &done));
	if (top->opts->console && !kb_console__read(top->opts->console))
		kb_sampler__forget(top->sampler, top->opts->console->master);
	now = kb_now(CLOCK_MONOTONIC);
	top->command_ended = kb_sampler__command_status(top->sampler) >= 0;
	if (!top->ended && (done || now >= end_ns)) {
		*refreshed = true;
		return end(top, done ? "TARGET HAS ENDED" : "SAMPLING HAS ENDED");
	}
	*refreshed = now >= *next;
	if (!*refreshed)
		return NULL;
	*next = now + (uint64_t)(top->delay * KB_NS_PER_SECOND);
	if (top->ended)
		return NULL;
	KB_TRY(kb_sampler__drain(top->sampler));
	return refresh(top);
}
