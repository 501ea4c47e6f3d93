// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "tui/state.h"

uint32_t kb_top__selected_row(const struct kb_top *top)
{
	if (top->pinned)
		return top->selected;
	return top->order.n ? top->order.rows[0] : KB_ID_NONE;
}

void kb_top__pin(struct kb_top *top, uint32_t row)
{
	top->pinned = row != KB_ID_NONE;
	top->selected = row;
	kb_top__follow_selection(top);
}

/* The cursor goes where the selected row went; without one it stays at the top. */
void kb_top__follow_selection(struct kb_top *top)
{
	uint32_t at = top->pinned ? kb_row_order__find(&top->order, top->selected) : 0;

	top->table.n = top->order.n;
	if (at != UINT32_MAX)
		top->table.cursor = at;
	else if (top->table.cursor >= top->order.n)
		top->table.cursor = top->order.n ? top->order.n - 1 : 0;
}

bool kb_top__has_panel(const struct kb_top *top, enum kb_panel panel)
{
	return panel != KB_PANEL_OUTPUT || (top->opts->console && !top->opts->console->to_file);
}

struct kb_call_tree *kb_top__tree(struct kb_top *top)
{
	if (top->panel == KB_PANEL_CALLEES)
		return &top->callees;
	return top->panel == KB_PANEL_CALLERS ? &top->callers : NULL;
}

struct kb_error *kb_top__update_panel(struct kb_top *top)
{
	uint32_t row = kb_top__selected_row(top);
	struct kb_call_tree *tree = kb_top__tree(top);

	top->lines.n = top->opcodes.n = top->callees.n = top->callers.n = 0;
	/* Before the first sample, or a row that only a newer selection knows. */
	if (row == KB_ID_NONE || row >= top->model->n_rows)
		return NULL;
	if (top->panel == KB_PANEL_LINES)
		return kb_details__lines(&top->lines, top->model,
					 top->model->labels.labels[row].function);
	if (top->panel == KB_PANEL_OPCODES)
		return kb_details__opcodes(&top->opcodes, top->model,
					   top->model->labels.labels[row].function);
	return tree ? kb_call_tree__update(tree, top->model, row) : NULL;
}
