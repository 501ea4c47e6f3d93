// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* How the screen is divided: the header, the table, the panel or a page of its own, the footer. */
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "tui/state.h"

#define COLUMNS_MIN 30
#define ROWS_MIN    7
/* With less than that the table gives its place to the panel. */
#define SHARED_ROWS_MIN 12

static void draw_too_small(const struct kb_screen *screen)
{
	int row = screen->rows / 2;

	kb_screen__print(screen, row > 0 ? row - 1 : 0, 0, screen->columns, KB_STYLE_BOLD,
			 "Too small: %dx%d,", screen->columns, screen->rows);
	kb_screen__print(screen, row > 0 ? row : 1, 0, screen->columns, KB_STYLE_NORMAL,
			 "needs %dx%d.", COLUMNS_MIN, ROWS_MIN);
}

/* The table and, if one is chosen, the panel in the rows from there on. */
static void draw_body(struct kb_top *top, int row, int rows)
{
	int panel = 0;

	if (top->panel != KB_PANEL_NONE)
		panel = rows < SHARED_ROWS_MIN ? rows : rows / 2;
	if (panel < rows)
		kb_top__draw_table(top, row, rows - panel);
	if (panel)
		kb_top__draw_panel(top, row + rows - panel, panel);
}

/* ---------------------------------------------------------------- footer */

struct hint {
	const char *key, *text;
};

static const struct hint table_hints[] = {
	{ "q", "quit" },    { "h", "help" },	    { "/", "filter" },
	{ "s", "sort" },    { "Tab", "details" },   { "Enter", "tree" },
	{ "t", "thread" },  { "space", "freeze" },  { "w", "window" },
	{ "v", "threads" }, { "e", "save" },	    { "l", "lines" },
	{ "r", "reset" },   { "z", "stop/resume" }, {},
};
static const struct hint tree_hints[] = {
	{ "Esc", "table" },	 { "Enter", "open/close" },
	{ "*", "open hottest" }, { "f", "follow" },
	{ "Tab", "next panel" }, { "h", "help" },
	{ "space", "open" },	 {},
};
static const struct hint panel_hints[] = {
	{ "Esc", "table" }, { "Tab", "next panel" }, { "h", "help" }, { "q", "quit" }, {},
};
static const struct hint threads_hints[] = {
	{ "Enter", "show only this" },
	{ "Esc", "back" },
	{ "h", "help" },
	{},
};

/* As many as fit. */
static void draw_hints(const struct kb_screen *screen, const struct hint *hints)
{
	int row = screen->rows - 1, column = 0;

	for (; hints->key; hints++) {
		int width = strlen(hints->key) + 1 + strlen(hints->text) + 2;

		if (column + width - 2 > screen->columns)
			break;
		column += kb_screen__print(screen, row, column, screen->columns, KB_STYLE_KEY, "%s",
					   hints->key);
		column += kb_screen__print(screen, row, column, screen->columns, KB_STYLE_DIM,
					   " %s  ", hints->text);
	}
}

static void draw_prompt(struct kb_top *top)
{
	static const char *const labels[] = {
		[KB_PROMPT_FILTER] = "Filter: ",
		[KB_PROMPT_SAVE] = "Save as: ",
		[KB_PROMPT_OVERWRITE] = "There is such a file. Replace it? y/n",
		[KB_PROMPT_QUIT] = "The command runs: q end it, w wait for it, other keys: stay",
	};
	const struct kb_prompt *prompt = &top->prompt;
	const struct kb_screen *screen = &top->screen;
	int row = screen->rows - 1, column;
	bool typed = prompt->kind == KB_PROMPT_FILTER || prompt->kind == KB_PROMPT_SAVE;

	column = kb_screen__put(screen, row, 0, screen->columns, KB_STYLE_BOLD, KB_CUT_END,
				labels[prompt->kind]);
	if (typed) {
		column += kb_screen__put(screen, row, column, screen->columns - 1 - column,
					 KB_STYLE_NORMAL, KB_CUT_START, prompt->text);
		kb_screen__cursor(row, column);
	}
	if (!*prompt->error)
		return;
	kb_screen__fill(screen, row - 1, 0, screen->columns, KB_STYLE_NORMAL);
	kb_screen__put(screen, row - 1, 0, screen->columns, KB_STYLE_BAD, KB_CUT_END,
		       prompt->error);
}

void kb_top__draw_footer(struct kb_top *top)
{
	const struct kb_screen *screen = &top->screen;

	if (top->prompt.kind)
		draw_prompt(top);
	else if (top->message_until > kb_now(CLOCK_MONOTONIC))
		kb_screen__put(screen, screen->rows - 1, 0, screen->columns,
			       top->message_is_error ? KB_STYLE_BAD : KB_STYLE_BOLD, KB_CUT_END,
			       top->message);
	else if (top->page == KB_PAGE_THREADS)
		draw_hints(screen, threads_hints);
	else if (top->in_panel)
		draw_hints(screen, kb_top__tree(top) ? tree_hints : panel_hints);
	else
		draw_hints(screen, table_hints);
}

void kb_top__draw(struct kb_top *top)
{
	struct kb_screen *screen = &top->screen;
	int header;

	kb_screen__begin(screen);
	if (screen->columns < COLUMNS_MIN || screen->rows < ROWS_MIN) {
		draw_too_small(screen);
	} else if (top->page == KB_PAGE_HELP) {
		kb_top__draw_help(top);
	} else {
		header = kb_top__draw_header(top);
		if (top->page == KB_PAGE_THREADS)
			kb_top__draw_threads(top, header, screen->rows - header - 1);
		else
			draw_body(top, header, screen->rows - header - 1);
		kb_top__draw_footer(top);
	}
	kb_screen__end(screen);
}
