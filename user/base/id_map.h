/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_BASE_ID_MAP_H
#define KB_BASE_ID_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A map from a pair of numbers to an id, for the tables that hold millions of
 * entries (stacks of a generation, frames): one flat array, 24 bytes a slot,
 * where uthash would take 56 and an allocation each. UINT32_MAX is no id.
 */
struct kb_id_map {
	struct kb_id_slot *slots;
	size_t n_slots; /* a power of two, or 0 */
	size_t used;
	size_t max; /* entries */
};

#define KB_ID_MAP_NONE UINT32_MAX

void kb_id_map__init(struct kb_id_map *map, size_t max);
void kb_id_map__free(struct kb_id_map *map);
/* Forgets all entries and keeps the memory. */
void kb_id_map__clear(struct kb_id_map *map);
/* KB_ID_MAP_NONE when there is none. */
uint32_t kb_id_map__get(const struct kb_id_map *map, uint64_t a, uint64_t b);
/* Calls fn for each entry; it may change the id, but not to KB_ID_MAP_NONE. */
typedef void (*kb_id_map_fn)(uint64_t a, uint64_t b, uint32_t *id, void *context);
void kb_id_map__each(struct kb_id_map *map, kb_id_map_fn fn, void *context);
/* Adds or replaces. False when the map is full or memory runs out. */
bool kb_id_map__set(struct kb_id_map *map, uint64_t a, uint64_t b, uint32_t id);

#endif
