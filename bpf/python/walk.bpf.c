// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The walk over the interpreter's frames.
 *
 * A read of user memory costs 70 to 80 ns whatever its size, so the cost of a
 * walk is the number of reads. From 3.11 on frames lie next to each other in the
 * thread's data stack, callers below their callees: reading from the start of
 * the page up to the end of the frame at hand brings in most of its callers too.
 * The window stays as long as the next frame lies in it.
 *
 * For the verifier: the loop is an open-coded iterator, so that its body is
 * checked once and not once per frame. That works only if what the loop carries
 * is unknown from the start, hence `unknown_zero`; offsets that come from the
 * layout are masked to the window just before their use. Kernels before 6.4 have
 * no iterators: there bpf_loop (Linux 5.17) calls the same step, with what the loop
 * carries on the stack instead of in registers.
 */
#include "common/maps.bpf.h"
#include "python/walk.bpf.h"

static volatile kb_u64 unknown_zero;

/* Set before loading, by tests: walk as on a kernel that has no iterators. */
const volatile kb_u32 kb_walk_without_iterators = 0;

/*
 * Frames of one arena or data stack lie this close together. One that lies further
 * away, such as an entry frame on the C stack, is read alone: the page below it
 * holds no frames, and its cache lines are cold.
 */
#define NEAR (256 << 10)

#define END_USES 8 /* of what is known of a chain's end, before it is looked at again */

/*
 * Frames in a turn of the loop, each of which is a call. The verifier goes through all of them:
 * where it has more to look at there are fewer.
 */
#define IN_A_TURN 16
#define UNROLL	  4

/* Field of the frame at `at` in the window; every field ends before KB_FRAME_SPAN. */
static __always_inline kb_u64 field(kb_u8 *at, kb_u64 offset)
{
	KB_OPAQUE(offset);
	return *(kb_u64 *)(at + (offset & (KB_FRAME_SPAN - 8)));
}

/*
 * Makes the frame's first `span` bytes part of the window: no more than its fields, because what
 * lies behind the newest frame may not be in memory. Returns its offset there, or -1.
 */
static __always_inline kb_s64 read_window(struct kb_walk *walk, kb_u64 frame, kb_u64 span,
					  kb_u64 *base, kb_u64 *end)
{
	kb_u64 offset = frame - *base, size;

	offset = *end && offset + NEAR > 2 * NEAR ? 0 : frame & (KB_PAGE_SIZE - 1);
	*base = frame - offset;
	size = offset + span;
	KB_OPAQUE(size);
	if (size > sizeof(walk->window) || kb_read_user(walk->window, size, *base))
		return -1;
	/* Not of `size`: kept over the call it would be spilled, and Linux 6.1 takes what it has
	 * checked in a register for unchecked when it comes back from the stack. */
	*end = offset + span;
	return offset;
}

#define NO_CALLEE 1 /* no frame's address */

/* What the walk carries from frame to frame: in registers where the loop is an iterator. */
struct walk_state {
	struct kb_walk *walk;
	const struct kb_layout *layout;
	kb_u64 frame; /* the next one; 0: none */
	kb_u64 last;
	kb_u64 seed;
	kb_u64 span;
	kb_u64 skip_owner;
	kb_u64 is_entry; /* offset of the flag, or KB_NO_OFFSET */
	kb_u64 hash, base, end, n;
	kb_u64 status; /* enum kb_walk_status */
};

/*
 * What the run wants of a walk and how many frames: constants for the compiler in the usual run, so
 * that a frame costs no more than it must; else from the configuration, which the verifier knows.
 */
struct walk_wish {
	kb_u32 want, frames_max;
};
#define USUAL_WANT  (KB_WANT_NATIVE_MARKS | KB_WANT_GC)
#define WALK_WANTS  (USUAL_WANT | KB_WANT_TASKS)
#define USUAL_WISH  ((struct walk_wish){ .want = USUAL_WANT })
#define CONFIG_WISH ((struct walk_wish){ .want = config.want, .frames_max = config.frames_max })

static __always_inline void put_word(struct walk_state *s, kb_u64 word)
{
	kb_u64 n = s->n;

	KB_OPAQUE(n);
	s->walk->words[n & (KB_FRAMES_MAX - 1)] = word;
	s->n++;
	s->hash = kb_walk_mix(s->hash, word);
}

/*
 * Where C code called the interpreter. 3.12 and later put a frame of another owner on the chain
 * when the eval loop is entered, in place of which the mark stands; 3.11 has a flag in the frame
 * that it is entered with, behind which it stands. Earlier versions enter the eval loop for each
 * frame and have no marks.
 */
