// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "base/text.h"
#include "format/marshal.h"
#include "format/marshal_types.h"

static void put_bytes(struct kb_marshal *marshal, uint64_t value, int n)
{
	for (int i = 0; i < n; i++)
		putc((int)(value >> 8 * i & 0xff), marshal->stream);
}

static void put_type(struct kb_marshal *marshal, int type)
{
	putc(type, marshal->stream);
}

void kb_marshal__int(struct kb_marshal *marshal, int32_t value)
{
	put_type(marshal, KB_MARSHAL_TYPE_INT);
	put_bytes(marshal, (uint32_t)value, 4);
}

void kb_marshal__count(struct kb_marshal *marshal, uint64_t value)
{
	const uint64_t mask = (1 << KB_MARSHAL_DIGIT_BITS) - 1;
	uint32_t n_digits = 0;

	if (value <= INT32_MAX) {
		kb_marshal__int(marshal, (int32_t)value);
		return;
	}
	for (uint64_t rest = value; rest; rest >>= KB_MARSHAL_DIGIT_BITS)
		n_digits++;
	put_type(marshal, KB_MARSHAL_TYPE_LONG);
	put_bytes(marshal, n_digits, 4);
	for (; value; value >>= KB_MARSHAL_DIGIT_BITS)
		put_bytes(marshal, value & mask, 2);
}

void kb_marshal__float(struct kb_marshal *marshal, double value)
{
	uint64_t bits;

	_Static_assert(sizeof(bits) == sizeof(value), "IEEE 754 double");
	memcpy(&bits, &value, sizeof(bits));
	put_type(marshal, KB_MARSHAL_TYPE_BINARY_FLOAT);
	put_bytes(marshal, bits, 8);
}

uint32_t kb_marshal__string(struct kb_marshal *marshal, const char *text)
{
	put_type(marshal, KB_MARSHAL_TYPE_UNICODE | KB_MARSHAL_FLAG_REF);
	put_bytes(marshal, kb_text__utf8_size(text), 4);
	kb_text__write_utf8(marshal->stream, text);
	return marshal->n_refs++;
}

void kb_marshal__tuple(struct kb_marshal *marshal, uint32_t n)
{
	put_type(marshal, KB_MARSHAL_TYPE_TUPLE);
	put_bytes(marshal, n, 4);
}

uint32_t kb_marshal__shared_tuple(struct kb_marshal *marshal, uint32_t n)
{
	put_type(marshal, KB_MARSHAL_TYPE_TUPLE | KB_MARSHAL_FLAG_REF);
	put_bytes(marshal, n, 4);
	return marshal->n_refs++;
}

void kb_marshal__dict_begin(struct kb_marshal *marshal)
{
	put_type(marshal, KB_MARSHAL_TYPE_DICT);
}

void kb_marshal__dict_end(struct kb_marshal *marshal)
{
	put_type(marshal, KB_MARSHAL_TYPE_NULL);
}

void kb_marshal__ref(struct kb_marshal *marshal, uint32_t ref)
{
	put_type(marshal, KB_MARSHAL_TYPE_REF);
	put_bytes(marshal, ref, 4);
}
