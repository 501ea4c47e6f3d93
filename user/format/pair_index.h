/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_PAIR_INDEX_H
#define KB_FORMAT_PAIR_INDEX_H

#include <stdint.h>
#include "base/error.h"

/*
 * Gives each pair of numbers a dense id, 0 for the first. Stack trees have
 * millions of such pairs, (parent, frame) or (caller, callee), and a node in a
 * general hash table costs several times the 8 bytes of a pair.
 */
struct kb_pair_index;

struct kb_pair {
	uint32_t first, second;
};

struct kb_error *kb_pair_index__create(struct kb_pair_index **index);
void kb_pair_index__destroy(struct kb_pair_index *index);

/* The id of the pair, new when it was not there. An error when memory or ids (2^31) run out. */
struct kb_error *kb_pair_index__add(struct kb_pair_index *index, struct kb_pair pair, uint32_t *id);

uint32_t kb_pair_index__count(const struct kb_pair_index *index);
/* All pairs by id; valid until the next add. */
const struct kb_pair *kb_pair_index__pairs(const struct kb_pair_index *index);

#endif
