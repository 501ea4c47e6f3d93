/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SYMBOLS_EVAL_LOOP_H
#define KB_SYMBOLS_EVAL_LOOP_H

#include "symbols/module.h"
#include "symbols/unwind_table.h"

/*
 * Where an interpreter's eval loop lies: a native frame in it stands for Python frames.
 *
 * _PyEval_EvalFrameDefault is exported by every version from 3.6 on, but compilers move parts of
 * it away that were rare in training, in builds with PGO up to nearly all of it (3.14 and 3.15 of
 * Debian: a stub of 1 kB and a part of 80 kB). Stripped files have no symbol for such a
 * part, but .eh_frame describes it as a range of its own, which differs from a function:
 * its frame is already set up where it begins. It is the eval loop's when that jumps into it.
 */
#define KB_EVAL_PARTS_MAX 4 /* compilers make one at most */

struct kb_eval_loop {
	struct kb_unwind_function parts[KB_EVAL_PARTS_MAX]; /* relative addresses */
	uint32_t n;					    /* 0: no interpreter */
};

void kb_eval_loop__find(const struct kb_module *module, const struct kb_unwind_table *table,
			struct kb_eval_loop *loop);

static inline bool kb_eval_loop__contains(const struct kb_eval_loop *loop, uint64_t relative)
{
	for (uint32_t i = 0; i < loop->n; i++)
		if (relative >= loop->parts[i].start && relative < loop->parts[i].end)
			return true;
	return false;
}

#endif
