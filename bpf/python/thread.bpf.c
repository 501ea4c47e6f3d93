// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Which thread state belongs to the interrupted thread?
 *
 * Four places know, and none is enough alone (docs/ARCHITECTURE.md has the
 * measurements):
 *
 *   _Py_tss_tstate   3.12+. Exact, also with sub-interpreters, but NULL as soon as
 *                    the thread releases the GIL.
 *   tstate_current   up to 3.11. One per runtime: right for the thread that holds
 *                    the GIL, so it counts only when its thread id is ours.
 *   gilstate         the pthread key autoTSSkey up to 3.14, a thread-local
 *                    variable from 3.15. Keeps its value without the GIL. For a
 *                    thread of a sub-interpreter up to 3.11 it names the main
 *                    interpreter's thread state, so it comes second.
 *   the lists        every interpreter's list of thread states, searched for our
 *                    pthread_self(). Slow, so the answer is cached by thread.
 *
 * A thread for which none has an answer does not run Python.
 */
#include "common/maps.bpf.h"
#include "python/state.bpf.h"
#include "python/tls.bpf.h"
#include "python/walk.bpf.h"

#define LIST_STEPS_MAX	 2048 /* thread states visited in one search; 80 ns each */
#define TSTATE_CACHE_MAX 16384
#define MISSES_PER_SEARCH                                                                          \
	64		  /* a thread without a state is searched for again only every so often */
#define TSS_KEYS_MAX 1024 /* PTHREAD_KEYS_MAX of glibc */
#define TSS_INLINE   32

struct cached_tstate {
	kb_u64 tstate;
	kb_u64 proc;
	kb_u32 misses;
	kb_u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TSTATE_CACHE_MAX);
	__type(key, kb_u32);
	__type(value, struct cached_tstate);
} tstates SEC(".maps");

/* What the walk needs of a thread state: current_frame (or cframe) and, in 3.15, base_frame behind
 * it. */
struct frame_pointers {
	kb_u64 current, base;
};

/* The links to its neighbours, its interpreter, and in 3.12 to 3.15 its frames. */
#define TSTATE_HEAD 96

/* Loads a thread state into the scratch; false when unreadable. */
static __always_inline int load_tstate(struct kb_walk *walk, kb_u64 tstate)
{
	walk->tstate_at = tstate;
	return tstate && !kb_read_user(walk->tstate, KB_TSTATE_SPAN, tstate);
}

/*
 * The same for what a sample needs, its head, unless more is asked for: each line of the
 * processor's cache that is not read twice is time.
 */
static __always_inline int load_tstate_head(struct kb_walk *walk, const struct kb_layout *layout,
					    kb_u64 tstate)
{
	if (kb_state_wanted() & KB_STATE_EXCEPTION || config.want & KB_WANT_TASKS ||
	    layout->tstate_frame > TSTATE_HEAD - sizeof(struct frame_pointers))
		return load_tstate(walk, tstate);
	walk->tstate_at = tstate;
	return !kb_read_user(walk->tstate, TSTATE_HEAD, tstate);
}

static __always_inline int is_own(struct kb_walk *walk, const struct kb_layout *layout, kb_u64 tp)
{
	return kb_tstate_field(walk, layout->tstate_thread_id) == KB_PTHREAD_SELF(tp);
}

/* pthread_getspecific(key), in glibc. */
static __always_inline kb_u64 thread_specific(kb_u64 key_address, kb_u64 tp)
{
	kb_u64 slot, block = 0, value = 0;
	kb_u32 key = 0;

	if (kb_read_user(&key, sizeof(key), key_address) || key >= TSS_KEYS_MAX)
		return 0;
	slot = tp + KB_PTHREAD_SPECIFIC_INLINE + key * 16;
	if (key >= TSS_INLINE) {
		if (kb_read_user(&block, 8,
				 tp + KB_PTHREAD_SPECIFIC_BLOCKS + key / TSS_INLINE * 8) ||
		    !block)
			return 0;
		slot = block + key % TSS_INLINE * 16;
	}
	kb_read_user(&value, 8, slot + 8);
	return value;
}

struct search {
	struct kb_walk *walk;
	const struct kb_layout *layout;
	kb_u64 interp; /* the next one */
	kb_u64 tstate; /* the next one in the present interpreter */
	kb_u64 tp;
	kb_u64 found;
};

/* A step of the search: to the next interpreter's list, or to the next thread state in it. */
static long search_step(kb_u64 index, struct search *search)
{
	const struct kb_layout *layout = search->layout;
	kb_u64 interp = search->interp;

	if (!search->tstate)
		return !interp ||
		       kb_read_user(&search->tstate, 8, interp + layout->interp_threads_head) ||
		       kb_read_user(&search->interp, 8, interp + layout->interp_next);
	if (!load_tstate(search->walk, search->tstate))
		return 1;
	if (is_own(search->walk, layout, search->tp)) {
		search->found = search->tstate;
		return 1;
	}
	search->tstate = kb_tstate_field(search->walk, layout->tstate_next);
	return 0;
}

/*
 * Before Linux 6.7 (commit ab5cfac139ab) the verifier looks at a callback of bpf_loop as if it were
 * called once, and drops what cannot happen then: that there is a next thread state must not be
 * known to begin with.
 */
static volatile kb_u64 unknown_zero;

static __always_inline kb_u64 search_lists(struct kb_walk *walk, struct kb_proc *proc,
					   const struct kb_layout *layout, kb_u64 tp)
{
	struct search search = { .walk = walk, .layout = layout, .tp = tp, .tstate = unknown_zero };

	if (!kb_read_user(&search.interp, 8, proc->interp_head))
		bpf_loop(LIST_STEPS_MAX, search_step, &search, 0);
	return search.found;
}

