// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "format/pair_index.h"

#define SLOTS_FIRST 1024u
#define PAIRS_MAX   (1u << 31)
#define EMPTY	    0u /* slots hold id + 1 */

struct kb_pair_index {
	struct kb_pair *pairs;
	uint32_t n;
	uint32_t *slots;  /* open addressing, at most half full */
	uint32_t n_slots; /* a power of two */
};

static uint32_t hash(struct kb_pair pair)
{
	uint64_t x = (uint64_t)pair.first << 32 | pair.second;

	/* Two rounds of multiply and fold: neighbouring ids must not stay neighbours. */
	x = (x ^ x >> 32) * 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
	return (uint32_t)(x >> 32);
}

/* The slot that holds the pair, or the empty one where it belongs. */
static uint32_t *find_slot(const struct kb_pair_index *index, struct kb_pair pair)
{
	uint32_t mask = index->n_slots - 1;

	for (uint32_t at = hash(pair) & mask;; at = (at + 1) & mask) {
		uint32_t *slot = &index->slots[at];
		const struct kb_pair *other;

		if (*slot == EMPTY)
			return slot;
		other = &index->pairs[*slot - 1];
		if (other->first == pair.first && other->second == pair.second)
			return slot;
	}
}

static struct kb_error *resize(struct kb_pair_index *index, uint32_t n_slots)
{
	struct kb_pair *pairs = realloc(index->pairs, (size_t)n_slots / 2 * sizeof(*pairs));
	uint32_t *slots;

	if (!pairs)
		return kb_error__no_memory();
	index->pairs = pairs;
	slots = calloc(n_slots, sizeof(*slots));
	if (!slots)
		return kb_error__no_memory();
	free(index->slots);
	index->slots = slots;
	index->n_slots = n_slots;
	for (uint32_t id = 0; id < index->n; id++)
		*find_slot(index, index->pairs[id]) = id + 1;
	return NULL;
}

struct kb_error *kb_pair_index__create(struct kb_pair_index **index_out)
{
	struct kb_pair_index *index = calloc(1, sizeof(*index));
	struct kb_error *err;

	if (!index)
		return kb_error__no_memory();
	err = resize(index, SLOTS_FIRST);
	if (err) {
		kb_pair_index__destroy(index);
		return err;
	}
	*index_out = index;
	return NULL;
}

void kb_pair_index__destroy(struct kb_pair_index *index)
{
	if (!index)
		return;
	free(index->pairs);
	free(index->slots);
	free(index);
}

struct kb_error *kb_pair_index__add(struct kb_pair_index *index, struct kb_pair pair, uint32_t *id)
{
	uint32_t *slot = find_slot(index, pair);

	if (*slot != EMPTY) {
		*id = *slot - 1;
		return NULL;
	}
	if (index->n == index->n_slots / 2) {
		if (index->n_slots >= PAIRS_MAX)
			return kb_error__no_memory();
		KB_TRY(resize(index, index->n_slots * 2));
		slot = find_slot(index, pair);
	}
	index->pairs[index->n] = pair;
	*id = index->n++;
	*slot = index->n;
	return NULL;
}

uint32_t kb_pair_index__count(const struct kb_pair_index *index)
{
	return index->n;
}

const struct kb_pair *kb_pair_index__pairs(const struct kb_pair_index *index)
{
	return index->pairs;
}
