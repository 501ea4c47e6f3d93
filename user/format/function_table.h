/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_FUNCTION_TABLE_H
#define KB_FORMAT_FUNCTION_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "format/tree.h"
#include "keelback/profile.h"

/*
 * What each function cost, and through whom it was called. A stack counts once
 * for a function and once for a pair of caller and callee, however often
 * recursion put them there, so no total exceeds the profile's.
 */
struct kb_function_row {
	struct kb_label label;
	uint64_t direct;     /* samples that executed the function itself */
	uint64_t cumulative; /* samples with the function anywhere on the stack; 0 only for rows
				that the baseline alone has */
	struct kb_tree_cost baseline; /* the same of the tree's baseline */
	uint32_t n_callers;
	uint32_t first_caller; /* in kb_function_table.callers */
};

struct kb_caller_row {
	uint32_t caller;     /* row */
	uint64_t direct;     /* samples in which the caller called the function and that one was
				executing */
	uint64_t cumulative; /* samples in which the caller called the function */
};

/* Read only; free with kb_function_table__destroy(). The profile must outlive it. */
struct kb_function_table {
	uint32_t n_rows;
	uint32_t n_callers;
	struct kb_function_row *rows;  /* by kb_label__compare() */
	struct kb_caller_row *callers; /* by callee, then caller */
	uint64_t total;		       /* samples in the profile */
	uint64_t baseline_total;
};

/* What has a row. The first two are no and yes of an option `lines`. */
enum kb_rows {
	KB_ROWS_FUNCTIONS = 0,
	KB_ROWS_LINES = 1,   /* each line, as profiling.sampling (3.15) has it */
	KB_ROWS_OPCODES = 2, /* each instruction of each line */
};

struct kb_error *kb_function_table__create(const struct kb_profile *profile, enum kb_rows rows,
					   struct kb_function_table **table);
/* The same of a tree that is there already, with what its labels are as rows. The table does not
 * need the tree any longer. */
struct kb_error *kb_function_table__from_tree(const struct kb_tree *tree,
					      struct kb_function_table **table);
void kb_function_table__destroy(struct kb_function_table *table);

#endif
