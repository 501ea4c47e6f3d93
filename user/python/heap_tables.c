// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Counting objects and what belongs to them. The table of a dict says itself how large it is, and
 * lies anywhere: tables are read in batches.
 */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "python/heap_bytes.h"
#include "python/heap_object.h"
#include "system/memory.h"

#define BATCH	   512
#define HEAD_BYTES 48 /* of a table of keys: the longest, 40 up to 3.10 */

struct waiting {
	struct kb_heap_type *type;
	uint64_t address, bytes, length, values;
};

#define SHARED 64 /* tables that are remembered: the instances of a class have one */

struct kb_heap_keys {
	uint64_t shared[SHARED];
	uint8_t shared_heads[SHARED][HEAD_BYTES];
	uint32_t n;
	struct waiting waiting[BATCH];
	uint64_t addresses[BATCH];
	uint8_t heads[BATCH * HEAD_BYTES];
	bool readable[BATCH];
};

/* ---------------------------------------------------------------- the largest */

static void swap(struct kb_heap_large_object *a, struct kb_heap_large_object *b)
{
	struct kb_heap_large_object c = *a;

	*a = *b;
	*b = c;
}

/* A heap whose first is the smallest. */
static void sink(struct kb_heap_large_object *heap, uint32_t n, uint32_t i)
{
	for (;;) {
		uint32_t least = i, child = 2 * i + 1;

		if (child < n && heap[child].bytes < heap[least].bytes)
			least = child;
		if (child + 1 < n && heap[child + 1].bytes < heap[least].bytes)
			least = child + 1;
		if (least == i)
			return;
		swap(&heap[i], &heap[least]);
		i = least;
	}
}

static void add_largest(struct kb_heap *heap, const struct kb_heap_type *type, uint64_t address,
			uint64_t length, uint64_t bytes)
{
	struct kb_heap_large_object *all = heap->largest;
	struct kb_heap_large_object object = { type, address, length, bytes };
	uint32_t i = heap->n_largest;

	if (i == heap->max_largest) {
		if (!i || bytes <= all[0].bytes)
			return;
		all[0] = object;
		sink(all, i, 0);
		return;
	}
	all[heap->n_largest++] = object;
	for (; i && all[i].bytes < all[(i - 1) / 2].bytes; i = (i - 1) / 2)
		swap(&all[i], &all[(i - 1) / 2]);
}

/* ---------------------------------------------------------------- tables */

/* Marks a block of a pool as belonging to an object; memory elsewhere is searched. */
static void claim(struct kb_heap *heap, uint64_t address, uint64_t bytes, bool pointers)
{
	struct kb_heap_arena *arena;
	uint64_t bit;

	if (!address || !bytes)
		return;
	switch (kb_heap_space__where(&heap->space, address)) {
	case KB_HEAP_OUTSIDE:
		kb_heap_large__table(heap, address, bytes, pointers);
		return;
	case KB_HEAP_IN_ARENA:
		arena = kb_heap_space__arena(&heap->space, address);
		if (!arena || address < arena->start || address >= arena->end)
			return;
		bit = (address - arena->start) / heap->geometry.alignment;
		arena->tables[bit / 64] |= 1ull << bit % 64;
		return;
	default:
		return;
	}
}

/* struct _dictkeysobject up to 3.10: Objects/dict-common.h. */
#define OLD_ENTRY 24

static uint64_t old_keys_bytes(const struct kb_object_layout *at, const uint8_t *head,
			       uint64_t *usable)
{
	uint64_t size = kb_u64_at(head + at->keys_size);
	uint64_t index = size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= UINT32_MAX ? 4 : 8;

	if (!size || size & (size - 1) || size >> 40)
		return 0;
	*usable = size * 2 / 3;
	return at->keys_indices + index * size + *usable * OLD_ENTRY;
}

/* _PyDict_KeysSize(); 0: no table. *usable: how many values a dict of this table has, when it has
 * them apart. */
static uint64_t keys_bytes(const struct kb_heap *heap, const uint8_t *head, uint64_t *usable)
{
	const struct kb_object_layout *at = heap->remote->objects;
	uint8_t size, index;

	if (heap->remote->layout->version_minor <= 10)
		return old_keys_bytes(at, head, usable);
	size = head[at->keys_log2_size];
	index = head[at->keys_log2_index_bytes];
	if (size > 40 || index > 43)
		return 0;
	/* shared_keys_usable_size(): dk_usable lies before dk_nentries. */
	*usable = kb_u64_at(head + at->keys_nentries) + kb_u64_at(head + at->keys_nentries - 8);
	return at->keys_indices + (1ull << index) +
	       (1ull << size) * 2 / 3 * (head[at->keys_kind] ? 16 : 24);
}

