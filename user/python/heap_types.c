// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "python/heap.h"

/* tp_flags, Include/object.h: managed weakrefs from 3.12. */
#define TYPE_MANAGED_WEAKREF (1ull << 3)
#define TYPE_READY	     (1ull << 12)
#define TYPE_GC		     (1ull << 14)

#define BASICSIZE_MAX (1u << 20) /* no structure of a type is that large */
#define ITEMSIZE_MAX  4096
#define METATYPES_MAX 8	 /* classes of classes of classes … until `type` */
#define BASES_MAX     64 /* inheritance, towards object */
#define RECENT	      4096
/* Memory looked at for words that may be types; each is some microseconds. */
#define LOOKS_MAX (1u << 18)
#define WORDS_MAX (1u << 20)

struct kb_heap_type_slot {
	uint64_t address; /* 0: none */
	struct kb_heap_type *type;
};

struct kb_error *kb_heap_types__create(struct kb_remote *remote, struct kb_heap_types *types)
{
	memset(types, 0, sizeof(*types));
	kb_id_map__init(&types->by_address, WORDS_MAX);
	types->recent = calloc(RECENT, sizeof(*types->recent));
	if (!types->recent)
		return kb_error__no_memory();
	if (!kb_pages__read_u64(remote->pages, remote->code_type + remote->layout->object_type,
				&types->type_type)) {
		kb_heap_types__free(types);
		return kb_failed("process %d: its memory cannot be read", remote->pid);
	}
	return NULL;
}

void kb_heap_types__free(struct kb_heap_types *types)
{
	for (uint32_t i = 0; i < types->n; i++) {
		free(types->types[i]->name);
		free(types->types[i]);
	}
	free(types->types);
	free(types->recent);
	kb_id_map__free(&types->by_address);
	memset(types, 0, sizeof(*types));
}

/* ---------------------------------------------------------------- one type */

static bool is_metatype(struct kb_heap *heap, uint64_t metatype)
{
	struct kb_remote *remote = heap->remote;

	for (int i = 0; i < METATYPES_MAX; i++) {
		if (metatype == heap->types.type_type)
			return true;
		if (!kb_pages__read_u64(remote->pages, metatype + remote->layout->object_type,
					&metatype))
			return false;
	}
	return false;
}

/* Which of the types of variable layout it is, or is derived from, by name. */
static enum kb_heap_kind kind_by_name(struct kb_heap *heap, const struct kb_remote_type *type)
{
	static const struct {
		const char *name;
		enum kb_heap_kind kind;
		uint8_t first_minor;
	} kinds[] = {
		{ "set", KB_HEAP_SET, 0 },
		{ "frozenset", KB_HEAP_SET, 0 },
		{ "bytearray", KB_HEAP_BYTEARRAY, 0 },
		{ "array.array", KB_HEAP_ARRAY, 0 },
		{ "collections.deque", KB_HEAP_DEQUE, 0 },
		{ "generator", KB_HEAP_FRAMES, 11 },
		{ "coroutine", KB_HEAP_FRAMES, 11 },
		{ "async_generator", KB_HEAP_FRAMES, 11 },
		{ "frame", KB_HEAP_FRAMES, 11 },
	};
	struct kb_remote_type base = *type;
	uint64_t address;

	for (int depth = 0; depth < BASES_MAX; depth++) {
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			if (!strcmp(base.name, kinds[i].name) &&
			    heap->remote->layout->version_minor >= kinds[i].first_minor &&
			    (!(base.flags & KB_TYPE_HEAP) || strchr(base.name, '.')))
				return kinds[i].kind;
		}
		if (!kb_pages__read_u64(heap->remote->pages,
					base.address + heap->remote->objects->type_base,
					&address) ||
		    !address || !kb_remote_type__read(heap->remote, address, &base))
			break;
	}
	return KB_HEAP_PLAIN;
}

static enum kb_heap_kind kind_of(struct kb_heap *heap, const struct kb_remote_type *type)
{
	static const struct {
		uint64_t flag;
		enum kb_heap_kind kind;
	} kinds[] = {
		{ KB_TYPE_STR, KB_HEAP_STR },	{ KB_TYPE_INT, KB_HEAP_INT },
		{ KB_TYPE_LIST, KB_HEAP_LIST }, { KB_TYPE_DICT, KB_HEAP_DICT },
		{ KB_TYPE_TYPE, KB_HEAP_TYPE }, { KB_TYPE_TUPLE | KB_TYPE_BYTES, KB_HEAP_PLAIN },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (type->flags & kinds[i].flag)
			return kinds[i].kind;
	}
	return kind_by_name(heap, type);
}

/* _PyInlineValuesSize(), Include/internal/pycore_object.h, 3.13 and later: a prefix of one byte
 * each, four more, and the values, as many as the class's table of keys has room for. */
