/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_ALLOCATOR_H
#define KB_PYTHON_ALLOCATOR_H

#include <stdbool.h>
#include <stdint.h>
#include "keelback/error.h"

/*
 * Where an interpreter's memory allocator can be watched: what one ELF file tells.
 *
 * PyObject_Malloc() and its like call through a table of functions (PyMemAllocatorEx,
 * Include/cpython/pymem.h) for each domain. Builds without LTO call these functions for every
 * block. With PGO and LTO the table is read, and pymalloc inlined, at some 200 places, and the
 * functions see a quarter of the blocks; then only what pymalloc itself asks for can be watched:
 * new pools.
 */
enum kb_allocator_call {
	KB_ALLOCATOR_MALLOC,
	KB_ALLOCATOR_CALLOC,
	KB_ALLOCATOR_REALLOC,
	KB_ALLOCATOR_FREE,
	KB_ALLOCATOR_CALLS,
};
enum kb_allocator_domain {
	KB_ALLOCATOR_RAW,
	KB_ALLOCATOR_MEM,
	KB_ALLOCATOR_OBJECT,
	KB_ALLOCATOR_DOMAINS,
};

/* All addresses are link-time ones; 0: not found. */
struct kb_allocator {
	uint64_t api[KB_ALLOCATOR_DOMAINS]
		    [KB_ALLOCATOR_CALLS]; /* PyMem_RawMalloc … PyObject_Free */
	uint64_t pymalloc_free; /* _PyObject_Free(ctx, block): of the domains MEM and OBJECT */
	uint64_t raw_free;	/* _PyMem_RawFree(ctx, block) */
	/* Of the tables of OBJECT and RAW that the interpreter calls through. */
	uint64_t object_table, raw_table;
	bool called; /* the functions of the API are called for every block */
	/*
	 * allocate_from_new_pool() (Objects/obmalloc.c, 3.9+), where it is a function of its own:
	 * it returns the first block of a pool.
	 */
	uint64_t new_pool;
	uint32_t pool_bytes, arena_bytes;
};

/* Analyses an open ELF file with an interpreter of version 3.minor. path: for messages. */
struct kb_error *kb_allocator__find(int fd, const char *path, unsigned minor,
				    struct kb_allocator *allocator);

#endif
