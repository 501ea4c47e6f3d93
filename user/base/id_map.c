// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/id_map.h"

#define FIRST_SLOTS 256

struct kb_id_slot {
	uint64_t a, b;
	uint32_t id; /* KB_ID_MAP_NONE: free */
	uint32_t reserved;
};

void kb_id_map__init(struct kb_id_map *map, size_t max)
{
	memset(map, 0, sizeof(*map));
	map->max = max;
}

void kb_id_map__free(struct kb_id_map *map)
{
	free(map->slots);
	map->slots = NULL;
	map->n_slots = map->used = 0;
}

static void mark_free(struct kb_id_slot *slots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		slots[i].id = KB_ID_MAP_NONE;
}

void kb_id_map__clear(struct kb_id_map *map)
{
	mark_free(map->slots, map->n_slots);
	map->used = 0;
}

static size_t spread(uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ (b << 32 | b >> 32)) * 0x9E3779B97F4A7C15ull;

	h = (h ^ h >> 32) * 0xD6E8FEB86659FD93ull;
	return h ^ h >> 32;
}

/* The entry's slot, or the free one where it belongs. */
static struct kb_id_slot *find(const struct kb_id_map *map, uint64_t a, uint64_t b)
{
	size_t mask = map->n_slots - 1, i = spread(a, b) & mask;

	while (map->slots[i].id != KB_ID_MAP_NONE && (map->slots[i].a != a || map->slots[i].b != b))
		i = (i + 1) & mask;
	return &map->slots[i];
}

uint32_t kb_id_map__get(const struct kb_id_map *map, uint64_t a, uint64_t b)
{
	return map->n_slots ? find(map, a, b)->id : KB_ID_MAP_NONE;
}

void kb_id_map__each(struct kb_id_map *map, kb_id_map_fn fn, void *context)
{
	for (size_t i = 0; i < map->n_slots; i++)
		if (map->slots[i].id != KB_ID_MAP_NONE)
			fn(map->slots[i].a, map->slots[i].b, &map->slots[i].id, context);
}

static bool grow(struct kb_id_map *map)
{
	struct kb_id_map bigger = { .max = map->max };

	bigger.n_slots = map->n_slots ? map->n_slots * 2 : FIRST_SLOTS;
	bigger.slots = malloc(bigger.n_slots * sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	mark_free(bigger.slots, bigger.n_slots);
	for (size_t i = 0; i < map->n_slots; i++) {
		if (map->slots[i].id != KB_ID_MAP_NONE)
			*find(&bigger, map->slots[i].a, map->slots[i].b) = map->slots[i];
	}
	bigger.used = map->used;
	free(map->slots);
	*map = bigger;
	return true;
}

bool kb_id_map__set(struct kb_id_map *map, uint64_t a, uint64_t b, uint32_t id)
{
	struct kb_id_slot *slot;

	/* At most 5/8 full: linear probing stays short. */
	if (map->used * 8 >= map->n_slots * 5 && (map->used >= map->max || !grow(map)))
		return false;
	slot = find(map, a, b);
	if (slot->id == KB_ID_MAP_NONE) {
		if (map->used >= map->max)
			return false;
		map->used++;
	}
	slot->a = a;
	slot->b = b;
	slot->id = id;
	return true;
}
