// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Dicts, sets, and the attributes of instances.
 *
 * A dict has a table of keys: an index by hash, then the entries in the order of
 * insertion. Instances of one class share a table of keys and have values of their own
 * (a split table). Entries are {hash, key, value}, or from 3.11 {key, value}
 * when all keys are strings.
 *
 *   3.6-3.10  values: array of objects                     instance: tp_dictoffset
 *   3.11      the same, with counts before them            values at object - 32, dict at - 24
 *   3.12      the same                                     at - 24: dict, or values - 1
 *   3.13+     PyDictValues: 4 bytes, then the objects      dict at - 24 (free-threaded: - 8),
 *                                                          values inline behind the object
 *
 * Sources: Objects/dictobject.c and Objects/dict-common.h (3.6 to 3.10),
 * Include/internal/pycore_dict.h and pycore_object.h (3.11 to 3.15), Objects/setobject.c.
 */
#include "python/remote_object.h"
#include "python/remote_string.h"

#define GENERAL_ENTRY 24	 /* hash, key, value */
#define STRING_ENTRY  16	 /* key, value */
#define SET_ENTRY     16	 /* key, hash */
#define SET_DELETED   UINT64_MAX /* hash of the mark of a removed entry */
#define SIZE_LOG2_MAX 40
#define VALUES_VALID  3 /* 3.13+: flag in PyDictValues; 0 when a dict has taken over */

#define MANAGED_DICT		   24
#define MANAGED_DICT_FREE_THREADED 8
#define MANAGED_VALUES_3_11	   32

static bool word(struct kb_remote *remote, uint64_t address, uint64_t *value)
{
	return kb_pages__read_u64(remote->pages, address, value);
}

/* ---------------------------------------------------------------- tables of keys */

/* Bytes of an index entry by the number of slots: dk_indices up to 3.10. */
static uint64_t index_bytes(uint64_t slots)
{
	return slots <= 0xff ? 1 : slots <= 0xffff ? 2 : slots <= 0xffffffff ? 4 : 8;
}

static bool open_keys(struct kb_remote *remote, uint64_t keys, struct kb_remote_dict *dict)
{
	const struct kb_object_layout *at = remote->objects;
	uint8_t log2_bytes, kind;
	uint64_t slots;

	dict->next = 0;
	if (!keys || !word(remote, keys + at->keys_nentries, &dict->n) ||
	    dict->n > KB_REMOTE_DICT_MAX)
		return false;
	if (at->keys_size != KB_NO_OFFSET) {
		if (!word(remote, keys + at->keys_size, &slots) || slots >> SIZE_LOG2_MAX)
			return false;
		dict->entries = keys + at->keys_indices + slots * index_bytes(slots);
		dict->entry_bytes = GENERAL_ENTRY;
		return true;
	}
	if (!kb_pages__read(remote->pages, keys + at->keys_log2_index_bytes, &log2_bytes, 1) ||
	    !kb_pages__read(remote->pages, keys + at->keys_kind, &kind, 1) ||
	    log2_bytes > SIZE_LOG2_MAX + 3 || kind > 3)
		return false;
	dict->entries = keys + at->keys_indices + (1ull << log2_bytes);
	dict->entry_bytes = kind ? STRING_ENTRY : GENERAL_ENTRY;
	return true;
}

bool kb_remote_dict__open(struct kb_remote *remote, uint64_t object, struct kb_remote_dict *dict)
{
	const struct kb_object_layout *at = remote->objects;
	struct kb_remote_type type;
	uint64_t keys;

	if (!kb_remote_object__type(remote, object, &type) || !(type.flags & KB_TYPE_DICT) ||
	    !word(remote, object + at->dict_used, &dict->used) ||
	    !word(remote, object + at->dict_keys, &keys) ||
	    !word(remote, object + at->dict_values, &dict->values))
		return false;
	if (dict->values)
		dict->values += at->values_items;
	return open_keys(remote, keys, dict);
}

bool kb_remote_dict__next(struct kb_remote *remote, struct kb_remote_dict *dict, uint64_t *key,
			  uint64_t *value)
{
	uint64_t entry[GENERAL_ENTRY / 8];
	uint32_t key_at = dict->entry_bytes == GENERAL_ENTRY;

	while (dict->next < dict->n && remote->work++ < KB_REMOTE_WORK_MAX) {
		uint64_t i = dict->next++;

		if (!kb_pages__read(remote->pages, dict->entries + i * dict->entry_bytes, entry,
				    dict->entry_bytes))
			return false;
		*key = entry[key_at];
		*value = entry[key_at + 1];
		if (dict->values && !word(remote, dict->values + i * 8, value))
			return false;
		if (*key && *value)
			return true;
	}
	return false;
}

