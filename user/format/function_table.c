// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One pass over the tree in preorder with the current stack beside it. For each
 * row and each (caller, callee) pair a counter says how often it is on the
 * current stack; a node's samples are added where the counter was 0.
 */
#include <stdlib.h>
#include "format/function_table.h"
#include "format/pair_index.h"

struct walk {
	const struct kb_tree *tree;
	struct kb_function_table *table;
	struct kb_pair_index *edges; /* (callee, caller) */
	struct kb_caller_row *edge_rows;
	uint32_t *edge_of_node;	  /* KB_ID_NONE for roots */
	uint32_t *rows_on_stack;  /* by row */
	uint32_t *edges_on_stack; /* by edge */
	uint32_t *stack;	  /* nodes from the root to the current one */
};

static void *alloc_array(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

static struct kb_error *find_edges(struct walk *w)
{
	const struct kb_tree *tree = w->tree;

	KB_TRY(kb_pair_index__create(&w->edges));
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		const struct kb_tree_node *node = &tree->nodes[i];
		struct kb_pair pair = { node->label };

		w->edge_of_node[i] = KB_ID_NONE;
		if (node->parent == KB_ID_NONE)
			continue;
		pair.second = tree->nodes[node->parent].label;
		KB_TRY(kb_pair_index__add(w->edges, pair, &w->edge_of_node[i]));
	}
	return NULL;
}

static void enter(struct walk *w, uint32_t at)
{
	const struct kb_tree_node *node = &w->tree->nodes[at];
	struct kb_tree_cost baseline =
		w->tree->baseline ? w->tree->baseline[at] : (struct kb_tree_cost){};
	struct kb_function_row *row = &w->table->rows[node->label];
	uint32_t edge = w->edge_of_node[at];

	row->direct += node->self;
	row->baseline.self += baseline.self;
	if (w->rows_on_stack[node->label]++ == 0) {
		row->cumulative += node->total;
		row->baseline.total += baseline.total;
	}
	if (edge == KB_ID_NONE)
		return;
	w->edge_rows[edge].direct += node->self;
	if (w->edges_on_stack[edge]++ == 0)
		w->edge_rows[edge].cumulative += node->total;
}

static void leave(struct walk *w, uint32_t at)
{
	w->rows_on_stack[w->tree->nodes[at].label]--;
	if (w->edge_of_node[at] != KB_ID_NONE)
		w->edges_on_stack[w->edge_of_node[at]]--;
}

static void walk_tree(struct walk *w)
{
	uint32_t depth = 0;

	for (uint32_t i = 0; i < w->tree->n_nodes; i++) {
		uint32_t parent = w->tree->nodes[i].parent;

		while (depth && w->stack[depth - 1] != parent)
			leave(w, w->stack[--depth]);
		enter(w, i);
		w->stack[depth++] = i;
	}
}

static int compare_edges(const void *a, const void *b, void *arg)
{
	const struct kb_pair *pairs = arg;
	struct kb_pair x = pairs[*(const uint32_t *)a], y = pairs[*(const uint32_t *)b];

	if (x.first != y.first)
		return x.first < y.first ? -1 : 1;
	return (x.second > y.second) - (x.second < y.second);
}

/* Puts the edges in order and gives each row its part of them. */
static struct kb_error *store_callers(struct walk *w)
{
	const struct kb_pair *pairs = kb_pair_index__pairs(w->edges);
	uint32_t n = kb_pair_index__count(w->edges);
	uint32_t *sorted = alloc_array(n, sizeof(*sorted));
	struct kb_function_table *table = w->table;

	table->callers = alloc_array(n, sizeof(*table->callers));
	if (!sorted || !table->callers) {
		free(sorted);
		return kb_error__no_memory();
	}
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = i;
	qsort_r(sorted, n, sizeof(*sorted), compare_edges, (void *)pairs);
	for (uint32_t i = 0; i < n; i++) {
		struct kb_function_row *row = &table->rows[pairs[sorted[i]].first];

		if (!row->n_callers++)
			row->first_caller = i;
		table->callers[i] = w->edge_rows[sorted[i]];
		table->callers[i].caller = pairs[sorted[i]].second;
	}
	table->n_callers = n;
	free(sorted);
	return NULL;
}

/* Labels without samples are no rows; callers always have some. */
static void drop_empty_rows(struct kb_function_table *table, uint32_t *new_row)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < table->n_rows; i++) {
		if (!table->rows[i].cumulative && !table->rows[i].baseline.total)
			continue;
		table->rows[n] = table->rows[i];
		new_row[i] = n++;
	}
	table->n_rows = n;
	for (uint32_t i = 0; i < table->n_callers; i++)
		table->callers[i].caller = new_row[table->callers[i].caller];
}

static struct kb_error *fill(struct walk *w)
{
	const struct kb_tree *tree = w->tree;
	struct kb_function_table *table = w->table;
	uint32_t n_edges;

	w->edge_of_node = alloc_array(tree->n_nodes, sizeof(*w->edge_of_node));
	w->stack = alloc_array(tree->n_nodes, sizeof(*w->stack));
	w->rows_on_stack = alloc_array(tree->n_labels, sizeof(*w->rows_on_stack));
	table->rows = alloc_array(tree->n_labels, sizeof(*table->rows));
	if (!w->edge_of_node || !w->stack || !w->rows_on_stack || !table->rows)
		return kb_error__no_memory();
	KB_TRY(find_edges(w));
	n_edges = kb_pair_index__count(w->edges);
	w->edge_rows = alloc_array(n_edges, sizeof(*w->edge_rows));
	w->edges_on_stack = alloc_array(n_edges, sizeof(*w->edges_on_stack));
	if (!w->edge_rows || !w->edges_on_stack)
		return kb_error__no_memory();
	table->total = tree->total;
	table->baseline_total = tree->baseline_total;
	table->n_rows = tree->n_labels;
	for (uint32_t i = 0; i < tree->n_labels; i++)
		table->rows[i].label = tree->labels[i];
	walk_tree(w);
	KB_TRY(store_callers(w));
	drop_empty_rows(table, w->rows_on_stack);
	return NULL;
}

struct kb_error *kb_function_table__from_tree(const struct kb_tree *tree,
					      struct kb_function_table **table)
{
	struct walk w = { .tree = tree };
	struct kb_error *err;

	w.table = calloc(1, sizeof(*w.table));
	if (!w.table)
		return kb_error__no_memory();
	err = fill(&w);
	kb_pair_index__destroy(w.edges);
	free(w.edge_rows);
	free(w.edge_of_node);
	free(w.rows_on_stack);
	free(w.edges_on_stack);
	free(w.stack);
	if (err) {
		kb_function_table__destroy(w.table);
		return err;
	}
	*table = w.table;
	return NULL;
}

struct kb_error *kb_function_table__create(const struct kb_profile *profile, enum kb_rows rows,
					   struct kb_function_table **table)
{
	struct kb_tree_opts opts = { .lines = rows != KB_ROWS_FUNCTIONS,
				     .opcodes = rows == KB_ROWS_OPCODES };
	struct kb_error *err;
	struct kb_tree *tree;

	KB_TRY(kb_tree__create(profile, &opts, &tree));
	err = kb_function_table__from_tree(tree, table);
	kb_tree__destroy(tree);
	return err;
}

void kb_function_table__destroy(struct kb_function_table *table)
{
	if (!table)
		return;
	free(table->rows);
	free(table->callers);
	free(table);
}
