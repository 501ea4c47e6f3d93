// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * One object as a value of an audit record. What a type is, is told by the bits that CPython keeps
 * in tp_flags for its own checks (Include/object.h, Py_TPFLAGS_*_SUBCLASS; the same from 3.8 to
 * 3.15), so instances of subclasses are written as what they are underneath. Everything comes from
 * a program's memory: each length is bounded by what there is room for.
 */
#include "audit/audit.bpf.h"

#define FLAG_HEAP  (1ULL << 9)
#define FLAG_LONG  (1ULL << 24)
#define FLAG_LIST  (1ULL << 25)
#define FLAG_TUPLE (1ULL << 26)
#define FLAG_BYTES (1ULL << 27)
#define FLAG_STR   (1ULL << 28)
#define FLAG_DICT  (1ULL << 29)

#define HEAD                                                                                       \
	32 /* of every object: no allocation is smaller, static ones do not end their mapping */
#define BASES_MAX    3	/* PosixPath, PurePosixPath, PurePath and one subclass of a program's own */
#define KEYS_HEAD    40 /* of a dict's keys up to its indices, in all versions */
#define INT_TAG_BITS 3	/* 3.12+: sign and flags in lv_tag, below the number of digits */

static __always_inline void put_unreadable(struct audit_slot *slot)
{
	audit_put_tag(slot, KB_AUDIT_UNREADABLE, 0);
}

static __always_inline kb_u64 read_word(kb_u64 address)
{
	kb_u64 word = 0;

	audit_read(&word, 8, address);
	return word;
}

/* ---------------------------------------------------------------- bytes */

/* A value whose `size` bytes, or as many as there is room for, lie at `source`. */
static __always_inline void put_bytes(struct audit_slot *slot, kb_u32 tag, kb_u32 flags,
				      kb_u64 source, kb_u64 size, kb_u64 max, kb_u64 length)
{
	kb_u8 *place = audit_place(slot);

	if (!place)
		return;
	if (size > max) {
		size = max;
		flags |= KB_AUDIT_CUT;
	}
	KB_OPAQUE(size);
	if (size > KB_AUDIT_STRING_MAX)
		return;
	if (size && audit_read(place + 8, size, source)) {
		put_unreadable(slot);
		return;
	}
	audit_put(slot, place, tag, flags, size, length);
}

/* The text of a str. */
static __noinline int put_str(struct audit_slot *slot, const struct kb_layout *layout,
			      kb_u64 string)
{
	kb_u64 size = layout->unicode_ascii_data, length, state, width, data;

	KB_OPAQUE(size);
	if (size > sizeof(slot->object) || audit_read(slot->object, size, string)) {
		put_unreadable(slot);
		return 0;
	}
	length = audit_field(slot, layout->unicode_length);
	data = layout->unicode_state;
	KB_OPAQUE(data);
	state = *(kb_u32 *)(slot->object + (data & (sizeof(slot->object) - 4)));
	state >>= layout->unicode_kind_shift & 31;
	width = state & 7;
	if (width != 1 && width != 2 && width != 4) {
		put_unreadable(slot);
		return 0;
	}
	data = string + layout->unicode_compact_data;
	if (!(state & 8))
		data = read_word(
			data); /* an instance of a subclass: its characters are elsewhere */
	else if (state & 16)
		data = string + layout->unicode_ascii_data;
	size = length > KB_AUDIT_STRING_MAX ? KB_AUDIT_STRING_MAX + 1 : length * width;
	put_bytes(slot, KB_AUDIT_STR, width, data, size, KB_AUDIT_STRING_MAX, length);
	return 0;
}

static __always_inline void put_int(struct audit_slot *slot, const struct kb_audit_layout *objects,
				    kb_u64 object)
{
	kb_u64 n, flags = 0;

	if (objects->long_tag != KB_NO_OFFSET) {
		n = audit_field(slot, objects->long_tag);
		flags = (n & 3) == 2 ? KB_AUDIT_NEGATIVE : 0;
		n >>= INT_TAG_BITS;
	} else {
		n = audit_field(slot, objects->var_size);
		if ((kb_s64)n < 0) {
			flags = KB_AUDIT_NEGATIVE;
			n = -n;
		}
	}
	put_bytes(slot, KB_AUDIT_INT, flags, object + objects->long_digits,
		  n > KB_AUDIT_DIGITS_MAX ? 4 * KB_AUDIT_DIGITS_MAX + 1 : 4 * n,
		  4 * KB_AUDIT_DIGITS_MAX, n);
}

/* ---------------------------------------------------------------- containers */

