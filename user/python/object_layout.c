// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stddef.h>
#include <string.h>
#include "python/layout.h"
#include "python/object_layout.h"

static const struct kb_object_layout table[KB_PYTHON_MINOR_MAX + 1] = {
#include "python/object_table.inc.h"
};

/* A field and whether it lies behind the header of an object. */
struct field {
	uint16_t at; /* in struct kb_object_layout */
	uint8_t first, last;
	bool in_object;
};

/* __builtin: clang with sanitizers takes no call of strncmp() for a constant. */
static const struct field fields[] = {
#define FIELD(name, first, last, dwarf_type, c_type, member)                                       \
	{ offsetof(struct kb_object_layout, name), first, last,                                    \
	  __builtin_strncmp(#name, "interp_", 7) && __builtin_strncmp(#name, "keys_", 5) &&        \
		  __builtin_strncmp(#name, "values_", 7) && __builtin_strncmp(#name, "gc_", 3) &&  \
		  (__builtin_strncmp(#name, "frame_", 6) || (last) <= 10) },
#include "python/object_fields.inc.h"
#undef FIELD
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

#define OBJECT_TYPE_PLAIN 8 /* offset of ob_type behind ob_refcnt, in the builds of the table */

/* struct _dictkeysobject up to 3.10, which no installed header has: Objects/dict-common.h. */
#define OLD_KEYS_SIZE	  8
#define OLD_KEYS_NENTRIES 32
#define OLD_KEYS_INDICES  40

void kb_object_layout__init(struct kb_object_layout *objects, const struct kb_layout *walk)
{
	unsigned int minor = walk->version_minor;
	uint32_t *field = (uint32_t *)objects;

	for (size_t i = 0; i < sizeof(*objects) / sizeof(*field); i++)
		field[i] = KB_NO_OFFSET;
	for (size_t i = 0; i < N_FIELDS; i++) {
		if (minor < fields[i].first || minor > fields[i].last)
			continue;
		field = (uint32_t *)((char *)objects + fields[i].at);
		*field = *(const uint32_t *)((const char *)&table[minor] + fields[i].at);
		if (fields[i].in_object)
			*field += walk->object_type - OBJECT_TYPE_PLAIN;
	}
	if (minor <= 10) {
		objects->keys_size = OLD_KEYS_SIZE;
		objects->keys_nentries = OLD_KEYS_NENTRIES;
		objects->keys_indices = OLD_KEYS_INDICES;
		objects->values_items = 0;
	}
}
