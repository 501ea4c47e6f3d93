// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* What each key does. draw_help.c tells it to people: keep both alike. */
#include "base/clock.h"
#include "tui/state.h"

#define HOT_STEPS  30	/* levels that one key opens */
#define HOT_SHARE  0.05 /* and the least part of all that is worth it */
#define DELAY_STEP 1.5

/* The windows that a key steps through, in seconds; 0: since the start. */
static const unsigned windows[] = { 0, 60, 15, 5 };
#define N_WINDOWS (sizeof(windows) / sizeof(windows[0]))

/* ---------------------------------------------------------------- the table */

static struct kb_error *sort_by(struct kb_top *top, enum kb_sort_key key)
{
	top->order.key = key;
	return kb_top__order(top);
}

static struct kb_error *step_sort(struct kb_top *top, int step)
{
	return sort_by(top, (top->order.key + KB_SORT_KEYS + step) % KB_SORT_KEYS);
}

static struct kb_error *show_scope(struct kb_top *top, enum kb_scope scope, uint32_t id)
{
	top->model->scope = scope;
	top->model->scope_id = id;
	return kb_top__aggregate(top);
}

static struct kb_error *cycle_scope(struct kb_top *top, enum kb_scope scope, int step)
{
	kb_top__cycle_scope(top, scope, step);
	return kb_top__aggregate(top);
}

static struct kb_error *next_window(struct kb_top *top)
{
	size_t i = 0;

	if (top->frozen) {
		kb_top__say(top, false, "frozen: the window can be changed when it is not");
		return NULL;
	}
	while (i < N_WINDOWS && windows[i] * KB_NS_PER_SECOND != top->model->window_ns)
		i++;
	top->model->window_ns = windows[i < N_WINDOWS ? (i + 1) % N_WINDOWS : 0] * KB_NS_PER_SECOND;
	return kb_top__select(top);
}

static struct kb_error *reset(struct kb_top *top)
{
	if (top->ended) {
		kb_top__say(top, false, "sampling has ended: what there is stays");
		return NULL;
	}
	KB_TRY(kb_sampler__drain(top->sampler));
	KB_TRY(kb_view_model__take(top->model, kb_now(CLOCK_MONOTONIC)));
	kb_history__reset(top->model->history, kb_now(CLOCK_MONOTONIC));
	top->frozen = false;
	top->pinned = false;
	kb_top__say(top, false, "statistics begin anew");
	return kb_top__select(top);
}

static struct kb_error *pause_sampling(struct kb_top *top)
{
	uint64_t now = kb_now(CLOCK_MONOTONIC);

	if (top->ended)
		return NULL;
	KB_TRY(kb_sampler__pause(top->sampler, !top->paused));
	KB_TRY(kb_sampler__drain(top->sampler));
	if (top->paused)
		kb_history__skip(top->model->history, now);
	else
		KB_TRY(kb_view_model__take(top->model, now));
	top->paused = !top->paused;
	return top->frozen ? NULL : kb_top__select(top);
}

static struct kb_error *freeze(struct kb_top *top)
{
	top->frozen = !top->frozen;
	return top->frozen ? NULL : kb_top__select(top);
}

/* Rows become lines or functions; the selection goes to one of the same function. */
static struct kb_error *switch_lines(struct kb_top *top)
{
	struct kb_labels *labels = &top->model->labels;
	uint32_t row = kb_top__selected_row(top), function = KB_ID_NONE;
	bool pinned = top->pinned;

	if (row != KB_ID_NONE)
		function = labels->labels[row].function;
	top->pinned = false;
	KB_TRY(kb_view_model__set_lines(top->model, !labels->by_lines));
	kb_row_order__forget_matches(&top->order);
	KB_TRY(kb_top__aggregate(top));
	for (uint32_t i = 0; i < top->order.n && pinned; i++) {
		if (labels->labels[top->order.rows[i]].function != function)
			continue;
		kb_top__pin(top, top->order.rows[i]);
		break;
	}
	return kb_top__update_panel(top);
}

static void set_delay(struct kb_top *top, double factor)
{
	top->delay *= factor;
	if (top->delay < KB_TOP_DELAY_MIN)
		top->delay = KB_TOP_DELAY_MIN;
	if (top->delay > KB_TOP_DELAY_MAX)
		top->delay = KB_TOP_DELAY_MAX;
	kb_top__say(top, false, "a refresh every %.2g s", top->delay);
}

