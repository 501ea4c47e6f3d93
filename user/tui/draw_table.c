// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>
#include "tui/state.h"

/* The columns, in the order of enum kb_sort_key. */
struct column {
	const char *title;
	int width;	 /* 0: a part of what is left */
	int columns_min; /* of the screen */
};

static const struct column columns[KB_SORT_KEYS] = {
	[KB_SORT_SELF] = { "SELF", 7, 60 },    [KB_SORT_SELF_SHARE] = { "SELF%", 6, 0 },
	[KB_SORT_TOTAL] = { "TOTAL", 7, 70 },  [KB_SORT_TOTAL_SHARE] = { "TOTAL%", 6, 0 },
	[KB_SORT_NOW] = { "NOW%", 6, 50 },     [KB_SORT_TREND] = { "+-", 2, 0 },
	[KB_SORT_NAME] = { "FUNCTION", 0, 0 }, [KB_SORT_FILE] = { "FILE:LINE", 0, 60 },
};

#define NAME_MIN 12

/* Where columns are on this screen. */
struct layout {
	int start[KB_SORT_KEYS], width[KB_SORT_KEYS]; /* width 0: not shown */
};

static void lay_out(const struct kb_screen *screen, struct layout *layout)
{
	int at = 0, rest;

	memset(layout, 0, sizeof(*layout));
	for (int i = 0; i < KB_SORT_NAME; i++) {
		if (screen->columns < columns[i].columns_min)
			continue;
		layout->start[i] = at;
		layout->width[i] = columns[i].width;
		at += columns[i].width + 1;
	}
	rest = screen->columns - at;
	layout->start[KB_SORT_NAME] = at;
	layout->width[KB_SORT_NAME] = rest;
	if (screen->columns < columns[KB_SORT_FILE].columns_min || rest < 2 * NAME_MIN)
		return;
	layout->width[KB_SORT_NAME] = rest * 3 / 5;
	layout->start[KB_SORT_FILE] = at + rest * 3 / 5 + 1;
	layout->width[KB_SORT_FILE] = screen->columns - layout->start[KB_SORT_FILE];
}

static void draw_titles(struct kb_top *top, const struct layout *layout, int row)
{
	const struct kb_screen *screen = &top->screen;
	/* Names grow downwards, numbers shrink. */
	bool up = (top->order.key >= KB_SORT_NAME) != top->order.reversed;
	const char *arrow = kb_screen__symbol(screen, up ? KB_SYMBOL_UP : KB_SYMBOL_DOWN);

	kb_screen__fill(screen, row, 0, screen->columns, KB_STYLE_COLUMNS);
	for (int i = 0; i < KB_SORT_KEYS; i++) {
		bool sorted = (int)top->order.key == i;
		char title[32];
		int pad;

		if (!layout->width[i])
			continue;
		snprintf(title, sizeof(title), "%s%s", sorted ? arrow : "", columns[i].title);
		if (i == KB_SORT_TREND && sorted)
			snprintf(title, sizeof(title), "%s%c", arrow, columns[i].title[0]);
		pad = i < KB_SORT_NAME ? layout->width[i] - kb_cells__width(title, screen->ascii)
				       : 0;
		kb_screen__put(screen, row, layout->start[i] + (pad > 0 ? pad : 0),
			       layout->width[i] + (i < KB_SORT_NAME), /* TOTAL% and its arrow */
			       sorted ? KB_STYLE_SORTED : KB_STYLE_COLUMNS, KB_CUT_END, title);
	}
}

static enum kb_style trend_style(const struct kb_top *top, enum kb_trend trend)
{
	if (!top->show_trend || trend == KB_TREND_FLAT)
		return KB_STYLE_NORMAL;
	return trend == KB_TREND_UP ? KB_STYLE_UP : KB_STYLE_DOWN;
}

static void draw_number(const struct kb_top *top, const struct layout *layout,
			enum kb_sort_key column, int row, enum kb_trend trend, const char *text)
{
	if (layout->width[column])
		kb_screen__print(&top->screen, row, layout->start[column], layout->width[column],
				 trend_style(top, trend), "%*s", layout->width[column], text);
}

static void draw_share(const struct kb_top *top, const struct layout *layout,
		       enum kb_sort_key column, int row, enum kb_trend trend, double share)
{
	char text[16];

	snprintf(text, sizeof(text), "%.1f", share);
	draw_number(top, layout, column, row, trend, text);
}

static void draw_count(const struct kb_top *top, const struct layout *layout,
		       enum kb_sort_key column, int row, enum kb_trend trend, uint64_t count)
{
	char text[32];

	kb_count_text(top, count, text, sizeof(text));
	draw_number(top, layout, column, row, trend, text);
}

/* file:line of a row. */
static void file_text(const struct kb_top *top, uint32_t id, char *text, size_t size)
{
	const struct kb_function_info *function = kb_view_model__function(top->model, id);
	int32_t line = top->model->labels.labels[id].line;

	if (!line)
		line = function->first_line;
	if (function->kind == KB_FRAME_KERNEL)
		snprintf(text, size, "[kernel]");
	else if (line && *function->file)
		snprintf(text, size, "%s:%d", function->file, line);
	else
		snprintf(text, size, "%s", function->file);
}

