// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The pools, block by block. */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "python/heap_bytes.h"
#include "python/heap_object.h"
#include "system/memory.h"

#define POOL_TRIES 3 /* of one that changes while it is copied */

/* Where objects begin in their block: at its start, behind PyGC_Head, and behind two pointers more
 * (from 3.11). */
#define PLACES 3

struct scan {
	struct kb_heap *heap;
	struct kb_heap_arena *arena;
	uint32_t places[PLACES], n_places;
	uint8_t *bytes; /* of the arena */
	uint8_t again[KB_HEAP_POOL_MAX];
};

/* ---------------------------------------------------------------- blocks */

/* PYTHONMALLOC=debug, -X dev: before what is allocated are its size and what it is for with seven
 * bytes FORBIDDENBYTE, behind it are eight more (Objects/obmalloc.c). */
#define DEBUG_BEFORE 16
#define DEBUG_AFTER  8

static bool has_debug_hook(const uint8_t *block)
{
	uint64_t mark = kb_u64_at(block + 8) >> 8;

	return mark == KB_HEAP_DEBUG_BYTES || mark == KB_HEAP_OLD_DEBUG_BYTES;
}

/*
 * The object in a block, if there is one. Links of the collector may look like a freed object of a
 * type (up to 3.7 they have what was in the block before), so that only counts when nothing else
 * does.
 */
static enum kb_heap_verdict find_object(struct scan *scan, const uint8_t *block, uint64_t address,
					uint32_t size, struct kb_heap_object *object)
{
	enum kb_heap_verdict verdict, best = KB_HEAP_NO_OBJECT;
	uint32_t type_at = scan->heap->remote->layout->object_type, skipped = 0;
	struct kb_heap_object found;

	if (has_debug_hook(block)) {
		scan->heap->debug = true;
		skipped = DEBUG_BEFORE;
		size -= size > DEBUG_AFTER ? DEBUG_AFTER : 0;
	}
	for (uint32_t i = 0; i < scan->n_places; i++) {
		uint32_t place = scan->places[i] + skipped;
		struct kb_heap_type *type;

		if (place + type_at + 8 > size)
			break;
		type = kb_heap_types__at(scan->heap, kb_u64_at(block + place + type_at));
		if (!type || type->before != scan->places[i])
			continue;
		verdict = kb_heap_object__read(scan->heap, type, address + place, block + place,
					       place, size - place, size - place, &found);
		if (verdict == KB_HEAP_NO_OBJECT)
			continue;
		best = verdict;
		*object = found;
		if (verdict == KB_HEAP_OBJECT)
			break;
	}
	return best;
}

static void mark(const struct kb_heap *heap, uint64_t *bits, const struct kb_heap_arena *arena,
		 uint64_t address)
{
	uint64_t bit = (address - arena->start) / heap->geometry.alignment;

	bits[bit / 64] |= 1ull << bit % 64;
}

static void scan_block(struct scan *scan, const uint8_t *block, uint64_t address,
		       const struct kb_heap_pool *pool)
{
	struct kb_heap *heap = scan->heap;
	uint32_t size = pool->block_bytes, start, links;
	struct kb_heap_object object;

	switch (find_object(scan, block, address, size, &object)) {
	case KB_HEAP_OBJECT:
		mark(heap, scan->arena->objects, scan->arena, address);
		kb_heap__count(heap, &object);
		links = object.type->gc ? heap->remote->objects->gc_head : 0;
		kb_heap_large__links(heap, &object);
		if (!object.type->pointers)
			break;
		start = (uint32_t)(object.address - address);
		kb_heap_large__words(heap, block, start - links);
		kb_heap_large__words(heap, block + start, size - start);
		break;
	case KB_HEAP_KEPT:
		object.type->kept++;
		heap->classes[pool->size_class].kept++;
		break;
	case KB_HEAP_NO_OBJECT:
		kb_heap_large__words(heap, block, size);
	}
}

/* ---------------------------------------------------------------- pools */

static void count_pool(struct kb_heap *heap, const struct kb_heap_pool *pool)
{
	struct kb_heap_class_count *count = &heap->classes[pool->size_class];

	count->pools++;
	count->others += pool->n_used; /* until they turn out to be more */
	count->free += pool->n_blocks - pool->n_used;
	heap->n_pools++;
	heap->used_bytes += (uint64_t)pool->n_used * pool->block_bytes;
	heap->free_bytes += (uint64_t)(pool->n_blocks - pool->n_used) * pool->block_bytes;
	heap->header_bytes += KB_HEAP_POOL_HEADER;
	heap->waste_bytes += heap->geometry.pool_bytes - KB_HEAP_POOL_HEADER -
			     (uint64_t)pool->n_blocks * pool->block_bytes;
}

