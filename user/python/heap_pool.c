// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "python/heap_bytes.h"
#include "python/heap_pool.h"

/* struct pool_header */
#define REF_COUNT	0
#define FREEBLOCK	8
#define ARENA_INDEX	32
#define SIZE_CLASS	36
#define NEXT_OFFSET	40
#define MAX_NEXT_OFFSET 44

/* maxnextoffset = POOL_SIZE - block size, set when a pool gets its size class. */
static bool fits(const uint8_t *header, uint32_t pool_bytes, uint32_t alignment)
{
	uint32_t size_class = kb_u32_at(header + SIZE_CLASS);

	return size_class < KB_HEAP_BLOCK_MAX / alignment &&
	       kb_u32_at(header + MAX_NEXT_OFFSET) == pool_bytes - (size_class + 1) * alignment;
}

bool kb_heap_pool__geometry(const uint8_t header[KB_HEAP_POOL_HEADER], uint32_t arena_index,
			    uint32_t pool_bytes, struct kb_heap_geometry *geometry)
{
	if (kb_u32_at(header + ARENA_INDEX) != arena_index)
		return false;
	for (uint32_t alignment = 8; alignment <= 16; alignment *= 2) {
		if (!fits(header, pool_bytes, alignment))
			continue;
		geometry->pool_bytes = pool_bytes;
		geometry->alignment = alignment;
		return true;
	}
	return false;
}

/* Follows the list of free blocks; their number, or UINT32_MAX when it leaves the pool or turns
 * back. */
static uint32_t mark_free(const uint8_t *bytes, uint64_t address, struct kb_heap_pool *pool)
{
	uint64_t block = kb_u64_at(bytes + FREEBLOCK);
	uint32_t n = 0;

	memset(pool->free, 0, sizeof(pool->free));
	while (block) {
		uint64_t offset = block - address - KB_HEAP_POOL_HEADER;
		uint32_t i;

		if (offset >= (uint64_t)pool->n_carved * pool->block_bytes ||
		    (uint32_t)offset % pool->block_bytes)
			return UINT32_MAX;
		i = (uint32_t)offset / pool->block_bytes;
		if (pool->free[i / 64] >> i % 64 & 1)
			return UINT32_MAX;
		pool->free[i / 64] |= 1ull << i % 64;
		n++;
		block = kb_u64_at(bytes + KB_HEAP_POOL_HEADER + offset);
	}
	return n;
}

enum kb_heap_pool_state kb_heap_pool__parse(const uint8_t *bytes, uint64_t address,
					    const struct kb_heap_geometry *geometry,
					    uint32_t arena_index, struct kb_heap_pool *pool)
{
	uint32_t next = kb_u32_at(bytes + NEXT_OFFSET), n_free;

	pool->n_used = kb_u32_at(bytes + REF_COUNT);
	if (kb_u32_at(bytes + ARENA_INDEX) != arena_index)
		return KB_HEAP_POOL_BAD;
	if (!pool->n_used)
		return KB_HEAP_POOL_EMPTY;
	if (!fits(bytes, geometry->pool_bytes, geometry->alignment))
		return KB_HEAP_POOL_BAD;
	pool->size_class = kb_u32_at(bytes + SIZE_CLASS);
	pool->block_bytes = (pool->size_class + 1) * geometry->alignment;
	pool->n_blocks = (geometry->pool_bytes - KB_HEAP_POOL_HEADER) / pool->block_bytes;
	if (next < KB_HEAP_POOL_HEADER ||
	    next > KB_HEAP_POOL_HEADER + pool->n_blocks * pool->block_bytes ||
	    (next - KB_HEAP_POOL_HEADER) % pool->block_bytes)
		return KB_HEAP_POOL_BAD;
	pool->n_carved = (next - KB_HEAP_POOL_HEADER) / pool->block_bytes;
	n_free = mark_free(bytes, address, pool);
	return n_free <= pool->n_carved && pool->n_carved - n_free == pool->n_used
		       ? KB_HEAP_POOL_USED
		       : KB_HEAP_POOL_TORN;
}
