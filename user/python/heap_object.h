/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_HEAP_OBJECT_H
#define KB_PYTHON_HEAP_OBJECT_H

#include "python/heap.h"

/*
 * Is there an object in these bytes, how large is it, and what belongs to it? Sizes are those that
 * sys.getsizeof() says, which has some tables and not others; comments in heap_object.c say what of
 * whom.
 */

/* Bytes around the start of an object that are looked at. */
#define KB_HEAP_BEFORE 48  /* PyGC_Head of 3.6 and 3.7, and what lies before it */
#define KB_HEAP_HEAD   128 /* the longest: what a str and a set have */

enum kb_heap_verdict {
	KB_HEAP_NO_OBJECT,
	KB_HEAP_OBJECT,
	KB_HEAP_KEPT, /* of a type, but freed: the interpreter keeps it for reuse */
};

/* Memory that belongs to one object. */
struct kb_heap_table {
	uint64_t address; /* 0: none */
	uint64_t bytes;
	bool pointers;
};

struct kb_heap_object {
	struct kb_heap_type *type;
	uint64_t address;
	uint64_t bytes;	 /* with table[0], without dicts' keys and values */
	uint64_t body;	 /* of the object alone, from its start */
	uint64_t length; /* len() of containers and strings, digits of an int */
	bool tracked;	 /* by the garbage collector */
	uint64_t gc_next, gc_prev;
	struct kb_heap_table table;
	uint64_t keys, values; /* dicts, and instances of 3.11 and 3.12; 0: none */
};

/*
 * at: where the object would begin, with `before` bytes that can be read before and `after` from
 * there on. room: bytes from its start to the end of its block; UINT64_MAX: it has none.
 */
enum kb_heap_verdict kb_heap_object__read(struct kb_heap *heap, struct kb_heap_type *type,
					  uint64_t address, const uint8_t *at, uint32_t before,
					  uint32_t after, uint64_t room,
					  struct kb_heap_object *object);

#endif
