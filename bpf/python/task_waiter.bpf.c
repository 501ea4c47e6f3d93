// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Who waits for a task? From 3.14 a future knows: the task that awaits it, or a set of them.
 *
 * Before, it knows only what is to be called when it is done, and the first of these calls tells:
 *
 *   await task           the waiting task's wake-up, a C function bound to it
 *   asyncio.gather()     a Python function, _done_callback(), whose closure has the future that
 * stands for all of them: who waits for that one asyncio.TaskGroup    (3.11+) a method of the
 * group, which has the task that made it
 *
 * Whatever that leads to is believed when it says so itself: a waiting task has what it waits for
 * in task_fut_waiter.
 */
#include "common/maps.bpf.h"
#include "python/task_parts.bpf.h"

#define SET_ENTRIES 32 /* that are looked at */
#define GATHERS_MAX 3  /* gather() in gather(), without tasks between */

/* Of the free variables of _done_callback() in asyncio/tasks.py, which are sorted, 3.7 to 3.13. */
#define OUTER_CELL 3
/* Of the attributes in the order in which TaskGroup.__init__() makes them, 3.11 to 3.13. */
#define PARENT_TASK	 4
#define ON_COMPLETED_FUT 9
#define GROUP_ATTRIBUTES 10

/* PyMethodObject, PyCFunctionObject: Include/cpython/classobject.h, methodobject.h. */
#define BOUND_TO       24
#define FUNCTION_BYTES 32

/* Used here alone, but global: the verifier looks at each once and not wherever it is called. */
kb_u64 kb_task_of_set(struct kb_task_scratch *s, const struct kb_task_layout *at, kb_u64 set);
kb_u64 kb_task_woken(struct kb_task_scratch *s, const struct kb_layout *layout,
		     const struct kb_task_layout *at, kb_u64 call);
kb_u64 kb_task_of_group(struct kb_task_scratch *s, const struct kb_layout *layout,
			const struct kb_task_layout *at, kb_u64 group);

/* The one at the lowest address: the same for as long as the set does not change. */
__noinline kb_u64 kb_task_of_set(struct kb_task_scratch *s, const struct kb_task_layout *at,
				 kb_u64 set)
{
	kb_u64 first = 0, table, slots, size;

	if (!s || !at || !kb_load_object(s, at->set_table + 8, set))
		return 0;
	s->n_waiters = kb_object_word(s, at->set_used) & 0xffff;
	table = kb_object_word(s, at->set_table);
	slots = kb_object_word(s, at->set_mask) + 1;
	if (slots > SET_ENTRIES)
		slots = SET_ENTRIES;
	size = slots * 16;
	KB_OPAQUE(size);
	if (size > SET_ENTRIES * 16 || kb_read_user(s->entries, size, table))
		return 0;
	for (kb_u32 i = 0; i < SET_ENTRIES; i++) {
		kb_u64 key = s->entries[2 * i];

		if (i >= slots)
			break;
		/* The hash of an entry that was removed is -1 (Objects/setobject.c). */
		if (key && s->entries[2 * i + 1] != ~0ULL && (!first || key < first))
			first = key;
	}
	return first;
}

/* Does the task wait for this? */
static __always_inline int waits_for(const struct kb_task_layout *at, kb_u64 task, kb_u64 future)
{
	kb_u64 waited = 0;

	return task && future && !kb_read_user(&waited, 8, task + at->task_fut_waiter) &&
	       waited == future;
}

/*
 * Where the attributes of an instance are: behind a pointer before it (3.11), behind one with its
 * lowest bit set (3.12, Include/internal/pycore_object.h), or in the object itself (3.13).
 */
static __always_inline kb_u64 attributes_of(const struct kb_layout *layout, kb_u64 object)
{
	kb_u64 values = 0;

	if (layout->version_minor >= 13)
		return object + 16 + 8; /* no slots; behind four counts of struct _dictvalues */
	if (layout->version_minor == 12) {
		kb_read_user(&values, 8, object - 24);
		return values & 1 ? values + 1 : 0;
	}
	kb_read_user(&values, 8, object - 32);
	return values;
}

__noinline kb_u64 kb_task_of_group(struct kb_task_scratch *s, const struct kb_layout *layout,
				   const struct kb_task_layout *at, kb_u64 group)
{
	kb_u64 values;

	if (!s || !layout || !at || layout->version_minor < 11)
		return 0;
	values = attributes_of(layout, group);
	if (!values || kb_read_user(s->entries, GROUP_ATTRIBUTES * 8, values) ||
	    !waits_for(at, s->entries[PARENT_TASK], s->entries[ON_COMPLETED_FUT]))
		return 0;
	return s->entries[PARENT_TASK];
}

/* The future of the gather() whose function is to be called. */
static __always_inline kb_u64 outer_of(const struct kb_task_layout *at, kb_u64 function)
{
	kb_u64 closure = 0, cell = 0, outer = 0;

	if (kb_read_user(&closure, 8, function + at->function_closure) || !closure ||
	    kb_read_user(&cell, 8, closure + at->tuple_items + OUTER_CELL * 8) || !cell ||
	    kb_read_user(&outer, 8, cell + at->cell_ref))
		return 0;
	return outer;
}

/* The task that a call wakes up, up to 3.13. */
__noinline kb_u64 kb_task_woken(struct kb_task_scratch *s, const struct kb_layout *layout,
				const struct kb_task_layout *at, kb_u64 call)
{
	kb_u64 head[FUNCTION_BYTES / 8] = {}, future, type, waiter;

	if (!s || !layout || !at)
		return 0;
	future = s->task;
	for (int i = 0; i < GATHERS_MAX; i++) {
		if (kb_read_user(head, sizeof(head), call))
			return 0;
		type = head[1] - s->bias;
		if (kb_is_type(type, at->method_type))
			return kb_task_of_group(s, layout, at, head[BOUND_TO / 8]);
		if (!kb_is_type(type, at->function_type)) {
			/* Up to 3.7 TaskWakeupMethWrapper {…, ww_task}. */
			waiter = kb_is_type(type, at->builtin_type) ? head[BOUND_TO / 8] : head[2];
			return waits_for(at, waiter, future) ? waiter : 0;
		}
		future = outer_of(at, call);
		if (!future || kb_read_user(&call, 8, future + at->task_callback0))
			return 0;
	}
	return 0;
}

__noinline kb_u64 kb_task_waiter(struct kb_task_scratch *s, const struct kb_layout *layout,
				 const struct kb_task_layout *at)
{
	kb_u64 waiter = 0;

	if (!s || !layout || !at)
		return 0;
	if (at->task_awaited_by != KB_NO_OFFSET)
		waiter = kb_object_word(s, at->task_awaited_by);
	else if (at->task_callback0 != KB_NO_OFFSET && layout->object_type == 8)
		waiter = kb_task_woken(s, layout, at, kb_object_word(s, at->task_callback0));
	s->n_waiters = waiter != 0;
	if (waiter && at->task_awaited_by != KB_NO_OFFSET &&
	    kb_object_byte(s, at->task_awaited_by_is_set))
		return kb_task_of_set(s, at, waiter);
	return waiter;
}
