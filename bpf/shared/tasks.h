/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_SHARED_TASKS_H
#define KB_SHARED_TASKS_H

#include "types.h"

/*
 * Where asyncio's tasks are, in the processes of one image: what the kernel needs
 * to find the task that a thread runs, its name, and those that wait for it. Made by
 * user/python/task_layout.h, used by bpf/python/tasks.bpf.c. Offsets in bytes,
 * KB_NO_OFFSET where the version has no such field; addresses as linked, 0 where not known.
 */
struct kb_task_layout {
	kb_u64 code_type; /* the image's: a process has it elsewhere by its bias */
	kb_u64 str_type, int_type;
	kb_u64 coroutine_type, generator_type, async_generator_type;
	kb_u64 asend_type; /* of what `async for` awaits: passes on to an asynchronous generator */
	/* Of what is called when a task is done. */
	kb_u64 builtin_type, function_type, method_type;

	/* A task of C code (TaskObj in Modules/_asynciomodule.c). */
	kb_u16 task_bytes; /* from its start to the end of the last of these */
	kb_u16 task_coro;
	kb_u16 task_fut_waiter;
	kb_u16 task_name;      /* 3.8+ */
	kb_u16 task_callback0; /* 3.7+: first of those to be called when it is done */
	kb_u16 task_is_task;   /* these three from 3.14 */
	kb_u16 task_awaited_by;
	kb_u16 task_awaited_by_is_set;
	kb_u16 tstate_running_task; /* 3.14+; before, a dict knows */

	/* A coroutine or generator. */
	kb_u16 generator_frame; /* up to 3.10 of a pointer to the frame, else of the frame itself */
	kb_u16 generator_state; /* 3.11+: a signed byte … */
	kb_s8 suspended_first, suspended_last; /* … which is one of these while it waits */
	kb_u16 frame_bytes; /* from its start to the end of all that is read of it */
	kb_u16 frame_localsplus, frame_valuestack; /* see user/python/remote_coroutine.c */
	kb_u16 frame_stacktop;

	kb_u16 long_tag, long_digits; /* 3.12+ */
	kb_u16 set_used, set_mask, set_table;
	kb_u16 dict_keys, keys_nentries, keys_indices;
	kb_u16 keys_size;	      /* up to 3.10: number of indices, a byte each up to 128 */
	kb_u16 keys_log2_index_bytes; /* 3.11+ */
	kb_u16 function_closure, tuple_items, cell_ref;
	kb_u16 reserved[3];
};
KB_ASSERT_SIZE(struct kb_task_layout, 144);

/* Up to 3.13: the dict of a process's running tasks, by its loops. */
struct kb_task_dict {
	kb_u64 address;	 /* 0: asyncio was not loaded when user space looked */
	kb_u64 next_ask; /* CLOCK_MONOTONIC, ns: user space is not asked before */
	kb_u32 asked;	 /* how often */
	kb_u32 pending;	 /* samples of threads that may have run a task since */
};
KB_ASSERT_SIZE(struct kb_task_dict, 24);

#define KB_TASK_DICTS_MAX 4096 /* processes; as KB_PROCS_MAX */

/* Names of tasks in one session: a flame graph of more is nobody's. */
#define KB_TASK_NAMES_MAX 4096
/*
 * Of them those that asyncio made up ("Task-7"): programs that make a task for each request count
 * on without end, and where a thousand have their own, none is found.
 */
#define KB_TASK_NUMBERS_MAX 256

#define KB_TASK_NAME_MAX 256 /* bytes as stored in the target; longer names are cut, and marked */

/*
 * What is sent of a task in a stack: KB_WORD(KB_WORD_TASK, n), and n words, of which the first is
 * its name's key, the second KB_TASK_INFO(), and the others the frames in which it waits, outermost
 * first. The running task comes first and has none: its frames are the thread's own, the innermost
 * `depth` words of the stack. Behind it the one that waits for it, and so on.
 */
#define KB_TASK_INFO(depth, waiters) ((kb_u64)(depth) << 32 | (waiters))
#define KB_TASK_DEPTH(info)	     ((kb_u32)((info) >> 32))
#define KB_TASK_WAITERS(info)	     ((kb_u32)(info)) /* how many tasks wait for it */
#define KB_TASK_HEAD		     2		      /* words before the frames */

#define KB_TASKS_MAX                                                                               \
	32 /* in one stack: those that wait beyond are left out, and the root says so */

#define KB_TASK_UTF8 0 /* instead of a width: user space read the name */

/* Keys that are no hash of a name. */
enum kb_task_key {
	KB_TASK_NAMELESS = 0, /* has none (up to 3.7), or it was not readable */
	KB_TASK_OTHER = 1,    /* more names than are kept apart */
	KB_TASK_MORE = 2,     /* no task: tasks that wait were left out */
	KB_TASK_KEYS = 3,
};

#endif
