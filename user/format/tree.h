/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_TREE_H
#define KB_FORMAT_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "keelback/profile.h"

/*
 * The stack tree as people look at it: nodes of the profile that read the same
 * are one node, with root nodes for processes and threads where asked for, and
 * in preorder, so that one pass over the array visits every stack. Nodes without
 * samples below them are left out.
 */
enum kb_label_kind {
	KB_LABEL_FRAME,	  /* function (file:line) */
	KB_LABEL_MARKER,  /* only a name */
	KB_LABEL_PROCESS, /* process PID comm */
	KB_LABEL_THREAD,  /* thread TID name */
	KB_LABEL_NATIVE,  /* symbol (ELF file) */
	KB_LABEL_KERNEL,  /* symbol (kernel) */
};

/* What a node shows. Strings belong to the profile and are as the target wrote them. */
struct kb_label {
	enum kb_label_kind kind;
	int32_t number;	  /* line, PID or TID; 0: no line known */
	const char *name; /* function, comm or thread name */
	const char *file; /* "" but for frames and native ones */
};

/* "process ", "thread " before number and name, else NULL. */
const char *kb_label__group(const struct kb_label *label);
/* What stands behind the name, before the line if there is one: the file, "kernel", "?" where a
 * file is missing; NULL where nothing does. */
const char *kb_label__place(const struct kb_label *label);

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
	bool threads;	/* root nodes for threads, below their process when both are asked for */
	bool processes; /* root nodes for processes */
	enum kb_tree_order order;
};

/* Read only; free with kb_tree__destroy(). The profile must outlive it. */
struct kb_tree {
	uint32_t n_nodes;
	uint32_t n_labels;
	struct kb_tree_node *nodes; /* in preorder */
	struct kb_label *labels;    /* in the order of kb_label__compare(), each once */
	uint64_t total;		    /* samples of all roots */
};

struct kb_error *kb_tree__create(const struct kb_profile *profile, const struct kb_tree_opts *opts,
				 struct kb_tree **tree);
void kb_tree__destroy(struct kb_tree *tree);

/* By name, file, number, kind: a total order on what is shown. */
int kb_label__compare(const struct kb_label *a, const struct kb_label *b);

#endif
