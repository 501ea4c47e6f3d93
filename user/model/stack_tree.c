// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/array.h"
#include "base/hash.h"
#include "model/stack_tree.h"

static uint64_t node_hash(const void *owner, uint32_t id)
{
	const struct kb_stack_tree *tree = owner;

	return kb_hash__bytes(&tree->nodes[id], sizeof(tree->nodes[id]));
}

static bool node_equal(const void *owner, uint32_t id, const void *key)
{
	const struct kb_stack_node *a = &((const struct kb_stack_tree *)owner)->nodes[id];
	const struct kb_stack_node *b = key;

	return a->parent == b->parent && a->frame == b->frame;
}

uint32_t kb_stack_tree__add_node(struct kb_stack_tree *tree, uint32_t parent, uint32_t frame)
{
	struct kb_stack_node node = { parent, frame }, *nodes;
	uint64_t hash = kb_hash__bytes(&node, sizeof(node));
	uint32_t id = kb_index__find(&tree->node_index, hash, &node, node_equal, tree);

	if (id != KB_INDEX_NONE)
		return id;
	if (parent != KB_ID_NONE && parent >= tree->n_nodes)
		return KB_ID_NONE;
	nodes = kb_array__grow(tree->nodes, &tree->nodes_capacity, tree->n_nodes + 1,
			       sizeof(*nodes), KB_PROFILE_NODES_MAX);
	if (!nodes)
		return KB_ID_NONE;
	tree->nodes = nodes;
	nodes[tree->n_nodes] = node;
	if (!kb_index__insert(&tree->node_index, hash, tree->n_nodes, node_hash, tree))
		return KB_ID_NONE;
	return tree->n_nodes++;
}

static uint64_t hash_sample(uint32_t thread, uint32_t node)
{
	uint32_t key[] = { thread, node };

	return kb_hash__bytes(key, sizeof(key));
}

static uint64_t sample_hash(const void *owner, uint32_t id)
{
	const struct kb_sample *sample = &((const struct kb_stack_tree *)owner)->samples[id];

	return hash_sample(sample->thread, sample->node);
}

static bool sample_equal(const void *owner, uint32_t id, const void *key)
{
	const struct kb_sample *a = &((const struct kb_stack_tree *)owner)->samples[id];
	const struct kb_sample *b = key;

	return a->thread == b->thread && a->node == b->node;
}

/* The index of the sample of thread and node, made with a count of 0 when new. */
static uint32_t sample_at(struct kb_stack_tree *tree, uint32_t thread, uint32_t node)
{
	struct kb_sample sample = { thread, node, 0 }, *samples;
	uint64_t hash = hash_sample(thread, node);
	uint32_t id = kb_index__find(&tree->sample_index, hash, &sample, sample_equal, tree);

	if (id != KB_INDEX_NONE)
		return id;
	samples = kb_array__grow(tree->samples, &tree->samples_capacity, tree->n_samples + 1,
				 sizeof(*samples), KB_PROFILE_SAMPLES_MAX);
	if (!samples)
		return KB_ID_NONE;
	tree->samples = samples;
	samples[tree->n_samples] = sample;
	if (!kb_index__insert(&tree->sample_index, hash, tree->n_samples, sample_hash, tree))
		return KB_ID_NONE;
	return tree->n_samples++;
}

bool kb_stack_tree__add_samples(struct kb_stack_tree *tree, uint32_t thread, uint32_t node,
				uint64_t count)
{
	uint64_t total;
	uint32_t id;

	if (!count)
		return true;
	if (node >= tree->n_nodes || __builtin_add_overflow(tree->total, count, &total))
		return false;
	id = sample_at(tree, thread, node);
	if (id == KB_ID_NONE)
		return false;
	/* Cannot overflow where the total does not. */
	tree->samples[id].count += count;
	tree->total = total;
	return true;
}

void kb_stack_tree__free(struct kb_stack_tree *tree)
{
	kb_index__free(&tree->node_index);
	kb_index__free(&tree->sample_index);
	free(tree->nodes);
	free(tree->samples);
}
