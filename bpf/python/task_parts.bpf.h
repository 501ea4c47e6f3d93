/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_TASK_PARTS_BPF_H
#define KB_PYTHON_TASK_PARTS_BPF_H

#include "common/maps.bpf.h"
#include "python/string.bpf.h"

/* What tasks.bpf.c, task_name.bpf.c and task_waiter.bpf.c have in common. */
#define KB_TASK_OBJECT_SPAN 256 /* a task has 168 bytes, a coroutine's head with its frame 160 */
#define KB_TASK_ENTRY_WORDS 64

struct kb_task_scratch {
	struct kb_data_task record;
	kb_u8 name[KB_TASK_NAME_MAX]; /* behind the record, as it is sent */
	kb_u8 object[KB_TASK_OBJECT_SPAN];
	kb_u8 unicode[KB_UNICODE_SPAN];
	kb_u64 entries[KB_TASK_ENTRY_WORDS];
	/* The chain of tasks that is being followed. */
	kb_u64 bias, code_type; /* of the process */
	kb_u64 task;		/* at hand */
	kb_u64 coroutine;	/* the next one of its coroutines; 0: no more */
	kb_u64 next;		/* the task that waits for it; 0: none */
	kb_u64 n_waiters;	/* how many do */
	kb_u64 head;		/* where its section began */
	kb_u64 n;		/* tasks so far */
};

/*
 * Makes sure that user space has the name at an address, and returns its key: a hash of the text,
 * or enum kb_task_key. bias: of the process.
 */
kb_u64 kb_task_name(struct kb_task_scratch *s, const struct kb_layout *layout,
		    const struct kb_task_layout *at, kb_u64 name, kb_u64 bias);

/*
 * The task that waits for the one in the scratch (s->task, its bytes in s->object, which are gone
 * afterwards), 0: none, or it is not to be told. How many do is in s->n_waiters.
 */
kb_u64 kb_task_waiter(struct kb_task_scratch *s, const struct kb_layout *layout,
		      const struct kb_task_layout *at);

static __always_inline int kb_is_type(kb_u64 type, kb_u64 known)
{
	return type == known && known;
}

static __always_inline kb_u64 kb_object_word(const struct kb_task_scratch *s, kb_u64 offset)
{
	KB_OPAQUE(offset);
	return *(kb_u64 *)(s->object + (offset & (KB_TASK_OBJECT_SPAN - 8)));
}

static __always_inline kb_u8 kb_object_byte(const struct kb_task_scratch *s, kb_u64 offset)
{
	KB_OPAQUE(offset);
	return s->object[offset & (KB_TASK_OBJECT_SPAN - 1)];
}

/* The first `size` bytes of an object into the scratch. */
static __always_inline int kb_load_object(struct kb_task_scratch *s, kb_u64 size, kb_u64 address)
{
	KB_OPAQUE(size);
	return address && size <= KB_TASK_OBJECT_SPAN && !kb_read_user(s->object, size, address);
}

#endif
