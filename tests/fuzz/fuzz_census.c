// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The reader of heaps, over memory that means harm: this process's own, at a fixed address. Input:
 * minor version, size classes of the pools, then words. So that it gets beyond the first look there
 * are types, an array of arenas and the headers of pools, which the words may overwrite in part;
 * words with certain top bytes become pointers:
 *
 *   0xa?  to a type    0xb?  into the arena    0xc?  into the memory outside    others stay as they
 * are
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "python/heap.h"
#include "python/layout.h"

#define BASE	    0x200000000000ull
#define TYPE_BYTES  1024
#define TYPES	    16
#define IMAGE_BYTES (TYPES * TYPE_BYTES + 4096)
#define ARENA	    (BASE + 0x100000)
#define ARENA_BYTES 0x100000
#define POOLS	    2
#define HEAP	    (BASE + 0x300000)
#define HEAP_BYTES  0x4000
#define BYTES	    (HEAP - BASE + HEAP_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *memory;

static const struct {
	const char *name;
	uint64_t flags, basicsize, itemsize;
} types[TYPES] = {
	{ "type", KB_TYPE_TYPE | 1 << 14, 900, 40 },
	{ "int", KB_TYPE_INT, 24, 4 },
	{ "str", KB_TYPE_STR, 64, 0 },
	{ "bytes", KB_TYPE_BYTES, 33, 1 },
	{ "list", KB_TYPE_LIST | 1 << 14, 40, 0 },
	{ "tuple", KB_TYPE_TUPLE | 1 << 14, 24, 8 },
	{ "dict", KB_TYPE_DICT | 1 << 14, 48, 0 },
	{ "set", 1 << 14, 200, 0 },
	{ "Class", KB_TYPE_HEAP | KB_TYPE_MANAGED_DICT | KB_TYPE_INLINE_VALUES | 1 << 14, 16, 0 },
	{ "Slots", KB_TYPE_HEAP | 1 << 14, 32, 0 },
	{ "float", 0, 24, 0 },
	{ "generator", 1 << 14, 144, 8 },
	{ "bytearray", 0, 56, 0 },
	{ "array.array", 0, 64, 0 },
	{ "collections.deque", 1 << 14, 80, 0 },
	{ "small", KB_TYPE_LIST, 16, 4096 },
};

static void set(uint64_t address, uint64_t value)
{
	memcpy(memory + (address - BASE), &value, sizeof(value));
}

static void build_types(const struct kb_object_layout *at, const struct kb_layout *layout)
{
	for (uint64_t i = 0; i < TYPES; i++) {
		uint64_t type = BASE + i * TYPE_BYTES, name = type + TYPE_BYTES - 32;

		set(type + layout->object_type, BASE);
		set(type + at->type_flags, types[i].flags | 1 << 12);
		set(type + at->type_name, name);
		set(type + at->type_basicsize, types[i].basicsize);
		set(type + at->type_itemsize, types[i].itemsize);
		set(type + at->type_cached_keys, HEAP + 0x2000);
		set(type + at->type_dict, HEAP + 0x2100);
		strcpy((char *)memory + (name - BASE), types[i].name);
	}
}

/* Arenas of 3.6 to 3.9 have pools of 4 kB, later ones of 16. */
static void build_arena(unsigned int minor, const uint8_t classes[POOLS])
{
	uint64_t pool_bytes = minor >= 10 ? 16384 : 4096, entries = HEAP + 0x1000;
	uint32_t alignment = minor >= 8 ? 16 : 8;

	set(BASE + TYPES * TYPE_BYTES, entries);
	set(entries, ARENA);
	set(entries + 8, ARENA + POOLS * pool_bytes);
	set(entries + 16, 64ull << 32 | (64 - POOLS));
	for (uint64_t i = 1; i < 16; i++)
		set(entries + i * 48 + 32, i < 15 ? entries + (i + 1) * 48 : 0);
	for (uint64_t i = 0; i < POOLS; i++) {
		uint32_t class = classes[i] % (512 / alignment), block = (class + 1) * alignment,
			 n = (uint32_t)(pool_bytes - 48) / block;
		uint64_t pool = ARENA + i * pool_bytes;

		set(pool, n);
		set(pool + 32, (uint64_t) class << 32);
		set(pool + 40, (pool_bytes - block) << 32 | (48 + n * block));
	}
}

/* Words after the headers of pools, and outside. Two bytes before each say where it is put. */
static void fill(unsigned int minor, const uint8_t *data, size_t size)
{
	for (; size >= 10; data += 10, size -= 10) {
		uint32_t at = (uint32_t)data[0] | (uint32_t)data[1] << 8;
		uint64_t word;

		memcpy(&word, data + 2, sizeof(word));
		if (word >> 60 == 0xa)
			word = BASE + word % TYPES * TYPE_BYTES;
		else if (word >> 60 == 0xb)
			word = ARENA + word % (HEAP_BYTES / 8) * 8;
		else if (word >> 60 == 0xc)
			word = HEAP + word % (HEAP_BYTES / 8) * 8;
		set((at & 1 ? HEAP : ARENA) + (at >> 1) % (HEAP_BYTES / 8) * 8, word);
	}
}

static void read_all(struct kb_remote *remote)
{
	static char image_path[] = "image", anonymous[] = "";
	struct kb_map entries[] = {
		{ .start = BASE,
		  .end = BASE + IMAGE_BYTES,
		  .inode = 1,
		  .writable = true,
		  .path = image_path },
		{ .start = ARENA, .end = ARENA + ARENA_BYTES, .writable = true, .path = anonymous },
		{ .start = HEAP, .end = HEAP + HEAP_BYTES, .writable = true, .path = anonymous },
	};
	struct kb_maps maps = { .entries = entries, .count = 3 };
	struct kb_interpreter interp = { .map_start = BASE };
	struct kb_heap heap;
	struct kb_error *err = kb_heap__read_maps(remote, &interp, &maps, 10, &heap);
	uint64_t used = 0;

	kb_error__destroy(err);
	if (err)
		return;
	for (int i = 0; i < KB_HEAP_CLASSES_MAX; i++)
		used += (heap.classes[i].objects + heap.classes[i].tables +
			 heap.classes[i].others) *
			(i + 1) * heap.geometry.alignment;
	if (used != heap.used_bytes)
		abort();
	kb_heap__free(&heap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kb_object_layout objects;
	struct kb_layout layout;
	struct kb_remote remote = { .pid = getpid(),
				    .layout = &layout,
				    .objects = &objects,
				    .code_type = BASE,
				    .interp_head = HEAP };
	unsigned int minor;

	if (size < 1 + POOLS)
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
	memset(memory, 0, IMAGE_BYTES);
	memset(memory + (ARENA - BASE), 0, POOLS * KB_HEAP_POOL_MAX);
	memset(memory + (HEAP - BASE), 0, HEAP_BYTES);
	build_types(&objects, &layout);
	build_arena(minor, data + 1);
	fill(minor, data + 1 + POOLS, size - 1 - POOLS);
	if (kb_pages__create(remote.pid, 64, &remote.pages))
		return 0;
	read_all(&remote);
	kb_remote__close(&remote);
	return 0;
}
