// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/hash.h"
#include "base/index.h"
#include "base/strpool.h"

#define CHUNK_BYTES 65536u

/* Strings are laid into chunks, which never move. */
struct chunk {
	struct chunk *next;
	size_t used, size;
	char bytes[];
};

struct entry {
	const char *bytes;
	uint32_t size;
	uint32_t hash; /* enough of it for the index, and to skip most comparisons */
};

struct kb_strpool {
	struct entry *entries;
	uint32_t n, capacity, max_strings;
	size_t n_bytes, max_bytes;
	struct chunk *chunks;
	struct kb_index index;
};

struct key {
	const void *bytes;
	size_t size;
	uint32_t hash;
};

static bool entry_equal(const void *owner, uint32_t id, const void *wanted)
{
	const struct entry *entry = &((const struct kb_strpool *)owner)->entries[id];
	const struct key *key = wanted;

	return entry->hash == key->hash && entry->size == key->size &&
	       !memcmp(entry->bytes, key->bytes, key->size);
}

static uint64_t entry_hash(const void *owner, uint32_t id)
{
	return ((const struct kb_strpool *)owner)->entries[id].hash;
}

struct kb_strpool *kb_strpool__create(size_t max_bytes, uint32_t max_strings)
{
	struct kb_strpool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->max_bytes = max_bytes;
	pool->max_strings = max_strings < KB_STRPOOL_NONE ? max_strings : KB_STRPOOL_NONE - 1;
	return pool;
}

void kb_strpool__destroy(struct kb_strpool *pool)
{
	if (!pool)
		return;
	for (struct chunk *chunk = pool->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	kb_index__free(&pool->index);
	free(pool->entries);
	free(pool);
}

/* Room for size bytes. A long string gets its own chunk, behind the one being filled. */
static char *room(struct kb_strpool *pool, size_t size)
{
	bool own = size > CHUNK_BYTES / 4;
	struct chunk *chunk = pool->chunks;
	size_t wanted = own ? size : CHUNK_BYTES - sizeof(*chunk);

	if (own || !chunk || chunk->size - chunk->used < size) {
		struct chunk *fresh = malloc(sizeof(*fresh) + wanted);

		if (!fresh)
			return NULL;
		*fresh = (struct chunk){ .size = wanted };
		if (own && chunk) {
			fresh->next = chunk->next;
			chunk->next = fresh;
		} else {
			fresh->next = chunk;
			pool->chunks = fresh;
		}
		chunk = fresh;
	}
	chunk->used += size;
	return chunk->bytes + chunk->used - size;
}

static uint32_t find(const struct kb_strpool *pool, const struct key *key)
{
	return kb_index__find(&pool->index, key->hash, key, entry_equal, pool);
}

static struct key make_key(const void *bytes, size_t size)
{
	/* No bytes may come as NULL, which memcpy() and memcmp() must not see. */
	return (struct key){ size ? bytes : "", size, (uint32_t)kb_hash__bytes(bytes, size) };
}

uint32_t kb_strpool__find(const struct kb_strpool *pool, const void *bytes, size_t size)
{
	struct key key = make_key(bytes, size);

	return find(pool, &key);
}

uint32_t kb_strpool__add(struct kb_strpool *pool, const void *bytes, size_t size)
{
	struct key key = make_key(bytes, size);
	uint32_t id = find(pool, &key);
	struct entry *entries;
	char *copy;

	if (id != KB_INDEX_NONE)
		return id;
	if (size >= UINT32_MAX || size >= pool->max_bytes - pool->n_bytes)
		return KB_STRPOOL_NONE;
	entries = kb_array__grow(pool->entries, &pool->capacity, pool->n + 1, sizeof(*entries),
				 pool->max_strings);
	if (!entries)
		return KB_STRPOOL_NONE;
	pool->entries = entries;
	copy = room(pool, size + 1);
	if (!copy || !kb_index__insert(&pool->index, key.hash, pool->n, entry_hash, pool))
		return KB_STRPOOL_NONE;
	memcpy(copy, key.bytes, size);
	copy[size] = 0;
	pool->n_bytes += size + 1;
	entries[pool->n] = (struct entry){ copy, (uint32_t)size, key.hash };
	return pool->n++;
}

uint32_t kb_strpool__count(const struct kb_strpool *pool)
{
	return pool->n;
}

const char *kb_strpool__at(const struct kb_strpool *pool, uint32_t id)
{
	return pool->entries[id].bytes;
}

uint32_t kb_strpool__size(const struct kb_strpool *pool, uint32_t id)
{
	return pool->entries[id].size;
}
