/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_PYTHON_HEAP_TYPES_H
#define KB_PYTHON_HEAP_TYPES_H

#include "base/id_map.h"
#include "python/remote_object.h"

/*
 * Which words are types. Types never lie in pymalloc's arenas: static ones are in an ELF file's
 * data, those made at run time are larger than a block. What is no type is remembered, too.
 */

/* How the size of an object is told, and what belongs to it. */
enum kb_heap_kind {
	KB_HEAP_PLAIN, /* tp_basicsize + ob_size * tp_itemsize */
	KB_HEAP_STR,
	KB_HEAP_INT,
	KB_HEAP_LIST,
	KB_HEAP_DICT,
	KB_HEAP_SET, /* frozenset, too */
	KB_HEAP_BYTEARRAY,
	KB_HEAP_ARRAY,
	KB_HEAP_DEQUE,
	KB_HEAP_FRAMES, /* 3.11+: generators and frames, whose ob_size is something else: the block
			 */
	KB_HEAP_TYPE,
};

struct kb_heap_type {
	uint64_t address;
	uint64_t flags, basicsize, itemsize;
	uint32_t before;       /* bytes before the object: PyGC_Head, and pointers to its dict and
				  weakrefs */
	uint32_t inline_bytes; /* 3.13+: values behind the object */
	enum kb_heap_kind kind;
	bool gc;
	bool pointers; /* its objects may hold any */
	char *name;    /* tp_name; of classes, when reading is done: module.qualified name */

	uint64_t objects, bytes; /* as sys.getsizeof() says */
	uint64_t kept;		 /* freed, and kept by the interpreter for reuse */
};

#define KB_HEAP_TYPES_MAX 65536 /* programs have some thousands; the rest is no type */

struct kb_heap_types {
	struct kb_heap_type **types; /* which never move */
	uint32_t n, capacity;
	struct kb_id_map by_address; /* place in types; KB_HEAP_TYPES_MAX: no type */
	struct kb_heap_type_slot *recent;
	uint64_t type_type; /* address of PyType_Type */
	uint64_t looks;	    /* at memory, for words that were new */
	uint64_t refused;   /* words that were not looked at: too many */
};

struct kb_heap;

struct kb_error *kb_heap_types__create(struct kb_remote *remote, struct kb_heap_types *types);
void kb_heap_types__free(struct kb_heap_types *types);

/* The type at an address; NULL: there is none. */
struct kb_heap_type *kb_heap_types__at(struct kb_heap *heap, uint64_t address);

/* Replaces the names of classes that have objects by module and qualified name. */
void kb_heap_types__name(struct kb_heap *heap);

#endif