bool kb_remote_dict__find(struct kb_remote *remote, struct kb_remote_dict dict, const char *key,
			  uint64_t *value)
{
	struct kb_remote_type type;
	uint64_t found, of_key;

	while (kb_remote_dict__next(remote, &dict, &of_key, &found)) {
		if (!kb_remote_string__is(remote->pages, remote->layout, of_key, key) ||
		    !kb_remote_object__type(remote, of_key, &type) || !(type.flags & KB_TYPE_STR))
			continue;
		*value = found;
		return true;
	}
	return false;
}

/* ---------------------------------------------------------------- attributes of instances */

/* Values that share the keys of the class. */
static bool open_values(struct kb_remote *remote, const struct kb_remote_type *type,
			uint64_t values, struct kb_remote_dict *dict)
{
	uint64_t keys;

	if (!word(remote, type->address + remote->objects->type_cached_keys, &keys) ||
	    !open_keys(remote, keys, dict))
		return false;
	dict->values = values + remote->objects->values_items;
	dict->used = dict->n;
	return true;
}

static bool open_managed(struct kb_remote *remote, uint64_t object,
			 const struct kb_remote_type *type, struct kb_remote_dict *dict)
{
	bool free_threaded = remote->layout->flags & KB_LAYOUT_FREE_THREADED;
	unsigned int minor = remote->layout->version_minor;
	uint64_t managed, values;
	uint8_t valid;

	if (!word(remote, object - (free_threaded ? MANAGED_DICT_FREE_THREADED : MANAGED_DICT),
		  &managed))
		return false;
	if (minor == 11) {
		if (word(remote, object - MANAGED_VALUES_3_11, &values) && values)
			return open_values(remote, type, values, dict);
	} else if (minor == 12) {
		if (managed & 1)
			return open_values(remote, type, managed + 1, dict);
	} else if (!managed && (type->flags & KB_TYPE_INLINE_VALUES)) {
		values = object + (uint64_t)type->basicsize;
		return kb_pages__read(remote->pages, values + VALUES_VALID, &valid, 1) && valid &&
		       open_values(remote, type, values, dict);
	}
	return managed && kb_remote_dict__open(remote, managed, dict);
}

/* _PyObject_GetDictPtr(): a negative offset counts from the end of an object of variable size. */
static bool dict_place(struct kb_remote *remote, uint64_t object, const struct kb_remote_type *type,
		       uint64_t *place)
{
	const struct kb_object_layout *at = remote->objects;
	uint64_t n;

	*place = object + (uint64_t)type->dictoffset;
	if (type->dictoffset > 0)
		return true;
	if ((type->flags & KB_TYPE_INT) && at->long_tag != KB_NO_OFFSET) {
		if (!word(remote, object + at->long_tag, &n))
			return false;
		n >>= 3;
	} else if (!word(remote, object + at->var_size, &n)) {
		return false;
	}
	if ((int64_t)n < 0)
		n = -n;
	if (n > UINT32_MAX || type->itemsize < 0 || type->itemsize > UINT16_MAX)
		return false;
	*place += ((uint64_t)type->basicsize + n * (uint64_t)type->itemsize + 7) & ~7ull;
	return true;
}

bool kb_remote_dict__open_attributes(struct kb_remote *remote, uint64_t object,
				     const struct kb_remote_type *type, struct kb_remote_dict *dict)
{
	uint64_t place, address;

	if (remote->layout->version_minor >= 11 && (type->flags & KB_TYPE_MANAGED_DICT))
		return open_managed(remote, object, type, dict);
	return type->dictoffset && dict_place(remote, object, type, &place) &&
	       word(remote, place, &address) && address &&
	       kb_remote_dict__open(remote, address, dict);
}

/* ---------------------------------------------------------------- sets */

bool kb_remote_set__open(struct kb_remote *remote, uint64_t object, struct kb_remote_set *set)
{
	const struct kb_object_layout *at = remote->objects;

	set->next = 0;
	return word(remote, object + at->set_used, &set->used) &&
	       word(remote, object + at->set_mask, &set->mask) &&
	       word(remote, object + at->set_table, &set->table) &&
	       set->mask < KB_REMOTE_DICT_MAX * 8ull && set->used <= set->mask + 1;
}

bool kb_remote_set__next(struct kb_remote *remote, struct kb_remote_set *set, uint64_t *key)
{
	uint64_t entry[2];

	while (set->next <= set->mask && remote->work++ < KB_REMOTE_WORK_MAX) {
		if (!kb_pages__read(remote->pages, set->table + set->next++ * SET_ENTRY, entry,
				    sizeof(entry)))
			return false;
		if (entry[0] && entry[1] != SET_DELETED) {
			*key = entry[0];
			return true;
		}
	}
	return false;
}