static void settle(struct kb_heap *heap, const struct waiting *dict, uint64_t keys,
		   const uint8_t *head)
{
	uint64_t usable = 0, bytes = keys_bytes(heap, head, &usable), total = dict->bytes;

	if (!bytes) {
		heap->notes[KB_HEAP_KEYS_UNREADABLE]++;
	} else {
		claim(heap, keys, bytes, true);
		if (dict->values && usable < 1u << 16) {
			claim(heap, dict->values, usable * 8, true);
			total += usable * 8;
		}
		/* Tables that several have are nobody's: _PyDict_SizeOf(). */
		if (kb_u64_at(head) == 1)
			total += bytes;
	}
	dict->type->bytes += total - dict->bytes;
	add_largest(heap, dict->type, dict->address, dict->length, total);
}

struct kb_error *kb_heap_keys__create(struct kb_heap_keys **keys)
{
	*keys = calloc(1, sizeof(**keys));
	return *keys ? NULL : kb_error__no_memory();
}

static uint32_t shared_slot(uint64_t address)
{
	return (address >> 4 ^ address >> 10) % SHARED;
}

static void remember(struct kb_heap_keys *keys, uint64_t address, const uint8_t *head)
{
	uint32_t slot = shared_slot(address);

	keys->shared[slot] = address;
	memcpy(keys->shared_heads[slot], head, HEAD_BYTES);
}

void kb_heap_keys__flush(struct kb_heap *heap)
{
	struct kb_heap_keys *keys = heap->keys;

	kb_memory__read_many(heap->remote->pid, keys->addresses, keys->n, HEAD_BYTES, keys->heads,
			     keys->readable);
	heap->read_bytes += (uint64_t)keys->n * HEAD_BYTES;
	for (uint32_t i = 0; i < keys->n; i++) {
		const struct waiting *dict = &keys->waiting[i];

		if (keys->readable[i]) {
			settle(heap, dict, keys->addresses[i], keys->heads + i * HEAD_BYTES);
			if (dict->values)
				remember(keys, keys->addresses[i], keys->heads + i * HEAD_BYTES);
			continue;
		}
		heap->notes[KB_HEAP_KEYS_UNREADABLE]++;
		add_largest(heap, dict->type, dict->address, dict->length, dict->bytes);
	}
	keys->n = 0;
}

/* ---------------------------------------------------------------- objects */

/* Of an instance of 3.11 and 3.12: SHARED_KEYS_MAX_SIZE at most, in a block, or without pymalloc
 * anywhere. */
#define VALUES_BYTES (30 * 8)

static void claim_values(struct kb_heap *heap, uint64_t address)
{
	if (address && kb_heap_space__where(&heap->space, address) == KB_HEAP_OUTSIDE)
		kb_heap_large__search(heap, address, VALUES_BYTES);
	else
		claim(heap, address, VALUES_BYTES, false);
}

/* The head of a table that was copied together with the dict, as most are: reading one alone takes
 * longer than all else about a dict. NULL: it is elsewhere. */
static const uint8_t *copied_head(const struct kb_heap *heap, uint64_t address)
{
	const struct kb_heap_arena *arena = heap->copied;

	return arena && address >= arena->start && address < arena->end &&
			       arena->end - address >= HEAD_BYTES
		       ? heap->copy + (address - arena->start)
		       : NULL;
}

static void count_dict(struct kb_heap *heap, const struct kb_heap_object *object)
{
	struct kb_heap_keys *keys = heap->keys;
	struct waiting dict = { object->type, object->address, object->bytes, object->length,
				object->values };
	const uint8_t *head = copied_head(heap, object->keys);
	uint32_t slot = shared_slot(object->keys);

	if (!head && object->values && keys->shared[slot] == object->keys)
		head = keys->shared_heads[slot];
	if (head) {
		settle(heap, &dict, object->keys, head);
		return;
	}
	keys->waiting[keys->n] = dict;
	keys->addresses[keys->n++] = object->keys;
	if (keys->n == BATCH)
		kb_heap_keys__flush(heap);
}

void kb_heap__count(struct kb_heap *heap, const struct kb_heap_object *object)
{
	object->type->objects++;
	object->type->bytes += object->bytes;
	heap->n_tracked += object->tracked;
	claim(heap, object->table.address, object->table.bytes, object->table.pointers);
	if (object->keys) {
		count_dict(heap, object);
		return;
	}
	claim_values(heap, object->values);
	add_largest(heap, object->type, object->address, object->length, object->bytes);
}
