// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"

#define BUF_FIRST 256

void kb_buf__init(struct kb_buf *buf, size_t max)
{
	*buf = (struct kb_buf){ .max = max };
}

void kb_buf__free(struct kb_buf *buf)
{
	free(buf->data);
	*buf = (struct kb_buf){ .max = buf->max };
}

void kb_buf__clear(struct kb_buf *buf)
{
	buf->size = 0;
	buf->failed = false;
}

bool kb_buf__reserve(struct kb_buf *buf, size_t more)
{
	size_t capacity = buf->capacity ? buf->capacity : BUF_FIRST;
	uint8_t *data;

	if (buf->failed || more > buf->max - buf->size) {
		buf->failed = true;
		return false;
	}
	if (more <= buf->capacity - buf->size)
		return true;
	while (capacity - buf->size < more && capacity < buf->max / 2)
		capacity *= 2;
	if (capacity - buf->size < more || capacity > buf->max)
		capacity = buf->max;
	data = realloc(buf->data, capacity);
	if (!data) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->capacity = capacity;
	return true;
}

void kb_buf__append(struct kb_buf *buf, const void *bytes, size_t size)
{
	if (!kb_buf__reserve(buf, size) || !size)
		return;
	memcpy(buf->data + buf->size, bytes, size);
	buf->size += size;
}
