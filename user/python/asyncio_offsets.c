// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "python/asyncio_offsets.h"

#define OBJECT_SIZE_MAX 4096 /* offsets in a task */
#define STATE_SIZE_MAX	(16u << 20)
#define TASK_LOOP	16 /* behind the object header, in all versions */
#define OBJECT_TYPE	8  /* of builds with a GIL: the tables are of such */

/* Words of struct _Py_AsyncioModuleDebugOffsets, 3.14.10 and 3.15.2. */
enum {
	WORD_TASK_SIZE,
	WORD_TASK_NAME,
	WORD_AWAITED_BY,
	WORD_IS_TASK,
	WORD_AWAITED_BY_IS_SET,
	WORD_TASK_CORO,
	WORD_TASK_NODE,
	WORD_INTERP_SIZE,
	WORD_INTERP_TASKS,
	WORD_THREAD_SIZE,
	WORD_RUNNING_LOOP,
	WORD_RUNNING_TASK,
	WORD_THREAD_TASKS,
};

/* What the section says in those two builds. */
static const uint64_t words_of[][KB_ASYNCIO_WORDS] = {
	{ 168, 136, 96, 108, 109, 128, 152, 225864, 10880, 936, 864, 872, 880 },
	{ 168, 136, 96, 108, 109, 128, 152, 226240, 10856, 1104, 1024, 1032, 1048 },
};

/* Of TaskObj, with the object header of builds with a GIL; task_name is the word behind task_coro.
 */
static const uint32_t task_coro_of[] = {
	[6] = 96, [7] = 112, [8] = 112, [9] = 152, [10] = 160, [11] = 136, [12] = 136, [13] = 120,
};

bool kb_asyncio_offsets__parse(const uint64_t words[KB_ASYNCIO_WORDS],
			       const struct kb_layout *layout, struct kb_asyncio_offsets *offsets)
{
	for (int i = 0; i < KB_ASYNCIO_WORDS; i++) {
		if (words[i] > (i < WORD_INTERP_SIZE ? OBJECT_SIZE_MAX : STATE_SIZE_MAX))
			return false;
	}
	*offsets = (struct kb_asyncio_offsets){
		.task_coro = (uint32_t)words[WORD_TASK_CORO],
		.task_name = (uint32_t)words[WORD_TASK_NAME],
		.task_loop = TASK_LOOP + layout->object_type - OBJECT_TYPE,
		.task_is_task = (uint32_t)words[WORD_IS_TASK],
		.task_awaited_by = (uint32_t)words[WORD_AWAITED_BY],
		.task_awaited_by_is_set = (uint32_t)words[WORD_AWAITED_BY_IS_SET],
		.task_node = (uint32_t)words[WORD_TASK_NODE],
		.interp_tasks_head = (uint32_t)words[WORD_INTERP_TASKS],
		.thread_tasks_head = (uint32_t)words[WORD_THREAD_TASKS],
		.thread_running_task = (uint32_t)words[WORD_RUNNING_TASK],
	};
	return true;
}

bool kb_asyncio_offsets__built_in(const struct kb_layout *layout,
				  struct kb_asyncio_offsets *offsets)
{
	unsigned int minor = layout->version_minor, more = layout->object_type - OBJECT_TYPE;

	if (minor >= 14 && (more || minor - 14 >= sizeof(words_of) / sizeof(words_of[0])))
		return false;
	if (minor >= 14)
		return kb_asyncio_offsets__parse(words_of[minor - 14], layout, offsets);
	*offsets = (struct kb_asyncio_offsets){
		.task_coro = task_coro_of[minor] + more,
		.task_name = minor >= 8 ? task_coro_of[minor] + more + 8 : KB_NO_OFFSET,
		.task_loop = TASK_LOOP + more,
		.task_is_task = KB_NO_OFFSET,
		.task_awaited_by = KB_NO_OFFSET,
		.task_awaited_by_is_set = KB_NO_OFFSET,
		.task_node = KB_NO_OFFSET,
		.interp_tasks_head = KB_NO_OFFSET,
		.thread_tasks_head = KB_NO_OFFSET,
		.thread_running_task = KB_NO_OFFSET,
	};
	return true;
}
