/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_HEAP_H
#define KB_PYTHON_HEAP_H

#include "base/id_map.h"
#include "python/heap_pool.h"
#include "python/heap_space.h"
#include "python/heap_types.h"
#include "python/remote.h"

/*
 * What is in the heap of a live process, read without stopping it and without a probe.
 *
 * Objects of up to 512 bytes lie in the pools of pymalloc. These are found through its array of
 * arenas (heap_arenas.c), read arena by arena, and each block that is in use is looked at
 * (heap_scan.c): an object is what has a type at the place where an object of that type has it
 * (heap_types.h), a plausible count of references, and fits its block (heap_object.h). Blocks to
 * which an object points as its items, keys or values are its tables; what is neither is counted by
 * size.
 *
 * Larger objects and tables are the C library's. They are found through what points to them
 * (heap_large.c): each word of an object, of a table or of a block that is no object, and the links
 * of the garbage collector, which lead to large objects that nothing else leads to. What is found
 * is searched in turn.
 *
 * The process runs on meanwhile. An arena is copied in some 100 µs, a pool in a few; one that
 * changed under the copy contradicts itself and is copied again. So each pool is of one instant,
 * and the whole of the time that the reading takes.
 */

/* Bytes of pymalloc's pools, each in one of these; kb_heap_class_count has blocks. */
enum kb_heap_bytes_class {
	KB_HEAP_BYTES_GOOD, /* pools in use or empty, consistent */
	KB_HEAP_BYTES_TORN, /* changed each time they were read: their blocks are not counted */
	KB_HEAP_BYTES_BAD,  /* no pool there */
	KB_HEAP_BYTES_UNREADABLE, /* unmapped meanwhile */
	KB_HEAP_BYTES_CLASSES
};

/* What else was left out. */
enum kb_heap_note {
	KB_HEAP_LARGE_UNREADABLE, /* places that a word pointed to */
	KB_HEAP_LARGE_LIMIT,	  /* places beyond the limit, not looked at */
	KB_HEAP_TABLES_UNREADABLE,
	KB_HEAP_TABLES_LIMIT,	 /* bytes of tables beyond the limit, not searched */
	KB_HEAP_KEYS_UNREADABLE, /* dicts whose table could not be sized */
	KB_HEAP_TYPES_LIMIT,	 /* words not tried as types */
	KB_HEAP_ARENAS_LIMIT,
	KB_HEAP_SPACE_LIMIT,
	KB_HEAP_REREAD, /* pools read again because they changed */
	KB_HEAP_NOTES
};

/* One size class of pymalloc. */
struct kb_heap_class_count {
	uint64_t pools;
	uint64_t objects, tables, others; /* blocks in use */
	uint64_t kept; /* of the others: objects that the interpreter keeps for reuse */
	uint64_t free; /* blocks, those never used included */
};

struct kb_heap_large_object {
	const struct kb_heap_type *type;
	uint64_t address, length, bytes;
};

#define KB_HEAP_LARGEST_MAX 1000

struct kb_heap_keys; /* of dicts whose size is to be told from their table; heap_tables.c */
struct kb_heap_large;

struct kb_heap {
	struct kb_remote *remote;
	struct kb_heap_space space;
	struct kb_heap_geometry geometry;
	struct kb_heap_types types;
	bool debug;			 /* PYTHONMALLOC=debug: see heap_scan.c */
	uint64_t image_start, image_end; /* the interpreter's own data: its static objects */
	struct kb_heap_keys *keys;
	struct kb_heap_large *large;
	const struct kb_heap_arena *copied; /* the one that is scanned, or NULL … */
	const uint8_t *copy;		    /* … and its bytes */

