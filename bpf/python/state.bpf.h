/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_STATE_BPF_H
#define KB_PYTHON_STATE_BPF_H

#include "common/maps.bpf.h"
#include "python/walk.bpf.h"

/*
 * What a thread does beside running frames, as far as this run asks for it. The
 * answer is constant, so that the verifier drops what is not asked for.
 */
static __always_inline kb_u32 kb_state_wanted(void)
{
	kb_u32 wanted = 0;

	if (config.want & KB_WANT_MOMENTS)
		wanted |= KB_STATE_GIL | KB_STATE_GC | KB_STATE_EXCEPTION;
	if (config.want & KB_WANT_STATES)
		wanted |= KB_STATE_GIL | KB_STATE_EXCEPTION;
	if (config.want & KB_WANT_GC)
		wanted |= KB_STATE_GC;
	if (config.mode == KB_MODE_IS_GIL)
		wanted |= KB_STATE_GIL;
	if (config.mode == KB_MODE_IS_EXCEPTION)
		wanted |= KB_STATE_EXCEPTION;
	return wanted;
}

/* A pointer in the thread state whose bytes kb_find_thread() left in the scratch. */
static __always_inline kb_u64 kb_tstate_field(struct kb_walk *walk, kb_u64 offset)
{
	KB_OPAQUE(offset);
	return *(kb_u64 *)(walk->tstate + (offset & (KB_TSTATE_SPAN - 8)));
}

/*
 * The state of the thread that kb_find_thread() has found, in the thread's own
 * context: those KB_STATE_* bits that kb_state_wanted() has. What cannot be read is not set.
 */
kb_u32 kb_thread_state(struct kb_walk *walk, const struct kb_proc *proc,
		       const struct kb_layout *layout);

/*
 * Address of the GIL that a thread state (whose bytes are in the scratch) takes:
 * of the struct, in 3.6 of the first of its parts. 0: unknown.
 */
kb_u64 kb_gil_of(struct kb_walk *walk, const struct kb_proc *proc, const struct kb_layout *layout);

#endif
