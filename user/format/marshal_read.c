// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <endian.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/array.h"
#include "base/error.h"
#include "format/marshal_read.h"
#include "format/marshal_types.h"

/* Text of floats in versions 0 and 1: repr() with 17 digits. */
#define FLOAT_TEXT_MAX 64

struct reader {
	const uint8_t *start, *at, *end;
	struct kb_marshal_values *out;
	uint32_t *refs; /* values, KB_REF_OPEN while one is being read */
	uint32_t n_refs, refs_capacity;
	uint32_t *stack; /* items of containers being read */
	uint32_t n_stack, stack_capacity;
	unsigned depth;
	size_t last; /* where the object being read began */
};

#define NO_REF	 UINT32_MAX
#define REF_OPEN UINT32_MAX

static struct kb_error *bad(const struct reader *reader, const char *what)
{
	return kb_failed("at byte %zu: %s", reader->last, what);
}

static struct kb_error *take(struct reader *reader, size_t size, const uint8_t **bytes)
{
	if (size > (size_t)(reader->end - reader->at))
		return bad(reader, "the file ends too soon");
	*bytes = reader->at;
	reader->at += size;
	return NULL;
}

static struct kb_error *take_u32(struct reader *reader, uint32_t *value)
{
	const uint8_t *bytes;

	KB_TRY(take(reader, sizeof(*value), &bytes));
	memcpy(value, bytes, sizeof(*value));
	*value = le32toh(*value);
	return NULL;
}

/* A size of something of which each takes at least a byte. */
static struct kb_error *take_size(struct reader *reader, bool small, uint32_t *size)
{
	const uint8_t *byte;

	if (small) {
		KB_TRY(take(reader, 1, &byte));
		*size = *byte;
	} else {
		KB_TRY(take_u32(reader, size));
	}
	if (*size > (size_t)(reader->end - reader->at))
		return bad(reader, "a size beyond the file's end");
	return NULL;
}

static struct kb_error *push(struct reader *reader, uint32_t **array, uint32_t *n,
			     uint32_t *capacity, uint32_t element)
{
	uint32_t *grown =
		kb_array__grow(*array, capacity, *n + 1, sizeof(*grown), KB_MARSHAL_VALUES_MAX);

	if (!grown)
		return bad(reader, "more values than fit");
	*array = grown;
	grown[(*n)++] = element;
	return NULL;
}

static struct kb_error *add_value(struct reader *reader, const struct kb_marshal_value *value,
				  uint32_t *id)
{
	struct kb_marshal_values *out = reader->out;
	struct kb_marshal_value *grown =
		kb_array__grow(out->values, &out->values_capacity, out->n_values + 1,
			       sizeof(*grown), KB_MARSHAL_VALUES_MAX);

	if (!grown)
		return bad(reader, "more values than fit");
	out->values = grown;
	grown[out->n_values] = *value;
	*id = out->n_values++;
	return NULL;
}

/* ---- scalars */

static struct kb_error *read_long(struct reader *reader, struct kb_marshal_value *value)
{
	uint32_t size, n;
	uint64_t number = 0;
	bool negative;

	KB_TRY(take_u32(reader, &size));
	negative = size >> 31;
	n = negative ? -size : size;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *bytes;
		uint64_t digit;

		KB_TRY(take(reader, 2, &bytes));
		digit = bytes[0] | (uint64_t)bytes[1] << 8;
		if (digit >> KB_MARSHAL_DIGIT_BITS)
			return bad(reader, "a digit out of range");
		if (i * KB_MARSHAL_DIGIT_BITS >= 63 - KB_MARSHAL_DIGIT_BITS &&
		    (i * KB_MARSHAL_DIGIT_BITS >= 63 || digit >> (63 - i * KB_MARSHAL_DIGIT_BITS)))
			return bad(reader, "an integer of more than 64 bits");
		number |= digit << i * KB_MARSHAL_DIGIT_BITS;
	}
	value->kind = KB_MARSHAL_INT;
	value->integer = negative ? -(int64_t)number : (int64_t)number;
	return NULL;
}

