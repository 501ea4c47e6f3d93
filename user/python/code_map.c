// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include "base/array.h"
#include "base/error.h"
#include "python/code_map.h"

/* Every other byte of the code that may be added begins a jump. */
#define LANDINGS_MAX (KB_CODE_BYTES_MAX / 2)

struct kb_error *kb_code_map__add_landing(struct kb_code_map *map, uint64_t address)
{
	uint64_t *landings = kb_array__grow(map->landings, &map->capacity, map->n + 1,
					    sizeof(*landings), LANDINGS_MAX);

	if (!landings)
		return kb_error__no_memory();
	map->landings = landings;
	landings[map->n++] = address;
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void kb_code_map__finish(struct kb_code_map *map)
{
	if (map->n)
		qsort(map->landings, map->n, sizeof(*map->landings), ascending);
}

void kb_code_map__free(struct kb_code_map *map)
{
	free(map->landings);
	*map = (struct kb_code_map){ 0 };
}

bool kb_code_map__lands(const struct kb_code_map *map, uint64_t first, uint64_t last)
{
	uint32_t low = 0, high = map->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (map->landings[middle] < first)
			low = middle + 1;
		else
			high = middle;
	}
	return low < map->n && map->landings[low] <= last;
}

kb_register_set kb_registers__arguments(unsigned int n)
{
	kb_register_set set = 0;

	for (unsigned int i = 0; i < n && kb_register__argument(i) != KB_REGISTER_NONE; i++)
		set |= KB_REGISTER_BIT(kb_register__argument(i));
	return set;
}
