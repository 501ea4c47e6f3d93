// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Objects and tables beyond 512 bytes, and all objects of a process without pymalloc.
 *
 * Nothing lists them. Each word that may point to one is kept once and looked at in batches: it is
 * an object when there is a type in the right place and its size is beyond that of blocks. Objects
 * that may hold pointers, and tables, are then searched for more. What is no object may be a
 * structure of C code (a block of a deque, an OrderedDict's nodes): when a chunk of glibc's
 * allocator begins there, whose size stands before it, it is searched, too.
 */
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "python/heap_bytes.h"
#include "python/heap_object.h"
#include "system/memory.h"

/* Places looked at: some 48 bytes of ours each. A program has as many large objects; without
 * pymalloc these are all its objects. */
#define PLACES_MAX  (8u << 20)
#define REGIONS_MAX (4u << 20)
#define BATCH	    512
#define WINDOW	    (KB_HEAP_BEFORE + KB_HEAP_HEAD)
#define PIECE	    (1u << 20) /* of a table that is read at once */
#define PAGE	    4096
/* Words that were seen lately: None, True, types, small integers come again and again. */
#define RECENT 8192

/* Before a chunk's memory: its size with three flags (glibc, malloc/malloc.c). */
#define CHUNK_HEADER	      8
#define CHUNK_FLAGS	      7ull
#define CHUNK_PREVIOUS_IN_USE 1ull
#define CHUNK_MAPPED	      2ull
#define CHUNK_LEAST	      32
#define CHUNK_MAX	      (64ull << 20)

struct region {
	uint64_t address, bytes;
};

struct kb_heap_large {
	struct kb_id_map seen; /* places, and starts of regions */
	uint64_t *places;
	uint32_t n_places, done_places, capacity;
	struct region *regions;
	uint32_t n_regions, done_regions, regions_capacity;
	uint64_t searched, guessed; /* bytes */
	uint64_t recent[RECENT];
	uint8_t windows[BATCH * WINDOW];
	uint8_t piece[PIECE];
};

enum { SEEN_PLACE, SEEN_TABLE, SEEN_REGION };

struct kb_error *kb_heap_large__create(struct kb_heap *heap)
{
	heap->large = calloc(1, sizeof(*heap->large));
	if (!heap->large)
		return kb_error__no_memory();
	kb_id_map__init(&heap->large->seen, PLACES_MAX);
	return NULL;
}

void kb_heap_large__destroy(struct kb_heap_large *large)
{
	if (!large)
		return;
	kb_id_map__free(&large->seen);
	free(large->places);
	free(large->regions);
	free(large);
}

/* ---------------------------------------------------------------- what is to be done */

static bool is_new(struct kb_heap_large *large, uint64_t address, uint64_t what)
{
	return kb_id_map__get(&large->seen, address, what) == KB_ID_MAP_NONE &&
	       kb_id_map__set(&large->seen, address, what, 0);
}

void kb_heap_large__candidate(struct kb_heap *heap, uint64_t address)
{
	struct kb_heap_large *large = heap->large;
	uint64_t *recent = &large->recent[(address >> 4 ^ address >> 17) % RECENT], *grown;

	if (*recent == address || address % 16)
		return;
	*recent = address;
	if (large->seen.used == PLACES_MAX) {
		heap->notes[KB_HEAP_LARGE_LIMIT]++;
		return;
	}
	if (!is_new(large, address, SEEN_PLACE))
		return;
	grown = kb_array__grow(large->places, &large->capacity, large->n_places + 1, sizeof(*grown),
			       PLACES_MAX);
	if (!grown) {
		heap->notes[KB_HEAP_LARGE_LIMIT]++;
		return;
	}
	large->places = grown;
	grown[large->n_places++] = address;
}

void kb_heap_large__words(struct kb_heap *heap, const uint8_t *bytes, uint64_t size)
{
	for (uint64_t at = 0; at + 8 <= size; at += 8) {
		uint64_t word = kb_u64_at(bytes + at);

		/* Below the first page there is nothing. */
		if (word >= PAGE && !(word % 16) &&
		    kb_heap_space__where(&heap->space, word) == KB_HEAP_OUTSIDE)
			kb_heap_large__candidate(heap, word);
	}
}

void kb_heap_large__links(struct kb_heap *heap, const struct kb_heap_object *object)
{
	uint64_t links[] = { object->gc_next, object->gc_prev };

	/* They point to PyGC_Head. */
	for (int i = 0; i < 2 && object->tracked; i++) {
		if (kb_heap_space__where(&heap->space, links[i]) == KB_HEAP_OUTSIDE)
			kb_heap_large__candidate(heap, links[i] + heap->remote->objects->gc_head);
	}
}

void kb_heap_large__search(struct kb_heap *heap, uint64_t address, uint64_t bytes)
{
	struct kb_heap_large *large = heap->large;
	struct region *grown;

	/* Tables that overlap, or have no end, would be searched forever. */
	if (bytes > 4 * heap->space.bytes - large->searched) {
		heap->notes[KB_HEAP_TABLES_LIMIT] += bytes;
		return;
	}
	if (!is_new(large, address, SEEN_REGION))
		return;
	grown = kb_array__grow(large->regions, &large->regions_capacity, large->n_regions + 1,
			       sizeof(*grown), REGIONS_MAX);
	if (!grown) {
		heap->notes[KB_HEAP_TABLES_LIMIT] += bytes;
		return;
	}
	large->searched += bytes;
	large->regions = grown;
	grown[large->n_regions++] = (struct region){ address, bytes };
}

void kb_heap_large__table(struct kb_heap *heap, uint64_t address, uint64_t bytes, bool pointers)
{
	const struct kb_heap_range *range = kb_heap_space__range(&heap->space, address);

	if (!range || bytes > range->end - address) {
		heap->notes[KB_HEAP_TABLES_UNREADABLE]++;
		return;
	}
	if (!is_new(heap->large, address, SEEN_TABLE))
		return;
	heap->n_large_tables++;
	heap->large_table_bytes += bytes;
	if (pointers)
		kb_heap_large__search(heap, address, bytes);
}

/* ---------------------------------------------------------------- places */

/* Is the word before a chunk's end that of a next one, which says that this one is in use? Chunks
 * with a mapping of their own have none. */
static bool ends(struct kb_heap *heap, uint64_t chunk, uint64_t word)
{
	uint64_t size = word & ~CHUNK_FLAGS, next;

	if (word & CHUNK_MAPPED)
		return !(chunk % PAGE) && !(size % PAGE);
	return kb_pages__read_u64(heap->remote->pages, chunk + size + CHUNK_HEADER, &next) &&
	       next & CHUNK_PREVIOUS_IN_USE && (next & ~CHUNK_FLAGS) % 16 == 0;
}

/* Memory of C code: a chunk of the C library's allocator, or one with debug hooks, whose size is
 * big-endian before the mark that heap_scan.c knows. */
static void search_chunk(struct kb_heap *heap, uint64_t address, const uint8_t *at)
{
	const struct kb_heap_range *range = kb_heap_space__range(&heap->space, address);
	uint64_t word = kb_u64_at(at - CHUNK_HEADER), size = word & ~CHUNK_FLAGS;

	if (word >> 8 == KB_HEAP_DEBUG_BYTES || word >> 8 == KB_HEAP_OLD_DEBUG_BYTES)
		size = __builtin_bswap64(kb_u64_at(at - 2 * CHUNK_HEADER)) + CHUNK_HEADER;
	else if (size % 16 || size < CHUNK_LEAST || !ends(heap, address - 2 * CHUNK_HEADER, word))
		return;
	/* What is guessed may not use up what tables of objects need. */
	if (!range || size > CHUNK_MAX || size - CHUNK_HEADER > range->end - address ||
	    size > heap->space.bytes - heap->large->guessed)
		return;
	heap->large->guessed += size;
	kb_heap_large__search(heap, address, size - CHUNK_HEADER);
}

/* before: bytes of the window before the place, the rest of it lies behind. */
static void look_at(struct kb_heap *heap, uint64_t address, const uint8_t *at, uint32_t before)
{
	struct kb_heap_type *type =
		kb_heap_types__at(heap, kb_u64_at(at + heap->remote->layout->object_type));
	const struct kb_heap_range *range = kb_heap_space__range(&heap->space, address);
	struct kb_heap_object object;
	/* What debug hooks add counts for the limit, too. */
	uint64_t least = !heap->n_arenas ? 0 : KB_HEAP_BLOCK_MAX - (heap->debug ? 32 : 0);

	if (!range)
		return;
	if (type &&
	    kb_heap_object__read(heap, type, address, at, before, KB_HEAP_HEAD,
				 range->end - address, &object) == KB_HEAP_OBJECT &&
	    object.body + type->before > least) {
		heap->n_large++;
		heap->large_bytes += object.body + type->before;
		kb_heap__count(heap, &object);
		kb_heap_large__links(heap, &object);
		if (type->pointers)
			kb_heap_large__search(heap, address - type->before,
					      object.body + type->before);
		return;
	}
	if (before >= 2 * CHUNK_HEADER)
		search_chunk(heap, address, at);
}

/* A mapping may begin just before the place. */
static void look_alone(struct kb_heap *heap, uint64_t address, uint8_t *window)
{
	uint32_t before =
		address % PAGE < KB_HEAP_BEFORE ? (uint32_t)(address % PAGE) : KB_HEAP_BEFORE;

	if (kb_memory__read(heap->remote->pid, address - before, window, before + KB_HEAP_HEAD))
		look_at(heap, address, window + before, before);
	else
		heap->notes[KB_HEAP_LARGE_UNREADABLE]++;
}

static void look_at_batch(struct kb_heap *heap)
{
	struct kb_heap_large *large = heap->large;
	uint32_t n = large->n_places - large->done_places;
	uint64_t starts[BATCH], places[BATCH];
	bool readable[BATCH];

	if (n > BATCH)
		n = BATCH;
	/* The list moves when more is added. */
	memcpy(places, large->places + large->done_places, n * sizeof(*places));
	large->done_places += n;
	for (uint32_t i = 0; i < n; i++)
		starts[i] = places[i] - KB_HEAP_BEFORE;
	kb_memory__read_many(heap->remote->pid, starts, n, WINDOW, large->windows, readable);
	heap->read_bytes += (uint64_t)n * WINDOW;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *window = large->windows + (size_t)i * WINDOW;

		if (readable[i])
			look_at(heap, places[i], window + KB_HEAP_BEFORE, KB_HEAP_BEFORE);
		else
			look_alone(heap, places[i], window);
	}
}

/* ---------------------------------------------------------------- regions */

static void search_region(struct kb_heap *heap, struct region region)
{
	struct kb_heap_large *large = heap->large;

	while (region.bytes >= 8) {
		uint64_t n = region.bytes < PIECE ? region.bytes : PIECE;

		heap->read_bytes += n;
		if (kb_memory__read(heap->remote->pid, region.address, large->piece, n))
			kb_heap_large__words(heap, large->piece, n);
		else
			heap->notes[KB_HEAP_TABLES_UNREADABLE]++;
		region.address += n;
		region.bytes -= n;
	}
}

void kb_heap_large__run(struct kb_heap *heap)
{
	struct kb_heap_large *large = heap->large;

	do {
		while (large->done_places < large->n_places)
			look_at_batch(heap);
		while (large->done_regions < large->n_regions)
			search_region(heap, large->regions[large->done_regions++]);
		kb_heap_keys__flush(heap);
	} while (large->done_places < large->n_places || large->done_regions < large->n_regions);
}