static struct kb_error *read_float_text(struct reader *reader, struct kb_marshal_value *value)
{
	char text[FLOAT_TEXT_MAX + 1], *end;
	const uint8_t *bytes;
	uint32_t size;

	KB_TRY(take_size(reader, true, &size));
	KB_TRY(take(reader, size, &bytes));
	if (size > FLOAT_TEXT_MAX)
		return bad(reader, "a float with too many digits");
	memcpy(text, bytes, size);
	text[size] = 0;
	value->kind = KB_MARSHAL_REAL;
	value->real = strtod(text, &end);
	return end == text + size && size ? NULL : bad(reader, "a float that is no number");
}

static struct kb_error *read_float(struct reader *reader, struct kb_marshal_value *value)
{
	const uint8_t *bytes;
	uint64_t bits;

	KB_TRY(take(reader, sizeof(bits), &bytes));
	memcpy(&bits, bytes, sizeof(bits));
	bits = le64toh(bits);
	value->kind = KB_MARSHAL_REAL;
	memcpy(&value->real, &bits, sizeof(bits));
	return NULL;
}

static struct kb_error *read_int(struct reader *reader, bool wide, struct kb_marshal_value *value)
{
	uint32_t low, high;

	value->kind = KB_MARSHAL_INT;
	KB_TRY(take_u32(reader, &low));
	value->integer = (int32_t)low;
	if (!wide)
		return NULL;
	KB_TRY(take_u32(reader, &high));
	value->integer = (int64_t)((uint64_t)high << 32 | low);
	return NULL;
}

static struct kb_error *read_text(struct reader *reader, bool small, struct kb_marshal_value *value)
{
	value->kind = KB_MARSHAL_TEXT;
	KB_TRY(take_size(reader, small, &value->size));
	return take(reader, value->size, &value->text);
}

/* ---- containers */

static struct kb_error *read_object(struct reader *reader, uint32_t *id);

/* Moves what was pushed since `base` to the items. */
static struct kb_error *take_items(struct reader *reader, uint32_t base,
				   struct kb_marshal_value *value)
{
	struct kb_marshal_values *out = reader->out;
	uint32_t n = reader->n_stack - base;
	uint32_t *items = kb_array__grow(out->items, &out->items_capacity, out->n_items + n,
					 sizeof(*items), KB_MARSHAL_VALUES_MAX);

	if (n && !items)
		return bad(reader, "more values than fit");
	if (items)
		out->items = items;
	if (n)
		memcpy(items + out->n_items, reader->stack + base, n * sizeof(*items));
	value->first = out->n_items;
	value->size = n;
	out->n_items += n;
	reader->n_stack = base;
	return NULL;
}

static struct kb_error *read_item(struct reader *reader)
{
	uint32_t id;

	KB_TRY(read_object(reader, &id));
	return push(reader, &reader->stack, &reader->n_stack, &reader->stack_capacity, id);
}

static struct kb_error *read_tuple(struct reader *reader, bool small,
				   struct kb_marshal_value *value)
{
	uint32_t base = reader->n_stack, n;

	value->kind = KB_MARSHAL_TUPLE;
	KB_TRY(take_size(reader, small, &n));
	for (uint32_t i = 0; i < n; i++)
		KB_TRY(read_item(reader));
	return take_items(reader, base, value);
}

static struct kb_error *read_dict(struct reader *reader, struct kb_marshal_value *value)
{
	uint32_t base = reader->n_stack;

	value->kind = KB_MARSHAL_DICT;
	while (reader->at < reader->end && *reader->at != KB_MARSHAL_TYPE_NULL) {
		KB_TRY(read_item(reader));
		KB_TRY(read_item(reader));
	}
	if (reader->at == reader->end)
		return bad(reader, "the file ends within a dictionary");
	reader->at++;
	return take_items(reader, base, value);
}

/* ---- objects */

static struct kb_error *read_ref(struct reader *reader, uint32_t *id)
{
	uint32_t ref;

