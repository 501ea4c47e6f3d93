// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * A row of the tree stands for some nodes of the profile, with a count each.
 * Opening it takes the step from each of them, to its children or its parent,
 * and what comes out, sorted by label, are the rows below it. The nodes of all
 * rows on the way down to the one in hand lie on a stack of entries.
 */
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "tui/call_tree.h"

#define OPENED_MAX 100000 /* choices of a user, over a long session */

enum { CLOSED, OPEN }; /* in the map of opened paths */

struct kb_tree_entry {
	uint32_t node;	/* KB_ID_NONE: above a root */
	uint32_t label; /* KB_ID_NONE with it */
	uint64_t count;
};

/* Entries of one label. */
struct group {
	size_t first, n;
	uint64_t count;
};

struct walk {
	struct kb_call_tree *tree;
	const struct kb_view_model *model;
};

void kb_call_tree__init(struct kb_call_tree *tree, enum kb_tree_direction direction)
{
	memset(tree, 0, sizeof(*tree));
	tree->direction = direction;
	kb_id_map__init(&tree->opened, OPENED_MAX);
}

void kb_call_tree__free(struct kb_call_tree *tree)
{
	kb_id_map__free(&tree->opened);
	free(tree->rows);
	free(tree->entries);
	tree->rows = NULL;
	tree->entries = NULL;
}

static bool push(const struct walk *w, uint32_t node, uint64_t count)
{
	struct kb_call_tree *tree = w->tree;

	if (!kb_grow((void **)&tree->entries, &tree->entries_capacity, tree->n_entries + 1,
		     sizeof(*tree->entries)))
		return false;
	tree->entries[tree->n_entries++] = (struct kb_tree_entry){
		node, node == KB_ID_NONE ? KB_ID_NONE : w->model->labels.nodes[node].label, count
	};
	return true;
}

/* The children of a node that have samples. */
static bool push_children(const struct walk *w, uint32_t node)
{
	const struct kb_node_info *nodes = w->model->labels.nodes;

	for (uint32_t i = nodes[node].first_child; i != KB_ID_NONE; i = nodes[i].next_sibling) {
		/* What came after the selection is not part of it. */
		if (i < w->model->n_nodes && w->model->with_callees[i] &&
		    !push(w, i, w->model->with_callees[i]))
			return false;
	}
	return true;
}

static bool has_children(const struct walk *w, uint32_t node)
{
	const struct kb_node_info *nodes = w->model->labels.nodes;

	for (uint32_t i = nodes[node].first_child; i != KB_ID_NONE; i = nodes[i].next_sibling) {
		if (i < w->model->n_nodes && w->model->with_callees[i])
			return true;
	}
	return false;
}

static bool has_more(const struct walk *w, const struct group *group)
{
	const struct kb_tree_entry *entries = w->tree->entries + group->first;

	if (entries[0].node == KB_ID_NONE)
		return false;
	if (w->tree->direction == KB_TREE_CALLERS)
		return true;
	for (size_t i = 0; i < group->n; i++) {
		if (has_children(w, entries[i].node))
			return true;
	}
	return false;
}

