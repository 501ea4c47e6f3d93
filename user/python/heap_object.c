// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sizes: what __sizeof__() of each type does (Objects), and _PySys_GetSizeOf() in
 * Python/sysmodule.c, which adds what lies before the object.
 */
#include <string.h>
#include "python/heap_bytes.h"
#include "python/heap_object.h"

#define LENGTH_MAX (1ull << 40)

/* PyASCIIObject.state, after the kind. */
#define COMPACT 8
#define ASCII	16

/* _gc_next and _gc_prev: up to 3.7 a third word has the state, shifted by one (Include/objimpl.h).
 */
#define GC_FLAGS	 7ull
#define OLD_GC_UNTRACKED (-2)
#define OLD_GC_LOWEST	 (-4)
#define OLD_GC_REFS_MAX	 (1ll << 32)

/* ---------------------------------------------------------------- is it one? */

/*
 * Counts above 2^32 are none. From 3.12 immortal objects have one of nearly that; from 3.14
 * the upper 16 bits are flags. In a program that is not position-independent static objects
 * and the C library's heap have addresses that are no larger than counts.
 */
static bool is_count(const struct kb_heap *heap, uint64_t count)
{
	if (heap->remote->layout->version_minor >= 14 && count >> 56 == 0)
		count &= (1ull << 48) - 1;
	if (!count || count >> 32)
		return false;
	return count < UINT16_MAX || count % 8 ||
	       ((count < heap->image_start || count >= heap->image_end) &&
		kb_heap_space__where(&heap->space, count) == KB_HEAP_NOWHERE);
}

/* Freed objects that are kept have no references; from 3.13 the next one's address lies there. */
static bool is_kept(const struct kb_heap *heap, uint64_t count)
{
	return !count || (heap->remote->layout->version_minor >= 13 &&
			  kb_heap_space__where(&heap->space, count) == KB_HEAP_IN_ARENA);
}

static bool read_gc_head(const struct kb_heap *heap, const uint8_t *at,
			 struct kb_heap_object *object)
{
	uint32_t size = heap->remote->objects->gc_head;
	int64_t state;

	object->gc_next = kb_u64_at(at - size) & ~GC_FLAGS;
	object->gc_prev = kb_u64_at(at - size + 8) & ~GC_FLAGS;
	if (heap->remote->layout->version_minor >= 8) {
		object->tracked = object->gc_next != 0;
		return !object->tracked || object->gc_prev;
	}
	state = (int64_t)kb_u64_at(at - size + 16) >> 1;
	object->tracked = state != OLD_GC_UNTRACKED;
	return state >= OLD_GC_LOWEST && state < OLD_GC_REFS_MAX;
}

/* ---------------------------------------------------------------- kinds */

/* Each returns false when what it finds cannot be. Offsets are below KB_HEAP_HEAD. */

static bool size_str(const struct kb_heap *heap, const uint8_t *at, uint32_t after,
		     struct kb_heap_object *object)
{
	const struct kb_layout *layout = heap->remote->layout;
	uint64_t n = kb_u64_at(at + layout->unicode_length), utf8;
	uint32_t state = kb_u32_at(at + layout->unicode_state) >> layout->unicode_kind_shift;
	uint32_t width = state & 7;

	if ((width != 1 && width != 2 && width != 4) || n > LENGTH_MAX)
		return false;
	object->length = n;
	if (state & COMPACT && state & ASCII) {
		object->body = object->bytes = layout->unicode_ascii_data + n + 1;
		return true;
	}
	if (after < layout->unicode_compact_data + 8u)
		return false;
	/* utf8_length and utf8 follow what ASCII strings have; the bytes may be the string's own.
	 */
	utf8 = kb_u64_at(at + layout->unicode_ascii_data + 8);
	if (state & COMPACT) {
		object->body = layout->unicode_compact_data + (n + 1) * width;
		object->bytes = object->body;
		if (utf8)
			object->bytes += kb_u64_at(at + layout->unicode_ascii_data) + 1;
	} else {
		/* A pointer to the characters: PyUnicodeObject, and whatever a subclass adds. */
		object->body = object->type->basicsize;
		object->table.address = kb_u64_at(at + layout->unicode_compact_data);
		object->table.bytes = (n + 1) * width;
		object->bytes = layout->unicode_compact_data + 8 + object->table.bytes;
		if (utf8 && utf8 != object->table.address)
			object->bytes += kb_u64_at(at + layout->unicode_ascii_data) + 1;
	}
	return object->bytes < LENGTH_MAX * 8;
}

static bool size_int(const struct kb_heap *heap, const uint8_t *at, struct kb_heap_object *object)
{
	const struct kb_object_layout *layout = heap->remote->objects;
	uint64_t n;

	if (layout->long_tag != KB_NO_OFFSET) {
		n = kb_u64_at(at + layout->long_tag);
		if ((n & 3) == 3)
			return false;
		n >>= 3;
	} else {
		n = kb_u64_at(at + layout->var_size);
		n = (int64_t)n < 0 ? -n : n;
	}
	if (n > LENGTH_MAX)
		return false;
	object->length = n;
	if (!n && heap->remote->layout->version_minor >= 11)
		n = 1;
	object->body = object->bytes = object->type->basicsize + n * object->type->itemsize;
	return true;
}

