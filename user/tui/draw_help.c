// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "tui/state.h"

/* key NULL: a heading. */
static const struct {
	const char *key, *text;
} lines[] = {
	{ NULL, "Rows" },
	{ "up down j k", "select; PgUp PgDn Home End g G; Home: stay at the top" },
	{ "1 ... 8", "sort by self, self%, total, total%, now, trend, name, file" },
	{ "s S  right left", "sort by the next or previous column" },
	{ "i", "invert the order" },
	{ "/", "filter: a regular expression, matched with function (file:line)" },
	{ "c", "clear the filter" },
	{ "l", "rows are lines, or functions" },
	{ "u", "samples, or the seconds that they stand for" },
	{ "x", "trend on or off" },
	{ NULL, "What is counted" },
	{ "t T", "next or previous thread, then all" },
	{ "n N", "next or previous process, then all" },
	{ "v", "list of processes and threads, to choose one" },
	{ "a", "all threads of all processes" },
	{ "w", "window: since the start, the last 60, 15, 5 seconds" },
	{ "r", "reset: count from now on" },
	{ "space p", "freeze what is shown; sampling goes on" },
	{ "z", "stop and resume sampling" },
	{ "+ -", "refresh more or less often" },
	{ NULL, "Details of the selected row" },
	{ "Tab Shift-Tab", "lines, opcodes, calls, called by, output of the command" },
	{ "Enter", "move in the panel; opens the tree of calls if there is none" },
	{ "right left Enter", "in a tree: open and close" },
	{ "*", "in a tree: open where most samples are, all the way" },
	{ "f", "in a tree: select that function" },
	{ "o", "output of the command" },
	{ "Esc", "back to the table; once more: close the panel" },
	{ NULL, "Other" },
	{ "e", "save the profile since the start; the ending chooses the format" },
	{ "Ctrl-L", "draw everything anew" },
	{ "h ? F1", "this text" },
	{ "q", "quit" },
	{ NULL, "Columns" },
	{ "SELF", "samples that were executing the function itself" },
	{ "TOTAL", "samples with the function anywhere on the stack" },
	{ "NOW%", "its part of the samples of the last second or refresh" },
	{ "+-", "more or less than in the time before that, beyond chance;" },
	{ "", "coloured numbers: the same, for self and total" },
};
#define N_LINES (sizeof(lines) / sizeof(lines[0]))

void kb_top__draw_help(struct kb_top *top)
{
	const struct kb_screen *screen = &top->screen;
	int rows = screen->rows - 2, keys = screen->columns >= 60 ? 18 : 10;

	kb_screen__fill(screen, 0, 0, screen->columns, KB_STYLE_COLUMNS);
	kb_screen__print(screen, 0, 0, screen->columns, KB_STYLE_COLUMNS, " keelback top %s",
			 N_LINES > (size_t)rows ? "- up and down move" : "");
	/* A text has no cursor: it is the first line that moves. */
	if (top->help.cursor + rows > N_LINES)
		top->help.cursor = N_LINES > (size_t)rows ? N_LINES - rows : 0;
	top->help.n = N_LINES;
	top->help.page = rows;
	for (int i = 0; i < rows && top->help.cursor + i < N_LINES; i++) {
		const char *key = lines[top->help.cursor + i].key;
		const char *text = lines[top->help.cursor + i].text;

		if (!key) {
			kb_screen__put(screen, 1 + i, 0, screen->columns, KB_STYLE_TITLE,
				       KB_CUT_END, text);
			continue;
		}
		kb_screen__put(screen, 1 + i, 1, keys - 2, KB_STYLE_KEY, KB_CUT_END, key);
		kb_screen__put(screen, 1 + i, keys, screen->columns, KB_STYLE_NORMAL, KB_CUT_END,
			       text);
	}
	kb_screen__put(screen, screen->rows - 1, 0, screen->columns, KB_STYLE_DIM, KB_CUT_END,
		       "any other key: back");
}
