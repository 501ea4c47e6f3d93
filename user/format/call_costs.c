// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One pass over the tree in preorder, with a counter for each function that says how often it is on
 * the current stack: a node's total is added to the call that leads to it where the counter was 0.
 */
#include <stdlib.h>
#include "format/call_costs.h"
#include "format/pair_index.h"

struct walk {
	const struct kb_tree *tree;
	const uint32_t *function_of_label;
	struct kb_call_costs *costs;
	struct kb_pair_index *calls; /* (label of the caller or KB_ID_NONE, function called) */
	uint64_t *cost_of_call;
	uint32_t *call_of_node;
	uint32_t *active; /* by function */
	uint32_t *stack;  /* nodes from the root to the current one */
};

static void *alloc_array(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

static uint32_t function_of(const struct walk *w, uint32_t node)
{
	return w->function_of_label[w->tree->nodes[node].label];
}

static struct kb_error *find_calls(struct walk *w)
{
	const struct kb_tree *tree = w->tree;

	KB_TRY(kb_pair_index__create(&w->calls));
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		uint32_t parent = tree->nodes[i].parent;
		struct kb_pair pair = { KB_ID_NONE, function_of(w, i) };

		if (parent != KB_ID_NONE)
			pair.first = tree->nodes[parent].label;
		KB_TRY(kb_pair_index__add(w->calls, pair, &w->call_of_node[i]));
	}
	return NULL;
}

static void enter(struct walk *w, uint32_t at)
{
	const struct kb_tree_node *node = &w->tree->nodes[at];

	w->costs->self[node->label] += node->self;
	if (w->active[function_of(w, at)]++ == 0)
		w->cost_of_call[w->call_of_node[at]] += node->total;
}

static void walk_tree(struct walk *w)
{
	uint32_t depth = 0;

	for (uint32_t i = 0; i < w->tree->n_nodes; i++) {
		uint32_t parent = w->tree->nodes[i].parent;

		while (depth && w->stack[depth - 1] != parent)
			w->active[function_of(w, w->stack[--depth])]--;
		enter(w, i);
		w->stack[depth++] = i;
	}
}

static int compare_calls(const void *a, const void *b)
{
	const struct kb_call_cost *x = a, *y = b;

	if (x->caller != y->caller)
		return x->caller < y->caller ? -1 : 1;
	return (x->callee > y->callee) - (x->callee < y->callee);
}

static struct kb_error *store_calls(struct walk *w)
{
	const struct kb_pair *pairs = kb_pair_index__pairs(w->calls);
	uint32_t n = kb_pair_index__count(w->calls);
	struct kb_call_costs *costs = w->costs;

	costs->calls = alloc_array(n, sizeof(*costs->calls));
	if (!costs->calls)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < n; i++)
		if (w->cost_of_call[i])
			costs->calls[costs->n_calls++] =
				(struct kb_call_cost){ pairs[i].first, pairs[i].second,
						       w->cost_of_call[i] };
	qsort(costs->calls, costs->n_calls, sizeof(*costs->calls), compare_calls);
	return NULL;
}

static struct kb_error *fill(struct walk *w, uint32_t n_functions)
{
	const struct kb_tree *tree = w->tree;

	w->costs->self = alloc_array(tree->n_labels, sizeof(*w->costs->self));
	w->call_of_node = alloc_array(tree->n_nodes, sizeof(*w->call_of_node));
	w->stack = alloc_array(tree->n_nodes, sizeof(*w->stack));
	w->active = alloc_array(n_functions, sizeof(*w->active));
	if (!w->costs->self || !w->call_of_node || !w->stack || !w->active)
		return kb_error__no_memory();
	KB_TRY(find_calls(w));
	w->cost_of_call = alloc_array(kb_pair_index__count(w->calls), sizeof(*w->cost_of_call));
	if (!w->cost_of_call)
		return kb_error__no_memory();
	walk_tree(w);
	return store_calls(w);
}

struct kb_error *kb_call_costs__create(const struct kb_tree *tree,
				       const uint32_t *function_of_label, uint32_t n_functions,
				       struct kb_call_costs **costs)
{
	struct walk w = { .tree = tree, .function_of_label = function_of_label };
	struct kb_error *err;

	w.costs = calloc(1, sizeof(*w.costs));
	if (!w.costs)
		return kb_error__no_memory();
	err = fill(&w, n_functions);
	kb_pair_index__destroy(w.calls);
	free(w.cost_of_call);
	free(w.call_of_node);
	free(w.active);
	free(w.stack);
	if (err) {
		kb_call_costs__destroy(w.costs);
		return err;
	}
	*costs = w.costs;
	return NULL;
}

void kb_call_costs__destroy(struct kb_call_costs *costs)
{
	if (!costs)
		return;
	free(costs->self);
	free(costs->calls);
	free(costs);
}
