// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A suspended coroutine keeps what it awaits on top of its frame's value stack:
 *
 *   3.6-3.9    f_stacktop points behind it; 0 while it runs
 *   3.10       f_valuestack[f_stackdepth - 1]
 *   3.11-3.13  localsplus[stacktop - 1]
 *   3.14       stackpointer[-1], a tagged reference
 *   3.15       the same, but a NULL may lie above it
 *
 * Up to 3.10 the frame is an object that a finished coroutine has no more; from 3.11 it lies in the
 * coroutine, and gi_frame_state says what it does (enum _framestate in
 * Include/internal/pycore_frame.h, numbered anew in 3.13 and in 3.15).
 */
#include <stdlib.h>
#include <string.h>
#include "python/remote_coroutine.h"
#include "python/remote_object.h"

#define TAG_BITS 3ull

static bool word(struct kb_remote *remote, uint64_t address, uint64_t *value)
{
	return kb_pages__read_u64(remote->pages, address, value);
}

/* What has a frame of its own. */
static bool is_generator(const struct kb_remote_type *type)
{
	return !(type->flags & KB_TYPE_HEAP) &&
	       (!strcmp(type->name, "coroutine") || !strcmp(type->name, "generator") ||
		!strcmp(type->name, "async_generator"));
}

/* Types of Objects/genobject.c and iterobject.c that only pass on: what they wrap is their first
 * member. */
static bool is_wrapper(const struct kb_remote_type *type)
{
	static const char *const names[] = { "coroutine_wrapper", "async_generator_asend",
					     "async_generator_athrow", "anext_awaitable" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(type->name, names[i]))
			return true;
	}
	return false;
}

/* The address of its frame; false: it has none any more. */
static bool frame_of(struct kb_remote *remote, uint64_t object, uint64_t *frame)
{
	*frame = object + remote->objects->generator_frame;
	if (remote->layout->version_minor >= 11)
		return true;
	return word(remote, *frame, frame) && *frame;
}

static enum kb_remote_coroutine state_of_old_frame(struct kb_remote *remote, uint64_t frame)
{
	const struct kb_object_layout *at = remote->objects;
	uint64_t top;
	uint32_t lasti;
	bool stopped;

	if (!kb_pages__read_u32(remote->pages, frame + remote->layout->frame_instr, &lasti) ||
	    !word(remote, frame + at->frame_stacktop, &top))
		return KB_COROUTINE_NONE;
	if ((int32_t)lasti < 0)
		return KB_COROUTINE_CREATED;
	/* 3.10: an int, -1 while it runs. */
	stopped = remote->layout->version_minor == 10 ? (int32_t)top >= 0 : top != 0;
	return stopped ? KB_COROUTINE_SUSPENDED : KB_COROUTINE_RUNNING;
}

static enum kb_remote_coroutine state_by_number(unsigned int minor, int8_t state)
{
	if (minor >= 15)
		return state == 0   ? KB_COROUTINE_CREATED
		       : state <= 3 ? KB_COROUTINE_SUSPENDED
		       : state == 4 ? KB_COROUTINE_RUNNING
				    : KB_COROUTINE_FINISHED;
	if (state >= 0)
		return state ? KB_COROUTINE_FINISHED : KB_COROUTINE_RUNNING;
	return state == (minor >= 13 ? -3 : -2) ? KB_COROUTINE_CREATED : KB_COROUTINE_SUSPENDED;
}

static enum kb_remote_coroutine state_of(struct kb_remote *remote, uint64_t object)
{
	uint64_t frame;
	int8_t state;

	if (remote->layout->version_minor <= 10)
		return frame_of(remote, object, &frame) ? state_of_old_frame(remote, frame)
							: KB_COROUTINE_FINISHED;
	if (!kb_pages__read(remote->pages, object + remote->objects->generator_state, &state, 1))
		return KB_COROUTINE_NONE;
	return state_by_number(remote->layout->version_minor, state);
}

enum kb_remote_coroutine kb_remote_coroutine__state(struct kb_remote *remote, uint64_t object)
{
	struct kb_remote_type type;

	if (!kb_remote_object__type(remote, object, &type) || !is_generator(&type))
		return KB_COROUTINE_NONE;
	return state_of(remote, object);
}

/* The address behind the value stack's last element, and that of its first. */
static bool stack_ends(struct kb_remote *remote, uint64_t frame, uint64_t *bottom, uint64_t *top)
{
	const struct kb_object_layout *at = remote->objects;
	unsigned int minor = remote->layout->version_minor;

	*bottom = frame + at->frame_localsplus;
	if (minor <= 10 && !word(remote, frame + at->frame_valuestack, bottom))
		return false;
	if (!word(remote, frame + at->frame_stacktop, top))
		return false;
	if (minor >= 10 && minor <= 13) {
		if ((int32_t)*top < 0)
			return false;
		*top = *bottom + (*top & INT32_MAX) * 8;
	}
	return *top > *bottom;
}

/* What a suspended coroutine waits for, 0: cannot be told. */
static uint64_t awaited_by(struct kb_remote *remote, uint64_t frame)
{
	uint64_t bottom, top, value = 0;

	if (!stack_ends(remote, frame, &bottom, &top))
		return 0;
	for (int i = 1; i <= 2 && top - i * 8 >= bottom; i++) {
		if (!word(remote, top - i * 8, &value))
			return 0;
		if (remote->layout->version_minor >= 14)
			value &= ~TAG_BITS;
		if (value)
			break;
	}
	return value;
}

/* Through what only passes on, to a generator or coroutine. */
static bool unwrap(struct kb_remote *remote, uint64_t *object)
{
	struct kb_remote_type type;

	for (int i = 0; i < 4; i++) {
		if (!kb_remote_object__type(remote, *object, &type))
			return false;
		if (is_generator(&type))
			return true;
		if (!is_wrapper(&type) ||
		    !word(remote, *object + remote->layout->object_type + 8, object))
			return false;
	}
	return false;
}

static void reverse(struct kb_remote_stack *stack)
{
	for (uint32_t i = 0; i < stack->n / 2; i++) {
		struct kb_remote_frame swap = stack->frames[i];

		stack->frames[i] = stack->frames[stack->n - 1 - i];
		stack->frames[stack->n - 1 - i] = swap;
	}
}

void kb_remote_coroutine__chain(struct kb_remote *remote, uint64_t object,
				struct kb_remote_stack *stack)
{
	enum kb_remote_coroutine state;
	uint64_t frame;

	stack->n = 0;
	stack->cut = false;
	while (unwrap(remote, &object)) {
		state = state_of(remote, object);
		if (state == KB_COROUTINE_NONE || state == KB_COROUTINE_FINISHED ||
		    !frame_of(remote, object, &frame))
			break;
		stack->cut = stack->n == KB_REMOTE_COROUTINES_MAX;
		if (stack->cut || !kb_remote_frames__add(remote, frame, stack) ||
		    state != KB_COROUTINE_SUSPENDED)
			break;
		object = awaited_by(remote, frame);
	}
	reverse(stack);
}
