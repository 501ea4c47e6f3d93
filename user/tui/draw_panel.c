// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>
#include "tui/state.h"

#define BAR_MAX	     30
#define OPCODE_WIDTH 36
#define PLACE_MIN    12 /* columns for a file and line that are worth it */

/* A row's name and place from a column on; the place as far as there is room. */
static void draw_name(struct kb_top *top, uint32_t id, int row, int column)
{
	const struct kb_function_info *function = kb_view_model__function(top->model, id);
	const struct kb_screen *screen = &top->screen;

	column += kb_screen__put(screen, row, column, screen->columns - column,
				 kb_function_style(function), KB_CUT_END, function->name);
	if (screen->columns - column > PLACE_MIN)
		kb_top__draw_file(top, id, row, column + 2, screen->columns - column - 2);
}

static void draw_title(struct kb_top *top, int row, const char *what, uint32_t of)
{
	const struct kb_screen *screen = &top->screen;
	int column;

	column = kb_screen__print(screen, row, 0, screen->columns,
				  top->in_panel ? KB_STYLE_SORTED : KB_STYLE_COLUMNS, " %s ", what);
	if (of != KB_ID_NONE)
		draw_name(top, of, row, column + 1);
}

static void draw_note(struct kb_top *top, int row, const char *text)
{
	kb_screen__put(&top->screen, row, 1, top->screen.columns, KB_STYLE_DIM, KB_CUT_END, text);
}

/* A bar of the part in the rest of the line. */
static void draw_bar(struct kb_top *top, int row, int column, uint64_t part, uint64_t whole)
{
	int room = top->screen.columns - column, length;
	char text[BAR_MAX * 4 + 1] = "";

	if (room > BAR_MAX)
		room = BAR_MAX;
	length = room > 0 && whole ? (double)part / whole * room + 0.5 : 0;
	for (int i = 0; i < length; i++)
		strcat(text, kb_screen__symbol(&top->screen, KB_SYMBOL_FULL));
	kb_screen__put(&top->screen, row, column, room, KB_STYLE_GOOD, KB_CUT_END, text);
}

/* The entries of a list from `row` on, the one under the cursor marked when keys move there. */
static void draw_list(struct kb_top *top, struct kb_list *list, uint32_t n, int row, int rows,
		      void (*draw)(struct kb_top *top, int row, uint32_t index))
{
	struct kb_screen *screen = &top->screen;

	kb_list__fit(list, n, rows);
	for (uint32_t i = 0; i < list->page && list->top + i < n; i++) {
		screen->selected = top->in_panel && list->top + i == list->cursor;
		if (screen->selected)
			kb_screen__fill(screen, row + i, 0, screen->columns, KB_STYLE_NORMAL);
		draw(top, row + i, list->top + i);
		screen->selected = false;
	}
}

/* ---------------------------------------------------------------- lines, opcodes */

static int draw_counts(struct kb_top *top, int row, uint64_t count)
{
	char text[32];

	kb_count_text(top, count, text, sizeof(text));
	return kb_screen__print(&top->screen, row, 0, 17, KB_STYLE_NORMAL, "%8s %6.1f%% ", text,
				kb_share(count, top->model->total));
}

static void draw_line(struct kb_top *top, int row, uint32_t index)
{
	const struct kb_detail *item = &top->lines.items[index];
	int column = draw_counts(top, row, item->self);
	char line[16] = "?";

	if (item->line)
		snprintf(line, sizeof(line), "%d", item->line);
	column += kb_screen__print(&top->screen, row, column, 30, KB_STYLE_NORMAL,
				   " %6.1f%%  line ", kb_share(item->total, top->model->total));
	column += kb_screen__print(&top->screen, row, column, 7, KB_STYLE_FUNCTION, "%-6s ", line);
	draw_bar(top, row, column, item->self, top->lines.self);
}

static void draw_opcode(struct kb_top *top, int row, uint32_t index)
{
	const struct kb_detail *item = &top->opcodes.items[index];
	const char *base = kb_opcode__base_of(item->opcode);
	bool specialized = strcmp(base, item->opcode);
	int column = draw_counts(top, row, item->self);
	char name[128];

	column += kb_screen__print(&top->screen, row, column, 20, KB_STYLE_NORMAL, " line %-6d ",
				   item->line);
	snprintf(name, sizeof(name), specialized ? "%s (%s)" : "%s", item->opcode, base);
	column += kb_screen__print(&top->screen, row, column, OPCODE_WIDTH,
				   specialized ? KB_STYLE_NATIVE : KB_STYLE_FUNCTION, "%-*s",
				   OPCODE_WIDTH, name);
	column++;
	draw_bar(top, row, column, item->self, top->opcodes.self);
}

