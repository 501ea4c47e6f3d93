/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_HEAP_SPACE_H
#define KB_PYTHON_HEAP_SPACE_H

#include <stdbool.h>
#include <stdint.h>
#include "keelback/error.h"
#include "system/maps.h"

/*
 * Where an address of a process lies, for each of the hundreds of millions of words of a heap that
 * may be pointers: in one of pymalloc's arenas, elsewhere in private memory that can be written
 * (the C library's heap, anonymous mappings), or neither. One byte for each 64 kB says it; only
 * where arenas and other memory share one, the arenas are searched.
 */
enum kb_heap_where {
	KB_HEAP_NOWHERE = 0,
	KB_HEAP_IN_ARENA = 1,
	KB_HEAP_OUTSIDE = 2, /* or next to it within 64 kB: reading tells */
	KB_HEAP_MIXED = 3,   /* never an answer */
};

#define KB_HEAP_ADDRESS_BITS 48 /* of user space: 47 on x86-64, 48 on arm64 */
#define KB_HEAP_TABLE_BITS   32 /* of address that one table covers: 4 GB */
#define KB_HEAP_GRAIN_BITS   16

/* An arena of pymalloc. */
struct kb_heap_arena {
	uint64_t address;    /* as it was mapped */
	uint64_t start;	     /* of the first pool */
	uint64_t end;	     /* of the pools that have been in use, pool_address */
	uint32_t index;	     /* in its array of arenas */
	uint32_t n_total;    /* ntotalpools */
	uint32_t n_free;     /* nfreepools */
	uint8_t *size_class; /* of each pool before `end`; KB_HEAP_NO_CLASS: it is empty */
	uint64_t *objects;   /* a bit for each 8 or 16 bytes: a block begins that is an object */
	uint64_t *tables;    /* … that belongs to an object: items, keys, values */
};
#define KB_HEAP_NO_CLASS 0xff

struct kb_heap_range {
	uint64_t start, end;
};

struct kb_heap_space {
	struct kb_heap_range *ranges; /* private, writable, of no file; ascending */
	uint32_t n_ranges;
	uint64_t bytes;		      /* of them together */
	bool cut;		      /* there is more than is looked at */
	struct kb_heap_arena *arenas; /* ascending */
	uint32_t n_arenas, capacity;
	struct kb_heap_arena *last; /* asked for most likely */
	uint64_t arena_bytes;	    /* of one */
	uint8_t **tables;	    /* of each 4 GB: a byte for each 64 kB; NULL: none */
	uint32_t n_tables;
};

/* From the mappings; arenas come later. */
struct kb_error *kb_heap_space__create(const struct kb_maps *maps, struct kb_heap_space *space);
void kb_heap_space__free(struct kb_heap_space *space);

/* Takes over the arenas that were appended to the list, and sorts them. */
void kb_heap_space__add_arenas(struct kb_heap_space *space);

/* The arena that an address lies in, or NULL. */
struct kb_heap_arena *kb_heap_space__arena(const struct kb_heap_space *space, uint64_t address);

/* The range that an address lies in, or NULL. */
const struct kb_heap_range *kb_heap_space__range(const struct kb_heap_space *space,
						 uint64_t address);

/* Here, because it is asked for every word. */
static inline enum kb_heap_where kb_heap_space__where(const struct kb_heap_space *space,
						      uint64_t address)
{
	const uint8_t *table;
	uint8_t where;

	if (address >> KB_HEAP_ADDRESS_BITS)
		return KB_HEAP_NOWHERE;
	table = space->tables[address >> KB_HEAP_TABLE_BITS];
	if (!table)
		return KB_HEAP_NOWHERE;
	where = table[(address & UINT32_MAX) >> KB_HEAP_GRAIN_BITS];
	if (where != KB_HEAP_MIXED)
		return where;
	return kb_heap_space__arena(space, address) ? KB_HEAP_IN_ARENA : KB_HEAP_OUTSIDE;
}

#endif