#define NATIVE_MARK KB_WORD(KB_WORD_NATIVE_MARK, 0)

/* Is the frame at hand that of a task's own coroutine? It and all on top of it are the task's. */
static __always_inline void look_for_task(struct walk_state *s)
{
	struct kb_walk *walk = s->walk;

#pragma unroll
	for (int i = 0; i < KB_TASK_CANDIDATES; i++) {
		if (walk->task_frames[i] == s->frame && !walk->task) {
			walk->task = walk->tasks[i];
			walk->task_depth = s->n + 1;
		}
	}
}

/*
 * The chain ends in an entry frame far away on the C stack, and reading that takes as long as seven
 * other frames do. Is it the one in which the chain ended last time, called by the same Python
 * frame? It is looked at again now and then. What tells is in the scratch and compared at once: of
 * what it knows to be copies of the frame's address, the verifier would keep track.
 */
static __always_inline int is_known_end(struct kb_walk *walk, kb_u64 frame, kb_u64 seed)
{
	kb_u64 other = (frame ^ walk->end_frame) | (walk->callee ^ walk->end_callee) |
		       (seed ^ walk->end_seed);

	return !other && walk->end_uses++ < END_USES;
}

static __always_inline void learn_end(struct kb_walk *walk, kb_u64 seed)
{
	if (!walk->entry || walk->callee != walk->entry_callee || walk->callee == NO_CALLEE)
		return;
	walk->end_frame = walk->entry;
	walk->end_callee = walk->callee;
	walk->end_seed = seed;
	walk->end_uses = 0;
}

/* Takes one frame. True at the end of the walk. */
static __always_inline int walk_step(struct walk_state *s, struct walk_wish wish)
{
	const struct kb_layout *layout = s->layout;
	kb_u64 frame = s->frame, offset, code, instr, owner, word;
	kb_u8 *at;

	if (KB_RARELY(!frame || frame == s->last))
		return 1;
	if (wish.frames_max) {
		/* Of a masked copy, as below. */
		offset = s->n & (2 * KB_FRAMES_MAX - 1);
		KB_OPAQUE(offset);
		if (offset >= wish.frames_max)
			return 1;
	}
	offset = frame - s->base;
	if (KB_RARELY(offset + s->span > s->end || offset >= KB_PAGE_SIZE)) {
		if (is_known_end(s->walk, frame, s->seed)) {
			if (wish.want & KB_WANT_NATIVE_MARKS)
				put_word(s, NATIVE_MARK);
			s->frame = 0;
			return 1;
		}
		offset = read_window(s->walk, frame, s->span, &s->base, &s->end);
		if ((kb_s64)offset < 0) {
			s->status = KB_WALK_FRAME_UNREADABLE;
			return 1;
		}
	}
	KB_OPAQUE(offset);
	/* Frames that are nearer to the leaf are those of finalizers and callbacks that it runs. */
	if (wish.want & KB_WANT_GC && KB_RARELY(frame == s->walk->gc_frame)) {
		put_word(s, KB_WORD(KB_WORD_GC, 0));
		s->walk->gc_frame = KB_GC_PLACED;
	}
	at = s->walk->window + (offset & (KB_PAGE_SIZE - 1));
	code = field(at, layout->frame_code) & ~7ULL;
	instr = field(at, layout->frame_instr);
	owner = layout->frame_owner;
	KB_OPAQUE(owner);
	owner = at[owner & (KB_FRAME_SPAN - 1)];
	if (wish.want & KB_WANT_TASKS)
		look_for_task(s);
	s->frame = field(at, layout->frame_previous);
	if (KB_RARELY(owner >= s->skip_owner)) {
		s->walk->entry = frame;
		s->walk->entry_callee = s->walk->callee;
		if (wish.want & KB_WANT_NATIVE_MARKS)
			put_word(s, NATIVE_MARK);
		return 0;
	}
	s->walk->callee = frame;
	word = kb_frame_word(instr, code, layout);
	put_word(s, word);
	if (!(wish.want & KB_WANT_NATIVE_MARKS) || !KB_RARELY(s->is_entry != KB_NO_OFFSET))
		return 0;
	owner = s->is_entry;
	KB_OPAQUE(owner);
	if (at[owner & (KB_FRAME_SPAN - 1)])
		put_word(s, NATIVE_MARK);
	/* Two words in a step: it may have fewer steps than there are. A masked copy is compared,
	 * so that the verifier learns nothing of n, which would be another state for it. */
	offset = s->n & (2 * KB_FRAMES_MAX - 1);
	KB_OPAQUE(offset);
	return offset >= KB_FRAMES_MAX - 1;
}

