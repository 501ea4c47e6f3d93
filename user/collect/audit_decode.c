// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The values of bpf/shared/audit.h. What the kernel's programs have written is whole but for its
 * end, where the record may have been cut; all the same nothing in it is taken on trust.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "collect/audit_decode.h"
#include "python/remote_repr.h"

#define BODY_MAX   (KB_AUDIT_BODY_MAX + 8 + KB_AUDIT_STRING_MAX)
#define VALUES_MAX (BODY_MAX / 8)
/* A byte becomes two at most (Latin-1), the digits of an int three, and each text has a zero. */
#define TEXT_MAX      (4 * BODY_MAX)
#define DEPTH_MAX     (KB_AUDIT_DEPTH_MAX + 8) /* and what format strings nest */
#define NAME_MAX_UTF8 (2 * KB_AUDIT_NAME_MAX + 1)

/* What of the body is left. */
struct reader {
	const uint8_t *at, *end;
};

struct kb_audit_decoder {
	struct reader in;
	struct kb_audit_value values[VALUES_MAX];
	size_t n_values;
	char text[TEXT_MAX];
	size_t n_text;
	char name[NAME_MAX_UTF8];
};

struct kb_audit_decoder *kb_audit_decoder__create(void)
{
	return calloc(1, sizeof(struct kb_audit_decoder));
}

void kb_audit_decoder__destroy(struct kb_audit_decoder *d)
{
	free(d);
}

/* ---------------------------------------------------------------- text */

size_t kb_audit__to_utf8(const void *characters, size_t bytes, unsigned int width, char *text,
			 size_t size)
{
	const uint8_t *at = characters;
	size_t n = 0;

	if (!width) {
		n = bytes < size ? bytes : size - 1;
		memcpy(text, characters, n);
		text[n] = '\0';
		return n;
	}
	if (width != 2 && width != 4)
		width = 1;
	for (size_t i = 0; i + width <= bytes && n + 5 <= size; i += width) {
		uint32_t c = 0;

		memcpy(&c, at + i, width); /* little-endian */
		n += (size_t)kb_text__encode(c <= 0x10ffff ? c : KB_TEXT_REPLACEMENT, text + n);
	}
	text[n] = '\0';
	return n;
}

static void take_text(struct kb_audit_decoder *d, const void *characters, size_t bytes,
		      unsigned int width, const char **text, size_t *size)
{
	char *to = d->text + d->n_text;
	size_t n = kb_audit__to_utf8(characters, bytes, width, to, TEXT_MAX - d->n_text);

	*text = to;
	if (size)
		*size = n;
	d->n_text += n + 1;
	/* Room for an empty text remains, whatever comes. */
	if (d->n_text > TEXT_MAX - 1)
		d->n_text = TEXT_MAX - 1;
}

/* ---------------------------------------------------------------- values */

/* The next header with its bytes; false: the body ends. */
static bool next(struct reader *in, uint64_t *header, const uint8_t **bytes)
{
	size_t size;

	if ((size_t)(in->end - in->at) < sizeof(*header))
		return false;
	memcpy(header, in->at, sizeof(*header));
	size = (KB_AUDIT_SIZE(*header) + 7u) & ~7u;
	if ((size_t)(in->end - in->at) - sizeof(*header) < size)
		return false;
	*bytes = in->at + sizeof(*header);
	in->at = *bytes + size;
	return true;
}

static void set_unknown(struct kb_audit_value *value, const char *why)
{
	value->kind = KB_VALUE_UNKNOWN;
	value->text = why;
	value->size = strlen(why);
}

static void decode_int(struct kb_audit_decoder *d, uint64_t header, const uint8_t *bytes,
		       struct kb_audit_value *value)
{
	uint32_t digits[KB_AUDIT_DIGITS_MAX];
	size_t n = KB_AUDIT_SIZE(header) / sizeof(*digits);
	bool negative = KB_AUDIT_FLAGS(header) & KB_AUDIT_NEGATIVE;
	char text[KB_AUDIT_DIGITS_MAX * 10 + 2] = "-";

	value->kind = KB_VALUE_INT;
	value->length = KB_AUDIT_LENGTH(header);
	if (value->cut || n > KB_AUDIT_DIGITS_MAX)
		return;
	memcpy(digits, bytes, n * sizeof(*digits));
	kb_repr__decimal(digits, n, text + negative, sizeof(text) - 1);
	take_text(d, text, strlen(text), 0, &value->text, &value->size);
	value->integer = strtoll(text, NULL, 10);
}

