// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * What the thread at hand is doing: does it hold the GIL, is a garbage
 * collection running, is an exception being raised or handled?
 *
 * GIL. The interpreter has a pointer to the thread state that is running: up to
 * 3.11 gilstate.tstate_current, from 3.12 the thread-local _Py_tss_tstate. Both are
 * set after the GIL was taken and cleared before it is released (PyEval_RestoreThread
 * and _SaveThread in Python/ceval.c, and the eval loop's own release), and finding
 * the thread state has read them already. Where they are not known the GIL itself
 * is asked: locked, and last held by this thread state.
 *
 * Exceptions. The thread state points to the innermost of a chain of items, one
 * for the thread and one for each generator that is being resumed. sys.exc_info()
 * takes the innermost with an exception in it (_PyErr_GetTopmostException in
 * Python/errors.c), and so do we. 3.6 has no chain: the fields are in the thread state.
 * One that is being raised is in the thread state until it is caught.
 *
 * Collections. The flag is the interpreter's. Finalizers that a collection runs can
 * release the GIL, so it counts only for a thread that holds it.
 */
#include "common/maps.bpf.h"
#include "python/state.bpf.h"

#define EXC_ITEMS_MAX 8 /* generators resumed inside each other, with no exception of their own */

/* An item of the chain: 3.7 to 3.10, and from 3.11, which keeps only the value. */
struct exc_item_3 {
	kb_u64 type, value, traceback, previous;
};
struct exc_item_1 {
	kb_u64 value, previous;
};

/* In struct _gc_runtime_state (Include/internal/pycore_interp_structs.h, 3.15; before, another
 * pointer follows). */
struct gc_part {
	kb_s32 collecting;
	kb_u32 padding;
	kb_u64 frame; /* which was running when the collection began, may be NULL */
};
#define GC_FRAME_AFTER 8

__noinline kb_u64 kb_gil_of(struct kb_walk *walk, const struct kb_proc *proc,
			    const struct kb_layout *layout)
{
	kb_u64 gil = 0;

	if (!walk || !proc || !layout)
		return 0;
	if (proc->gil)
		return proc->gil;
	if (layout->interp_gil != KB_NO_OFFSET)
		kb_read_user(&gil, 8,
			     kb_tstate_field(walk, layout->tstate_interp) + layout->interp_gil);
	return gil;
}

/* In builds where the pointer to the running thread state was not found. */
static __always_inline int last_took_gil(struct kb_walk *walk, const struct kb_proc *proc,
					 const struct kb_layout *layout)
{
	kb_u64 gil = kb_gil_of(walk, proc, layout), words[2] = {};

	if (!gil || layout->version_minor < 7 ||
	    kb_read_user(words, sizeof(words), gil + KB_GIL_LAST_HOLDER))
		return 0;
	return words[0] == walk->tstate_at && (kb_s32)words[1] > 0;
}

static __always_inline int has_gil(struct kb_walk *walk, const struct kb_proc *proc,
				   const struct kb_layout *layout)
{
	if (walk->attached || proc->tstate_tls.kind || proc->tstate_current)
		return walk->attached != 0;
	return last_took_gil(walk, proc, layout);
}

static __always_inline int is_exception(const struct kb_proc *proc, kb_u64 object)
{
	return object && object != proc->none;
}

static __always_inline int is_handling(struct kb_walk *walk, const struct kb_proc *proc,
				       const struct kb_layout *layout)
{
	kb_u64 item = kb_tstate_field(walk, layout->tstate_exc_info), value;

	if (layout->version_minor < 7)
		return is_exception(proc, item);
		/* Unrolled: the verifier of Linux 6.1 refuses the shape that the compiler gives
		 * this loop. */
#pragma unroll
	for (int i = 0; i < EXC_ITEMS_MAX; i++) {
		if (layout->version_minor < 11) {
			struct exc_item_3 at = {};

			kb_read_user(&at, sizeof(at), item);
			value = at.type;
			item = at.previous;
		} else {
			struct exc_item_1 at = {};

			kb_read_user(&at, sizeof(at), item);
			value = at.value;
			item = at.previous;
		}
		if (is_exception(proc, value))
			return 1;
		if (!item)
			return 0;
	}
	return 0;
}

static __always_inline int has_exception(struct kb_walk *walk, const struct kb_proc *proc,
					 const struct kb_layout *layout)
{
	if (layout->tstate_raised != KB_NO_OFFSET &&
	    is_exception(proc, kb_tstate_field(walk, layout->tstate_raised)))
		return 1;
	return layout->tstate_exc_info != KB_NO_OFFSET && is_handling(walk, proc, layout);
}

static __always_inline int is_collecting(struct kb_walk *walk, const struct kb_proc *proc,
					 const struct kb_layout *layout)
{
	struct gc_part gc = {};
	kb_u64 at = proc->gc_collecting;

	if (!at && layout->interp_gc_collecting != KB_NO_OFFSET)
		at = kb_tstate_field(walk, layout->tstate_interp) + layout->interp_gc_collecting;
	if (!at || kb_read_user(&gc, sizeof(gc), at) || !gc.collecting)
		return 0;
	if (layout->interp_gc_frame == layout->interp_gc_collecting + GC_FRAME_AFTER)
		walk->gc_frame = gc.frame;
	return 1;
}

__noinline kb_u32 kb_thread_state(struct kb_walk *walk, const struct kb_proc *proc,
				  const struct kb_layout *layout)
{
	kb_u32 wanted = kb_state_wanted(), state = 0;
	int gil = 0;

	if (!walk || !proc || !layout)
		return 0;
	if (wanted & (KB_STATE_GIL | KB_STATE_GC))
		gil = has_gil(walk, proc, layout);
	if (gil)
		state |= wanted & KB_STATE_GIL;
	if (wanted & KB_STATE_GC && gil && is_collecting(walk, proc, layout))
		state |= KB_STATE_GC;
	if (wanted & KB_STATE_EXCEPTION && has_exception(walk, proc, layout))
		state |= KB_STATE_EXCEPTION;
	return state;
}