static uint32_t inline_bytes(struct kb_heap *heap, const struct kb_remote_type *type)
{
	const struct kb_object_layout *at = heap->remote->objects;
	uint64_t keys, entries, usable, n;

	if (heap->remote->layout->version_minor < 13 || !(type->flags & KB_TYPE_INLINE_VALUES) ||
	    !kb_pages__read_u64(heap->remote->pages, type->address + at->type_cached_keys, &keys) ||
	    !kb_pages__read_u64(heap->remote->pages, keys + at->keys_nentries, &entries) ||
	    !kb_pages__read_u64(heap->remote->pages, keys + at->keys_nentries - 8, &usable))
		return 0;
	n = entries + usable;
	/* SHARED_KEYS_MAX_SIZE is 30. */
	return n <= 64 ? (uint32_t)((n + 7) / 8 * 8 + (n + 1) * 8) : 0;
}

static uint32_t bytes_before(const struct kb_remote *remote, uint64_t flags)
{
	unsigned int minor = remote->layout->version_minor;
	uint64_t managed = minor >= 12	 ? KB_TYPE_MANAGED_DICT | TYPE_MANAGED_WEAKREF
			   : minor == 11 ? KB_TYPE_MANAGED_DICT
					 : 0;

	return (flags & TYPE_GC ? remote->objects->gc_head : 0) + (flags & managed ? 16 : 0);
}

static bool read_type(struct kb_heap *heap, uint64_t address, struct kb_heap_type *type)
{
	struct kb_remote_type from;

	if (!kb_remote_type__read(heap->remote, address, &from) || !(from.flags & TYPE_READY) ||
	    from.basicsize < 16 || from.basicsize > BASICSIZE_MAX || from.itemsize < 0 ||
	    from.itemsize > ITEMSIZE_MAX || !is_metatype(heap, from.metatype))
		return false;
	*type = (struct kb_heap_type){
		.address = address,
		.flags = from.flags,
		.basicsize = (uint64_t)from.basicsize,
		.itemsize = (uint64_t)from.itemsize,
		.before = bytes_before(heap->remote, from.flags),
		.inline_bytes = inline_bytes(heap, &from),
		.kind = kind_of(heap, &from),
		.gc = from.flags & TYPE_GC,
		.name = strdup(from.name),
	};
	type->pointers = type->kind != KB_HEAP_STR && type->kind != KB_HEAP_INT &&
			 type->kind != KB_HEAP_ARRAY && !(type->flags & KB_TYPE_BYTES) &&
			 type->kind != KB_HEAP_BYTEARRAY && strcmp(from.name, "float") &&
			 strcmp(from.name, "complex");
	return type->name != NULL;
}

/* ---------------------------------------------------------------- words */

static struct kb_heap_type *add_type(struct kb_heap *heap, uint64_t address)
{
	struct kb_heap_types *types = &heap->types;
	struct kb_heap_type type, **grown, *added;

	if (!read_type(heap, address, &type))
		return NULL;
	grown = kb_array__grow(types->types, &types->capacity, types->n + 1, sizeof(*grown),
			       KB_HEAP_TYPES_MAX);
	added = grown ? malloc(sizeof(*added)) : NULL;
	if (grown)
		types->types = grown;
	if (!added) {
		free(type.name);
		return NULL;
	}
	*added = type;
	types->types[types->n++] = added;
	return added;
}

/* Of a word that was not seen lately. */
static struct kb_heap_type *look(struct kb_heap *heap, uint64_t address)
{
	struct kb_heap_types *types = &heap->types;
	uint32_t index = kb_id_map__get(&types->by_address, address, 0);
	struct kb_heap_type *type;

	if (index != KB_ID_MAP_NONE)
		return index < types->n ? types->types[index] : NULL;
	if (types->looks == LOOKS_MAX || types->n == KB_HEAP_TYPES_MAX) {
		types->refused++;
		return NULL;
	}
	types->looks++;
	type = add_type(heap, address);
	if (!kb_id_map__set(&types->by_address, address, 0,
			    type ? types->n - 1 : KB_HEAP_TYPES_MAX))
		types->looks = LOOKS_MAX;
	return type;
}

struct kb_heap_type *kb_heap_types__at(struct kb_heap *heap, uint64_t address)
{
	struct kb_heap_types *types = &heap->types;
	struct kb_heap_type_slot *slot = &types->recent[(address >> 4 ^ address >> 16) % RECENT];

	if (!address)
		return NULL;
	if (slot->address != address) {
		if (address % 8 || address >> KB_HEAP_ADDRESS_BITS ||
		    kb_heap_space__where(&heap->space, address) == KB_HEAP_IN_ARENA)
			return NULL;
		slot->type = look(heap, address);
		slot->address = address;
	}
	return slot->type;
}

/* ---------------------------------------------------------------- names */

static void name_class(struct kb_remote *remote, struct kb_heap_type *type)
{
	char *name = kb_remote_type__full_name(remote, type->address);

	if (!name)
		return;
	free(type->name);
	type->name = name;
}

void kb_heap_types__name(struct kb_heap *heap)
{
	for (uint32_t i = 0; i < heap->types.n; i++) {
		struct kb_heap_type *type = heap->types.types[i];

		if (type->objects && type->flags & KB_TYPE_HEAP && !strchr(type->name, '.'))
			name_class(heap->remote, type);
	}
}