static void decode_number(struct kb_audit_decoder *d, uint64_t header, const uint8_t *bytes,
			  struct kb_audit_value *value)
{
	char text[32];

	value->kind = KB_VALUE_INT;
	memcpy(&value->integer, bytes, sizeof(value->integer));
	snprintf(text, sizeof(text), KB_AUDIT_FLAGS(header) & KB_AUDIT_UNSIGNED ? "%llu" : "%lld",
		 (long long)value->integer);
	take_text(d, text, strlen(text), 0, &value->text, &value->size);
}

static void decode_object(struct kb_audit_decoder *d, uint64_t header, const uint8_t *bytes,
			  struct kb_audit_value *value)
{
	size_t size = KB_AUDIT_SIZE(header);

	value->kind = KB_VALUE_OBJECT;
	if (size < 8) {
		set_unknown(value, "unreadable");
		return;
	}
	memcpy(&value->address, bytes, sizeof(value->address));
	take_text(d, bytes + 8, size - 8, 0, &value->text, &value->size);
}

static bool is_container(uint32_t tag)
{
	return tag == KB_AUDIT_TUPLE || tag == KB_AUDIT_LIST || tag == KB_AUDIT_DICT;
}

/* Values that stand behind one and are part of it. */
static unsigned int parts_of(uint32_t tag)
{
	return tag == KB_AUDIT_CODE ? 2 : tag == KB_AUDIT_PATH ? 1 : 0;
}

/* How many values there are up to the end of what they are in. */
static size_t count_values(struct reader in)
{
	unsigned int depth = 0, parts = 0;
	const uint8_t *bytes;
	uint64_t header;
	size_t n = 0;

	while (next(&in, &header, &bytes)) {
		uint32_t tag = KB_AUDIT_TAG(header);

		if (tag == KB_AUDIT_END) {
			if (!depth--)
				return n;
			continue;
		}
		if (parts) {
			parts--;
			continue;
		}
		n += !depth;
		depth += is_container(tag);
		parts = parts_of(tag);
	}
	return n;
}

/* A string that is part of a value. */
static void decode_part(struct kb_audit_decoder *d, struct kb_audit_value *value, const char **text,
			size_t *size)
{
	const uint8_t *bytes;
	uint64_t header;

	if (!next(&d->in, &header, &bytes) || KB_AUDIT_TAG(header) != KB_AUDIT_STR) {
		*text = "?";
		if (size)
			*size = 1;
		return;
	}
	value->cut |= (KB_AUDIT_FLAGS(header) & KB_AUDIT_CUT) != 0;
	value->length = KB_AUDIT_LENGTH(header);
	take_text(d, bytes, KB_AUDIT_SIZE(header), KB_AUDIT_FLAGS(header) & 7, text, size);
}

static size_t decode_values(struct kb_audit_decoder *d, const struct kb_audit_value **values,
			    unsigned int depth);

static void decode_container(struct kb_audit_decoder *d, uint64_t header,
			     struct kb_audit_value *value, unsigned int depth)
{
	uint32_t tag = KB_AUDIT_TAG(header);
	size_t n;

	value->kind = tag == KB_AUDIT_TUPLE  ? KB_VALUE_TUPLE
		      : tag == KB_AUDIT_LIST ? KB_VALUE_LIST
					     : KB_VALUE_DICT;
	value->n_items = decode_values(d, &value->items, depth + 1);
	/* A key whose value was cut off. */
	if (tag == KB_AUDIT_DICT)
		value->n_items &= ~(size_t)1;
	n = tag == KB_AUDIT_DICT ? value->n_items / 2 : value->n_items;
	value->length = KB_AUDIT_LENGTH(header);
	if (KB_AUDIT_FLAGS(header) & KB_AUDIT_UNCOUNTED)
		value->length = n;
	value->cut |= value->length > n;
}

static void decode_bytes(struct kb_audit_decoder *d, uint64_t header, const uint8_t *bytes,
			 struct kb_audit_value *value)
{
	uint32_t tag = KB_AUDIT_TAG(header), size = KB_AUDIT_SIZE(header), character;