void kb_top__draw_file(const struct kb_top *top, uint32_t id, int row, int column, int width)
{
	const struct kb_screen *screen = &top->screen;
	char text[4096];
	const char *at = text, *slash;

	file_text(top, id, text, sizeof(text));
	while (kb_cells__width(at, screen->ascii) > width && (slash = strchr(at, '/')))
		at = slash + 1;
	kb_screen__put(screen, row, column, width, KB_STYLE_FILE, KB_CUT_START, at);
}

enum kb_style kb_function_style(const struct kb_function_info *function)
{
	switch (function->kind) {
	case KB_FRAME_MARKER:
		return KB_STYLE_DIM;
	case KB_FRAME_NATIVE:
		return KB_STYLE_NATIVE;
	case KB_FRAME_KERNEL:
		return KB_STYLE_KERNEL;
	default:
		return KB_STYLE_FUNCTION;
	}
}

static void draw_row(struct kb_top *top, const struct layout *layout, int row, uint32_t id)
{
	const struct kb_view_model *model = top->model;
	const struct kb_row *r = &model->rows[id];
	enum kb_trend self = kb_view_model__trend(model, r->self_now, r->self_before);
	enum kb_trend total = kb_view_model__trend(model, r->total_now, r->total_before);
	enum kb_trend arrow = total != KB_TREND_FLAT ? total : self;
	const struct kb_function_info *function = kb_view_model__function(model, id);
	const struct kb_screen *screen = &top->screen;

	draw_count(top, layout, KB_SORT_SELF, row, self, r->self);
	draw_share(top, layout, KB_SORT_SELF_SHARE, row, self, kb_share(r->self, model->total));
	draw_count(top, layout, KB_SORT_TOTAL, row, total, r->total);
	draw_share(top, layout, KB_SORT_TOTAL_SHARE, row, total, kb_share(r->total, model->total));
	draw_share(top, layout, KB_SORT_NOW, row, self,
		   100 * kb_view_model__share_now(model, r->self_now));
	if (top->show_trend && arrow != KB_TREND_FLAT)
		kb_screen__print(screen, row, layout->start[KB_SORT_TREND], 1,
				 trend_style(top, arrow), "%s",
				 kb_screen__symbol(screen, arrow == KB_TREND_UP ? KB_SYMBOL_UP
										: KB_SYMBOL_DOWN));
	kb_screen__put(screen, row, layout->start[KB_SORT_NAME], layout->width[KB_SORT_NAME],
		       kb_function_style(function), KB_CUT_END, function->name);
	kb_top__draw_file(top, id, row, layout->start[KB_SORT_FILE], layout->width[KB_SORT_FILE]);
}

void kb_top__draw_table(struct kb_top *top, int row, int rows)
{
	struct kb_screen *screen = &top->screen;
	struct layout layout;

	lay_out(screen, &layout);
	draw_titles(top, &layout, row);
	kb_list__fit(&top->table, top->order.n, rows - 1);
	for (uint32_t i = 0; i < top->table.page && top->table.top + i < top->order.n; i++) {
		uint32_t at = top->table.top + i;

		/* A row that only a newer selection knows of has no numbers yet. */
		if (top->order.rows[at] >= top->model->n_rows)
			continue;
		screen->selected = at == top->table.cursor && !top->in_panel;
		if (screen->selected)
			kb_screen__fill(screen, row + 1 + i, 0, screen->columns, KB_STYLE_NORMAL);
		draw_row(top, &layout, row + 1 + i, top->order.rows[at]);
		screen->selected = false;
	}
	if (!top->order.n)
		kb_screen__put(screen, row + 1, 0, screen->columns, KB_STYLE_DIM, KB_CUT_END,
			       top->order.n_counted ? "nothing matches the filter"
						    : "no samples here yet");
}

/* ---------------------------------------------------------------- threads */

void kb_top__draw_threads(struct kb_top *top, int row, int rows)
{
	struct kb_screen *screen = &top->screen;

	kb_screen__fill(screen, row, 0, screen->columns, KB_STYLE_COLUMNS);
	kb_screen__put(screen, row, 0, screen->columns, KB_STYLE_COLUMNS, KB_CUT_END,
		       " SAMPLES      %  PROCESS, THREAD");
	kb_list__fit(&top->threads, top->threads.n, rows - 1);
	for (uint32_t i = 0; i < top->threads.page && top->threads.top + i < top->threads.n; i++) {
		uint32_t at = top->threads.top + i;
		const struct kb_scope_item *item = &top->scopes[at];
		char count[32], text[1024];

		screen->selected = at == top->threads.cursor;
		if (screen->selected)
			kb_screen__fill(screen, row + 1 + i, 0, screen->columns, KB_STYLE_NORMAL);
		kb_count_text(top, item->count, count, sizeof(count));
		kb_top__scope_text(top, item->scope, item->id, text, sizeof(text));
		kb_screen__print(screen, row + 1 + i, 0, 17, KB_STYLE_NORMAL, "%8s %6.1f ", count,
				 kb_share(item->count, top->model->all_total));
		kb_screen__print(screen, row + 1 + i, 17 + 2 * item->scope, screen->columns,
				 item->scope == KB_SCOPE_THREAD ? KB_STYLE_FUNCTION : KB_STYLE_BOLD,
				 "%s", text);
		screen->selected = false;
	}
}
