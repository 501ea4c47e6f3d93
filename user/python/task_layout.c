// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "python/task_layout.h"

/* The part of a task and of a coroutine that the kernel reads at once: bpf/python/tasks.bpf.c. */
#define OBJECT_SPAN 256

/* func_closure in PyFunctionObject (Include/cpython/funcobject.h), read up to 3.13. */
#define CLOSURE		    72
#define CLOSURE_BEFORE_3_10 48

#define CALLBACK0_BEHIND_LOOP 8 /* fut_callback0 follows fut_loop, from 3.7 */

static uint64_t address_of(const struct kb_elf_file *file, const char *name)
{
	struct kb_elf_symbol symbol;

	return kb_elf_file__symbol(file, name, &symbol) ? symbol.address : 0;
}

static bool find_offsets(const struct kb_elf_file *file, const struct kb_layout *layout,
			 struct kb_asyncio_offsets *offsets)
{
	uint64_t words[KB_ASYNCIO_WORDS];
	struct kb_elf_section section;

	if (layout->version_minor >= 14 && kb_elf_file__section(file, ".AsyncioDebug", &section) &&
	    kb_elf_file__read(file, section.address, words, sizeof(words)))
		return kb_asyncio_offsets__parse(words, layout, offsets);
	return kb_asyncio_offsets__built_in(layout, offsets);
}

/* enum _framestate in Include/internal/pycore_frame.h, numbered anew in 3.13 and in 3.15. */
static void set_suspended(struct kb_task_layout *tasks, unsigned int minor)
{
	tasks->suspended_first = minor >= 15 ? 1 : minor >= 13 ? -2 : -1;
	tasks->suspended_last = minor >= 15 ? 3 : -1;
}

static void set_objects(struct kb_task_layout *tasks, const struct kb_layout *layout,
			const struct kb_object_layout *objects)
{
	tasks->generator_frame = objects->generator_frame;
	tasks->generator_state = objects->generator_state;
	tasks->frame_localsplus = objects->frame_localsplus;
	tasks->frame_valuestack = objects->frame_valuestack;
	tasks->frame_stacktop = objects->frame_stacktop;
	tasks->frame_bytes = objects->frame_stacktop + 8;
	if (tasks->frame_bytes < layout->frame_size)
		tasks->frame_bytes = layout->frame_size;
	tasks->long_tag = objects->long_tag;
	tasks->long_digits = objects->long_digits;
	tasks->set_used = objects->set_used;
	tasks->set_mask = objects->set_mask;
	tasks->set_table = objects->set_table;
	tasks->dict_keys = objects->dict_keys;
	tasks->keys_nentries = objects->keys_nentries;
	tasks->keys_indices = objects->keys_indices;
	tasks->keys_size = objects->keys_size;
	tasks->keys_log2_index_bytes = objects->keys_log2_index_bytes;
	tasks->function_closure = layout->version_minor >= 10 ? CLOSURE : CLOSURE_BEFORE_3_10;
	tasks->tuple_items = objects->tuple_items;
	tasks->cell_ref = objects->cell_ref;
	set_suspended(tasks, layout->version_minor);
}

static uint32_t end_of(uint32_t bytes, uint32_t offset, uint32_t size)
{
	return offset != KB_NO_OFFSET && offset + size > bytes ? offset + size : bytes;
}

static void set_task(struct kb_task_layout *tasks, const struct kb_asyncio_offsets *offsets,
		     unsigned int minor)
{
	uint32_t bytes = 0;

	tasks->task_coro = offsets->task_coro;
	tasks->task_fut_waiter = offsets->task_coro - 8;
	tasks->task_name = offsets->task_name;
	tasks->task_callback0 =
		minor >= 7 ? offsets->task_loop + CALLBACK0_BEHIND_LOOP : KB_NO_OFFSET;
	tasks->task_is_task = offsets->task_is_task;
	tasks->task_awaited_by = offsets->task_awaited_by;
	tasks->task_awaited_by_is_set = offsets->task_awaited_by_is_set;
	tasks->tstate_running_task = offsets->thread_running_task;
	bytes = end_of(bytes, offsets->task_coro, 8);
	bytes = end_of(bytes, offsets->task_name, 8);
	bytes = end_of(bytes, offsets->task_awaited_by, 8);
	bytes = end_of(bytes, offsets->task_awaited_by_is_set, 1);
	tasks->task_bytes = bytes;
}

static void set_types(struct kb_task_layout *tasks, const struct kb_elf_file *file)
{
	tasks->str_type = address_of(file, "PyUnicode_Type");
	tasks->int_type = address_of(file, "PyLong_Type");
	tasks->coroutine_type = address_of(file, "PyCoro_Type");
	tasks->generator_type = address_of(file, "PyGen_Type");
	tasks->async_generator_type = address_of(file, "PyAsyncGen_Type");
	tasks->asend_type = address_of(file, "_PyAsyncGenASend_Type");
	tasks->builtin_type = address_of(file, "PyCFunction_Type");
	tasks->function_type = address_of(file, "PyFunction_Type");
	tasks->method_type = address_of(file, "PyMethod_Type");
}

bool kb_task_layout__set(const struct kb_asyncio_offsets *offsets, const struct kb_layout *layout,
			 const struct kb_object_layout *objects, struct kb_task_layout *tasks)
{
	set_task(tasks, offsets, layout->version_minor);
	set_objects(tasks, layout, objects);
	return tasks->task_bytes <= OBJECT_SPAN &&
	       tasks->generator_frame + tasks->frame_bytes <= OBJECT_SPAN &&
	       offsets->thread_running_task <= KB_NO_OFFSET;
}

void kb_task_layout__read(const struct kb_elf_file *file, const struct kb_image_info *info,
			  struct kb_task_layout *tasks)
{
	const struct kb_layout *layout = &info->layout;
	struct kb_asyncio_offsets offsets;

	memset(tasks, 0, sizeof(*tasks));
	if (!find_offsets(file, layout, &offsets))
		return;
	set_types(tasks, file);
	if (kb_task_layout__set(&offsets, layout, &info->objects, tasks))
		tasks->code_type = info->image.code_type;
}