	value->kind = tag == KB_AUDIT_BYTES ? KB_VALUE_BYTES : KB_VALUE_STR;
	value->length = KB_AUDIT_LENGTH(header);
	for (uint32_t i = 0;
	     tag == KB_AUDIT_STR && KB_AUDIT_FLAGS(header) & KB_AUDIT_TO_ZERO && i + 4 <= size;
	     i += 4) {
		memcpy(&character, bytes + i, sizeof(character));
		if (!character)
			size = i;
		value->cut = character != 0;
	}
	take_text(d, bytes, size, tag == KB_AUDIT_STR ? KB_AUDIT_FLAGS(header) & 7 : 0,
		  &value->text, &value->size);
}

static void decode_value(struct kb_audit_decoder *d, uint64_t header, const uint8_t *bytes,
			 struct kb_audit_value *value, unsigned int depth)
{
	*value = (struct kb_audit_value){ .cut = KB_AUDIT_FLAGS(header) & KB_AUDIT_CUT,
					  .text = "",
					  .file = "" };
	switch (KB_AUDIT_TAG(header)) {
	case KB_AUDIT_NONE:
		value->kind = KB_VALUE_NONE;
		break;
	case KB_AUDIT_BOOL:
		value->kind = KB_VALUE_BOOL;
		value->integer = KB_AUDIT_LENGTH(header) != 0;
		break;
	case KB_AUDIT_INT:
		decode_int(d, header, bytes, value);
		break;
	case KB_AUDIT_NUMBER:
		if (KB_AUDIT_SIZE(header) == 8)
			decode_number(d, header, bytes, value);
		break;
	case KB_AUDIT_FLOAT:
		value->kind = KB_VALUE_FLOAT;
		if (KB_AUDIT_SIZE(header) == sizeof(value->real))
			memcpy(&value->real, bytes, sizeof(value->real));
		break;
	case KB_AUDIT_STR:
	case KB_AUDIT_TEXT:
	case KB_AUDIT_BYTES:
		decode_bytes(d, header, bytes, value);
		break;
	case KB_AUDIT_TUPLE:
	case KB_AUDIT_LIST:
	case KB_AUDIT_DICT:
		decode_container(d, header, value, depth);
		break;
	case KB_AUDIT_CODE:
		value->kind = KB_VALUE_CODE;
		value->line = (int32_t)KB_AUDIT_LENGTH(header);
		decode_part(d, value, &value->text, &value->size);
		decode_part(d, value, &value->file, NULL);
		break;
	case KB_AUDIT_PATH:
		value->kind = KB_VALUE_PATH;
		decode_part(d, value, &value->text, &value->size);
		break;
	case KB_AUDIT_OBJECT:
		decode_object(d, header, bytes, value);
		break;
	case KB_AUDIT_NULL:
		set_unknown(value, "NULL");
		break;
	case KB_AUDIT_UNAVAILABLE:
		set_unknown(value, "unavailable");
		break;
	default:
		set_unknown(value, "unreadable");
	}
}

/* Values up to the end of what they are in; returns their number. */
static size_t decode_values(struct kb_audit_decoder *d, const struct kb_audit_value **values,
			    unsigned int depth)
{
	struct kb_audit_value *first = d->values + d->n_values;
	size_t n = count_values(d->in), i = 0;
	const uint8_t *bytes;
	uint64_t header;

	*values = first;
	if (depth > DEPTH_MAX || n > VALUES_MAX - d->n_values)
		n = 0;
	d->n_values += n;
	while (next(&d->in, &header, &bytes) && KB_AUDIT_TAG(header) != KB_AUDIT_END) {
		if (i < n)
			decode_value(d, header, bytes, &first[i++], depth);
	}
	return i;
}

bool kb_audit_decoder__decode(struct kb_audit_decoder *d, const struct kb_data_audit *record,
			      size_t size, struct kb_audit_event *event)
{
	const uint8_t *body = (const uint8_t *)(record + 1);
	size_t name_bytes = 0;

	if (size >= sizeof(*record))
		name_bytes = (record->name_bytes + 7u) & ~7u;
	if (size < sizeof(*record) + name_bytes || record->name_kind > 4)
		return false;
	kb_audit__to_utf8(body, record->name_bytes, record->name_kind, d->name, sizeof(d->name));
	d->n_values = d->n_text = 0;
	d->in = (struct reader){ body + name_bytes, (const uint8_t *)record + size };
	event->name = d->name;
	event->n_args = decode_values(d, &event->args, 0);
	event->n_args_total = record->n_args == UINT32_MAX ? event->n_args : record->n_args;
	event->cut = record->flags & KB_AUDIT_RECORD_CUT || event->n_args < event->n_args_total;
	return true;
}
