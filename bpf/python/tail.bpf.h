/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_TAIL_BPF_H
#define KB_PYTHON_TAIL_BPF_H

#include "common/maps.bpf.h"
#include "python/state.bpf.h"
#include "python/walk.bpf.h"

/*
 * Appends to a walked stack what else there is to say of the thread, of what this run asks for:
 * a collection that is running, the interpreter if it is not the main one, the innermost frame's
 * instruction. state: KB_STATE_*.
 */
int kb_walk_tail(struct kb_walk *walk, struct kb_proc *proc, const struct kb_layout *layout,
		 kb_u32 state);

#endif