static bool size_list(const struct kb_heap *heap, const uint8_t *at, struct kb_heap_object *object)
{
	const struct kb_object_layout *layout = heap->remote->objects;
	uint64_t allocated = kb_u64_at(at + layout->list_allocated);

	object->length = kb_u64_at(at + layout->var_size);
	object->table = (struct kb_heap_table){ .address = kb_u64_at(at + layout->list_items),
						.bytes = allocated * 8,
						.pointers = true };
	/* While list.sort() runs, allocated is -1 and the items are elsewhere. */
	if (allocated == UINT64_MAX && !object->table.address)
		object->table.bytes = object->length = 0;
	else if (allocated > LENGTH_MAX || object->length > allocated ||
		 (allocated && !object->table.address))
		return false;
	object->body = object->type->basicsize;
	object->bytes = object->body + object->table.bytes;
	return true;
}

static bool size_set(const struct kb_heap *heap, const uint8_t *at, struct kb_heap_object *object)
{
	const struct kb_object_layout *layout = heap->remote->objects;
	uint64_t mask = kb_u64_at(at + layout->set_mask), table = kb_u64_at(at + layout->set_table);

	object->length = kb_u64_at(at + layout->set_used);
	object->body = object->bytes = object->type->basicsize;
	if (mask > LENGTH_MAX || mask & (mask + 1) || object->length > mask + 1 || !table)
		return false;
	if (table == object->address + layout->set_smalltable)
		return true;
	object->table = (struct kb_heap_table){ .address = table,
						.bytes = (mask + 1) * 16,
						.pointers = true };
	object->bytes += object->table.bytes;
	return true;
}

/* Before 3.15 ob_bytes is an allocation of its own, from then on it is within a bytes object. */
static bool size_bytearray(const struct kb_heap *heap, const uint8_t *at,
			   struct kb_heap_object *object)
{
	const struct kb_object_layout *layout = heap->remote->objects;
	uint64_t alloc = kb_u64_at(at + layout->bytearray_alloc), address;

	object->length = kb_u64_at(at + layout->var_size);
	object->body = object->type->basicsize;
	if (alloc > LENGTH_MAX || object->length > alloc + 1)
		return false;
	address = kb_u64_at(at + layout->bytearray_bytes);
	if (heap->remote->layout->version_minor >= 15 && address) {
		address -= heap->remote->layout->bytes_data;
		alloc += heap->remote->layout->bytes_data + 1;
	}
	object->table = (struct kb_heap_table){ .address = address, .bytes = alloc };
	object->bytes = object->body + alloc;
	return true;
}

/* arrayobject in Modules/arraymodule.c: ob_item, allocated and a description with the size of an
 * item, which is not looked at: it follows from the size of the allocation, or is not known. */
static bool size_array(const struct kb_heap *heap, const uint8_t *at, struct kb_heap_object *object)
{
	const struct kb_object_layout *layout = heap->remote->objects;
	uint64_t address = kb_u64_at(at + layout->var_size + 8),
		 n = kb_u64_at(at + layout->var_size + 16),
		 description = kb_u64_at(at + layout->var_size + 24);
	uint32_t itemsize = 0;

	object->length = kb_u64_at(at + layout->var_size);
	object->body = object->type->basicsize;
	if (n > LENGTH_MAX || object->length > n)
		return false;
	/* struct arraydescr: char typecode; int itemsize. */
	if (n &&
	    (!kb_pages__read_u32(heap->remote->pages, description + 4, &itemsize) || itemsize > 16))
		return false;
	object->table = (struct kb_heap_table){ .address = address, .bytes = n * itemsize };
	object->bytes = object->body + object->table.bytes;
	return true;
}

/* dequeobject in Modules/_collectionsmodule.c: blocks of 64 items and two links. */
static bool size_deque(const struct kb_heap *heap, const uint8_t *at, struct kb_heap_object *object)
{
	uint64_t left = kb_u64_at(at + heap->remote->objects->var_size + 24);

	object->length = kb_u64_at(at + heap->remote->objects->var_size);
	object->body = object->type->basicsize;
	if (object->length > LENGTH_MAX || left > 64)
		return false;
	object->bytes = object->body + (left + object->length + 63) / 64 * 66 * 8;
	return true;
}

static bool size_dict(const struct kb_heap *heap, const uint8_t *at, struct kb_heap_object *object)
{
	const struct kb_object_layout *layout = heap->remote->objects;

	object->length = kb_u64_at(at + layout->dict_used);
	object->keys = kb_u64_at(at + layout->dict_keys);
	object->values = kb_u64_at(at + layout->dict_values);
	object->body = object->bytes = object->type->basicsize;
	return object->length < LENGTH_MAX && object->keys && !(object->keys % 8) &&
	       !(object->values % 8);
}

