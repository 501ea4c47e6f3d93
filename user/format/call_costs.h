/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_CALL_COSTS_H
#define KB_FORMAT_CALL_COSTS_H

#include <stdint.h>
#include "base/error.h"
#include "format/tree.h"

/*
 * A call graph of a tree whose labels are lines: what each line costs itself, and
 * what the calls from each line cost.
 *
 * Readers of call graphs take the sum of all calls of a function for its inclusive cost
 * (KCachegrind 0.8, libcore/tracedata.cpp; callgrind_annotate 3.19), so with recursion a stack must
 * not count in two of them. Here it counts in the outermost one alone: main → f → g → f → h is main
 * → f, f → g and f → h, not g → f. With a call of their own for roots, the inclusive cost of each
 * function is then exactly the samples that it is in. Calls to which nothing falls are left out.
 */
struct kb_call_cost {
	uint32_t caller; /* label: the line that calls; KB_ID_NONE: the callee is a root */
	uint32_t callee; /* function, as in function_of_label */
	uint64_t cost;	 /* never 0 */
};

struct kb_call_costs {
	uint64_t *self; /* by label */
	uint32_t n_calls;
	struct kb_call_cost *calls; /* by caller, roots last, then by callee */
};

/* function_of_label gives each label of the tree its function, a number below n_functions. Free
 * with kb_call_costs__destroy(). */
struct kb_error *kb_call_costs__create(const struct kb_tree *tree,
				       const uint32_t *function_of_label, uint32_t n_functions,
				       struct kb_call_costs **costs);
void kb_call_costs__destroy(struct kb_call_costs *costs);

#endif