	/* pymalloc; all in bytes but for n_*. */
	uint32_t n_arenas;
	uint64_t n_pools, n_empty, n_virgin; /* pools: in use, empty, never used */
	uint64_t arena_bytes, used_bytes, free_bytes, empty_bytes, header_bytes, waste_bytes,
		alignment_bytes;
	uint64_t object_bytes, table_bytes, other_bytes; /* used_bytes is their sum */
	struct kb_heap_class_count classes[KB_HEAP_CLASSES_MAX];

	/* Beyond. */
	uint64_t n_large, large_bytes; /* objects */
	uint64_t n_large_tables,
		large_table_bytes; /* items, keys and data of objects of any size */

	uint64_t n_tracked; /* objects that the garbage collector knows */
	uint64_t bytes[KB_HEAP_BYTES_CLASSES];
	uint64_t notes[KB_HEAP_NOTES];
	uint64_t read_bytes; /* all that was copied */

	struct kb_heap_large_object *largest; /* descending by bytes, when reading is done */
	uint32_t n_largest, max_largest;
};

/*
 * Reads it. largest: how many of the largest objects are kept. KB_STATUS_UNSUPPORTED: a build
 * whose heap is not pymalloc's; KB_STATUS_FAILED: the process is gone. kb_heap__free() it.
 */
struct kb_error *kb_heap__read(struct kb_remote *remote, const struct kb_interpreter *interp,
			       uint32_t largest, struct kb_heap *heap);
/* The same, where the process's mappings are known. */
struct kb_error *kb_heap__read_maps(struct kb_remote *remote, const struct kb_interpreter *interp,
				    const struct kb_maps *maps, uint32_t largest,
				    struct kb_heap *heap);
void kb_heap__free(struct kb_heap *heap);

/* ---------------------------------------------------------------- its parts */

/* With PYTHONMALLOC=debug, in the seven upper bytes of the word before what is allocated:
 * FORBIDDENBYTE, up to 3.7 and later. */
#define KB_HEAP_OLD_DEBUG_BYTES 0xFBFBFBFBFBFBFBull
#define KB_HEAP_DEBUG_BYTES	0xFDFDFDFDFDFDFDull

/* Finds the arenas of all interpreters, and the geometry. None: the process does not use pymalloc.
 */
struct kb_error *kb_heap__find_arenas(struct kb_heap *heap, const struct kb_maps *maps,
				      const struct kb_interpreter *interp);

/* Reads the arenas, block by block. */
struct kb_error *kb_heap__scan(struct kb_heap *heap);
/* When all is read: blocks that are somebody's table are no objects. */
struct kb_error *kb_heap__settle(struct kb_heap *heap);

struct kb_heap_object;

/* Adds an object to the counts of its type, and its tables to what is searched. */
void kb_heap__count(struct kb_heap *heap, const struct kb_heap_object *object);

/* Sizes of dicts: batches of tables read at once. */
struct kb_error *kb_heap_keys__create(struct kb_heap_keys **keys);
void kb_heap_keys__flush(struct kb_heap *heap);

/* Large objects. */
struct kb_error *kb_heap_large__create(struct kb_heap *heap);
void kb_heap_large__destroy(struct kb_heap_large *large);
/* A word that may point to one, KB_HEAP_OUTSIDE. */
void kb_heap_large__candidate(struct kb_heap *heap, uint64_t address);
/* A table of an object, KB_HEAP_OUTSIDE: counted once, and searched when it has pointers. */
void kb_heap_large__table(struct kb_heap *heap, uint64_t address, uint64_t bytes, bool pointers);
/* Memory whose words may point to large objects. */
void kb_heap_large__search(struct kb_heap *heap, uint64_t address, uint64_t bytes);
/* Words in memory that is at hand. */
void kb_heap_large__words(struct kb_heap *heap, const uint8_t *bytes, uint64_t size);
/* The neighbours in the collector's list. */
void kb_heap_large__links(struct kb_heap *heap, const struct kb_heap_object *object);
/* Looks at all that has come together, and at what comes of that. */
void kb_heap_large__run(struct kb_heap *heap);

#endif
