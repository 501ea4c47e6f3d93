/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_LABELS_H
#define KB_TUI_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/id_map.h"
#include "keelback/profile.h"

/*
 * What the nodes of a growing profile stand for in the view: a row, which is a
 * function or, by lines, one executed line of it. Looks at each node once, when it is new.
 */
struct kb_row_label {
	uint32_t function; /* of the profile */
	int32_t line;	   /* 0 unless by lines, or where none is known */
};

struct kb_node_info {
	uint32_t label;
	uint32_t parent;       /* as in the profile: KB_ID_NONE for a root */
	uint32_t first_child;  /* KB_ID_NONE: none */
	uint32_t next_sibling; /* KB_ID_NONE: the last */
	/* No node nearer to the root has the same label: what a row costs in all is the sum over
	 * its outermost nodes, so that recursion counts once. */
	bool outermost;
};

struct kb_labels {
	const struct kb_profile *profile;
	bool by_lines;
	uint32_t n_nodes, n; /* known so far */
	struct kb_node_info *nodes;
	struct kb_row_label *labels;
	size_t nodes_capacity, labels_capacity;
	struct kb_id_map ids; /* function and line → label */
};

void kb_labels__init(struct kb_labels *labels, const struct kb_profile *profile, bool by_lines);
void kb_labels__free(struct kb_labels *labels);
/* Takes in what has been added to the profile since the last call. */
struct kb_error *kb_labels__grow(struct kb_labels *labels);

/* The label of a frame, or KB_ID_NONE: no node known so far has it. */
uint32_t kb_labels__of_frame(const struct kb_labels *labels, const struct kb_frame_info *frame);

/* Makes room for needed elements in an array that grows by doubling; false: no memory. */
bool kb_grow(void **array, size_t *capacity, size_t needed, size_t element_size);

#endif