/* Where instances of 3.11 and 3.12 have their values, when these are no dict: see remote_dict.c. */
static uint64_t managed_values(const struct kb_heap *heap, const struct kb_heap_type *type,
			       const uint8_t *at)
{
	unsigned int minor = heap->remote->layout->version_minor;
	uint64_t word;

	if (!(type->flags & KB_TYPE_MANAGED_DICT) || type->before < 32)
		return 0;
	if (minor == 11)
		return kb_u64_at(at - 32);
	word = minor == 12 ? kb_u64_at(at - 24) : 0;
	return word & 1 ? word + 1 : 0;
}

static bool size_plain(const struct kb_heap *heap, const uint8_t *at, uint32_t after,
		       struct kb_heap_object *object)
{
	const struct kb_heap_type *type = object->type;
	uint64_t n = 0;

	if (type->itemsize) {
		if (heap->remote->objects->var_size + 8 > after)
			return false;
		n = kb_u64_at(at + heap->remote->objects->var_size);
		if (n > LENGTH_MAX)
			return false;
	}
	object->length = n;
	object->bytes = type->basicsize + n * type->itemsize;
	object->body = object->bytes + type->inline_bytes;
	object->values = managed_values(heap, type, at);
	return true;
}

/* Frames and generators: the block that they are in; glibc has its size, with three flags, before
 * it. */
static bool size_frames(const uint8_t *at, uint32_t before, uint64_t room,
			struct kb_heap_object *object)
{
	const struct kb_heap_type *type = object->type;
	uint64_t chunk = 0;

	object->body = room;
	if (room > KB_HEAP_BLOCK_MAX) {
		if (before >= type->before + 8)
			chunk = kb_u64_at(at - type->before - 8) & ~7ull;
		object->body = chunk > type->before + 8 + type->basicsize ? chunk - type->before - 8
									  : type->basicsize;
	}
	object->bytes = object->body;
	return true;
}

static bool size_of(struct kb_heap *heap, const uint8_t *at, uint32_t before, uint32_t after,
		    uint64_t room, struct kb_heap_object *object)
{
	switch (object->type->kind) {
	case KB_HEAP_STR:
		return size_str(heap, at, after, object);
	case KB_HEAP_INT:
		return size_int(heap, at, object);
	case KB_HEAP_LIST:
		return size_list(heap, at, object);
	case KB_HEAP_DICT:
		return size_dict(heap, at, object);
	case KB_HEAP_SET:
		return size_set(heap, at, object);
	case KB_HEAP_BYTEARRAY:
		return size_bytearray(heap, at, object);
	case KB_HEAP_ARRAY:
		return size_array(heap, at, object);
	case KB_HEAP_DEQUE:
		return size_deque(heap, at, object);
	case KB_HEAP_FRAMES:
		return size_frames(at, before, room, object);
	default:
		return size_plain(heap, at, after, object);
	}
}

/* Bytes from the start of an object that its kind is told from. */
static uint32_t head_bytes(const struct kb_heap *heap, const struct kb_heap_type *type)
{
	const struct kb_object_layout *layout = heap->remote->objects;

	switch (type->kind) {
	case KB_HEAP_STR:
		return heap->remote->layout->unicode_ascii_data;
	case KB_HEAP_INT:
		return layout->long_digits;
	case KB_HEAP_LIST:
		return layout->list_allocated + 8;
	case KB_HEAP_DICT:
		return layout->dict_values + 8;
	case KB_HEAP_SET:
		return layout->set_smalltable;
	case KB_HEAP_BYTEARRAY:
		return layout->bytearray_bytes + 8;
	case KB_HEAP_ARRAY:
	case KB_HEAP_DEQUE:
		return layout->var_size + 32;
	default:
		return heap->remote->layout->object_type + 8;
	}
}

enum kb_heap_verdict kb_heap_object__read(struct kb_heap *heap, struct kb_heap_type *type,
					  uint64_t address, const uint8_t *at, uint32_t before,
					  uint32_t after, uint64_t room,
					  struct kb_heap_object *object)
{
	uint64_t count;

	*object = (struct kb_heap_object){ .type = type, .address = address };
	if (type->before > before || head_bytes(heap, type) > after)
		return KB_HEAP_NO_OBJECT;
	count = kb_u64_at(at);
	if (!is_count(heap, count))
		return is_kept(heap, count) && type->basicsize <= room ? KB_HEAP_KEPT
								       : KB_HEAP_NO_OBJECT;
	if (type->gc && !read_gc_head(heap, at, object))
		return KB_HEAP_NO_OBJECT;
	if (!size_of(heap, at, before, after, room, object) || object->body > room)
		return KB_HEAP_NO_OBJECT;
	object->bytes += type->before;
	return KB_HEAP_OBJECT;
}