static int by_label(const void *a, const void *b)
{
	const struct kb_tree_entry *x = a, *y = b;

	if (x->label != y->label)
		return x->label < y->label ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

static int by_count(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return (x->first > y->first) - (x->first < y->first);
}

/* Groups the entries from first on by label, those with most samples first; free them. */
static struct group *group_entries(const struct walk *w, size_t first, size_t *n_groups)
{
	struct kb_call_tree *tree = w->tree;
	size_t n = tree->n_entries - first;
	struct group *groups = reallocarray(NULL, n ? n : 1, sizeof(*groups));

	*n_groups = 0;
	if (!groups)
		return NULL;
	if (n)
		qsort(tree->entries + first, n, sizeof(*tree->entries), by_label);
	for (size_t i = first; i < tree->n_entries; i++) {
		const struct kb_tree_entry *entry = &tree->entries[i];

		if (i == first || entry->label != entry[-1].label)
			groups[(*n_groups)++] = (struct group){ .first = i };
		groups[*n_groups - 1].n++;
		groups[*n_groups - 1].count += entry->count;
	}
	if (*n_groups)
		qsort(groups, *n_groups, sizeof(*groups), by_count);
	return groups;
}

static uint64_t path_of(uint64_t above, uint32_t label)
{
	uint64_t key[] = { above, label };

	return kb_hash__bytes(key, sizeof(key));
}

static bool is_open(const struct kb_call_tree *tree, const struct kb_tree_row *row)
{
	uint32_t chosen = kb_id_map__get(&tree->opened, row->path, tree->direction);

	if (!row->has_more || row->depth >= KB_TREE_DEPTH_MAX)
		return false;
	return chosen == KB_ID_MAP_NONE ? !row->depth : chosen == OPEN;
}

static bool add_rows(const struct walk *w, size_t first, uint16_t depth, uint64_t path);

static bool add_row(const struct walk *w, const struct group *group, uint16_t depth, uint64_t path)
{
	struct kb_call_tree *tree = w->tree;
	struct kb_tree_row *row;
	size_t below = tree->n_entries;
	bool added = true;

	if (!kb_grow((void **)&tree->rows, &tree->rows_capacity, tree->n + 1, sizeof(*tree->rows)))
		return false;
	row = &tree->rows[tree->n++];
	*row = (struct kb_tree_row){ .row = tree->entries[group->first].label,
				     .depth = depth,
				     .count = group->count };
	row->path = path_of(path, row->row);
	row->has_more = has_more(w, group);
	row->open = is_open(tree, row);
	for (size_t i = 0; i < group->n && tree->direction == KB_TREE_CALLEES; i++)
		row->self += w->model->own[tree->entries[group->first + i].node];
	if (!row->open)
		return true;
	path = row->path;
	for (size_t i = group->first; i < group->first + group->n && added; i++) {
		uint32_t node = tree->entries[i].node;

		if (tree->direction == KB_TREE_CALLEES)
			added = push_children(w, node);
		else
			added = push(w, w->model->labels.nodes[node].parent,
				     tree->entries[i].count);
	}
	added = added && add_rows(w, below, depth + 1, path);
	tree->n_entries = below;
	return added;
}

/* The rows of the entries from first on, each with what is open below it. */
static bool add_rows(const struct walk *w, size_t first, uint16_t depth, uint64_t path)
{
	size_t n_groups;
	struct group *groups = group_entries(w, first, &n_groups);
	bool added = groups;

	for (size_t i = 0; i < n_groups && added; i++) {
		if (w->tree->n >= KB_TREE_ROWS_MAX) {
			w->tree->cut = true;
			break;
		}
		added = add_row(w, &groups[i], depth, path);
	}
	free(groups);
	return added;
}

struct kb_error *kb_call_tree__update(struct kb_call_tree *tree, const struct kb_view_model *model,
				      uint32_t row)
{
	struct walk w = { tree, model };
	bool added = true;

	tree->n = 0;
	tree->n_entries = 0;
	tree->cut = false;
	for (uint32_t i = 0; i < model->n_nodes && added; i++) {
		const struct kb_node_info *node = &model->labels.nodes[i];
		bool starts = row == KB_ID_NONE ? node->parent == KB_ID_NONE
						: node->label == row && node->outermost;

		if (starts && model->with_callees[i])
			added = push(&w, i, model->with_callees[i]);
	}
	if (!added || !add_rows(&w, 0, 0, 0))
		return kb_error__no_memory();
	return NULL;
}

void kb_call_tree__set_open(struct kb_call_tree *tree, uint32_t index, bool open)
{
	/* Full after very many choices: then it stays as it is. */
	kb_id_map__set(&tree->opened, tree->rows[index].path, tree->direction,
		       open ? OPEN : CLOSED);
}

uint32_t kb_call_tree__parent(const struct kb_call_tree *tree, uint32_t index)
{
	uint32_t i = index;

	if (!tree->rows[index].depth)
		return index;
	while (i && tree->rows[i].depth >= tree->rows[index].depth)
		i--;
	return i;
}
