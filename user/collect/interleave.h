/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_COLLECT_INTERLEAVE_H
#define KB_COLLECT_INTERLEAVE_H

#include <stdbool.h>
#include <stdint.h>
#include "bpf/shared/events.h"

/*
 * Puts a Python stack and the native stack of the same thread together.
 *
 * The two were walked apart, and what joins them is the interpreter's eval loop:
 * each of its native frames runs a row of Python frames, from where C code called the interpreter
 * to where one of them called C code. Where such a row ends, the kernel has left a
 * KB_WORD_NATIVE_MARK (3.11 and later; before, each Python frame is a call of the eval loop). So
 * the nth native frame of the eval loop gives its place to the nth row of Python frames, counted
 * from the root, where nothing changes, or from the leaf, when the root was not reached.
 *
 * Near the leaf the two may differ by one: a call of the eval loop that has no frame yet, or has
 * none any more. If they differ by more, all frames are still shown and in their own order.
 */
struct kb_interleave {
	const kb_u64 *python; /* words, leaf first, with marks; others stay behind their frame */
	uint32_t n_python;
	const bool *eval; /* of each native frame, leaf first: is it the eval loop's? */
	uint32_t n_native;
	bool python_cut, native_cut; /* the root was not reached */
	bool one_by_one;	     /* no marks: each Python frame is a call of the eval loop */
};

struct kb_interleaved {
	bool native;
	uint32_t index; /* in python or eval */
};

/*
 * Writes all Python words but the marks, and those native frames that are not the eval loop's, from
 * the root to the leaf; order has room for n_python + n_native. Returns their number. *python_leaf:
 * how many of them come before the last of Python's, with it. False in *matched: the rows did not
 * fit.
 */
uint32_t kb_interleave__order(const struct kb_interleave *stacks, struct kb_interleaved *order,
			      uint32_t *python_leaf, bool *matched);

#endif