/* Writes a container's header; a cursor for what is in it, or NULL: no deeper. */
static __always_inline struct audit_cursor *open_container(struct audit_slot *slot, kb_u32 tag,
							   kb_u64 n)
{
	kb_u8 *place = audit_place(slot);
	kb_u64 top = slot->n_cursors, flags = 0;

	if (!place)
		return 0;
	KB_OPAQUE(top);
	if (n && (slot->depth >= KB_AUDIT_DEPTH_MAX || top >= AUDIT_CURSORS - 1)) {
		audit_put(slot, place, tag, KB_AUDIT_CUT, 0, n);
		audit_put_tag(slot, KB_AUDIT_END, 0);
		return 0;
	}
	if (n > KB_AUDIT_ITEMS_MAX)
		flags = KB_AUDIT_CUT;
	audit_put(slot, place, tag, flags, 0, n);
	slot->depth++;
	slot->n_cursors = top + 1;
	slot->cursors[top & (AUDIT_CURSORS - 1)] =
		(struct audit_cursor){ .left = n, .room = KB_AUDIT_ITEMS_MAX };
	return &slot->cursors[top & (AUDIT_CURSORS - 1)];
}

static __always_inline void put_sequence(struct audit_slot *slot, kb_u32 tag, kb_u64 items,
					 kb_u64 n)
{
	struct audit_cursor *cursor = open_container(slot, tag, n);

	if (!cursor)
		return;
	cursor->kind = AUDIT_ITEMS;
	cursor->at = items;
}

/* Where a dict's entries begin, how large they are and how many are in use, from its keys: struct
 * _dictkeysobject of Objects/dict-common.h up to 3.10, Include/internal/pycore_dict.h from 3.11. */
static __always_inline int open_entries(struct audit_slot *slot,
					const struct kb_audit_layout *objects, kb_u64 keys,
					struct audit_cursor *cursor)
{
	kb_u64 indices = objects->keys_indices, size, width, at;

	if (audit_read(slot->object, KEYS_HEAD, keys))
		return -1;
	cursor->left = audit_field(slot, objects->keys_nentries);
	if (objects->keys_log2_index_bytes != KB_NO_OFFSET) {
		at = objects->keys_log2_index_bytes;
		KB_OPAQUE(at);
		size = 1ULL << (slot->object[at & (sizeof(slot->object) - 1)] & 31);
		at = objects->keys_kind;
		KB_OPAQUE(at);
		/* DICT_KEYS_GENERAL has hash, key, value; the others no hash. */
		cursor->size = slot->object[at & (sizeof(slot->object) - 1)] ? 16 : 24;
	} else {
		size = audit_field(slot, objects->keys_size);
		width = size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffffULL ? 4 : 8;
		size *= width;
		cursor->size = 24;
	}
	cursor->at = keys + indices + size;
	return 0;
}

static __always_inline void put_dict(struct audit_slot *slot, const struct kb_audit_layout *objects,
				     kb_u64 object)
{
	kb_u64 used = read_word(object + objects->dict_used);
	kb_u64 keys = read_word(object + objects->dict_keys);
	kb_u64 values = read_word(object + objects->dict_values);
	struct audit_cursor entries = { .room = KB_AUDIT_ITEMS_MAX, .kind = AUDIT_ENTRIES },
			    *cursor;

	if (used && (!keys || open_entries(slot, objects, keys, &entries))) {
		put_unreadable(slot);
		return;
	}
	if (values)
		entries.values = values + objects->values_items;
	cursor = open_container(slot, KB_AUDIT_DICT, used);
	if (cursor)
		*cursor = entries;
}

/* ---------------------------------------------------------------- others */

static __always_inline void put_code(struct audit_slot *slot, const struct kb_layout *layout,
				     kb_u64 object)
{
	kb_u32 line = 0;

	audit_read(&line, sizeof(line), object + layout->code_firstlineno);
	audit_put_tag(slot, KB_AUDIT_CODE, line);
	put_str(slot, layout, read_word(object + layout->code_name));
	put_str(slot, layout, read_word(object + layout->code_filename));
}

/* What a type's name begins with, as two words. */
#define NAME_WORD(a, b, c, d, e, f, g, h)                                                          \
	((kb_u64)(a) | (kb_u64)(b) << 8 | (kb_u64)(c) << 16 | (kb_u64)(d) << 24 |                  \
	 (kb_u64)(e) << 32 | (kb_u64)(f) << 40 | (kb_u64)(g) << 48 | (kb_u64)(h) << 56)
#define PURE_PATH      NAME_WORD('P', 'u', 'r', 'e', 'P', 'a', 't', 'h')
#define POSIX_PATH     NAME_WORD('P', 'o', 's', 'i', 'x', 'P', 'a', 't')
#define POSIX_PATH_END NAME_WORD('h', 0, 0, 0, 0, 0, 0, 0)
#define DIR_ENTRY      NAME_WORD('p', 'o', 's', 'i', 'x', '.', 'D', 'i')
#define DIR_ENTRY_END  NAME_WORD('r', 'E', 'n', 't', 'r', 'y', 0, 0)

