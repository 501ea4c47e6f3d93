// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/index.h"

#define INDEX_FIRST 64
#define INDEX_LAST  (1u << 31) /* slots: more would not fit their count */

uint32_t kb_index__find(const struct kb_index *index, uint64_t hash, const void *key,
			kb_index_equal_fn equal, const void *owner)
{
	uint32_t mask = index->n_slots - 1;

	if (!index->n_slots)
		return KB_INDEX_NONE;
	/* Ends at an empty slot: a third of them is. */
	for (uint32_t i = (uint32_t)hash & mask; index->slots[i]; i = (i + 1) & mask)
		if (equal(owner, index->slots[i] - 1, key))
			return index->slots[i] - 1;
	return KB_INDEX_NONE;
}

static void put(uint32_t *slots, uint32_t mask, uint64_t hash, uint32_t id)
{
	uint32_t i = (uint32_t)hash & mask;

	while (slots[i])
		i = (i + 1) & mask;
	slots[i] = id + 1;
}

static bool grow(struct kb_index *index, kb_index_hash_fn hash_of, const void *owner)
{
	uint32_t n_slots = index->n_slots ? index->n_slots * 2 : INDEX_FIRST;
	uint32_t *slots;

	if (index->n_slots >= INDEX_LAST)
		return false;
	slots = calloc(n_slots, sizeof(*slots));
	if (!slots)
		return false;
	for (uint32_t i = 0; i < index->n_slots; i++)
		if (index->slots[i])
			put(slots, n_slots - 1, hash_of(owner, index->slots[i] - 1),
			    index->slots[i] - 1);
	free(index->slots);
	index->slots = slots;
	index->n_slots = n_slots;
	return true;
}

bool kb_index__insert(struct kb_index *index, uint64_t hash, uint32_t id, kb_index_hash_fn hash_of,
		      const void *owner)
{
	if ((uint64_t)(index->used + 1) * 3 > (uint64_t)index->n_slots * 2 &&
	    !grow(index, hash_of, owner))
		return false;
	put(index->slots, index->n_slots - 1, hash, id);
	index->used++;
	return true;
}

void kb_index__free(struct kb_index *index)
{
	free(index->slots);
	*index = (struct kb_index){ 0 };
}
