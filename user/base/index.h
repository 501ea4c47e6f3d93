/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_INDEX_H
#define KB_BASE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A hash index over a dense array that its owner keeps: it finds the array
 * index ("id") of an element by content and stores nothing but ids, in 6 to 12
 * bytes per element (open addressing, at most two thirds full). For tables of
 * millions of small elements, where a pointer-linked table would cost
 * several times the elements. All zero is an empty index. Elements are never removed.
 */
#define KB_INDEX_NONE UINT32_MAX

struct kb_index {
	uint32_t *slots;  /* id + 1, 0: empty */
	uint32_t n_slots; /* a power of two, or 0 */
	uint32_t used;
};

/* Of the element with this id. */
typedef uint64_t (*kb_index_hash_fn)(const void *owner, uint32_t id);
typedef bool (*kb_index_equal_fn)(const void *owner, uint32_t id, const void *key);

/* The id of the element that equals key, whose hash is given, or KB_INDEX_NONE. */
uint32_t kb_index__find(const struct kb_index *index, uint64_t hash, const void *key,
			kb_index_equal_fn equal, const void *owner);

/* Adds an id that is not in the index. hash_of is for growing: it must already know all ids in the
 * index. */
bool kb_index__insert(struct kb_index *index, uint64_t hash, uint32_t id, kb_index_hash_fn hash_of,
		      const void *owner);

/* Frees the slots and leaves an empty index. */
void kb_index__free(struct kb_index *index);

#endif