/* The first 16 bytes of a type's name, zeros behind its end. */
static __always_inline void read_name(kb_u64 type, const struct kb_audit_layout *objects,
				      kb_u64 name[2])
{
	name[0] = name[1] = 0;
	audit_read_text(name, 16, read_word(type + objects->type_name));
	if (!(name[0] >> 56))
		name[1] = 0;
}

/* Where an os.PathLike that is known keeps its path, 0: not one of them. */
static __always_inline kb_u64 path_of(const struct kb_audit_layout *objects, kb_u64 object,
				      kb_u64 type)
{
	kb_u64 name[2];

	for (int i = 0; i <= BASES_MAX && type; i++) {
		read_name(type, objects, name);
		if (name[0] == DIR_ENTRY && name[1] == DIR_ENTRY_END)
			return read_word(object + objects->entry_path);
		if ((name[0] == PURE_PATH && !name[1]) ||
		    (name[0] == POSIX_PATH && name[1] == POSIX_PATH_END))
			return read_word(object + objects->path_text);
		type = read_word(type + objects->type_base);
	}
	return 0;
}

static __always_inline int is_str(const struct kb_audit_layout *objects, kb_u64 object)
{
	kb_u64 type = object ? read_word(object + objects->object_type) : 0;

	return type && read_word(type + objects->type_flags) & FLAG_STR;
}

static __noinline int put_other(struct audit_slot *slot, const struct kb_layout *layout,
				const struct kb_audit_layout *objects, kb_u64 object, kb_u64 type)
{
	kb_u64 path = path_of(objects, object, type), size;
	kb_u8 *place;
	long n;

	if (is_str(objects, path)) {
		audit_put_tag(slot, KB_AUDIT_PATH, 0);
		return put_str(slot, layout, path);
	}
	place = audit_place(slot);
	if (!place)
		return 0;
	*(kb_u64 *)(place + 8) = object;
	n = audit_read_text(place + 16, KB_AUDIT_TYPE_MAX, read_word(type + objects->type_name));
	size = n > 1 ? n - 1 : 0;
	audit_put(slot, place, KB_AUDIT_OBJECT, 0, 8 + size, 0);
	return 0;
}

/* ---------------------------------------------------------------- all */

/* Singletons and types that are told by their address; true: it was written. */
static __always_inline int put_known(struct audit_slot *slot, const struct kb_audit_layout *objects,
				     kb_u64 object, kb_u64 type, kb_u64 bias)
{
	kb_u8 *place;

	if (object - bias == objects->none) {
		audit_put_tag(slot, KB_AUDIT_NONE, 0);
	} else if (object - bias == objects->true_object) {
		audit_put_tag(slot, KB_AUDIT_BOOL, 1);
	} else if (object - bias == objects->false_object) {
		audit_put_tag(slot, KB_AUDIT_BOOL, 0);
	} else if (type - bias == objects->float_type) {
		place = audit_place(slot);
		if (place) {
			*(kb_u64 *)(place + 8) = audit_field(slot, objects->float_value);
			audit_put(slot, place, KB_AUDIT_FLOAT, 0, 8, 0);
		}
	} else {
		return 0;
	}
	return 1;
}

__noinline int audit_put_object(struct audit_slot *slot, const struct kb_layout *layout,
				const struct kb_audit_layout *objects, kb_u64 object, kb_u64 bias)
{
	kb_u64 type, flags, n;

	if (!slot || !layout || !objects)
		return 0;
	if (!object) {
		audit_put_tag(slot, KB_AUDIT_NULL, 0);
		return 0;
	}
	if (audit_read(slot->object, HEAD, object)) {
		put_unreadable(slot);
		return 0;
	}
	type = audit_field(slot, objects->object_type);
	if (put_known(slot, objects, object, type, bias))
		return 0;
	if (audit_read(&flags, 8, type + objects->type_flags)) {
		put_unreadable(slot);
		return 0;
	}
	n = audit_field(slot, objects->var_size);
	if (flags & FLAG_STR)
		return put_str(slot, layout, object);
	if (flags & FLAG_LONG)
		put_int(slot, objects, object);
	else if (flags & FLAG_BYTES)
		put_bytes(slot, KB_AUDIT_BYTES, 0, object + layout->bytes_data, n,
			  KB_AUDIT_STRING_MAX, n);
	else if (flags & FLAG_TUPLE)
		put_sequence(slot, KB_AUDIT_TUPLE, object + objects->tuple_items, n);
	else if (flags & FLAG_LIST)
		put_sequence(slot, KB_AUDIT_LIST, read_word(object + objects->list_items), n);
	else if (flags & FLAG_DICT)
		put_dict(slot, objects, object);
	else if (type - bias == objects->code_type)
		put_code(slot, layout, object);
	else
		return put_other(slot, layout, objects, object, type);
	return 0;
}