/* The lists' answer, cached by thread. True when the scratch holds the thread's state. */
static __noinline int listed(struct kb_walk *walk, struct kb_proc *proc,
			     const struct kb_layout *layout, kb_u64 tp, kb_u32 tid)
{
	struct cached_tstate *cached = bpf_map_lookup_elem(&tstates, &tid), fresh = {};

	if (cached && cached->proc == proc->id) {
		if (!cached->tstate && ++cached->misses % MISSES_PER_SEARCH)
			return 0;
		if (cached->tstate && load_tstate(walk, cached->tstate) && is_own(walk, layout, tp))
			return 1;
	}
	fresh.proc = proc->id;
	fresh.tstate = search_lists(walk, proc, layout, tp);
	bpf_map_update_elem(&tstates, &tid, &fresh, BPF_ANY);
	return fresh.tstate != 0;
}

/* The thread state that a thread-local variable points to, 0: none. It is the thread's own by its
 * nature. */
static __always_inline kb_u64 thread_local(struct kb_proc_tls *tls, kb_u64 tp)
{
	kb_u64 address = tls->kind ? kb_tls_address(tls, tp) : 0, tstate = 0;

	if (address)
		kb_read_user(&tstate, 8, address);
	return tstate;
}

/* Loads the thread's state into the scratch by the first of the other ways that has one. */
static __noinline int load_own_tstate(struct kb_walk *walk, struct kb_proc *proc,
				      const struct kb_layout *layout, kb_u64 tp, kb_u32 tid)
{
	kb_u64 tstate = 0;

	if (!walk || !proc || !layout)
		return 0;
	if (proc->tstate_current) {
		walk->attached = !kb_read_user(&tstate, 8, proc->tstate_current) &&
				 load_tstate(walk, tstate) && is_own(walk, layout, tp);
		if (walk->attached)
			return 1;
	}
	/* From 3.12 a state may run in another thread than its creator's, whose id it keeps. */
	if (proc->tss_key && load_tstate(walk, thread_specific(proc->tss_key, tp)) &&
	    (layout->version_minor >= 12 || is_own(walk, layout, tp)))
		return 1;
	return listed(walk, proc, layout, tp, tid);
}

/* Makes the frame that they point to the one to start the walk at. */
static __always_inline int start_at(struct kb_walk *walk, const struct kb_layout *layout,
				    const struct frame_pointers *frames)
{
	kb_u64 current = frames->current, cframe[2];

	walk->caller_cframe = 0;
	if (current && layout->cframe_current_frame != KB_NO_OFFSET) {
		/* In 3.11 and 3.12 it is a _PyCFrame, whose current_frame is followed by previous.
		 */
		if (kb_read_user(cframe, sizeof(cframe), current + layout->cframe_current_frame))
			return KB_WALK_TSTATE_UNREADABLE;
		current = cframe[0];
		walk->caller_cframe = cframe[1];
	}
	walk->frame = current;
	walk->last_frame = layout->flags & KB_LAYOUT_BASE_FRAME ? frames->base : 0;
	return current ? KB_WALK_OK : KB_WALK_NO_FRAME;
}

__noinline int kb_find_thread(struct kb_walk *walk, struct kb_proc *proc,
			      const struct kb_layout *layout, kb_u64 tp, kb_u32 tid)
{
	struct frame_pointers frames = {};
	kb_u64 tstate;

	if (!walk || !proc || !layout)
		return KB_WALK_TSTATE_UNREADABLE;
	walk->gc_frame = 0;
	tstate = thread_local(&proc->tstate_tls, tp);
	walk->attached = tstate != 0;
	if (!tstate)
		tstate = thread_local(&proc->gilstate_tls, tp);
	if (tstate && !load_tstate_head(walk, layout, tstate))
		return KB_WALK_TSTATE_UNREADABLE;
	if (!tstate && !load_own_tstate(walk, proc, layout, tp, tid))
		return KB_WALK_NOT_PYTHON_THREAD;
	frames.current = kb_tstate_field(walk, layout->tstate_frame);
	frames.base = kb_tstate_field(walk, layout->tstate_frame + sizeof(frames.current));
	return start_at(walk, layout, &frames);
}

__noinline int kb_find_frame_of(struct kb_walk *walk, const struct kb_layout *layout, kb_u64 tstate)
{
	struct frame_pointers frames = {};

	if (!walk || !layout)
		return KB_WALK_TSTATE_UNREADABLE;
	walk->gc_frame = 0;
	if (kb_read_user(&frames, sizeof(frames), tstate + layout->tstate_frame))
		return KB_WALK_TSTATE_UNREADABLE;
	return start_at(walk, layout, &frames);
}

/*
 * 3.11 and 3.12 make a new _PyCFrame the thread's before they fill it in (the
 * prologue of _PyEval_EvalFrameDefault; 20 instructions in one build), and until
 * then its current_frame is whatever lay on the C stack. Where memory can not be
 * read because of something else, it can not be from the caller's frame either.
 */
__noinline int kb_find_caller(struct kb_walk *walk, const struct kb_layout *layout)
{
	kb_u64 frame = 0;

	if (!walk || !layout || !walk->caller_cframe ||
	    kb_read_user(&frame, 8, walk->caller_cframe + layout->cframe_current_frame))
		return 0;
	walk->frame = frame;
	return frame != 0;
}
