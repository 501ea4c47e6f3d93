// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stddef.h>
#include "base/varint.h"

void kb_varint__put(struct kb_buf *buf, uint64_t value)
{
	if (!kb_buf__reserve(buf, KB_VARINT_BYTES_MAX))
		return;
	for (; value >= 0x80; value >>= 7)
		buf->data[buf->size++] = (uint8_t)(value | 0x80);
	buf->data[buf->size++] = (uint8_t)value;
}

void kb_varint__put_signed(struct kb_buf *buf, int64_t value)
{
	kb_varint__put(buf, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

uint64_t kb_varint__get(struct kb_cursor *cursor)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
		uint8_t byte = *cursor->at++;

		/* The tenth byte has room for one bit. */
		if (shift == 63 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	cursor->failed = true;
	cursor->at = cursor->end;
	return 0;
}

int64_t kb_varint__get_signed(struct kb_cursor *cursor)
{
	uint64_t value = kb_varint__get(cursor);

	return (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0));
}

const uint8_t *kb_cursor__take(struct kb_cursor *cursor, uint64_t size)
{
	const uint8_t *bytes = cursor->at;

	if (cursor->failed || size > (uint64_t)(cursor->end - cursor->at)) {
		cursor->failed = true;
		cursor->at = cursor->end;
		return NULL;
	}
	cursor->at += size;
	return bytes;
}