	KB_TRY(take_u32(reader, &ref));
	if (ref >= reader->n_refs || reader->refs[ref] == REF_OPEN)
		return bad(reader, "a reference to nothing");
	*id = reader->refs[ref];
	return NULL;
}

static struct kb_error *read_value(struct reader *reader, int type, struct kb_marshal_value *value)
{
	switch (type) {
	case KB_MARSHAL_TYPE_NONE:
		return NULL;
	case KB_MARSHAL_TYPE_FALSE:
	case KB_MARSHAL_TYPE_TRUE:
		value->kind = KB_MARSHAL_BOOL;
		value->integer = type == KB_MARSHAL_TYPE_TRUE;
		return NULL;
	case KB_MARSHAL_TYPE_INT:
	case KB_MARSHAL_TYPE_INT64:
		return read_int(reader, type == KB_MARSHAL_TYPE_INT64, value);
	case KB_MARSHAL_TYPE_LONG:
		return read_long(reader, value);
	case KB_MARSHAL_TYPE_FLOAT:
		return read_float_text(reader, value);
	case KB_MARSHAL_TYPE_BINARY_FLOAT:
		return read_float(reader, value);
	case KB_MARSHAL_TYPE_UNICODE:
	case KB_MARSHAL_TYPE_INTERNED:
	case KB_MARSHAL_TYPE_ASCII:
	case KB_MARSHAL_TYPE_ASCII_INTERNED:
		return read_text(reader, false, value);
	case KB_MARSHAL_TYPE_SHORT_ASCII:
	case KB_MARSHAL_TYPE_SHORT_ASCII_INTERNED:
		return read_text(reader, true, value);
	case KB_MARSHAL_TYPE_TUPLE:
	case KB_MARSHAL_TYPE_SMALL_TUPLE:
		return read_tuple(reader, type == KB_MARSHAL_TYPE_SMALL_TUPLE, value);
	case KB_MARSHAL_TYPE_DICT:
		return read_dict(reader, value);
	default:
		return bad(reader, "an object of an unexpected type");
	}
}

static struct kb_error *read_object(struct reader *reader, uint32_t *id)
{
	struct kb_marshal_value value = { KB_MARSHAL_NONE };
	uint32_t ref = NO_REF;
	const uint8_t *type;

	reader->last = (size_t)(reader->at - reader->start);
	KB_TRY(take(reader, 1, &type));
	if (*type == KB_MARSHAL_TYPE_REF)
		return read_ref(reader, id);
	if (*type & KB_MARSHAL_FLAG_REF) {
		ref = reader->n_refs;
		KB_TRY(push(reader, &reader->refs, &reader->n_refs, &reader->refs_capacity,
			    REF_OPEN));
	}
	if (++reader->depth > KB_MARSHAL_DEPTH_MAX)
		return bad(reader, "too many containers within each other");
	KB_TRY(read_value(reader, *type & ~KB_MARSHAL_FLAG_REF, &value));
	reader->depth--;
	KB_TRY(add_value(reader, &value, id));
	if (ref != NO_REF)
		reader->refs[ref] = *id;
	return NULL;
}

struct kb_error *kb_marshal_values__read(const uint8_t *bytes, size_t size,
					 struct kb_marshal_values *values)
{
	struct kb_marshal_values out = {};
	struct reader reader = { bytes, bytes, bytes + size, &out };
	struct kb_error *err = read_object(&reader, &out.root);

	free(reader.refs);
	free(reader.stack);
	if (err) {
		kb_marshal_values__free(&out);
		return err;
	}
	*values = out;
	return NULL;
}

void kb_marshal_values__free(struct kb_marshal_values *values)
{
	free(values->values);
	free(values->items);
	*values = (struct kb_marshal_values){};
}

const struct kb_marshal_value *kb_marshal_values__item(const struct kb_marshal_values *values,
						       const struct kb_marshal_value *of,
						       uint32_t index)
{
	return &values->values[values->items[of->first + index]];
}
