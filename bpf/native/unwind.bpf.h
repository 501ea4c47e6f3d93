/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_NATIVE_UNWIND_BPF_H
#define KB_NATIVE_UNWIND_BPF_H

#include "common/maps.bpf.h"
#include "python/walk.bpf.h"

/*
 * Appends the current thread's native stack to the walk, as a KB_WORD_NATIVE section.
 * proc_id and tgid are the process's. Returns whether there is any.
 */
int kb_native_append(struct kb_walk *walk, kb_u32 proc_id, kb_u32 tgid);

/* Appends what the current thread does in the kernel, as a KB_WORD_KERNEL section. */
int kb_kernel_append(struct kb_walk *walk);

/*
 * Completes a walked stack of the current thread by what the run wants to know of
 * native code. Takes and returns enum kb_walk_status: a thread without Python
 * frames has a stack too when its native part is known.
 */
static __always_inline int kb_native_complete(struct kb_walk *walk, const struct kb_proc *proc,
					      int status)
{
	int without_python = config.want & KB_WANT_NATIVE &&
			     (status == KB_WALK_NOT_PYTHON_THREAD || status == KB_WALK_NO_FRAME);
	int frames = 0;

	if (status > KB_WALK_TRUNCATED && !without_python)
		return status;
	if (without_python)
		kb_walk_clear(walk, proc->id);
	if (status == KB_WALK_NOT_PYTHON_THREAD)
		walk->tstate_at = 0;
	if (config.want & KB_WANT_KERNEL)
		kb_kernel_append(walk);
	if (config.want & KB_WANT_NATIVE)
		frames = kb_native_append(walk, proc->id, bpf_get_current_pid_tgid() >> 32);
	return without_python && frames ? KB_WALK_OK : status;
}

/* A forked process has its parent's mappings. */
int kb_native_forked(kb_u32 parent_id, kb_u32 id);

#endif
