/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_STACK_BPF_H
#define KB_STACK_BPF_H

#include "common/maps.bpf.h"
#include "python/walk.bpf.h"

/* What every program that counts stacks does with them: see stack.bpf.c. */

#define KB_EPOCH_SHIFT 24 /* process ids count up from 1: the high bits of the seed are free */

/* What a process's stacks are hashed with: another epoch gives all of them new hashes. */
static __always_inline kb_u32 kb_stack_seed(const struct kb_proc *proc)
{
	return proc->id ^ proc->epoch << KB_EPOCH_SHIFT;
}

/* Asks user space about the current process, which it has not told about, and again as long as that
 * is worth it. */
int kb_ask(kb_u32 tgid);

/* Asks user space to drain the tables, unless it has been asked. */
int kb_request_drain(void);

/* Sends the current thread's name, once. */
int kb_send_thread(struct kb_proc *proc, kb_u32 tid);

/* Sends the stack in the scratch with all that it refers to. Returns the ledger's reason, or
 * KB_L_GOOD. */
int kb_send_stack(struct kb_walk *walk, struct kb_proc *proc, const struct kb_layout *layout,
		  kb_u32 generation);

/*
 * Sends one sample or wait by itself, after its stack was sent: its kind and generation are filled
 * in here. What does not fit is counted as lost.
 */
int kb_send_moment(struct kb_data_moment *record);

/*
 * Compares one frame's code object with what was sent for it. When another one
 * lies there, the process's epoch moves on, which gives all its stacks new
 * hashes, so that they are sent again with the code objects of now, and the answer is 0.
 */
int kb_verify_frame(struct kb_walk *walk, struct kb_proc *proc, const struct kb_layout *layout);

/* The ledger's reason for a walk that gave no stack (a status after KB_WALK_TRUNCATED). */
static __always_inline kb_u32 kb_failure(int status)
{
	switch (status) {
	case KB_WALK_NOT_PYTHON_THREAD:
		return KB_L_NOT_PYTHON_THREAD;
	case KB_WALK_TSTATE_UNREADABLE:
		return KB_L_TSTATE_UNREADABLE;
	case KB_WALK_NO_FRAME:
		return KB_L_NO_FRAME;
	default:
		return KB_L_FRAME_UNREADABLE;
	}
}

#endif
