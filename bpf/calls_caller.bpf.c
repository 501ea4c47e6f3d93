// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Who called a frame: brings its caller to the top of the shadow stack.
 *
 * When the calling frame is not there at all (the first event of a thread, a generator that was
 * entered by a way without a probe), the stack is made anew from the interpreter's own.
 */
#include "calls.bpf.h"
#include "stack.bpf.h"

#define NEAR_CALLS 16 /* looked at one by one before a search */

__noinline int kb_call__pop_to_frame(struct kb_call_thread *t, kb_u64 frame, kb_u64 now)
{
	struct kb_call_frame *at;
	kb_u32 depth;

	if (!t)
		return 0;
	depth = t->depth;
	for (int i = 0; i < NEAR_CALLS; i++) {
		if (depth <= i)
			return 0;
		at = kb_call__at(t, depth - 1 - i);
		if (at && at->frame == frame) {
			kb_call__pop_to(t, depth - i, now);
			return 1;
		}
	}
	return 0;
}

__noinline kb_u64 kb_call__instr_of(const struct kb_layout *layout, kb_u64 frame)
{
	kb_u64 instr = 0;

	if (!layout || kb_read_user(&instr, layout->lasti_kind == KB_LASTI_POINTER ? 8 : 4,
				    frame + layout->frame_instr))
		return 0;
	return instr;
}

/*
 * Takes off what lies above the frame that called the one at hand: up to the C function that it
 * called, when that called on. False: it is not near.
 */
static __noinline int pop_to_caller(struct kb_call_thread *t, const struct kb_layout *layout,
				    kb_u64 frame, kb_u64 now)
{
	struct kb_call_frame *top;

	if (kb_call__with_c() && t->by_c &&
	    kb_call__pop_to_frame(t, frame | KB_CALL_FRAME_C, now)) {
		top = kb_call__top(t);
		if (top && top->instr == kb_call__instr_of(layout, frame))
			return 1;
	}
	return kb_call__pop_to_frame(t, frame, now);
}

/* As small as can be: before Linux 6.13 all functions share 512 bytes of stack, and from here it is
 * far to the end of a line table that is sent. */
struct chaining {
	struct kb_call_thread *t;
	struct kb_call_chain *chain;
	const struct kb_layout *layout;
};

/* Does the frame that was read last stand for no function? C code's, and 3.12's between a class and
 * its __init__. */
static __always_inline int is_no_function(struct kb_call_thread *t, const struct kb_layout *layout)
{
	kb_u8 opcode = 0;

	if (layout->skip_owner && t->owner >= layout->skip_owner) {
		t->by_c = 1;
		return 1;
	}
	if (!t->image.init_check)
		return 0;
	if (t->instr == t->shim && t->shim_freed == call_control.n_freed)
		return 1;
	if (kb_read_user(&opcode, 1, t->instr) || opcode != t->image.init_check)
		return 0;
	/* It is the same code for all classes. */
	if (t->image.sees_freed) {
		t->shim = t->instr;
		t->shim_freed = call_control.n_freed;
	}
	return 1;
}

static long chain_step(kb_u64 index, struct chaining *c)
{
	kb_u64 n = c->chain->n;

	if (!c->chain->frame || !kb_call__read_frame(c->t, c->layout, c->chain->frame))
		return 1;
	if (!is_no_function(c->t, c->layout)) {
		KB_OPAQUE(n);
		if (n >= KB_CALL_CHAIN_MAX)
			return 1;
		c->chain->frames[n] = c->chain->frame;
		c->chain->n = n + 1;
	}
	c->chain->frame = c->t->previous;
	return 0;
}

static __always_inline kb_u64 from_root(struct kb_call_chain *chain, kb_u64 index)
{
	kb_u64 at = chain->n - 1 - index;

	KB_OPAQUE(at);
	return at < KB_CALL_CHAIN_MAX ? chain->frames[at] : 0;
}

static long match_step(kb_u64 index, struct chaining *c)
{
	struct kb_call_frame *at;

	if (c->chain->matched >= c->chain->n || index >= c->t->depth)
		return 1;
	at = kb_call__at(c->t, index);
	if (kb_call__with_c() && at && at->frame & KB_CALL_FRAME_C)
		return 0;
	if (!at || at->frame != from_root(c->chain, c->chain->matched))
		return 1;
	c->chain->matched++;
	c->chain->depth = index + 1;
	return 0;
}

