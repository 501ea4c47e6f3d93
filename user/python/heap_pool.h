/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_HEAP_POOL_H
#define KB_PYTHON_HEAP_POOL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A pool of pymalloc from its bytes: struct pool_header of Objects/obmalloc.c (3.6 to 3.11) and
 * Include/internal/pycore_obmalloc.h (3.12 to 3.15), the same in all of them.
 *
 * Blocks of one size follow the header. Those up to nextoffset have been handed out at some time;
 * the free ones among them are a list that goes through their first words.
 */
#define KB_HEAP_POOL_HEADER 48
#define KB_HEAP_POOL_MAX    16384
#define KB_HEAP_BLOCKS_MAX  1024 /* of a pool: (16384 - 48) / 16 */
#define KB_HEAP_CLASSES_MAX 64	 /* up to 512 bytes by 8 */
#define KB_HEAP_BLOCK_MAX   512	 /* SMALL_REQUEST_THRESHOLD: larger ones are the C library's */

/* What a build was compiled with, found from the pools themselves. */
struct kb_heap_geometry {
	uint32_t pool_bytes; /* 4096, or 16384 from 3.10 on */
	uint32_t alignment;  /* 8 or 16: the step between size classes */
};

enum kb_heap_pool_state {
	KB_HEAP_POOL_USED,
	KB_HEAP_POOL_EMPTY,
	KB_HEAP_POOL_TORN, /* its list of free blocks and its count do not agree: it was changing */
	KB_HEAP_POOL_BAD,  /* no pool, or not of this arena */
};

struct kb_heap_pool {
	uint32_t size_class; /* 0: blocks of `alignment` bytes */
	uint32_t block_bytes;
	uint32_t n_blocks; /* that fit */
	uint32_t n_carved; /* that have been handed out at some time */
	uint32_t n_used;
	uint64_t free[KB_HEAP_BLOCKS_MAX / 64]; /* of those carved */
};

/* bytes: geometry->pool_bytes of them, as they are at `address`. */
enum kb_heap_pool_state kb_heap_pool__parse(const uint8_t *bytes, uint64_t address,
					    const struct kb_heap_geometry *geometry,
					    uint32_t arena_index, struct kb_heap_pool *pool);

/* From a pool's header; false: it is none of arena number `arena_index`. */
bool kb_heap_pool__geometry(const uint8_t header[KB_HEAP_POOL_HEADER], uint32_t arena_index,
			    uint32_t pool_bytes, struct kb_heap_geometry *geometry);

#endif
