/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_CALL_TREE_H
#define KB_TUI_CALL_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/id_map.h"
#include "tui/view_model.h"

/*
 * The stacks through one row as a tree that opens and closes: down to what it
 * calls, or up to who calls it. Equal rows on equal paths are one; of a function
 * that is on a stack more than once the outermost counts. What is open is remembered by path, so
 * that it stays open while the numbers change.
 */
enum kb_tree_direction { KB_TREE_CALLEES, KB_TREE_CALLERS };

#define KB_TREE_ROWS_MAX  10000 /* what is open at a time; the rest is said to be left out */
#define KB_TREE_DEPTH_MAX 200	/* levels that can be opened */

struct kb_tree_row {
	uint32_t row; /* of the model; KB_ID_NONE: nothing calls it, a root */
	uint16_t depth;
	bool has_more; /* can be opened */
	bool open;
	uint64_t count; /* samples on this path */
	uint64_t self;	/* of those: executing it; callees only */
	uint64_t path;
};

struct kb_call_tree {
	enum kb_tree_direction direction;
	struct kb_tree_row *rows; /* as they stand below one another */
	uint32_t n;
	bool cut; /* there would be more */
	size_t rows_capacity;

	struct kb_id_map opened; /* paths whose state is not the default */
	struct kb_tree_entry *entries;
	size_t n_entries, entries_capacity;
};

void kb_call_tree__init(struct kb_call_tree *tree, enum kb_tree_direction direction);
void kb_call_tree__free(struct kb_call_tree *tree);

/* Builds the rows anew for a row of what was aggregated. KB_ID_NONE: for all roots (callees). */
struct kb_error *kb_call_tree__update(struct kb_call_tree *tree, const struct kb_view_model *model,
				      uint32_t row);

/* Opens or closes; takes effect at the next update. */
void kb_call_tree__set_open(struct kb_call_tree *tree, uint32_t index, bool open);
/* Where the row that this one belongs to stands; itself for the topmost. */
uint32_t kb_call_tree__parent(const struct kb_call_tree *tree, uint32_t index);

#endif
