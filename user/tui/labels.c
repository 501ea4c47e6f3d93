// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "tui/labels.h"

#define CAPACITY_MIN 256

bool kb_grow(void **array, size_t *capacity, size_t needed, size_t element_size)
{
	size_t wanted = *capacity ? *capacity : CAPACITY_MIN;
	void *grown;

	if (needed <= *capacity)
		return true;
	while (wanted < needed)
		wanted *= 2;
	grown = reallocarray(*array, wanted, element_size);
	if (!grown)
		return false;
	*array = grown;
	*capacity = wanted;
	return true;
}

void kb_labels__init(struct kb_labels *labels, const struct kb_profile *profile, bool by_lines)
{
	memset(labels, 0, sizeof(*labels));
	labels->profile = profile;
	labels->by_lines = by_lines;
	kb_id_map__init(&labels->ids, SIZE_MAX);
}

void kb_labels__free(struct kb_labels *labels)
{
	kb_id_map__free(&labels->ids);
	free(labels->nodes);
	free(labels->labels);
	labels->nodes = NULL;
	labels->labels = NULL;
}

uint32_t kb_labels__of_frame(const struct kb_labels *labels, const struct kb_frame_info *frame)
{
	return kb_id_map__get(&labels->ids, frame->function,
			      labels->by_lines ? (uint32_t)frame->line : 0);
}

/* As before, and made when it is new. KB_ID_NONE: no memory. */
static uint32_t label_of(struct kb_labels *labels, const struct kb_frame_info *frame)
{
	int32_t line = labels->by_lines ? frame->line : 0;
	uint32_t id = kb_labels__of_frame(labels, frame);

	if (id != KB_ID_MAP_NONE)
		return id;
	if (!kb_grow((void **)&labels->labels, &labels->labels_capacity, labels->n + 1,
		     sizeof(*labels->labels)) ||
	    !kb_id_map__set(&labels->ids, frame->function, (uint32_t)line, labels->n))
		return KB_ID_NONE;
	labels->labels[labels->n] = (struct kb_row_label){ frame->function, line };
	return labels->n++;
}

/* The depth of stacks bounds the walk; recursion ends it at once. */
static bool is_outermost(const struct kb_labels *labels, uint32_t parent, uint32_t label)
{
	while (parent != KB_ID_NONE) {
		if (labels->nodes[parent].label == label)
			return false;
		parent = labels->nodes[parent].parent;
	}
	return true;
}

static bool add_node(struct kb_labels *labels, const struct kb_stack_node *node)
{
	uint32_t id = labels->n_nodes;
	uint32_t label = label_of(labels, kb_profile__frame(labels->profile, node->frame));
	struct kb_node_info *info = &labels->nodes[id];

	if (label == KB_ID_NONE)
		return false;
	info->label = label;
	info->parent = node->parent;
	info->first_child = info->next_sibling = KB_ID_NONE;
	info->outermost = is_outermost(labels, node->parent, label);
	if (node->parent != KB_ID_NONE) {
		info->next_sibling = labels->nodes[node->parent].first_child;
		labels->nodes[node->parent].first_child = id;
	}
	labels->n_nodes++;
	return true;
}

struct kb_error *kb_labels__grow(struct kb_labels *labels)
{
	uint32_t n = kb_profile__n_nodes(labels->profile);
	const struct kb_stack_node *nodes = kb_profile__nodes(labels->profile);

	if (!kb_grow((void **)&labels->nodes, &labels->nodes_capacity, n, sizeof(*labels->nodes)))
		return kb_error__no_memory();
	while (labels->n_nodes < n) {
		if (!add_node(labels, &nodes[labels->n_nodes]))
			return kb_error__no_memory();
	}
	return NULL;
}