static void scan_blocks(struct scan *scan, const uint8_t *bytes, uint64_t address,
			const struct kb_heap_pool *pool)
{
	uint32_t offset = KB_HEAP_POOL_HEADER;

	for (uint32_t i = 0; i < pool->n_carved; i++, offset += pool->block_bytes) {
		if (!(pool->free[i / 64] >> i % 64 & 1))
			scan_block(scan, bytes + offset, address + offset, pool);
	}
}

static bool read_again(struct scan *scan, uint64_t address)
{
	uint32_t size = scan->heap->geometry.pool_bytes;

	scan->heap->notes[KB_HEAP_REREAD]++;
	scan->heap->read_bytes += size;
	return kb_memory__read(scan->heap->remote->pid, address, scan->again, size);
}

/* bytes NULL: still to be read. */
static void scan_pool(struct scan *scan, uint32_t number, const uint8_t *bytes)
{
	struct kb_heap *heap = scan->heap;
	uint32_t size = heap->geometry.pool_bytes;
	uint64_t address = scan->arena->start + (uint64_t)number * size;
	enum kb_heap_pool_state state = KB_HEAP_POOL_TORN;
	struct kb_heap_pool pool;

	for (int i = 0; i < POOL_TRIES; i++) {
		if (!bytes || i) {
			if (!read_again(scan, address)) {
				heap->bytes[KB_HEAP_BYTES_UNREADABLE] += size;
				return;
			}
			bytes = scan->again;
		}
		state = kb_heap_pool__parse(bytes, address, &heap->geometry, scan->arena->index,
					    &pool);
		if (state == KB_HEAP_POOL_USED || state == KB_HEAP_POOL_EMPTY)
			break;
	}
	heap->bytes[state == KB_HEAP_POOL_TORN	? KB_HEAP_BYTES_TORN
		    : state == KB_HEAP_POOL_BAD ? KB_HEAP_BYTES_BAD
						: KB_HEAP_BYTES_GOOD] += size;
	if (state == KB_HEAP_POOL_EMPTY)
		heap->n_empty++;
	if (state != KB_HEAP_POOL_USED)
		return;
	scan->arena->size_class[number] = (uint8_t)pool.size_class;
	count_pool(heap, &pool);
	scan_blocks(scan, bytes, address, &pool);
}

/* ---------------------------------------------------------------- arenas */

static bool prepare(struct kb_heap *heap, struct kb_heap_arena *arena)
{
	uint32_t n_pools = (uint32_t)((arena->end - arena->start) / heap->geometry.pool_bytes);
	size_t words = (size_t)n_pools * heap->geometry.pool_bytes / heap->geometry.alignment / 64;

	arena->size_class = malloc(n_pools + 1);
	arena->objects = calloc(words + 1, sizeof(uint64_t));
	arena->tables = calloc(words + 1, sizeof(uint64_t));
	if (!arena->size_class || !arena->objects || !arena->tables)
		return false;
	memset(arena->size_class, KB_HEAP_NO_CLASS, n_pools + 1);
	return true;
}

static void scan_arena(struct scan *scan)
{
	struct kb_heap *heap = scan->heap;
	struct kb_heap_arena *arena = scan->arena;
	uint32_t size = heap->geometry.pool_bytes,
		 n_pools = (uint32_t)((arena->end - arena->start) / size);
	bool whole;

	heap->n_arenas++;
	heap->arena_bytes += heap->space.arena_bytes;
	heap->alignment_bytes += heap->space.arena_bytes - (uint64_t)arena->n_total * size;
	heap->n_virgin += arena->n_total > n_pools ? arena->n_total - n_pools : 0;
	whole = kb_memory__read(heap->remote->pid, arena->start, scan->bytes,
				arena->end - arena->start);
	heap->read_bytes += whole ? arena->end - arena->start : 0;
	heap->copied = whole ? arena : NULL;
	heap->copy = scan->bytes;
	for (uint32_t i = 0; i < n_pools; i++)
		scan_pool(scan, i, whole ? scan->bytes + (size_t)i * size : NULL);
	heap->copied = NULL;
}

static struct scan *create(struct kb_heap *heap)
{
	struct scan *scan = calloc(1, sizeof(*scan));
	uint32_t gc_head = heap->remote->objects->gc_head;

	if (!scan)
		return NULL;
	scan->heap = heap;
	scan->places[1] = gc_head;
	scan->places[2] = gc_head + 16;
	scan->n_places = heap->remote->layout->version_minor >= 11 ? PLACES : PLACES - 1;
	scan->bytes = malloc(heap->space.arena_bytes + 1);
	if (scan->bytes)
		return scan;
	free(scan);
	return NULL;
}

