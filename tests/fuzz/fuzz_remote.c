// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Readers of a live process's objects, over memory that means harm: this process's own, at a fixed
 * address. Input: minor version, then words of memory. So that it gets beyond the first look, the
 * memory begins with types, and words with certain top bytes become pointers:
 *
 *   0xa?  to a type    0xb?  into the words    others stay as they are
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "python/layout.h"
#include "python/remote_asyncio.h"
#include "python/remote_frames.h"
#include "python/remote_locals.h"
#include "python/remote_object.h"
#include "python/remote_threads.h"

#define BASE	   0x200000000000ull
#define TYPE_BYTES 1024
#define TYPES	   16
#define WORDS_AT   (TYPES * TYPE_BYTES)
#define WORDS	   4096
#define BYTES	   (WORDS_AT + WORDS * 8)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *memory;

static const struct {
	const char *name;
	uint64_t flags;
} types[TYPES] = {
	{ "type", KB_TYPE_TYPE },
	{ "int", KB_TYPE_INT },
	{ "str", KB_TYPE_STR },
	{ "bytes", KB_TYPE_BYTES },
	{ "list", KB_TYPE_LIST },
	{ "tuple", KB_TYPE_TUPLE },
	{ "dict", KB_TYPE_DICT },
	{ "set", 0 },
	{ "Class", KB_TYPE_HEAP | KB_TYPE_MANAGED_DICT | KB_TYPE_INLINE_VALUES },
	{ "Old", KB_TYPE_HEAP },
	{ "ValueError", KB_TYPE_EXCEPTION },
	{ "coroutine", 0 },
	{ "EnumType", KB_TYPE_TYPE },
	{ "function", 0 },
	{ "_asyncio.Task", 0 },
	{ "cell", 0 },
};

static void set(uint64_t at, uint64_t value)
{
	memcpy(memory + at, &value, sizeof(value));
}

static void build_types(const struct kb_object_layout *at, const struct kb_layout *layout)
{
	for (uint64_t i = 0; i < TYPES; i++) {
		uint64_t type = i * TYPE_BYTES, name = type + TYPE_BYTES - 32;

		set(type + layout->object_type, BASE);
		set(type + at->type_flags, types[i].flags);
		set(type + at->type_name, BASE + name);
		set(type + at->type_basicsize, 32);
		set(type + at->type_dictoffset, 24);
		set(type + at->type_dict, BASE + WORDS_AT + 128);
		set(type + at->type_cached_keys, BASE + WORDS_AT + 256);
		strcpy((char *)memory + name, types[i].name);
	}
}

static void fill(const uint8_t *data, size_t size)
{
	for (uint64_t i = 0; i < WORDS && i < size / 8; i++) {
		uint64_t word;

		memcpy(&word, data + i * 8, sizeof(word));
		if (word >> 60 == 0xa)
			word = BASE + word % TYPES * TYPE_BYTES;
		else if (word >> 60 == 0xb)
			word = BASE + WORDS_AT + word % WORDS * 8;
		set(WORDS_AT + i * 8, word);
	}
}

static void take_local(const struct kb_remote_local *local, void *context)
{
	if (!local->name)
		abort();
}

static void read_all(struct kb_remote *remote)
{
	static const struct kb_remote_repr_opts opts = KB_REMOTE_REPR_DEFAULT;
	struct kb_remote_asyncio asyncio = { .at = { .task_coro = 40,
						     .task_name = 48,
						     .task_loop = 16,
						     .task_is_task = KB_NO_OFFSET,
						     .task_awaited_by = 56,
						     .task_awaited_by_is_set = 64,
						     .task_node = 72,
						     .interp_tasks_head = 80,
						     .thread_tasks_head = 88,
						     .thread_running_task = 96 } };
	struct kb_remote_frame frame = { .address = BASE + WORDS_AT, .code = BASE + WORDS_AT + 64 };
	struct kb_remote_threads threads = {};
	struct kb_remote_tasks tasks;
	struct kb_remote_stack stack = {};
	struct kb_buf text;

	for (uint64_t i = 0; i < 64; i++) {
		kb_buf__init(&text, 1 << 20);
		kb_remote_object__repr(remote, BASE + WORDS_AT + i * 8, &opts, &text);
		kb_buf__free(&text);
	}
	kb_remote_frames__walk(remote, BASE + WORDS_AT, &stack);
	kb_remote_locals__each(remote, &frame, take_local, NULL);
	kb_error__destroy(kb_remote_threads__read(remote, &threads));
	kb_remote_threads__names(remote, &threads);
	kb_remote_tasks__read(remote, &asyncio, &threads, &tasks);
	kb_remote_tasks__free(&tasks);
	kb_remote_threads__free(&threads);
	kb_remote_stack__free(&stack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kb_object_layout objects;
	struct kb_layout layout;
	struct kb_remote remote = { .pid = getpid(),
				    .layout = &layout,
				    .objects = &objects,
				    .code_type = BASE,
				    .interp_head = BASE + WORDS_AT };
	unsigned int minor;

	if (size < 9)
		return 0;
	if (!memory)
		memory = mmap((void *)BASE, BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (memory == MAP_FAILED)
		abort();
	minor = KB_PYTHON_MINOR_MIN + data[0] % (KB_PYTHON_MINOR_MAX - KB_PYTHON_MINOR_MIN + 1);
	/* From 3.13 interpreters say themselves how they are walked; 3.12's offsets will do. */
	if (!kb_layout__from_table(minor < 12 ? minor : 12, &layout))
		abort();
	kb_error__destroy(kb_layout__finish(&layout));
	layout.version_minor = (uint8_t)minor;
	kb_object_layout__init(&objects, &layout);
	objects.interp_id = objects.interp_modules = 64;
	memset(memory, 0, BYTES);
	build_types(&objects, &layout);
	fill(data + 1, size - 1);
	if (kb_pages__create(remote.pid, 64, &remote.pages))
		return 0;
	read_all(&remote);
	kb_remote__close(&remote);
	return 0;
}