static __always_inline void walk_start(struct walk_state *s, struct kb_walk *walk,
				       const struct kb_layout *layout, kb_u32 seed)
{
	s->walk = walk;
	s->layout = layout;
	s->frame = walk->frame;
	s->last = walk->last_frame;
	s->seed = seed;
	s->is_entry = layout->frame_is_entry;
	s->span = layout->frame_size;
	s->skip_owner = layout->skip_owner ? layout->skip_owner : 256;
	/* Each read apart: copies of one unknown would be tied together. */
	s->hash = kb_walk_mix(unknown_zero, seed);
	s->base = unknown_zero + 1;
	s->end = unknown_zero;
	s->n = unknown_zero;
	s->status = unknown_zero;
	walk->callee = NO_CALLEE;
	walk->entry = 0;
	if (config.want & KB_WANT_TASKS)
		walk->task = 0;
}

static __always_inline int walk_end(const struct walk_state *s)
{
	kb_u64 n = s->n, last = n - 1;

	/* Every chain ends with an entry, which says nothing. */
	KB_OPAQUE(last);
	if (config.want & KB_WANT_NATIVE_MARKS && n &&
	    s->walk->words[last & (KB_FRAMES_MAX - 1)] == NATIVE_MARK)
		n--;
	s->walk->n_frames = n;
	s->walk->head.n_words = n;
	s->walk->head.hash = s->hash;
	if (s->status)
		return s->status;
	if (s->frame && s->frame != s->last)
		return KB_WALK_TRUNCATED;
	learn_end(s->walk, s->seed);
	return n ? KB_WALK_OK : KB_WALK_NO_FRAME;
}

static __always_inline int walk_by_iterator(struct kb_walk *walk, const struct kb_layout *layout,
					    kb_u32 seed, struct walk_wish wish, int in_a_turn)
{
	struct walk_state state;
	struct bpf_iter_num it;

	walk_start(&state, walk, layout, seed);
	bpf_iter_num_new(&it, 0, KB_FRAMES_MAX / in_a_turn);
	while (bpf_iter_num_next(&it)) {
#pragma nounroll
		for (int i = 0; i < in_a_turn; i++) {
			KB_OPAQUE(i);
			if (walk_step(&state, wish))
				goto done;
		}
	}
done:
	bpf_iter_num_destroy(&it);
	return walk_end(&state);
}

/*
 * Functions of their own: a function's stack has room for all that is inlined, needed or not, and
 * that of all that are called by each other is limited (512 bytes).
 */
static __noinline int walk_as_usual(struct kb_walk *walk, const struct kb_layout *layout,
				    kb_u32 seed)
{
	return walk_by_iterator(walk, layout, seed, USUAL_WISH, IN_A_TURN);
}

static __noinline int walk_as_wished(struct kb_walk *walk, const struct kb_layout *layout,
				     kb_u32 seed)
{
	return walk_by_iterator(walk, layout, seed, CONFIG_WISH, UNROLL);
}

static long loop_step(kb_u64 index, struct walk_state *state)
{
#pragma unroll
	for (int i = 0; i < UNROLL; i++) {
		if (walk_step(state, CONFIG_WISH))
			return 1;
	}
	return 0;
}

/* A function of its own: the state that is passed to bpf_loop must lie on the stack. */
static __noinline int walk_by_loop(struct kb_walk *walk, const struct kb_layout *layout,
				   kb_u32 seed)
{
	struct walk_state state;

	walk_start(&state, walk, layout, seed);
	bpf_loop(KB_FRAMES_MAX / UNROLL, loop_step, &state, 0);
	return walk_end(&state);
}

__noinline int kb_walk_frames(struct kb_walk *walk, const struct kb_layout *layout, kb_u32 seed)
{
	if (!walk || !layout)
		return KB_WALK_FRAME_UNREADABLE;
	if (kb_walk_without_iterators || !KB_HAVE_KFUNC(bpf_iter_num_new))
		return walk_by_loop(walk, layout, seed);
	if ((config.want & WALK_WANTS) == USUAL_WANT && !config.frames_max)
		return walk_as_usual(walk, layout, seed);
	return walk_as_wished(walk, layout, seed);
}
