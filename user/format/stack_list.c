// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "format/stack_list.h"

#define USED 0 /* any mark but KB_ID_NONE */

/* Marks a node and its callers, up to one that is marked: each node is visited once. */
static void mark(struct kb_stack_list *list, const struct kb_stack_node *nodes, uint32_t node)
{
	for (; node != KB_ID_NONE && list->stack_of_node[node] == KB_ID_NONE;
	     node = nodes[node].parent)
		list->stack_of_node[node] = USED;
}

static void fill(struct kb_stack_list *list, const struct kb_profile *profile)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);
	const struct kb_sample *samples = kb_profile__samples(profile);
	const struct kb_moment *moments = kb_profile__moments(profile);
	uint32_t n_nodes = kb_profile__n_nodes(profile);

	for (uint32_t i = 0; i < n_nodes; i++)
		list->stack_of_node[i] = KB_ID_NONE;
	for (uint32_t i = 0; i < kb_profile__n_samples(profile); i++)
		if (samples[i].count)
			mark(list, nodes, samples[i].node);
	for (uint32_t i = 0; i < kb_profile__n_moments(profile); i++)
		if (moments[i].count)
			mark(list, nodes, moments[i].node);
	for (uint32_t i = 0; i < n_nodes; i++) {
		if (list->stack_of_node[i] == KB_ID_NONE)
			continue;
		list->stack_of_node[i] = list->n;
		list->node_of_stack[list->n++] = i;
	}
}

static uint32_t parent_of(const struct kb_stack_list *list, const struct kb_stack_node *nodes,
			  uint32_t stack)
{
	uint32_t parent = nodes[list->node_of_stack[stack]].parent;

	return parent == KB_ID_NONE ? KB_ID_NONE : list->stack_of_node[parent];
}

/* next, for each stack, is first the size of its subtree, then the place of its next child. */
static void rank(struct kb_stack_list *list, const struct kb_stack_node *nodes, uint32_t *next)
{
	uint32_t next_root = 0;

	for (uint32_t i = list->n; i-- > 0;) {
		uint32_t parent = parent_of(list, nodes, i);

		next[i]++;
		if (parent != KB_ID_NONE)
			next[parent] += next[i];
	}
	for (uint32_t i = 0; i < list->n; i++) {
		uint32_t parent = parent_of(list, nodes, i);
		uint32_t *place = parent == KB_ID_NONE ? &next_root : &next[parent];

		list->rank[i] = *place;
		*place += next[i];
		next[i] = list->rank[i] + 1;
	}
}

struct kb_error *kb_stack_list__create(const struct kb_profile *profile,
				       struct kb_stack_list **result)
{
	size_t n = (size_t)kb_profile__n_nodes(profile) + 1;
	struct kb_stack_list *list = calloc(1, sizeof(*list));
	uint32_t *next;

	if (!list)
		return kb_error__no_memory();
	list->node_of_stack = calloc(n, sizeof(*list->node_of_stack));
	list->stack_of_node = calloc(n, sizeof(*list->stack_of_node));
	list->rank = calloc(n, sizeof(*list->rank));
	next = calloc(n, sizeof(*next));
	if (!list->node_of_stack || !list->stack_of_node || !list->rank || !next) {
		free(next);
		kb_stack_list__destroy(list);
		return kb_error__no_memory();
	}
	fill(list, profile);
	rank(list, kb_profile__nodes(profile), next);
	free(next);
	*result = list;
	return NULL;
}

void kb_stack_list__destroy(struct kb_stack_list *list)
{
	if (!list)
		return;
	free(list->node_of_stack);
	free(list->stack_of_node);
	free(list->rank);
	free(list);
}

uint32_t *kb_stack_path(const struct kb_profile *profile, uint32_t leaf, uint32_t *depth)
{
	const struct kb_stack_node *nodes = kb_profile__nodes(profile);
	uint32_t *path, left = 0;

	for (uint32_t at = leaf; at != KB_ID_NONE; at = nodes[at].parent)
		left++;
	*depth = left;
	path = calloc(left + 1, sizeof(*path));
	for (uint32_t at = leaf; path && at != KB_ID_NONE; at = nodes[at].parent)
		path[--left] = at;
	return path;
}