static long refill_step(kb_u64 index, struct chaining *c)
{
	kb_u64 place = c->chain->matched + index;

	if (place >= c->chain->n)
		return 1;
	if (!kb_call__read_frame(c->t, c->layout, from_root(c->chain, place)) ||
	    !kb_call__read_code(c->t) || !kb_call__push(c->t, c->layout, 0)) {
		c->chain->failed = 1;
		return 1;
	}
	return 0;
}

/* Makes the shadow stack what the interpreter's is below the frame at hand. */
static __always_inline int resync(struct kb_call_thread *t, const struct kb_layout *layout,
				  kb_u64 now)
{
	struct kb_call_scratch *scratch = kb_call__take_scratch(t);
	struct chaining c = { .t = t, .layout = layout };
	kb_u64 frame = t->frame;
	int failed;

	if (!scratch)
		return 0;
	kb_count(KB_L_CALLS_RESYNCED, 1);
	c.chain = &scratch->chain;
	c.chain->frame = t->previous;
	c.chain->n = c.chain->matched = c.chain->depth = c.chain->failed = 0;
	bpf_loop(4 * KB_CALL_CHAIN_MAX, chain_step, &c, 0);
	bpf_loop(2 * KB_CALL_CHAIN_MAX, match_step, &c, 0);
	kb_call__pop_to(t, c.chain->depth, now);
	bpf_loop(KB_CALL_CHAIN_MAX, refill_step, &c, 0);
	failed = c.chain->failed;
	kb_call__end_scratch(scratch);
	return kb_call__read_frame(t, layout, frame) && !failed;
}

/* If a frame stands for no function: goes to the one behind it. The frame at hand stays the same.
 */
static __always_inline int behind(struct kb_call_thread *t, const struct kb_layout *layout,
				  kb_u64 *previous)
{
	kb_u64 frame = t->frame, code = t->code, instr = t->instr, owner = t->owner;
	int is = 0;

	if (kb_call__take_frame(t, layout, *previous) && is_no_function(t, layout)) {
		*previous = t->previous;
		is = 1;
	}
	t->frame = frame;
	t->code = code;
	t->instr = instr;
	t->owner = owner;
	return is;
}

#define NO_FUNCTIONS_MAX 3 /* in a row: C code's, and a class's */

/* Did C code call the frame that was read last? 3.12 and later have a frame between that says so.
 */
static __always_inline int is_by_c(struct kb_call_thread *t, const struct kb_layout *layout)
{
	kb_u64 entry = layout->frame_is_entry;

	if (layout->skip_owner)
		return 0;
	KB_OPAQUE(entry);
	return layout->frame_is_entry == KB_NO_OFFSET || t->head[entry & (KB_FRAME_SPAN - 1)];
}

__noinline enum kb_call_caller kb_call__near_caller(struct kb_call_thread *t,
						    const struct kb_layout *layout)
{
	struct kb_call_frame *top;
	kb_u64 previous;

	if (!t || !layout)
		return KB_CALLER_UNKNOWN;
	t->by_c = kb_call__with_c() && is_by_c(t, layout);
	previous = t->previous;
	if (previous && kb_call__may_be_no_function(t))
		behind(t, layout, &previous);
	t->previous = previous;
	top = previous ? kb_call__top(t) : NULL;
	return top ? kb_call__near_top(t, top, previous) : KB_CALLER_UNKNOWN;
}

__noinline enum kb_call_caller kb_call__far_caller(struct kb_call_thread *t,
						   const struct kb_layout *layout, kb_u64 now)
{
	kb_u64 previous;

	if (!t || !layout)
		return KB_CALLER_UNKNOWN;
	previous = t->previous;
	if (previous && pop_to_caller(t, layout, previous, now))
		return KB_CALLER_ON_TOP;
	/* Frames that stand for no function: the caller is behind them. */
	for (int i = 0; i < NO_FUNCTIONS_MAX && previous; i++) {
		if (!behind(t, layout, &previous))
			break;
		if (previous && pop_to_caller(t, layout, previous, now))
			return KB_CALLER_ON_TOP;
	}
	if (!previous) {
		kb_call__pop_to(t, 0, now);
		return KB_CALLER_ON_TOP;
	}
	t->previous = previous;
	return resync(t, layout, now) ? KB_CALLER_ON_TOP : KB_CALLER_UNKNOWN;
}
