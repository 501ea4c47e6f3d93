/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_FORMAT_MARSHAL_READ_H
#define KB_FORMAT_MARSHAL_READ_H

#include <stddef.h>
#include <stdint.h>
#include "keelback/error.h"

/*
 * Reads Python's marshal format, versions 0 to 5, as far as files of statistics
 * need it: None, booleans, integers up to 64 bits, floats, strings, tuples,
 * dictionaries and references to what was read before. Everything else is refused, and so is what
 * goes beyond these limits: the bytes are hostile.
 */
#define KB_MARSHAL_VALUES_MAX (1u << 24) /* 16 bytes each; CPython's own test suite makes 3 M */
#define KB_MARSHAL_DEPTH_MAX  16	 /* statistics are 5 deep */

enum kb_marshal_kind {
	KB_MARSHAL_NONE,
	KB_MARSHAL_BOOL,
	KB_MARSHAL_INT,
	KB_MARSHAL_REAL,
	KB_MARSHAL_TEXT,
	KB_MARSHAL_TUPLE,
	KB_MARSHAL_DICT, /* items are key, value, key, value … */
};

struct kb_marshal_value {
	uint8_t kind;
	uint32_t size; /* bytes of text, items of a tuple or dictionary */
	union {
		int64_t integer; /* and booleans */
		double real;
		const uint8_t *text; /* in the bytes read: UTF-8, perhaps with surrogates */
		uint32_t first;	     /* in items */
	};
};

struct kb_marshal_values {
	struct kb_marshal_value *values;
	uint32_t n_values, values_capacity;
	uint32_t *items; /* values */
	uint32_t n_items, items_capacity;
	uint32_t root;
};

/* The bytes must outlive the values. What follows the first object is not looked at, as Python does
 * it. Errors say at which byte. */
struct kb_error *kb_marshal_values__read(const uint8_t *bytes, size_t size,
					 struct kb_marshal_values *values);
void kb_marshal_values__free(struct kb_marshal_values *values);

const struct kb_marshal_value *kb_marshal_values__item(const struct kb_marshal_values *values,
						       const struct kb_marshal_value *of,
						       uint32_t index);

#endif