static void destroy(struct scan *scan)
{
	free(scan->bytes);
	free(scan);
}

struct kb_error *kb_heap__scan(struct kb_heap *heap)
{
	struct scan *scan = create(heap);
	bool ready = scan;

	/* All of them, before the first: objects have tables in each other's arenas. */
	for (uint32_t i = 0; i < heap->space.n_arenas && ready; i++)
		ready = prepare(heap, &heap->space.arenas[i]);
	for (uint32_t i = 0; i < heap->space.n_arenas && ready; i++) {
		scan->arena = heap->space.last = &heap->space.arenas[i];
		scan_arena(scan);
	}
	heap->empty_bytes = (heap->n_empty + heap->n_virgin) * heap->geometry.pool_bytes;
	if (scan)
		destroy(scan);
	return ready ? NULL : kb_error__no_memory();
}

/* ---------------------------------------------------------------- what was mistaken */

/* A block that is a table, and was taken for an object: what was counted is taken back. */
static void take_back(struct scan *scan, uint64_t address, uint32_t size)
{
	struct kb_heap *heap = scan->heap;
	struct kb_heap_object object;

	if (!kb_memory__read(heap->remote->pid, address, scan->again, size) ||
	    find_object(scan, scan->again, address, size, &object) != KB_HEAP_OBJECT ||
	    !object.type->objects)
		return;
	object.type->objects--;
	object.type->bytes -= object.bytes < object.type->bytes ? object.bytes : object.type->bytes;
	heap->n_tracked -= object.tracked && heap->n_tracked;
}

/* Whether a table begins in a block: at its start, or in 3.11 and 3.12, where counts lie before
 * values, behind it. (In 3.13 a dict's values may lie within the object that it is of, which is no
 * table.) */
static bool has_table(const struct scan *scan, uint64_t bit, uint32_t size)
{
	unsigned int minor = scan->heap->remote->layout->version_minor;
	uint32_t alignment = scan->heap->geometry.alignment;
	uint32_t n = minor == 11 || minor == 12 ? size / alignment : 1;

	if (scan->heap->debug && size > DEBUG_BEFORE) {
		bit += DEBUG_BEFORE / alignment;
		n = n > 1 ? n - DEBUG_BEFORE / alignment : n;
	}
	for (uint64_t end = bit + n; bit < end; bit++) {
		if (scan->arena->tables[bit / 64] >> bit % 64 & 1)
			return true;
	}
	return false;
}

static void settle_pool(struct scan *scan, uint32_t number)
{
	struct kb_heap *heap = scan->heap;
	struct kb_heap_arena *arena = scan->arena;
	uint32_t size = (arena->size_class[number] + 1u) * heap->geometry.alignment;
	uint32_t n = (heap->geometry.pool_bytes - KB_HEAP_POOL_HEADER) / size;
	struct kb_heap_class_count *count = &heap->classes[arena->size_class[number]];
	uint64_t address =
		arena->start + (uint64_t)number * heap->geometry.pool_bytes + KB_HEAP_POOL_HEADER;

	for (uint32_t i = 0; i < n; i++, address += size) {
		uint64_t bit = (address - arena->start) / heap->geometry.alignment;
		bool object = arena->objects[bit / 64] >> bit % 64 & 1,
		     table = has_table(scan, bit, size);

		if (object && table)
			take_back(scan, address, size);
		if ((!object && !table) || !count->others)
			continue;
		count->others--;
		count->tables += table;
		count->objects += !table;
	}
}

struct kb_error *kb_heap__settle(struct kb_heap *heap)
{
	struct scan *scan = create(heap);

	if (!scan)
		return kb_error__no_memory();
	for (uint32_t i = 0; i < heap->space.n_arenas; i++) {
		uint32_t n;

		scan->arena = &heap->space.arenas[i];
		n = (uint32_t)((scan->arena->end - scan->arena->start) / heap->geometry.pool_bytes);
		for (uint32_t j = 0; j < n; j++) {
			if (scan->arena->size_class[j] != KB_HEAP_NO_CLASS)
				settle_pool(scan, j);
		}
	}
	for (uint32_t i = 0; i < KB_HEAP_CLASSES_MAX; i++) {
		uint64_t size = (i + 1) * heap->geometry.alignment;

		heap->object_bytes += heap->classes[i].objects * size;
		heap->table_bytes += heap->classes[i].tables * size;
		heap->other_bytes += heap->classes[i].others * size;
	}
	destroy(scan);
	return NULL;
}
