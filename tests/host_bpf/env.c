// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* The functions of env.h, for inclusion: see there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "host_bpf/env.h"

struct kb_host kb_host = { .ring_bytes = SIZE_MAX };

long kb_host__read_user(void *to, kb_u64 size, kb_u64 address)
{
	kb_host.reads++;
	if (kb_host.read(address, to, size, kb_host.context))
		return 0;
	memset(to, 0, size);
	return -EFAULT;
}

/* ---------------------------------------------------------------- maps */

struct host_element {
	UT_hash_handle hh;
	void *value;
	unsigned char key[];
};

struct host_map {
	UT_hash_handle hh;
	const void *id;
	struct host_element *elements; /* in order of insertion */
};

static struct host_map *host_maps;

/* A test that cannot go on for lack of memory has nothing to say. */
static void *host_alloc(size_t size)
{
	void *block = calloc(1, size);

	if (!block) {
		fprintf(stderr, "out of memory\n");
		abort();
	}
	return block;
}

static struct host_map *host_map(const void *id)
{
	struct host_map *map;

	HASH_FIND_PTR(host_maps, &id, map);
	if (!map) {
		map = host_alloc(sizeof(*map));
		map->id = id;
		HASH_ADD_PTR(host_maps, id, map);
	}
	return map;
}

static void host_drop(struct host_map *map, struct host_element *element)
{
	HASH_DEL(map->elements, element);
	free(element->value);
	free(element);
}

static struct host_element *host_find(struct host_map *map, const struct kb_host_map *type,
				      const void *key)
{
	struct host_element *element;

	HASH_FIND(hh, map->elements, key, type->key_bytes, element);
	return element;
}

static struct host_element *host_add(struct host_map *map, const struct kb_host_map *type,
				     const void *key)
{
	struct host_element *element = host_alloc(sizeof(*element) + type->key_bytes);

	memcpy(element->key, key, type->key_bytes);
	element->value = host_alloc(type->value_bytes);
	HASH_ADD(hh, map->elements, key, type->key_bytes, element);
	return element;
}

static bool is_array(const struct kb_host_map *type)
{
	return type->type == BPF_MAP_TYPE_ARRAY || type->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

void *kb_host__lookup(const struct kb_host_map *type, const void *key)
{
	struct host_map *map = host_map(type->map);
	struct host_element *element = host_find(map, type, key);

	if (!element && is_array(type) && *(const kb_u32 *)key < type->capacity)
		element = host_add(map, type, key);
	return element ? element->value : NULL;
}

long kb_host__update(const struct kb_host_map *type, const void *key, const void *value,
		     kb_u64 flags)
{
	struct host_map *map = host_map(type->map);
	struct host_element *element = host_find(map, type, key);

	if (element && flags == BPF_NOEXIST)
		return -EEXIST;
	if (is_array(type) && *(const kb_u32 *)key >= type->capacity)
		return -E2BIG;
	if (!element && HASH_COUNT(map->elements) >= type->capacity) {
		if (type->type != BPF_MAP_TYPE_LRU_HASH)
			return -E2BIG;
		host_drop(map, map->elements);
	}
	if (!element)
		element = host_add(map, type, key);
	memcpy(element->value, value, type->value_bytes);
	return 0;
}

long kb_host__delete(const struct kb_host_map *type, const void *key)
{
	struct host_map *map = host_map(type->map);
	struct host_element *element = host_find(map, type, key);

	if (!element || is_array(type))
		return element ? -EINVAL : -ENOENT;
	host_drop(map, element);
	return 0;
}

unsigned kb_host__count(const void *map)
{
	return HASH_COUNT(host_map(map)->elements);
}

/* ---------------------------------------------------------------- maps in maps */

/* An inner map is a value of a hash that is known by the outer one's address, too. */
static const struct kb_host_map *inner_maps(const void *outer, struct kb_host_map *type)
{
	*type = (struct kb_host_map){ outer, BPF_MAP_TYPE_HASH, UINT32_MAX, sizeof(kb_u32),
				      sizeof(struct kb_host_inner) };
	return type;
}

const struct kb_host_inner *kb_host__inner(const void *outer, kb_u32 key)
{
	struct kb_host_map type;

	return kb_host__lookup(inner_maps(outer, &type), &key);
}

void *kb_host__inner_element(const struct kb_host_inner *inner, kb_u32 key)
{
	return key < inner->n ? (char *)inner->elements + key * inner->bytes : NULL;
}

void kb_host__set_inner(const void *outer, kb_u32 key, const struct kb_host_inner *inner)
{
	struct kb_host_map type;

	if (inner)
		kb_host__update(inner_maps(outer, &type), &key, inner, BPF_ANY);
	else
		kb_host__delete(inner_maps(outer, &type), &key);
}

/* ---------------------------------------------------------------- tasks */

long kb_host__kernel_stack(void *buffer, size_t size)
{
	size_t bytes = kb_host.kernel_depth * 8;

	if (bytes > size)
		bytes = size;
	memcpy(buffer, kb_host.kernel_stack, bytes);
	return bytes;
}

/* ---------------------------------------------------------------- ring buffers */

struct host_record {
	struct host_record *next;
	const void *ring;
	size_t size;
	/* Records are read as structs with 8-byte members. */
	unsigned char bytes[] __attribute__((aligned(8)));
};

static struct host_record *host_records, **host_records_end = &host_records;
static size_t host_ring_used;

long kb_host__output(const void *ring, const void *bytes, kb_u64 size)
{
	struct host_record *record;

	if (size > kb_host.ring_bytes || host_ring_used > kb_host.ring_bytes - size)
		return -EAGAIN;
	record = host_alloc(sizeof(*record) + size);
	record->ring = ring;
	record->size = size;
	memcpy(record->bytes, bytes, size);
	*host_records_end = record;
	host_records_end = &record->next;
	host_ring_used += size;
	return 0;
}

const void *kb_host__next_record(const void *ring, void **cursor, size_t *size)
{
	struct host_record *record = *cursor;

	for (record = record ? record->next : host_records; record; record = record->next) {
		if (record->ring != ring)
			continue;
		*cursor = record;
		*size = record->size;
		return record->bytes;
	}
	return NULL;
}

/* ---------------------------------------------------------------- all of it */

void kb_host__clear(void)
{
	struct host_map *map, *next_map;
	struct host_element *element, *next;
	struct host_record *record;

	HASH_ITER (hh, host_maps, map, next_map) {
		HASH_ITER (hh, map->elements, element, next)
			host_drop(map, element);
		HASH_DEL(host_maps, map);
		free(map);
	}
	while ((record = host_records)) {
		host_records = record->next;
		free(record);
	}
	host_records_end = &host_records;
	host_ring_used = 0;
}
