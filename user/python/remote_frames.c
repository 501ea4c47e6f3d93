// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "bpf/shared/events.h"
#include "python/layout.h"
#include "python/opcode.h"
#include "python/remote_frames.h"

/* A process that changes all the time is not read for ever. */
#define TRIES_MAX 3

#define EXTENDED_ARGS_MAX 3 /* prefixes of one instruction: its argument has 32 bits */

void kb_remote_stack__free(struct kb_remote_stack *stack)
{
	free(stack->frames);
	memset(stack, 0, sizeof(*stack));
}

const char *kb_remote_walk__text(enum kb_remote_walk walk)
{
	static const char *const texts[KB_REMOTE_WALKS] = {
		[KB_REMOTE_OK] = "read",
		[KB_REMOTE_NO_FRAME] = "runs no Python code",
		[KB_REMOTE_RUNNING] = "it was running",
		[KB_REMOTE_UNREADABLE] = "its memory could not be read",
		[KB_REMOTE_BAD_FRAME] = "a frame holds no code object",
		[KB_REMOTE_GONE] = "it has ended",
	};

	return texts[walk];
}

static uint64_t field(const uint8_t *bytes, uint16_t offset)
{
	uint64_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

/*
 * Where the instructions of a frame begin. In free-threaded builds from 3.14 each thread may run a
 * copy of its own (PyCodeObject.co_tlbc, a _PyCodeArray of a size and pointers; number 0 is the
 * object's own).
 */
static uint64_t instructions(struct kb_remote *remote, const uint8_t *frame, uint64_t code)
{
	const struct kb_layout *layout = remote->layout;
	uint64_t array, size, copy;
	int32_t index;

	if (layout->frame_tlbc_index == KB_NO_OFFSET || layout->code_tlbc == KB_NO_OFFSET)
		return code + layout->code_instructions;
	memcpy(&index, frame + layout->frame_tlbc_index, sizeof(index));
	if (index > 0 && kb_pages__read_u64(remote->pages, code + layout->code_tlbc, &array) &&
	    kb_pages__read_u64(remote->pages, array, &size) && (uint64_t)index < size &&
	    kb_pages__read_u64(remote->pages, array + 8 + (uint64_t)index * 8, &copy) && copy)
		return copy;
	return code + layout->code_instructions;
}

/* The same that bpf/python/walk.bpf.c says of a frame. */
static uint32_t lasti(struct kb_remote *remote, const uint8_t *frame, uint64_t code)
{
	const struct kb_layout *layout = remote->layout;
	int64_t unit;
	int32_t offset;

	if (layout->lasti_kind == KB_LASTI_POINTER) {
		unit = (int64_t)(field(frame, layout->frame_instr) -
				 instructions(remote, frame, code)) >>
		       1;
		if (unit == -1)
			return KB_LASTI_START;
	} else {
		memcpy(&offset, frame + layout->frame_instr, sizeof(offset));
		if (offset < 0)
			return KB_LASTI_START;
		unit = offset >> (layout->lasti_kind == KB_LASTI_BYTES);
	}
	return unit >= 0 && unit < KB_LASTI_START ? (uint32_t)unit : KB_LASTI_UNKNOWN;
}

/* The innermost frame and, in 3.15, the empty one that ends the chain. */
static bool ends_of_chain(struct kb_remote *remote, uint64_t tstate, uint64_t *first,
			  uint64_t *last)
{
	const struct kb_layout *layout = remote->layout;

	*last = 0;
	if (!kb_pages__read_u64(remote->pages, tstate + layout->tstate_frame, first))
		return false;
	if ((layout->flags & KB_LAYOUT_BASE_FRAME) &&
	    !kb_pages__read_u64(remote->pages, tstate + layout->tstate_frame + 8, last))
		return false;
	if (!*first || layout->cframe_current_frame == KB_NO_OFFSET)
		return true;
	return kb_pages__read_u64(remote->pages, *first + layout->cframe_current_frame, first);
}

static bool add(struct kb_remote_stack *stack, uint64_t address, uint64_t code, uint32_t unit)
{
	struct kb_remote_frame *grown =
		kb_array__grow(stack->frames, &stack->capacity, stack->n + 1, sizeof(*grown),
			       KB_REMOTE_FRAMES_MAX);

	if (!grown)
		return false;
	stack->frames = grown;
	/* Compared as memory, padding and all. */
	memset(&grown[stack->n], 0, sizeof(*grown));
	grown[stack->n].address = address;
	grown[stack->n].code = code;
	grown[stack->n++].lasti = unit;
	return true;
}

/*
 * Whether C code called the interpreter with this frame: each one up to 3.10; 3.11 has a flag.
 * From 3.12 a frame of another owner follows, see walk.
 */
static bool is_entry(const struct kb_layout *layout, const uint8_t *frame)
{
	if (layout->version_minor <= 10)
		return true;
	return layout->frame_is_entry != KB_NO_OFFSET && frame[layout->frame_is_entry];
}

static uint64_t instruction(struct kb_remote *remote, const uint8_t *bytes,
			    const struct kb_remote_frame *frame)
{
	uint64_t code_bytes;

	if (frame->lasti >= KB_LASTI_START)
		return 0;
	if (remote->layout->lasti_kind == KB_LASTI_POINTER)
		return field(bytes, remote->layout->frame_instr);
	if (!kb_pages__read_u64(remote->pages, frame->code + remote->objects->code_code,
				&code_bytes))
		return 0;
	return code_bytes + remote->layout->bytes_data + 2 * (uint64_t)frame->lasti;
}

int kb_remote_frames__opcode(struct kb_remote *remote, const struct kb_remote_frame *frame)
{
	int prefix = kb_opcode__number(remote->layout->version_minor, "EXTENDED_ARG");
	uint8_t opcode;

	for (uint64_t i = 0; i <= EXTENDED_ARGS_MAX && frame->instruction; i++) {
		if (!kb_pages__read(remote->pages, frame->instruction + 2 * i, &opcode, 1))
			break;
		if (opcode != prefix)
			return opcode;
	}
	return -1;
}

/* A frame whose bytes were read. */
static enum kb_remote_walk take(struct kb_remote *remote, uint64_t address, const uint8_t *bytes,
				struct kb_remote_stack *stack)
{
	uint64_t code = field(bytes, remote->layout->frame_code) & ~7ull, type;

	if (!kb_pages__read_u64(remote->pages, code + remote->layout->object_type, &type))
		return KB_REMOTE_UNREADABLE;
	if (type != remote->code_type)
		return KB_REMOTE_BAD_FRAME;
	stack->cut = !add(stack, address, code, lasti(remote, bytes, code));
	if (!stack->cut) {
		struct kb_remote_frame *frame = &stack->frames[stack->n - 1];

		frame->entry = is_entry(remote->layout, bytes);
		frame->instruction = instruction(remote, bytes, frame);
	}
	return KB_REMOTE_OK;
}

bool kb_remote_frames__add(struct kb_remote *remote, uint64_t address,
			   struct kb_remote_stack *stack)
{
	uint8_t bytes[KB_FRAME_SIZE_MAX];

	return kb_pages__read(remote->pages, address, bytes, remote->layout->frame_size) &&
	       take(remote, address, bytes, stack) == KB_REMOTE_OK && !stack->cut;
}

enum kb_remote_walk kb_remote_frames__walk(struct kb_remote *remote, uint64_t tstate,
					   struct kb_remote_stack *stack)
{
	const struct kb_layout *layout = remote->layout;
	uint64_t frame, last, steps = 0;
	uint8_t bytes[KB_FRAME_SIZE_MAX];
	enum kb_remote_walk walk;

	stack->n = 0;
	stack->cut = false;
	if (!ends_of_chain(remote, tstate, &frame, &last))
		return KB_REMOTE_UNREADABLE;
	for (; frame && frame != last; frame = field(bytes, layout->frame_previous)) {
		/* A chain may be a circle, of frames that are skipped as well. */
		if (steps++ > 2 * KB_REMOTE_FRAMES_MAX)
			stack->cut = true;
		if (stack->cut)
			break;
		if (!kb_pages__read(remote->pages, frame, bytes, layout->frame_size))
			return KB_REMOTE_UNREADABLE;
		if (layout->skip_owner && bytes[layout->frame_owner] >= layout->skip_owner) {
			if (stack->n)
				stack->frames[stack->n - 1].entry = true;
			continue;
		}
		walk = take(remote, frame, bytes, stack);
		if (walk != KB_REMOTE_OK)
			return walk;
	}
	return stack->n ? KB_REMOTE_OK : KB_REMOTE_NO_FRAME;
}

static bool same(const struct kb_remote_stack *a, const struct kb_remote_stack *b)
{
	return a->n == b->n && a->cut == b->cut &&
	       (!a->n || !memcmp(a->frames, b->frames, a->n * sizeof(*a->frames)));
}

/* One try; KB_REMOTE_RUNNING when it did not hold still. */
static enum kb_remote_walk try_asleep(struct kb_remote *remote,
				      const struct kb_remote_thread *thread,
				      struct kb_remote_stack *stack, struct kb_remote_stack *again,
				      struct kb_thread_look *look, kb_remote_inside_fn inside,
				      void *context)
{
	struct kb_thread_look after;
	enum kb_remote_walk walk;

	kb_thread_look__take(remote->pid, thread->tid, look);
	if (!look->state)
		return KB_REMOTE_GONE;
	if (!look->asleep)
		return KB_REMOTE_RUNNING;
	kb_remote__begin(remote);
	walk = kb_remote_frames__walk(remote, thread->tstate, stack);
	if (inside && (walk == KB_REMOTE_OK || walk == KB_REMOTE_NO_FRAME))
		inside(remote, stack, context);
	kb_pages__forget(remote->pages);
	if (kb_remote_frames__walk(remote, thread->tstate, again) != walk || !same(stack, again))
		return KB_REMOTE_RUNNING;
	kb_thread_look__take(remote->pid, thread->tid, &after);
	return kb_thread_look__slept(look, &after) ? walk : KB_REMOTE_RUNNING;
}

enum kb_remote_walk kb_remote_frames__asleep(struct kb_remote *remote,
					     const struct kb_remote_thread *thread,
					     struct kb_remote_stack *stack,
					     struct kb_thread_look *look,
					     kb_remote_inside_fn inside, void *context)
{
	struct kb_remote_stack again = {};
	enum kb_remote_walk walk = KB_REMOTE_GONE;
	struct kb_thread_look own;

	if (!thread->tid)
		return walk;
	for (int i = 0; i < TRIES_MAX; i++) {
		walk = try_asleep(remote, thread, stack, &again, look ? look : &own, inside,
				  context);
		/* On a CPU: it will not be asleep for the next try either. */
		if (walk != KB_REMOTE_RUNNING || !(look ? look : &own)->asleep)
			break;
	}
	kb_remote_stack__free(&again);
	return walk;
}
