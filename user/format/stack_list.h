/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_STACK_LIST_H
#define KB_FORMAT_STACK_LIST_H

#include <stdint.h>
#include "base/error.h"
#include "keelback/profile.h"

/*
 * The stack nodes that samples or moments with a count stand on, with all their callers, in a
 * dense numbering of their own that keeps the order: callers come before callees. For formats
 * that have a table of stacks. Read only; free with kb_stack_list__destroy(). The profile must
 * outlive it.
 */
struct kb_stack_list {
	uint32_t n;
	uint32_t *node_of_stack;
	uint32_t *stack_of_node; /* KB_ID_NONE: not in the list */
	uint32_t *rank;		 /* of a stack: its place in preorder, where what is called stands
				    behind its caller */
};

struct kb_error *kb_stack_list__create(const struct kb_profile *profile,
				       struct kb_stack_list **list);
void kb_stack_list__destroy(struct kb_stack_list *list);

/* The nodes of one stack, its outermost first; *depth: how many. free() them; NULL: no memory. */
uint32_t *kb_stack_path(const struct kb_profile *profile, uint32_t leaf, uint32_t *depth);

#endif
