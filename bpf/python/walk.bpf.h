/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_WALK_BPF_H
#define KB_PYTHON_WALK_BPF_H

#include "common/env.bpf.h"
#include "shared/events.h"
#include "shared/layout.h"
#include "shared/process.h"

#define KB_PAGE_SIZE                                                                               \
	4096 /* the smallest page: a read that ends in it faults as a whole or not at all */
#define KB_FRAME_SPAN                                                                              \
	128 /* bytes of a frame that a window must hold; layouts are checked against it */
#define KB_TSTATE_SPAN 256 /* bytes of a thread state that one read takes; likewise */
/* Up to 3.13 every loop's running task is a candidate: more loops than these are not all seen. */
#define KB_TASK_CANDIDATES 4

enum kb_walk_status {
	KB_WALK_OK = 0,
	KB_WALK_TRUNCATED,
	KB_WALK_NOT_PYTHON_THREAD,
	KB_WALK_TSTATE_UNREADABLE,
	KB_WALK_FRAME_UNREADABLE,
	KB_WALK_NO_FRAME,
};

/* Scratch of one walk and its result. `head` and `words` are sent as they stand. */
struct kb_walk {
	struct kb_data_stack head;
	kb_u64 words[KB_WORDS_MAX];
	kb_u64 n_frames;      /* words before the tail */
	kb_u64 frame;	      /* where to start: set by kb_find_thread */
	kb_u64 last_frame;    /* where to stop, not part of the stack; 0: at the end of the chain */
	kb_u64 caller_cframe; /* 3.11 and 3.12: of the C call before, else 0 */
	kb_u64 gc_frame;      /* that a collection began on top of; 0: none, or it is not known */
	kb_u64 tstate_at;     /* the thread state's address, its bytes are below; 0: it has none */
	kb_u64 attached; /* the interpreter says that this thread state runs: it holds the GIL */
	kb_u64 state;	 /* KB_STATE_*, as far as the run asks for it */
	kb_u64 checks;	 /* counts samples on this CPU: whose frame is verified */
	kb_u64 callee;	 /* the last Python frame that was met, NO_CALLEE: none */
	kb_u64 entry;	 /* the last entry frame, 0: none … */
	kb_u64 entry_callee; /* … and the Python frame in front of it */
	/* How the chain ended last time: the entry frame, the Python frame in front of it, the
	 * seed, and how often that was taken for known. */
	kb_u64 end_frame, end_callee, end_seed, end_uses;
	/* With KB_WANT_TASKS: tasks that this thread may be running, and their coroutines' frames
	 * (0: none). */
	kb_u64 tasks[KB_TASK_CANDIDATES];
	kb_u64 task_frames[KB_TASK_CANDIDATES];
	kb_u64 task;	   /* the innermost of them that has its frame in the stack, else 0 … */
	kb_u64 task_depth; /* … and how many words of the stack are its own */
	kb_u8 tstate[KB_TSTATE_SPAN];
	kb_u8 window[KB_PAGE_SIZE + KB_FRAME_SPAN];
};

/*
 * Finds the current thread's innermost frame (into walk->frame). tp is the
 * thread pointer, tid the host's thread id (a cache key). Returns enum
 * kb_walk_status.
 */
int kb_find_thread(struct kb_walk *walk, struct kb_proc *proc, const struct kb_layout *layout,
		   kb_u64 tp, kb_u32 tid);

/* Instead of a frame's address, when KB_WORD_GC stands on top of it already. */
#define KB_GC_PLACED 1

/*
 * The same for another thread, by its thread state. That thread may be running, so what the
 * walk finds then need not be a stack that it ever had.
 */
int kb_find_frame_of(struct kb_walk *walk, const struct kb_layout *layout, kb_u64 tstate);

/*
 * After a walk that met unreadable memory: makes walk->frame the one that called
 * into the interpreter. False when there is no other place to start.
 */
int kb_find_caller(struct kb_walk *walk, const struct kb_layout *layout);

/*
 * Walks from walk->frame to the root: fills words, n_frames, head.n_words and
 * head.hash, seeded with the process id. Returns enum kb_walk_status.
 */
int kb_walk_frames(struct kb_walk *walk, const struct kb_layout *layout, kb_u32 seed);

#define KB_WALK_FACTOR                                                                             \
	0x9E3779B97F4A7C15ULL /* 2^64 / golden ratio: spreads neighbouring addresses               \
			       */

static __always_inline kb_u64 kb_walk_mix(kb_u64 hash, kb_u64 word)
{
	kb_u64 h = (hash ^ word) * KB_WALK_FACTOR;

	return h ^ (h >> 29);
}

static __always_inline kb_u64 kb_lasti(kb_u64 instr, kb_u64 code, const struct kb_layout *layout)
{
	kb_u64 unit;

	if (layout->lasti_kind == KB_LASTI_POINTER)
		unit = (kb_u64)((kb_s64)(instr - code - layout->code_instructions) >> 1);
	else if ((kb_s32)instr < 0)
		return KB_LASTI_START;
	else
		unit = (kb_u32)instr >> (layout->lasti_kind == KB_LASTI_BYTES);
	if (unit < KB_LASTI_START)
		return unit;
	/* One unit before the first: the frame is set up and has executed nothing. */
	return unit == ~0ULL ? KB_LASTI_START : KB_LASTI_UNKNOWN;
}

/* What stands in a stack for a frame with these fields. */
static __always_inline kb_u64 kb_frame_word(kb_u64 instr, kb_u64 code,
					    const struct kb_layout *layout)
{
	kb_u64 word = code << (KB_LASTI_BITS - 3);

	/* Without a code object it must not read as one of KB_WORD_IS(). */
	return word | (word ? kb_lasti(instr, code, layout) : KB_LASTI_UNKNOWN);
}

/* A stack without Python frames, to which a tail may be appended. */
static __always_inline void kb_walk_clear(struct kb_walk *walk, kb_u32 seed)
{
	walk->n_frames = 0;
	walk->head.n_words = 0;
	walk->head.hash = kb_walk_mix(0, seed);
}

/*
 * Appends a word to the tail of a walked stack and to its hash: what is appended tells stacks
 * apart. Beyond KB_WORDS_MAX it is dropped, so ask for room before a section of several words.
 */
static __always_inline void kb_walk_append(struct kb_walk *walk, kb_u64 word)
{
	kb_u64 n = walk->head.n_words;

	KB_OPAQUE(n);
	if (n >= KB_WORDS_MAX)
		return;
	walk->words[n] = word;
	walk->head.n_words = n + 1;
	walk->head.hash = kb_walk_mix(walk->head.hash, word);
}

#endif
