// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "python/remote_object.h"
#include "python/remote_string.h"

#define NAME_BYTES 256 /* of a class, and of its module */
#define NAME_CHUNK 16  /* a type's name may lie at the end of what is readable */

/* Bits of lv_tag below the number of digits, and their value for a negative number, 3.12 and later:
 * Include/internal/pycore_long.h. */
#define TAG_SHIFT    3
#define TAG_SIGN     3
#define TAG_NEGATIVE 2
#define DIGIT_BITS   30

static bool word(struct kb_remote *remote, uint64_t address, uint64_t *value)
{
	return kb_pages__read_u64(remote->pages, address, value);
}

/* ---------------------------------------------------------------- types */

static bool read_name(struct kb_remote *remote, uint64_t address, char *name, size_t size)
{
	size_t n = 0;

	memset(name, 0, size);
	for (; n + NAME_CHUNK < size && !memchr(name, 0, n); n += NAME_CHUNK) {
		if (kb_pages__read(remote->pages, address + n, name + n, NAME_CHUNK))
			continue;
		for (size_t i = 0; i < NAME_CHUNK; i++) {
			if (!kb_pages__read(remote->pages, address + n + i, name + n + i, 1))
				return false;
			if (!name[n + i])
				return true;
		}
	}
	return name[0];
}

bool kb_remote_type__read(struct kb_remote *remote, uint64_t address, struct kb_remote_type *type)
{
	const struct kb_object_layout *at = remote->objects;
	uint64_t metaflags, name;

	type->address = address;
	if (!address || address % 8 ||
	    !word(remote, address + remote->layout->object_type, &type->metatype) ||
	    !word(remote, type->metatype + at->type_flags, &metaflags) ||
	    !(metaflags & KB_TYPE_TYPE) || !word(remote, address + at->type_flags, &type->flags) ||
	    !word(remote, address + at->type_name, &name) ||
	    !word(remote, address + at->type_basicsize, (uint64_t *)&type->basicsize) ||
	    !word(remote, address + at->type_itemsize, (uint64_t *)&type->itemsize) ||
	    !word(remote, address + at->type_dictoffset, (uint64_t *)&type->dictoffset))
		return false;
	return read_name(remote, name, type->name, sizeof(type->name));
}

bool kb_remote_object__type(struct kb_remote *remote, uint64_t object, struct kb_remote_type *type)
{
	uint64_t address;

	return object && !(object % 8) &&
	       word(remote, object + remote->layout->object_type, &address) &&
	       kb_remote_type__read(remote, address, type);
}

static char *string_at(struct kb_remote *remote, uint64_t object)
{
	struct kb_remote_type type;

	if (!kb_remote_object__type(remote, object, &type) || !(type.flags & KB_TYPE_STR))
		return NULL;
	return kb_remote_string__read(remote->pages, remote->layout, object, NAME_BYTES);
}

/* Classes have their name alone in tp_name. */
static char *class_name(struct kb_remote *remote, uint64_t address)
{
	const struct kb_object_layout *at = remote->objects;
	char *module = NULL, *name = NULL, *full;
	struct kb_remote_dict attributes;
	uint64_t object;

	if (word(remote, address + at->type_qualname, &object))
		name = string_at(remote, object);
	if (!name)
		return NULL;
	if (word(remote, address + at->type_dict, &object) &&
	    kb_remote_dict__open(remote, object, &attributes) &&
	    kb_remote_dict__find(remote, attributes, "__module__", &object))
		module = string_at(remote, object);
	if (module && strcmp(module, "builtins") && asprintf(&full, "%s.%s", module, name) >= 0) {
		free(name);
		name = full;
	}
	free(module);
	return name;
}

char *kb_remote_type__full_name(struct kb_remote *remote, uint64_t address)
{
	struct kb_remote_type type;
	char *name = NULL;

	kb_remote__begin(remote);
	if (!kb_remote_type__read(remote, address, &type))
		return NULL;
	if (type.flags & KB_TYPE_HEAP && !strchr(type.name, '.'))
		name = class_name(remote, address);
	return name ? name : strdup(type.name);
}

/* ---------------------------------------------------------------- values */

bool kb_remote_object__items(struct kb_remote *remote, uint64_t object,
			     const struct kb_remote_type *type, uint64_t *items, uint64_t *n)
{
	const struct kb_object_layout *at = remote->objects;

	if (!word(remote, object + at->var_size, n) || *n > INT64_MAX)
		return false;
	if (type->flags & KB_TYPE_TUPLE) {
		*items = object + at->tuple_items;
		return true;
	}
	return (type->flags & KB_TYPE_LIST) && word(remote, object + at->list_items, items);
}

bool kb_remote_object__int(struct kb_remote *remote, uint64_t object, int64_t *value)
{
	const struct kb_object_layout *at = remote->objects;
	struct kb_remote_type type;
	uint32_t digits[2] = {};
	uint64_t n, magnitude;
	bool negative;

	if (!kb_remote_object__type(remote, object, &type) || !(type.flags & KB_TYPE_INT))
		return false;
	if (at->long_tag != KB_NO_OFFSET) {
		if (!word(remote, object + at->long_tag, &n))
			return false;
		negative = (n & TAG_SIGN) == TAG_NEGATIVE;
		n >>= TAG_SHIFT;
	} else {
		if (!word(remote, object + at->var_size, &n))
			return false;
		negative = (int64_t)n < 0;
		n = negative ? -n : n;
	}
	if (n > 2 || !kb_pages__read(remote->pages, object + at->long_digits, digits, n * 4))
		return false;
	magnitude = (uint64_t)digits[1] << DIGIT_BITS | digits[0];
	*value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	return true;
}

/* ---------------------------------------------------------------- modules and attributes */

bool kb_remote_module__find(struct kb_remote *remote, uint64_t interp, const char *name,
			    uint64_t *module)
{
	struct kb_remote_dict modules;
	uint64_t dict;

	return word(remote, interp + remote->objects->interp_modules, &dict) &&
	       kb_remote_dict__open(remote, dict, &modules) &&
	       kb_remote_dict__find(remote, modules, name, module);
}

bool kb_remote_object__attribute(struct kb_remote *remote, uint64_t object, const char *name,
				 uint64_t *value)
{
	struct kb_remote_dict attributes;
	struct kb_remote_type type;

	return kb_remote_object__type(remote, object, &type) &&
	       kb_remote_dict__open_attributes(remote, object, &type, &attributes) &&
	       kb_remote_dict__find(remote, attributes, name, value);
}