static void draw_lines(struct kb_top *top, int row, int rows)
{
	kb_screen__put(&top->screen, row, 0, top->screen.columns, KB_STYLE_DIM, KB_CUT_END,
		       "    SELF   SELF%   TOTAL%");
	draw_list(top, &top->details, top->lines.n, row + 1, rows - 1, draw_line);
	if (!top->lines.n)
		draw_note(top, row + 1, "no samples here");
}

static void draw_opcodes(struct kb_top *top, int row, int rows)
{
	char text[128];

	draw_list(top, &top->details, top->opcodes.n, row, rows, draw_opcode);
	if (top->opcodes.n)
		return;
	if (!top->opcodes.self)
		snprintf(text, sizeof(text), "It has no samples of its own.");
	else if (top->opts->opcodes)
		snprintf(text, sizeof(text), "No instructions are known of it.");
	else
		snprintf(text, sizeof(text),
			 "Instructions are not recorded: start keelback top with --opcodes");
	draw_note(top, row, text);
}

/* ---------------------------------------------------------------- trees */

static const char *mark_of(const struct kb_top *top, const struct kb_tree_row *row)
{
	if (!row->has_more)
		return " ";
	return kb_screen__symbol(&top->screen, row->open ? KB_SYMBOL_OPEN : KB_SYMBOL_CLOSED);
}

static void draw_tree_row(struct kb_top *top, int row, uint32_t index)
{
	struct kb_call_tree *tree = kb_top__tree(top);
	const struct kb_tree_row *item = &tree->rows[index];
	const struct kb_screen *screen = &top->screen;
	int column, indent = 2 * item->depth, room;

	column = draw_counts(top, row, item->count);
	if (tree->direction == KB_TREE_CALLEES && screen->columns >= 60)
		column +=
			kb_screen__print(screen, row, column, 20, KB_STYLE_NORMAL, " %6.1f%% self ",
					 kb_share(item->self, top->model->total));
	/* Deep rows keep room for a name. */
	room = screen->columns - column;
	if (indent > room - 24)
		indent = room > 24 ? room - 24 : 0;
	column += indent;
	column += kb_screen__print(screen, row, column, 3, KB_STYLE_DIM, "%s ", mark_of(top, item));
	if (item->row != KB_ID_NONE)
		draw_name(top, item->row, row, column);
	else
		kb_screen__put(screen, row, column, screen->columns, KB_STYLE_DIM, KB_CUT_END,
			       "nothing: the bottom of the stack");
}

static void draw_tree(struct kb_top *top, int row, int rows)
{
	struct kb_call_tree *tree = kb_top__tree(top);

	draw_list(top, &top->details, tree->n, row, rows, draw_tree_row);
	if (!tree->n)
		draw_note(top, row, "no samples here");
	if (tree->cut && top->details.top + rows >= tree->n)
		draw_note(top, row + rows - 1, "too much is open: the rest is left out");
}

/* ---------------------------------------------------------------- output */

static void draw_output_line(struct kb_top *top, int row, uint32_t index)
{
	kb_screen__put(&top->screen, row, 0, top->screen.columns, KB_STYLE_NORMAL, KB_CUT_END,
		       kb_console__line(top->opts->console, index));
}

/* Follows the end, unless the cursor was moved away from it. */
static void draw_output(struct kb_top *top, int row, int rows)
{
	struct kb_list *list = &top->output;
	uint32_t n = kb_console__count(top->opts->console);

	if (!top->in_panel || list->cursor + 1 >= list->n)
		list->cursor = n ? n - 1 : 0;
	draw_list(top, list, n, row, rows, draw_output_line);
	if (!n)
		draw_note(top, row, "The command has written nothing yet.");
}

void kb_top__draw_panel(struct kb_top *top, int row, int rows)
{
	static const char *const titles[KB_PANELS] = {
		[KB_PANEL_LINES] = "Lines",
		[KB_PANEL_OPCODES] = "Opcodes",
		[KB_PANEL_CALLEES] = "Calls",
		[KB_PANEL_CALLERS] = "Called by",
		[KB_PANEL_OUTPUT] = "Output of the command",
	};
	static void (*const draw[KB_PANELS])(struct kb_top * top, int row, int rows) = {
		[KB_PANEL_LINES] = draw_lines,	 [KB_PANEL_OPCODES] = draw_opcodes,
		[KB_PANEL_CALLEES] = draw_tree,	 [KB_PANEL_CALLERS] = draw_tree,
		[KB_PANEL_OUTPUT] = draw_output,
	};
	uint32_t selected = kb_top__selected_row(top);

	if (selected >= top->model->n_rows || top->panel == KB_PANEL_OUTPUT)
		selected = KB_ID_NONE;
	draw_title(top, row, titles[top->panel], selected);
	if (rows > 1)
		draw[top->panel](top, row + 1, rows - 1);
}
