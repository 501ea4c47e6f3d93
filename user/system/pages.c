// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/id_map.h"
#include "system/memory.h"
#include "system/pages.h"

/* The smallest page of any processor: whole pages of it are readable or not. */
#define PAGE_BYTES  4096ull
#define UNREADABLE  (UINT32_MAX - 1)
#define GUESSES_MAX 65536 /* pages known to be unreadable: a hostile process points everywhere */

struct kb_pages {
	pid_t pid;
	uint8_t *bytes; /* of `used` pages, room for `max` */
	uint32_t used, max;
	struct kb_id_map places; /* page address → its place, or UNREADABLE */
};

struct kb_error *kb_pages__create(pid_t pid, uint32_t max_pages, struct kb_pages **result)
{
	struct kb_pages *pages = calloc(1, sizeof(*pages));

	if (!pages)
		return kb_error__no_memory();
	pages->pid = pid;
	pages->max = max_pages;
	kb_id_map__init(&pages->places, (size_t)max_pages + GUESSES_MAX);
	/* Untouched memory costs nothing. */
	pages->bytes = malloc(max_pages * PAGE_BYTES);
	if (!pages->bytes) {
		kb_pages__destroy(pages);
		return kb_error__no_memory();
	}
	*result = pages;
	return NULL;
}

void kb_pages__destroy(struct kb_pages *pages)
{
	if (!pages)
		return;
	kb_id_map__free(&pages->places);
	free(pages->bytes);
	free(pages);
}

void kb_pages__forget(struct kb_pages *pages)
{
	kb_id_map__clear(&pages->places);
	pages->used = 0;
}

pid_t kb_pages__pid(const struct kb_pages *pages)
{
	return pages->pid;
}

/* The page at an address; NULL: unreadable. Valid until the next one is asked for. */
static const uint8_t *page_at(struct kb_pages *pages, uint64_t address)
{
	uint32_t place = kb_id_map__get(&pages->places, address, 0);
	bool readable;

	if (place == UNREADABLE)
		return NULL;
	if (place != KB_ID_MAP_NONE)
		return pages->bytes + place * PAGE_BYTES;
	if (pages->used == pages->max)
		kb_pages__forget(pages);
	place = pages->used;
	readable =
		kb_memory__read(pages->pid, address, pages->bytes + place * PAGE_BYTES, PAGE_BYTES);
	if (!kb_id_map__set(&pages->places, address, 0, readable ? place : UNREADABLE))
		kb_pages__forget(pages);
	else if (readable)
		pages->used++;
	return readable ? pages->bytes + place * PAGE_BYTES : NULL;
}

bool kb_pages__put(struct kb_pages *pages, uint64_t address, const void *bytes)
{
	uint32_t place = pages->used;

	if (place == pages->max || address % PAGE_BYTES ||
	    !kb_id_map__set(&pages->places, address, 0, place))
		return false;
	memcpy(pages->bytes + place * PAGE_BYTES, bytes, PAGE_BYTES);
	pages->used++;
	return true;
}

#define FETCHED_MAX 1024 /* IOV_MAX */

/* Into the places that follow; one that cannot be read leaves its place unused. */
static void fetch(struct kb_pages *pages, const uint64_t *addresses, uint32_t n)
{
	bool readable[FETCHED_MAX];

	kb_memory__read_many(pages->pid, addresses, n, PAGE_BYTES,
			     pages->bytes + pages->used * PAGE_BYTES, readable);
	for (uint32_t i = 0; i < n; i++)
		if (!readable[i])
			kb_id_map__set(&pages->places, addresses[i], 0, UNREADABLE);
	pages->used += n;
}

void kb_pages__fetch(struct kb_pages *pages, const uint64_t *addresses, size_t n)
{
	uint64_t missing[FETCHED_MAX];
	uint32_t n_missing = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t address = addresses[i] & -PAGE_BYTES;

		if (kb_id_map__get(&pages->places, address, 0) != KB_ID_MAP_NONE)
			continue;
		if (pages->used + n_missing == pages->max ||
		    !kb_id_map__set(&pages->places, address, 0, pages->used + n_missing))
			break;
		missing[n_missing++] = address;
		if (n_missing < FETCHED_MAX)
			continue;
		fetch(pages, missing, n_missing);
		n_missing = 0;
	}
	fetch(pages, missing, n_missing);
}

bool kb_pages__read(struct kb_pages *pages, uint64_t address, void *buffer, size_t size)
{
	uint8_t *out = buffer;

	if (size && address + size - 1 < address)
		return false;
	while (size) {
		uint64_t offset = address % PAGE_BYTES, n = PAGE_BYTES - offset;
		const uint8_t *page = page_at(pages, address - offset);

		if (!page)
			return false;
		if (n > size)
			n = size;
		memcpy(out, page + offset, n);
		out += n;
		address += n;
		size -= n;
	}
	return true;
}

bool kb_pages__read_u64(struct kb_pages *pages, uint64_t address, uint64_t *value)
{
	return kb_pages__read(pages, address, value, sizeof(*value));
}

bool kb_pages__read_u32(struct kb_pages *pages, uint64_t address, uint32_t *value)
{
	return kb_pages__read(pages, address, value, sizeof(*value));
}