static struct kb_error *show_panel(struct kb_top *top, enum kb_panel panel)
{
	top->panel = panel;
	top->in_panel = false;
	top->details = (struct kb_list){};
	if (panel != KB_PANEL_NONE && panel != KB_PANEL_OUTPUT && !top->pinned)
		kb_top__pin(top, kb_top__selected_row(top));
	return kb_top__update_panel(top);
}

static struct kb_error *step_panel(struct kb_top *top, int step)
{
	enum kb_panel panel = top->panel;

	do {
		panel = (panel + KB_PANELS + step) % KB_PANELS;
	} while (!kb_top__has_panel(top, panel));
	return show_panel(top, panel);
}

static struct kb_error *toggle_output(struct kb_top *top)
{
	if (!kb_top__has_panel(top, KB_PANEL_OUTPUT)) {
		kb_top__say(top, false, "no command whose output is shown here");
		return NULL;
	}
	return show_panel(top, top->panel == KB_PANEL_OUTPUT ? KB_PANEL_NONE : KB_PANEL_OUTPUT);
}

static void ask_to_quit(struct kb_top *top)
{
	if (top->opts->console && !top->command_ended)
		kb_prompt__open(top, KB_PROMPT_QUIT);
	else
		top->quit = true;
}

/* ---------------------------------------------------------------- the panel */

/* Opens a row, what is most of it, and so on. */
static struct kb_error *open_hottest(struct kb_top *top, struct kb_call_tree *tree)
{
	uint32_t at = top->details.cursor;

	for (int i = 0; i < HOT_STEPS && at < tree->n && tree->rows[at].has_more; i++) {
		uint16_t depth = tree->rows[at].depth;

		if (tree->rows[at].count < HOT_SHARE * top->model->total)
			break;
		kb_call_tree__set_open(tree, at, true);
		KB_TRY(kb_top__update_panel(top));
		if (at + 1 >= tree->n || tree->rows[at + 1].depth != depth + 1)
			break;
		at++;
	}
	top->details.n = tree->n;
	top->details.cursor = at;
	return NULL;
}

static struct kb_error *tree_key(struct kb_top *top, struct kb_call_tree *tree, int key,
				 bool *known)
{
	uint32_t at = top->details.cursor;
	const struct kb_tree_row *row;

	*known = at < tree->n;
	if (!*known)
		return NULL;
	row = &tree->rows[at];
	switch (key) {
	case KB_KEY_RIGHT:
		kb_call_tree__set_open(tree, at, true);
		return kb_top__update_panel(top);
	case KB_KEY_LEFT:
		if (!row->open) {
			top->details.cursor = kb_call_tree__parent(tree, at);
			return NULL;
		}
		kb_call_tree__set_open(tree, at, false);
		return kb_top__update_panel(top);
	case KB_KEY_ENTER:
	case ' ':
		kb_call_tree__set_open(tree, at, !row->open);
		return kb_top__update_panel(top);
	case '*':
		return open_hottest(top, tree);
	case 'f':
		if (row->row == KB_ID_NONE)
			return NULL;
		top->details = (struct kb_list){};
		kb_top__pin(top, row->row);
		return kb_top__update_panel(top);
	default:
		*known = false;
		return NULL;
	}
}

static struct kb_error *panel_key(struct kb_top *top, int key, bool *known)
{
	struct kb_call_tree *tree = kb_top__tree(top);

	*known = true;
	if (key == KB_KEY_ESCAPE) {
		top->in_panel = false;
		return NULL;
	}
	if (kb_list__key(top->panel == KB_PANEL_OUTPUT ? &top->output : &top->details, key))
		return NULL;
	*known = false;
	return tree ? tree_key(top, tree, key, known) : NULL;
}

/* ---------------------------------------------------------------- pages */

static struct kb_error *open_threads(struct kb_top *top)
{
	top->page = KB_PAGE_THREADS;
	top->threads = (struct kb_list){};
	return kb_top__update_scopes(top);
}

static struct kb_error *threads_key(struct kb_top *top, int key)
{
	const struct kb_scope_item *item = &top->scopes[top->threads.cursor];

	if (kb_list__key(&top->threads, key))
		return NULL;
	switch (key) {
	case KB_KEY_ENTER:
		top->page = KB_PAGE_TABLE;
		return show_scope(top, item->scope, item->id);
	case KB_KEY_ESCAPE:
	case 'v':
	case 'q':
		top->page = KB_PAGE_TABLE;
		return NULL;
	case 'h':
	case '?':
	case KB_KEY_HELP:
		top->page = KB_PAGE_HELP;
		return NULL;
	default:
		return NULL;
	}
}

