// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "python/heap_space.h"

/* 2 TB of address space with private memory in it, 32 MB here. A sanitizer's shadow memory alone is
 * beyond that, and no heap. */
#define TABLES_MAX 512

#define TABLE_SLOTS (1u << (KB_HEAP_ADDRESS_BITS - KB_HEAP_TABLE_BITS))
#define TABLE_BYTES (1u << (KB_HEAP_TABLE_BITS - KB_HEAP_GRAIN_BITS))
#define GRAIN	    (1ull << KB_HEAP_GRAIN_BITS)

/* "[anon:NAME]" is anonymous memory that the process has named. */
static bool is_heap(const struct kb_map *map)
{
	return map->writable && !map->shared && !map->inode &&
	       (!map->path[0] || !strcmp(map->path, "[heap]") || !strncmp(map->path, "[anon:", 6));
}

static uint8_t *grain(struct kb_heap_space *space, uint64_t address, bool create)
{
	uint8_t **table = &space->tables[address >> KB_HEAP_TABLE_BITS];

	if (!*table && create && space->n_tables < TABLES_MAX) {
		*table = calloc(1, TABLE_BYTES);
		space->n_tables += *table != NULL;
	}
	return *table ? &(*table)[(address & UINT32_MAX) >> KB_HEAP_GRAIN_BITS] : NULL;
}

static void mark(struct kb_heap_space *space, const struct kb_heap_range *range)
{
	for (uint64_t at = range->start & ~(GRAIN - 1); at < range->end; at += GRAIN) {
		uint8_t *where = grain(space, at, true);

		if (where) {
			*where = KB_HEAP_OUTSIDE;
			continue;
		}
		space->cut = true;
		return;
	}
}

struct kb_error *kb_heap_space__create(const struct kb_maps *maps, struct kb_heap_space *space)
{
	memset(space, 0, sizeof(*space));
	space->cut = maps->truncated;
	space->ranges = malloc((maps->count + 1) * sizeof(*space->ranges));
	space->tables = calloc(TABLE_SLOTS, sizeof(*space->tables));
	if (!space->ranges || !space->tables) {
		kb_heap_space__free(space);
		return kb_error__no_memory();
	}
	for (size_t i = 0; i < maps->count; i++) {
		const struct kb_map *map = &maps->entries[i];
		struct kb_heap_range range = { map->start, map->end };

		if (!is_heap(map) || map->end > 1ull << KB_HEAP_ADDRESS_BITS)
			continue;
		mark(space, &range);
		space->bytes += range.end - range.start;
		/* The kernel does not join all that lie next to each other. */
		if (space->n_ranges && space->ranges[space->n_ranges - 1].end == range.start)
			space->ranges[space->n_ranges - 1].end = range.end;
		else
			space->ranges[space->n_ranges++] = range;
	}
	return NULL;
}

void kb_heap_space__free(struct kb_heap_space *space)
{
	for (uint32_t i = 0; i < space->n_arenas; i++) {
		free(space->arenas[i].size_class);
		free(space->arenas[i].objects);
		free(space->arenas[i].tables);
	}
	free(space->arenas);
	free(space->ranges);
	for (uint32_t i = 0; space->tables && i < TABLE_SLOTS; i++)
		free(space->tables[i]);
	free(space->tables);
	memset(space, 0, sizeof(*space));
}

const struct kb_heap_range *kb_heap_space__range(const struct kb_heap_space *space,
						 uint64_t address)
{
	uint32_t low = 0, high = space->n_ranges;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (address < space->ranges[middle].start)
			high = middle;
		else if (address >= space->ranges[middle].end)
			low = middle + 1;
		else
			return &space->ranges[middle];
	}
	return NULL;
}

/* ---------------------------------------------------------------- arenas */

static int by_address(const void *a, const void *b)
{
	const struct kb_heap_arena *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

/* Arenas that lie next to each other. */
static void mark_run(struct kb_heap_space *space, uint64_t start, uint64_t end)
{
	for (uint64_t at = start & ~(GRAIN - 1); at < end; at += GRAIN) {
		uint8_t *where = grain(space, at, false);

		if (where)
			*where =
				at >= start && at + GRAIN <= end ? KB_HEAP_IN_ARENA : KB_HEAP_MIXED;
	}
}

void kb_heap_space__add_arenas(struct kb_heap_space *space)
{
	uint32_t n = 0;

	if (!space->n_arenas)
		return;
	qsort(space->arenas, space->n_arenas, sizeof(*space->arenas), by_address);
	for (uint32_t i = 0; i < space->n_arenas; i++) {
		const struct kb_heap_arena *arena = &space->arenas[i];

		/* One that overlaps is of an array that was read while it changed, or a lie. */
		if (n && arena->address < space->arenas[n - 1].address + space->arena_bytes)
			continue;
		space->arenas[n++] = *arena;
	}
	space->n_arenas = n;
	for (uint32_t i = 0, first = 0; i < n; i++) {
		uint64_t end = space->arenas[i].address + space->arena_bytes;

		if (i + 1 < n && space->arenas[i + 1].address == end)
			continue;
		mark_run(space, space->arenas[first].address, end);
		first = i + 1;
	}
}

struct kb_heap_arena *kb_heap_space__arena(const struct kb_heap_space *space, uint64_t address)
{
	uint32_t low = 0, high = space->n_arenas;
	struct kb_heap_arena *last = space->last;

	/* What belongs together is often in one. */
	if (last && address - last->address < space->arena_bytes)
		return last;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (address < space->arenas[middle].address)
			high = middle;
		else if (address >= space->arenas[middle].address + space->arena_bytes)
			low = middle + 1;
		else
			return &space->arenas[middle];
	}
	return NULL;
}
