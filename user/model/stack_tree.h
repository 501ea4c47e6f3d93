/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_MODEL_STACK_TREE_H
#define KB_MODEL_STACK_TREE_H

#include "base/index.h"
#include "model/profile.h"

/* The part of a profile that counts: the tree of stacks, and samples by thread and leaf. */
struct kb_stack_tree {
	struct kb_stack_node *nodes;
	uint32_t n_nodes, nodes_capacity;
	struct kb_index node_index;

	struct kb_sample *samples;
	uint32_t n_samples, samples_capacity;
	struct kb_index sample_index;
	uint64_t total;
};

/* The owner checks that the frame exists. KB_ID_NONE: no such parent, a limit, no memory. */
uint32_t kb_stack_tree__add_node(struct kb_stack_tree *tree, uint32_t parent, uint32_t frame);
/* The owner checks that the thread exists. */
bool kb_stack_tree__add_samples(struct kb_stack_tree *tree, uint32_t thread, uint32_t node,
				uint64_t count);
/* A tree that is all zero is empty and may be freed. */
void kb_stack_tree__free(struct kb_stack_tree *tree);

#endif