static void help_key(struct kb_top *top, int key)
{
	if (!kb_list__key(&top->help, key) && key != KB_KEY_RESIZE) {
		top->page = KB_PAGE_TABLE;
		top->help = (struct kb_list){};
	}
}

static void open_help(struct kb_top *top)
{
	top->page = KB_PAGE_HELP;
	top->help = (struct kb_list){};
}

/* ---------------------------------------------------------------- the table's keys */

static struct kb_error *move_selection(struct kb_top *top, int key, bool *moved)
{
	*moved = kb_list__key(&top->table, key);
	if (!*moved)
		return NULL;
	if (key == KB_KEY_HOME || key == 'g')
		top->pinned = false;
	else if (top->table.cursor < top->order.n)
		kb_top__pin(top, top->order.rows[top->table.cursor]);
	top->details = (struct kb_list){};
	return kb_top__update_panel(top);
}

/* Keys that change what is counted. */
static struct kb_error *sampling_key(struct kb_top *top, int key)
{
	switch (key) {
	case 'p':
	case ' ':
		return freeze(top);
	case 'z':
		return pause_sampling(top);
	case 'r':
		return reset(top);
	case 'w':
		return next_window(top);
	case 't':
	case 'T':
		return cycle_scope(top, KB_SCOPE_THREAD, key == 't' ? 1 : -1);
	case 'n':
	case 'N':
		return cycle_scope(top, KB_SCOPE_PROCESS, key == 'n' ? 1 : -1);
	case 'a':
		return show_scope(top, KB_SCOPE_ALL, 0);
	default:
		return NULL;
	}
}

/* Keys that choose rows and their order. */
static struct kb_error *rows_key(struct kb_top *top, int key)
{
	if (key >= '1' && key < '1' + KB_SORT_KEYS)
		return sort_by(top, key - '1');
	switch (key) {
	case KB_KEY_RIGHT:
	case 's':
		return step_sort(top, 1);
	case KB_KEY_LEFT:
	case 'S':
		return step_sort(top, -1);
	case 'i':
		top->order.reversed = !top->order.reversed;
		return kb_top__order(top);
	case 'l':
		return switch_lines(top);
	case 'c':
		KB_TRY(kb_row_order__filter(&top->order, ""));
		return kb_top__order(top);
	case KB_KEY_TAB:
		return step_panel(top, 1);
	case KB_KEY_BACK_TAB:
		return step_panel(top, -1);
	case 'o':
		return toggle_output(top);
	case KB_KEY_ENTER:
		if (top->panel == KB_PANEL_NONE)
			KB_TRY(show_panel(top, KB_PANEL_CALLEES));
		top->in_panel = true;
		return NULL;
	case KB_KEY_ESCAPE:
		return show_panel(top, KB_PANEL_NONE);
	default:
		return sampling_key(top, key);
	}
}

static struct kb_error *table_key(struct kb_top *top, int key)
{
	switch (key) {
	case 'q':
	case 'Q':
		ask_to_quit(top);
		return NULL;
	case 'h':
	case 'H':
	case '?':
	case KB_KEY_HELP:
		open_help(top);
		return NULL;
	case '/':
		kb_prompt__open(top, KB_PROMPT_FILTER);
		return NULL;
	case 'e':
		kb_prompt__open(top, KB_PROMPT_SAVE);
		return NULL;
	case 'v':
		return open_threads(top);
	case 'x':
		top->show_trend = !top->show_trend;
		return NULL;
	case 'u':
		top->show_seconds = !top->show_seconds;
		return NULL;
	case '+':
	case '=':
		set_delay(top, 1 / DELAY_STEP);
		return NULL;
	case '-':
	case '_':
		set_delay(top, DELAY_STEP);
		return NULL;
	case 12: /* Ctrl-L */
		kb_screen__redraw();
		return NULL;
	default:
		return rows_key(top, key);
	}
}

struct kb_error *kb_top__key(struct kb_top *top, int key)
{
	bool known = false;

	top->message_until = 0;
	if (top->prompt.kind)
		return kb_prompt__key(top, key);
	if (top->page == KB_PAGE_HELP) {
		help_key(top, key);
		return NULL;
	}
	if (top->page == KB_PAGE_THREADS)
		return threads_key(top, key);
	if (top->in_panel)
		KB_TRY(panel_key(top, key, &known));
	if (!known && !top->in_panel)
		KB_TRY(move_selection(top, key, &known));
	return known ? NULL : table_key(top, key);
}
