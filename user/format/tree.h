/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_TREE_H
#define KB_FORMAT_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "format/label.h"
#include "keelback/profile.h"

/*
 * The stack tree as people look at it: nodes of the profile that read the same
 * are one node, with root nodes for processes and threads where asked for, and
 * in preorder, so that one pass over the array visits every stack. Nodes without
 * samples below them are left out.
 */
struct kb_tree_node {
	uint32_t parent; /* smaller than the node's own index; KB_ID_NONE: a root */
	uint32_t label;
	uint64_t self;	/* samples whose leaf this is */
	uint64_t total; /* samples that pass through */
};

enum kb_tree_order {
	KB_TREE_BY_LABEL, /* siblings by name, file, line */
	KB_TREE_BY_TOTAL, /* siblings with most samples first, then by label */
};

struct kb_tree_opts {
	bool lines;	/* a label for each executing line instead of one per function */
	bool opcodes;	/* a label for each instruction that a leaf was at */
	bool threads;	/* root nodes for threads, below their process when both are asked for */
	bool processes; /* root nodes for processes */
	enum kb_tree_order order;
	bool by_name; /* labels that differ in their line alone are one: a function that moved
			 within its file */
	bool samples; /* fill kb_tree.samples */
	/* Its stacks are merged into the same tree. Processes and threads are told apart by their
	 * names alone then, for their ids tell nothing of those of another run. */
	const struct kb_profile *baseline;
};

/* Samples of one thread whose leaf is one node. */
struct kb_tree_sample {
	uint32_t thread; /* of the profile */
	uint32_t node;
	uint64_t count;
};

struct kb_tree_cost {
	uint64_t self, total;
};

/* Read only; free with kb_tree__destroy(). The profiles must outlive it. */
struct kb_tree {
	uint32_t n_nodes;
	uint32_t n_labels;
	uint32_t n_samples;
	struct kb_tree_node *nodes; /* in preorder */
	struct kb_label *labels;    /* in the order of kb_label__compare(), each once; with by_name
				       the number is the profile's, else the baseline's */
	uint64_t total;		    /* samples of all roots */
	struct kb_tree_sample *samples; /* by thread, then node, each pair once; NULL: not asked for
					 */
	struct kb_tree_cost *baseline;	/* by node, of the baseline; NULL without one */
	uint64_t baseline_total;
};

struct kb_error *kb_tree__create(const struct kb_profile *profile, const struct kb_tree_opts *opts,
				 struct kb_tree **tree);
void kb_tree__destroy(struct kb_tree *tree);

#endif
